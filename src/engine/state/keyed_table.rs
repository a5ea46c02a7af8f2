//! The one keyed table of state. It owns what all state by key has in common: the keys and their slots, which of them changed since
//! the last snapshot, which wait for the next flush, when each was touched, forgetting what is over, the changes for the checkpoint,
//! taking stored rows up, moving cold keys to disk and back, and the account of memory. What is kept of a key is a [`KeyedState`].
//!
//! A slot is a number, so that state may be columns over slots and a batch may be worked on column by column. It stays as long as
//! the key is here; a key that is gone keeps it until the next snapshot has told the checkpoint. Call [`KeyedTable::prepare`]
//! before a batch and [`KeyedTable::make_room`] behind it: in between no key goes to disk, and no slot changes its key.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, BooleanArray, Int64Array, UInt32Array};
use datafusion::arrow::compute::take;
use datafusion::arrow::datatypes::Int64Type;
use datafusion::arrow::record_batch::RecordBatch;

use super::encoded::{Codec, EncodedRows};
use super::key_table::KeyTable;
use super::keyed_state::{KeyedState, RowStore};
use super::layout::{Layout, Place};
use super::spill::{ColdKey, Held, Spill, Spillable};
use super::{StateSize, TableDelta};
use crate::clock::Clock;
use crate::error::{Error, Result};

/// So many keys are looked at for their time to live at each snapshot, at most.
const SWEPT_KEYS_MAX: usize = 65_536;

/// The key was touched since the last snapshot.
const CHANGED: u8 = 1;
/// It waits for the next flush.
const HELD: u8 = 2;
/// It was touched since the search for cold keys came by.
const TOUCHED: u8 = 4;
/// Its row was deleted by what was restored so far; only while state is restored.
const GONE: u8 = 8;

/// See the module.
pub struct KeyedTable<S> {
    /// What is kept of the keys. Whoever changes it touches the key as well.
    pub state: S,
    layout: Layout,
    codec: Codec,
    keys: KeyTable,
    flags: Vec<u8>,
    /// When a row touched the key last; only with a time to live.
    touched_ms: Vec<i64>,
    /// Keys touched since the last snapshot.
    changed: Vec<u32>,
    /// Keys touched since the last flush, in order, and how many of them the flush that is under way has given out.
    pending: Vec<u32>,
    given_out: usize,
    /// Bytes that the operator keeps beside until the flush.
    beside_bytes: u64,
    state_ttl_ms: Option<i64>,
    clock: Arc<dyn Clock>,
    /// Slot at which the next sweep begins.
    sweep: usize,
    restoring: bool,
    spill: Option<Spill>,
}

impl<S: KeyedState> KeyedTable<S> {
    /// An empty table. A key that nothing touched for `state_ttl_ms` is forgotten; then the layout must have a place for the
    /// time of the last touch.
    ///
    /// # Errors
    /// A key's type that cannot be compared; an internal error.
    pub fn new(layout: Layout, state: S, state_ttl_ms: Option<u64>, clock: Arc<dyn Clock>) -> Result<Self> {
        if state_ttl_ms.is_some() && layout.touched_at().is_none() {
            return Err(Error::internal(format!(
                "the state of {} does not store when keys were touched",
                layout.owner()
            )));
        }
        Ok(Self {
            state,
            codec: Codec::new(&layout.key_types())?,
            layout,
            keys: KeyTable::default(),
            flags: Vec::new(),
            touched_ms: Vec::new(),
            changed: Vec::new(),
            pending: Vec::new(),
            given_out: 0,
            beside_bytes: 0,
            state_ttl_ms: state_ttl_ms.map(|ttl_ms| i64::try_from(ttl_ms).unwrap_or(i64::MAX)),
            clock,
            sweep: 0,
            restoring: false,
            spill: None,
        })
    }

    /// Lets cold keys go to disk when the job's state takes more than its budget.
    #[must_use]
    pub fn spilling_to(self, spill: Spill) -> Self {
        Self { spill: Some(spill), ..self }
    }

    /// How keys are encoded for [`Self::find`] and [`Self::intern`].
    pub fn codec(&self) -> &Codec {
        &self.codec
    }

    /// Before a batch of so many rows: takes their keys back from disk, where they are there.
    ///
    /// # Errors
    /// The disk cannot be read.
    pub fn prepare(&mut self, rows: usize, keys: &EncodedRows) -> Result<()> {
        self.finish_restore();
        self.revive(rows, keys)
    }

