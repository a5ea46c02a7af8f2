//! Moves cold keys of a table of state to local disk when the job's state takes more memory than its budget, and back when a row
//! of theirs comes. What a key's state is only the table knows ([`Spillable`]); which keys go, and when, is decided here.
//! A key goes as a whole, and only when the checkpoint has it as it is, so that snapshots never look here.

use std::path::PathBuf;

use super::budget::{MemoryBudget, MemorySlot};
use super::cold::ColdTable;
use super::key_table::KeyTable;
use crate::error::{Error, Result};

/// Least and most bytes of state that go to disk in one write.
const WRITTEN_BYTES: (u64, u64) = (64 << 10, 4 << 20);

/// Keys on disk that are looked at for their time to live at each snapshot, about.
const SWEPT_KEYS: usize = 16_384;

/// What a table holds in memory.
#[derive(Debug, Clone, Copy, Default)]
pub struct Held {
    /// Bytes in use; room that keys left behind, which others are given, is not.
    pub bytes: u64,
    /// Those of them that the next checkpoint must have.
    pub unsaved_bytes: u64,
    /// How many keys changed since the last snapshot.
    pub unsaved_keys: usize,
}

/// A key's state on its way back.
#[derive(Debug, Clone, Copy)]
pub struct ColdKey<'a> {
    /// The key.
    pub key: &'a [u8],
    /// When it was touched last, if it has a time to live.
    pub touched_ms: i64,
    /// What [`Spillable::copy`] gave.
    pub state: &'a [u8],
}

impl<'a> ColdKey<'a> {
    fn of_row(key: &'a [u8], row: &'a [u8]) -> Option<Self> {
        let (touched_ms, state) = row.split_first_chunk::<8>()?;
        Some(Self { key, touched_ms: i64::from_le_bytes(*touched_ms), state })
    }
}

/// State by key of which cold keys can go to disk.
pub trait Spillable {
    /// Whose state it is: `a materialisation`.
    fn owner(&self) -> &'static str;

    /// The keys in memory; their numbers are the slots below.
    fn keys(&self) -> &KeyTable;

    /// What is held.
    fn held(&self) -> Held;

    /// Whether a slot's key may go now. One that was touched since the last call loses the mark and stays this time.
    fn is_cold(&mut self, slot: u32) -> bool;

    /// Adds the state of keys to their rows, for [`Self::put_back`] of this run. Nothing changes.
    ///
    /// # Errors
    /// An internal error.
    fn copy(&mut self, slots: &[u32], rows: &mut [Vec<u8>]) -> Result<()>;

    /// When the key was touched last, if it has a time to live.
    fn touched_ms(&self, slot: u32) -> i64;

    /// Drops keys from memory, which are on disk now.
    fn vacate(&mut self, slots: &[u32]);

