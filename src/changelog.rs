//! Change batches: an Arrow batch with a row kind for each row.

use std::sync::Arc;

use datafusion::arrow::record_batch::RecordBatch;

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