    /// After a batch or a flush: lets cold keys go while the job's state takes too much memory.
    ///
    /// # Errors
    /// The disk takes no more.
    pub fn make_room(&mut self) -> Result<()> {
        self.with_spill(|spill, table| spill.make_room(table, false))
    }

    /// The time that [`Self::touch`] and [`Self::expires`] want; 0 where nothing expires.
    pub fn now_ms(&self) -> i64 {
        if self.state_ttl_ms.is_some() { self.clock.now_ms() } else { 0 }
    }

    /// The slot of a key.
    #[inline]
    pub fn find(&self, key: &[u8]) -> Option<u32> {
        self.keys.find(key)
    }

    /// The slot of a key, an empty one if it is new; whether it is.
    #[inline]
    pub fn intern(&mut self, key: &[u8]) -> (u32, bool) {
        let (slot, new) = self.keys.intern(key);
        if new {
            self.add_room();
        }
        (slot, new)
    }

    fn add_room(&mut self) {
        let slots = self.keys.slots();
        if self.flags.len() < slots {
            self.flags.resize(slots, 0);
            if self.state_ttl_ms.is_some() {
                self.touched_ms.resize(slots, 0);
            }
            self.state.resize(slots);
        }
    }

    /// Columns of the keys of slots.
    ///
    /// # Errors
    /// An internal error.
    pub fn keys_of(&self, slots: &[u32]) -> Result<Vec<ArrayRef>> {
        self.codec.decode(slots.iter().map(|slot| self.keys.key(*slot)))
    }

    /// Notes that a key's state changes.
    #[inline]
    pub fn touch(&mut self, slot: u32, now_ms: i64) {
        if self.state_ttl_ms.is_some() {
            self.touched_ms[slot as usize] = now_ms;
        }
        let flags = &mut self.flags[slot as usize];
        if *flags & CHANGED == 0 {
            self.changed.push(slot);
        }
        *flags |= CHANGED | TOUCHED;
    }

    /// Notes that a key's state changes, and that the next flush gives it out.
    #[inline]
    pub fn touch_held(&mut self, slot: u32, now_ms: i64) {
        if self.state_ttl_ms.is_some() {
            self.touched_ms[slot as usize] = now_ms;
        }
        let flags = &mut self.flags[slot as usize];
        if *flags & HELD == 0 {
            self.pending.push(slot);
        }
        if *flags & CHANGED == 0 {
            self.changed.push(slot);
        }
        *flags |= HELD | CHANGED | TOUCHED;
    }

    /// Keys that wait to be given out, in the order in which they were touched first.
    #[inline]
    pub fn pending(&self) -> &[u32] {
        &self.pending[self.given_out..]
    }

    /// The first of the pending keys are given out.
    pub fn give_out(&mut self, keys: usize) {
        for slot in &self.pending[self.given_out..self.given_out + keys] {
            self.flags[*slot as usize] &= !HELD;
        }
        self.given_out += keys;
        if self.given_out == self.pending.len() {
            self.pending.clear();
            self.given_out = 0;
        }
    }

    /// Counts bytes that the operator keeps beside the table until the flush.
    pub fn count_beside(&mut self, bytes: u64) {
        self.beside_bytes = bytes;
    }

    /// Whether a key outlived its time; one that waits for the flush does not.
    #[inline]
    pub fn expires(&self, slot: u32, now_ms: i64) -> bool {
        self.state_ttl_ms.is_some_and(|ttl_ms| self.is_over(slot, now_ms.saturating_sub(ttl_ms)))
    }

    fn is_over(&self, slot: u32, before_ms: i64) -> bool {
        self.last_touch(slot) <= before_ms && self.flags[slot as usize] & HELD == 0 && self.state.is_kept(slot)
    }

    fn last_touch(&self, slot: u32) -> i64 {
        match self.state_ttl_ms {
            Some(_) => self.touched_ms[slot as usize],
            None => self.state.newest_ms(slot).unwrap_or(0),
        }
    }

    /// Empties a key without telling the operators downstream.
    pub fn forget(&mut self, slot: u32) {
        self.state.reset(slot);
        let flags = &mut self.flags[slot as usize];
        if *flags & CHANGED == 0 {
            *flags |= CHANGED;
            self.changed.push(slot);
        }
    }

