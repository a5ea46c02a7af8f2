//! A map of rows for each key: by a sub-key of their own, with whatever stands behind it (the rest of a row, a count). For joins,
//! Top-N, values with counts, and all live rows of a key. Changes are noted row by row, and each row is stored on its own.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::ops::Bound;

use datafusion::arrow::array::{ArrayRef, BooleanArray};

use super::key_rows::{KeyRows, KeyRowsIter};
use super::keyed_state::{KeyedState, RowChanges, RowStore, StateBytes};
use super::part_codec::{PartCodec, misfit};
use crate::error::Result;

/// Bytes that a changed row's note takes beside what it is made of: room in a node of a tree.
const NOTE_BYTES: usize = 16;

/// See the module. `K` is the codec of sub-keys, `R` that of what stands behind them.
pub struct RowMap<K: PartCodec<Part: Ord>, R: PartCodec> {
    sub_keys: K,
    rows: R,
    slots: Vec<KeyRows<K::Part, R::Part>>,
    /// Rows that changed since the last snapshot, and whether the checkpoint has a row of that sub-key.
    changed: BTreeMap<(u32, K::Part), bool>,
    /// Rows in memory, and on disk.
    count: u64,
    count_on_disk: u64,
    /// Bytes of rows in memory.
    bytes: usize,
}

impl<K: PartCodec<Part: Ord>, R: PartCodec> RowMap<K, R> {
    /// Rows of a codec for sub-keys, whose columns come first, and one for what stands behind them.
    pub fn new(sub_keys: K, rows: R) -> Self {
        Self { sub_keys, rows, slots: Vec::new(), changed: BTreeMap::new(), count: 0, count_on_disk: 0, bytes: 0 }
    }

    /// The codec of sub-keys.
    pub fn sub_key_codec(&self) -> &K {
        &self.sub_keys
    }

    /// The codec of what stands behind them.
    pub fn row_codec(&self) -> &R {
        &self.rows
    }

    /// The rows of a key in the order of their sub-keys.
    #[inline]
    pub fn iter(&self, slot: u32) -> KeyRowsIter<'_, K::Part, R::Part> {
        self.slots[slot as usize].iter()
    }

    /// Those between two sub-keys, the first of which is not behind the second.
    pub fn range(&self, slot: u32, from: Bound<&K::Part>, to: Bound<&K::Part>) -> KeyRowsIter<'_, K::Part, R::Part> {
        self.slots[slot as usize].range(from, to)
    }

    /// How many rows a key has.
    pub fn len(&self, slot: u32) -> usize {
        self.slots[slot as usize].len()
    }

    /// Whether a key has no row.
    #[inline]
    pub fn is_empty(&self, slot: u32) -> bool {
        self.slots[slot as usize].is_empty()
    }

    /// A row of a key.
    #[inline]
    pub fn get<Q: Ord + ?Sized>(&self, slot: u32, sub_key: &Q) -> Option<&R::Part>
    where
        K::Part: Borrow<Q>,
    {
        self.slots[slot as usize].get(sub_key)
    }

    /// Puts a row, and gives the one that it replaces.
    pub fn insert(&mut self, slot: u32, sub_key: K::Part, row: R::Part) -> Option<R::Part> {
        let replaced = self.put(slot, sub_key.clone(), row);
        // One that was removed since the last snapshot stays one that the checkpoint has.
        self.changed.entry((slot, sub_key)).or_insert(replaced.is_some());
        replaced
    }

    /// Changes a row in place; `None` if there is none. What `change` says is whether it did.
    pub fn update<Q: Ord + ?Sized>(
        &mut self,
        slot: u32,
        sub_key: &Q,
        change: impl FnOnce(&mut R::Part) -> bool,
    ) -> Option<()>
    where
        K::Part: Borrow<Q> + for<'a> From<&'a Q>,
    {
        let row = self.slots[slot as usize].get_mut(sub_key)?;
        let before = R::heap_bytes(row);
        if change(row) {
            self.bytes = self.bytes + R::heap_bytes(row) - before;
            self.changed.entry((slot, K::Part::from(sub_key))).or_insert(true);
        }
        Some(())
    }

    /// Takes a row out.
    pub fn remove<Q: Ord + ?Sized>(&mut self, slot: u32, sub_key: &Q) -> Option<R::Part>
    where
        K::Part: Borrow<Q>,
    {
        let (sub_key, row) = self.take(slot, sub_key)?;
        self.note_removed(slot, sub_key);
        Some(row)
    }

    /// Takes out the rows of a key before a sub-key.
    pub fn remove_before(&mut self, slot: u32, sub_key: &K::Part) -> Vec<(K::Part, R::Part)> {
        let removed = self.slots[slot as usize].remove_before(sub_key);
        for (sub_key, row) in &removed {
            self.count_removed(sub_key, row);
            self.note_removed(slot, sub_key.clone());
        }
        removed
    }

    /// Takes all rows of a key out.
    pub fn clear(&mut self, slot: u32) {
        let rows = std::mem::take(&mut self.slots[slot as usize]);
        for (sub_key, row) in rows.into_vec() {
            self.count_removed(&sub_key, &row);
            self.note_removed(slot, sub_key);
        }
    }

    /// Rows in memory.
    pub fn rows_in_memory(&self) -> u64 {
        self.count
    }

    /// Rows, on disk too.
    pub fn rows_in_all(&self) -> u64 {
        self.count + self.count_on_disk
    }

    fn row_bytes(sub_key: &K::Part, row: &R::Part) -> usize {
        size_of::<(K::Part, R::Part)>() + K::heap_bytes(sub_key) + R::heap_bytes(row)
    }

    fn put(&mut self, slot: u32, sub_key: K::Part, row: R::Part) -> Option<R::Part> {
        let (added, key_bytes) = (Self::row_bytes(&sub_key, &row), K::heap_bytes(&sub_key));
        let replaced = self.slots[slot as usize].insert(sub_key, row);
        self.bytes += added;
        match &replaced {
            Some(old) => self.bytes -= size_of::<(K::Part, R::Part)>() + key_bytes + R::heap_bytes(old),
            None => self.count += 1,
        }
        replaced
    }

    fn take<Q: Ord + ?Sized>(&mut self, slot: u32, sub_key: &Q) -> Option<(K::Part, R::Part)>
    where
        K::Part: Borrow<Q>,
    {
        let (sub_key, row) = self.slots[slot as usize].remove(sub_key)?;
        self.count_removed(&sub_key, &row);
        Some((sub_key, row))
    }

    fn count_removed(&mut self, sub_key: &K::Part, row: &R::Part) {
        self.count -= 1;
        self.bytes -= Self::row_bytes(sub_key, row);
    }

    fn note_removed(&mut self, slot: u32, sub_key: K::Part) {
        let key = (slot, sub_key);
        // A row that was never stored leaves nothing to delete.
        if self.changed.get(&key) == Some(&false) {
            self.changed.remove(&key);
        } else {
            self.changed.insert(key, true);
        }
    }

    /// Bytes of the rows that changed since the last snapshot, about, and of the notes of them.
    fn changed_bytes(&self) -> (usize, usize) {
        let row_bytes = self.bytes / usize::try_from(self.count).unwrap_or(usize::MAX).max(1);
        let note_bytes = size_of::<((u32, K::Part), bool)>() + NOTE_BYTES;
        (self.changed.len() * row_bytes, self.changed.len() * note_bytes)
    }
}

