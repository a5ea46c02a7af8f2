//! Decides what to do with a job from what is wanted and the facts of it. No I/O here, and nothing here changes a fact.

use super::facts::{Facts, JobState};
use crate::catalog::DesiredState;
use crate::error::{Error, ErrorKind};

/// What to do to bring a job where it is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Start its task.
    Start,
    /// Tell its task to end.
    End,
    /// It has no task any more: its state is this one from now on, whatever ended it before.
    Rest(JobState),
    /// It keeps all it has until the end of the savepoint that is being made of it is in the catalog.
    AwaitSavepoint,
    /// Leave it.
    Nothing,
}

/// Decides. `facts` are absent for a job that this server has not looked at since it is up and need not hold; `resumed` is true when
/// RUNNING was asked for just now, so that a failed or finished job is tried again.
pub fn decide(desired: Option<DesiredState>, facts: Option<&Facts>, resumed: bool) -> Action {
    if facts.is_some_and(|facts| facts.is_held) && desired.is_some() {
        return Action::AwaitSavepoint;
    }
    let actual = facts.map(|facts| facts.state);
    match (desired, actual) {
        (Some(DesiredState::Running), None) => Action::Start,
        (Some(DesiredState::Running), Some(state)) if !state.is_active() => match state {
            JobState::Failed | JobState::Quarantined | JobState::Held | JobState::Finished if !resumed => {
                Action::Nothing
            }
            _ => Action::Start,
        },
        (Some(DesiredState::Running), Some(JobState::Stopping)) => Action::Nothing, // started again when it has ended
        (Some(DesiredState::Running), Some(_)) => Action::Nothing,
        (Some(DesiredState::Paused | DesiredState::Stopped) | None, Some(state)) if state.is_active() => Action::End,
        // STOP and PAUSE work in every state: what has failed, or was set aside, is at rest now because that was asked for.
        (Some(DesiredState::Paused | DesiredState::Stopped), Some(state)) if state != resting(desired) => {
            Action::Rest(resting(desired))
        }
        (Some(DesiredState::Paused | DesiredState::Stopped) | None, _) => Action::Nothing,
    }
}

/// The state of a job whose task has just ended as `outcome` says (absent: it was told to), by what is wanted of it now: a stop
/// that came while the task failed is a stop.
pub fn ended(outcome: Option<JobState>, desired: Option<DesiredState>) -> JobState {
    match (outcome, desired) {
        (Some(state), Some(DesiredState::Running)) | (Some(state @ JobState::Finished), _) => state,
        _ => resting(desired),
    }
}

/// How a job is stopped with a savepoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Saving {
    /// Its task makes one last checkpoint, which is saved.
    LastEpoch,
    /// It has no task, or one that gives nothing: what was decided last is saved.
    DecidedEpoch,
}

/// Decides by what the job did when the savepoint was asked for.
pub fn saving(before: &Facts) -> Saving {
    match before.state {
        JobState::Running => Saving::LastEpoch,
        JobState::Starting
        | JobState::Retrying
        | JobState::Stopping
        | JobState::Paused
        | JobState::Stopped
        | JobState::Failed
        | JobState::Quarantined
        | JobState::Held
        | JobState::Finished => Saving::DecidedEpoch,
    }
}

/// The state of a job that rests, by what is wanted of it.
pub fn resting(desired: Option<DesiredState>) -> JobState {
    match desired {
        Some(DesiredState::Paused) => JobState::Paused,
        Some(DesiredState::Running) | Some(DesiredState::Stopped) | None => JobState::Stopped,
    }
}

/// Whether a failed task is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterFailure {
    /// Again, after a while.
    Retry,
    /// Not by itself.
    GiveUp,
}

/// How often in a row an internal error may end a task before the job is set aside.
pub const DEFECTS_IN_A_ROW: u32 = 5;

/// Decides by the kind of the error: outages pass, defects may, everything else needs a person.
pub fn after_failure(kind: ErrorKind, failures_in_a_row: u32) -> AfterFailure {
    match kind {
        ErrorKind::Unavailable => AfterFailure::Retry,
        ErrorKind::Internal if failures_in_a_row < DEFECTS_IN_A_ROW => AfterFailure::Retry,
        ErrorKind::Internal
        | ErrorKind::Invalid
        | ErrorKind::Row
        | ErrorKind::NotFound
        | ErrorKind::Denied
        | ErrorKind::Cancelled
        | ErrorKind::Corrupt => AfterFailure::GiveUp,
    }
}

/// State and last error as users see them. A job that is there but cannot go on, because an outside system does not answer, is being
/// tried again and says with what, whether its task lives on or is started anew. `stuck` is what its task says of that at `now_ms`,
/// `is_open` whether its sources are open.
pub fn shown(facts: &Facts, stuck: Option<Error>, is_open: bool, now_ms: i64) -> (JobState, Option<(i64, Error)>) {
    let last_error = facts.last_error.clone();
    if facts.state != JobState::Running {
        return (facts.state, last_error);
    }
    match (stuck, last_error) {
        (Some(stuck), _) => (JobState::Retrying, Some((now_ms, stuck))),
        // Its task was started again, and has not opened its sources since.
        (None, Some((at, error))) if !is_open && error.kind() == ErrorKind::Unavailable => {
            (JobState::Retrying, Some((at, error)))
        }
        (None, last_error) => (JobState::Running, last_error),
    }
}

/// The state of a job that is not started again by itself.
pub fn given_up(kind: ErrorKind) -> JobState {
    match kind {
        ErrorKind::Internal => JobState::Quarantined,
        _ => JobState::Failed,
    }
}

#[cfg(test)]
mod tests;
