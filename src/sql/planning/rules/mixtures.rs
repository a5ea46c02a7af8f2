//! What must be said of types before they are coerced. Dates beside timestamps, where one type is wanted (CASE, COALESCE, UNION …), which
//! DataFusion brings to nanoseconds, which end in 2262, take the timestamp's; decimals beside floats, which it brings to DECIMAL(30, 15),
//! are doubles; texts that are written beside dates are dates; intervals are compared by their length; seconds have their fraction.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, JoinType, NullEquality};
use datafusion::error::Result;
use datafusion::logical_expr::builder::build_join_schema;
use datafusion::logical_expr::expr::{Between, BinaryExpr, Cast, InList, InSubquery, SetComparison, TryCast};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    Expr, ExprSchemable, Join, LogicalPlan, LogicalPlanBuilder, Operator, Projection, ScalarUDF, Subquery, Union, cast,
    lit, when,
};
use datafusion::optimizer::AnalyzerRule;
use datafusion::scalar::ScalarValue;

use super::comparisons::is_comparison;
use super::{intervals, ordered_inputs, windows};
use crate::data_type::to_postgres;
use crate::error::Error;
use crate::functions::intervals::{by_length, is_interval};
use crate::functions::meetings::{Meeting, Part, is_moment, meeting};
use crate::functions::nulls::ANY_EQUAL;
use crate::functions::{interval_math, seconds, text_input};

/// Functions whose arguments take one type.
const OF_ONE_TYPE: [&str; 14] = [
    "array_cat",
    "array_concat",
    "array_except",
    "array_has_all",
    "array_has_any",
    "array_intersect",
    "array_union",
    "coalesce",
    "greatest",
    "ifnull",
    "least",
    "make_array",
    "nullif",
    "nvl",
];

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
                        return Err(Error::internal("an ordered aggregate that is none").into());
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

/// What takes one type in an expression.
fn parts(expr: &Expr) -> Vec<&Expr> {
    match expr {
        Expr::Case(case) => {
            let thens = case.when_then_expr.iter().map(|(_, then)| then);
            thens.chain(&case.else_expr).map(AsRef::as_ref).collect()
        }
        Expr::ScalarFunction(call) if OF_ONE_TYPE.contains(&call.func.name()) => call.args.iter().collect(),
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if *op == Operator::Minus || is_comparison(*op) => {
            vec![left, right]
        }
        Expr::InList(list) => std::iter::once(list.expr.as_ref()).chain(&list.list).collect(),
        Expr::Between(between) => vec![&between.expr, &between.low, &between.high],
        _ => Vec::new(),
    }
}

/// What is done with an expression before its types are coerced.
enum Change {
    /// It is told, and nothing done.
    Refuse(Box<Error>),
    Meet(Meeting),
    /// Of the texts that are written alone.
    MeetWritten(Meeting),
    /// Of the operand of a CASE and the values that it is compared with.
    MeetOperand(Meeting),
    /// Intervals are compared by their length.
    Lengths,
    /// Of the operand of a CASE and the values that it is compared with.
    LengthsOfOperand,
    /// The greatest or the least of intervals.
    Extreme,
    /// NULLIF of dates, times or intervals: a CASE.
    NullIf,
    /// Another function of the last argument: of a part that has a fraction, of bytes.
    Call(Arc<ScalarUDF>),
    /// A part of many years, of an interval or of a date.
    Years(bool),
    /// The last argument is a text that is read as a timestamp.
    ReadText,
    /// A value that is looked for in an array meets its items.
    MeetItems(Meeting),
    /// What a window is ordered by.
    Order,
}

