//! Which of a job's waits are shown: those that last, each once, another job's with its state. No I/O here.

use std::time::{Duration, Instant};

use super::facts::JobState;
use super::status::WaitStatus;
use crate::waits::Wait;

/// What is over sooner is the usual time of an answer.
pub const SHOWN_AFTER: Duration = Duration::from_secs(1);

/// What is shown of `waits` (oldest first, each with its node) at `now`, which is `now_ms` by the clock; `state_of` knows the other jobs.
pub fn shown(
    waits: &[(Option<&str>, Wait)],
    now: Instant,
    now_ms: i64,
    state_of: &dyn Fn(&str) -> Option<JobState>,
) -> Vec<WaitStatus> {
    let mut shown: Vec<WaitStatus> = Vec::new();
    for (node, wait) in waits {
        let waited = now.saturating_duration_since(wait.since);
        if waited < SHOWN_AFTER {
            continue;
        }
        let state = wait.reason.job.as_deref().and_then(state_of).filter(|state| *state != JobState::Running);
        let reason = match state {
            Some(state) => format!("{}, which is {}", wait.reason.text, state.name()),
            None => wait.reason.text.clone(),
        };
        if shown.iter().any(|known| known.reason == reason) {
            continue;
        }
        let since_ms = now_ms - i64::try_from(waited.as_millis()).unwrap_or(i64::MAX);
        shown.push(WaitStatus { reason, node: node.map(str::to_owned), since_ms });
    }
    shown
}

#[cfg(test)]
mod tests;
