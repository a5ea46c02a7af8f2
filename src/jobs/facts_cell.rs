//! A job's facts where they are kept: one lock, held for a look or one change and never across an await. Wakes whoever waits for a state.

use std::sync::Arc;

use tokio::sync::watch;

use super::facts::{Event, Facts, JobState};
use crate::clock::Clock;

/// See the module.
pub(super) struct FactsCell {
    job: String,
    facts: watch::Sender<Facts>,
    clock: Arc<dyn Clock>,
}

impl FactsCell {
    /// Of a job that is looked at first.
    pub fn new(job: &str, clock: Arc<dyn Clock>) -> Self {
        let facts = Facts::new(clock.now_ms());
        Self { job: job.to_owned(), facts: watch::Sender::new(facts), clock }
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
        let mut before = None;
        self.facts.send_if_modified(|facts| {
            let was = facts.clone();
            *facts = was.clone().after(event, now_ms);
            let changes = was.state != facts.state;
            if changes {
                tracing::info!(job = self.job, "job was {} and is {}", was.state.name(), facts.state.name());
            }
            before = Some(was);
            changes
        });
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
