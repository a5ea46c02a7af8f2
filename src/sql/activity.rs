//! What all sessions have done so far, and how many there are, as counts. Whoever serves clients tells it; whoever is asked reads it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use crate::error::{Error, ErrorKind};
use crate::telemetry::metrics::Histogram;

/// How a statement ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum StatementOutcome {
    /// It did what it says.
    Done,
    /// It failed.
    Failed,
    /// It was cancelled, by its client, by a time-out, or because its client went away.
    Cancelled,
}

impl StatementOutcome {
    /// Of a statement that ended with an error.
    pub fn of_error(error: &Error) -> Self {
        match error.kind() {
            ErrorKind::Cancelled => StatementOutcome::Cancelled,
            _ => StatementOutcome::Failed,
        }
    }

    /// As metrics say it.
    pub fn word(self) -> &'static str {
        match self {
            StatementOutcome::Done => "ok",
            StatementOutcome::Failed => "error",
            StatementOutcome::Cancelled => "cancelled",
        }
    }
}

/// Counts over all sessions.
#[derive(Debug, Default)]
pub struct Activity {
    open: AtomicUsize,
    /// Sessions that may be open; 0 where nobody takes clients.
    open_max: AtomicUsize,
    opened: AtomicU64,
    refused: AtomicU64,
    /// By command, of which there is a fixed list.
    statements: Mutex<BTreeMap<(&'static str, StatementOutcome), u64>>,
    durations: Histogram,
}

/// A session that is open, for as long as it is kept.
pub struct Entered {
    activity: Arc<Activity>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.activity.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Activity {
    /// So many sessions may be open at the same time.
    pub fn bound(&self, open_max: usize) {
        self.open_max.store(open_max, Ordering::Relaxed);
    }

    /// A session opens.
    pub fn enter(self: &Arc<Self>) -> Entered {
        self.open.fetch_add(1, Ordering::Relaxed);
        self.opened.fetch_add(1, Ordering::Relaxed);
        Entered { activity: Arc::clone(self) }
    }

    /// A client was refused, because there are too many.
    pub fn refuse(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// A statement ended.
    pub fn statement(&self, command: &'static str, outcome: StatementOutcome, took: Duration) {
        *self.statements.lock().entry((command, outcome)).or_default() += 1;
        self.durations.observe(took);
    }

    /// Sessions that are open.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Sessions that may be open.
    pub fn open_max(&self) -> usize {
        self.open_max.load(Ordering::Relaxed)
    }

    /// Sessions that were opened.
    pub fn opened(&self) -> u64 {
        self.opened.load(Ordering::Relaxed)
    }

    /// Clients that were refused.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Statements that ended, by command and outcome.
    pub fn statements(&self) -> BTreeMap<(&'static str, StatementOutcome), u64> {
        self.statements.lock().clone()
    }

    /// How long they took.
    pub fn durations(&self) -> &Histogram {
        &self.durations
    }
}
