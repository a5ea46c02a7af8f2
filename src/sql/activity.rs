//! All sessions as others see them: which there are, and what they have done so far, as counts. Whoever serves clients tells it; whoever is
//! asked reads it.

mod announcements;
mod backend;
mod notifications;

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use crate::error::{Error, ErrorKind};
use crate::telemetry::metrics::Histogram;
pub use announcements::{Listening, Mark};
pub use backend::{Backend, BackendState, Cancellable, Encryption, KeptStatement, OpenCursor, shown, without_secrets};
use notifications::Channels;
pub use notifications::{Lost, Notification};

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

/// All sessions.
#[derive(Debug, Default)]
pub struct Activity {
    sessions: Mutex<Sessions>,
    /// Sessions that may be open; 0 where nobody takes clients.
    open_max: AtomicUsize,
    refused: AtomicU64,
    /// By command, of which there is a fixed list.
    statements: Mutex<BTreeMap<(&'static str, StatementOutcome), u64>>,
    durations: Histogram,
    /// Who listens to what.
    pub channels: Channels,
}

#[derive(Debug, Default)]
struct Sessions {
    /// In the order in which they were opened.
    open: BTreeMap<u64, Arc<Backend>>,
    opened: u64,
    by_database: BTreeMap<String, u64>,
}

/// A session that is open, for as long as this is kept.
pub struct Entered {
    activity: Arc<Activity>,
    number: u64,
    backend: Arc<Backend>,
}

impl Deref for Entered {
    type Target = Arc<Backend>;

    fn deref(&self) -> &Arc<Backend> {
        &self.backend
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.activity.channels.unlisten(None, &self.backend.mailbox);
        self.activity.sessions.lock().open.remove(&self.number);
    }
}

impl Activity {
    /// So many sessions may be open at the same time.
    pub fn bound(&self, open_max: usize) {
        self.open_max.store(open_max, Ordering::Relaxed);
    }

    /// A session opens.
    pub fn enter(self: &Arc<Self>, backend: Backend) -> Entered {
        let backend = Arc::new(backend);
        let mut sessions = self.sessions.lock();
        sessions.opened += 1;
        let number = sessions.opened;
        *sessions.by_database.entry(backend.database.clone()).or_default() += 1;
        sessions.open.insert(number, Arc::clone(&backend));
        drop(sessions);
        Entered { activity: Arc::clone(self), number, backend }
    }

    /// The sessions that are open, in the order in which they were opened.
    pub fn backends(&self) -> Vec<Arc<Backend>> {
        self.sessions.lock().open.values().cloned().collect()
    }

    /// A session by its number.
    pub fn backend(&self, process_id: i32) -> Option<Arc<Backend>> {
        let sessions = self.sessions.lock();
        sessions.open.values().find(|backend| backend.process_id == process_id).cloned()
    }

    /// How many sessions of a database were opened.
    pub fn opened_in(&self, database: &str) -> u64 {
        self.sessions.lock().by_database.get(database).copied().unwrap_or(0)
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
        self.sessions.lock().open.len()
    }

    /// Sessions that may be open.
    pub fn open_max(&self) -> usize {
        self.open_max.load(Ordering::Relaxed)
    }

    /// Sessions that were opened.
    pub fn opened(&self) -> u64 {
        self.sessions.lock().opened
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
