//! Aggregates that depend on the order of their rows, over a sub-query that has one: `SELECT string_agg(x, ',') FROM (SELECT … ORDER BY
//! y) s`. DataFusion drops the order of a sub-query; here it becomes the aggregate's own, as if it were written `string_agg(x, ',' ORDER
//! BY y)`, before types are coerced.

use std::sync::Arc;

use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, DFSchema};
use datafusion::error::Result;
use datafusion::functions_window::row_number::row_number_udwf;
use datafusion::logical_expr::expr::{AggregateFunction, Sort as SortExpr, WindowFunction, WindowFunctionDefinition};
use datafusion::logical_expr::{
    Aggregate, Expr, ExprFunctionExt, Filter, Limit, LogicalPlan, LogicalPlanBuilder, Projection, Sort, SubqueryAlias,
};

use crate::functions::aggregations::heeds_order;

/// The column with the place of a row, where what the sub-query is ordered by is not among its columns.
const PLACE: &str = "#place";

/// Gives the aggregates the order of their input.
///
/// # Errors
/// A plan that cannot be built.
pub fn of_aggregate(aggregate: Aggregate) -> Result<Transformed<LogicalPlan>> {
    if !aggregate.aggr_expr.iter().any(|expr| wants_order(expr).is_some()) {
        return Ok(Transformed::no(LogicalPlan::Aggregate(aggregate)));
    }
    let (input, order) = match order_of(&aggregate.input) {
        None => return Ok(Transformed::no(LogicalPlan::Aggregate(aggregate))),
        Some(Some(order)) => (aggregate.input.clone(), order),
        Some(None) => {
            let Some(numbered) = numbered(&aggregate.input)? else {
                return Ok(Transformed::no(LogicalPlan::Aggregate(aggregate)));
            };
            let place = place_of(&numbered)?;
            (Arc::new(numbered), vec![place.sort(true, false)])
        }
    };
    let schema = aggregate.schema.clone();
    let ordered = |expr: Expr| match wants_order(&expr) {
        None => expr,
        // Another one may be written with that order.
        Some(_) if !matches!(expr, Expr::Alias(_)) => {
            let name = expr.schema_name().to_string();
            with_order(expr, &order).alias(name)
        }
        Some(_) => with_order(expr, &order),
    };
    let aggr_expr = aggregate.aggr_expr.into_iter().map(ordered).collect();
    let ordered = Aggregate::try_new(input, aggregate.group_expr, aggr_expr)?;
    // What reads it knows the aggregates by their names without the order.
    let columns: Vec<Expr> = ordered
        .schema
        .iter()
        .zip(schema.iter())
        .map(|(new, (qualifier, field))| Expr::from(new).alias_qualified(qualifier.cloned(), field.name()))
        .collect();
    let plan = LogicalPlanBuilder::from(LogicalPlan::Aggregate(ordered)).project(columns)?.build()?;
    Ok(Transformed::yes(plan))
}

/// An aggregate that takes the order of its rows.
fn wants_order(expr: &Expr) -> Option<&AggregateFunction> {
    match expr {
        Expr::Alias(alias) => wants_order(&alias.expr),
        Expr::AggregateFunction(call) => {
            let is_free = call.params.order_by.is_empty() && !call.params.distinct;
            (is_free && heeds_order(call.func.name())).then_some(call)
        }
        _ => None,
    }
}

fn with_order(expr: Expr, order: &[SortExpr]) -> Expr {
    match expr {
        Expr::Alias(mut alias) => {
            alias.expr = Box::new(with_order(*alias.expr, order));
            Expr::Alias(alias)
        }
        Expr::AggregateFunction(mut call) => {
            call.params.order_by = order.to_vec();
            Expr::AggregateFunction(call)
        }
        other => other,
    }
}

