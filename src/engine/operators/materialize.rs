//! Brings changes into the order of a sink whose key is another than the stream's (Flink's SinkUpsertMaterializer): of all rows
//! that are there for a sink key, the last to come stands; when it goes, the one before stands again.
//! A flush gives every touched key once, also if it is as before: a replay may pass over a row that the sink has had in between.

pub mod spec;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use datafusion::arrow::array::{ArrayRef, AsArray, BooleanArray, Int64Array, UInt8Array, UInt64Array, new_null_array};
use datafusion::arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, UInt64Type};
use datafusion::arrow::record_batch::RecordBatch;

use super::{Emitted, FLUSHED_KEYS_MAX, Operator, OperatorContext, SWEPT_KEYS_MAX, stored_columns};
use crate::changelog::{ChangeBatch, Changelog, RowKind};
use crate::clock::Clock;
use crate::connectors::ConnectorMetrics;
use crate::engine::key_group::key_groups;
use crate::engine::metrics::NodeMetrics;
use crate::engine::state::encoded::{Codec, Encoded};
use crate::engine::state::key_table::KeyTable;
use crate::engine::state::spill::{put, take};
use crate::engine::state::{ColdKey, Held, Spill, Spillable, Spilling, StateSize, TableDelta};
use crate::error::{Error, Result};

/// The live rows: key columns and arrival, then the other columns.
const ROWS: &str = "rows";
/// Versions and times of keys, if one of them is kept.
const KEYS: &str = "keys";

/// See the module.
pub struct Materialize {
    input: SchemaRef,
    schema: SchemaRef,
    key_columns: Vec<usize>,
    value_columns: Vec<usize>,
    key_codec: Codec,
    value_codec: Codec,
    keys: KeyTable,
    slots: Vec<Slot>,
    /// Keys touched since the last flush, in order.
    dirty: VecDeque<u32>,
    /// Keys touched since the last snapshot.
    changed: Vec<u32>,
    /// Rows changed since the last snapshot, and whether they are in a checkpoint.
    changed_rows: BTreeMap<(u32, u64), bool>,
    sequence: u64,
    /// Rows, on disk too.
    row_count: u64,
    /// Rows in memory, and their bytes.
    rows_in_memory: usize,
    row_bytes: usize,
    metrics: Arc<ConnectorMetrics>,
    sweep: usize,
    /// Whether no row is ever taken back: then only the last one of a key is kept.
    only_appends: bool,
    version: bool,
    state_ttl_ms: Option<u64>,
    clock: Arc<dyn Clock>,
    spill: Option<Spill>,
}

/// Bytes that a row takes beside its own: its place, its arrival, what the allocator rounds up.
const ROW_BYTES: usize = size_of::<(u64, Encoded)>() + 8;

/// Bytes of a row in the list of changed ones.
const CHANGED_ROW_BYTES: usize = 32;

/// Adds a row to those of its key. Most keys have one, for which a vector would take room for four.
fn insert_row(rows: &mut Vec<(u64, Encoded)>, place: usize, arrival: u64, row: &[u8]) {
    if rows.is_empty() {
        rows.reserve_exact(1);
    }
    rows.insert(place, (arrival, row.into()));
}

/// What is kept of a key.
#[derive(Default)]
struct Slot {
    /// Live rows with their arrival, oldest first.
    rows: Vec<(u64, Encoded)>,
    /// Input changes so far.
    version: i64,
    touched_ms: i64,
    /// Whether those behind have a row of the key.
    emitted: bool,
    dirty: bool,
    changed: bool,
    /// Whether it was touched since the search for cold keys came by.
    touched: bool,
}

/// Columns that come out for those of `input`: these, and the version if there is one.
pub(super) fn output_schema(input: &Schema, version: bool) -> SchemaRef {
    let mut fields: Vec<Field> =
        input.fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect();
    if version {
        fields.push(Field::new(format!("#{}", fields.len()), DataType::Int64, true));
    }
    Arc::new(Schema::new(fields))
}

