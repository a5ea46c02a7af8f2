//! The state that is one row of each key.

use datafusion::arrow::array::ArrayRef;

use super::keyed_state::{KeyedState, StateBytes};
use super::part_codec::PartCodec;
use crate::error::Result;

/// See the module.
pub struct OneRow<R: PartCodec> {
    codec: R,
    rows: Vec<Option<R::Part>>,
    heap_bytes: usize,
}

impl<R: PartCodec> OneRow<R> {
    /// Rows of a codec; the columns of the layout's table of rows are the codec's.
    pub fn new(codec: R) -> Self {
        Self { codec, rows: Vec::new(), heap_bytes: 0 }
    }

    /// The codec.
    pub fn codec(&self) -> &R {
        &self.codec
    }

    /// A key's row.
    #[inline]
    pub fn get(&self, slot: u32) -> Option<&R::Part> {
        self.rows[slot as usize].as_ref()
    }

    /// Puts a key's row, or takes it away, and gives the one that was there. The caller has touched the key, or does it now.
    pub fn set(&mut self, slot: u32, row: Option<R::Part>) -> Option<R::Part> {
        if let Some(row) = &row {
            self.heap_bytes += R::heap_bytes(row);
        }
        let old = std::mem::replace(&mut self.rows[slot as usize], row);
        if let Some(old) = &old {
            self.heap_bytes -= R::heap_bytes(old);
        }
        old
    }
}

impl<R: PartCodec> KeyedState for OneRow<R> {
    fn resize(&mut self, slots: usize) {
        self.rows.resize(slots, None);
    }

    fn is_kept(&self, slot: u32) -> bool {
        self.rows[slot as usize].is_some()
    }

    fn reset(&mut self, slot: u32) {
        self.set(slot, None);
    }

    fn bytes(&self) -> StateBytes {
        let columns = self.rows.capacity() * size_of::<Option<R::Part>>();
        StateBytes { columns, rows: self.heap_bytes, ..StateBytes::default() }
    }

    fn columns(&self, slots: &[u32]) -> Result<Vec<ArrayRef>> {
        self.codec.columns(slots.iter().map(|slot| self.get(*slot)))
    }

    fn set_columns(&mut self, slots: &[u32], columns: &[ArrayRef]) -> Result<()> {
        let rows = self.codec.parts(columns, slots.len())?;
        for (slot, row) in slots.iter().zip(rows) {
            self.set(*slot, Some(row));
        }
        Ok(())
    }

    fn unset(&mut self, slot: u32) {
        self.set(slot, None);
    }

    fn copy(&self, slots: &[u32], rows: &mut [Vec<u8>]) -> Result<()> {
        for (slot, bytes) in slots.iter().zip(rows) {
            if let Some(row) = self.get(*slot) {
                R::put(row, bytes);
            }
        }
        Ok(())
    }

    fn put_back(&mut self, slots: &[u32], rows: &mut [&[u8]]) -> Result<Option<()>> {
        for (slot, bytes) in slots.iter().zip(rows) {
            // A key without a row has no bytes.
            if bytes.is_empty() {
                continue;
            }
            let Some(row) = R::take(bytes) else { return Ok(None) };
            self.set(*slot, Some(row));
        }
        Ok(Some(()))
    }
}