    /// Forgets keys that were touched last at a time or earlier, a bounded number of them, on disk too. A table with a time to live
    /// does that itself at each snapshot; one whose rows have times is told by its operator what is over.
    ///
    /// # Errors
    /// The disk cannot be read.
    pub fn sweep(&mut self, before_ms: i64) -> Result<()> {
        self.finish_restore();
        let slots = self.keys.slots();
        for _ in 0..slots.min(SWEPT_KEYS_MAX) {
            self.sweep = if self.sweep >= slots { 0 } else { self.sweep };
            let slot = self.sweep as u32;
            if self.keys.contains(slot) && self.is_over(slot, before_ms) {
                self.forget(slot);
            }
            self.sweep += 1;
        }
        for slot in self.with_spill(|spill, table| spill.expired(table, before_ms))? {
            self.forget(slot);
        }
        Ok(())
    }

    /// What changed since the last snapshot. Keys of which nothing is left are told once, then their slots are free.
    ///
    /// # Errors
    /// Keys wait for a flush, or another internal error; the disk takes no more, or cannot be read.
    pub fn snapshot(&mut self) -> Result<Vec<TableDelta>> {
        self.finish_restore();
        if !self.pending().is_empty() {
            let owner = self.layout.owner();
            return Err(Error::internal(format!("{owner} was asked for its state before it was flushed")));
        }
        if let Some(ttl_ms) = self.state_ttl_ms {
            self.sweep(self.clock.now_ms().saturating_sub(ttl_ms))?;
        }
        let changed = std::mem::take(&mut self.changed);
        for slot in &changed {
            if !self.state.is_kept(*slot) {
                self.state.reset(*slot);
            }
        }
        let deltas = self.deltas(&changed)?;
        for slot in changed {
            self.flags[slot as usize] &= !CHANGED;
            if !self.state.is_kept(slot) {
                self.remove(slot);
            }
        }
        self.with_spill(|spill, table| spill.make_room(table, true))?;
        Ok(deltas)
    }

    fn deltas(&mut self, changed: &[u32]) -> Result<Vec<TableDelta>> {
        let mut deltas = Vec::new();
        if let Some(table) = self.layout.row()
            && !changed.is_empty()
        {
            let deleted: Vec<bool> = changed.iter().map(|slot| !self.state.is_kept(*slot)).collect();
            let columns = self.row_columns(changed, &deleted)?;
            deltas.push(table.delta(self.keys_of(changed)?, deleted, columns)?);
        }
        let changes = self.state.stores().into_iter().map(RowStore::take_changes).collect::<Result<Vec<_>>>()?;
        for (table, changes) in self.layout.stores().iter().zip(changes) {
            if !changes.slots.is_empty() {
                deltas.push(table.delta(self.keys_of(&changes.slots)?, changes.deleted, changes.columns)?);
            }
        }
        Ok(deltas)
    }

    /// The columns behind the key of the table with one row for each key, NULL where it is deleted.
    fn row_columns(&self, slots: &[u32], deleted: &[bool]) -> Result<Vec<ArrayRef>> {
        let mut columns = self.state.columns(slots)?;
        if let Some(place) = self.layout.touched_at() {
            let touched = slots.iter().map(|slot| self.touched_ms.get(*slot as usize).copied().unwrap_or(0));
            columns.insert(place, Arc::new(Int64Array::from_iter_values(touched)));
        }
        if !deleted.contains(&true) {
            return Ok(columns);
        }
        let kept: UInt32Array =
            deleted.iter().enumerate().map(|(row, deleted)| (!deleted).then_some(row as u32)).collect();
        Ok(columns.iter().map(|column| take(column, &kept, None)).collect::<Result<_, _>>()?)
    }

    /// A key is gone for good.
    fn remove(&mut self, slot: u32) {
        if let Some(spill) = &mut self.spill {
            spill.forget(self.keys.key(slot));
        }
        self.free(slot);
    }

    /// Gives the slot of a key back, which is empty.
    fn free(&mut self, slot: u32) {
        debug_assert_eq!(self.flags[slot as usize] & (HELD | CHANGED), 0);
        debug_assert!(!self.state.is_kept(slot));
        self.flags[slot as usize] = 0;
        self.keys.remove(slot);
    }

    /// Whether a stored table is one of these: an operator may have several keyed tables.
    pub fn keeps(&self, table: &str) -> bool {
        self.layout.find(table).is_some()
    }

