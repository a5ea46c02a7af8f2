//! Keeps the rows that have a shouted text in a column: `WHERE text = SHOUT(text)`. In tests only: it is the operator that docs/adding.md tells
//! how to add.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::{AsArray, BooleanArray};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::DFSchema;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator as Sign};
use serde::{Deserialize, Serialize};

use super::spec::{OperatorSpec, name_of, only_input};
use super::{Emitted, Operator, OperatorContext};
use crate::changelog::ChangeBatch;
use crate::engine::expression::ExpressionScope;
use crate::engine::metrics::NodeMetrics;
use crate::error::Result;

/// The operator as a job stores it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OnlyLoudSpec {
    column: usize,
}

impl OnlyLoudSpec {
    /// The operator that stands for a predicate, if there is one.
    pub(in crate::engine) fn of(predicate: &Expr, schema: &DFSchema) -> Option<Self> {
        let Expr::BinaryExpr(BinaryExpr { left, op: Sign::Eq, right }) = predicate else { return None };
        let (Expr::Column(column), Expr::ScalarFunction(call)) = (left.as_ref(), right.as_ref()) else { return None };
        let is_shouted = call.func.name() == "shout" && call.args.iter().all(|argument| argument == left.as_ref());
        Some(Self { column: schema.index_of_column(column).ok().filter(|_| is_shouted)? })
    }
}

impl OperatorSpec for OnlyLoudSpec {
    fn name(&self) -> &'static str {
        "only-loud"
    }

    fn title(&self) -> &'static str {
        "OnlyLoud"
    }

    fn describe(&self, names: &[Vec<String>]) -> String {
        format!(": {}", name_of(names, self.column))
    }

    fn output_schema(&self, inputs: &[SchemaRef], _scope: &ExpressionScope) -> Result<SchemaRef> {
        only_input(inputs).cloned()
    }

    fn build(
        &self,
        inputs: &[SchemaRef],
        _metrics: &Arc<NodeMetrics>,
        _context: &OperatorContext<'_>,
    ) -> Result<Box<dyn Operator>> {
        Ok(Box::new(OnlyLoud { column: self.column, schema: Arc::clone(only_input(inputs)?) }))
    }
}

struct OnlyLoud {
    column: usize,
    schema: SchemaRef,
}

#[async_trait]
impl Operator for OnlyLoud {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn keeps_nothing(&self) -> bool {
        true
    }

    async fn process(&mut self, _input: usize, batch: ChangeBatch) -> Result<Emitted> {
        let texts = batch.rows().column(self.column).as_string::<i32>();
        let is_loud = |text: &str| text.ends_with('!') && text.to_uppercase() == text;
        let keep: BooleanArray = texts.iter().map(|text| Some(text.is_some_and(is_loud))).collect();
        Ok(batch.filter(&keep)?.into())
    }
}
