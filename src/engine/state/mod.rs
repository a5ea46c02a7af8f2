//! State of operators between memory and checkpoint: what changed since a barrier, as Arrow columns.
//! An operator keeps its state in the form that serves it; it gives out changes at a barrier and takes stored rows back.

pub mod budget;
pub mod cold;
pub mod encoded;
pub mod key_table;
pub mod spill;

use datafusion::arrow::record_batch::RecordBatch;

pub use budget::MemoryBudget;
pub use spill::{ColdKey, Held, Spill, Spillable, Spilling};

/// What changed in one table of an operator's state since the barrier before. The columns of `rows` are: `key_group` (UInt8),
/// `deleted` (Boolean), `key_columns` columns that identify the row, then its values (NULL where it was deleted).
/// A key occurs once. Types are Arrow's own (no row format), so that what is stored stays readable.
#[derive(Debug, Clone)]
pub struct TableDelta {
    /// Name of the table within the operator: `groups`, `values-2`. Stable: checkpoints know it.
    pub table: String,
    /// How many of the columns behind the first two are the key.
    pub key_columns: usize,
    /// The changed rows.
    pub rows: RecordBatch,
}

/// How much an operator keeps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StateSize {
    /// Rows of all its tables.
    pub keys: u64,
    /// Bytes in memory, as far as known.
    pub memory_bytes: u64,
    /// Bytes on local disk that did not fit into memory.
    pub spilled_bytes: u64,
}
