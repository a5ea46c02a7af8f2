//! Change batches: an Arrow batch with a row kind for each row.

use std::sync::Arc;

use datafusion::arrow::array::{BooleanArray, UInt32Array};
use datafusion::arrow::compute::{concat_batches, filter_record_batch, take_record_batch};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::record_batch::RecordBatch;

use crate::error::Result;

/// What a stream of changes holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Changelog {
    /// `+I` only.
    Append,
    /// `+I` or `+U` with the new row, `-D` of which only the key counts; no `-U`. Needs a key.
    Upsert,
    /// Every change of a row takes the old row back in full first: `+I`, `-U` `+U`, `-D`.
    Retract,
}

impl Changelog {
    /// As EXPLAIN prints it.
    pub fn name(self) -> &'static str {
        match self {
            Changelog::Append => "append",
            Changelog::Upsert => "upsert",
            Changelog::Retract => "retract",
        }
    }
}

/// What a row does to the result (Flink's RowKind).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RowKind {
    /// `+I`
    Insert,
    /// `-U`
    UpdateBefore,
    /// `+U`
    UpdateAfter,
    /// `-D`
    Delete,
}

impl RowKind {
    /// Whether the row takes something back (`-U`, `-D`).
    pub fn is_retraction(self) -> bool {
        matches!(self, RowKind::UpdateBefore | RowKind::Delete)
    }
}

/// Rows and their kinds; without kinds all rows are inserts.
#[derive(Debug, Clone)]
pub struct ChangeBatch {
    rows: RecordBatch,
    kinds: Option<Arc<[RowKind]>>,
}

impl ChangeBatch {
    /// Rows that are all inserts.
    pub fn inserts(rows: RecordBatch) -> Self {
        Self { rows, kinds: None }
    }

    /// Rows with a kind each.
    ///
    /// # Panics
    /// If the numbers of rows and kinds differ.
    pub fn changes(rows: RecordBatch, kinds: Arc<[RowKind]>) -> Self {
        assert_eq!(rows.num_rows(), kinds.len(), "a kind for each row");
        Self { rows, kinds: Some(kinds) }
    }

    /// No rows.
    pub fn empty(schema: SchemaRef) -> Self {
        Self::inserts(RecordBatch::new_empty(schema))
    }

    /// Other rows in place of these, with their kinds.
    ///
    /// # Panics
    /// If the numbers of rows differ.
    #[must_use]
    pub fn with_rows(&self, rows: RecordBatch) -> Self {
        assert_eq!(rows.num_rows(), self.len(), "a row for each row");
        Self { rows, kinds: self.kinds.clone() }
    }

    /// `length` rows from `offset` on.
    #[must_use]
    pub fn slice(&self, offset: usize, length: usize) -> Self {
        let kinds = self.kinds.as_ref().map(|kinds| kinds[offset..offset + length].into());
        Self { rows: self.rows.slice(offset, length), kinds }
    }

    /// The rows for which `keep` is true; NULL is not.
    ///
    /// # Errors
    /// The numbers of rows differ.
    pub fn filter(&self, keep: &BooleanArray) -> Result<Self> {
        let rows = filter_record_batch(&self.rows, keep)?;
        let kinds = self.kinds.as_ref().map(|kinds| {
            let kept = keep.iter().zip(kinds.iter()).filter(|(keep, _)| *keep == Some(true));
            kept.map(|(_, kind)| *kind).collect()
        });
        Ok(Self { rows, kinds })
    }

    /// The rows at `indices`, in that order.
    ///
    /// # Errors
    /// An index is beyond the end.
    pub fn take(&self, indices: &UInt32Array) -> Result<Self> {
        let rows = take_record_batch(&self.rows, indices)?;
        let kinds =
            self.kinds.as_ref().map(|kinds| indices.values().iter().map(|index| kinds[*index as usize]).collect());
        Ok(Self { rows, kinds })
    }

    /// One batch behind the other.
    ///
    /// # Errors
    /// Their columns differ from `schema`.
    pub fn concat(schema: &SchemaRef, batches: &[ChangeBatch]) -> Result<Self> {
        if let [one] = batches {
            return Ok(one.clone());
        }
        let rows = concat_batches(schema, batches.iter().map(|batch| &batch.rows))?;
        let kinds = batches
            .iter()
            .any(|batch| batch.kinds.is_some())
            .then(|| batches.iter().flat_map(|batch| (0..batch.len()).map(|row| batch.kind(row))).collect());
        Ok(Self { rows, kinds })
    }

    /// The rows.
    pub fn rows(&self) -> &RecordBatch {
        &self.rows
    }

    /// The kind of row `index`.
    pub fn kind(&self, index: usize) -> RowKind {
        self.kinds.as_ref().map_or(RowKind::Insert, |kinds| kinds[index])
    }

    /// The kinds; `None` when all rows are inserts.
    pub fn kinds(&self) -> Option<&Arc<[RowKind]>> {
        self.kinds.as_ref()
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.rows.num_rows()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
