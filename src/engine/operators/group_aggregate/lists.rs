//! Aggregates over all values of a group in an order: ARRAY_AGG and LISTAGG, and FIRST_VALUE, LAST_VALUE and ANY_VALUE of inputs
//! that take rows back. Each value is an entry of its own, written once; of equal ones the oldest is taken back.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, LargeStringBuilder, ListArray, UInt64Array};
use datafusion::arrow::buffer::{NullBuffer, OffsetBuffer};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, UInt64Type};
use hashbrown::HashMap;

use super::accumulator::{Accumulator, GroupedRows, ValueStore, without_nulls};
use crate::engine::aggregate::{AggregateFunction, StoredAggregate};
use crate::engine::state::encoded::{Codec, Encoded};
use crate::engine::state::{RowChanges, RowStore, spill};
use crate::error::{Error, Result};

/// Bytes that an entry takes beside what it holds.
const ENTRY_BYTES: usize = 72;

/// Bytes that a group's entries take with the first of them: a node of the tree has room for eleven.
const GROUP_BYTES: usize = 512;

/// The values of one group.
#[derive(Debug, Clone, Default)]
struct Entries {
    /// By order, then by arrival.
    values: BTreeMap<(Encoded, u64), Encoded>,
    /// Order and value to the arrivals of such entries, oldest first; only if values can be taken back.
    arrivals: HashMap<Encoded, VecDeque<u64>>,
}

/// Entries of all groups, and which of them changed.
struct EntryStore {
    data_type: DataType,
    order_types: Vec<DataType>,
    value: Codec,
    order: Codec,
    retracting: bool,
    groups: Vec<Option<Box<Entries>>>,
    /// New entries and, as those of which nothing is found, removed ones that were stored.
    changed: BTreeMap<(u32, u64), Encoded>,
    count: u64,
    bytes: usize,
}

impl EntryStore {
    fn insert(&mut self, group: u32, order: &[u8], sequence: u64, value: &[u8]) {
        let entries = self.groups[group as usize].get_or_insert_with(|| {
            self.bytes += GROUP_BYTES;
            Box::default()
        });
        if entries.values.insert((order.into(), sequence), value.into()).is_some() {
            return;
        }
        if self.retracting {
            let arrivals = entries.arrivals.entry([order, value].concat().into()).or_default();
            // Restored entries need not come in order.
            let place = arrivals.partition_point(|other| *other < sequence);
            arrivals.insert(place, sequence);
        }
        self.count += 1;
        self.bytes += self.size(order.len(), value.len());
    }

    fn size(&self, order: usize, value: usize) -> usize {
        (order + value) * if self.retracting { 2 } else { 1 } + ENTRY_BYTES
    }

    /// Takes back the oldest entry of that order and value.
    fn retract(&mut self, group: u32, order: &[u8], value: &[u8]) {
        let Some(entries) = &mut self.groups[group as usize] else { return };
        let key = [order, value].concat();
        let Some(arrivals) = entries.arrivals.get_mut(key.as_slice()) else { return };
        let Some(sequence) = arrivals.pop_front() else { return };
        if arrivals.is_empty() {
            entries.arrivals.remove(key.as_slice());
        }
        entries.values.remove(&(order.into(), sequence));
        self.count -= 1;
        self.bytes -= self.size(order.len(), value.len());
        self.note_removed(group, order.into(), sequence);
    }

    fn note_removed(&mut self, group: u32, order: Encoded, sequence: u64) {
        // An entry that is noted was never stored: then there is nothing to delete.
        if self.changed.remove(&(group, sequence)).is_none() {
            self.changed.insert((group, sequence), order);
        }
    }

    fn reset(&mut self, group: u32) {
        let Some(entries) = self.groups[group as usize].take() else { return };
        self.bytes -= GROUP_BYTES;
        for ((order, sequence), value) in entries.values {
            self.count -= 1;
            self.bytes -= self.size(order.len(), value.len());
            self.note_removed(group, order, sequence);
        }
    }

    fn values(&self, group: u32) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.groups[group as usize].iter().flat_map(|entries| entries.values.values().map(AsRef::as_ref))
    }
}

impl ValueStore for EntryStore {
    fn name(&self) -> &'static str {
        "entries"
    }

    fn key_types(&self) -> Vec<DataType> {
        vec![DataType::UInt64]
    }

    fn value_types(&self) -> Vec<DataType> {
        std::iter::once(&self.data_type).chain(&self.order_types).cloned().collect()
    }
}

