//! Sub-queries of predicates by three-valued logic. What DataFusion makes joins of is right for EXISTS and IN of a WHERE, and wrong
//! for NOT IN beside NULLs, for IN as a value, and for aggregates without GROUP BY, which always give a row. Those are written out
//! here with EXISTS and counts; correlations that would be pulled out of where they mean something else are refused.

mod check;
mod logic;
mod marks;
mod shape;

use std::sync::Arc;

use datafusion::common::Column;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::logical_expr::expr::{Exists, InSubquery, SetComparison, SetQuantifier};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Aggregate, Expr, Filter, LogicalPlan, LogicalPlanBuilder, Operator, Projection};
use datafusion::optimizer::AnalyzerRule;

use crate::error::Error;
use check::{Role, check};
use logic::{condition, value};
use marks::Marks;
use shape::{below_projections, contains, is_predicate, unsupported, with_own_value};

/// See the head of this file.
#[derive(Debug)]
pub struct Subqueries;

impl AnalyzerRule for Subqueries {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        Ok(plan.transform_up_with_subqueries(rewrite)?.data)
    }

    fn name(&self) -> &'static str {
        "subqueries"
    }
}

fn rewrite(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let plan = plan.map_expressions(|expr| expr.transform_up(in_of_set_comparison))?.data;
    let plan = match plan {
        LogicalPlan::Filter(filter) if names_meet(&filter) => with_own_names(filter)?,
        plan => plan,
    };
    let mut has_predicates = false;
    plan.apply_expressions(|expr| {
        expr.apply(|expr| {
            match expr {
                Expr::Exists(Exists { subquery, .. }) => check(subquery, Role::Exists)?,
                Expr::InSubquery(InSubquery { subquery, .. }) => check(subquery, Role::In)?,
                Expr::ScalarSubquery(subquery) => check(subquery, Role::Scalar)?,
                Expr::SetComparison(SetComparison { subquery, .. }) => {
                    check(subquery, Role::In)?;
                    if !matches!(plan, LogicalPlan::Filter(_)) {
                        return Err(unsupported("ANY or ALL of a sub-query outside of WHERE"));
                    }
                }
                _ => return Ok(TreeNodeRecursion::Continue),
            }
            has_predicates |= is_predicate(expr);
            Ok(TreeNodeRecursion::Continue)
        })
    })?;
    if let LogicalPlan::Join(join) = &plan {
        for side in [&join.left, &join.right] {
            if let LogicalPlan::Subquery(subquery) = below_projections(side) {
                check(subquery, Role::Lateral)?;
            }
        }
    }
    if !has_predicates {
        return Ok(Transformed::no(plan));
    }
    match plan {
        LogicalPlan::Filter(mut filter) => {
            filter.predicate = condition(filter.predicate, filter.input.schema(), true)?;
            Ok(Transformed::yes(LogicalPlan::Filter(filter)))
        }
        LogicalPlan::Projection(_) => {
            let schema = merge_schema(&plan.inputs());
            let preserver = NamePreserver::new(&plan);
            let LogicalPlan::Projection(Projection { expr, input, .. }) = plan else {
                return Err(Error::internal("expected a projection").into());
            };
            let mut marks = Marks::over(input);
            let columns = expr.into_iter().map(|expr| {
                if !contains(&expr, is_predicate) {
                    return Ok(expr);
                }
                let name = preserver.save(&expr);
                Ok(name.restore(marks.found(value(expr, &schema)?)?))
            });
            let columns = columns.collect::<Result<Vec<_>>>()?;
            let projection = Projection::try_new(columns, Arc::new(marks.input))?;
            Ok(Transformed::yes(LogicalPlan::Projection(projection)))
        }
        LogicalPlan::Aggregate(aggregate) => Ok(Transformed::yes(computed_before(aggregate)?)),
        LogicalPlan::Sort(_) => Err(unsupported("IN or EXISTS of a sub-query in ORDER BY")),
        LogicalPlan::Join(_) => Err(unsupported("IN or EXISTS of a sub-query in the condition of a join")),
        LogicalPlan::Window(_) => Err(unsupported("IN or EXISTS of a sub-query in a window function")),
        _ => Err(unsupported("IN or EXISTS of a sub-query in this place")),
    }
}

