//! Makes full changes of upserts: the row before is added, and a deleted row, of which only the key came, is completed.
//! Keeps the last row of each key. Every input row gives its changes at once, so that a replay gives the same ones.

pub mod spec;

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::{ArrayRef, AsArray, BooleanArray, Int64Array, UInt8Array};
use datafusion::arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use datafusion::arrow::record_batch::RecordBatch;

use super::{Emitted, Operator, OperatorContext, SWEPT_KEYS_MAX, stored_columns};
use crate::changelog::{ChangeBatch, RowKind};
use crate::clock::Clock;
use crate::engine::key_group::key_groups;
use crate::engine::state::encoded::{Codec, Encoded, EncodedRows};
use crate::engine::state::key_table::KeyTable;
use crate::engine::state::{ColdKey, Held, Spill, Spillable, Spilling, StateSize, TableDelta};
use crate::error::{Error, Result};

/// Name of the one table of state.
const TABLE: &str = "rows";

/// See the module.
pub struct ChangelogNormalize {
    schema: SchemaRef,
    key_columns: Vec<usize>,
    value_columns: Vec<usize>,
    key_codec: Codec,
    value_codec: Codec,
    keys: KeyTable,
    /// The columns beside the key of each key's row; `None` when it was deleted since the last snapshot.
    rows: Vec<Option<Encoded>>,
    touched_ms: Vec<i64>,
    /// Which keys are in `changed`.
    is_changed: Vec<bool>,
    /// Which keys were touched since the search for cold ones came by.
    is_touched: Vec<bool>,
    /// Keys changed since the last snapshot.
    changed: Vec<u32>,
    row_bytes: usize,
    sweep: usize,
    state_ttl_ms: Option<u64>,
    clock: Arc<dyn Clock>,
    spill: Option<Spill>,
}

/// Bytes that the allocator rounds a row up by, about.
const ROW_BYTES: usize = 8;

impl ChangelogNormalize {
    /// One for batches of `input` with these key columns; a key that no row touched for `state_ttl_ms` is forgotten.
    ///
    /// # Errors
    /// `input` has no such columns, or they cannot be compared.
    pub fn new(
        keys: &[usize],
        state_ttl_ms: Option<u64>,
        input: &SchemaRef,
        context: &OperatorContext<'_>,
    ) -> Result<Self> {
        Self::with_clock(keys, state_ttl_ms, input, Arc::clone(&context.clock))
    }

    /// As [`Self::new`].
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with_clock(
        keys: &[usize],
        state_ttl_ms: Option<u64>,
        input: &SchemaRef,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        if keys.is_empty() || keys.iter().any(|key| *key >= input.fields().len()) {
            return Err(Error::corrupt("a stored normalisation names keys that its input has not"));
        }
        let value_columns: Vec<usize> = (0..input.fields().len()).filter(|column| !keys.contains(column)).collect();
        let types = |columns: &[usize]| -> Vec<DataType> {
            columns.iter().map(|column| input.field(*column).data_type().clone()).collect()
        };
        Ok(Self {
            schema: Arc::clone(input),
            key_columns: keys.to_vec(),
            key_codec: Codec::new(&types(keys))?,
            value_codec: Codec::new(&types(&value_columns))?,
            value_columns,
            keys: KeyTable::default(),
            rows: Vec::new(),
            touched_ms: Vec::new(),
            is_changed: Vec::new(),
            is_touched: Vec::new(),
            changed: Vec::new(),
            row_bytes: 0,
            sweep: 0,
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

    fn slot(&mut self, key: &[u8]) -> u32 {
        let (slot, _) = self.keys.intern(key);
        let slots = self.keys.slots();
        if self.rows.len() < slots {
            self.rows.resize(slots, None);
            self.touched_ms.resize(slots, 0);
            self.is_changed.resize(slots, false);
            self.is_touched.resize(slots, false);
        }
        slot
    }

    fn set(&mut self, slot: u32, row: Option<Encoded>) -> Option<Encoded> {
        self.row_bytes += row.as_ref().map_or(0, |row| row.len());
        let old = std::mem::replace(&mut self.rows[slot as usize], row);
        self.row_bytes -= old.as_ref().map_or(0, |row| row.len());
        old
    }

    /// A key is gone for good.
    fn remove(&mut self, slot: u32) {
        if let Some(spill) = &mut self.spill {
            spill.forget(self.keys.key(slot));
        }
        self.keys.remove(slot);
    }

    fn touch(&mut self, slot: u32, now_ms: i64) {
        self.touched_ms[slot as usize] = now_ms;
        self.is_touched[slot as usize] = true;
        if !std::mem::replace(&mut self.is_changed[slot as usize], true) {
            self.changed.push(slot);
        }
    }

    fn expires(&self, slot: u32, now_ms: i64) -> bool {
        self.state_ttl_ms.is_some_and(|ttl_ms| {
            self.rows[slot as usize].is_some()
                && now_ms.saturating_sub(self.touched_ms[slot as usize]) >= i64::try_from(ttl_ms).unwrap_or(i64::MAX)
        })
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
            if self.keys.contains(slot) && self.expires(slot, now_ms) {
                self.set(slot, None);
                self.touch(slot, now_ms);
            }
            self.sweep += 1;
        }
        let before_ms = now_ms.saturating_sub(i64::try_from(ttl_ms).unwrap_or(i64::MAX));
        for slot in self.with_spill(|spill, state| spill.expired(state, before_ms))? {
            self.set(slot, None);
            self.touch(slot, now_ms);
        }
        Ok(())
    }

    /// The columns of rows: keys and what stands beside them.
    fn assemble(&self, keys: Vec<ArrayRef>, values: Vec<ArrayRef>) -> Result<RecordBatch> {
        let mut columns: Vec<Option<ArrayRef>> = vec![None; self.schema.fields().len()];
        let places = self.key_columns.iter().chain(&self.value_columns);
        for (place, column) in places.zip(keys.into_iter().chain(values)) {
            columns[*place] = Some(column);
        }
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns.into_iter().flatten().collect())?)
    }

