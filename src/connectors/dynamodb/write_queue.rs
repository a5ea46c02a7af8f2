//! Decides which writes may go out next, and which tickets are done. Pure and synchronous: it sends nothing, and knows
//! neither DynamoDB nor time. The one thing to get right: a write that was replaced by a newer one of its key counts as
//! done only when the newer one is, and a key never has two writes on their way.

use std::collections::{BTreeMap, VecDeque};
use std::hash::Hash;

use hashbrown::HashMap;
use hashbrown::hash_map::EntryRef;

/// Writes waiting and on their way, at most one of each for a key.
#[derive(Debug)]
pub struct WriteQueue<K, C> {
    slots: HashMap<K, Slot<C>>,
    /// Keys with a waiting write and none on its way, oldest first.
    ready: VecDeque<K>,
    /// For each ticket that is the oldest one some write owes: how many writes owe it.
    owed: BTreeMap<u64, usize>,
    last_ticket: u64,
    /// Whether more rows of the last ticket may come.
    is_ticket_open: bool,
    /// Writes waiting or on their way.
    outstanding: usize,
}

#[derive(Debug)]
struct Slot<C> {
    waiting: Option<Write<C>>,
    sent: Option<Write<C>>,
    /// Failures of this key's writes in a row.
    failures: u32,
}

#[derive(Debug)]
struct Write<C> {
    change: C,
    bytes: usize,
    /// The oldest ticket that waits for this write: its own, or that of a write it replaced.
    oldest_ticket: u64,
}

impl<K: Clone + Eq + Hash, C: Clone> Default for WriteQueue<K, C> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Clone + Eq + Hash, C: Clone> WriteQueue<K, C> {
    /// Nothing waits, no ticket was given.
    pub fn new() -> Self {
        Self {
            slots: HashMap::new(),
            ready: VecDeque::new(),
            owed: BTreeMap::new(),
            last_ticket: 0,
            is_ticket_open: false,
            outstanding: 0,
        }
    }

    /// Gives the next ticket; the rows of it are pushed until [`Self::end_ticket`].
    pub fn begin_ticket(&mut self) -> u64 {
        self.last_ticket += 1;
        self.is_ticket_open = true;
        self.last_ticket
    }

    /// All rows of the last ticket were pushed; before this it cannot be done.
    pub fn end_ticket(&mut self) {
        self.is_ticket_open = false;
    }

    /// The last ticket given.
    pub fn last_ticket(&self) -> u64 {
        self.last_ticket
    }

    /// Highest ticket all of whose writes are durable.
    pub fn acknowledged(&self) -> u64 {
        let complete = self.last_ticket - u64::from(self.is_ticket_open);
        self.owed.keys().next().map_or(complete, |oldest| oldest - 1)
    }

    /// Writes waiting or on their way.
    pub fn outstanding(&self) -> usize {
        self.outstanding
    }

    /// Adds a write under the last ticket given. A waiting write of the same key is replaced.
    pub fn push(&mut self, key: K, change: C, bytes: usize) {
        let ticket = self.last_ticket;
        let slot = self.slots.entry(key.clone()).or_insert_with(|| Slot { waiting: None, sent: None, failures: 0 });
        if let Some(waiting) = &mut slot.waiting {
            // The replaced write's ticket is owed by this one from now on: `oldest_ticket` stays.
            waiting.change = change;
            waiting.bytes = bytes;
            return;
        }
        slot.waiting = Some(Write { change, bytes, oldest_ticket: ticket });
        *self.owed.entry(ticket).or_default() += 1;
        self.outstanding += 1;
        if slot.sent.is_none() {
            self.ready.push_back(key);
        }
    }

    /// Takes the writes of the next request: at most `items_max`, together at most `bytes_max` (but always one).
    pub fn next_batch(&mut self, items_max: usize, bytes_max: usize) -> Vec<(K, C)> {
        let mut batch = Vec::new();
        let mut bytes = 0;
        while batch.len() < items_max {
            let Some(key) = self.ready.front() else { break };
            let slot = self.slots.get_mut(key).expect("a ready key has a slot");
            let waiting = slot.waiting.take().expect("a ready key has a waiting write");
            if !batch.is_empty() && bytes + waiting.bytes > bytes_max {
                slot.waiting = Some(waiting);
                break;
            }
            bytes += waiting.bytes;
            let key = self.ready.pop_front().expect("there is a front");
            batch.push((key, waiting.change.clone()));
            slot.sent = Some(waiting);
        }
        batch
    }

    /// The write of this key that is on its way is durable.
    pub fn succeed(&mut self, key: &K) {
        let EntryRef::Occupied(mut entry) = self.slots.entry_ref(key) else { return };
        let slot = entry.get_mut();
        let Some(sent) = slot.sent.take() else { return };
        slot.failures = 0;
        if slot.waiting.is_some() {
            self.ready.push_back(key.clone());
        } else {
            entry.remove();
        }
        self.release(sent.oldest_ticket);
    }

    /// Notes a failure of this key's write, which stays on its way; gives the number of failures in a row.
    pub fn count_failure(&mut self, key: &K) -> u32 {
        self.slots.get_mut(key).map_or(0, |slot| {
            slot.failures = slot.failures.saturating_add(1);
            slot.failures
        })
    }

    /// The write of this key failed and is to be sent again; if a newer one waits, that goes in its stead.
    pub fn retry(&mut self, key: &K) {
        let Some(slot) = self.slots.get_mut(key) else { return };
        let Some(sent) = slot.sent.take() else { return };
        match &mut slot.waiting {
            Some(waiting) => {
                let newer = std::mem::replace(&mut waiting.oldest_ticket, sent.oldest_ticket);
                self.release(newer);
            }
            None => slot.waiting = Some(sent),
        }
        self.ready.push_back(key.clone());
    }

    fn release(&mut self, ticket: u64) {
        self.outstanding -= 1;
        if let Some(count) = self.owed.get_mut(&ticket) {
            *count -= 1;
            if *count == 0 {
                self.owed.remove(&ticket);
            }
        }
    }
}

#[cfg(test)]
mod tests;