impl Materialize {
    /// One for batches of `input` and a sink with these key columns. `version` appends an Int64 column that counts the input
    /// changes of a key, also over a delete; a key that no row touched for `state_ttl_ms` is forgotten.
    ///
    /// # Errors
    /// `input` has no such columns, or they cannot be compared.
    pub fn new(
        keys: &[usize],
        input_changelog: Changelog,
        version: bool,
        state_ttl_ms: Option<u64>,
        input: &SchemaRef,
        context: &OperatorContext<'_>,
    ) -> Result<Self> {
        Self::with_clock(keys, input_changelog, version, state_ttl_ms, input, Arc::clone(&context.clock))
    }

    /// As [`Self::new`].
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with_clock(
        keys: &[usize],
        input_changelog: Changelog,
        version: bool,
        state_ttl_ms: Option<u64>,
        input: &SchemaRef,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        if keys.is_empty() || keys.iter().any(|key| *key >= input.fields().len()) {
            return Err(Error::corrupt("a stored materialisation names keys that its input has not"));
        }
        let value_columns: Vec<usize> = (0..input.fields().len()).filter(|column| !keys.contains(column)).collect();
        let types = |columns: &[usize]| -> Vec<DataType> {
            columns.iter().map(|column| input.field(*column).data_type().clone()).collect()
        };
        Ok(Self {
            schema: output_schema(input, version),
            input: Arc::clone(input),
            key_columns: keys.to_vec(),
            key_codec: Codec::new(&types(keys))?,
            value_codec: Codec::new(&types(&value_columns))?,
            value_columns,
            keys: KeyTable::default(),
            slots: Vec::new(),
            dirty: VecDeque::new(),
            changed: Vec::new(),
            changed_rows: BTreeMap::new(),
            sequence: 0,
            row_count: 0,
            rows_in_memory: 0,
            row_bytes: 0,
            metrics: Arc::default(),
            sweep: 0,
            only_appends: input_changelog == Changelog::Append,
            version,
            state_ttl_ms,
            clock,
            spill: None,
        })
    }

    /// Lets cold keys go to disk when the job's state takes more than its budget.
    #[must_use]
    pub fn spilling_to(self, spill: Spill) -> Self {
        Self { spill: Some(spill), ..self }
    }

    /// Counts changes that take back a row which is not there.
    #[must_use]
    pub fn counting(self, metrics: &NodeMetrics) -> Self {
        Self { metrics: Arc::clone(&metrics.connector), ..self }
    }

    fn slot(&mut self, key: &[u8]) -> u32 {
        let (slot, _) = self.keys.intern(key);
        let slots = self.keys.slots();
        if self.slots.len() < slots {
            self.slots.resize_with(slots, Slot::default);
        }
        slot
    }

    fn touch(&mut self, number: u32, now_ms: i64) {
        let slot = &mut self.slots[number as usize];
        slot.touched_ms = now_ms;
        slot.touched = true;
        slot.version += 1;
        if !std::mem::replace(&mut slot.dirty, true) {
            self.dirty.push_back(number);
        }
        if !std::mem::replace(&mut slot.changed, true) {
            self.changed.push(number);
        }
    }

    fn count_added(&mut self, row: &[u8]) {
        self.row_count += 1;
        self.rows_in_memory += 1;
        self.row_bytes += row.len();
    }

    fn count_removed(&mut self, row: &[u8]) {
        self.row_count -= 1;
        self.rows_in_memory -= 1;
        self.row_bytes -= row.len();
    }

    fn note_removed(&mut self, slot: u32, sequence: u64, row: &[u8]) {
        self.count_removed(row);
        // A row that was never stored leaves nothing to delete.
        match self.changed_rows.get(&(slot, sequence)) {
            Some(false) => {
                self.changed_rows.remove(&(slot, sequence));
            }
            _ => {
                self.changed_rows.insert((slot, sequence), true);
            }
        }
    }

