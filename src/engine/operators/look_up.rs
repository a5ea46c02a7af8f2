//! Appends a column for each call of a look-up function; the calls of a batch run at the same time.
//! Updates and deletes are taken as they come: the appended value is the one of now.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::physical_expr::PhysicalExpr;
use futures::future::try_join_all;

use super::{Emitted, Operator, OperatorContext};
use crate::changelog::ChangeBatch;
use crate::engine::dataflow::LookUpCall;
use crate::engine::expression::{ExpressionScope, evaluate};
use crate::engine::lookup::{LookupEvaluator, return_type};
use crate::engine::metrics::NodeMetrics;
use crate::error::Result;

/// See the module.
pub struct LookUp {
    calls: Vec<Call>,
    schema: SchemaRef,
    metrics: Arc<NodeMetrics>,
    consistent: Arc<dyn Fn() -> bool + Send + Sync>,
}

struct Call {
    evaluator: LookupEvaluator,
    arguments: Vec<Arc<dyn PhysicalExpr>>,
}

impl LookUp {
    /// Compiles the calls for batches of `input`.
    ///
    /// # Errors
    /// A call does not fit the input, or its table does not open.
    pub fn new(
        calls: &[LookUpCall],
        input: &SchemaRef,
        metrics: &Arc<NodeMetrics>,
        context: &OperatorContext<'_>,
    ) -> Result<Self> {
        let calls = calls
            .iter()
            .map(|call| {
                let lookup = (context.open_lookup)(&call.function.table)?;
                let evaluator = LookupEvaluator::new(call.function.clone(), lookup, context.scope)?;
                let arguments = call
                    .arguments
                    .iter()
                    .map(|argument| argument.compile(input, context.scope))
                    .collect::<Result<Vec<_>>>()?;
                Ok(Call { evaluator, arguments })
            })
            .collect::<Result<Vec<_>>>()?;
        let schema = extended(input, calls.iter().map(|call: &Call| call.evaluator.return_type().clone()));
        Ok(Self { calls, schema, metrics: Arc::clone(metrics), consistent: Arc::clone(&context.consistent) })
    }
}

/// Columns that come out for those of `input`: these, and one for each call. No table is opened.
///
/// # Errors
/// A stored function does not fit this build.
pub(super) fn output_schema(calls: &[LookUpCall], input: &Schema, scope: &ExpressionScope) -> Result<SchemaRef> {
    let types = calls.iter().map(|call| return_type(&call.function, scope)).collect::<Result<Vec<_>>>()?;
    Ok(extended(input, types.into_iter()))
}

fn extended(input: &Schema, types: impl Iterator<Item = DataType>) -> SchemaRef {
    let mut fields: Vec<Field> = input.fields().iter().map(|field| field.as_ref().clone()).collect();
    for data_type in types {
        fields.push(Field::new(format!("#{}", fields.len()), data_type, true));
    }
    Arc::new(Schema::new(fields))
}

#[async_trait]
impl Operator for LookUp {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn keeps_nothing(&self) -> bool {
        true
    }

    async fn process(&mut self, _input: usize, batch: ChangeBatch) -> Result<Emitted> {
        let rows = batch.len();
        let consistent = (self.consistent)();
        let results = self.calls.iter().map(|call| async {
            let arguments = call
                .arguments
                .iter()
                .map(|argument| evaluate(argument.as_ref(), batch.rows()))
                .collect::<Result<Vec<ArrayRef>>>()?;
            call.evaluator.evaluate(&arguments, rows, consistent, &self.metrics.connector).await
        });
        let appended = try_join_all(results).await?;
        let columns = batch.rows().columns().iter().cloned().chain(appended).collect();
        let extended = RecordBatch::try_new(Arc::clone(&self.schema), columns)?;
        let changes = match batch.kinds() {
            None => ChangeBatch::inserts(extended),
            Some(kinds) => ChangeBatch::changes(extended, Arc::clone(kinds)),
        };
        Ok(changes.into())
    }
}
