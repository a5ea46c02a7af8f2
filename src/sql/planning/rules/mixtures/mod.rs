//! What must be said of types before they are coerced. Dates beside timestamps, where one type is wanted (CASE, COALESCE, UNION …), which
//! DataFusion brings to nanoseconds, which end in 2262, take the timestamp's; decimals beside floats, which it brings to DECIMAL(30, 15),
//! are doubles; texts that are written beside dates are dates; intervals are compared by their length; seconds have their fraction.

mod change;
mod expressions;
mod inputs;

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{ExprSchemable, LogicalPlan, Projection};
use datafusion::optimizer::AnalyzerRule;

use super::{intervals, ordered_inputs};
use crate::error::Error;
use crate::functions::intervals::{by_length, is_interval};
use change::has_change;
use expressions::of_expr;
use inputs::{of_keys, of_union};

/// See the head of this file.
#[derive(Debug)]
pub struct Mixtures;

impl AnalyzerRule for Mixtures {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        let plan = plan.transform_up_with_subqueries(|plan| {
            let plan = match plan {
                LogicalPlan::Union(union) => return of_union(union),
                LogicalPlan::Join(join) => of_keys(join)?,
                other => Transformed::no(other),
            };
            let is_changed = plan.transformed;
            let plan = plan.data;
            let schema = merge_schema(&plan.inputs());
            let preserver = NamePreserver::new(&plan);
            let sorts = matches!(plan, LogicalPlan::Sort(_));
            let mut plan = plan
                .map_expressions(|expr| {
                    let is_length = sorts && expr.get_type(&schema).is_ok_and(|found| is_interval(&found));
                    if !is_length && !has_change(&expr, &schema) {
                        return Ok(Transformed::no(expr));
                    }
                    let name = preserver.save(&expr);
                    let mut rewritten = expr.transform_up(|expr| of_expr(expr, &schema))?;
                    if is_length {
                        rewritten = Transformed::yes(by_length(rewritten.data));
                    }
                    Ok(if rewritten.transformed { rewritten.update_data(|expr| name.restore(expr)) } else { rewritten })
                })?
                .map_data(LogicalPlan::recompute_schema)?
                .transform_data(of_node)?;
            plan.transformed |= is_changed;
            Ok(plan)
        })?;
        Ok(plan.data)
    }

    fn name(&self) -> &'static str {
        "mixtures"
    }
}

/// What a node does with the order of its rows, and with intervals.
fn of_node(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    match plan {
        LogicalPlan::Aggregate(aggregate) => {
            ordered_inputs::of_aggregate(aggregate)?.transform_data(|plan| match plan {
                LogicalPlan::Aggregate(aggregate) => intervals::of_aggregate(aggregate),
                LogicalPlan::Projection(Projection { expr, input, .. }) => {
                    let LogicalPlan::Aggregate(aggregate) = Arc::unwrap_or_clone(input) else {
                        return Err(Error::internal("expected an ordered aggregate").into());
                    };
                    let input = Arc::new(intervals::of_aggregate(aggregate)?.data);
                    Ok(Transformed::yes(LogicalPlan::Projection(Projection::try_new(expr, input)?)))
                }
                other => Ok(Transformed::no(other)),
            })
        }
        LogicalPlan::Window(window) => intervals::of_window(window),
        LogicalPlan::Distinct(distinct) => intervals::of_distinct(distinct),
        other => Ok(Transformed::no(other)),
    }
}