    fn expires(&self, slot: &Slot, now_ms: i64) -> bool {
        self.state_ttl_ms.is_some_and(|ttl_ms| {
            !slot.dirty && now_ms.saturating_sub(slot.touched_ms) >= i64::try_from(ttl_ms).unwrap_or(i64::MAX)
        })
    }

    /// Forgets a key without a word to those behind.
    fn forget(&mut self, number: u32) {
        let slot = &mut self.slots[number as usize];
        let rows = std::mem::take(&mut slot.rows);
        (slot.version, slot.emitted) = (0, false);
        if !std::mem::replace(&mut slot.changed, true) {
            self.changed.push(number);
        }
        for (sequence, row) in rows {
            self.note_removed(number, sequence, &row);
        }
    }

    /// Whether nothing of a key is worth keeping.
    fn is_over(&self, slot: &Slot) -> bool {
        slot.rows.is_empty() && !(self.version && slot.version > 0)
    }

    fn now_ms(&self) -> i64 {
        if self.state_ttl_ms.is_some() { self.clock.now_ms() } else { 0 }
    }

    fn sweep(&mut self) -> Result<()> {
        let Some(ttl_ms) = self.state_ttl_ms else { return Ok(()) };
        let now_ms = self.clock.now_ms();
        let slots = self.keys.slots();
        for _ in 0..slots.min(SWEPT_KEYS_MAX) {
            self.sweep = if self.sweep >= slots { 0 } else { self.sweep };
            let slot = self.sweep as u32;
            if self.keys.contains(slot) && self.expires(&self.slots[self.sweep], now_ms) {
                self.forget(slot);
            }
            self.sweep += 1;
        }
        let before_ms = now_ms.saturating_sub(i64::try_from(ttl_ms).unwrap_or(i64::MAX));
        let expired = self.with_spill(|spill, state| spill.expired(state, before_ms))?;
        expired.into_iter().for_each(|slot| self.forget(slot));
        Ok(())
    }

    fn keeps_keys(&self) -> bool {
        self.version || self.state_ttl_ms.is_some()
    }

    fn table_schema(&self, table: &str) -> Result<Schema> {
        let mut fields =
            vec![Field::new("key_group", DataType::UInt8, false), Field::new("deleted", DataType::Boolean, false)];
        let column =
            |index: &usize| Field::new(format!("column-{index}"), self.input.field(*index).data_type().clone(), true);
        fields.extend(self.key_columns.iter().map(column));
        match table {
            ROWS => {
                fields.push(Field::new("arrival", DataType::UInt64, true));
                fields.extend(self.value_columns.iter().map(column));
            }
            KEYS if self.keeps_keys() => {
                fields.push(Field::new("version", DataType::Int64, true));
                fields.push(Field::new("touched_ms", DataType::Int64, true));
            }
            _ => {
                return Err(Error::corrupt(format!(
                    "the checkpoint has state \"{table}\", which a materialisation does not keep"
                )));
            }
        }
        Ok(Schema::new(fields))
    }

    fn delta(&self, table: &str, slots: &[u32], deleted: BooleanArray, columns: Vec<ArrayRef>) -> Result<TableDelta> {
        let keys = self.key_codec.decode(slots.iter().map(|slot| self.keys.key(*slot)))?;
        let mut all: Vec<ArrayRef> =
            vec![Arc::new(UInt8Array::from(key_groups(&keys, slots.len())?)), Arc::new(deleted)];
        all.extend(keys);
        all.extend(columns);
        let rows = RecordBatch::try_new(Arc::new(self.table_schema(table)?), all)?;
        let key_columns = self.key_columns.len() + usize::from(table == ROWS);
        Ok(TableDelta { table: table.to_owned(), key_columns, rows })
    }
}

#[async_trait]
impl Operator for Materialize {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn holds_back(&self) -> bool {
        true
    }

