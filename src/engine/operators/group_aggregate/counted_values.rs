//! Values of groups with the number of times each is there: what DISTINCT, and MIN and MAX of inputs that take rows back, need.
//! Changes are noted value by value, so that a group of a million values is never written as a whole.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, Int64Array};
use datafusion::arrow::datatypes::{DataType, Int64Type};

use super::accumulator::{ValueChanges, ValueStore};
use crate::engine::state::encoded::{Codec, Encoded, EncodedRows};
use crate::engine::state::spill;
use crate::error::Result;

/// Bytes that an entry of the tree takes beside its value.
const ENTRY_BYTES: usize = 48;

/// Bytes that a group's tree takes with its first value: a node has room for eleven.
const TREE_BYTES: usize = 256;

/// See the module.
pub struct CountedValues {
    types: Vec<DataType>,
    codec: Codec,
    /// Whether values can be taken back; if not, only their presence counts.
    counting: bool,
    groups: Vec<BTreeMap<Encoded, i64>>,
    /// Changed since the last checkpoint.
    changed: BTreeSet<(u32, Encoded)>,
    values: u64,
    bytes: usize,
}

/// What came of a value's change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// It was not there before.
    Appeared,
    /// It is not there any more.
    Vanished,
    /// It is there as before, or it was taken back without being there.
    Unchanged,
}

impl CountedValues {
    /// One for values of these columns.
    ///
    /// # Errors
    /// A type that cannot be compared.
    pub fn new(types: &[DataType], counting: bool) -> Result<Self> {
        Ok(Self {
            types: types.to_vec(),
            // A NULL within an array or a row comes behind everything else, as in Postgres.
            codec: Codec::ordered(types.iter().map(|data_type| (data_type.clone(), false, false)))?,
            counting,
            groups: Vec::new(),
            changed: BTreeSet::new(),
            values: 0,
            bytes: 0,
        })
    }

    /// Makes room for groups.
    pub fn resize(&mut self, groups: usize) {
        self.groups.resize(groups, BTreeMap::new());
    }

    /// Encodes values.
    ///
    /// # Errors
    /// Their types are others.
    pub fn encode(&self, columns: &[ArrayRef]) -> Result<EncodedRows> {
        self.codec.encode(columns)
    }

    /// Decodes values, NULL where there is none.
    ///
    /// # Errors
    /// They were not encoded here.
    pub fn decode<'a>(&'a self, values: impl Iterator<Item = Option<&'a [u8]>>) -> Result<Vec<ArrayRef>> {
        self.codec.decode_optional(values)
    }

    /// Takes a value in or back.
    pub fn change(&mut self, group: u32, value: &[u8], retracted: bool) -> Presence {
        let values = &mut self.groups[group as usize];
        let presence = match (values.get_mut(value), retracted) {
            (None, true) => return Presence::Unchanged,
            (None, false) => {
                self.bytes += value.len() + ENTRY_BYTES + if values.is_empty() { TREE_BYTES } else { 0 };
                values.insert(value.into(), 1);
                self.values += 1;
                Presence::Appeared
            }
            (Some(1), true) => {
                values.remove(value);
                self.values -= 1;
                self.bytes -= value.len() + ENTRY_BYTES + if values.is_empty() { TREE_BYTES } else { 0 };
                Presence::Vanished
            }
            (Some(_), _) if !self.counting => return Presence::Unchanged,
            (Some(count), retracted) => {
                *count += if retracted { -1 } else { 1 };
                Presence::Unchanged
            }
        };
        self.changed.insert((group, value.into()));
        presence
    }

    /// The least value of a group, or the greatest.
    pub fn extreme(&self, group: u32, greatest: bool) -> Option<&[u8]> {
        let values = &self.groups[group as usize];
        let entry = if greatest { values.last_key_value() } else { values.first_key_value() };
        entry.map(|(value, _)| value.as_ref())
    }

    /// Takes all values of a group away.
    pub fn reset(&mut self, group: u32) {
        for (value, _) in self.take(group) {
            self.changed.insert((group, value));
        }
    }

    /// The values of a group, which has none afterwards.
    fn take(&mut self, group: u32) -> BTreeMap<Encoded, i64> {
        let values = std::mem::take(&mut self.groups[group as usize]);
        self.values -= values.len() as u64;
        self.bytes -= bytes_of(&values);
        values
    }

    /// How many values there are.
    pub fn len(&self) -> u64 {
        self.values
    }

    /// Bytes of the values.
    pub fn value_bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes of those that changed since the last checkpoint, about.
    pub fn changed_value_bytes(&self) -> usize {
        self.changed.len() * (self.bytes / usize::try_from(self.values).unwrap_or(usize::MAX).max(1) + ENTRY_BYTES)
    }

    /// Bytes in memory, as far as known.
    pub fn memory_bytes(&self) -> usize {
        let changed: usize = self.changed.len() * ENTRY_BYTES;
        self.bytes + changed + self.groups.capacity() * size_of::<BTreeMap<Encoded, i64>>()
    }
}

