//! How far the server is with its start or its end, and what can be shown of it meanwhile.

use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

use crate::clock::Clock;
use crate::sql::SqlServer;

/// Where the server is between its start and its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// It opens this, and takes no sessions yet.
    Opening(&'static str),
    /// It takes sessions.
    Ready,
    /// It ends, and takes no more sessions.
    Stopping,
}

/// What the HTTP port shows. Cheap to clone.
#[derive(Clone)]
pub struct Observed(Arc<Inner>);

struct Inner {
    stage: Mutex<Stage>,
    sql: OnceLock<Arc<SqlServer>>,
    clock: Arc<dyn Clock>,
    started_ms: i64,
}

impl Observed {
    /// A server that starts now.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let stage = Mutex::new(Stage::Opening("the data directory"));
        let started_ms = clock.now_ms();
        Self(Arc::new(Inner { stage, sql: OnceLock::new(), clock, started_ms }))
    }

    /// The server has come to another stage.
    pub fn set(&self, stage: Stage) {
        *self.0.stage.lock() = stage;
    }

    /// The parts behind the server's sessions are there. The first ones stay.
    pub fn show(&self, sql: &Arc<SqlServer>) {
        let _ = self.0.sql.set(Arc::clone(sql));
    }

    /// Where the server is.
    pub(super) fn stage(&self) -> Stage {
        *self.0.stage.lock()
    }

    /// The parts, once they are there.
    pub(super) fn sql(&self) -> Option<&Arc<SqlServer>> {
        self.0.sql.get()
    }

    /// When the server was started, milliseconds since 1970.
    pub(super) fn started_ms(&self) -> i64 {
        self.0.started_ms
    }

    /// Milliseconds since 1970.
    pub(super) fn now_ms(&self) -> i64 {
        self.0.clock.now_ms()
    }
}