    async fn process(&mut self, _input: usize, batch: ChangeBatch) -> Result<Emitted> {
        let columns = |columns: &[usize]| -> Vec<ArrayRef> {
            columns.iter().map(|column| Arc::clone(batch.rows().column(*column))).collect()
        };
        let keys = self.key_codec.encode(&columns(&self.key_columns))?;
        let values = self.value_codec.encode(&columns(&self.value_columns))?;
        self.revive(batch.len(), &keys)?;
        let now_ms = self.now_ms();
        for row in 0..batch.len() {
            let value = values.row(row);
            if batch.kind(row).is_retraction() {
                let found = self.keys.find(keys.row(row)).and_then(|slot| {
                    let kept = &self.slots[slot as usize];
                    if self.expires(kept, now_ms) {
                        return None;
                    }
                    Some((slot, kept.rows.iter().position(|(_, other)| **other == *value)?))
                });
                let Some((slot, place)) = found else {
                    if self.metrics.unmatched.fetch_add(1, Ordering::Relaxed) == 0 {
                        tracing::warn!("{}", super::UNKNOWN_RETRACTION);
                    }
                    continue;
                };
                let (sequence, removed) = self.slots[slot as usize].rows.remove(place);
                self.note_removed(slot, sequence, &removed);
                self.touch(slot, now_ms);
            } else {
                let slot = self.slot(keys.row(row));
                let kept = &self.slots[slot as usize];
                if !kept.rows.is_empty() || kept.version > 0 {
                    let expired = self.expires(kept, now_ms);
                    if expired {
                        self.forget(slot);
                    }
                }
                if self.only_appends {
                    for (sequence, row) in std::mem::take(&mut self.slots[slot as usize].rows) {
                        self.note_removed(slot, sequence, &row);
                    }
                }
                let rows = &mut self.slots[slot as usize].rows;
                insert_row(rows, rows.len(), self.sequence, value);
                self.changed_rows.insert((slot, self.sequence), false);
                self.sequence += 1;
                self.count_added(value);
                self.touch(slot, now_ms);
            }
        }
        self.make_room(false)?;
        Ok(Emitted::nothing(&self.schema))
    }

    fn flush(&mut self) -> Result<Option<ChangeBatch>> {
        if self.dirty.is_empty() {
            return Ok(None);
        }
        let part: Vec<u32> = self.dirty.drain(..self.dirty.len().min(FLUSHED_KEYS_MAX)).collect();
        let slots = || part.iter().map(|slot| &self.slots[*slot as usize]);
        let kinds: Arc<[RowKind]> = slots()
            .map(|slot| match (slot.rows.is_empty(), slot.emitted) {
                (true, _) => RowKind::Delete,
                (false, true) => RowKind::UpdateAfter,
                (false, false) => RowKind::Insert,
            })
            .collect();
        let keys = self.key_codec.decode(part.iter().map(|slot| self.keys.key(*slot)))?;
        let last = |slot: &'_ Slot| slot.rows.last().map(|(_, row)| row.clone());
        let lasts: Vec<Option<Encoded>> = slots().map(last).collect();
        let values = self.value_codec.decode_optional(lasts.iter().map(Option::as_deref))?;
        let mut columns: Vec<ArrayRef> =
            self.schema.fields().iter().map(|field| new_null_array(field.data_type(), 0)).collect();
        for (place, column) in self.key_columns.iter().chain(&self.value_columns).zip(keys.into_iter().chain(values)) {
            columns[*place] = column;
        }
        if self.version
            && let Some(column) = columns.last_mut()
        {
            *column = Arc::new(Int64Array::from_iter_values(slots().map(|slot| slot.version)));
        }
        let rows = RecordBatch::try_new(Arc::clone(&self.schema), columns)?;
        for slot in part {
            let slot = &mut self.slots[slot as usize];
            (slot.dirty, slot.emitted) = (false, !slot.rows.is_empty());
        }
        if self.dirty.is_empty() {
            self.make_room(false)?;
        }
        Ok(Some(ChangeBatch::changes(rows, kinds)))
    }

