//! DataFusion's optimised logical plan → dataflow.

use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::logical_expr::LogicalPlan;

use super::dataflow::{Dataflow, JobSettings};
use crate::error::{Error, Result};

/// Whether a plan reads a source that never ends: then its INSERT is a job.
///
/// # Errors
/// A table's provider cannot be reached.
pub fn is_unbounded(_plan: &LogicalPlan) -> Result<bool> {
    Ok(false)
}

/// Plans a job. `query` is the optimised plan whose columns are the sink's, in order and type; `sink` is a
/// [`crate::connectors::table_provider::ConnectorTable`].
///
/// # Errors
/// An operator that cannot run incrementally yet (0A000, with its name, the reason and the way out).
pub async fn plan_job(_query: &LogicalPlan, _sink: Arc<dyn TableProvider>, settings: JobSettings) -> Result<Dataflow> {
    let _ = &settings;
    Err(Error::unsupported("jobs are not supported yet"))
}
