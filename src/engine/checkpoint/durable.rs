//! An epoch between its barrier and its decision: what the tasks report of it, and how that becomes durable and decided. The order is
//! what makes exactly-once hold: the logs are verified and the sinks have everything, then the checkpoint is stored, then it is decided.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::log_watch::{self, Watched};
use super::sources::SplitPositions;
use super::{CheckpointStore, Enumerators, Logs, Manifest, OperatorDelta, Place, Positions};
use crate::clock::Clock;
use crate::connectors::{Decision, Position, Split, Transactions, short_table_name};
use crate::engine::metrics::CheckpointFacts;
use crate::engine::state::budget::MemorySlot;
use crate::engine::task::{BarrierReport, SinkSequence};
use crate::error::{Error, Result};
use crate::fault;
use crate::waits::Waits;

/// An epoch between barrier and decision.
pub(super) struct Epoch {
    number: u64,
    begun: Instant,
    positions: Positions,
    splits: SplitPositions,
    /// By source: splits that were read to their end.
    ended: BTreeMap<String, Vec<Split>>,
    deltas: Vec<OperatorDelta>,
    /// Room that those take.
    room: MemorySlot,
    sequences: Vec<SinkSequence>,
    stall: Duration,
}

/// What came of an epoch.
pub(super) struct Completed {
    pub manifest: Manifest,
    pub facts: CheckpointFacts,
    pub splits: SplitPositions,
    /// By source: splits whose last rows are in it.
    pub ended: BTreeMap<String, Vec<Split>>,
}

/// Where an epoch becomes durable.
pub(super) struct Rim {
    pub store: CheckpointStore,
    /// What decides it; absent: the stored checkpoint itself does.
    pub transactions: Option<Arc<dyn Transactions>>,
    /// Whether it was decided before, and is computed again.
    pub is_rebuild: bool,
    pub clock: Arc<dyn Clock>,
    /// What was read for it, and in which logs its positions count.
    pub watched: Vec<Watched>,
    pub logs: Logs,
    /// What finds the splits, as it is behind this epoch.
    pub enumerators: Enumerators,
    pub waits: Waits,
}

impl Epoch {
    pub fn new(number: u64, splits: SplitPositions, room: MemorySlot) -> Self {
        let mut epoch = Self {
            number,
            begun: Instant::now(),
            positions: Positions::new(),
            splits: SplitPositions::new(),
            ended: BTreeMap::new(),
            deltas: Vec::new(),
            room,
            sequences: Vec::new(),
            stall: Duration::ZERO,
        };
        for (source, positions) in splits {
            epoch.take(source, positions);
        }
        epoch
    }

    fn take(&mut self, source: String, positions: Vec<(Split, Position)>) {
        let known = self.positions.entry(source.clone()).or_default();
        let splits = self.splits.entry(source).or_default();
        for (split, position) in positions {
            known.insert(split.id.clone(), position.clone());
            splits.retain(|(other, _)| *other != split);
            splits.push((split, position));
        }
    }

    /// Adds what a task reports of it; of another epoch it is nothing to this one.
    pub fn add(&mut self, report: BarrierReport) {
        if report.epoch != self.number {
            return;
        }
        for (source, positions) in report.positions {
            self.take(source, positions);
        }
        for (source, split) in report.ended {
            if let Some(positions) = self.positions.get_mut(&source) {
                positions.remove(&split.id);
            }
            if let Some(splits) = self.splits.get_mut(&source) {
                splits.retain(|(other, _)| *other != split);
            }
            self.ended.entry(source).or_default().push(split);
        }
        let bytes = |delta: &OperatorDelta| delta.delta.rows.get_array_memory_size() as u64;
        let more: u64 = report.deltas.iter().map(bytes).sum();
        self.room.set(self.room.bytes() + more, 0);
        self.deltas.extend(report.deltas);
        self.sequences.extend(report.sequences);
        self.stall = self.stall.max(report.stall);
    }

