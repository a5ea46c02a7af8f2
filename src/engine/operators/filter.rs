//! Keeps the rows for which a predicate is true. Holds nothing back, unlike DataFusion's FilterExec.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::{Array, AsArray};
use datafusion::arrow::compute::filter_record_batch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::physical_expr::PhysicalExpr;
use serde::{Deserialize, Serialize};

use super::spec::{OperatorSpec, only_input};
use super::{Emitted, Operator, OperatorContext};
use crate::changelog::{ChangeBatch, RowKind};
use crate::engine::expression::{ExpressionScope, StoredExpression, evaluate};
use crate::engine::metrics::NodeMetrics;
use crate::error::Result;

/// The filter as a job stores it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FilterSpec {
    /// Over the input's columns.
    pub predicate: StoredExpression,
}

impl OperatorSpec for FilterSpec {
    fn name(&self) -> &'static str {
        "filter"
    }

    fn title(&self) -> &'static str {
        "Filter"
    }

    fn describe(&self, _names: &[Vec<String>]) -> String {
        format!(": {}", self.predicate.text)
    }

    fn expressions(&self) -> Vec<&StoredExpression> {
        vec![&self.predicate]
    }

    fn output_schema(&self, inputs: &[SchemaRef], _scope: &ExpressionScope) -> Result<SchemaRef> {
        only_input(inputs).cloned()
    }

    fn build(
        &self,
        inputs: &[SchemaRef],
        _metrics: &Arc<NodeMetrics>,
        context: &OperatorContext<'_>,
    ) -> Result<Box<dyn Operator>> {
        Ok(Box::new(Filter::new(&self.predicate, only_input(inputs)?, context)?))
    }
}

/// See the module.
pub struct Filter {
    predicate: Arc<dyn PhysicalExpr>,
    schema: SchemaRef,
}

impl Filter {
    /// Compiles the predicate for batches of `input`.
    ///
    /// # Errors
    /// The predicate does not fit the input.
    pub fn new(predicate: &StoredExpression, input: &SchemaRef, context: &OperatorContext<'_>) -> Result<Self> {
        Ok(Self { predicate: predicate.compile(input, context.scope)?, schema: Arc::clone(input) })
    }
}

#[async_trait]
impl Operator for Filter {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn keeps_nothing(&self) -> bool {
        true
    }

    async fn process(&mut self, _input: usize, batch: ChangeBatch) -> Result<Emitted> {
        let keep = evaluate(self.predicate.as_ref(), batch.rows())?;
        let keep = keep.as_boolean();
        if keep.true_count() == batch.len() {
            return Ok(batch.into());
        }
        let rows = filter_record_batch(batch.rows(), keep)?;
        let changes = match batch.kinds() {
            None => ChangeBatch::inserts(rows),
            Some(kinds) => {
                let kept: Vec<RowKind> = kinds
                    .iter()
                    .enumerate()
                    .filter(|(row, _)| keep.is_valid(*row) && keep.value(*row))
                    .map(|(_, kind)| *kind)
                    .collect();
                ChangeBatch::changes(rows, kept.into())
            }
        };
        Ok(changes.into())
    }
}
