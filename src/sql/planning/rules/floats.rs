//! Floats that are compared: -0 and 0 are one value where rows are grouped, ordered, told apart or looked for, as in both dialects. The
//! engine's plain comparisons know that; its groups, sorts and windows, and all comparisons of arrays and rows, go by the bits.

use std::sync::Arc;

use datafusion::common::DFSchema;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result;
use datafusion::logical_expr::expr::{BinaryExpr, InList, Sort as SortExpr, WindowFunctionDefinition};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    Aggregate, Distinct, Expr, ExprSchemable, Join, LogicalPlan, LogicalPlanBuilder, Operator, Sort,
};
use datafusion::optimizer::AnalyzerRule;
use datafusion::scalar::ScalarValue;

use super::comparisons::is_comparison;
use crate::functions::entry::Compares;
use crate::functions::{float_key, registry};

/// See the head of this file.
#[derive(Debug)]
pub struct Floats;

impl AnalyzerRule for Floats {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        let plan = plan.transform_up_with_subqueries(|plan| {
            let plan = match plan {
                LogicalPlan::Aggregate(aggregate) => of_aggregate(aggregate)?,
                LogicalPlan::Distinct(Distinct::All(input)) => {
                    let all: Vec<Expr> = input.schema().columns().into_iter().map(Expr::Column).collect();
                    let keyed = with_keys(Arc::unwrap_or_clone(input), &all)?;
                    keyed.update_data(|input| LogicalPlan::Distinct(Distinct::All(Arc::new(input))))
                }
                LogicalPlan::Sort(sort) => of_sort(sort),
                LogicalPlan::Join(join) => of_join(join),
                other => Transformed::no(other),
            };
            let is_changed = plan.transformed;
            let plan = plan.data;
            let schema = merge_schema(&plan.inputs());
            let preserver = NamePreserver::new(&plan);
            let mut plan = plan.map_expressions(|expr| {
                if !expr.exists(|expr| Ok(compares(expr, &schema)))? {
                    return Ok(Transformed::no(expr));
                }
                let name = preserver.save(&expr);
                let rewritten = expr.transform_up(|expr| {
                    Ok(if compares(&expr, &schema) {
                        Transformed::yes(of_expr(expr, &schema))
                    } else {
                        Transformed::no(expr)
                    })
                })?;
                Ok(rewritten.update_data(|expr| name.restore(expr)))
            })?;
            plan.transformed |= is_changed;
            Ok(plan)
        })?;
        Ok(plan.data)
    }

    fn name(&self) -> &'static str {
        "floats"
    }
}

fn has_floats(expr: &Expr, schema: &DFSchema) -> bool {
    // What has its key already, and constants that are no zero, need none.
    match expr {
        Expr::ScalarFunction(call) if call.func.name() == float_key::KEY => false,
        Expr::Alias(alias) => has_floats(&alias.expr, schema),
        _ => expr.get_type(schema).is_ok_and(|found| float_key::has_floats(&found)),
    }
}

fn is_plain(expr: &Expr, schema: &DFSchema) -> bool {
    expr.get_type(schema).is_ok_and(|found| found.is_floating())
}

fn key(expr: Expr, schema: &DFSchema) -> Expr {
    if has_floats(&expr, schema) { float_key::key(expr) } else { expr }
}

fn keys(exprs: Vec<Expr>, schema: &DFSchema) -> Vec<Expr> {
    exprs.into_iter().map(|expr| key(expr, schema)).collect()
}

fn sort_keys(sorts: Vec<SortExpr>, schema: &DFSchema) -> Vec<SortExpr> {
    sorts.into_iter().map(|sort| SortExpr { expr: key(sort.expr, schema), ..sort }).collect()
}

/// Whether a function compares its arguments or the items of those.
fn compares_values(function: &str) -> bool {
    registry::compares(function) != Compares::Nothing
}

/// Whether an expression compares floats by their bits.
fn compares(expr: &Expr, schema: &DFSchema) -> bool {
    let any = |exprs: &[Expr]| exprs.iter().any(|expr| has_floats(expr, schema));
    let sorted = |sorts: &[SortExpr]| sorts.iter().any(|sort| has_floats(&sort.expr, schema));
    match expr {
        Expr::Case(case) => case.expr.as_deref().is_some_and(|operand| has_floats(operand, schema)),
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_comparison(*op) => {
            let goes_by_bits = |side: &Expr| {
                has_floats(side, schema)
                    && (matches!(op, Operator::IsDistinctFrom | Operator::IsNotDistinctFrom) || !is_plain(side, schema))
            };
            goes_by_bits(left) || goes_by_bits(right)
        }
        Expr::InList(list) => {
            // Lists that are long are looked up by the bits; none but a zero has others.
            has_floats(&list.expr, schema)
                && (!is_plain(&list.expr, schema) || !list.list.iter().all(is_other_constant))
        }
        Expr::ScalarFunction(call) => compares_values(call.func.name()) && any(&call.args),
        Expr::AggregateFunction(call) => {
            let is_compared = call.params.distinct || matches!(call.func.name(), "max" | "min");
            (is_compared && any(&call.params.args)) || sorted(&call.params.order_by)
        }
        Expr::WindowFunction(call) => {
            (is_extreme(&call.fun) && any(&call.params.args))
                || any(&call.params.partition_by)
                || sorted(&call.params.order_by)
        }
        _ => false,
    }
}