    /// Takes keys in that are not in memory, and gives their slots.
    ///
    /// # Errors
    /// The state was not written by this operator.
    fn put_back(&mut self, keys: &[ColdKey<'_>]) -> Result<Vec<u32>>;
}

/// The cold keys of one table of an operator in one task.
#[derive(Debug)]
pub struct Spill {
    folder: PathBuf,
    memory: MemorySlot,
    /// Made when it is needed first.
    table: Option<ColdTable>,
    /// Keys that are only on disk.
    keys: u64,
    /// Slot at which the search for cold ones goes on.
    hand: u32,
    /// Place at which the search for expired ones goes on.
    sweep: u64,
    /// Keys that are gone, of which there may be old rows on disk.
    gone: Vec<Box<[u8]>>,
}

impl Spill {
    /// One that makes its files in `folder`, which is its own.
    pub fn new(folder: PathBuf, budget: &MemoryBudget) -> Self {
        Self { folder, memory: budget.slot(), table: None, keys: 0, hand: 0, sweep: 0, gone: Vec::new() }
    }

    /// Keys on disk.
    pub fn keys(&self) -> u64 {
        self.keys
    }

    /// Bytes on disk.
    pub fn disk_bytes(&self) -> u64 {
        self.table.as_ref().map_or(0, ColdTable::bytes)
    }

    /// Bytes that the operator held when it said so last, what a copy of what was unsaved then takes, and what is needed to find
    /// what is on disk.
    pub fn memory_bytes(&self) -> u64 {
        self.memory.bytes()
    }

    /// Notes what the operator holds and, while it is too much, lets cold keys go. With `thorough` also when almost all keys
    /// wait for the next checkpoint: the search would find few and is not made after every batch.
    ///
    /// # Errors
    /// The disk takes no more; everything is still in memory.
    pub fn make_room(&mut self, state: &mut impl Spillable, thorough: bool) -> Result<()> {
        loop {
            let held = state.held();
            // The next snapshot copies what is unsaved: there must be room for that as well.
            let bytes = held.bytes + held.unsaved_bytes + self.table.as_ref().map_or(0, ColdTable::memory_bytes);
            self.memory.set(bytes, held.unsaved_bytes);
            let excess = self.memory.excess();
            if excess == 0 {
                return Ok(());
            }
            let keys = state.keys().len();
            let saved = keys.saturating_sub(held.unsaved_keys);
            if saved == 0 || !thorough && saved < keys / 8 {
                return Ok(());
            }
            // A little more than the excess goes, so that not every batch has to write.
            let limit = self.memory.budget().limit();
            let key_bytes = (held.bytes / keys as u64).max(1);
            let written = (limit / 32).clamp(WRITTEN_BYTES.0, WRITTEN_BYTES.1) / key_bytes + 1;
            let wanted = ((excess + limit / 32) / key_bytes + 1).min(written);
            let slots = self.cold_slots(state, usize::try_from(wanted).unwrap_or(usize::MAX));
            if slots.is_empty() {
                return Ok(());
            }
            self.let_go(state, &slots)?;
        }
    }

    /// Slots that were not touched since the hand came by last (second chance), at most so many.
    fn cold_slots(&mut self, state: &mut impl Spillable, wanted: usize) -> Vec<u32> {
        let slots = state.keys().slots() as u32;
        let mut cold = Vec::new();
        // In a first round all may have been touched.
        for _ in 0..2 {
            for _ in 0..slots {
                if cold.len() == wanted {
                    return cold;
                }
                self.hand = if self.hand >= slots { 0 } else { self.hand };
                if state.keys().contains(self.hand) && state.is_cold(self.hand) {
                    cold.push(self.hand);
                }
                self.hand += 1;
            }
            if !cold.is_empty() {
                break;
            }
        }
        cold
    }

    fn let_go(&mut self, state: &mut impl Spillable, slots: &[u32]) -> Result<()> {
        let mut rows: Vec<Vec<u8>> = slots.iter().map(|slot| state.touched_ms(*slot).to_le_bytes().to_vec()).collect();
        state.copy(slots, &mut rows)?;
        blocking(|| {
            let table = match &mut self.table {
                Some(table) => table,
                None => self.table.insert(ColdTable::open(&self.folder)?),
            };
            let keys = state.keys();
            // The keys that are gone first: one of them may have come again since.
            let gone = std::mem::take(&mut self.gone);
            table.put_many(gone.iter().filter(|key| keys.find(key).is_none()).map(|key| (&**key, None)))?;
            table.put_many(slots.iter().zip(&rows).map(|(slot, row)| (keys.key(*slot), Some(row.as_slice()))))
        })?;
        self.keys += slots.len() as u64;
        state.vacate(slots);
        #[cfg(test)]
        note_spilled(state.owner(), slots.len());
        Ok(())
    }

    /// Takes back what is on disk of these keys, any of which may be there several times, in memory, or nowhere.
    ///
    /// # Errors
    /// The disk cannot be read.
    pub fn bring_back<'a>(&mut self, state: &mut impl Spillable, keys: impl Iterator<Item = &'a [u8]>) -> Result<()> {
        if self.keys == 0 {
            return Ok(());
        }
        let mut keys: Vec<&[u8]> = keys.filter(|key| state.keys().find(key).is_none()).collect();
        keys.sort_unstable();
        keys.dedup();
        let Some(table) = &mut self.table else { return Ok(()) };
        let found = blocking(|| {
            remove_gone(table, &mut self.gone)?;
            table.get_many(&keys)
        })?;
        let rows = keys.iter().zip(&found).filter_map(|(key, row)| Some((*key, row.as_deref()?)));
        self.put_back(state, rows).map(drop)
    }

    /// Takes back some of the keys on disk that were not touched since `before_ms`, and gives their slots: the operator forgets them.
    ///
    /// # Errors
    /// The disk cannot be read.
    pub fn expired(&mut self, state: &mut impl Spillable, before_ms: i64) -> Result<Vec<u32>> {
        let keys_on_disk = self.keys;
        let Some(table) = self.table.as_mut().filter(|_| keys_on_disk > 0) else { return Ok(Vec::new()) };
        let mut found: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        self.sweep = blocking(|| {
            remove_gone(table, &mut self.gone)?;
            table.scan(self.sweep, SWEPT_KEYS, |key, row| {
                // What is in memory has an old row here.
                if ColdKey::of_row(key, row).is_some_and(|cold| cold.touched_ms <= before_ms)
                    && state.keys().find(key).is_none()
                {
                    found.push((key.to_vec(), row.to_vec()));
                }
            })
        })?
        .unwrap_or(0);
        self.put_back(state, found.iter().map(|(key, row)| (key.as_slice(), row.as_slice())))
    }

    fn put_back<'a>(
        &mut self,
        state: &mut impl Spillable,
        rows: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    ) -> Result<Vec<u32>> {
        let keys = rows.map(|(key, row)| ColdKey::of_row(key, row)).collect::<Option<Vec<_>>>();
        let damaged = || Error::internal(format!("state of {} that was spilled to disk cannot be read", state.owner()));
        let keys = keys.ok_or_else(damaged)?;
        self.keys = self.keys.saturating_sub(keys.len() as u64);
        state.put_back(&keys)
    }

