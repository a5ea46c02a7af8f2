//! What calls of aggregates mean where Flink and Postgres mean more than DataFusion: LISTAGG without a delimiter, FIRST_VALUE and
//! LAST_VALUE over NULLs. Knows nothing of how they are kept; their names are in `aggregations`.
//! All is resolved when a statement is planned, so that queries and jobs mean the same.

use datafusion::common::tree_node::TreeNode;
use datafusion::error::Result;
use datafusion::logical_expr::expr::NullTreatment;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawAggregateExpr, RawWindowExpr};
use datafusion::logical_expr::{Expr, lit};

use super::aggregations::aggregations;
use crate::error::Error;

/// What calls of aggregates mean. LISTAGG without a delimiter joins by a comma; FIRST_VALUE and LAST_VALUE leave NULL out unless they
/// are told to heed it, both as in Flink (as window functions they heed it, as in Postgres).
#[derive(Debug)]
pub struct Aggregates;

impl ExprPlanner for Aggregates {
    fn plan_aggregate(&self, mut raw: RawAggregateExpr) -> Result<PlannerResult<RawAggregateExpr>> {
        let entry = aggregations().find(raw.func.name());
        if raw.distinct && entry.is_some_and(|entry| !entry.maker.takes_distinct) {
            let message = format!("DISTINCT in {} is not supported", raw.func.name());
            let hint = "Write SELECT DISTINCT in a sub-query, and the aggregate over it.";
            return Err(Error::unsupported(message).hint(hint).into());
        }
        match raw.func.name() {
            "string_agg" if raw.args.len() == 1 => raw.args.push(lit(",")),
            "first_value" | "last_value" => {
                raw.null_treatment = raw.null_treatment.or(Some(NullTreatment::IgnoreNulls));
            }
            _ => {}
        }
        // A rule would make groups of the values first, and with them another order.
        if raw.distinct && raw.func.name() == "array_agg" && raw.order_by.is_empty() {
            raw.filter = raw.filter.or_else(|| Some(Box::new(lit(true))));
        }
        raw.args = raw.args.into_iter().map(with_name_of_its_own).collect();
        raw.filter = raw.filter.map(|filter| Box::new(with_name_of_its_own(*filter)));
        Ok(PlannerResult::Original(raw))
    }

    fn plan_window(&self, mut raw: RawWindowExpr) -> Result<PlannerResult<RawWindowExpr>> {
        raw.args = raw.args.into_iter().map(with_name_of_its_own).collect();
        Ok(PlannerResult::Original(raw))
    }
}

/// DataFusion calls an aggregate by the names of its arguments, and a cast by that of its argument, so that SUM(x) and
/// SUM(CAST(x AS BIGINT)) would be one column.
fn with_name_of_its_own(expr: Expr) -> Expr {
    let has_cast = expr.exists(|expr| Ok(matches!(expr, Expr::Cast(_) | Expr::TryCast(_)))).unwrap_or(false);
    if !has_cast || matches!(expr, Expr::Alias(_)) {
        return expr;
    }
    let name = expr.to_string();
    expr.alias(name)
}
