//! Writes that wait for their epoch's checkpoint. A sink outside of transactions whose keys a replay need not repeat (they
//! can come and go between two barriers) may only be written when the epoch is decided: until then the last change of each key
//! is kept here; at the barrier all of them become part of the checkpoint, so that recovery sends them again.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, BooleanBuilder, RecordBatch, UInt8Array};
use datafusion::arrow::compute::{concat, interleave, take};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, UInt32Type};
use datafusion::arrow::row::{OwnedRow, RowConverter, SortField};

use super::key_group::key_groups;
use super::state::budget::MemorySlot;
use super::state::{MemoryBudget, TableDelta};
use crate::changelog::{ChangeBatch, RowKind};
use crate::error::{Error, Result};

/// The state table in which pending writes are kept.
const TABLE: &str = "pending";

/// See the module.
pub struct Deferred {
    /// Columns of the sink.
    schema: SchemaRef,
    key: Vec<usize>,
    converter: RowConverter,
    /// The epoch's batches so far.
    batches: Vec<ChangeBatch>,
    /// The last change of each key: batch and row.
    last: HashMap<OwnedRow, (usize, usize)>,
    /// Writes of the epoch whose barrier has passed, until they are decided and sent.
    sealed: Option<ChangeBatch>,
    /// Keys that the last checkpoint holds.
    stored: Option<RecordBatch>,
    /// Rows taken from a checkpoint: key → the row's batch in `restored`, as they come.
    restored: HashMap<OwnedRow, (RecordBatch, usize)>,
    /// Where the memory of all that is counted.
    memory: Option<MemorySlot>,
    /// Bytes of the epoch's batches.
    batch_bytes: u64,
}

/// Bytes of a key in a map beside what it is made of.
const KEY_BYTES: u64 = 80;

impl Deferred {
    /// For a sink with these columns and this key.
    ///
    /// # Errors
    /// A key of a type that cannot be compared.
    pub fn new(schema: &SchemaRef, key: &[usize]) -> Result<Self> {
        let fields = key.iter().map(|column| SortField::new(schema.field(*column).data_type().clone())).collect();
        Ok(Self {
            schema: Arc::clone(schema),
            key: key.to_vec(),
            converter: RowConverter::new(fields)?,
            batches: Vec::new(),
            last: HashMap::new(),
            sealed: None,
            stored: None,
            restored: HashMap::new(),
            memory: None,
            batch_bytes: 0,
        })
    }

    /// Counts what is kept here as memory of the job's state.
    #[must_use]
    pub fn counted_in(self, budget: &MemoryBudget) -> Self {
        Self { memory: Some(budget.loan()), ..self }
    }

    fn count(&mut self) {
        let open = self.batch_bytes + self.last.len() as u64 * KEY_BYTES;
        let sealed = self.sealed.as_ref().map_or(0, |sealed| sealed.rows().get_array_memory_size() as u64);
        let stored = self.stored.as_ref().map_or(0, |stored| stored.get_array_memory_size() as u64);
        if let Some(memory) = &mut self.memory {
            memory.set(open + sealed + stored, open);
        }
    }

    /// Adds changes of the current epoch.
    ///
    /// # Errors
    /// The columns are not the sink's.
    pub fn add(&mut self, batch: ChangeBatch) -> Result<()> {
        let keys = self.keys_of(batch.rows());
        let rows = self.converter.convert_columns(&keys)?;
        for (row, key) in rows.iter().enumerate() {
            self.last.insert(key.owned(), (self.batches.len(), row));
        }
        self.batch_bytes += batch.rows().get_array_memory_size() as u64;
        self.batches.push(batch);
        // Batches of which nothing is the last word any more are given back from time to time.
        let kept: usize = self.batches.iter().map(ChangeBatch::len).sum();
        if kept > 65_536 && kept > self.last.len() * 4 {
            let one = self.coalesced()?;
            self.clear();
            if let Some(one) = one {
                self.add(one)?;
            }
        }
        self.count();
        Ok(())
    }