fn change(expr: &Expr, schema: &DFSchema) -> Option<Change> {
    if let Some(error) = refused_cast(expr, schema) {
        return Some(Change::Refuse(Box::new(error)));
    }
    if let Expr::ScalarFunction(call) = expr
        && call.func.name() == "date_part"
    {
        let [Expr::Literal(part, _), value] = &call.args[..] else { return None };
        let part = part.try_as_str().flatten()?;
        let value = value.get_type(schema).ok()?;
        if let Err(error) = seconds::check(part, &value) {
            return Some(Change::Refuse(Box::new(error)));
        }
        let of_interval = is_interval(&value);
        let years = || seconds::of_years(part, of_interval, |_| lit(0)).map(|_| Change::Years(of_interval));
        let text = || value.is_string().then_some(Change::ReadText);
        return seconds::function_of(part).map(Change::Call).or_else(years).or_else(text);
    }
    if let Expr::ScalarFunction(call) = expr
        && call.func.name() == "character_length"
        && let [bytes] = &call.args[..]
    {
        let is_bytes = bytes.get_type(schema).is_ok_and(|found| found == DataType::Binary);
        return is_bytes.then(|| Change::Call(text_input::bytea_length()));
    }
    if let Expr::WindowFunction(window) = expr {
        return windows::changes(window, schema).then_some(Change::Order);
    }
    if let Expr::Case(case) = expr
        && let Some(operand) = &case.expr
    {
        let whens = case.when_then_expr.iter().map(|(when, _)| when.as_ref());
        let parts: Option<Vec<Part>> =
            std::iter::once(operand.as_ref()).chain(whens).map(|part| Part::of(part, schema)).collect();
        let parts = parts.unwrap_or_default();
        if are_intervals(&parts) {
            return Some(Change::LengthsOfOperand);
        }
        if let Some(meeting) = meeting(&parts) {
            let is_done = parts.iter().all(|part| !meeting.changes(part));
            if !is_done {
                return Some(Change::MeetOperand(meeting));
            }
        }
    }
    if let Expr::InSubquery(InSubquery { expr, subquery, .. })
    | Expr::SetComparison(SetComparison { expr, subquery, .. }) = expr
    {
        let parts = [Part::of(expr, schema)?, Part::column(&of_subquery(subquery)?)];
        if are_intervals(&parts) {
            return Some(Change::Lengths);
        }
        return meeting(&parts).map(Change::Meet);
    }
    if let Err(error) = intervals::refuse_items(expr, schema) {
        return Some(Change::Refuse(Box::new(error)));
    }
    if let Expr::ScalarFunction(call) = expr
        && matches!(call.func.name(), "array_has" | ANY_EQUAL)
        && let [array, value] = &call.args[..]
        && let Ok(DataType::List(item)) = array.get_type(schema)
    {
        let parts = [Part::column(item.data_type()), Part::of(value, schema)?];
        let met = meeting(&parts).filter(|met| parts.iter().any(|part| met.changes(part)));
        return met.filter(|met| *met != Meeting::Double).map(Change::MeetItems);
    }
    let parts = parts(expr);
    if parts.len() < 2 {
        return None;
    }
    let parts: Option<Vec<Part>> = parts.into_iter().map(|part| Part::of(part, schema)).collect();
    let parts = parts?;
    if let Some(error) = refusal(expr, &parts) {
        return Some(Change::Refuse(Box::new(error)));
    }
    let compares = match expr {
        Expr::BinaryExpr(BinaryExpr { op, .. }) => is_comparison(*op),
        Expr::InList(_) | Expr::Between(_) => true,
        _ => false,
    };
    if compares && parts.iter().any(|part| is_interval(part.data_type())) {
        return are_intervals(&parts).then_some(Change::Lengths);
    }
    if let Expr::ScalarFunction(call) = expr {
        let is_moment = |part: &Part| is_moment(part.data_type());
        match call.func.name() {
            "nullif"
                if parts.iter().any(is_moment) && parts.iter().all(|part| is_moment(part) || part.is_written()) =>
            {
                return Some(Change::NullIf);
            }
            "greatest" | "least" if are_intervals(&parts) => return Some(Change::Extreme),
            _ => {}
        }
    }
    let met = meeting(&parts)?;
    if !parts.iter().any(|part| met.changes(part)) {
        return None;
    }
    match met {
        // Comparisons of timestamps have a rule of their own, behind the coercion; items of IN are of several types.
        Meeting::Timestamp(_) if compares && !matches!(expr, Expr::InList(_)) => {
            parts.iter().any(Part::is_written).then_some(Change::MeetWritten(met))
        }
        Meeting::Timestamp(_) if compares => {
            let is_other = |part: &Part| part.is_written() || *part.data_type() == DataType::Date32;
            parts.iter().any(is_other).then_some(Change::Meet(met))
        }
        found => Some(Change::Meet(found)),
    }
}

/// Whether there is an interval, and nothing that is none.
fn are_intervals(parts: &[Part]) -> bool {
    parts.iter().any(|part| is_interval(part.data_type()))
        && parts
            .iter()
            .all(|part| is_interval(part.data_type()) || part.data_type().is_string() || part.data_type().is_null())
}

