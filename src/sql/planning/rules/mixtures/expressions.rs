//! Does with an expression what [`Adjustment`] says.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::DFSchema;
use datafusion::common::tree_node::Transformed;
use datafusion::error::Result;
use datafusion::logical_expr::expr::{Between, BinaryExpr, InList, InSubquery, SetComparison};
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlanBuilder, Subquery, cast, lit, when};
use datafusion::scalar::ScalarValue;

use super::super::windows;
use super::change::{Adjustment, are_intervals, change, of_subquery};
use crate::error::{Error, SqlState};
use crate::functions::intervals::by_length;
use crate::functions::meetings::{Meeting, Part, meeting};
use crate::functions::{interval_math, seconds};

pub(super) fn of_expr(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let is_of_subquery = matches!(expr, Expr::InSubquery(_) | Expr::SetComparison(_));
    Ok(match change(&expr, schema) {
        None => Transformed::no(expr),
        Some(Adjustment::Refuse(error)) => return Err((*error).into()),
        Some(Adjustment::Meet(meeting)) if is_of_subquery => {
            let right = match &expr {
                Expr::InSubquery(InSubquery { subquery, .. }) | Expr::SetComparison(SetComparison { subquery, .. }) => {
                    of_subquery(subquery)
                }
                _ => None,
            };
            let changes = right.is_some_and(|right| meeting.changes(&Part::column(&right)));
            let to = meeting.data_type();
            let map_right = changes.then_some(|column| cast(column, to));
            Transformed::yes(map_sides(expr, |left| meeting.fit(left, schema), map_right)?)
        }
        Some(Adjustment::Lengths) if is_of_subquery => Transformed::yes(map_sides(expr, by_length, Some(by_length))?),
        Some(Adjustment::Meet(meeting)) => {
            // A column beside finer items of IN stays as it is: its rule says which of them it can have.
            let keeps = matches!(expr, Expr::InList(_));
            Transformed::yes(map_parts(expr, &|part| match part.get_type(schema) {
                Ok(DataType::Timestamp(..)) if keeps => part,
                _ => meeting.fit(part, schema),
            }))
        }
        Some(Adjustment::MeetWritten(meeting)) => Transformed::yes(map_parts(expr, &|part| {
            let is_written = Part::of(&part, schema).is_some_and(|part| part.is_written());
            if is_written { meeting.fit(part, schema) } else { part }
        })),
        Some(Adjustment::MeetOperand(meeting)) => {
            let expr = map_operand(expr, &|part| meeting.fit(part, schema));
            // Its branches may meet, too.
            Transformed::yes(match change(&expr, schema) {
                Some(Adjustment::Meet(meeting)) => map_parts(expr, &|part| meeting.fit(part, schema)),
                _ => expr,
            })
        }
        Some(Adjustment::Lengths) => Transformed::yes(map_parts(expr, &by_length)),
        Some(Adjustment::LengthsOfOperand) => {
            let expr = map_operand(expr, &by_length);
            Transformed::yes(match change(&expr, schema) {
                Some(Adjustment::Meet(meeting)) => map_parts(expr, &|part| meeting.fit(part, schema)),
                _ => expr,
            })
        }
        Some(Adjustment::Extreme) => extreme(expr)?,
        Some(Adjustment::NullIf) => null_if(expr, schema)?,
        Some(Adjustment::Order) => match expr {
            Expr::WindowFunction(window) => {
                Transformed::yes(Expr::WindowFunction(Box::new(windows::ordered(*window, schema)?)))
            }
            other => Transformed::no(other),
        },
        Some(Adjustment::Call(function)) => {
            let Expr::ScalarFunction(mut call) = expr else { return Ok(Transformed::no(expr)) };
            let last = call.args.len().saturating_sub(1);
            Transformed::yes(function.call(call.args.split_off(last)))
        }
        Some(Adjustment::Years(is_interval)) => part_of_years(expr, is_interval)?,
        Some(Adjustment::ReadText) => read_text(expr)?,
        Some(Adjustment::MeetItems(met)) => meet_items(expr, &met, schema)?,
    })
}

/// The greatest or the least of intervals: of their keys, and back.
fn extreme(expr: Expr) -> Result<Transformed<Expr>> {
    let key = |part: Expr| interval_math::call(interval_math::KEY, vec![part]);
    let Expr::ScalarFunction(mut call) = expr else { return Ok(Transformed::no(expr)) };
    call.args = call.args.into_iter().map(key).collect::<Result<_>>()?;
    Ok(Transformed::yes(interval_math::call(interval_math::OF_KEY, vec![Expr::ScalarFunction(call)])?))
}

/// NULLIF as a CASE, in which its arguments are compared as `=` compares them.
fn null_if(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let Expr::ScalarFunction(call) = expr else { return Ok(Transformed::no(expr)) };
    let [left, right]: [Expr; 2] = call
        .args
        .try_into()
        .map_err(|_| Error::invalid("NULLIF takes two arguments").code(SqlState::UndefinedFunction))?;
    let parts: Vec<Part> = [&left, &right].into_iter().filter_map(|part| Part::of(part, schema)).collect();
    let met = meeting(&parts);
    let read = |part: Expr| match &met {
        Some(met) if Part::of(&part, schema).is_some_and(|part| part.is_written()) => met.fit(part, schema),
        _ => part,
    };
    let (left, right) = (read(left), read(right));
    let equal =
        if are_intervals(&parts) { by_length(left.clone()).eq(by_length(right)) } else { left.clone().eq(right) };
    Ok(Transformed::yes(when(equal, lit(ScalarValue::try_from(&left.get_type(schema)?)?)).otherwise(left)?))
}