    /// Splits that were read to their end, by source.
    pub fn ended(&self) -> &BTreeMap<String, Vec<Split>> {
        &self.ended
    }

    /// Makes the epoch durable and decides it. Runs beside the tasks.
    ///
    /// # Errors
    /// What was read is of another log, a sink's writer has failed, or the place of checkpoints or decisions does not answer.
    pub async fn complete(self, rim: Rim) -> Result<Completed> {
        let Rim { store, transactions, is_rebuild, clock, watched, logs, enumerators, waits } = rim;
        let Epoch { number, begun, positions, splits, ended, deltas, sequences, stall, room } = self;
        // Whatever the sinks take meanwhile: what was read for this epoch must be of the logs in which its positions count.
        let verified = log_watch::verify(&watched, &logs, &positions);
        let verified = waits.during(|| "its sources to say that they are the same".to_owned(), verified);
        let sunk = sunk(number, sequences, transactions.as_ref(), &waits);
        tokio::try_join!(verified, sunk)?;
        let rows = deltas.iter().map(|delta| delta.delta.rows.num_rows() as u64).sum();
        let bytes = room.bytes();
        let place = Place { positions, logs, enumerators };
        let written = async {
            match is_rebuild {
                true => store.write_rebuilt(number, place, deltas).await,
                false => store.write(number, place, deltas).await,
            }
        };
        let manifest = waits.during(|| format!("checkpoint {number} to be stored"), written).await?;
        drop(room);
        if let Some(transactions) = &transactions {
            let decision = Decision {
                epoch: number,
                positions: manifest.positions.clone(),
                checksum: manifest.checksum(),
                logs: manifest.logs.clone(),
                enumerators: manifest.enumerators.clone(),
            };
            let committed: Vec<(Split, Position)> = splits.values().flatten().cloned().collect();
            let commits = transactions.commit(&decision, &committed);
            waits.during(|| format!("Kafka to commit epoch {number}"), commits).await?;
        }
        fault::point("K9");
        let facts =
            CheckpointFacts { epoch: number, at_ms: clock.now_ms(), duration: begun.elapsed(), stall, rows, bytes };
        Ok(Completed { manifest, facts, splits, ended })
    }
}

/// Waits until the sinks have everything of an epoch: acknowledged, or flushed into the transaction.
async fn sunk(
    number: u64,
    sequences: Vec<SinkSequence>,
    transactions: Option<&Arc<dyn Transactions>>,
    waits: &Waits,
) -> Result<()> {
    // Sinks outside of transactions: all writes up to the barrier are durable first. What was held back for that long
    // goes into the transaction then.
    let is_waited_for = !fault::is_mutant("skip-sink-wait") && !fault::is_mutant("commit-before-flush");
    let (inside, outside): (Vec<_>, Vec<_>) = sequences.into_iter().partition(|sequence| sequence.in_transaction);
    if is_waited_for {
        acknowledged(outside).await?;
    }
    let taken = || format!("Kafka to take epoch {number}");
    if let Some(transactions) = transactions {
        waits.during(taken, transactions.release(number)).await?;
    }
    if is_waited_for {
        acknowledged(inside).await?;
    }
    match transactions {
        Some(transactions) => waits.during(taken, transactions.flush(number)).await,
        None => Ok(()),
    }
}

/// Waits until writers have everything of an epoch acknowledged.
///
/// # Errors
/// Why one of them never will.
async fn acknowledged(sequences: Vec<SinkSequence>) -> Result<()> {
    for SinkSequence { table, mut acknowledged, sequence, waits, failure, .. } in sequences {
        let reason = || format!("acknowledgements of table \"{}\"", short_table_name(&table));
        let is_acknowledged = waits.during(reason, acknowledged.wait_for(|shown| *shown >= sequence)).await.is_ok();
        if !is_acknowledged {
            let ended = || Error::unavailable(format!("the writer of table \"{table}\" has ended"));
            return Err(failure().unwrap_or_else(ended));
        }
        fault::point("K1");
    }
    Ok(())
}
