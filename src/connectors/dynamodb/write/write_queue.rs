//! Decides which writes may go out next, and which sequence numbers are done. Pure and synchronous: it sends nothing, and knows
//! neither DynamoDB nor time. The one thing to get right: a write that was replaced by a newer one of its key counts as
//! done only when the newer one is, and a key never has two writes on their way.

use std::collections::{BTreeMap, VecDeque};
use std::hash::{BuildHasher, Hash};

use hashbrown::hash_table::Entry;
use hashbrown::{DefaultHashBuilder, HashTable};
use slab::Slab;

/// Writes waiting and on their way, at most one of each for a key. A key has a slot from its first write to the end of its last;
/// it is looked for in the table at these two times only.
#[derive(Debug)]
pub struct WriteQueue<K, C> {
    /// The slots' numbers, by the hashes of their keys.
    index: HashTable<usize>,
    hasher: DefaultHashBuilder,
    slots: Slab<Slot<K, C>>,
    /// Slots with a waiting write and none on its way, oldest first.
    ready: VecDeque<usize>,
    /// For each sequence number that is the oldest one some write owes: how many writes owe it.
    owed: BTreeMap<u64, usize>,
    last_sequence: u64,
    /// Whether more rows of the last write may come.
    is_sequence_open: bool,
    /// Writes waiting or on their way.
    outstanding: usize,
}

#[derive(Debug)]
struct Slot<K, C> {
    key: K,
    hash: u64,
    waiting: Option<Write<C>>,
    sent: Option<Write<C>>,
    /// Failures of its writes in a row.
    failures: u32,
}

#[derive(Debug)]
struct Write<C> {
    change: C,
    bytes: usize,
    /// The oldest sequence number that waits for this write: its own, or that of a write it replaced.
    oldest_sequence: u64,
}

impl<K: Eq + Hash, C: Clone> Default for WriteQueue<K, C> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Eq + Hash, C: Clone> WriteQueue<K, C> {
    /// Nothing waits, no sequence number was given.
    pub fn new() -> Self {
        Self {
            index: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
            slots: Slab::new(),
            ready: VecDeque::new(),
            owed: BTreeMap::new(),
            last_sequence: 0,
            is_sequence_open: false,
            outstanding: 0,
        }
    }

    /// Gives the next sequence number; the rows of it are pushed until [`Self::end_sequence`].
    pub fn begin_sequence(&mut self) -> u64 {
        self.last_sequence += 1;
        self.is_sequence_open = true;
        self.last_sequence
    }

    /// All rows under the last sequence number were pushed; before this it cannot be done.
    pub fn end_sequence(&mut self) {
        self.is_sequence_open = false;
    }

    /// The last sequence number given.
    pub fn last_sequence(&self) -> u64 {
        self.last_sequence
    }

    /// Highest sequence number all of whose writes are durable.
    pub fn acknowledged(&self) -> u64 {
        let complete = self.last_sequence - u64::from(self.is_sequence_open);
        self.owed.keys().next().map_or(complete, |oldest| oldest - 1)
    }

    /// Writes waiting or on their way.
    pub fn outstanding(&self) -> usize {
        self.outstanding
    }

    /// Adds a write under the last sequence number given. A waiting write of the same key is replaced.
    pub fn push(&mut self, key: K, change: C, bytes: usize) {
        let sequence = self.last_sequence;
        let hash = self.hasher.hash_one(&key);
        let slots = &mut self.slots;
        let number = match self.index.entry(hash, |number| slots[*number].key == key, |number| slots[*number].hash) {
            Entry::Occupied(entry) => *entry.get(),
            Entry::Vacant(entry) => {
                let number = slots.insert(Slot { key, hash, waiting: None, sent: None, failures: 0 });
                entry.insert(number);
                number
            }
        };
        let slot = &mut slots[number];
        if let Some(waiting) = &mut slot.waiting {
            // The replaced write's sequence number is owed by this one from now on: `oldest_sequence` stays.
            waiting.change = change;
            waiting.bytes = bytes;
            return;
        }
        slot.waiting = Some(Write { change, bytes, oldest_sequence: sequence });
        *self.owed.entry(sequence).or_default() += 1;
        self.outstanding += 1;
        if slot.sent.is_none() {
            self.ready.push_back(number);
        }
    }

    /// Takes the writes of the next request, each with the number of its slot: at most `items_max`, together at most `bytes_max`
    /// (but always one).
    pub fn next_batch(&mut self, items_max: usize, bytes_max: usize) -> Vec<(usize, C)> {
        let mut batch = Vec::new();
        let mut bytes = 0;
        while batch.len() < items_max {
            let Some(number) = self.ready.front().copied() else { break };
            let slot = &mut self.slots[number];
            let waiting = slot.waiting.take().expect("a ready slot has a waiting write");
            if !batch.is_empty() && bytes + waiting.bytes > bytes_max {
                slot.waiting = Some(waiting);
                break;
            }
            bytes += waiting.bytes;
            self.ready.pop_front();
            batch.push((number, waiting.change.clone()));
            slot.sent = Some(waiting);
        }
        batch
    }

    /// The key of a slot whose write is on its way.
    pub fn key(&self, slot: usize) -> &K {
        &self.slots[slot].key
    }

    /// The write of this slot that is on its way is durable.
    pub fn succeed(&mut self, number: usize) {
        let slot = &mut self.slots[number];
        let Some(sent) = slot.sent.take() else { return };
        slot.failures = 0;
        if slot.waiting.is_some() {
            self.ready.push_back(number);
        } else {
            let hash = slot.hash;
            if let Ok(entry) = self.index.find_entry(hash, |other| *other == number) {
                entry.remove();
            }
            self.slots.remove(number);
        }
        self.release(sent.oldest_sequence);
    }

    /// Notes a failure of this slot's write, which stays on its way; gives the number of failures in a row.
    pub fn count_failure(&mut self, number: usize) -> u32 {
        let slot = &mut self.slots[number];
        slot.failures = slot.failures.saturating_add(1);
        slot.failures
    }

    /// The write of this slot failed and is to be sent again; if a newer one waits, that goes in its stead.
    pub fn retry(&mut self, number: usize) {
        let slot = &mut self.slots[number];
        let Some(sent) = slot.sent.take() else { return };
        match &mut slot.waiting {
            Some(waiting) => {
                let newer = std::mem::replace(&mut waiting.oldest_sequence, sent.oldest_sequence);
                self.release(newer);
            }
            None => slot.waiting = Some(sent),
        }
        self.ready.push_back(number);
    }

    fn release(&mut self, sequence: u64) {
        self.outstanding -= 1;
        if let Some(count) = self.owed.get_mut(&sequence) {
            *count -= 1;
            if *count == 0 {
                self.owed.remove(&sequence);
            }
        }
    }
}

#[cfg(test)]
mod tests;
