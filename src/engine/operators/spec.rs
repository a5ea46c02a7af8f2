//! An operator as a job stores it: what it is called, what it gives, and how it is built. Each operator has its own beside it;
//! `dataflow` lists them.

use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;

use super::{Operator, OperatorContext};
use crate::engine::expression::{ExpressionScope, StoredExpression};
use crate::engine::metrics::NodeMetrics;
use crate::error::{Error, Result};

/// The stored form of an operator.
pub(crate) trait OperatorSpec {
    /// As ids begin: `aggregate`.
    fn name(&self) -> &'static str;

    /// As EXPLAIN and messages name it: `GroupAggregate`.
    fn title(&self) -> &'static str;

    /// Whether it keeps state, so that what comes out are changes of its own.
    fn is_stateful(&self) -> bool {
        false
    }

    /// What it does, behind its title in EXPLAIN. `names`: what the columns of its inputs are called.
    fn describe(&self, names: &[Vec<String>]) -> String;

    /// What the columns that it gives are called.
    fn column_names(&self, names: &[Vec<String>]) -> Vec<String> {
        names.first().cloned().unwrap_or_default()
    }

    /// Expressions over its input that it evaluates: with one that is volatile the same rows give others at another time.
    fn expressions(&self) -> Vec<&StoredExpression> {
        Vec::new()
    }

    /// Whether what it gives depends on what an outside system answers at that time.
    fn asks_outside(&self) -> bool {
        false
    }

    /// The columns that it gives for those of its inputs. Nothing is built or opened for that.
    ///
    /// # Errors
    /// It does not fit its inputs.
    fn output_schema(&self, inputs: &[SchemaRef], scope: &ExpressionScope) -> Result<SchemaRef>;

    /// Builds it for batches of its inputs.
    ///
    /// # Errors
    /// Its stored form does not fit this build, or a table that it looks up does not open.
    fn build(
        &self,
        inputs: &[SchemaRef],
        metrics: &Arc<NodeMetrics>,
        context: &OperatorContext<'_>,
    ) -> Result<Box<dyn Operator>>;
}

/// The columns of the one input of an operator that has one.
pub(super) fn only_input(inputs: &[SchemaRef]) -> Result<&SchemaRef> {
    match inputs {
        [input] => Ok(input),
        _ => Err(Error::corrupt(format!("an operator with one input is stored with {}", inputs.len()))),
    }
}

/// The name of a column of the one input.
pub(super) fn name_of(names: &[Vec<String>], column: usize) -> String {
    let name = names.first().and_then(|names| names.get(column));
    name.cloned().unwrap_or_else(|| format!("#{column}"))
}

/// Names of columns of the one input, with commas between.
pub(super) fn names_of(names: &[Vec<String>], columns: &[usize]) -> String {
    columns.iter().map(|column| name_of(names, *column)).collect::<Vec<_>>().join(", ")
}
