//! Brings changes into the order of a sink whose key is another than the stream's (Flink's SinkUpsertMaterializer): of all rows
//! that are there for a sink key, the last to come stands; when it goes, the one before stands again.
//! A flush gives every touched key once, also if it is as before: a replay may pass over a row that the sink has had in between.

pub mod spec;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use datafusion::arrow::array::{ArrayRef, AsArray, Int64Array, new_null_array};
use datafusion::arrow::compute::max;
use datafusion::arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, UInt64Type};
use datafusion::arrow::record_batch::RecordBatch;

use super::{Emitted, FLUSHED_KEYS_MAX, Operator, OperatorContext};
use crate::changelog::{ChangeBatch, Changelog, RowKind};
use crate::clock::Clock;
use crate::connectors::ConnectorMetrics;
use crate::engine::metrics::NodeMetrics;
use crate::engine::state::encoded::Codec;
use crate::engine::state::{
    KeyedState, KeyedTable, Layout, PartCodec, RowMap, RowStore, Sequence, Spill, StateBytes, StateSize, TableDelta,
    column,
};
use crate::error::{Error, Result};

/// The live rows: key columns and arrival, then the other columns.
const ROWS: &str = "rows";
/// Versions and times of keys, if one of them is kept.
const KEYS: &str = "keys";

/// See the module.
pub struct SinkMaterializer {
    schema: SchemaRef,
    key_columns: Vec<usize>,
    value_columns: Vec<usize>,
    table: KeyedTable<LiveRows>,
    /// Arrival of the next row.
    sequence: u64,
    metrics: Arc<ConnectorMetrics>,
    /// Whether no row is ever taken back: then only the last one of a key is kept.
    only_appends: bool,
    version: bool,
}

/// What is kept of keys.
struct LiveRows {
    /// The live rows of each key by their arrival.
    rows: RowMap<Sequence, Codec>,
    /// Input changes of each key so far; only where keys have a row of their own in the checkpoint.
    versions: Vec<i64>,
    /// Whether the operators downstream have a row of the key.
    emitted: Vec<bool>,
    /// Whether a key stays when its rows are gone, because of its version.
    keeps_version: bool,
    /// Whether keys have that row, for a version or for the time of the last touch.
    keeps_keys: bool,
}

impl LiveRows {
    fn count_change(&mut self, slot: u32) {
        if self.keeps_keys {
            self.versions[slot as usize] += 1;
        }
    }
}

impl KeyedState for LiveRows {
    fn resize(&mut self, slots: usize) {
        self.rows.resize(slots);
        if self.keeps_keys {
            self.versions.resize(slots, 0);
        }
        self.emitted.resize(slots, false);
    }

    fn is_kept(&self, slot: u32) -> bool {
        !self.rows.is_empty(slot) || self.keeps_version && self.versions[slot as usize] > 0
    }

    fn reset(&mut self, slot: u32) {
        self.rows.clear(slot);
        self.unset(slot);
        self.emitted[slot as usize] = false;
    }

    fn bytes(&self) -> StateBytes {
        let rows = self.rows.bytes();
        let own = self.versions.capacity() * size_of::<i64>() + self.emitted.capacity();
        StateBytes { columns: rows.columns + own, ..rows }
    }

    fn settle(&mut self, slot: u32) {
        self.emitted[slot as usize] = !self.rows.is_empty(slot);
    }

    fn columns(&self, slots: &[u32]) -> Result<Vec<ArrayRef>> {
        let versions = slots.iter().map(|slot| self.versions[*slot as usize]);
        Ok(vec![Arc::new(Int64Array::from_iter_values(versions))])
    }

    fn set_columns(&mut self, slots: &[u32], columns: &[ArrayRef]) -> Result<()> {
        for (slot, version) in slots.iter().zip(columns[0].as_primitive::<Int64Type>().values()) {
            self.versions[*slot as usize] = *version;
        }
        Ok(())
    }

    fn unset(&mut self, slot: u32) {
        if self.keeps_keys {
            self.versions[slot as usize] = 0;
        }
    }

    fn copy(&self, slots: &[u32], rows: &mut [Vec<u8>]) -> Result<()> {
        for (slot, row) in slots.iter().zip(rows).filter(|_| self.keeps_keys) {
            row.extend_from_slice(&self.versions[*slot as usize].to_le_bytes());
        }
        Ok(())
    }

    fn put_back(&mut self, slots: &[u32], rows: &mut [&[u8]]) -> Result<Option<()>> {
        for (slot, row) in slots.iter().zip(rows).filter(|_| self.keeps_keys) {
            let Some((version, rest)) = row.split_first_chunk::<8>() else { return Ok(None) };
            self.versions[*slot as usize] = i64::from_le_bytes(*version);
            *row = rest;
        }
        Ok(Some(()))
    }

