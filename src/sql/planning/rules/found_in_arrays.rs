//! `value = ANY (array)` where only true counts, in a WHERE: there it is the plain look into the array, which DataFusion makes a list of
//! IN of, and connectors a lookup by key. Elsewhere it is NULL where an array with a NULL has no such value.

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::error::Result;
use datafusion::functions_nested::array_has::array_has_udf;
use datafusion::logical_expr::expr::{BinaryExpr, ScalarFunction};
use datafusion::logical_expr::{Expr, LogicalPlan, Operator};
use datafusion::optimizer::AnalyzerRule;

use crate::functions::nulls::ANY_EQUAL;

/// See the head of this file.
#[derive(Debug)]
pub struct FoundInArrays;

impl AnalyzerRule for FoundInArrays {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        let plan = plan.transform_up_with_subqueries(|plan| {
            Ok(match plan {
                LogicalPlan::Filter(mut filter) => {
                    filter.predicate = condition(filter.predicate);
                    Transformed::yes(LogicalPlan::Filter(filter))
                }
                LogicalPlan::Join(mut join) if join.filter.is_some() => {
                    join.filter = join.filter.map(condition);
                    Transformed::yes(LogicalPlan::Join(join))
                }
                other => Transformed::no(other),
            })
        })?;
        Ok(plan.data)
    }

    fn name(&self) -> &'static str {
        "found_in_arrays"
    }
}

/// A condition of which only true counts.
fn condition(expr: Expr) -> Expr {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::And | Operator::Or), right }) => {
            let (left, right) = (Box::new(condition(*left)), Box::new(condition(*right)));
            Expr::BinaryExpr(BinaryExpr { left, op, right })
        }
        Expr::ScalarFunction(call) if call.func.name() == ANY_EQUAL => {
            Expr::ScalarFunction(ScalarFunction::new_udf(array_has_udf(), call.args))
        }
        other => other,
    }
}
