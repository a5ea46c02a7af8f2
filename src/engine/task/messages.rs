//! What a task and the coordinator of its job tell each other.

use std::time::Duration;

use tokio::sync::watch;

use crate::connectors::{FailureTeller, Split, SplitReader};
use crate::engine::checkpoint::OperatorDelta;
use crate::engine::ledger::SourcePositions;
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

/// What belongs to an epoch in one task.
pub(crate) struct BarrierReport {
    /// The epoch.
    pub epoch: u64,
    /// Everything before these positions is in the epoch or an earlier one.
    pub positions: Vec<SourcePositions>,
    /// What changed of the operators' state.
    pub deltas: Vec<OperatorDelta>,
    /// One for each writer.
    pub tickets: Vec<SinkTicket>,
    /// How long the task did nothing but answer the barrier.
    pub stall: Duration,
}

/// How far one writer's writes of an epoch go.
pub(crate) struct SinkTicket {
    /// The table, for messages.
    pub table: String,
    /// The writer's acknowledgements.
    pub acknowledged: watch::Receiver<u64>,
    /// The last ticket of the epoch.
    pub ticket: u64,
    /// Where it is said that they are waited for.
    pub waits: Waits,
    /// Tells why the writer acknowledges nothing more.
    pub failure: FailureTeller,
    /// Whether the writes are part of the job's transaction.
    pub in_transaction: bool,
}
