//! Computes the output's columns, row by row.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::physical_expr::PhysicalExpr;

use super::{Emitted, Operator, OperatorContext};
use crate::changelog::ChangeBatch;
use crate::engine::expression::{self, ExpressionScope, StoredExpression, evaluate};
use crate::error::Result;

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

/// Columns that come out for those of `input`.
///
/// # Errors
/// An expression does not fit the input.
pub(super) fn output_schema(
    expressions: &[StoredExpression],
    input: &Schema,
    scope: &ExpressionScope,
) -> Result<SchemaRef> {
    expression::output_schema(&compiled(expressions, input, scope)?, input)
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