/// Bytes of a group's values.
fn bytes_of(values: &BTreeMap<Encoded, i64>) -> usize {
    let tree = if values.is_empty() { 0 } else { TREE_BYTES };
    tree + values.keys().map(|value| value.len() + ENTRY_BYTES).sum::<usize>()
}

impl ValueStore for CountedValues {
    fn name(&self) -> &'static str {
        "values"
    }

    fn key_types(&self) -> Vec<DataType> {
        self.types.clone()
    }

    fn value_types(&self) -> Vec<DataType> {
        vec![DataType::Int64]
    }

    fn take_changes(&mut self) -> Result<ValueChanges> {
        let changed = std::mem::take(&mut self.changed);
        let mut columns = self.codec.decode(changed.iter().map(|(_, value)| value.as_ref()))?;
        let counts: Vec<Option<i64>> =
            changed.iter().map(|(group, value)| self.groups[*group as usize].get(value).copied()).collect();
        let deleted = counts.iter().map(Option::is_none).collect();
        columns.push(Arc::new(Int64Array::from(counts)));
        Ok(ValueChanges { groups: changed.iter().map(|(group, _)| *group).collect(), deleted, columns })
    }

    fn restore(&mut self, groups: &[Option<u32>], deleted: &[bool], columns: &[ArrayRef]) -> Result<()> {
        let (keys, counts) = columns.split_at(self.types.len());
        let rows = self.codec.encode(keys)?;
        let counts = counts[0].as_primitive::<Int64Type>();
        for (row, group) in groups.iter().enumerate() {
            let Some(group) = group else { continue };
            let (values, value) = (&mut self.groups[*group as usize], rows.row(row));
            if deleted[row] {
                if values.remove(value).is_some() {
                    self.values -= 1;
                    self.bytes -= value.len() + ENTRY_BYTES + if values.is_empty() { TREE_BYTES } else { 0 };
                }
                continue;
            }
            let tree = if values.is_empty() { TREE_BYTES } else { 0 };
            if values.insert(value.into(), counts.value(row)).is_none() {
                self.values += 1;
                self.bytes += value.len() + ENTRY_BYTES + tree;
            }
        }
        Ok(())
    }
    fn copy(&self, group: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (value, count) in &self.groups[group as usize] {
            spill::put(&mut bytes, value);
            bytes.extend_from_slice(&count.to_le_bytes());
        }
        bytes
    }

    fn drop_group(&mut self, group: u32) {
        self.take(group);
    }

    fn put_back(&mut self, group: u32, mut bytes: &[u8]) -> Option<()> {
        let mut values = Vec::new();
        while !bytes.is_empty() {
            let value = spill::take(&mut bytes)?;
            let (count, rest) = bytes.split_first_chunk::<8>()?;
            bytes = rest;
            values.push((Encoded::from(value), i64::from_le_bytes(*count)));
        }
        let values = BTreeMap::from_iter(values);
        self.values += values.len() as u64;
        self.bytes += bytes_of(&values);
        self.groups[group as usize] = values;
        Some(())
    }
}
