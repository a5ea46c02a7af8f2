//! Computes the output's columns, row by row.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::physical_expr::PhysicalExpr;
use serde::{Deserialize, Serialize};

use super::spec::{OperatorSpec, only_input};
use super::{Emitted, Operator, OperatorContext};
use crate::changelog::ChangeBatch;
use crate::engine::expression::{self, ExpressionScope, StoredExpression, evaluate};
use crate::engine::metrics::NodeMetrics;
use crate::error::Result;

/// The projection as a job stores it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProjectSpec {
    /// Over the input's columns.
    pub expressions: Vec<StoredExpression>,
}

impl OperatorSpec for ProjectSpec {
    fn name(&self) -> &'static str {
        "project"
    }

    fn title(&self) -> &'static str {
        "Projection"
    }

    fn describe(&self, names: &[Vec<String>]) -> String {
        format!(": {}", self.column_names(names).join(", "))
    }

    fn column_names(&self, _names: &[Vec<String>]) -> Vec<String> {
        self.expressions.iter().map(|expression| expression.text.clone()).collect()
    }

    fn expressions(&self) -> Vec<&StoredExpression> {
        self.expressions.iter().collect()
    }

    fn output_schema(&self, inputs: &[SchemaRef], scope: &ExpressionScope) -> Result<SchemaRef> {
        let input = only_input(inputs)?;
        expression::output_schema(&compiled(&self.expressions, input, scope)?, input)
    }

    fn build(
        &self,
        inputs: &[SchemaRef],
        _metrics: &Arc<NodeMetrics>,
        context: &OperatorContext<'_>,
    ) -> Result<Box<dyn Operator>> {
        Ok(Box::new(Project::new(&self.expressions, only_input(inputs)?, context)?))
    }
}

/// See the module.
pub struct Project {
    expressions: Vec<Arc<dyn PhysicalExpr>>,
    schema: SchemaRef,
}

impl Project {
    /// Compiles the expressions for batches of `input`.
    ///
    /// # Errors
    /// An expression does not fit the input.
    pub fn new(expressions: &[StoredExpression], input: &SchemaRef, context: &OperatorContext<'_>) -> Result<Self> {
        let expressions = compiled(expressions, input, context.scope)?;
        let schema = expression::output_schema(&expressions, input)?;
        Ok(Self { expressions, schema })
    }
}

fn compiled(
    expressions: &[StoredExpression],
    input: &Schema,
    scope: &ExpressionScope,
) -> Result<Vec<Arc<dyn PhysicalExpr>>> {
    expressions.iter().map(|expression| expression.compile(input, scope)).collect()
}

#[async_trait]
impl Operator for Project {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn keeps_nothing(&self) -> bool {
        true
    }

    async fn process(&mut self, _input: usize, batch: ChangeBatch) -> Result<Emitted> {
        let rows = batch.len();
        let columns = self
            .expressions
            .iter()
            .map(|expression| evaluate(expression.as_ref(), batch.rows()))
            .collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let projected = RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?;
        let changes = match batch.kinds() {
            None => ChangeBatch::inserts(projected),
            Some(kinds) => ChangeBatch::changes(projected, Arc::clone(kinds)),
        };
        Ok(changes.into())
    }
}
