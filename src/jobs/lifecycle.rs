//! Decides what to do with a job from what is wanted and what is so. No I/O here.

use crate::catalog::DesiredState;
use crate::error::ErrorKind;

/// What a job does right now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobState {
    /// Its task is being opened, or it has not been looked at yet.
    Starting,
    /// Its task runs.
    Running,
    /// Its task failed and will be started again after a while.
    Retrying,
    /// Its task was told to end and has not yet.
    Stopping,
    /// It holds still.
    Paused,
    /// It was stopped for good.
    Stopped,
    /// Its task failed in a way that trying again cannot mend; RESUME JOB tries again.
    Failed,
    /// A defect of ours ended its task again and again, or the server: it is set aside with the cause; RESUME JOB tries again.
    Quarantined,
    /// It waits for RESUME JOB: the server was started with its jobs held.
    Held,
    /// Its sources ended.
    Finished,
}

impl JobState {
    /// As SHOW JOBS prints it.
    pub fn name(self) -> &'static str {
        match self {
            JobState::Starting => "STARTING",
            JobState::Running => "RUNNING",
            JobState::Retrying => "RETRYING",
            JobState::Stopping => "STOPPING",
            JobState::Paused => "PAUSED",
            JobState::Stopped => "STOPPED",
            JobState::Failed => "FAILED",
            JobState::Quarantined => "QUARANTINED",
            JobState::Held => "HELD",
            JobState::Finished => "FINISHED",
        }
    }

    /// Whether a task of the job exists or is to come.
    pub fn is_active(self) -> bool {
        matches!(self, JobState::Starting | JobState::Running | JobState::Retrying | JobState::Stopping)
    }
}

/// What to do to bring a job where it is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Start its task.
    Start,
    /// Tell its task to end.
    End,
    /// It has no task any more: its state is this one from now on, whatever ended it before.
    Rest(JobState),
    /// Leave it.
    Nothing,
}

/// Decides. `actual` is `None` for a job that this server has not looked at since it is up and need not hold; `resumed` is true when
/// RUNNING was asked for just now, so that a failed or finished job is tried again.
pub fn decide(desired: Option<DesiredState>, actual: Option<JobState>, resumed: bool) -> Action {
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

/// Decides by what the job does now.
pub fn saving(state: JobState) -> Saving {
    match state {
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

/// How often in a row a defect of ours may end a task before the job is set aside.
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

/// Whether a job whose task runs is still being tried again after its last failure: its sources are not open yet.
pub fn is_retrying(state: JobState, is_open: bool, last_failure: ErrorKind) -> bool {
    state == JobState::Running && !is_open && last_failure == ErrorKind::Unavailable
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