    fn snapshot(&mut self) -> Result<Vec<TableDelta>> {
        if !self.dirty.is_empty() {
            return Err(Error::internal("a materialisation was asked for its state before it was flushed"));
        }
        self.sweep()?;
        let mut deltas = Vec::new();
        let changed_rows = std::mem::take(&mut self.changed_rows);
        if !changed_rows.is_empty() {
            let row = |(slot, sequence): &(u32, u64)| {
                let rows = &self.slots[*slot as usize].rows;
                rows.binary_search_by_key(sequence, |(other, _)| *other).ok().map(|place| &*rows[place].1)
            };
            let rows: Vec<Option<&[u8]>> = changed_rows.keys().map(row).collect();
            let slots: Vec<u32> = changed_rows.keys().map(|(slot, _)| *slot).collect();
            let deleted = rows.iter().map(|row| Some(row.is_none())).collect();
            let arrivals = UInt64Array::from_iter_values(changed_rows.keys().map(|(_, sequence)| *sequence));
            let mut columns: Vec<ArrayRef> = vec![Arc::new(arrivals)];
            columns.extend(self.value_codec.decode_optional(rows.into_iter())?);
            deltas.push(self.delta(ROWS, &slots, deleted, columns)?);
        }
        let changed = std::mem::take(&mut self.changed);
        if self.keeps_keys() && !changed.is_empty() {
            let over = |slot: &u32| self.is_over(&self.slots[*slot as usize]);
            let of = |value: fn(&Slot) -> i64| -> ArrayRef {
                let value = |slot: &u32| (!over(slot)).then(|| value(&self.slots[*slot as usize]));
                Arc::new(changed.iter().map(value).collect::<Int64Array>())
            };
            let columns = vec![of(|slot| slot.version), of(|slot| slot.touched_ms)];
            let deleted = changed.iter().map(|slot| Some(over(slot))).collect();
            deltas.push(self.delta(KEYS, &changed, deleted, columns)?);
        }
        for slot in changed {
            self.slots[slot as usize].changed = false;
            if self.is_over(&self.slots[slot as usize]) {
                if let Some(spill) = &mut self.spill {
                    spill.forget(self.keys.key(slot));
                }
                self.slots[slot as usize] = Slot::default();
                self.keys.remove(slot);
            }
        }
        self.make_room(true)?;
        Ok(deltas)
    }

    fn restore(&mut self, table: &str, rows: &RecordBatch) -> Result<()> {
        let stored = stored_columns(table, rows, &self.table_schema(table)?)?;
        let (key_columns, rest) = stored.split_at(self.key_columns.len());
        let keys = self.key_codec.encode(key_columns)?;
        self.revive(rows.num_rows(), &keys)?;
        let deleted = rows.column(1).as_boolean();
        let values = if table == ROWS { Some(self.value_codec.encode(&rest[1..])?) } else { None };
        for row in 0..rows.num_rows() {
            let slot = match deleted.value(row) {
                false => Some(self.slot(keys.row(row))),
                true => self.keys.find(keys.row(row)),
            };
            let Some(number) = slot else { continue };
            let mut slot = std::mem::take(&mut self.slots[number as usize]);
            if let Some(values) = &values {
                let arrival = rest[0].as_primitive::<UInt64Type>().value(row);
                let place = slot.rows.binary_search_by_key(&arrival, |(other, _)| *other);
                match (place, deleted.value(row)) {
                    (Ok(place), true) => {
                        let (_, removed) = slot.rows.remove(place);
                        self.count_removed(&removed);
                    }
                    (Err(place), false) => {
                        insert_row(&mut slot.rows, place, arrival, values.row(row));
                        self.count_added(values.row(row));
                    }
                    _ => {}
                }
                slot.emitted = !slot.rows.is_empty();
                self.sequence = self.sequence.max(arrival + 1);
            } else if deleted.value(row) {
                (slot.version, slot.touched_ms) = (0, 0);
            } else {
                slot.version = rest[0].as_primitive::<Int64Type>().value(row);
                slot.touched_ms = rest[1].as_primitive::<Int64Type>().value(row);
            }
            // Tables may come in any order, so that a key without anything goes at the next snapshot only.
            if deleted.value(row) && self.is_over(&slot) && !std::mem::replace(&mut slot.changed, true) {
                self.changed.push(number);
            }
            self.slots[number as usize] = slot;
        }
        self.make_room(true)
    }