    /// Takes up stored rows of a table, which may be restored in any order; those of one table in the order in which they were stored.
    ///
    /// # Errors
    /// There is no such table, or it was stored with other columns; the disk takes no more.
    pub fn restore(&mut self, table: &str, rows: &RecordBatch) -> Result<()> {
        let Some((place, stored)) = self.layout.find(table) else {
            let owner = self.layout.owner();
            return Err(Error::corrupt(format!("the checkpoint has state \"{table}\", which {owner} does not keep")));
        };
        let (keys, columns) = stored.columns(rows)?.split_at(self.layout.key_columns());
        self.restoring = true;
        let keys = self.codec.encode(keys)?;
        self.revive(rows.num_rows(), &keys)?;
        let deleted = rows.column(1).as_boolean();
        // A deleted row makes no key.
        let slot = |row: usize| match deleted.value(row) {
            true => self.keys.find(keys.row(row)),
            false => Some(self.intern(keys.row(row)).0),
        };
        let slots: Vec<Option<u32>> = (0..rows.num_rows()).map(slot).collect();
        match place {
            Place::Row => self.restore_rows(&slots, deleted, columns)?,
            Place::Store(store) => {
                self.state.stores()[store].restore(&slots, deleted, columns)?;
                if self.layout.row().is_none() {
                    self.note_gone(&slots);
                }
            }
        }
        self.with_spill(|spill, table| spill.make_room(table, true))
    }

    fn restore_rows(&mut self, slots: &[Option<u32>], deleted: &BooleanArray, columns: &[ArrayRef]) -> Result<()> {
        let mut kept = Vec::with_capacity(slots.len());
        let mut indices = Vec::with_capacity(slots.len());
        for (row, slot) in slots.iter().enumerate() {
            let Some(slot) = *slot else { continue };
            if !deleted.value(row) {
                self.flags[slot as usize] &= !GONE;
                kept.push(slot);
                indices.push(row as u32);
                continue;
            }
            if self.layout.stores().is_empty() {
                self.state.reset(slot);
                self.remove(slot);
            } else {
                // Its other rows say themselves what becomes of them.
                self.state.unset(slot);
                self.flags[slot as usize] |= GONE;
            }
        }
        let mut columns = columns.to_vec();
        if kept.len() < slots.len() {
            let indices = UInt32Array::from(indices);
            columns = columns.iter().map(|column| take(column, &indices, None)).collect::<Result<_, _>>()?;
        }
        if let Some(place) = self.layout.touched_at() {
            let touched = columns.remove(place);
            if self.state_ttl_ms.is_some() {
                for (slot, touched_ms) in kept.iter().zip(touched.as_primitive::<Int64Type>().values()) {
                    self.touched_ms[*slot as usize] = *touched_ms;
                }
            }
        }
        self.state.set_columns(&kept, &columns)
    }

    /// Where keys have no row of their own they are gone with their last one.
    fn note_gone(&mut self, slots: &[Option<u32>]) {
        for slot in slots.iter().flatten() {
            let gone = if self.state.is_kept(*slot) { 0 } else { GONE };
            let flags = &mut self.flags[*slot as usize];
            *flags = *flags & !GONE | gone;
        }
    }

    /// After the last stored row: drops what only deleted rows spoke of.
    fn finish_restore(&mut self) {
        if !std::mem::take(&mut self.restoring) {
            return;
        }
        for slot in 0..self.keys.slots() as u32 {
            if !self.keys.contains(slot) {
                continue;
            }
            self.flags[slot as usize] &= !GONE;
            self.state.settle(slot);
            if !self.state.is_kept(slot) {
                // The next snapshot deletes what is left of it and gives its slot back.
                self.forget(slot);
            }
        }
    }

    /// How much is kept; rows of stores are not counted as keys.
    pub fn state_size(&self) -> StateSize {
        let spilled = self.spill.as_ref();
        StateSize {
            keys: self.keys.len() as u64 + spilled.map_or(0, Spill::keys),
            memory_bytes: spilled.map_or_else(|| self.held().bytes, Spill::memory_bytes),
            spilled_bytes: spilled.map_or(0, Spill::disk_bytes),
        }
    }

    /// Works with both; nothing happens where there is no place for cold keys.
    fn with_spill<T: Default>(&mut self, work: impl FnOnce(&mut Spill, &mut Self) -> Result<T>) -> Result<T> {
        let Some(mut spill) = self.spill.take() else { return Ok(T::default()) };
        let result = work(&mut spill, self);
        self.spill = Some(spill);
        result
    }

