//! Operators: passive, batch in, batches out. The task loop owns waiting, barriers and time.

pub mod changelog_normalize;
pub mod filter;
pub mod group_aggregate;
pub mod look_up;
pub mod materialize;
pub mod project;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::record_batch::RecordBatch;

use super::dataflow::OperatorKind;
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

/// One step of a dataflow. Rows that an operator cannot evaluate make the whole call fail and change nothing,
/// so that the task may try the rows one by one.
#[async_trait]
pub trait Operator: Send {
    /// Columns of the batches that come out.
    fn schema(&self) -> SchemaRef;

    /// Takes a batch, gives what comes of it now.
    async fn process(&mut self, batch: ChangeBatch) -> Result<ChangeBatch>;

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
    /// A defect of ours.
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
    /// Whether look-ups must see every acknowledged write now (read behind is in force); asked at each batch.
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

/// Columns that a stored operator gives for those of `input`. Nothing is built or opened for that.
///
/// # Errors
/// Its stored form does not fit this build or its input.
pub(super) fn output_schema(kind: &OperatorKind, input: &SchemaRef, scope: &ExpressionScope) -> Result<SchemaRef> {
    match kind {
        OperatorKind::Filter { .. } | OperatorKind::ChangelogNormalize { .. } => Ok(Arc::clone(input)),
        OperatorKind::Project { expressions } => project::output_schema(expressions, input, scope),
        OperatorKind::LookUp { calls } => look_up::output_schema(calls, input, scope),
        OperatorKind::GroupAggregate(spec) => group_aggregate::output_schema(spec, input),
        OperatorKind::Materialize { version, .. } => Ok(materialize::output_schema(input, *version)),
    }
}

/// Builds a stored operator for batches of `input`.
///
/// # Errors
/// Its stored form does not fit this build, or a looked-up table does not open.
pub fn build(
    kind: &OperatorKind,
    input: &SchemaRef,
    metrics: &Arc<NodeMetrics>,
    context: &OperatorContext<'_>,
) -> Result<Box<dyn Operator>> {
    let spill = || {
        let unbounded = MemoryBudget::new(u64::MAX);
        let budget = if fault::is_mutant("never-spill") { &unbounded } else { &context.budget };
        Spill::new(context.spill_folder.join(&metrics.id), budget)
    };
    Ok(match kind {
        OperatorKind::Filter { predicate } => Box::new(filter::Filter::new(predicate, input, context)?),
        OperatorKind::Project { expressions } => Box::new(project::Project::new(expressions, input, context)?),
        OperatorKind::LookUp { calls } => Box::new(look_up::LookUp::new(calls, input, metrics, context)?),
        OperatorKind::GroupAggregate(spec) => {
            Box::new(group_aggregate::GroupAggregate::new(spec, input, context)?.counting(metrics).spilling_to(spill()))
        }
        OperatorKind::ChangelogNormalize { key, state_ttl_ms } => {
            let operator = changelog_normalize::ChangelogNormalize::new(key, *state_ttl_ms, input, context)?;
            Box::new(operator.spilling_to(spill()))
        }
        OperatorKind::Materialize { key, input: changelog, version, state_ttl_ms } => {
            let operator = materialize::Materialize::new(key, *changelog, *version, *state_ttl_ms, input, context)?;
            Box::new(operator.counting(metrics).spilling_to(spill()))
        }
    })
}