/// What a plan's rows are ordered by; within: in its columns, if it is among them.
fn order_of(plan: &LogicalPlan) -> Option<Option<Vec<SortExpr>>> {
    match plan {
        LogicalPlan::Sort(sort) => Some(Some(sort.expr.clone())),
        LogicalPlan::Limit(limit) => order_of(&limit.input),
        LogicalPlan::Filter(filter) => order_of(&filter.input),
        LogicalPlan::SubqueryAlias(alias) => {
            let order = order_of(&alias.input)?;
            let (from, to) = (alias.input.schema(), &alias.schema);
            let rename = |expr: &Expr| index_of(expr, from).map(|at| Expr::from(to.qualified_field(at)));
            Some(order.and_then(|order| map_order(order, rename)))
        }
        LogicalPlan::Projection(projection) => {
            let order = order_of(&projection.input)?;
            let rename = |expr: &Expr| {
                let at = projection.expr.iter().position(|item| item.clone().unalias() == *expr)?;
                Some(Expr::from(projection.schema.qualified_field(at)))
            };
            Some(order.and_then(|order| map_order(order, rename)))
        }
        _ => None,
    }
}

fn index_of(expr: &Expr, schema: &DFSchema) -> Option<usize> {
    match expr {
        Expr::Column(column) => schema.maybe_index_of_column(column),
        _ => None,
    }
}

fn map_order(order: Vec<SortExpr>, rename: impl Fn(&Expr) -> Option<Expr>) -> Option<Vec<SortExpr>> {
    order.into_iter().map(|sort| Some(SortExpr { expr: rename(&sort.expr)?, ..sort })).collect()
}

/// A plan with one more column, the place of each row in its order.
fn numbered(plan: &LogicalPlan) -> Result<Option<LogicalPlan>> {
    Ok(match plan {
        LogicalPlan::Sort(sort) => {
            let function = WindowFunctionDefinition::WindowUDF(row_number_udwf());
            let place = Expr::from(WindowFunction::new(function, Vec::new())).order_by(sort.expr.clone()).build()?;
            let rows = match sort.fetch {
                Some(_) => plan.clone(),
                None => sort.input.as_ref().clone(),
            };
            let name = Column::from_name(place.schema_name().to_string());
            let mut columns: Vec<Expr> = rows.schema().columns().into_iter().map(Expr::Column).collect();
            columns.push(Expr::Column(name).alias(PLACE));
            Some(LogicalPlanBuilder::from(rows).window(vec![place])?.project(columns)?.build()?)
        }
        LogicalPlan::Limit(limit) => match numbered(&limit.input)? {
            None => None,
            Some(input) => {
                let expr = vec![place_of(&input)?.sort(true, false)];
                let sorted = LogicalPlan::Sort(Sort { expr, input: Arc::new(input), fetch: None });
                Some(LogicalPlan::Limit(Limit { input: Arc::new(sorted), ..limit.clone() }))
            }
        },
        LogicalPlan::Filter(filter) => match numbered(&filter.input)? {
            None => None,
            Some(input) => Some(LogicalPlan::Filter(Filter::try_new(filter.predicate.clone(), Arc::new(input))?)),
        },
        LogicalPlan::SubqueryAlias(alias) => match numbered(&alias.input)? {
            None => None,
            Some(input) => {
                Some(LogicalPlan::SubqueryAlias(SubqueryAlias::try_new(Arc::new(input), alias.alias.clone())?))
            }
        },
        LogicalPlan::Projection(projection) => match numbered(&projection.input)? {
            None => None,
            Some(input) => {
                let mut columns = projection.expr.clone();
                columns.push(place_of(&input)?.alias(PLACE));
                Some(LogicalPlan::Projection(Projection::try_new(columns, Arc::new(input))?))
            }
        },
        _ => None,
    })
}

fn place_of(plan: &LogicalPlan) -> Result<Expr> {
    let column = plan.schema().columns().into_iter().rfind(|column| column.name == PLACE);
    let missing = || crate::error::Error::internal("an ordered sub-query without the places of its rows");
    Ok(Expr::Column(column.ok_or_else(missing)?))
}