    fn table_schema(&self) -> Schema {
        let mut fields =
            vec![Field::new("key_group", DataType::UInt8, false), Field::new("deleted", DataType::Boolean, false)];
        for column in self.key_columns.iter().chain(&self.value_columns) {
            fields.push(Field::new(format!("column-{column}"), self.schema.field(*column).data_type().clone(), true));
        }
        if self.state_ttl_ms.is_some() {
            fields.push(Field::new("touched_ms", DataType::Int64, true));
        }
        Schema::new(fields)
    }
}

/// Where an output row stands.
enum Source {
    New(usize),
    Old(Encoded),
}

fn columns_of(batch: &RecordBatch, columns: &[usize]) -> Vec<ArrayRef> {
    columns.iter().map(|column| Arc::clone(batch.column(*column))).collect()
}

#[async_trait]
impl Operator for ChangelogNormalize {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    async fn process(&mut self, _input: usize, batch: ChangeBatch) -> Result<Emitted> {
        // Both can fail only before anything is changed.
        let keys: EncodedRows = self.key_codec.encode(&columns_of(batch.rows(), &self.key_columns))?;
        let values: EncodedRows = self.value_codec.encode(&columns_of(batch.rows(), &self.value_columns))?;
        self.revive(batch.len(), &keys)?;
        let now_ms = self.now_ms();
        let mut out: Vec<(usize, Source, RowKind)> = Vec::with_capacity(batch.len());
        for row in 0..batch.len() {
            let kind = batch.kind(row);
            // An upsert stream has none; if one comes, the new row behind it says the same.
            if kind == RowKind::UpdateBefore {
                continue;
            }
            if kind == RowKind::Delete {
                let Some(slot) = self.keys.find(keys.row(row)) else { continue };
                let expired = self.expires(slot, now_ms);
                if let Some(old) = self.set(slot, None) {
                    self.touch(slot, now_ms);
                    if !expired {
                        out.push((row, Source::Old(old), RowKind::Delete));
                    }
                }
                continue;
            }
            let slot = self.slot(keys.row(row));
            if self.expires(slot, now_ms) {
                self.set(slot, None);
            }
            let new = values.row(row);
            if self.rows[slot as usize].as_deref() == Some(new) {
                if self.state_ttl_ms.is_some() {
                    self.touch(slot, now_ms);
                }
                continue;
            }
            self.touch(slot, now_ms);
            match self.set(slot, Some(new.into())) {
                None => out.push((row, Source::New(row), RowKind::Insert)),
                Some(old) => {
                    out.push((row, Source::Old(old), RowKind::UpdateBefore));
                    out.push((row, Source::New(row), RowKind::UpdateAfter));
                }
            }
        }
        self.make_room(false)?;
        if out.is_empty() {
            return Ok(Emitted::nothing(&self.schema));
        }
        let rows = self.assemble(
            self.key_codec.decode(out.iter().map(|(row, ..)| keys.row(*row)))?,
            self.value_codec.decode(out.iter().map(|(_, source, _)| match source {
                Source::New(row) => values.row(*row),
                Source::Old(old) => old,
            }))?,
        )?;
        if out.iter().all(|(.., kind)| *kind == RowKind::Insert) {
            return Ok(ChangeBatch::inserts(rows).into());
        }
        Ok(ChangeBatch::changes(rows, out.iter().map(|(.., kind)| *kind).collect()).into())
    }