    fn clear(&mut self) {
        self.batches.clear();
        // Room for as many keys as there were, not for those of the largest epoch ever.
        let keys = self.last.len();
        self.last.clear();
        self.last.shrink_to(keys);
        self.batch_bytes = 0;
    }

    fn keys_of(&self, rows: &RecordBatch) -> Vec<ArrayRef> {
        self.key.iter().map(|column| Arc::clone(rows.column(*column))).collect()
    }

    /// The last changes of all keys, in the order of their arrival.
    fn coalesced(&self) -> Result<Option<ChangeBatch>> {
        if self.last.is_empty() {
            return Ok(None);
        }
        let mut places: Vec<(usize, usize)> = self.last.values().copied().collect();
        places.sort_unstable();
        let columns = (0..self.schema.fields().len())
            .map(|column| {
                let arrays: Vec<&dyn Array> =
                    self.batches.iter().map(|batch| batch.rows().column(column).as_ref()).collect();
                interleave(&arrays, &places)
            })
            .collect::<Result<Vec<_>, _>>()?;
        let kinds: Vec<RowKind> = places
            .iter()
            .map(|(batch, row)| match self.batches[*batch].kind(*row).is_retraction() {
                true => RowKind::Delete,
                false => RowKind::UpdateAfter,
            })
            .collect();
        let rows = RecordBatch::try_new(Arc::clone(&self.schema), columns)?;
        Ok(Some(ChangeBatch::changes(rows, kinds.into())))
    }

    /// At a barrier: the epoch's writes become those that wait for its decision. Gives what the checkpoint must hold.
    ///
    /// # Errors
    /// An internal error.
    pub fn seal(&mut self) -> Result<Option<TableDelta>> {
        let sealed = self.coalesced()?;
        self.clear();
        let now = sealed.as_ref().map(|batch| batch.rows().project(&self.key)).transpose()?;
        let gone = self.no_longer(self.stored.as_ref(), now.as_ref())?;
        self.stored = now;
        let delta = self.delta(gone, sealed.as_ref())?;
        self.sealed = sealed;
        self.count();
        Ok(delta)
    }

    /// The keys of `before` that are not in `now`.
    fn no_longer(&self, before: Option<&RecordBatch>, now: Option<&RecordBatch>) -> Result<Option<RecordBatch>> {
        let (Some(before), Some(now)) = (before, now) else { return Ok(before.cloned()) };
        let now = self.converter.convert_columns(now.columns())?;
        let now: std::collections::HashSet<_> = now.iter().collect();
        let rows = self.converter.convert_columns(before.columns())?;
        let gone: BooleanArray = rows.iter().map(|row| Some(!now.contains(&row))).collect();
        Ok(Some(datafusion::arrow::compute::filter_record_batch(before, &gone)?))
    }

