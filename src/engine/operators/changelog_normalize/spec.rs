//! The normalisation as a job stores it.

use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use serde::{Deserialize, Serialize};

use super::ChangelogNormalize;
use crate::engine::expression::ExpressionScope;
use crate::engine::metrics::NodeMetrics;
use crate::engine::operators::spec::{OperatorSpec, names_of, only_input};
use crate::engine::operators::{Operator, OperatorContext};
use crate::error::Result;

/// Makes full changes of rows that come by key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChangelogNormalizeSpec {
    /// Columns of the key.
    pub key: Vec<usize>,
    /// A row that was not touched for so long is forgotten.
    #[serde(default)]
    pub state_ttl_ms: Option<u64>,
}

impl OperatorSpec for ChangelogNormalizeSpec {
    fn name(&self) -> &'static str {
        "normalize"
    }

    fn title(&self) -> &'static str {
        "ChangelogNormalize"
    }

    fn is_stateful(&self) -> bool {
        true
    }

    fn describe(&self, names: &[Vec<String>]) -> String {
        format!(": by [{}]; state: the last row of each key", names_of(names, &self.key))
    }

    fn output_schema(&self, inputs: &[SchemaRef], _scope: &ExpressionScope) -> Result<SchemaRef> {
        only_input(inputs).cloned()
    }

    fn build(
        &self,
        inputs: &[SchemaRef],
        metrics: &Arc<NodeMetrics>,
        context: &OperatorContext<'_>,
    ) -> Result<Box<dyn Operator>> {
        let operator = ChangelogNormalize::new(&self.key, self.state_ttl_ms, only_input(inputs)?, context)?;
        Ok(Box::new(operator.spilling_to(context.spill(metrics))))
    }
}
