//! The readers of a task's splits: each has its next turn among the futures, which ends when what it read may pass the gate of
//! read-behind. What several of them have ready is evaluated at once, within bounds.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};

use crate::changelog::ChangeBatch;
use crate::connectors::{Position, RowOffsets, SourceBatch, Split, SplitReader};
use crate::engine::metrics::JobMetrics;
use crate::engine::progress::ReadBehind;
use crate::error::{Error, Result};
use crate::fault;

/// Rows of one evaluation: what more readers have ready is left for the next one. The last batch may go beyond.
const EVALUATED_ROWS_MAX: usize = 8192;

/// Bytes of their records, likewise: 8192 records of a megabyte each would be 8 GB.
const EVALUATED_BYTES_MAX: u64 = 64 << 20;

/// What was read of one split in one turn.
pub(super) struct ReadBatch {
    pub split: Split,
    pub changes: ChangeBatch,
    pub offsets: RowOffsets,
}

/// What the readers of one source have ready, and how far that is.
pub(super) type ReadRows = (Vec<ReadBatch>, Vec<(Split, Position)>);

/// What is taken of the readers at once.
pub(super) struct Taken {
    /// By place of the source.
    pub ready: BTreeMap<usize, ReadRows>,
    /// Splits of which no more will be read, each with the place of its source, and whether it is over for good or only its reading was
    /// bounded; what was read of them before is in `ready`.
    pub ended: Vec<(usize, Split, bool)>,
    /// Why no more could be read; what was read before is passed on first, so that less is repeated.
    pub failure: Option<Error>,
}

/// A reader and what it read.
pub(super) struct ReaderTurn {
    node: usize,
    split: Split,
    reader: Box<dyn SplitReader>,
    read: Result<Option<SourceBatch>>,
}

/// See the module.
pub(super) struct Readers {
    /// Their next turns.
    pub turns: FuturesUnordered<BoxFuture<'static, ReaderTurn>>,
    /// A turn that came while a barrier was waited for.
    pub carried: Option<ReaderTurn>,
    job: String,
    gate: ReadBehind,
    metrics: Arc<JobMetrics>,
}

impl Readers {
    pub fn new(job: &str, gate: &ReadBehind, metrics: &Arc<JobMetrics>) -> Self {
        Self {
            turns: FuturesUnordered::new(),
            carried: None,
            job: job.to_owned(),
            gate: gate.clone(),
            metrics: Arc::clone(metrics),
        }
    }

    /// Whether none of them will read more.
    pub fn have_ended(&self) -> bool {
        self.turns.is_empty() && self.carried.is_none()
    }

    /// Takes a turn that is there already, to be passed on next.
    pub fn carry(&mut self) {
        if self.carried.is_none() {
            self.carried = self.turns.next().now_or_never().flatten();
        }
    }

    /// Puts a reader's next turn among the futures; the turn ends when its rows may pass the gate of read-behind.
    pub fn read_next(&self, node: usize, split: Split, mut reader: Box<dyn SplitReader>) {
        let gate = self.gate.clone();
        let waits = self.metrics.waits.clone();
        self.turns.push(Box::pin(async move {
            let mut read = reader.next().await;
            if let Ok(Some(batch)) = &read
                && let Err(error) = gate.wait(&split, &batch.position, &waits).await
            {
                read = Err(error);
            }
            ReaderTurn { node, split, reader, read }
        }));
    }

    /// Takes what a reader has read, and what more of them have ready.
    pub fn take(&mut self, turn: ReaderTurn) -> Taken {
        let mut ready: BTreeMap<usize, ReadRows> = BTreeMap::new();
        let (mut rows, mut bytes) = (0, 0);
        let (mut ended, mut failure) = (Vec::new(), None);
        let mut next = Some(turn);
        while let Some(turn) = next.take() {
            let ReaderTurn { node, split, reader, read } = turn;
            match read {
                Ok(Some(batch)) => {
                    fault::rows_of(&self.job);
                    rows += batch.changes.len();
                    bytes += batch.bytes;
                    if let Some(progress) = self.metrics.splits.lock().get_mut(&split.id) {
                        progress.read = batch.position.clone();
                    }
                    let (batches, positions) = ready.entry(node).or_default();
                    batches.push(ReadBatch { split: split.clone(), changes: batch.changes, offsets: batch.offsets });
                    positions.push((split.clone(), batch.position));
                    self.read_next(node, split, reader);
                }
                Ok(None) => ended.push((node, split, reader.is_over())),
                Err(error) => {
                    failure = Some(error.context(format!("source {}", split.id)));
                    break;
                }
            }
            let has_room = rows < EVALUATED_ROWS_MAX && bytes < EVALUATED_BYTES_MAX;
            next = if has_room { self.turns.next().now_or_never().flatten() } else { None };
        }
        Taken { ready, ended, failure }
    }
}