    /// Deleted keys, then the writes: key columns, whether the write deletes, all columns of the sink.
    fn delta(&self, gone: Option<RecordBatch>, sealed: Option<&ChangeBatch>) -> Result<Option<TableDelta>> {
        let gone = gone.filter(|gone| gone.num_rows() > 0);
        let (gone_rows, sealed_rows) =
            (gone.as_ref().map_or(0, RecordBatch::num_rows), sealed.map_or(0, ChangeBatch::len));
        if gone_rows + sealed_rows == 0 {
            return Ok(None);
        }
        let all = |before: Option<ArrayRef>, now: Option<ArrayRef>| -> Result<ArrayRef> {
            let parts: Vec<ArrayRef> = before.into_iter().chain(now).collect();
            Ok(concat(&parts.iter().map(AsRef::as_ref).collect::<Vec<_>>())?)
        };
        let mut keys = Vec::new();
        for (place, column) in self.key.iter().enumerate() {
            let before = gone.as_ref().map(|gone| Arc::clone(gone.column(place)));
            keys.push(all(before, sealed.map(|sealed| Arc::clone(sealed.rows().column(*column))))?);
        }
        let mut deleted = BooleanBuilder::new();
        deleted.append_n(gone_rows, true);
        deleted.append_n(sealed_rows, false);
        let mut deletes = BooleanBuilder::new();
        deletes.append_nulls(gone_rows);
        for row in 0..sealed_rows {
            deletes.append_value(sealed.is_some_and(|sealed| sealed.kind(row).is_retraction()));
        }
        let groups = UInt8Array::from(key_groups(&keys, gone_rows + sealed_rows)?);
        let mut fields =
            vec![Field::new("key_group", DataType::UInt8, false), Field::new("deleted", DataType::Boolean, false)];
        let mut columns: Vec<ArrayRef> = vec![Arc::new(groups), Arc::new(deleted.finish())];
        for (place, column) in keys.into_iter().enumerate() {
            fields.push(Field::new(format!("key_{place}"), column.data_type().clone(), true));
            columns.push(column);
        }
        fields.push(Field::new("deletes", DataType::Boolean, true));
        columns.push(Arc::new(deletes.finish()));
        for (index, field) in self.schema.fields().iter().enumerate() {
            let nulls = datafusion::arrow::array::new_null_array(field.data_type(), gone_rows);
            fields.push(Field::new(format!("column_{index}"), field.data_type().clone(), true));
            columns.push(all(Some(nulls), sealed.map(|sealed| Arc::clone(sealed.rows().column(index))))?);
        }
        let rows = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?;
        Ok(Some(TableDelta { table: TABLE.to_owned(), key_columns: self.key.len(), rows }))
    }

    /// Takes rows of a checkpoint, oldest first.
    ///
    /// # Errors
    /// They are not of this table.
    pub fn restore(&mut self, table: &str, rows: &RecordBatch) -> Result<()> {
        let width = 2 + self.key.len() + 1 + self.schema.fields().len();
        if table != TABLE || rows.num_columns() != width {
            return Err(Error::corrupt(format!(
                "the checkpoint's state \"{table}\" is none of a sink with this table"
            )));
        }
        let deleted = rows.column(1).as_boolean();
        let keys = self.converter.convert_columns(&rows.columns()[2..2 + self.key.len()])?;
        for (row, key) in keys.iter().enumerate() {
            if deleted.value(row) {
                self.restored.remove(&key.owned());
            } else {
                self.restored.insert(key.owned(), (rows.clone(), row));
            }
        }
        Ok(())
    }

    /// All rows of the checkpoint were taken: its writes are decided and wait to be sent.
    ///
    /// # Errors
    /// An internal error.
    pub fn restored(&mut self) -> Result<()> {
        let first = 2 + self.key.len();
        let mut batches = Vec::new();
        for (rows, row) in std::mem::take(&mut self.restored).into_values() {
            let index = datafusion::arrow::array::PrimitiveArray::<UInt32Type>::from(vec![row as u32]);
            let columns = rows.columns()[first + 1..]
                .iter()
                .map(|column| take(column, &index, None))
                .collect::<Result<Vec<_>, _>>()?;
            let kind = if rows.column(first).as_boolean().value(row) { RowKind::Delete } else { RowKind::UpdateAfter };
            let rows = RecordBatch::try_new(Arc::clone(&self.schema), columns)?;
            batches.push(ChangeBatch::changes(rows, [kind].into()));
        }
        if batches.is_empty() {
            return Ok(());
        }
        let sealed = ChangeBatch::concat(&self.schema, &batches)?;
        self.stored = Some(sealed.rows().project(&self.key)?);
        self.sealed = Some(sealed);
        Ok(())
    }

    /// The writes whose epoch is decided now, to be sent.
    pub fn take_decided(&mut self) -> Option<ChangeBatch> {
        let sealed = self.sealed.take();
        self.count();
        sealed
    }
}

#[cfg(test)]
mod tests;