    /// A key is gone for good: what there may be of it on disk must never come back.
    pub fn forget(&mut self, key: &[u8]) {
        if self.table.as_ref().is_some_and(|table| table.may_contain(key)) {
            self.gone.push(key.into());
        }
    }
}

/// Removes the rows of keys that are gone.
fn remove_gone(table: &mut ColdTable, gone: &mut Vec<Box<[u8]>>) -> Result<()> {
    if gone.is_empty() {
        return Ok(());
    }
    gone.sort_unstable();
    gone.dedup();
    table.put_many(gone.iter().map(|key| (&**key, None)))?;
    gone.clear();
    Ok(())
}

/// Lets the other tasks of this thread go on elsewhere meanwhile, where the runtime can do that.
fn blocking<T>(work: impl FnOnce() -> T) -> T {
    use tokio::runtime::{Handle, RuntimeFlavor};
    match Handle::try_current() {
        Ok(handle) if handle.runtime_flavor() == RuntimeFlavor::MultiThread => tokio::task::block_in_place(work),
        _ => work(),
    }
}

/// By whose state it was, how many keys have gone to disk in this process.
#[cfg(test)]
pub static SPILLED: parking_lot::Mutex<std::collections::BTreeMap<&'static str, usize>> =
    parking_lot::Mutex::new(std::collections::BTreeMap::new());

#[cfg(test)]
fn note_spilled(owner: &'static str, keys: usize) {
    *SPILLED.lock().entry(owner).or_default() += keys;
}

/// Puts bytes behind others, with their length.
pub fn put(bytes: &mut Vec<u8>, part: &[u8]) {
    bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
    bytes.extend_from_slice(part);
}

/// Takes what [`put`] put.
pub fn take<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, rest) = bytes.split_first_chunk::<8>()?;
    let (part, rest) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
    *bytes = rest;
    Some(part)
}
