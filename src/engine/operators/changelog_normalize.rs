//! Makes full changes of upserts: the row before is added, and a deleted row, of which only the key came, is completed.
//! Keeps the last row of each key. Every input row gives its changes at once, so that a replay gives the same ones.

pub mod spec;

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::{DataType, Field, SchemaRef};
use datafusion::arrow::record_batch::RecordBatch;

use super::{Emitted, Operator, OperatorContext};
use crate::changelog::{ChangeBatch, RowKind};
use crate::clock::Clock;
use crate::engine::state::encoded::{Codec, Encoded, EncodedRows};
use crate::engine::state::{KeyedTable, Layout, OneRow, Spill, StateSize, TableDelta, column};
use crate::error::{Error, Result};

/// See the module.
pub struct ChangelogNormalize {
    schema: SchemaRef,
    key_columns: Vec<usize>,
    value_columns: Vec<usize>,
    /// The columns beside the key of each key's row.
    table: KeyedTable<OneRow<Codec>>,
    has_time_to_live: bool,
}

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
            return Err(Error::corrupt("a stored normalisation refers to missing key columns of its input"));
        }
        let value_columns: Vec<usize> = (0..input.fields().len()).filter(|column| !keys.contains(column)).collect();
        let fields = |columns: &[usize]| -> Vec<Field> {
            columns.iter().map(|index| column(format!("column-{index}"), input.field(*index).data_type())).collect()
        };
        let values = fields(&value_columns);
        let types: Vec<DataType> = values.iter().map(|field| field.data_type().clone()).collect();
        let touched_at = state_ttl_ms.map(|_| values.len());
        let layout = Layout::new("a normalisation", fields(keys)).with_row("rows", values, touched_at);
        Ok(Self {
            schema: Arc::clone(input),
            key_columns: keys.to_vec(),
            value_columns,
            table: KeyedTable::new(layout, OneRow::new(Codec::new(&types)?), state_ttl_ms, clock)?,
            has_time_to_live: state_ttl_ms.is_some(),
        })
    }

    /// Lets cold keys go to disk when the job's state takes more than its budget.
    #[must_use]
    pub fn spilling_to(self, spill: Spill) -> Self {
        Self { table: self.table.spilling_to(spill), ..self }
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
}

/// Where an output row stands.
enum RowSource {
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
        let keys: EncodedRows = self.table.codec().encode(&columns_of(batch.rows(), &self.key_columns))?;
        let values: EncodedRows = self.table.state.codec().encode(&columns_of(batch.rows(), &self.value_columns))?;
        self.table.prepare(batch.len(), &keys)?;
        let table = &mut self.table;
        let now_ms = table.now_ms();
        let mut out: Vec<(usize, RowSource, RowKind)> = Vec::with_capacity(batch.len());
        for row in 0..batch.len() {
            let kind = batch.kind(row);
            // An upsert stream has none; if one comes, the new row behind it says the same.
            if kind == RowKind::UpdateBefore {
                continue;
            }
            if kind == RowKind::Delete {
                let Some(slot) = table.find(keys.row(row)) else { continue };
                let expired = table.expires(slot, now_ms);
                if let Some(old) = table.state.set(slot, None) {
                    table.touch(slot, now_ms);
                    if !expired {
                        out.push((row, RowSource::Old(old), RowKind::Delete));
                    }
                }
                continue;
            }
            let (slot, new_key) = table.intern(keys.row(row));
            if !new_key && table.expires(slot, now_ms) {
                table.forget(slot);
            }
            let new = values.row(row);
            if table.state.get(slot).is_some_and(|old| **old == *new) {
                if self.has_time_to_live {
                    table.touch(slot, now_ms);
                }
                continue;
            }
            table.touch(slot, now_ms);
            match table.state.set(slot, Some(new.into())) {
                None => out.push((row, RowSource::New(row), RowKind::Insert)),
                Some(old) => {
                    out.push((row, RowSource::Old(old), RowKind::UpdateBefore));
                    out.push((row, RowSource::New(row), RowKind::UpdateAfter));
                }
            }
        }
        self.table.make_room()?;
        if out.is_empty() {
            return Ok(Emitted::nothing(&self.schema));
        }
        let rows = self.assemble(
            self.table.codec().decode(out.iter().map(|(row, ..)| keys.row(*row)))?,
            self.table.state.codec().decode(out.iter().map(|(_, source, _)| match source {
                RowSource::New(row) => values.row(*row),
                RowSource::Old(old) => old,
            }))?,
        )?;
        if out.iter().all(|(.., kind)| *kind == RowKind::Insert) {
            return Ok(ChangeBatch::inserts(rows).into());
        }
        Ok(ChangeBatch::changes(rows, out.iter().map(|(.., kind)| *kind).collect()).into())
    }

    fn snapshot(&mut self) -> Result<Vec<TableDelta>> {
        self.table.snapshot()
    }

    fn restore(&mut self, table: &str, rows: &RecordBatch) -> Result<()> {
        self.table.restore(table, rows)
    }

    fn state_size(&self) -> StateSize {
        self.table.state_size()
    }
}

#[cfg(test)]
mod tests;
