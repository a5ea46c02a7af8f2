//! The group aggregate as an operator that a job stores; what it computes is in [`GroupAggregateSpec`].

use std::fmt::Write as _;
use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;

use super::{GroupAggregate, output_schema};
use crate::engine::aggregate::GroupAggregateSpec;
use crate::engine::expression::ExpressionScope;
use crate::engine::metrics::NodeMetrics;
use crate::engine::operators::spec::{OperatorSpec, name_of, only_input};
use crate::engine::operators::{Operator, OperatorContext};
use crate::error::Result;

impl OperatorSpec for GroupAggregateSpec {
    fn name(&self) -> &'static str {
        "aggregate"
    }

    fn title(&self) -> &'static str {
        "GroupAggregate"
    }

    fn is_stateful(&self) -> bool {
        true
    }

    fn describe(&self, names: &[Vec<String>]) -> String {
        let mut text = format!(": {}; state: ", GroupAggregateSpec::describe(self, &|column| name_of(names, column)));
        text.push_str(if self.keys.is_empty() { "one group" } else { "one row a group" });
        if self.keeps_values() {
            text.push_str(" and its distinct or counted values");
        }
        if let Some(ttl) = self.state_ttl_ms {
            let _ = write!(text, ", forgotten after {ttl} ms without rows");
        }
        text
    }

    fn column_names(&self, names: &[Vec<String>]) -> Vec<String> {
        let keys = self.keys.iter().map(|key| name_of(names, *key));
        keys.chain(self.aggregates.iter().map(|aggregate| aggregate.text.clone())).collect()
    }

    fn output_schema(&self, inputs: &[SchemaRef], _scope: &ExpressionScope) -> Result<SchemaRef> {
        output_schema(self, only_input(inputs)?)
    }

    fn build(
        &self,
        inputs: &[SchemaRef],
        metrics: &Arc<NodeMetrics>,
        context: &OperatorContext<'_>,
    ) -> Result<Box<dyn Operator>> {
        let operator = GroupAggregate::new(self, only_input(inputs)?, context)?;
        Ok(Box::new(operator.counting(metrics).spilling_to(context.spill(metrics))))
    }
}
