//! Operators: passive, batch in, batches out. The task loop owns waiting, barriers and time.

pub mod filter;
pub mod look_up;
pub mod project;

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;

use super::dataflow::OperatorKind;
use super::expression::ExpressionScope;
use super::metrics::NodeMetrics;
use crate::changelog::ChangeBatch;
use crate::connectors::{Lookup, TableDeclaration};
use crate::error::Result;

/// One step of a dataflow. Rows that an operator cannot evaluate make the whole call fail and change nothing,
/// so that the task may try the rows one by one.
#[async_trait]
pub trait Operator: Send + Sync {
    /// Columns of the batches that come out.
    fn schema(&self) -> SchemaRef;

    /// Takes a batch, gives what comes of it now.
    async fn process(&mut self, batch: ChangeBatch) -> Result<ChangeBatch>;
}

/// What operators are built with.
pub struct OperatorContext<'a> {
    /// Functions and time zone.
    pub scope: &'a ExpressionScope,
    /// Opens a looked-up table.
    pub open_lookup: &'a (dyn Fn(&TableDeclaration) -> Result<Arc<dyn Lookup>> + Send + Sync),
    /// Whether look-ups must see every acknowledged write now (read behind is in force); asked at each batch.
    pub consistent: Arc<dyn Fn() -> bool + Send + Sync>,
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
    Ok(match kind {
        OperatorKind::Filter { predicate } => Box::new(filter::Filter::new(predicate, input, context)?),
        OperatorKind::Project { expressions } => Box::new(project::Project::new(expressions, input, context)?),
        OperatorKind::LookUp { calls } => Box::new(look_up::LookUp::new(calls, input, metrics, context)?),
    })
}
