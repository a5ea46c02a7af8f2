//! A job that this server has looked at since it is up: what it does, what is wanted of its task, what the task tells. It does not know
//! the catalog, and nothing here starts or ends a task.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::watch;

use super::lag::Lag;
use super::lifecycle::{self, JobState};
use super::state_cell::StateCell;
use crate::catalog::JobEntry;
use crate::clock::Clock;
use crate::engine::checkpoint::ending::Wanted;
use crate::engine::dataflow::Dataflow;
use crate::engine::metrics::JobMetrics;
use crate::engine::progress::ReadBehind;
use crate::error::{Error, RecordPlace};

/// Where a task failed: at this record, if the error names one.
#[derive(Clone)]
pub(super) struct FailedAt(pub Option<RecordPlace>);

/// A job that this server has looked at since it is up.
pub(super) struct Job {
    pub id: String,
    pub state: StateCell,
    pub wanted: watch::Sender<Wanted>,
    /// Set while a savepoint is made: the job is not started again before its end is in the catalog.
    pub is_held: AtomicBool,
    /// Where the savepoint is with which it ended.
    pub savepoint: Mutex<Option<String>>,
    pub last_error: Mutex<Option<(i64, Error)>>,
    /// If its last task ended by an error, whatever was wanted of the job since.
    pub failed: Mutex<Option<FailedAt>>,
    pub restarts: AtomicU64,
    pub metrics: Arc<JobMetrics>,
    pub read_behind: Mutex<Option<ReadBehind>>,
    pub lag: Lag,
}

impl Job {
    /// State and last error as users see them. A job that is there but cannot go on, because an outside system does not answer, is
    /// being tried again and says with what, whether its task lives on or is started anew.
    pub fn shown(&self, now_ms: i64) -> (JobState, Option<(i64, Error)>) {
        let (state, last_error) = (self.state.now(), self.last_error.lock().clone());
        let trouble = if state == JobState::Running { self.metrics.trouble() } else { None };
        match (trouble, last_error) {
            (Some(trouble), _) => (JobState::Retrying, Some((now_ms, trouble))),
            (None, _) if state == JobState::Running && self.metrics.awaits().is_some() => {
                (JobState::Retrying, self.metrics.awaits().map(|error| (now_ms, error)))
            }
            (None, Some((at, error)))
                if lifecycle::is_retrying(state, self.metrics.is_open.load(Ordering::Acquire), error.kind()) =>
            {
                (JobState::Retrying, Some((at, error)))
            }
            (None, last_error) => (state, last_error),
        }
    }

    pub fn new(entry: &JobEntry, clock: &Arc<dyn Clock>) -> Self {
        // One that cannot be read says so when it starts.
        let nodes = Dataflow::from_json(&entry.dataflow).map(|dataflow| dataflow.descriptions()).unwrap_or_default();
        Self {
            id: entry.id.clone(),
            state: StateCell::new(&entry.name, JobState::Starting, Arc::clone(clock)),
            wanted: watch::Sender::new(Wanted::Run),
            is_held: AtomicBool::new(false),
            savepoint: Mutex::new(None),
            last_error: Mutex::new(None),
            failed: Mutex::new(None),
            restarts: AtomicU64::new(0),
            metrics: Arc::new(JobMetrics::new(nodes)),
            read_behind: Mutex::new(None),
            lag: Lag::default(),
        }
    }

    /// Waits until nothing of it runs.
    pub async fn has_ended(&self) {
        // The sender lives here, so that waiting cannot fail.
        let _ = self.state.subscribe().wait_for(|state| !state.is_active()).await;
    }
}
