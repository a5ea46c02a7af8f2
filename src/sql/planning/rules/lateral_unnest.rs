//! `t CROSS JOIN UNNEST(t.a) AS u(x)`, which DataFusion plans as a correlated sub-query and cannot run: the array becomes a column of the
//! left side, and that column rows. LEFT JOIN … ON TRUE keeps the rows whose array is NULL or empty.

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, NullHandling, ScalarValue, UnnestOptions};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, Join, JoinType, LogicalPlan, LogicalPlanBuilder, Projection, Unnest};
use datafusion::optimizer::AnalyzerRule;

use crate::error::Error;

/// See the head of this file.
#[derive(Debug)]
pub struct LateralUnnest;

impl AnalyzerRule for LateralUnnest {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        let plan = plan.transform_up_with_subqueries(|plan| match plan {
            LogicalPlan::Join(join) => match parts(&join.right) {
                Some(parts) => Ok(Transformed::yes(joined(&join, parts)?)),
                None => Ok(Transformed::no(LogicalPlan::Join(join))),
            },
            other => Ok(Transformed::no(other)),
        })?;
        Ok(plan.data)
    }

    fn name(&self) -> &'static str {
        "lateral_unnest"
    }
}

/// What an UNNEST of outer columns is made of.
struct Parts<'a> {
    /// Its columns, over those of the rows.
    columns: Vec<Expr>,
    rows: &'a Unnest,
    /// The arrays, over the outer columns.
    arrays: &'a Projection,
}

fn parts(right: &LogicalPlan) -> Option<Parts<'_>> {
    let mut plan = right;
    let subquery = loop {
        match plan {
            LogicalPlan::SubqueryAlias(alias) => plan = &alias.input,
            LogicalPlan::Subquery(subquery) if !subquery.outer_ref_columns.is_empty() => break subquery,
            _ => return None,
        }
    };
    let mut plan = subquery.subquery.as_ref();
    let mut columns: Option<Vec<Expr>> = None;
    loop {
        match plan {
            LogicalPlan::Projection(projection) => {
                columns = Some(match columns {
                    None => projection.expr.clone(),
                    Some(columns) => {
                        columns.into_iter().map(|column| over(column, projection)).collect::<Option<_>>()?
                    }
                });
                plan = &projection.input;
            }
            LogicalPlan::SubqueryAlias(alias) => plan = &alias.input,
            LogicalPlan::Unnest(rows) => {
                let LogicalPlan::Projection(arrays) = rows.input.as_ref() else { return None };
                let LogicalPlan::EmptyRelation(_) = arrays.input.as_ref() else { return None };
                return Some(Parts { columns: columns?, rows, arrays });
            }
            _ => return None,
        }
    }
}

/// An expression over a projection's columns as one over what the projection is over.
fn over(expr: Expr, projection: &Projection) -> Option<Expr> {
    let rewritten = expr.transform_up(|expr| {
        let Expr::Column(column) = &expr else { return Ok(Transformed::no(expr)) };
        let named = |item: &&Expr| item.qualified_name().1 == column.name;
        let item = projection.expr.iter().find(named).cloned();
        Ok(item.map_or(Transformed::no(expr), |item| Transformed::yes(item.unalias())))
    });
    rewritten.ok().map(|rewritten| rewritten.data)
}

fn unsupported(what: &str) -> datafusion::error::DataFusionError {
    Error::unsupported(format!("{what} is not supported yet"))
        .hint("CROSS JOIN UNNEST (column) and LEFT JOIN UNNEST (column) ON TRUE are.")
        .into()
}

fn joined(join: &Join, parts: Parts<'_>) -> Result<LogicalPlan> {
    let keeps = match join.join_type {
        JoinType::Inner => false,
        JoinType::Left => true,
        _ => return Err(unsupported("this kind of join with UNNEST of a column")),
    };
    let is_true = |filter: &Expr| matches!(filter, Expr::Literal(ScalarValue::Boolean(Some(true)), _));
    let filter = join.filter.clone().filter(|filter| !is_true(filter));
    if keeps && (filter.is_some() || !join.on.is_empty()) {
        return Err(unsupported("LEFT JOIN UNNEST of a column with a condition"));
    }
    let left: Vec<Expr> = join.left.schema().columns().into_iter().map(Expr::Column).collect();
    let arrays = parts.arrays.expr.iter().map(|array| {
        let (_, name) = array.qualified_name();
        Ok(inner(array.clone().unalias())?.alias(name))
    });
    let with_arrays: Vec<Expr> = left.iter().cloned().map(Ok).chain(arrays).collect::<Result<_>>()?;
    let handling = if keeps { NullHandling::PreserveAndExpandEmpty } else { NullHandling::Drop };
    let options = UnnestOptions::new().with_null_handling(handling);
    let arrays: Vec<Column> =
        parts.rows.exec_columns.iter().map(|column| Column::new_unqualified(&column.name)).collect();
    let rows = LogicalPlanBuilder::from(join.left.as_ref().clone())
        .project(with_arrays)?
        .unnest_columns_with_options(arrays, options)?;
    let columns = join.schema.iter().skip(left.len()).zip(parts.columns).map(|((qualifier, field), column)| {
        let column = inner(column.unalias())?;
        Ok(column.alias_qualified(qualifier.cloned(), field.name()))
    });
    let all: Vec<Expr> = left.iter().cloned().map(Ok).chain(columns).collect::<Result<_>>()?;
    let mut plan = rows.project(all)?;
    let on = join.on.iter().map(|(left, right)| left.clone().eq(right.clone()));
    for condition in on.chain(filter) {
        plan = plan.filter(condition)?;
    }
    plan.build()
}

/// An expression over outer columns as one over the columns themselves.
fn inner(expr: Expr) -> Result<Expr> {
    let rewritten = expr.transform_up(|expr| {
        Ok(match expr {
            Expr::OuterReferenceColumn(_, column) => Transformed::yes(Expr::Column(column)),
            other => Transformed::no(other),
        })
    })?;
    Ok(rewritten.data)
}
