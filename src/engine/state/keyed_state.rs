//! What a keyed table needs to know of the state that it keeps for its keys. `keyed_table` decides when anything is stored,
//! forgotten or moved to disk; a [`KeyedState`] only says what it has of a slot. All calls are for many slots or are generic:
//! none is virtual for each row of a batch.

use datafusion::arrow::array::{ArrayRef, BooleanArray};

use crate::error::Result;

/// Bytes that state takes in memory, as far as known.
#[derive(Debug, Clone, Copy, Default)]
pub struct StateBytes {
    /// Columns over all slots, also over those that no key has at present.
    pub columns: usize,
    /// What belongs to keys alike, so that a part of the keys has the same part of it.
    pub rows: usize,
    /// Rows of tables with many rows of a key.
    pub values: usize,
    /// What of that the next checkpoint must have.
    pub changed_values: usize,
}

/// State of keys in columns over their slots, which a [`super::KeyedTable`] gives out.
pub trait KeyedState: Send {
    /// Makes room for slots below `slots`; new ones are empty.
    fn resize(&mut self, slots: usize);

    /// Whether there is anything of the key that must be kept. A key of which there is nothing goes at the next snapshot.
    fn is_kept(&self, slot: u32) -> bool;

    /// Empties a slot. Rows of [`Self::stores`] that it had are deleted from the checkpoint.
    fn reset(&mut self, slot: u32);

    /// What all of it takes.
    fn bytes(&self) -> StateBytes;

    /// Whether the stored form says all there is of the key, so that it may go to disk.
    fn is_settled(&self, _slot: u32) -> bool {
        true
    }

    /// The key is as it was stored: computes what is not stored.
    fn settle(&mut self, _slot: u32) {}

    /// The time of the key's newest row, where rows have times: in a table without a time to live it stands for that of the last touch.
    fn newest_ms(&self, _slot: u32) -> Option<i64> {
        None
    }

    /// The stored columns of keys, in the table with one row for each key. What stands there for keys that are not kept does not matter.
    ///
    /// # Errors
    /// An internal error.
    fn columns(&self, _slots: &[u32]) -> Result<Vec<ArrayRef>> {
        Ok(Vec::new())
    }

    /// Takes up what [`Self::columns`] gave, in types that were checked.
    ///
    /// # Errors
    /// A value is damaged.
    fn set_columns(&mut self, _slots: &[u32], _columns: &[ArrayRef]) -> Result<()> {
        Ok(())
    }

    /// The key's row in the table of [`Self::columns`] was deleted. Rows of [`Self::stores`] stay: they say themselves what becomes of them.
    fn unset(&mut self, _slot: u32) {}

    /// Adds what [`Self::columns`] stands for to rows of bytes, for [`Self::put_back`] of this run.
    ///
    /// # Errors
    /// An internal error.
    fn copy(&self, _slots: &[u32], _rows: &mut [Vec<u8>]) -> Result<()> {
        Ok(())
    }

    /// Takes what [`Self::copy`] added from the front of the rows; `None` if it was not written by this.
    ///
    /// # Errors
    /// An internal error.
    fn put_back(&mut self, _slots: &[u32], _rows: &mut [&[u8]]) -> Result<Option<()>> {
        Ok(Some(()))
    }

    /// The tables with many rows of a key, in the order of the layout.
    fn stores(&mut self) -> Vec<&mut dyn RowStore> {
        Vec::new()
    }
}

/// A table with many rows of a key. Each row is stored on its own: of a key with a million rows only the changed ones are written.
pub trait RowStore: Send {
    /// What changed since the last call.
    ///
    /// # Errors
    /// An internal error.
    fn take_changes(&mut self) -> Result<RowChanges>;

    /// Takes up stored rows of keys, sub-key columns first; `None` is a key that is not there, of which rows are deleted.
    ///
    /// # Errors
    /// A value is damaged.
    fn restore(&mut self, slots: &[Option<u32>], deleted: &BooleanArray, columns: &[ArrayRef]) -> Result<()>;

    /// Adds the rows of a key to bytes, for [`Self::put_rows_back`] of this run. None of them has changed.
    fn copy_rows(&self, slot: u32, bytes: &mut Vec<u8>);

    /// Drops the rows of a key, which are on disk now.
    fn vacate(&mut self, slot: u32);

    /// Puts the rows of a key back; `None` if the bytes were not written by this.
    fn put_rows_back(&mut self, slot: u32, bytes: &[u8]) -> Option<()>;
}

/// Changed rows of a [`RowStore`].
pub struct RowChanges {
    /// The slot of each row's key.
    pub slots: Vec<u32>,
    /// Whether it is gone.
    pub deleted: Vec<bool>,
    /// Sub-key columns, then the others (NULL where deleted).
    pub columns: Vec<ArrayRef>,
}