/// Whether an expression is a constant that is no zero.
fn is_other_constant(expr: &Expr) -> bool {
    match expr {
        Expr::Cast(cast) => is_other_constant(&cast.expr),
        Expr::Literal(value, _) => {
            !value.is_null() && ScalarValue::new_zero(&value.data_type()).is_ok_and(|zero| zero != *value)
        }
        _ => false,
    }
}

fn is_extreme(function: &WindowFunctionDefinition) -> bool {
    matches!(function, WindowFunctionDefinition::AggregateUDF(function) if matches!(function.name(), "max" | "min"))
}

fn of_expr(expr: Expr, schema: &DFSchema) -> Expr {
    match expr {
        Expr::Case(mut case) => {
            case.expr = case.expr.map(|operand| Box::new(key(*operand, schema)));
            for (when, _) in &mut case.when_then_expr {
                **when = key(when.as_ref().clone(), schema);
            }
            Expr::Case(case)
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let (left, right) = (Box::new(key(*left, schema)), Box::new(key(*right, schema)));
            Expr::BinaryExpr(BinaryExpr { left, op, right })
        }
        Expr::InList(InList { expr, list, negated }) => {
            Expr::InList(InList { expr: Box::new(key(*expr, schema)), list: keys(list, schema), negated })
        }
        Expr::ScalarFunction(mut call) => {
            call.args = keys(call.args, schema);
            Expr::ScalarFunction(call)
        }
        Expr::AggregateFunction(mut call) => {
            if call.params.distinct || matches!(call.func.name(), "max" | "min") {
                call.params.args = keys(call.params.args, schema);
            }
            call.params.order_by = sort_keys(call.params.order_by, schema);
            Expr::AggregateFunction(call)
        }
        Expr::WindowFunction(mut call) => {
            if is_extreme(&call.fun) {
                call.params.args = keys(call.params.args, schema);
            }
            call.params.partition_by = keys(call.params.partition_by, schema);
            call.params.order_by = sort_keys(call.params.order_by, schema);
            Expr::WindowFunction(call)
        }
        other => other,
    }
}

fn of_sort(mut sort: Sort) -> Transformed<LogicalPlan> {
    let schema = sort.input.schema().clone();
    if !sort.expr.iter().any(|sort| has_floats(&sort.expr, &schema)) {
        return Transformed::no(LogicalPlan::Sort(sort));
    }
    sort.expr = sort_keys(sort.expr, &schema);
    Transformed::yes(LogicalPlan::Sort(sort))
}

/// Keys of joins: plain floats are matched as they should be.
fn of_join(mut join: Join) -> Transformed<LogicalPlan> {
    let mut is_changed = false;
    for (left, right) in &mut join.on {
        let (of_left, of_right) = (join.left.schema(), join.right.schema());
        let is_nested = |side: &Expr, schema: &DFSchema| has_floats(side, schema) && !is_plain(side, schema);
        if is_nested(left, of_left) || is_nested(right, of_right) {
            *left = key(left.clone(), of_left);
            *right = key(right.clone(), of_right);
            is_changed = true;
        }
    }
    let plan = LogicalPlan::Join(join);
    if is_changed { Transformed::yes(plan) } else { Transformed::no(plan) }
}

/// What rows are grouped by.
fn of_aggregate(aggregate: Aggregate) -> Result<Transformed<LogicalPlan>> {
    let schema = aggregate.input.schema().clone();
    let is_set = |expr: &Expr| matches!(expr, Expr::GroupingSet(_));
    let has = |expr: &Expr| {
        if is_set(expr) {
            return expr.column_refs().into_iter().any(|column| has_floats(&Expr::Column(column.clone()), &schema));
        }
        has_floats(expr, &schema)
    };
    if !aggregate.group_expr.iter().any(has) {
        return Ok(Transformed::no(LogicalPlan::Aggregate(aggregate)));
    }
    // Columns have their keys below, so that they keep their names.
    let mut columns: Vec<Expr> = Vec::new();
    for expr in &aggregate.group_expr {
        match expr {
            Expr::Column(_) => columns.push(expr.clone()),
            Expr::GroupingSet(_) => columns.extend(expr.column_refs().into_iter().cloned().map(Expr::Column)),
            _ => {}
        }
    }
    let input = with_keys(Arc::unwrap_or_clone(aggregate.input), &columns)?.data;
    let group_expr = aggregate.group_expr.into_iter().map(|expr| match expr {
        expr if matches!(expr, Expr::Column(_)) || is_set(&expr) || !has_floats(&expr, &schema) => expr,
        expr => {
            let (qualifier, name) = expr.qualified_name();
            float_key::key(expr.unalias()).alias_qualified(qualifier, name)
        }
    });
    let aggregate = Aggregate::try_new(Arc::new(input), group_expr.collect(), aggregate.aggr_expr)?;
    Ok(Transformed::yes(LogicalPlan::Aggregate(aggregate)))
}

/// A plan in which these columns, as far as they have floats, are their keys.
fn with_keys(plan: LogicalPlan, columns: &[Expr]) -> Result<Transformed<LogicalPlan>> {
    let schema = plan.schema().clone();
    let mut is_changed = false;
    let exprs: Vec<Expr> = schema
        .iter()
        .map(|(qualifier, field)| {
            let column = Expr::from((qualifier, field));
            if !columns.contains(&column) || !float_key::has_floats(field.data_type()) {
                return column;
            }
            is_changed = true;
            float_key::key(column).alias_qualified(qualifier.cloned(), field.name())
        })
        .collect();
    if !is_changed {
        return Ok(Transformed::no(plan));
    }
    Ok(Transformed::yes(LogicalPlanBuilder::from(plan).project(exprs)?.build()?))
}
