//! What a task and the coordinator of its job tell each other.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use crate::connectors::{FailureTeller, Split, SplitReader};
use crate::engine::ack_tracker::SourcePositions;
use crate::engine::checkpoint::OperatorDelta;
use crate::waits::Waits;

/// What the coordinator tells a task.
pub(crate) enum Command {
    /// Read a split into a node of the task.
    Read {
        /// Place of the source in the task.
        node: usize,
        /// The split.
        split: Split,
        /// Its reader.
        reader: Box<dyn SplitReader>,
    },
    /// All splits that are known so far are given out: a task that has got none reads nothing for the time being.
    Assigned,
    /// No splits will follow.
    NoMoreSplits,
    /// End the epoch.
    Barrier(u64),
    /// The epoch's checkpoint is decided: deferred writes of it go out.
    Decided,
    /// Nothing is wanted any more.
    End,
}

/// What a task tells the coordinator.
pub(crate) enum Report {
    /// The barrier is past.
    Barrier(BarrierReport),
    /// All inputs have ended and everything of them was given out.
    Ended,
}

/// Splits that tasks have read to their end and passed on, for the coordinator, which looks for what follows them. No channel, so that a
/// task never waits for a coordinator that waits for it. Their end counts when it is in an epoch ([`BarrierReport::ended`]).
#[derive(Default)]
pub(crate) struct EndedSplits {
    ended: Mutex<Vec<(String, String)>>,
    changed: Notify,
}

impl EndedSplits {
    /// Notes a split of a source, by their ids.
    pub fn note(&self, source: &str, split: &str) {
        self.ended.lock().push((source.to_owned(), split.to_owned()));
        self.changed.notify_one();
    }

    /// Waits until there are some.
    pub async fn some(&self) {
        while self.ended.lock().is_empty() {
            self.changed.notified().await;
        }
    }

    /// Takes them: source and split.
    pub fn take(&self) -> Vec<(String, String)> {
        std::mem::take(&mut *self.ended.lock())
    }
}

/// What belongs to an epoch in one task.
pub(crate) struct BarrierReport {
    /// The epoch.
    pub epoch: u64,
    /// Everything before these positions is in the epoch or an earlier one.
    pub positions: Vec<SourcePositions>,
    /// Splits, each with the id of its source, whose last rows are in it.
    pub ended: Vec<(String, Split)>,
    /// What changed of the operators' state.
    pub deltas: Vec<OperatorDelta>,
    /// One for each writer.
    pub sequences: Vec<SinkSequence>,
    /// How long the task did nothing but answer the barrier.
    pub stall: Duration,
}

/// How far one writer's writes of an epoch go.
pub(crate) struct SinkSequence {
    /// The table, for messages.
    pub table: String,
    /// The writer's acknowledgements.
    pub acknowledged: watch::Receiver<u64>,
    /// The last sequence number of the epoch.
    pub sequence: u64,
    /// Where it is said that they are waited for.
    pub waits: Waits,
    /// Tells why the writer acknowledges nothing more.
    pub failure: FailureTeller,
    /// Whether the writes are part of the job's transaction.
    pub in_transaction: bool,
}