/// Whether a correlated condition names a column that has a namesake: `x.id` beside `y.id`. What DataFusion pulls out of a sub-query it
/// knows by the name alone, and takes one for the other.
fn names_meet(filter: &Filter) -> bool {
    if !contains(&filter.predicate, |expr| matches!(expr, Expr::OuterReferenceColumn(..))) {
        return false;
    }
    let fields = filter.input.schema().fields();
    let has_namesake = |column: &&Column| fields.iter().filter(|field| *field.name() == column.name).count() > 1;
    filter.predicate.column_refs().iter().any(has_namesake)
}

/// The filter over copies of its columns, under names of their own.
fn with_own_names(filter: Filter) -> Result<LogicalPlan> {
    let columns: Vec<Expr> = filter.input.schema().columns().into_iter().map(Expr::Column).collect();
    let mut used: Vec<Column> = filter.predicate.column_refs().into_iter().cloned().collect();
    used.sort();
    let own = |at: usize| format!("#outer_{at}");
    let copies = used.iter().enumerate().map(|(at, column)| Expr::Column(column.clone()).alias(own(at)));
    let with_copies: Vec<Expr> = columns.iter().cloned().chain(copies).collect();
    let predicate = filter.predicate.transform_up(|expr| {
        Ok(match expr {
            Expr::Column(column) => match used.iter().position(|known| *known == column) {
                Some(at) => Transformed::yes(Expr::Column(Column::new_unqualified(own(at)))),
                None => Transformed::no(Expr::Column(column)),
            },
            other => Transformed::no(other),
        })
    })?;
    LogicalPlanBuilder::from(Arc::unwrap_or_clone(filter.input))
        .project(with_copies)?
        .filter(predicate.data)?
        .project(columns)?
        .build()
}

/// `= ANY` is IN, `<> ALL` is NOT IN.
fn in_of_set_comparison(expr: Expr) -> Result<Transformed<Expr>> {
    let Expr::SetComparison(comparison) = expr else { return Ok(Transformed::no(expr)) };
    let negated = match (comparison.op, &comparison.quantifier) {
        (Operator::Eq, SetQuantifier::Any) => false,
        (Operator::NotEq, SetQuantifier::All) => true,
        _ => {
            let mut comparison = comparison;
            comparison.subquery.subquery = Arc::new(with_own_value(&comparison.subquery.subquery)?);
            return Ok(Transformed::yes(Expr::SetComparison(comparison)));
        }
    };
    let SetComparison { expr, subquery, .. } = comparison;
    Ok(Transformed::yes(Expr::InSubquery(InSubquery { expr, subquery, negated })))
}

/// Computes the arguments of an aggregate that have sub-queries in a projection before it.
fn computed_before(aggregate: Aggregate) -> Result<LogicalPlan> {
    let schema = aggregate.input.schema().clone();
    let plan = LogicalPlan::Aggregate(aggregate);
    let preserver = NamePreserver::new(&plan);
    let LogicalPlan::Aggregate(Aggregate { input, group_expr, aggr_expr, .. }) = plan else {
        return Err(Error::internal("expected an aggregate").into());
    };
    let mut marks = Marks::over(input);
    let mut columns: Vec<Expr> = schema.columns().into_iter().map(Expr::Column).collect();
    let mut replace = |expr: Expr| {
        let name = preserver.save(&expr);
        let replaced = expr.transform_down(|expr| {
            if !is_predicate(&expr) {
                return Ok(Transformed::no(expr));
            }
            let column = format!("#predicate_{}", columns.len());
            columns.push(marks.found(value(expr, &schema)?)?.alias(&column));
            let column = Expr::Column(Column::new_unqualified(column));
            Ok(Transformed::new(column, true, TreeNodeRecursion::Jump))
        })?;
        Ok::<_, datafusion::error::DataFusionError>(name.restore(replaced.data))
    };
    let group_expr = group_expr.into_iter().map(&mut replace).collect::<Result<Vec<_>>>()?;
    let aggr_expr = aggr_expr.into_iter().map(&mut replace).collect::<Result<Vec<_>>>()?;
    let input = LogicalPlanBuilder::from(marks.input).project(columns)?.build()?;
    Ok(LogicalPlan::Aggregate(Aggregate::try_new(Arc::new(input), group_expr, aggr_expr)?))
}
