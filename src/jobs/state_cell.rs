//! A job's state with the time since which it is in it. Used like the `watch::Sender` that it is made of.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use tokio::sync::watch;

use super::lifecycle::JobState;
use crate::clock::Clock;

/// See the module.
pub(super) struct StateCell {
    job: String,
    state: watch::Sender<JobState>,
    since_ms: AtomicI64,
    clock: Arc<dyn Clock>,
}

impl StateCell {
    /// Of a job that is in that state from now on.
    pub fn new(job: &str, state: JobState, clock: Arc<dyn Clock>) -> Self {
        Self { job: job.to_owned(), state: watch::Sender::new(state), since_ms: AtomicI64::new(clock.now_ms()), clock }
    }

    /// The state now.
    pub fn now(&self) -> JobState {
        *self.state.borrow()
    }

    /// Since when, milliseconds since 1970.
    pub fn since_ms(&self) -> i64 {
        self.since_ms.load(Ordering::Relaxed)
    }

    /// The state as it changes.
    pub fn subscribe(&self) -> watch::Receiver<JobState> {
        self.state.subscribe()
    }

    /// Goes into a state.
    pub fn set(&self, new: JobState) {
        self.set_unless(new, None);
    }

    /// Goes into a state, unless it is in `but`; tells whether it has.
    pub fn set_unless(&self, new: JobState, but: Option<JobState>) -> bool {
        self.state.send_if_modified(|state| {
            let changes = *state != new && Some(*state) != but;
            if changes {
                tracing::info!(job = self.job, "job was {} and is {}", state.name(), new.name());
                self.since_ms.store(self.clock.now_ms(), Ordering::Relaxed);
                *state = new;
            }
            changes
        })
    }
}
