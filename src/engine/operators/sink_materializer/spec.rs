//! The materialisation as a job stores it.

use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use serde::{Deserialize, Serialize};

use super::{SinkMaterializer, output_schema};
use crate::changelog::Changelog;
use crate::engine::expression::ExpressionScope;
use crate::engine::metrics::NodeMetrics;
use crate::engine::operators::spec::{OperatorSpec, names_of, only_input};
use crate::engine::operators::{Operator, OperatorContext};
use crate::error::Result;

/// Makes changes by a sink's key of rows that have another one: of all live rows of a key the last one stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SinkMaterializerSpec {
    /// Columns of the sink's key.
    pub key: Vec<usize>,
    /// What comes in.
    pub input: Changelog,
    /// Appends a column that counts the changes folded into the key.
    #[serde(default)]
    pub version: bool,
    /// A key that was not touched for so long is forgotten.
    #[serde(default)]
    pub state_ttl_ms: Option<u64>,
}

impl OperatorSpec for SinkMaterializerSpec {
    fn name(&self) -> &'static str {
        "sink-materializer"
    }

    fn title(&self) -> &'static str {
        "SinkMaterializer"
    }

    fn is_stateful(&self) -> bool {
        true
    }

    fn describe(&self, names: &[Vec<String>]) -> String {
        let state = match self.input {
            Changelog::Append => "the last row of each key and its number",
            _ => "the live rows of each key",
        };
        format!(": by [{}]; state: {state}", names_of(names, &self.key))
    }

    fn output_schema(&self, inputs: &[SchemaRef], _scope: &ExpressionScope) -> Result<SchemaRef> {
        Ok(output_schema(only_input(inputs)?, self.version))
    }

    fn build(
        &self,
        inputs: &[SchemaRef],
        metrics: &Arc<NodeMetrics>,
        context: &OperatorContext<'_>,
    ) -> Result<Box<dyn Operator>> {
        let input = only_input(inputs)?;
        let operator = SinkMaterializer::new(&self.key, self.input, self.version, self.state_ttl_ms, input, context)?;
        Ok(Box::new(operator.counting(metrics).spilling_to(context.spill(metrics))))
    }
}
