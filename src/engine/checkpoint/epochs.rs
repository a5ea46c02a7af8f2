//! Which epoch is on its way, when the next one begins, and when a job has come to its end: events in, steps out. Knows neither time
//! nor tasks; `coordinator` tells it what happens and does what it says.
//! The one thing to get right: a job ends only behind a last decided epoch, and one whose writes wait for a decision behind two.

use super::ending::Wanted;
use crate::error::Error;

/// What an epoch's beginning and end depend on.
pub(super) struct Facts {
    /// Tasks of the job: each passes every barrier.
    pub tasks: usize,
    /// Number of the first epoch to come.
    pub first: u64,
    /// Whether epochs begin while the job runs; one that is computed again has its last one only.
    pub checkpoints: bool,
    /// Whether writes wait for the checkpoint in some sink: those of a last epoch are acknowledged with one more.
    pub has_deferred: bool,
}

/// What happens to a job.
#[derive(Debug)]
pub(super) enum Event {
    /// A task has passed the barrier of this epoch.
    Passed(u64),
    /// A task has given out everything: its inputs have ended.
    Ended,
    /// The epoch is decided, and everyone knows.
    Decided,
    /// The time between two barriers is over; so much has been read.
    Tick(u64),
    /// A transaction or the memory of the state is full: what is in it must be in a checkpoint before that time is over.
    Full,
    /// The job is to end.
    Wanted(Wanted),
    /// It has been waited for long enough.
    Late,
    /// A task has failed, or the epoch cannot be made durable.
    Failed(Error),
    /// The sources were looked at, which is nothing to an epoch.
    Looked,
}

/// What the coordinator does next.
#[derive(Debug)]
pub(super) enum Step {
    /// Waits for the next event.
    Wait,
    /// Asks the tasks for the barrier of this epoch.
    Begin(u64),
    /// Makes the epoch, whose barrier all tasks have passed, durable and decides it.
    Complete,
    /// Ends the job, of which everything is decided: because it was wanted, or because its sources have ended.
    Finish(Option<Wanted>),
    /// Ends the job without its last epoch: what belongs to it is written again at the next start.
    GiveUp,
    /// Ends the job with an error.
    Fail(Error),
}

/// Where the epoch is that is on its way: one at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// There is none.
    Idle,
    /// So many tasks have not passed its barrier.
    Barrier { missing: usize },
    /// It is made durable.
    Deciding,
}

/// See the module.
pub(super) struct Epochs {
    facts: Facts,
    stage: Stage,
    /// Number of the epoch that is on its way, or comes next.
    number: u64,
    /// Tasks whose inputs have ended.
    ended: usize,
    /// What had been read when the last epoch was begun by time.
    seen_activity: u64,
    /// What ends the job.
    ending: Option<Wanted>,
    /// Epochs to begin before the job has ended; known once it is to end.
    last_epochs: Option<usize>,
}

impl Epochs {
    pub fn new(facts: Facts) -> Self {
        let number = facts.first;
        Self { facts, stage: Stage::Idle, number, ended: 0, seen_activity: 0, ending: None, last_epochs: None }
    }

    /// Whether an epoch may begin while the job runs on.
    pub fn may_begin(&self) -> bool {
        self.stage == Stage::Idle && self.facts.checkpoints
    }

    /// Whether the job is to end.
    pub fn is_ending(&self) -> bool {
        self.ending.is_some()
    }

    /// Begins the next epoch; gives its number.
    pub fn begin(&mut self) -> u64 {
        self.stage = Stage::Barrier { missing: self.facts.tasks };
        self.number
    }

    /// The epoch that is on its way is decided.
    pub fn decided(&mut self) {
        self.stage = Stage::Idle;
        self.number += 1;
    }

    /// A task has passed a barrier; whether it was the last one of the epoch that is on its way.
    pub fn passed(&mut self, number: u64) -> bool {
        let Stage::Barrier { missing } = &mut self.stage else { return false };
        if number != self.number {
            return false;
        }
        *missing -= 1;
        let is_last = *missing == 0;
        if is_last {
            self.stage = Stage::Deciding;
        }
        is_last
    }

    /// Takes what has happened; gives what comes next.
    pub fn on(&mut self, event: Event) -> Step {
        match event {
            Event::Passed(number) => {
                if self.passed(number) {
                    return Step::Complete;
                }
            }
            Event::Ended => self.ended += 1,
            Event::Decided => self.decided(),
            Event::Tick(activity) => {
                // An idle job writes no checkpoints.
                if self.may_begin() && activity != self.seen_activity {
                    self.seen_activity = activity;
                    return Step::Begin(self.begin());
                }
            }
            Event::Full => {
                if self.may_begin() {
                    return Step::Begin(self.begin());
                }
            }
            Event::Wanted(wanted) => {
                self.ending.get_or_insert(wanted);
            }
            Event::Late => {
                return match &self.ending {
                    Some(Wanted::StopWithSavepoint(_)) => Step::Fail(Error::unavailable(
                        "the sinks did not acknowledge in time, so that there is no savepoint",
                    )),
                    _ => Step::GiveUp,
                };
            }
            Event::Failed(error) => return Step::Fail(error),
            Event::Looked => {}
        }
        self.step()
    }

    /// What comes next when nothing more happens: a job that is to end, or that gets no more rows, has its last epochs.
    pub fn step(&mut self) -> Step {
        let has_ended = self.ended == self.facts.tasks;
        if self.stage != Stage::Idle || !(self.is_ending() || has_ended) {
            return Step::Wait;
        }
        let left = self.last_epochs.get_or_insert(if self.facts.has_deferred { 2 } else { 1 });
        if *left == 0 {
            return Step::Finish(self.ending.clone());
        }
        *left -= 1;
        Step::Begin(self.begin())
    }
}

#[cfg(test)]
mod tests;
