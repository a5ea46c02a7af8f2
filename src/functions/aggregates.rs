//! Names by which Flink and Postgres call aggregates that DataFusion has under another one. Knows nothing of how they are kept.
//! The alias is resolved when a statement is planned, so that queries and jobs mean the same.

use datafusion::error::Result;
use datafusion::logical_expr::lit;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawAggregateExpr};

/// Alias and DataFusion's name.
const ALIASES: &[(&str, &str)] = &[
    ("approx_count_distinct", "approx_distinct"),
    ("every", "bool_and"),
    ("listagg", "string_agg"),
    ("variance", "var"),
];

/// What DataFusion calls the aggregate of that name.
pub fn resolve(name: &str) -> &str {
    ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, resolved)| resolved)
}

/// LISTAGG without a delimiter joins by a comma, as in Flink.
#[derive(Debug)]
pub struct Delimiters;

impl ExprPlanner for Delimiters {
    fn plan_aggregate(&self, mut raw: RawAggregateExpr) -> Result<PlannerResult<RawAggregateExpr>> {
        if raw.func.name() == "string_agg" && raw.args.len() == 1 {
            raw.args.push(lit(","));
        }
        Ok(PlannerResult::Original(raw))
    }
}