    /// Takes the keys of so many rows back from disk.
    fn revive(&mut self, rows: usize, keys: &EncodedRows) -> Result<()> {
        if self.spill.as_ref().is_none_or(|spill| spill.keys() == 0) {
            return Ok(());
        }
        self.with_spill(|spill, table| spill.bring_back(table, (0..rows).map(|row| keys.row(row))))
    }

    fn take_back(&mut self, slots: &[u32], mut rests: Vec<&[u8]>) -> Result<Option<()>> {
        if self.state.put_back(slots, &mut rests)?.is_none() {
            return Ok(None);
        }
        for store in self.state.stores() {
            for (slot, rest) in slots.iter().zip(&mut rests) {
                let rows = super::spill::take(rest);
                if rows.and_then(|rows| store.put_rows_back(*slot, rows)).is_none() {
                    return Ok(None);
                }
            }
        }
        Ok(Some(()))
    }
}

impl<S: KeyedState> Spillable for KeyedTable<S> {
    fn owner(&self) -> &'static str {
        self.layout.owner()
    }

    fn keys(&self) -> &KeyTable {
        &self.keys
    }

    fn held(&self) -> Held {
        let (keys, slots) = (self.keys.len(), self.keys.slots().max(1));
        let state = self.state.bytes();
        let columns = self.keys.memory_bytes()
            + self.flags.capacity()
            + self.touched_ms.capacity() * size_of::<i64>()
            + (self.changed.capacity() + self.pending.capacity()) * size_of::<u32>()
            + state.columns;
        // What slots without a key take is there for keys to come.
        let of_keys = (columns as u128 * keys as u128 / slots as u128) as u64 + state.rows as u64;
        let unsaved = u128::from(of_keys) * self.changed.len() as u128 / keys.max(1) as u128;
        Held {
            bytes: of_keys + state.values as u64 + self.beside_bytes,
            unsaved_bytes: unsaved as u64 + state.changed_values as u64 + self.beside_bytes,
            unsaved_keys: self.changed.len(),
        }
    }

    fn is_cold(&mut self, slot: u32) -> bool {
        let flags = &mut self.flags[slot as usize];
        // While state is restored, rows of a key's stores may come before its own.
        if *flags & (HELD | CHANGED | GONE) != 0
            || self.layout.key_columns() == 0
            || !self.restoring && !self.state.is_settled(slot)
        {
            return false;
        }
        let was_touched = *flags & TOUCHED != 0;
        *flags &= !TOUCHED;
        !was_touched
    }

    fn copy(&mut self, slots: &[u32], rows: &mut [Vec<u8>]) -> Result<()> {
        self.state.copy(slots, rows)?;
        for store in self.state.stores() {
            for (slot, row) in slots.iter().zip(rows.iter_mut()) {
                let length_at = row.len();
                row.extend_from_slice(&[0; 8]);
                store.copy_rows(*slot, row);
                let length = (row.len() - length_at - 8) as u64;
                row[length_at..length_at + 8].copy_from_slice(&length.to_le_bytes());
            }
        }
        Ok(())
    }

    fn touched_ms(&self, slot: u32) -> i64 {
        self.last_touch(slot)
    }

    fn vacate(&mut self, slots: &[u32]) {
        for store in self.state.stores() {
            slots.iter().for_each(|slot| store.vacate(*slot));
        }
        for slot in slots {
            self.state.reset(*slot);
            self.free(*slot);
        }
    }

    fn put_back(&mut self, keys: &[ColdKey<'_>]) -> Result<Vec<u32>> {
        let mut slots = Vec::with_capacity(keys.len());
        for cold in keys {
            let (slot, _) = self.intern(cold.key);
            if self.state_ttl_ms.is_some() {
                self.touched_ms[slot as usize] = cold.touched_ms;
            }
            slots.push(slot);
        }
        let rests = keys.iter().map(|cold| cold.state).collect();
        let owner = self.layout.owner();
        let damaged = || Error::internal(format!("state of {owner} that was spilled to disk cannot be read"));
        self.take_back(&slots, rests)?.ok_or_else(damaged)?;
        for slot in &slots {
            self.state.settle(*slot);
            if !self.restoring && !self.state.is_kept(*slot) {
                // Rows whose key's row never came: as at the end of a restore.
                self.forget(*slot);
            }
        }
        Ok(slots)
    }
}

#[cfg(test)]
mod tests;
