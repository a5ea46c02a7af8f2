//! A query that reads nothing and calls nothing (`SELECT 1`): its row is computed where the client is answered, without a
//! computation on the threads of queries, whose start would cost far more than the row.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatchOptions;
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::DFSchema;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::execution::context::ExecutionProps;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{Expr, LogicalPlan, Operator};
use datafusion::physical_expr::{PhysicalExpr, create_physical_expr};

use super::error_map::refine;
use crate::error::Result;
use crate::functions::integers;
use crate::sql::execution::queries::defect;

/// The columns of the one row.
#[derive(Clone, Debug)]
pub struct ConstantRow(Arc<[Arc<dyn PhysicalExpr>]>);

impl ConstantRow {
    /// The row of an analysed query, if it is of that kind. Whoever asks has seen that the text is short: nothing else bounds
    /// what it costs.
    pub fn of(analysed: &LogicalPlan) -> Option<Self> {
        let LogicalPlan::Projection(projection) = analysed else { return None };
        let LogicalPlan::EmptyRelation(nothing) = projection.input.as_ref() else { return None };
        if !nothing.produce_one_row || !projection.expr.iter().all(is_plain) {
            return None;
        }
        let (schema, properties, planning) =
            (DFSchema::empty(), ExecutionProps::new(), PhysicalPlanningContext::default());
        let columns = projection.expr.iter().map(|expr| create_physical_expr(expr, &schema, &properties, &planning));
        columns.collect::<Result<_, _>>().ok().map(Self)
    }

    /// Computes it.
    ///
    /// # Errors
    /// What an expression raises (22012, 22003, …).
    pub fn compute(&self, schema: &SchemaRef) -> Result<RecordBatch> {
        let one = RecordBatchOptions::new().with_row_count(Some(1));
        let computed = std::panic::catch_unwind(AssertUnwindSafe(|| {
            let input = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &one)?;
            let column = |expr: &Arc<dyn PhysicalExpr>| expr.evaluate(&input)?.into_array(1);
            let columns = self.0.iter().map(column).collect::<Result<_, _>>()?;
            Ok(RecordBatch::try_new_with_options(schema.clone(), columns, &one)?)
        }));
        computed.map_err(|_| defect())?.map_err(|error| refine(error, None))
    }
}

/// Whether an expression is made of constants, casts and operators whose time is bounded by its length.
fn is_plain(expr: &Expr) -> bool {
    let mut plain = true;
    let walked = expr.apply(|node| {
        plain = match node {
            Expr::Alias(_)
            | Expr::Literal(..)
            | Expr::Cast(_)
            | Expr::TryCast(_)
            | Expr::Negative(_)
            | Expr::Not(_)
            | Expr::IsNull(_)
            | Expr::IsNotNull(_)
            | Expr::IsTrue(_)
            | Expr::IsFalse(_)
            | Expr::IsUnknown(_)
            | Expr::IsNotTrue(_)
            | Expr::IsNotFalse(_)
            | Expr::IsNotUnknown(_) => true,
            Expr::ScalarFunction(call) => integers::is_one(call.func.name()),
            Expr::BinaryExpr(binary) => !matches!(
                binary.op,
                Operator::RegexMatch
                    | Operator::RegexIMatch
                    | Operator::RegexNotMatch
                    | Operator::RegexNotIMatch
                    | Operator::LikeMatch
                    | Operator::ILikeMatch
                    | Operator::NotLikeMatch
                    | Operator::NotILikeMatch
            ),
            _ => false,
        };
        Ok(if plain { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
    });
    walked.is_ok() && plain
}

#[cfg(test)]
mod tests;
