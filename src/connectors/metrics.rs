//! What a connector counts for its job or query, and what it waits for.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use parking_lot::Mutex;

use crate::error::Error;
use crate::waits::Waits;

/// What hinders somebody right now, until it is over.
#[derive(Debug, Default)]
pub struct Trouble {
    is_there: AtomicBool,
    error: Mutex<Option<(Error, Instant)>>,
}

impl Trouble {
    /// Something is in the way. True if nothing was before.
    pub fn begin(&self, error: Error) -> bool {
        let mut known = self.error.lock();
        let since = known.as_ref().map_or_else(Instant::now, |(_, since)| *since);
        *known = Some((error, since));
        !self.is_there.swap(true, Ordering::AcqRel)
    }

    /// Nothing is in the way (any more). Costs a look when nothing was. True if something was.
    pub fn end(&self) -> bool {
        if !self.is_there.load(Ordering::Relaxed) {
            return false;
        }
        self.error.lock().take();
        self.is_there.swap(false, Ordering::AcqRel)
    }

    /// What is in the way now, and since when.
    pub fn wait(&self) -> Option<(Error, Instant)> {
        if self.is_there.load(Ordering::Relaxed) { self.error.lock().clone() } else { None }
    }

    /// What is in the way now.
    pub fn now(&self) -> Option<Error> {
        self.wait().map(|(error, _)| error)
    }
}

/// Counters that a connector keeps for its job or query, which only grow, and what it waits for.
#[derive(Debug, Default)]
pub struct ConnectorMetrics {
    /// What the connector waits for: an outside system that does not answer.
    pub trouble: Trouble,
    /// Records or rows taken in or given out.
    pub rows: AtomicU64,
    /// Bytes of them.
    pub bytes: AtomicU64,
    /// Records or rows left out by rule (unreadable, NULL key), each also logged with a rate limit.
    pub skipped: AtomicU64,
    /// Of the rows left out, those whose key is NULL or empty.
    pub null_keys: AtomicU64,
    /// Values that could not be read and became NULL, by rule (`ignore-parse-errors`).
    pub nulled: AtomicU64,
    /// Changes that take back a row which is not there.
    pub unmatched: AtomicU64,
    /// Requests sent to the outside system.
    pub requests: AtomicU64,
    /// Requests or items sent again.
    pub retries: AtomicU64,
    /// Requests that the outside system refused, in whole or in part, because there were too many.
    pub throttled: AtomicU64,
    /// What it waits for, beyond the usual time of an answer.
    pub waits: Waits,
}

impl ConnectorMetrics {
    /// Adds to a counter.
    pub fn add(counter: &AtomicU64, count: usize) {
        counter.fetch_add(count as u64, Ordering::Relaxed);
    }
}
