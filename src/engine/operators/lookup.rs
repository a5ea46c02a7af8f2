//! Appends a column for each call of a lookup function; the calls of a batch run at the same time.
//! Updates and deletes are taken as they come: the appended value is the one of now.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::physical_expr::PhysicalExpr;
use futures::future::try_join_all;
use serde::{Deserialize, Serialize};

use super::spec::{OperatorSpec, only_input};
use super::{Emitted, Operator, OperatorContext};
use crate::changelog::ChangeBatch;
use crate::engine::expression::{ExpressionScope, StoredExpression, evaluate};
use crate::engine::lookup::{LookupEvaluator, StoredLookupFunction, return_type};
use crate::engine::metrics::NodeMetrics;
use crate::error::Result;

/// The lookups as a job stores them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LookupSpec {
    /// Each appends a column; equal calls were folded into one.
    pub calls: Vec<LookupCall>,
}

/// One call of a lookup function.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LookupCall {
    /// The function.
    pub function: StoredLookupFunction,
    /// Over the input's columns.
    pub arguments: Vec<StoredExpression>,
}

impl OperatorSpec for LookupSpec {
    fn name(&self) -> &'static str {
        "lookup"
    }

    fn title(&self) -> &'static str {
        "Lookup"
    }

    fn describe(&self, _names: &[Vec<String>]) -> String {
        let call = |call: &LookupCall| {
            let arguments: Vec<&str> = call.arguments.iter().map(|argument| argument.text.as_str()).collect();
            let (name, table) = (&call.function.name, &call.function.table.name);
            format!("{name}({}) from {table}", arguments.join(", "))
        };
        format!(": {}", self.calls.iter().map(call).collect::<Vec<_>>().join("; "))
    }

    fn asks_outside(&self) -> bool {
        true
    }

    fn output_schema(&self, inputs: &[SchemaRef], scope: &ExpressionScope) -> Result<SchemaRef> {
        let types = self.calls.iter().map(|call| return_type(&call.function, scope)).collect::<Result<Vec<_>>>()?;
        Ok(extended(only_input(inputs)?, types.into_iter()))
    }

    fn build(
        &self,
        inputs: &[SchemaRef],
        metrics: &Arc<NodeMetrics>,
        context: &OperatorContext<'_>,
    ) -> Result<Box<dyn Operator>> {
        Ok(Box::new(Lookup::new(&self.calls, only_input(inputs)?, metrics, context)?))
    }
}

/// See the module.
pub struct Lookup {
    calls: Vec<Call>,
    schema: SchemaRef,
    metrics: Arc<NodeMetrics>,
    consistent: Arc<dyn Fn() -> bool + Send + Sync>,
}

struct Call {
    evaluator: LookupEvaluator,
    arguments: Vec<Arc<dyn PhysicalExpr>>,
}

impl Lookup {
    /// Compiles the calls for batches of `input`.
    ///
    /// # Errors
    /// A call does not fit the input, or its table does not open.
    pub fn new(
        calls: &[LookupCall],
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

fn extended(input: &Schema, types: impl Iterator<Item = DataType>) -> SchemaRef {
    let mut fields: Vec<Field> = input.fields().iter().map(|field| field.as_ref().clone()).collect();
    for data_type in types {
        fields.push(Field::new(format!("#{}", fields.len()), data_type, true));
    }
    Arc::new(Schema::new(fields))
}

#[async_trait]
impl Operator for Lookup {
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