/// A part of many years, computed of the year.
fn part_of_years(expr: Expr, is_interval: bool) -> Result<Transformed<Expr>> {
    let Expr::ScalarFunction(call) = expr else { return Ok(Transformed::no(expr)) };
    let part = call.args.first().and_then(Expr::as_literal).and_then(|part| part.try_as_str().flatten());
    let part = part.unwrap_or_default().to_owned();
    let value = call.args.into_iter().next_back();
    let part_of = |name: &str| call.func.call(std::iter::once(lit(name)).chain(value).collect());
    let years = seconds::of_years(&part, is_interval, part_of);
    Ok(Transformed::yes(years.ok_or_else(|| Error::internal("a part of no years"))?))
}

/// A part of a text: of the timestamp that is read from it.
fn read_text(expr: Expr) -> Result<Transformed<Expr>> {
    let Expr::ScalarFunction(mut call) = expr else { return Ok(Transformed::no(expr)) };
    let to = DataType::Timestamp(TimeUnit::Microsecond, None);
    call.args = call
        .args
        .into_iter()
        .enumerate()
        .map(|(place, arg)| if place == 1 { cast(arg, to.clone()) } else { arg })
        .collect();
    Ok(Transformed::yes(Expr::ScalarFunction(call)))
}

/// An array and the value that is looked for in it, of one type of items.
fn meet_items(expr: Expr, met: &Meeting, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let Expr::ScalarFunction(mut call) = expr else { return Ok(Transformed::no(expr)) };
    let items = DataType::new_list(met.data_type(), true);
    call.args = call
        .args
        .into_iter()
        .map(|arg| match arg.get_type(schema) {
            Ok(found @ DataType::List(_)) if found != items => cast(arg, items.clone()),
            Ok(DataType::List(_)) => arg,
            _ => met.fit(arg, schema),
        })
        .collect();
    Ok(Transformed::yes(Expr::ScalarFunction(call)))
}

/// The operand of a CASE and what it is compared with.
fn map_operand(expr: Expr, map: &impl Fn(Expr) -> Expr) -> Expr {
    let Expr::Case(mut case) = expr else { return expr };
    case.expr = case.expr.map(|operand| Box::new(map(*operand)));
    for (when, _) in &mut case.when_then_expr {
        **when = map(when.as_ref().clone());
    }
    Expr::Case(case)
}

fn map_parts(expr: Expr, map: &impl Fn(Expr) -> Expr) -> Expr {
    match expr {
        Expr::Case(mut case) => {
            for (_, then) in &mut case.when_then_expr {
                **then = map(then.as_ref().clone());
            }
            case.else_expr = case.else_expr.map(|other| Box::new(map(*other)));
            Expr::Case(case)
        }
        Expr::ScalarFunction(mut call) => {
            call.args = call.args.into_iter().map(map).collect();
            Expr::ScalarFunction(call)
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            Expr::BinaryExpr(BinaryExpr { left: Box::new(map(*left)), op, right: Box::new(map(*right)) })
        }
        Expr::InList(InList { expr, list, negated }) => {
            Expr::InList(InList { expr: Box::new(map(*expr)), list: list.into_iter().map(map).collect(), negated })
        }
        Expr::Between(Between { expr, negated, low, high }) => Expr::Between(Between {
            expr: Box::new(map(*expr)),
            negated,
            low: Box::new(map(*low)),
            high: Box::new(map(*high)),
        }),
        other => other,
    }
}

/// A sub-query whose column is another expression of it.
fn map_subquery(subquery: &mut Subquery, map: impl FnOnce(Expr) -> Expr) -> Result<()> {
    let plan = subquery.subquery.as_ref().clone();
    let column = plan.schema().columns().swap_remove(0);
    let name = column.name.clone();
    let mapped = map(Expr::Column(column)).alias(name);
    subquery.subquery = Arc::new(LogicalPlanBuilder::from(plan).project(vec![mapped])?.build()?);
    Ok(())
}

/// The two sides of IN or ANY, each mapped where it is to be.
fn map_sides(
    expr: Expr,
    map_left: impl FnOnce(Expr) -> Expr,
    map_right: Option<impl FnOnce(Expr) -> Expr>,
) -> Result<Expr> {
    match expr {
        Expr::InSubquery(mut found) => {
            *found.expr = map_left(*found.expr);
            if let Some(map) = map_right {
                map_subquery(&mut found.subquery, map)?;
            }
            Ok(Expr::InSubquery(found))
        }
        Expr::SetComparison(mut found) => {
            *found.expr = map_left(*found.expr);
            if let Some(map) = map_right {
                map_subquery(&mut found.subquery, map)?;
            }
            Ok(Expr::SetComparison(found))
        }
        other => Ok(other),
    }
}