impl RowStore for EntryStore {
    fn take_changes(&mut self) -> Result<RowChanges> {
        let changed = std::mem::take(&mut self.changed);
        let (mut slots, mut sequences) = (Vec::new(), Vec::new());
        let (mut orders, mut values) = (Vec::new(), Vec::new());
        for ((group, sequence), order) in changed {
            let key = (order, sequence);
            let value = self.groups[group as usize].as_ref().and_then(|entries| entries.values.get(&key));
            slots.push(group);
            sequences.push(sequence);
            values.push(value);
            orders.push(value.map(|_| key.0));
        }
        let mut columns: Vec<ArrayRef> = vec![Arc::new(UInt64Array::from(sequences))];
        columns.extend(self.value.decode_optional(values.iter().map(|value| value.map(AsRef::as_ref)))?);
        columns.extend(self.order.decode_optional(orders.iter().map(Option::as_deref))?);
        Ok(RowChanges { slots, deleted: values.iter().map(Option::is_none).collect(), columns })
    }

    fn restore(&mut self, groups: &[Option<u32>], deleted: &BooleanArray, columns: &[ArrayRef]) -> Result<()> {
        let sequences = columns[0].as_primitive::<UInt64Type>();
        let values = self.value.encode(&columns[1..2])?;
        let orders = self.order.encode(&columns[2..])?;
        for (row, group) in groups.iter().enumerate() {
            let (Some(group), sequence) = (group, sequences.value(row)) else { continue };
            if !deleted.value(row) {
                self.insert(*group, orders.row(row), sequence, values.row(row));
                continue;
            }
            // A deleted row holds the arrival only.
            let Some(entries) = &mut self.groups[*group as usize] else { continue };
            let key = match self.order_types.is_empty() {
                true => Some((Encoded::default(), sequence)),
                false => entries.values.keys().find(|(_, other)| *other == sequence).cloned(),
            };
            let Some(key) = key else { continue };
            let Some(value) = entries.values.remove(&key) else { continue };
            if let Some(arrivals) = entries.arrivals.get_mut([&*key.0, &*value].concat().as_slice()) {
                arrivals.retain(|other| *other != sequence);
            }
            self.count -= 1;
            self.bytes -= self.size(key.0.len(), value.len());
        }
        Ok(())
    }

    fn copy_rows(&self, group: u32, bytes: &mut Vec<u8>) {
        for ((order, sequence), value) in self.groups[group as usize].iter().flat_map(|entries| &entries.values) {
            bytes.extend_from_slice(&sequence.to_le_bytes());
            spill::put(bytes, order);
            spill::put(bytes, value);
        }
    }

    fn vacate(&mut self, group: u32) {
        let Some(entries) = self.groups[group as usize].take() else { return };
        self.bytes -= GROUP_BYTES;
        for ((order, _), value) in entries.values {
            self.count -= 1;
            self.bytes -= self.size(order.len(), value.len());
        }
    }

    fn put_rows_back(&mut self, group: u32, mut bytes: &[u8]) -> Option<()> {
        while let Some((sequence, rest)) = bytes.split_first_chunk::<8>() {
            bytes = rest;
            let order = spill::take(&mut bytes)?;
            let value = spill::take(&mut bytes)?;
            self.insert(group, order, u64::from_le_bytes(*sequence), value);
        }
        bytes.is_empty().then_some(())
    }
}

/// See the module.
pub struct ListAccumulator {
    function: AggregateFunction,
    data_type: DataType,
    delimiter: String,
    ignores_nulls: bool,
    store: EntryStore,
}

impl ListAccumulator {
    /// One for values of a type, ordered by columns (type, descending, NULLs first).
    ///
    /// # Errors
    /// A type that cannot be compared.
    pub fn new(
        aggregate: &StoredAggregate,
        argument: &DataType,
        order: &[(DataType, bool, bool)],
        retracting: bool,
    ) -> Result<Self> {
        Ok(Self {
            function: aggregate.function,
            data_type: aggregate.data_type.clone(),
            delimiter: aggregate.parameter.clone().unwrap_or_default(),
            ignores_nulls: aggregate.ignore_nulls || aggregate.function == AggregateFunction::StringAgg,
            store: EntryStore {
                data_type: argument.clone(),
                order_types: order.iter().map(|(data_type, ..)| data_type.clone()).collect(),
                value: Codec::new(std::slice::from_ref(argument))?,
                order: Codec::ordered(order.iter().cloned())?,
                retracting,
                groups: Vec::new(),
                changed: BTreeMap::new(),
                count: 0,
                bytes: 0,
            },
        })
    }

