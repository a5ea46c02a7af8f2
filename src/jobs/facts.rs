//! What is known of a job here, as one plain value, and how each thing that happens to it changes that. No I/O here, and no decision:
//! `lifecycle` decides over the facts. Only [`Facts::after`] changes them, so that whoever has the facts and the events agrees.

use crate::catalog::DesiredState;
use crate::error::{Error, RecordPlace};

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
    /// An internal error ended its task again and again, or the server: it is set aside with the cause; RESUME JOB tries again.
    Quarantined,
    /// It waits for RESUME JOB: the server was started with its jobs held.
    Held,
    /// Its sources ended.
    Finished,
}

impl JobState {
    /// All of them.
    pub const ALL: [JobState; 10] = [
        JobState::Starting,
        JobState::Running,
        JobState::Retrying,
        JobState::Stopping,
        JobState::Paused,
        JobState::Stopped,
        JobState::Failed,
        JobState::Quarantined,
        JobState::Held,
        JobState::Finished,
    ];

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

/// Where a task failed: at this record, if the error names one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedAt(pub Option<RecordPlace>);

/// What is known of a job. Times are milliseconds since 1970.
#[derive(Debug, Clone)]
pub struct Facts {
    /// What it does.
    pub state: JobState,
    /// Since when.
    pub since_ms: i64,
    /// Set while a savepoint is made: the job is not started again before its end is in the catalog.
    pub is_held: bool,
    /// Where the savepoint is with which it ended.
    pub savepoint: Option<String>,
    /// The last failure and when it was; kept after a good restart.
    pub last_error: Option<(i64, Error)>,
    /// If its last task ended by an error that ended the job too, whatever was wanted of the job since.
    pub failed: Option<FailedAt>,
    /// How often its task was started again.
    pub restarts: u64,
}

/// What happens to a job.
#[derive(Debug, Clone)]
pub enum Event {
    /// The catalog wants this of it.
    Desired(DesiredState),
    /// Its task is to be started.
    Starts,
    /// Its task is told to end.
    Ends,
    /// It has no task, or none any more, and is in this state.
    Rests(JobState),
    /// It is not started by itself, and says why.
    SetAside(JobState, Error),
    /// It is to end with a savepoint.
    SavepointAsked,
    /// Whoever asked for the savepoint has its place.
    SavepointTaken,
    /// The savepoint's end is in the catalog, or there is no savepoint.
    Released,
    /// A run of its task begins, the first one or another one after a failure.
    RunBegins {
        /// Another one: the job is not said to run before it has opened everything.
        again: bool,
    },
    /// The task has opened everything.
    Opened,
    /// The task ended as it was told, with a savepoint here, if one was asked for.
    Stopped(Option<String>),
    /// The task failed.
    Failed(Error),
    /// The task that failed is not started again by itself.
    GivenUp(FailedAt),
    /// The task that failed is started again after a while.
    Retries,
}

impl Facts {
    /// Of a job that is looked at first.
    pub fn new(now_ms: i64) -> Self {
        Self {
            state: JobState::Starting,
            since_ms: now_ms,
            is_held: false,
            savepoint: None,
            last_error: None,
            failed: None,
            restarts: 0,
        }
    }

    /// The facts after the event, which happens at `now_ms`.
    pub fn after(mut self, event: Event, now_ms: i64) -> Self {
        match event {
            // Who only wants it to stop has it stopped by the savepoint that is being made.
            Event::Desired(DesiredState::Paused) | Event::Released => self.is_held = false,
            Event::Desired(DesiredState::Running | DesiredState::Stopped) => {}
            Event::Starts => self.enter(JobState::Starting, now_ms),
            Event::Ends => self.enter(JobState::Stopping, now_ms),
            Event::Rests(state) => self.enter(state, now_ms),
            Event::SetAside(state, why) => {
                self.enter(state, now_ms);
                self.last_error = Some((now_ms, why));
            }
            Event::SavepointAsked => {
                self.is_held = true;
                self.savepoint = None;
                if self.state.is_active() {
                    self.enter(JobState::Stopping, now_ms);
                }
            }
            Event::SavepointTaken => self.savepoint = None,
            Event::RunBegins { again } => {
                self.failed = None;
                if !again {
                    self.go_on(JobState::Running, now_ms);
                }
            }
            Event::Opened => self.go_on(JobState::Running, now_ms),
            Event::Stopped(savepoint) => self.savepoint = savepoint,
            Event::Failed(error) => self.last_error = Some((now_ms, error)),
            Event::GivenUp(at) => self.failed = Some(at),
            Event::Retries => {
                self.restarts += 1;
                self.go_on(JobState::Retrying, now_ms);
            }
        }
        self
    }

    fn enter(&mut self, state: JobState, now_ms: i64) {
        if self.state != state {
            (self.state, self.since_ms) = (state, now_ms);
        }
    }

    /// What its task does is not what is said of a job that is told to end.
    fn go_on(&mut self, state: JobState, now_ms: i64) {
        if self.state != JobState::Stopping {
            self.enter(state, now_ms);
        }
    }
}

#[cfg(test)]
mod tests;
