//! What sub-queries and their predicates look like: how many rows they give, by what they correlate.

use datafusion::common::Column;
use datafusion::common::tree_node::TreeNode;
use datafusion::error::Result;
use datafusion::logical_expr::LogicalPlanBuilder;
use datafusion::logical_expr::expr::BinaryExpr;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Expr, LogicalPlan, Operator};

use crate::error::Error;

pub(super) fn unsupported(what: &str) -> datafusion::error::DataFusionError {
    Error::unsupported(format!("{what} is not supported yet")).hint("Write it as a join.").into()
}

pub(super) fn is_predicate(expr: &Expr) -> bool {
    matches!(expr, Expr::InSubquery(_) | Expr::Exists(_))
}

/// The closures below do not fail.
pub(super) fn contains(expr: &Expr, is: impl Fn(&Expr) -> bool) -> bool {
    expr.exists(|expr| Ok(is(expr))).unwrap_or(true)
}

/// The name of a sub-query's value, which no table has: one that reads the outer table, too, would be compared with itself else.
pub(super) const VALUE: &str = "#value";

pub(super) fn with_own_value(subquery: &LogicalPlan) -> Result<LogicalPlan> {
    let (qualifier, field) = subquery.schema().qualified_field(0);
    let value = Expr::Column(Column::from((qualifier, field))).alias(VALUE);
    LogicalPlanBuilder::from(subquery.clone()).project([value])?.build()
}

pub(super) enum OneRow {
    /// Rows as they come.
    No,
    /// An aggregate without GROUP BY.
    Always,
    /// Such a one with HAVING.
    If,
}

pub(super) fn one_row(plan: &LogicalPlan) -> OneRow {
    match plan {
        LogicalPlan::Projection(projection) => one_row(&projection.input),
        LogicalPlan::SubqueryAlias(alias) => one_row(&alias.input),
        LogicalPlan::Filter(filter) => match one_row(&filter.input) {
            OneRow::No => OneRow::No,
            _ => OneRow::If,
        },
        LogicalPlan::Aggregate(aggregate) if aggregate.group_expr.is_empty() => OneRow::Always,
        _ => OneRow::No,
    }
}

pub(super) fn below_projections(plan: &LogicalPlan) -> &LogicalPlan {
    match plan {
        LogicalPlan::Projection(projection) => below_projections(&projection.input),
        LogicalPlan::SubqueryAlias(alias) => below_projections(&alias.input),
        other => other,
    }
}

pub(super) fn is_correlated(plan: &LogicalPlan) -> bool {
    !plan.all_out_ref_exprs().is_empty()
}

/// Whether every condition on what is outside is `column = value`: rows can then be counted by the column.
pub(super) fn correlates_by_equality(plan: &LogicalPlan) -> bool {
    let here = match plan {
        LogicalPlan::Filter(filter) => split_conjunction(&filter.predicate).into_iter().all(|condition| {
            !condition.contains_outer()
                || matches!(condition, Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right })
                    if (is_column(left) && !right.any_column_refs()) || (is_column(right) && !left.any_column_refs()))
        }),
        _ => true,
    };
    here && plan.inputs().into_iter().all(correlates_by_equality)
}

fn is_column(expr: &Expr) -> bool {
    match expr {
        Expr::Column(_) => true,
        Expr::Cast(cast) => matches!(cast.expr.as_ref(), Expr::Column(_)),
        _ => false,
    }
}
