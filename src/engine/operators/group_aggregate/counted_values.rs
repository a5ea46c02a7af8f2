//! Values of groups with the number of times each is there: what DISTINCT, and MIN and MAX of inputs that take rows back, need.
//! Changes are noted value by value, so that a group of a million values is never written as a whole.

use datafusion::arrow::array::{ArrayRef, BooleanArray};
use datafusion::arrow::datatypes::DataType;

use super::accumulator::ValueStore;
use crate::engine::state::encoded::{Codec, EncodedRows};
use crate::engine::state::{Count, KeyedState, RowChanges, RowMap, RowStore};
use crate::error::Result;

/// See the module.
pub struct CountedValues {
    types: Vec<DataType>,
    /// Whether values can be taken back; if not, only their presence counts.
    counting: bool,
    values: RowMap<Codec, Count>,
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
        // A NULL within an array or a row comes behind everything else, as in Postgres.
        let codec = Codec::ordered(types.iter().map(|data_type| (data_type.clone(), false, false)))?;
        Ok(Self { types: types.to_vec(), counting, values: RowMap::new(codec, Count) })
    }

    /// Makes room for groups.
    pub fn resize(&mut self, groups: usize) {
        self.values.resize(groups);
    }

    /// Encodes values.
    ///
    /// # Errors
    /// Their types are others.
    pub fn encode(&self, columns: &[ArrayRef]) -> Result<EncodedRows> {
        self.values.sub_key_codec().encode(columns)
    }

    /// Decodes values, NULL where there is none.
    ///
    /// # Errors
    /// They were not encoded here.
    pub fn decode<'a>(&'a self, values: impl Iterator<Item = Option<&'a [u8]>>) -> Result<Vec<ArrayRef>> {
        self.values.sub_key_codec().decode_optional(values)
    }

    /// Takes a value in or back.
    pub fn change(&mut self, group: u32, value: &[u8], retracted: bool) -> Presence {
        let (mut vanishes, counting) = (false, self.counting);
        let found = self.values.update(group, value, |count| {
            vanishes = retracted && *count == 1;
            if vanishes || !counting {
                return false;
            }
            *count += if retracted { -1 } else { 1 };
            true
        });
        match (found, retracted) {
            (None, true) => Presence::Unchanged,
            (None, false) => {
                self.values.insert(group, value.into(), 1);
                Presence::Appeared
            }
            (Some(()), _) if vanishes => {
                self.values.remove(group, value);
                Presence::Vanished
            }
            (Some(()), _) => Presence::Unchanged,
        }
    }

    /// The least value of a group, or the greatest.
    pub fn extreme(&self, group: u32, greatest: bool) -> Option<&[u8]> {
        let mut values = self.values.iter(group);
        let entry = if greatest { values.next_back() } else { values.next() };
        entry.map(|(value, _)| value.as_ref())
    }

    /// Takes all values of a group away.
    pub fn reset(&mut self, group: u32) {
        self.values.clear(group);
    }

    /// How many values there are.
    pub fn len(&self) -> u64 {
        self.values.rows_in_memory()
    }

    /// Bytes of the values.
    pub fn value_bytes(&self) -> usize {
        self.values.bytes().values
    }

    /// Bytes of those that changed since the last checkpoint, about.
    pub fn changed_value_bytes(&self) -> usize {
        self.values.bytes().changed_values
    }

    /// Bytes in memory, as far as known.
    pub fn memory_bytes(&self) -> usize {
        let bytes = self.values.bytes();
        bytes.columns + bytes.values
    }
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
}

impl RowStore for CountedValues {
    fn take_changes(&mut self) -> Result<RowChanges> {
        self.values.take_changes()
    }

    fn restore(&mut self, groups: &[Option<u32>], deleted: &BooleanArray, columns: &[ArrayRef]) -> Result<()> {
        self.values.restore(groups, deleted, columns)
    }

    fn copy_rows(&self, group: u32, bytes: &mut Vec<u8>) {
        self.values.copy_rows(group, bytes);
    }

    fn vacate(&mut self, group: u32) {
        self.values.vacate(group);
    }

    fn put_rows_back(&mut self, group: u32, bytes: &[u8]) -> Option<()> {
        self.values.put_rows_back(group, bytes)
    }
}
