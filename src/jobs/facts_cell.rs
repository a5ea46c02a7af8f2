//! A job's facts where they are kept: one lock, held for a look or one change and never across an await. Wakes whoever waits for a state.

use std::sync::{Arc, OnceLock};

use tokio::sync::watch;

use super::facts::{Event, Facts, JobState};
use crate::clock::Clock;
use crate::error::Error;

/// See the module.
pub(super) struct FactsCell {
    job: String,
    facts: watch::Sender<Facts>,
    clock: Arc<dyn Clock>,
    heard: StateHeard,
}

/// A job has come into another state.
#[derive(Debug, Clone, Copy)]
pub struct StateChange<'a> {
    /// Its name.
    pub job: &'a str,
    /// What it was.
    pub from: JobState,
    /// What it is.
    pub to: JobState,
    /// When, milliseconds since 1970.
    pub at_ms: i64,
    /// Its last failure, if it has come there by one.
    pub error: Option<&'a Error>,
}

/// Who hears of all changes of state, once there is somebody. It may not wait.
pub(super) type StateHeard = Arc<OnceLock<Box<dyn Fn(StateChange<'_>) + Send + Sync>>>;

impl FactsCell {
    /// Of a job that is looked at first.
    pub fn new(job: &str, clock: Arc<dyn Clock>, heard: StateHeard) -> Self {
        let facts = Facts::new(clock.now_ms());
        Self { job: job.to_owned(), facts: watch::Sender::new(facts), clock, heard }
    }

    /// The facts now.
    pub fn now(&self) -> Facts {
        self.facts.borrow().clone()
    }

    /// The state now.
    pub fn state(&self) -> JobState {
        self.facts.borrow().state
    }

    /// Changes the facts as the event says; gives those before.
    pub fn tell(&self, event: Event) -> Facts {
        let now_ms = self.clock.now_ms();
        let (mut before, mut now) = (None, None);
        self.facts.send_if_modified(|facts| {
            let was = facts.clone();
            *facts = was.clone().after(event, now_ms);
            let changes = was.state != facts.state;
            if changes {
                tracing::info!(job = self.job, "job was {} and is {}", was.state.name(), facts.state.name());
            }
            now = changes.then(|| facts.clone());
            before = Some(was);
            changes
        });
        if let (Some(before), Some(now), Some(heard)) = (&before, &now, self.heard.get()) {
            let is_of_failure = matches!(now.state, JobState::Failed | JobState::Retrying | JobState::Quarantined);
            let error = now.last_error.as_ref().filter(|_| is_of_failure).map(|(_, error)| error);
            heard(StateChange { job: &self.job, from: before.state, to: now.state, at_ms: now_ms, error });
        }
        before.unwrap_or_else(|| self.now())
    }

    /// Waits for a state, and gives the facts with which the job came into it.
    pub async fn until(&self, is_so: impl Fn(JobState) -> bool) -> Facts {
        let mut facts = self.facts.subscribe();
        // The sender lives here, so that waiting cannot fail.
        let found = facts.wait_for(|facts| is_so(facts.state)).await.map(|facts| facts.clone());
        found.unwrap_or_else(|_| self.now())
    }
}
