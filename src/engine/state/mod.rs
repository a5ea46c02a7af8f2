//! State of operators: one keyed table ([`KeyedTable`]) that finds keys, notes what changed, forgets what is over, stores, restores
//! and spills. An operator says what it keeps of a key, by a [`KeyedState`] of its own or one that is here: a row of each key
//! ([`OneRow`]), a map of rows ([`RowMap`]), rows in the order of time ([`TimeRows`]). It brings codecs and no code for state.

pub mod budget;
pub mod cold;
pub mod encoded;
mod key_rows;
pub mod key_table;
mod keyed_state;
mod keyed_table;
mod layout;
mod one_row;
mod part_codec;
mod row_map;
pub mod spill;
mod time_rows;

use datafusion::arrow::record_batch::RecordBatch;

pub use budget::MemoryBudget;
pub use key_rows::KeyRowsIter;
pub use keyed_state::{KeyedState, RowChanges, RowStore, StateBytes};
pub use keyed_table::KeyedTable;
pub use layout::{Layout, column};
pub use one_row::OneRow;
pub use part_codec::{Count, PartCodec, Sequence, Time};
pub use row_map::RowMap;
pub use spill::Spill;
pub use time_rows::TimeRows;

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
