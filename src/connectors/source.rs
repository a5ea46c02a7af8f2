//! Unbounded reading, for jobs: splits, their readers, and what a reader gives. A source keeps no position itself: the job's
//! checkpoint does.

use std::sync::Arc;

use async_trait::async_trait;

use super::enumerator::{Restored, SplitEnumerator};
use super::log_identity::SplitLog;
use super::metrics::ConnectorMetrics;
use super::position::Position;
use super::skipped_records::{RowOffsets, SkippedRecords};
use super::split::{Split, Start};
use crate::changelog::{ChangeBatch, Changelog};
use crate::error::Result;

/// An unbounded source, split by partition. Its readers' positions are owned by the job's checkpoint.
#[async_trait]
pub trait Source: Send + Sync {
    /// Whether the source ends by itself (`scan.bounded.mode`, datagen with `number-of-rows`).
    fn is_bounded(&self) -> bool;

    /// What the batches of the source hold: inserts only, or changes.
    fn changelog(&self) -> Changelog {
        Changelog::Append
    }

    /// What finds the splits, for one run of a job that goes on from what is `restored`. Asks nobody.
    ///
    /// # Errors
    /// What is restored is none of this source's (`Corrupt`).
    fn enumerator(&self, restored: Restored<'_>) -> Result<Box<dyn SplitEnumerator>>;

    /// The source as a job reads it: what it tells the outside system of the job's progress stands under a name of the job's own,
    /// unless the table gives one. Absent: it is the same for all.
    fn of_job(&self, _job: &str, _job_id: &str) -> Option<Arc<dyn Source>> {
        None
    }

    /// Under which names, given by the table, progress is told; jobs that share one overwrite what the other has told.
    fn told_as(&self) -> Vec<ToldAs> {
        Vec::new()
    }

    /// How long to wait before the enumerator looks again; `None`: never, all splits are there at first, children beside their parents.
    fn discovery_interval(&self) -> Option<std::time::Duration> {
        None
    }

    /// Opens one split.
    async fn open(&self, request: SplitRequest<'_>) -> Result<Box<dyn SplitReader>>;

    /// A split as users know it, for messages: `topic "orders", partition 0,`.
    fn name_of(&self, split: &Split) -> String {
        split.id.clone()
    }

    /// What the logs of the splits are now, one for each, in their order; asks the outside system. Empty: the source's positions
    /// count in the same log for ever.
    ///
    /// # Errors
    /// The outside system does not answer (`Unavailable`).
    async fn logs(&self, _splits: &[Split]) -> Result<Vec<SplitLog>> {
        Ok(Vec::new())
    }

    /// The ends of the splits now, one for each, in their order; asks the outside system. Empty: nothing ever waits there to be read.
    ///
    /// # Errors
    /// The outside system does not answer (`Unavailable`), or a split is not there any more (`NotFound`).
    async fn ends(&self, _splits: &[Split]) -> Result<Vec<Position>> {
        Ok(Vec::new())
    }

    /// Tells the outside system how far everything is done, for its lag tools. Best effort, never read back.
    async fn commit(&self, _positions: &[(Split, Position)]) -> Result<()> {
        Ok(())
    }
}

/// Where a source tells its progress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToldAs {
    /// Kafka's consumer group.
    pub group: String,
    /// Of what: `kafka://host:9092/orders`.
    pub resource: String,
    /// As users know that: `topic "orders"`.
    pub name: String,
}

/// How a split is opened.
pub struct SplitRequest<'a> {
    /// The split.
    pub split: &'a Split,
    /// Where to begin.
    pub start: Start,
    /// Where to end, exclusive, when a job recomputes what it has already decided; absent: as the options say.
    pub end: Option<Position>,
    /// Records that are gone over, and counted.
    pub skips: &'a [SkippedRecords],
    /// Column indexes of the declared schema; batches have exactly these, in this order.
    pub projection: &'a [usize],
    /// Counters to keep.
    pub metrics: Arc<ConnectorMetrics>,
}

impl<'a> SplitRequest<'a> {
    /// From `start` on, as far as the options say.
    pub fn new(split: &'a Split, start: Start, projection: &'a [usize], metrics: Arc<ConnectorMetrics>) -> Self {
        Self { split, start, end: None, skips: &[], projection, metrics }
    }
}

/// Rows read from one split, and where to go on after them.
#[derive(Debug, Clone)]
pub struct SourceBatch {
    /// The projected rows with their kinds; may be empty when only skipped records were read.
    pub changes: ChangeBatch,
    /// The position after these rows.
    pub position: Position,
    /// Bytes read for it.
    pub bytes: u64,
    /// Where each row comes from, if the source knows.
    pub offsets: RowOffsets,
}

/// Reads one split in order.
#[async_trait]
pub trait SplitReader: Send {
    /// Position before the first row that `next` will return, wherever the start led.
    fn position(&self) -> Position;

    /// The next rows as soon as there are any; `None` when a bounded split has ended. Cancel safe: a dropped call loses no rows.
    async fn next(&mut self) -> Result<Option<SourceBatch>>;

    /// After `next` gave `None`: whether the split itself is over, so that nothing of it will ever be read again. Not so where only this
    /// reading was bounded, by the request or by an option.
    fn is_over(&self) -> bool {
        false
    }
}