fn of_subquery(subquery: &Subquery) -> Option<DataType> {
    subquery.subquery.schema().fields().first().map(|field| field.data_type().clone())
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

/// A cast between numbers and dates, which DataFusion takes for a count of days, milliseconds or microseconds.
fn refused_cast(expr: &Expr, schema: &DFSchema) -> Option<Error> {
    let (Expr::Cast(Cast { expr: inner, field }) | Expr::TryCast(TryCast { expr: inner, field })) = expr else {
        return None;
    };
    let to = field.data_type();
    let is_counted = |found: &DataType| is_moment(found) && !is_interval(found);
    if !is_counted(to) && !to.is_numeric() {
        return None;
    }
    let from = inner.get_type(schema).ok()?;
    let hint = if is_counted(to) && from.is_numeric() {
        "Write TO_TIMESTAMP(seconds) or FROM_UNIXTIME(seconds)."
    } else if is_counted(&from) && to.is_numeric() {
        "Write EXTRACT(EPOCH FROM value), or the difference of two dates."
    } else {
        return None;
    };
    let (from, to) = (to_postgres(&from), to_postgres(to));
    Some(Error::invalid(format!("cannot cast type {from} to {to}")).code("42846").hint(hint))
}

/// What DataFusion would take and what means nothing in SQL: numbers beside dates, texts beside them that are not written.
fn refusal(expr: &Expr, parts: &[Part]) -> Option<Error> {
    let moment = parts.iter().find(|part| is_moment(part.data_type()))?;
    let is_other = |part: &&Part| match expr {
        Expr::ScalarFunction(call) if call.func.name() == "coalesce" => {
            part.data_type().is_numeric() || part.data_type().is_string() && !part.is_written()
        }
        Expr::BinaryExpr(BinaryExpr { op, .. }) if !is_comparison(*op) => false,
        _ => part.data_type().is_numeric(),
    };
    let other = parts.iter().find(is_other)?;
    let (moment, other) = (to_postgres(moment.data_type()), to_postgres(other.data_type()));
    let matched =
        |what: &str| Error::invalid(format!("{what} types {moment} and {other} cannot be matched")).code("42804");
    let compared =
        |sign: String| Error::invalid(format!("operator does not exist: {moment} {sign} {other}")).code("42883");
    Some(match expr {
        Expr::ScalarFunction(call) => matched(&call.func.name().to_uppercase()),
        Expr::Case(_) => matched("CASE"),
        Expr::BinaryExpr(BinaryExpr { op, .. }) => compared(op.to_string()),
        _ => compared("=".to_owned()),
    })
}

fn has_change(expr: &Expr, schema: &DFSchema) -> bool {
    // The closure does not fail.
    expr.exists(|expr| Ok(change(expr, schema).is_some())).unwrap_or(false)
}

fn of_expr(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let is_of_subquery = matches!(expr, Expr::InSubquery(_) | Expr::SetComparison(_));
    Ok(match change(&expr, schema) {
        None => Transformed::no(expr),
        Some(Change::Refuse(error)) => return Err((*error).into()),
        Some(Change::Meet(meeting)) if is_of_subquery => {
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
        Some(Change::Lengths) if is_of_subquery => Transformed::yes(map_sides(expr, by_length, Some(by_length))?),
        Some(Change::Meet(meeting)) => {
            // A column beside finer items of IN stays as it is: its rule says which of them it can have.
            let keeps = matches!(expr, Expr::InList(_));
            Transformed::yes(map_parts(expr, &|part| match part.get_type(schema) {
                Ok(DataType::Timestamp(..)) if keeps => part,
                _ => meeting.fit(part, schema),
            }))
        }
        Some(Change::MeetWritten(meeting)) => Transformed::yes(map_parts(expr, &|part| {
            let is_written = Part::of(&part, schema).is_some_and(|part| part.is_written());
            if is_written { meeting.fit(part, schema) } else { part }
        })),
        Some(Change::MeetOperand(meeting)) => {
            let expr = map_operand(expr, &|part| meeting.fit(part, schema));
            // Its branches may meet, too.
            Transformed::yes(match change(&expr, schema) {
                Some(Change::Meet(meeting)) => map_parts(expr, &|part| meeting.fit(part, schema)),
                _ => expr,
            })
        }
        Some(Change::Lengths) => Transformed::yes(map_parts(expr, &by_length)),
        Some(Change::LengthsOfOperand) => {
            let expr = map_operand(expr, &by_length);
            Transformed::yes(match change(&expr, schema) {
                Some(Change::Meet(meeting)) => map_parts(expr, &|part| meeting.fit(part, schema)),
                _ => expr,
            })
        }
        Some(Change::Extreme) => {
            let key = |part: Expr| interval_math::call(interval_math::KEY, vec![part]);
            let Expr::ScalarFunction(mut call) = expr else { return Ok(Transformed::no(expr)) };
            call.args = call.args.into_iter().map(key).collect::<Result<_>>()?;
            Transformed::yes(interval_math::call(interval_math::OF_KEY, vec![Expr::ScalarFunction(call)])?)
        }
        Some(Change::NullIf) => {
            let Expr::ScalarFunction(call) = expr else { return Ok(Transformed::no(expr)) };
            let [left, right]: [Expr; 2] =
                call.args.try_into().map_err(|_| Error::invalid("NULLIF takes two arguments").code("42883"))?;
            let parts: Vec<Part> = [&left, &right].into_iter().filter_map(|part| Part::of(part, schema)).collect();
            let met = meeting(&parts);
            let read = |part: Expr| match &met {
                Some(met) if Part::of(&part, schema).is_some_and(|part| part.is_written()) => met.fit(part, schema),
                _ => part,
            };
            let (left, right) = (read(left), read(right));
            let equal = if are_intervals(&parts) {
                by_length(left.clone()).eq(by_length(right))
            } else {
                left.clone().eq(right)
            };
            Transformed::yes(when(equal, lit(ScalarValue::try_from(&left.get_type(schema)?)?)).otherwise(left)?)
        }
        Some(Change::Order) => match expr {
            Expr::WindowFunction(window) => {
                Transformed::yes(Expr::WindowFunction(Box::new(windows::ordered(*window, schema)?)))
            }
            other => Transformed::no(other),
        },
        Some(Change::Call(function)) => {
            let Expr::ScalarFunction(mut call) = expr else { return Ok(Transformed::no(expr)) };
            let last = call.args.len().saturating_sub(1);
            Transformed::yes(function.call(call.args.split_off(last)))
        }
        Some(Change::Years(is_interval)) => {
            let Expr::ScalarFunction(call) = expr else { return Ok(Transformed::no(expr)) };
            let part = call.args.first().and_then(Expr::as_literal).and_then(|part| part.try_as_str().flatten());
            let part = part.unwrap_or_default().to_owned();
            let value = call.args.into_iter().next_back();
            let part_of = |name: &str| call.func.call(std::iter::once(lit(name)).chain(value).collect());
            let years = seconds::of_years(&part, is_interval, part_of);
            Transformed::yes(years.ok_or_else(|| Error::internal("a part of no years"))?)
        }
        Some(Change::ReadText) => {
            let Expr::ScalarFunction(mut call) = expr else { return Ok(Transformed::no(expr)) };
            let to = DataType::Timestamp(TimeUnit::Microsecond, None);
            call.args = call
                .args
                .into_iter()
                .enumerate()
                .map(|(place, arg)| if place == 1 { cast(arg, to.clone()) } else { arg })
                .collect();
            Transformed::yes(Expr::ScalarFunction(call))
        }
        Some(Change::MeetItems(met)) => {
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
            Transformed::yes(Expr::ScalarFunction(call))
        }
    })
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

/// The keys of a join.
fn of_keys(join: Join) -> Result<Transformed<LogicalPlan>> {
    let Transformed { data: join, transformed: mut is_changed, .. } = intervals::of_join(join);
    let Transformed { data: mut join, transformed, .. } = of_set_operation(join)?;
    is_changed |= transformed;
    for (left, right) in &mut join.on {
        let (of_left, of_right) = (join.left.schema(), join.right.schema());
        let (Some(left_part), Some(right_part)) = (Part::of(left, of_left), Part::of(right, of_right)) else {
            continue;
        };
        let parts = [left_part, right_part];
        let Some(met) = meeting(&parts) else { continue };
        if parts.iter().any(|part| met.changes(part)) {
            *left = met.fit(left.clone(), of_left);
            *right = met.fit(right.clone(), of_right);
            is_changed = true;
        }
    }
    let plan = LogicalPlan::Join(join);
    Ok(if is_changed { Transformed::yes(plan) } else { Transformed::no(plan) })
}

/// EXCEPT and INTERSECT, which are joins of all columns by now: dates beside timestamps are timestamps in the result, too.
fn of_set_operation(mut join: Join) -> Result<Transformed<Join>> {
    let is_one = matches!(join.join_type, JoinType::LeftSemi | JoinType::LeftAnti)
        && join.null_equality == NullEquality::NullEqualsNull
        && join.filter.is_none()
        && join.on.len() == join.left.schema().fields().len()
        && join.on.len() == join.right.schema().fields().len();
    if !is_one {
        return Ok(Transformed::no(join));
    }
    let sides = join.left.schema().fields().iter().zip(join.right.schema().fields().iter());
    let met: Vec<Option<Meeting>> = sides
        .map(|(left, right)| meeting(&[Part::column(left.data_type()), Part::column(right.data_type())]))
        .map(|met| met.filter(|met| matches!(met, Meeting::Timestamp(_))))
        .collect();
    if met.iter().all(Option::is_none) {
        return Ok(Transformed::no(join));
    }
    let left = Arc::new(fitted(join.left.as_ref().clone(), &met)?);
    let right = Arc::new(fitted(join.right.as_ref().clone(), &met)?);
    join.schema = Arc::new(build_join_schema(left.schema(), right.schema(), &join.join_type)?);
    (join.left, join.right) = (left, right);
    Ok(Transformed::yes(join))
}

/// A plan whose columns take the types in which they meet.
fn fitted(plan: LogicalPlan, met: &[Option<Meeting>]) -> Result<LogicalPlan> {
    let written = written_texts(&plan);
    let mut is_changed = false;
    let columns: Vec<Expr> = plan
        .schema()
        .iter()
        .zip(met)
        .enumerate()
        .map(|(place, ((qualifier, field), met))| {
            let column = Expr::from((qualifier, field));
            let part = written.get(place).cloned().flatten().unwrap_or_else(|| Part::column(field.data_type()));
            match met {
                Some(met) if met.changes(&part) => {
                    is_changed = true;
                    cast(column, met.data_type()).alias_qualified(qualifier.cloned(), field.name())
                }
                _ => column,
            }
        })
        .collect();
    if is_changed { LogicalPlanBuilder::from(plan).project(columns)?.build() } else { Ok(plan) }
}

/// The texts that are written among a plan's columns.
fn written_texts(plan: &LogicalPlan) -> Vec<Option<Part>> {
    match plan {
        LogicalPlan::Projection(projection) => {
            let part = |expr: &Expr| Part::of(expr, projection.input.schema()).filter(Part::is_written);
            projection.expr.iter().map(part).collect()
        }
        _ => Vec::new(),
    }
}

fn of_union(union: Union) -> Result<Transformed<LogicalPlan>> {
    let written: Vec<Vec<Option<Part>>> = union.inputs.iter().map(|input| written_texts(input)).collect();
    let columns = union.inputs.first().map_or(0, |input| input.schema().fields().len());
    let mut all = Vec::with_capacity(columns);
    let met: Vec<Option<Meeting>> = (0..columns)
        .map(|column| {
            let parts = union.inputs.iter().zip(&written).filter_map(|(input, written)| {
                let text = written.get(column).cloned().flatten();
                text.or_else(|| input.schema().fields().get(column).map(|field| Part::column(field.data_type())))
            });
            let parts: Vec<Part> = parts.collect();
            all.push(parts.clone());
            meeting(&parts).filter(|met| parts.iter().any(|part| met.changes(part)))
        })
        .collect();
    for parts in &all {
        let of = |wanted: fn(&DataType) -> bool| parts.iter().map(Part::data_type).find(|found| wanted(found));
        if let (Some(moment), Some(number)) = (of(is_moment), of(DataType::is_numeric)) {
            let (moment, number) = (to_postgres(moment), to_postgres(number));
            let message = format!("UNION types {moment} and {number} cannot be matched");
            return Err(Error::invalid(message).code("42804").into());
        }
    }
    if met.iter().all(Option::is_none) {
        return Ok(Transformed::no(LogicalPlan::Union(union)));
    }
    let fit = |input: Arc<LogicalPlan>| Ok(Arc::new(fitted(Arc::unwrap_or_clone(input), &met)?));
    let inputs = union.inputs.into_iter().map(fit).collect::<Result<Vec<_>>>()?;
    Ok(Transformed::yes(LogicalPlan::Union(Union::try_new_with_loose_types(inputs)?)))
}
