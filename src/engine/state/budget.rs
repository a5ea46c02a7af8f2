//! How much memory a job's state may take: operators report what they hold, whoever holds cold rows spills when it is too much.
//! What changed since the last checkpoint cannot go: when that is a large part of the budget, the next one comes early, and
//! sources wait for it. Knows numbers only; what is moved to disk, and when, is decided in `spill`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

use crate::error::Result;
use crate::options::parse_memory_size;

/// Bytes of a job's state in memory unless it says otherwise (`state.memory.budget`).
pub const DEFAULT_BYTES: u64 = 1 << 30;

/// One of so many parts of the budget may wait for the next checkpoint before that comes at once.
const BARRIER_PART: u64 = 4;

/// Less than this is not worth a barrier.
const UNSAVED_BYTES_MIN: u64 = if cfg!(test) { 16 << 10 } else { 1 << 20 };

/// The memory of one job's state. Cheap to clone; all clones count together.
#[derive(Debug, Clone)]
pub struct MemoryBudget {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    limit: u64,
    used: AtomicU64,
    unsaved: AtomicU64,
    /// What is used, or kept free, for copies that checkpoints are written from, and cannot go to disk.
    copies: AtomicU64,
    slots: AtomicU64,
    /// Told when it begins, or ceases, to matter how much is unsaved.
    turned: Notify,
}

impl Default for MemoryBudget {
    fn default() -> Self {
        Self::new(DEFAULT_BYTES)
    }
}

impl MemoryBudget {
    /// A budget of `limit` bytes.
    pub fn new(limit: u64) -> Self {
        let inner = Inner {
            limit,
            used: AtomicU64::new(0),
            unsaved: AtomicU64::new(0),
            copies: AtomicU64::new(0),
            slots: AtomicU64::new(0),
            turned: Notify::new(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// A budget by its option's text.
    ///
    /// # Errors
    /// As [`parse_memory_size`].
    pub fn parse(text: &str) -> Result<Self> {
        Ok(Self::new(parse_memory_size(text)?))
    }

    /// A place for one operator's report.
    pub fn slot(&self) -> MemorySlot {
        self.inner.slots.fetch_add(1, Ordering::Relaxed);
        MemorySlot { budget: self.clone(), bytes: 0, unsaved: 0, spills: true }
    }

    /// A place for what takes room and cannot go to disk: the copies that a checkpoint is written from.
    pub fn loan(&self) -> MemorySlot {
        MemorySlot { budget: self.clone(), bytes: 0, unsaved: 0, spills: false }
    }

    /// Bytes that there are.
    pub fn limit(&self) -> u64 {
        self.inner.limit
    }

    /// Bytes that all slots report.
    pub fn used(&self) -> u64 {
        self.inner.used.load(Ordering::Relaxed)
    }

    /// Bytes that are used and not there, if what the next checkpoint copies is to find room as well.
    pub fn excess(&self) -> u64 {
        let state = self.used().saturating_sub(self.inner.copies.load(Ordering::Relaxed));
        (state + self.room_for_copies()).saturating_sub(self.limit())
    }

    /// Bytes that are kept for copies, at all times as many as there are when the next barrier comes. Keys that came into room which is
    /// free only after a barrier would have to go again before the next one, and the tables that grew for them would stay.
    fn room_for_copies(&self) -> u64 {
        self.inner.copies.load(Ordering::Relaxed).max(self.limit() / BARRIER_PART)
    }

    /// Whether so much waits for the next checkpoint, and must stay in memory until then, that it should be soon: a quarter.
    pub fn wants_barrier(&self) -> bool {
        self.unsaved() > (self.limit() / BARRIER_PART).max(UNSAVED_BYTES_MIN)
    }

    /// Whether so much waits for the next checkpoint that results should not be held back where another operator keeps state of them,
    /// so that this is counted before it is time for a barrier: an eighth of what makes that time.
    pub fn wants_results(&self) -> bool {
        self.unsaved() > (self.limit() / BARRIER_PART).max(UNSAVED_BYTES_MIN) / 8
    }

    /// Whether so much waits for the next checkpoint that nothing more should be read until then: half.
    pub fn is_full(&self) -> bool {
        self.unsaved() > (self.limit() / 2).max(2 * UNSAVED_BYTES_MIN)
    }

    /// Waits until a barrier should come.
    pub async fn barrier_wanted(&self) {
        self.until(Self::wants_barrier).await;
    }

    /// Waits until more can be read.
    pub async fn room(&self) {
        self.until(|budget| !budget.is_full()).await;
    }

    async fn until(&self, holds: impl Fn(&Self) -> bool) {
        loop {
            let turned = self.inner.turned.notified();
            tokio::pin!(turned);
            turned.as_mut().enable();
            if holds(self) {
                return;
            }
            turned.await;
        }
    }

    fn unsaved(&self) -> u64 {
        self.inner.unsaved.load(Ordering::Relaxed)
    }
}

/// What one operator holds. Gives it back when dropped.
#[derive(Debug)]
pub struct MemorySlot {
    budget: MemoryBudget,
    bytes: u64,
    unsaved: u64,
    spills: bool,
}

impl MemorySlot {
    /// Reports what is held now with room for a copy of what the next checkpoint must have, and the bytes of that copy.
    pub fn set(&mut self, bytes: u64, unsaved: u64) {
        let inner = &self.budget.inner;
        let change = |counter: &AtomicU64, before: u64, now: u64| {
            // Wraps where it shrinks: the sum over all slots does not.
            counter.fetch_add(now.wrapping_sub(before), Ordering::Relaxed);
        };
        change(&inner.used, self.bytes, bytes);
        match self.spills {
            true => change(&inner.copies, self.unsaved, unsaved),
            false => change(&inner.copies, self.bytes, bytes),
        }
        let before = (self.budget.wants_barrier(), self.budget.is_full());
        change(&inner.unsaved, self.unsaved, unsaved);
        (self.bytes, self.unsaved) = (bytes, unsaved);
        if (self.budget.wants_barrier(), self.budget.is_full()) != before {
            inner.turned.notify_waiters();
        }
    }

    /// What was reported last.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Bytes that this slot should give up: the job uses more than there is, and this slot more than its even share.
    pub fn excess(&self) -> u64 {
        let shared = self.budget.limit().saturating_sub(self.budget.room_for_copies());
        let share = shared / self.budget.inner.slots.load(Ordering::Relaxed).max(1);
        self.budget.excess().min(self.bytes.saturating_sub(self.unsaved + share))
    }

    /// The budget that it belongs to.
    pub fn budget(&self) -> &MemoryBudget {
        &self.budget
    }
}

impl Drop for MemorySlot {
    fn drop(&mut self) {
        self.set(0, 0);
        if self.spills {
            self.budget.inner.slots.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests;