    fn state_size(&self) -> StateSize {
        let spilled = self.spill.as_ref();
        StateSize {
            keys: self.row_count.max(self.keys.len() as u64 + spilled.map_or(0, Spill::keys)),
            memory_bytes: spilled.map_or_else(|| self.held().bytes, Spill::memory_bytes),
            spilled_bytes: spilled.map_or(0, Spill::disk_bytes),
        }
    }
}

impl Spilling for Materialize {
    fn spill(&mut self) -> &mut Option<Spill> {
        &mut self.spill
    }
}

impl Spillable for Materialize {
    fn keys(&self) -> &KeyTable {
        &self.keys
    }

    fn held(&self) -> Held {
        let (keys, slots) = (self.keys.len(), self.keys.slots().max(1));
        let fixed = (self.keys.memory_bytes() + self.slots.capacity() * size_of::<Slot>()) * keys / slots;
        let rows = self.row_bytes + self.rows_in_memory * ROW_BYTES;
        let changed_rows = self.changed_rows.len() * CHANGED_ROW_BYTES;
        let row_bytes = rows / self.rows_in_memory.max(1);
        Held {
            bytes: (fixed + rows + changed_rows) as u64,
            unsaved_bytes: (fixed * self.changed.len() / keys.max(1)
                + self.changed_rows.len() * row_bytes
                + changed_rows) as u64,
            unsaved_keys: self.changed.len(),
        }
    }

    fn is_cold(&mut self, slot: u32) -> bool {
        let slot = &mut self.slots[slot as usize];
        !slot.dirty && !slot.changed && !std::mem::take(&mut slot.touched)
    }

    fn touched_ms(&self, slot: u32) -> i64 {
        self.slots[slot as usize].touched_ms
    }

    fn copy(&mut self, slots: &[u32], rows: &mut [Vec<u8>]) -> Result<()> {
        for (slot, bytes) in slots.iter().zip(rows) {
            let slot = &self.slots[*slot as usize];
            bytes.extend_from_slice(&slot.version.to_le_bytes());
            for (sequence, row) in &slot.rows {
                bytes.extend_from_slice(&sequence.to_le_bytes());
                put(bytes, row);
            }
        }
        Ok(())
    }

    fn vacate(&mut self, slots: &[u32]) {
        for slot in slots {
            for (_, row) in std::mem::take(&mut self.slots[*slot as usize]).rows {
                self.rows_in_memory -= 1;
                self.row_bytes -= row.len();
            }
            self.keys.remove(*slot);
        }
    }

    fn put_back(&mut self, keys: &[ColdKey<'_>]) -> Result<Vec<u32>> {
        let damaged = || Error::internal("rows of a key that were spilled to disk cannot be read");
        let mut slots = Vec::with_capacity(keys.len());
        for cold in keys {
            let (version, mut rest) = cold.state.split_first_chunk::<8>().ok_or_else(damaged)?;
            let mut slot =
                Slot { version: i64::from_le_bytes(*version), touched_ms: cold.touched_ms, ..Slot::default() };
            while let Some((sequence, row)) = rest.split_first_chunk::<8>() {
                rest = row;
                let row = take(&mut rest).ok_or_else(damaged)?;
                let place = slot.rows.len();
                insert_row(&mut slot.rows, place, u64::from_le_bytes(*sequence), row);
                self.rows_in_memory += 1;
                self.row_bytes += row.len();
            }
            slot.emitted = !slot.rows.is_empty();
            let number = self.slot(cold.key);
            self.slots[number as usize] = slot;
            slots.push(number);
        }
        Ok(slots)
    }
}

#[cfg(test)]
mod tests;