    fn stores(&mut self) -> Vec<&mut dyn RowStore> {
        self.rows.stores()
    }
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

impl SinkMaterializer {
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
            return Err(Error::corrupt("a stored materialisation refers to missing key columns of its input"));
        }
        let value_columns: Vec<usize> = (0..input.fields().len()).filter(|column| !keys.contains(column)).collect();
        let fields = |columns: &[usize]| -> Vec<Field> {
            columns.iter().map(|index| column(format!("column-{index}"), input.field(*index).data_type())).collect()
        };
        let values = fields(&value_columns);
        let types: Vec<DataType> = values.iter().map(|field| field.data_type().clone()).collect();
        let mut layout = Layout::new("a materialisation", fields(keys)).with_store(
            ROWS,
            &[column("arrival", &DataType::UInt64)],
            &values,
        );
        let keeps_keys = version || state_ttl_ms.is_some();
        if keeps_keys {
            layout = layout.with_row(KEYS, vec![column("version", &DataType::Int64)], Some(1));
        }
        let state = LiveRows {
            rows: RowMap::new(Sequence, Codec::new(&types)?),
            versions: Vec::new(),
            emitted: Vec::new(),
            keeps_version: version,
            keeps_keys,
        };
        Ok(Self {
            schema: output_schema(input, version),
            key_columns: keys.to_vec(),
            value_columns,
            table: KeyedTable::new(layout, state, state_ttl_ms, clock)?,
            sequence: 0,
            metrics: Arc::default(),
            only_appends: input_changelog == Changelog::Append,
            version,
        })
    }

    /// Lets cold keys go to disk when the job's state takes more than its budget.
    #[must_use]
    pub fn spilling_to(self, spill: Spill) -> Self {
        Self { table: self.table.spilling_to(spill), ..self }
    }

    /// Counts changes that take back a row which is not there.
    #[must_use]
    pub fn counting(self, metrics: &NodeMetrics) -> Self {
        Self { metrics: Arc::clone(&metrics.connector), ..self }
    }
}

#[async_trait]
impl Operator for SinkMaterializer {
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
        let keys = self.table.codec().encode(&columns(&self.key_columns))?;
        let values = self.table.state.rows.row_codec().encode(&columns(&self.value_columns))?;
        self.table.prepare(batch.len(), &keys)?;
        let table = &mut self.table;
        let now_ms = table.now_ms();
        for row in 0..batch.len() {
            let value = values.row(row);
            let slot = if batch.kind(row).is_retraction() {
                let found = table.find(keys.row(row)).filter(|slot| !table.expires(*slot, now_ms)).and_then(|slot| {
                    let (arrival, _) = table.state.rows.iter(slot).find(|(_, other)| ***other == *value)?;
                    Some((slot, *arrival))
                });
                let Some((slot, arrival)) = found else {
                    if self.metrics.unmatched.fetch_add(1, Ordering::Relaxed) == 0 {
                        tracing::warn!("{}", super::UNKNOWN_RETRACTION);
                    }
                    continue;
                };
                table.state.rows.remove(slot, &arrival);
                slot
            } else {
                let (slot, new) = table.intern(keys.row(row));
                if !new && table.expires(slot, now_ms) {
                    table.forget(slot);
                }
                if self.only_appends {
                    table.state.rows.clear(slot);
                }
                table.state.rows.insert(slot, self.sequence, value.into());
                self.sequence += 1;
                slot
            };
            table.state.count_change(slot);
            table.touch_held(slot, now_ms);
        }
        table.make_room()?;
        Ok(Emitted::nothing(&self.schema))
    }

    fn flush(&mut self) -> Result<Option<ChangeBatch>> {
        let pending = self.table.pending();
        if pending.is_empty() {
            return Ok(None);
        }
        let part = pending[..pending.len().min(FLUSHED_KEYS_MAX)].to_vec();
        let state = &self.table.state;
        let kinds: Arc<[RowKind]> = part
            .iter()
            .map(|slot| match (state.rows.is_empty(*slot), state.emitted[*slot as usize]) {
                (true, _) => RowKind::Delete,
                (false, true) => RowKind::UpdateAfter,
                (false, false) => RowKind::Insert,
            })
            .collect();
        let keys = self.table.keys_of(&part)?;
        let lasts = part.iter().map(|slot| state.rows.iter(*slot).next_back().map(|(_, row)| row));
        let values = state.rows.row_codec().columns(lasts)?;
        let mut columns: Vec<ArrayRef> =
            self.schema.fields().iter().map(|field| new_null_array(field.data_type(), 0)).collect();
        for (place, column) in self.key_columns.iter().chain(&self.value_columns).zip(keys.into_iter().chain(values)) {
            columns[*place] = column;
        }
        if self.version
            && let Some(column) = columns.last_mut()
        {
            let versions = part.iter().map(|slot| state.versions[*slot as usize]);
            *column = Arc::new(Int64Array::from_iter_values(versions));
        }
        let rows = RecordBatch::try_new(Arc::clone(&self.schema), columns)?;
        part.iter().for_each(|slot| self.table.state.settle(*slot));
        self.table.give_out(part.len());
        if self.table.pending().is_empty() {
            self.table.make_room()?;
        }
        Ok(Some(ChangeBatch::changes(rows, kinds)))
    }

    fn snapshot(&mut self) -> Result<Vec<TableDelta>> {
        self.table.snapshot()
    }

    fn restore(&mut self, table: &str, rows: &RecordBatch) -> Result<()> {
        self.table.restore(table, rows)?;
        // New rows must come behind the stored ones, whose arrival is the column behind the key.
        if table == ROWS
            && let Some(last) = max(rows.column(2 + self.key_columns.len()).as_primitive::<UInt64Type>())
        {
            self.sequence = self.sequence.max(last + 1);
        }
        Ok(())
    }

    fn state_size(&self) -> StateSize {
        let size = self.table.state_size();
        StateSize { keys: size.keys.max(self.table.state.rows.rows_in_all()), ..size }
    }
}

#[cfg(test)]
mod tests;