impl<K: PartCodec<Part: Ord>, R: PartCodec> RowStore for RowMap<K, R> {
    fn take_changes(&mut self) -> Result<RowChanges> {
        let changed = std::mem::take(&mut self.changed);
        let rows: Vec<Option<&R::Part>> =
            changed.keys().map(|(slot, sub_key)| self.slots[*slot as usize].get(sub_key)).collect();
        let deleted = rows.iter().map(Option::is_none).collect();
        let mut columns = self.sub_keys.columns(changed.keys().map(|(_, sub_key)| Some(sub_key)))?;
        columns.extend(self.rows.columns(rows.into_iter())?);
        Ok(RowChanges { slots: changed.keys().map(|(slot, _)| *slot).collect(), deleted, columns })
    }

    fn restore(&mut self, slots: &[Option<u32>], deleted: &BooleanArray, columns: &[ArrayRef]) -> Result<()> {
        let (sub_keys, rows) = columns.split_at_checked(self.sub_keys.width()).ok_or_else(misfit)?;
        let sub_keys = self.sub_keys.parts(sub_keys, slots.len())?;
        let rows = self.rows.parts(rows, slots.len())?;
        for (place, (slot, (sub_key, row))) in slots.iter().zip(sub_keys.into_iter().zip(rows)).enumerate() {
            let Some(slot) = *slot else { continue };
            if deleted.value(place) {
                self.take(slot, &sub_key);
            } else {
                self.put(slot, sub_key, row);
            }
        }
        Ok(())
    }

    fn copy_rows(&self, slot: u32, bytes: &mut Vec<u8>) {
        for (sub_key, row) in self.iter(slot) {
            K::put(sub_key, bytes);
            R::put(row, bytes);
        }
    }

    fn vacate(&mut self, slot: u32) {
        let rows = std::mem::take(&mut self.slots[slot as usize]).into_vec();
        self.count_on_disk += rows.len() as u64;
        rows.iter().for_each(|(sub_key, row)| self.count_removed(sub_key, row));
    }

    fn put_rows_back(&mut self, slot: u32, mut bytes: &[u8]) -> Option<()> {
        while !bytes.is_empty() {
            let (sub_key, row) = (K::take(&mut bytes)?, R::take(&mut bytes)?);
            self.put(slot, sub_key, row);
            self.count_on_disk = self.count_on_disk.saturating_sub(1);
        }
        Some(())
    }
}

/// The map alone as the state of a key: a key is kept as long as it has rows.
impl<K: PartCodec<Part: Ord>, R: PartCodec> KeyedState for RowMap<K, R> {
    fn resize(&mut self, slots: usize) {
        self.slots.resize_with(slots, KeyRows::default);
    }

    fn is_kept(&self, slot: u32) -> bool {
        !self.is_empty(slot)
    }

    fn reset(&mut self, slot: u32) {
        self.clear(slot);
    }

    fn bytes(&self) -> StateBytes {
        let (changed, notes) = self.changed_bytes();
        StateBytes {
            columns: self.slots.capacity() * size_of::<KeyRows<K::Part, R::Part>>(),
            rows: 0,
            values: self.bytes + notes,
            changed_values: changed + notes,
        }
    }

    fn stores(&mut self) -> Vec<&mut dyn RowStore> {
        vec![self]
    }
}
