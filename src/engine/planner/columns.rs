//! The columns that every node gives, once the whole dataflow is planned: what is added to an aggregate late, as a version, is in them.

use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;

use crate::clock::{Clock, SystemClock};
use crate::engine::dataflow::{Dataflow, NodeKind};
use crate::engine::expression::ExpressionScope;
use crate::error::Result;

/// Tells the columns of sources and operators; a sink's are known where it is planned.
///
/// # Errors
/// An operator does not fit its inputs.
pub(super) fn complete(dataflow: &mut Dataflow) -> Result<()> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let scope = ExpressionScope::new(&dataflow.settings.time_zone, &clock);
    // Inputs come before those that take them.
    for index in 0..dataflow.nodes.len() {
        let node = &dataflow.nodes[index];
        let schema = match &node.kind {
            NodeKind::Source(source) => Arc::new(source.table.schema()?.project(&source.projection)?),
            NodeKind::Operator(kind) => {
                let inputs = node.inputs.iter().map(|input| dataflow.input_schema(input).cloned());
                kind.spec().output_schema(&inputs.collect::<Result<Vec<SchemaRef>>>()?, &scope)?
            }
            NodeKind::Sink(_) => continue,
        };
        dataflow.nodes[index].schema = schema;
    }
    Ok(())
}