    fn snapshot(&mut self) -> Result<Vec<TableDelta>> {
        self.sweep()?;
        let changed = std::mem::take(&mut self.changed);
        if changed.is_empty() {
            self.make_room(true)?;
            return Ok(Vec::new());
        }
        let keys = self.key_codec.decode(changed.iter().map(|slot| self.keys.key(*slot)))?;
        let rows = || changed.iter().map(|slot| self.rows[*slot as usize].as_deref());
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(UInt8Array::from(key_groups(&keys, changed.len())?)),
            Arc::new(BooleanArray::from_iter(rows().map(|row| Some(row.is_none())))),
        ];
        columns.extend(keys);
        columns.extend(self.value_codec.decode_optional(rows())?);
        if self.state_ttl_ms.is_some() {
            let touched =
                changed.iter().map(|slot| self.rows[*slot as usize].as_ref().map(|_| self.touched_ms[*slot as usize]));
            columns.push(Arc::new(touched.collect::<Int64Array>()));
        }
        let rows = RecordBatch::try_new(Arc::new(self.table_schema()), columns)?;
        for slot in changed {
            self.is_changed[slot as usize] = false;
            if self.rows[slot as usize].is_none() {
                self.remove(slot);
            }
        }
        self.make_room(true)?;
        Ok(vec![TableDelta { table: TABLE.to_owned(), key_columns: self.key_columns.len(), rows }])
    }

    fn restore(&mut self, table: &str, rows: &RecordBatch) -> Result<()> {
        if table != TABLE {
            return Err(Error::corrupt(format!(
                "the checkpoint has state \"{table}\", which a normalisation does not keep"
            )));
        }
        let stored = stored_columns(table, rows, &self.table_schema())?;
        let (key_columns, rest) = stored.split_at(self.key_columns.len());
        let (value_columns, touched) = rest.split_at(self.value_columns.len());
        let keys = self.key_codec.encode(key_columns)?;
        let values = self.value_codec.encode(value_columns)?;
        self.revive(rows.num_rows(), &keys)?;
        let deleted = rows.column(1).as_boolean();
        for row in 0..rows.num_rows() {
            if deleted.value(row) {
                if let Some(slot) = self.keys.find(keys.row(row)) {
                    self.set(slot, None);
                    self.remove(slot);
                }
                continue;
            }
            let slot = self.slot(keys.row(row));
            self.set(slot, Some(values.row(row).into()));
            if let Some(touched) = touched.first() {
                self.touched_ms[slot as usize] = touched.as_primitive::<Int64Type>().value(row);
            }
        }
        self.make_room(true)
    }

    fn state_size(&self) -> StateSize {
        let spilled = self.spill.as_ref();
        StateSize {
            keys: self.keys.len() as u64 + spilled.map_or(0, Spill::keys),
            memory_bytes: spilled.map_or_else(|| self.held().bytes, Spill::memory_bytes),
            spilled_bytes: spilled.map_or(0, Spill::disk_bytes),
        }
    }
}

impl Spilling for ChangelogNormalize {
    fn spill(&mut self) -> &mut Option<Spill> {
        &mut self.spill
    }
}

impl Spillable for ChangelogNormalize {
    fn keys(&self) -> &KeyTable {
        &self.keys
    }

    fn held(&self) -> Held {
        let (keys, slots) = (self.keys.len(), self.keys.slots().max(1));
        let columns = self.rows.capacity() * size_of::<Option<Encoded>>()
            + self.touched_ms.capacity() * size_of::<i64>()
            + self.is_changed.capacity()
            + self.is_touched.capacity();
        let bytes = (self.keys.memory_bytes() + columns) * keys / slots + self.row_bytes + keys * ROW_BYTES;
        Held {
            bytes: bytes as u64,
            unsaved_bytes: (bytes * self.changed.len() / keys.max(1)) as u64,
            unsaved_keys: self.changed.len(),
        }
    }

    fn is_cold(&mut self, slot: u32) -> bool {
        let was_touched = std::mem::take(&mut self.is_touched[slot as usize]);
        !self.is_changed[slot as usize] && !was_touched
    }

    fn touched_ms(&self, slot: u32) -> i64 {
        self.touched_ms[slot as usize]
    }

    fn copy(&mut self, slots: &[u32], rows: &mut [Vec<u8>]) -> Result<()> {
        for (slot, bytes) in slots.iter().zip(rows) {
            bytes.extend_from_slice(self.rows[*slot as usize].as_deref().unwrap_or_default());
        }
        Ok(())
    }

    fn vacate(&mut self, slots: &[u32]) {
        for slot in slots {
            self.set(*slot, None);
            self.keys.remove(*slot);
        }
    }

    fn put_back(&mut self, keys: &[ColdKey<'_>]) -> Result<Vec<u32>> {
        let mut slots = Vec::with_capacity(keys.len());
        for cold in keys {
            let slot = self.slot(cold.key);
            self.set(slot, Some(cold.state.into()));
            self.touched_ms[slot as usize] = cold.touched_ms;
            slots.push(slot);
        }
        Ok(slots)
    }
}

#[cfg(test)]
mod tests;
