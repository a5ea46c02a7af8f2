//! Refuses sub-queries that would be pulled out of where they mean something else.

use std::collections::BTreeSet;

use datafusion::error::Result;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{FetchType, JoinType, LogicalPlan, SkipType, Subquery};

use super::shape::{OneRow, correlates_by_equality, is_correlated, one_row, unsupported};
use crate::error::Error;

/// Names of the columns in the conditions on what is outside.
fn correlated_columns(plan: &LogicalPlan, names: &mut BTreeSet<String>) {
    if let LogicalPlan::Filter(filter) = plan {
        for condition in split_conjunction(&filter.predicate) {
            if condition.contains_outer() {
                names.extend(condition.column_refs().into_iter().map(|column| column.name.clone()));
            }
        }
    }
    for input in plan.inputs() {
        correlated_columns(input, names);
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Exists,
    In,
    Scalar,
    Lateral,
}

/// Refuses correlated sub-queries whose conditions would be taken out of where they mean something else.
pub(super) fn check(subquery: &Subquery, role: Role) -> Result<()> {
    if subquery.outer_ref_columns.is_empty() {
        return Ok(());
    }
    if role == Role::In && matches!(one_row(&subquery.subquery), OneRow::If) {
        return Err(unsupported("HAVING without GROUP BY in a correlated sub-query of IN"));
    }
    check_plan(&subquery.subquery, role, true)
}

fn check_plan(plan: &LogicalPlan, role: Role, at_top: bool) -> Result<()> {
    if !is_correlated(plan) {
        return Ok(());
    }
    let mut stays_at_top = false;
    match plan {
        LogicalPlan::SubqueryAlias(alias) => {
            stays_at_top = at_top;
            let mut names = BTreeSet::new();
            correlated_columns(&alias.input, &mut names);
            if let Some(name) = names.iter().find(|name| alias.schema.index_of_column_by_name(None, name).is_none()) {
                return Err(Error::unsupported(format!(
                    "a condition on what is outside of derived table \"{}\" needs its column \"{name}\"",
                    alias.alias
                ))
                .hint("SELECT the column in the derived table, too.")
                .into());
            }
        }
        LogicalPlan::Projection(_) | LogicalPlan::Filter(_) => stays_at_top = at_top,
        LogicalPlan::Join(join) => {
            let (left, right) = match join.join_type {
                JoinType::Left => (false, true),
                JoinType::Right => (true, false),
                JoinType::Inner => (false, false),
                // Those of sub-queries within: only the rows of their left side go on.
                JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => (false, true),
                _ => (true, true),
            };
            if (left && is_correlated(&join.left)) || (right && is_correlated(&join.right)) {
                return Err(unsupported("a correlated sub-query in the outer part of a join"));
            }
        }
        LogicalPlan::Aggregate(_) if !correlates_by_equality(plan) => {
            return Err(unsupported("an aggregate in a correlated sub-query whose correlation is no equality"));
        }
        LogicalPlan::Aggregate(aggregate) if aggregate.group_expr.is_empty() && !at_top => {
            return Err(unsupported("an aggregate without GROUP BY in this place of a correlated sub-query"));
        }
        LogicalPlan::Window(_) => return Err(unsupported("a window function in a correlated sub-query")),
        LogicalPlan::Limit(limit) => {
            let begins_first = matches!(limit.get_skip_type()?, SkipType::Literal(0));
            let takes_one = matches!(limit.get_fetch_type()?, FetchType::Literal(fetch) if fetch != Some(0));
            if role != Role::Exists || !begins_first || !takes_one {
                return Err(unsupported("LIMIT in a correlated sub-query"));
            }
            stays_at_top = at_top;
        }
        LogicalPlan::Sort(_) => stays_at_top = at_top,
        _ => {}
    }
    for input in plan.inputs() {
        check_plan(input, role, stays_at_top)?;
    }
    Ok(())
}
