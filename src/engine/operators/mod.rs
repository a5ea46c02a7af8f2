//! Operators: passive; given a batch, a watermark or a timer, they give batches back. The task loop owns waiting, barriers and time.

pub mod changelog_normalize;
pub mod filter;
pub mod group_aggregate;
pub mod lookup;
pub mod project;
pub mod sink_materializer;
pub(crate) mod spec;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
pub mod unnest;

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::record_batch::RecordBatch;

use super::expression::ExpressionScope;
use super::metrics::NodeMetrics;
use super::state::budget::MemoryBudget;
use super::state::{Spill, StateSize, TableDelta};
use crate::changelog::ChangeBatch;
use crate::clock::Clock;
use crate::connectors::{BadRows, Lookup, TableDeclaration};
use crate::error::{Error, Result};
use crate::fault;

/// Told once by an operator that meets such a change; it is left out.
const UNKNOWN_RETRACTION: &str = "a change takes back a row that is not there, as a delete does that has the key only: declare a PRIMARY KEY, or write the whole \
     old row into the change record";

/// What an operator gives out: rows, and rows of its side outputs by their places in the stored node.
#[derive(Debug)]
pub struct Emitted {
    /// Of the main output; may be empty.
    pub rows: ChangeBatch,
    /// Of side outputs.
    pub side: Vec<(usize, ChangeBatch)>,
    /// What is left of the batch, if not all of it is taken yet: the operator is given it, once these rows have gone their way, before
    /// anything else. So what comes of a batch need not be in memory at once.
    pub rest: Option<ChangeBatch>,
}

impl Emitted {
    /// No rows.
    pub fn nothing(schema: &SchemaRef) -> Self {
        ChangeBatch::empty(Arc::clone(schema)).into()
    }
}

impl From<ChangeBatch> for Emitted {
    fn from(rows: ChangeBatch) -> Self {
        Self { rows, side: Vec::new(), rest: None }
    }
}

/// By which clock a timer is due. Times are in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimerClock {
    /// The watermark.
    EventTime,
    /// The clock of the machine, since 1970-01-01 UTC.
    ProcessingTime,
}

/// One step of a dataflow. Rows that an operator cannot evaluate make the whole call fail and change nothing,
/// so that the task may try the rows one by one.
#[async_trait]
pub trait Operator: Send {
    /// Columns of the batches that come out.
    fn schema(&self) -> SchemaRef;

    /// Takes a batch of one of its inputs (by its place in the stored node), gives what comes of it now.
    async fn process(&mut self, input: usize, batch: ChangeBatch) -> Result<Emitted>;

    /// Event time has come to `time` (milliseconds) in all its inputs; rows of earlier times, which may still come, are late. Called
    /// after the timers of event time that are due, with growing times; what follows it is told after what it emits here.
    ///
    /// # Errors
    /// A result cannot be computed.
    fn watermark(&mut self, _time: i64) -> Result<Emitted> {
        Ok(Emitted::nothing(&self.schema()))
    }

    /// When it wants [`Self::timer`] to be called next, by a clock; asked after everything that may change it, so it is to be cheap.
    fn next_timer(&self, _clock: TimerClock) -> Option<i64> {
        None
    }

    /// A timer that it has asked for is due: a clock has come to `time`, or beyond. It must not ask for the same time again.
    ///
    /// # Errors
    /// A result cannot be computed.
    fn timer(&mut self, _clock: TimerClock, _time: i64) -> Result<Emitted> {
        Ok(Emitted::nothing(&self.schema()))
    }

    /// Whether a batch leaves no trace: the operator may be given it again, only to see what comes of it.
    fn keeps_nothing(&self) -> bool {
        false
    }

    /// Whether results may be held back until [`Self::flush`].
    fn holds_back(&self) -> bool {
        false
    }

    /// Gives out the next part of what is held back, in the order in which it came, and nothing when all of it is given out:
    /// called so often when the input runs dry, when results have waited as long as they may, and before every barrier.
    ///
    /// # Errors
    /// A result cannot be computed.
    fn flush(&mut self) -> Result<Option<ChangeBatch>> {
        Ok(None)
    }

    /// What of its state changed since the last call, for the checkpoint; called at a barrier, when all is given out.
    /// Copies and returns: nothing is written here.
    ///
    /// # Errors
    /// An internal error.
    fn snapshot(&mut self) -> Result<Vec<TableDelta>> {
        Ok(Vec::new())
    }

    /// Takes up stored rows of a table, laid out as [`TableDelta::rows`], before the first batch. Called in the order in which
    /// they were stored: a later row of a key replaces an earlier one, a deleted one removes it.
    ///
    /// # Errors
    /// The operator has no such table, or it was stored with other columns.
    fn restore(&mut self, table: &str, _rows: &RecordBatch) -> Result<()> {
        Err(Error::corrupt(format!("the checkpoint has state \"{table}\" of an operator that keeps none")))
    }

    /// How much it keeps.
    fn state_size(&self) -> StateSize {
        StateSize::default()
    }
}

/// Keys in a part of a flush: what becomes of them on their way to the sink stays in the processor's caches. Few in tests, so
/// that these see several parts.
const FLUSHED_KEYS_MAX: usize = if cfg!(test) { 3 } else { 4096 };

/// What operators are built with.
pub struct OperatorContext<'a> {
    /// Functions and time zone.
    pub scope: &'a ExpressionScope,
    /// Opens a looked-up table.
    pub open_lookup: &'a (dyn Fn(&TableDeclaration) -> Result<Arc<dyn Lookup>> + Send + Sync),
    /// Whether lookups must see every acknowledged write now (read behind is in force); asked at each batch.
    pub consistent: Arc<dyn Fn() -> bool + Send + Sync>,
    /// What becomes of rows that cannot be evaluated.
    pub bad_rows: Arc<BadRows>,
    /// The time, for state that is forgotten.
    pub clock: Arc<dyn Clock>,
    /// How much state may be in memory, over all operators of the job.
    pub budget: MemoryBudget,
    /// Where state goes that does not fit.
    pub spill_folder: PathBuf,
}

impl OperatorContext<'_> {
    /// Where the state of the node with these counters goes that does not fit into memory.
    fn spill(&self, metrics: &NodeMetrics) -> Spill {
        let unbounded = MemoryBudget::new(u64::MAX);
        let budget = if fault::is_mutant("never-spill") { &unbounded } else { &self.budget };
        Spill::new(self.spill_folder.join(&metrics.id), budget)
    }
}
