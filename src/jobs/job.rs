//! A job that this server has looked at since it is up: its facts, what its task is told, what the task tells. It does not know
//! the catalog, and nothing here starts or ends a task.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;
use tokio::sync::watch;

use super::facts::{Facts, JobState};
use super::facts_cell::{FactsCell, StateHeard};
use super::lag::Lag;
use super::lifecycle;
use crate::catalog::JobEntry;
use crate::clock::Clock;
use crate::engine::checkpoint::ending::Wanted;
use crate::engine::dataflow::Dataflow;
use crate::engine::metrics::JobMetrics;
use crate::engine::progress::ReadBehind;
use crate::error::Error;

/// A job that this server has looked at since it is up.
pub(super) struct Job {
    pub id: String,
    pub facts: FactsCell,
    /// What its task is told.
    pub wanted: watch::Sender<Wanted>,
    pub metrics: Arc<JobMetrics>,
    pub read_behind: Mutex<Option<ReadBehind>>,
    pub lag: Lag,
}

impl Job {
    /// State and last error as users see them: [`lifecycle::shown`].
    pub fn shown(&self, facts: &Facts, now_ms: i64) -> (JobState, Option<(i64, Error)>) {
        let stuck = match facts.state {
            JobState::Running => self.metrics.trouble().or_else(|| self.metrics.awaits()),
            _ => None,
        };
        lifecycle::shown(facts, stuck, self.metrics.is_open.load(Ordering::Acquire), now_ms)
    }

    pub fn new(entry: &JobEntry, clock: &Arc<dyn Clock>, heard: &StateHeard) -> Self {
        // One that cannot be read says so when it starts.
        let nodes = Dataflow::from_json(&entry.dataflow).map(|dataflow| dataflow.descriptions()).unwrap_or_default();
        Self {
            id: entry.id.clone(),
            facts: FactsCell::new(&entry.name, Arc::clone(clock), Arc::clone(heard)),
            wanted: watch::Sender::new(Wanted::Run),
            metrics: Arc::new(JobMetrics::new(nodes)),
            read_behind: Mutex::new(None),
            lag: Lag::default(),
        }
    }

    /// Waits until nothing of it runs.
    pub async fn has_ended(&self) {
        self.facts.until(|state| !state.is_active()).await;
    }
}