    /// The values of all groups one after the other, and where each group's end.
    fn all_values(&self, groups: &[u32]) -> Result<(ArrayRef, Vec<usize>)> {
        let mut lengths = Vec::with_capacity(groups.len());
        let mut values = Vec::new();
        for group in groups {
            let before = values.len();
            values.extend(self.store.values(*group));
            lengths.push(values.len() - before);
        }
        Ok((self.store.value.decode(values)?.remove(0), lengths))
    }

    fn arrays(&self, groups: &[u32]) -> Result<ArrayRef> {
        let DataType::List(field) = &self.data_type else {
            return Err(Error::internal(format!("ARRAY_AGG cannot be of type {}", self.data_type)));
        };
        let (values, lengths) = self.all_values(groups)?;
        let values = if values.data_type() == field.data_type() { values } else { cast(&values, field.data_type())? };
        let nulls: NullBuffer = lengths.iter().map(|length| *length > 0).collect();
        let offsets = OffsetBuffer::from_lengths(lengths);
        Ok(Arc::new(ListArray::try_new(Arc::clone(field), offsets, values, Some(nulls))?))
    }

    fn joined(&self, groups: &[u32]) -> Result<ArrayRef> {
        let (values, lengths) = self.all_values(groups)?;
        let values = cast(&values, &DataType::LargeUtf8)?;
        let values = values.as_string::<i64>();
        let mut builder = LargeStringBuilder::new();
        let (mut next, mut text) = (0, String::new());
        for length in lengths {
            if length == 0 {
                builder.append_null();
                continue;
            }
            text.clear();
            for row in next..next + length {
                if row > next {
                    text.push_str(&self.delimiter);
                }
                text.push_str(values.value(row));
            }
            next += length;
            builder.append_value(&text);
        }
        Ok(cast(&builder.finish(), &self.data_type)?)
    }
}

impl Accumulator for ListAccumulator {
    fn resize(&mut self, groups: usize) {
        self.store.groups.resize(groups, None);
    }

    fn accumulate(&mut self, columns: &[ArrayRef], grouped: &GroupedRows<'_>) -> Result<()> {
        let values = self.store.value.encode(&columns[..1])?;
        let orders = self.store.order.encode(&columns[1..])?;
        let nulls = if self.ignores_nulls { without_nulls(&columns[..1]) } else { None };
        grouped.each(nulls.as_ref(), |row, group, retracted| {
            let (group, order, value) = (group as u32, orders.row(row), values.row(row));
            if retracted {
                self.store.retract(group, order, value);
            } else {
                let sequence = grouped.sequence + row as u64;
                self.store.insert(group, order, sequence, value);
                self.store.changed.insert((group, sequence), order.into());
            }
        });
        Ok(())
    }

    fn evaluate(&self, groups: &[u32]) -> Result<ArrayRef> {
        match self.function {
            AggregateFunction::ArrayAgg => self.arrays(groups),
            AggregateFunction::StringAgg => self.joined(groups),
            function => {
                let last = function == AggregateFunction::LastValue;
                let values = groups.iter().map(|group| {
                    let mut values = self.store.values(*group);
                    if last { values.next_back() } else { values.next() }
                });
                Ok(self.store.value.decode_optional(values)?.remove(0))
            }
        }
    }

    fn reset(&mut self, group: u32) {
        self.store.reset(group);
    }

    fn stores(&mut self) -> Vec<&mut dyn ValueStore> {
        vec![&mut self.store]
    }

    fn values(&self) -> u64 {
        self.store.count
    }

    fn value_bytes(&self) -> usize {
        self.store.bytes
    }

    fn changed_value_bytes(&self) -> usize {
        let count = usize::try_from(self.store.count).unwrap_or(usize::MAX).max(1);
        self.store.changed.len() * (self.store.bytes / count + ENTRY_BYTES)
    }

    fn memory_bytes(&self) -> usize {
        let store = &self.store;
        store.bytes + store.changed.len() * ENTRY_BYTES + store.groups.capacity() * size_of::<Option<Box<Entries>>>()
    }
}
