//! What is to be done with an expression before its types are coerced; what is to be refused is told.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::common::tree_node::TreeNode;
use datafusion::logical_expr::expr::{BinaryExpr, Case, Cast, InSubquery, SetComparison, TryCast};
use datafusion::logical_expr::{Expr, ExprSchemable, Operator, ScalarUDF, Subquery, lit};

use super::super::comparisons::is_comparison;
use super::super::{intervals, windows};
use crate::data_type::to_postgres;
use crate::error::{Error, SqlState};
use crate::functions::intervals::is_interval;
use crate::functions::meetings::{Meeting, Part, is_moment, meeting};
use crate::functions::nulls::ANY_EQUAL;
use crate::functions::registry::is_of_one_type;
use crate::functions::{seconds, text_input};

/// What takes one type in an expression.
fn parts(expr: &Expr) -> Vec<&Expr> {
    match expr {
        Expr::Case(case) => {
            let thens = case.when_then_expr.iter().map(|(_, then)| then);
            thens.chain(&case.else_expr).map(AsRef::as_ref).collect()
        }
        Expr::ScalarFunction(call) if is_of_one_type(call.func.name()) => call.args.iter().collect(),
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if *op == Operator::Minus || is_comparison(*op) => {
            vec![left, right]
        }
        Expr::InList(list) => std::iter::once(list.expr.as_ref()).chain(&list.list).collect(),
        Expr::Between(between) => vec![&between.expr, &between.low, &between.high],
        _ => Vec::new(),
    }
}

/// What is done with an expression before its types are coerced.
pub(super) enum Adjustment {
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

pub(super) fn change(expr: &Expr, schema: &DFSchema) -> Option<Adjustment> {
    if let Some(error) = refused_cast(expr, schema) {
        return Some(Adjustment::Refuse(Box::new(error)));
    }
    if let Expr::ScalarFunction(call) = expr
        && call.func.name() == "date_part"
    {
        return of_date_part(&call.args, schema);
    }
    if let Expr::ScalarFunction(call) = expr
        && call.func.name() == "character_length"
        && let [bytes] = &call.args[..]
    {
        let is_bytes = bytes.get_type(schema).is_ok_and(|found| found == DataType::Binary);
        return is_bytes.then(|| Adjustment::Call(text_input::bytea_length()));
    }
    if let Expr::WindowFunction(window) = expr {
        return windows::changes(window, schema).then_some(Adjustment::Order);
    }
    if let Expr::Case(case) = expr
        && let Some(operand) = &case.expr
        && let Some(change) = of_operand(operand, case, schema)
    {
        return Some(change);
    }
    if let Expr::InSubquery(InSubquery { expr, subquery, .. })
    | Expr::SetComparison(SetComparison { expr, subquery, .. }) = expr
    {
        let parts = [Part::of(expr, schema)?, Part::column(&of_subquery(subquery)?)];
        if are_intervals(&parts) {
            return Some(Adjustment::Lengths);
        }
        return meeting(&parts).map(Adjustment::Meet);
    }
    if let Err(error) = intervals::refuse_items(expr, schema) {
        return Some(Adjustment::Refuse(Box::new(error)));
    }
    if let Expr::ScalarFunction(call) = expr
        && matches!(call.func.name(), "array_has" | ANY_EQUAL)
        && let [array, value] = &call.args[..]
        && let Ok(DataType::List(item)) = array.get_type(schema)
    {
        let parts = [Part::column(item.data_type()), Part::of(value, schema)?];
        let met = meeting(&parts).filter(|met| parts.iter().any(|part| met.changes(part)));
        return met.filter(|met| *met != Meeting::Double).map(Adjustment::MeetItems);
    }
    of_parts(expr, schema)
}

/// What is done with `date_part` and EXTRACT, by the part and the type of the value.
fn of_date_part(args: &[Expr], schema: &DFSchema) -> Option<Adjustment> {
    let [Expr::Literal(part, _), value] = args else { return None };
    let part = part.try_as_str().flatten()?;
    let value = value.get_type(schema).ok()?;
    if let Err(error) = seconds::check(part, &value) {
        return Some(Adjustment::Refuse(Box::new(error)));
    }
    let of_interval = is_interval(&value);
    let years = || seconds::of_years(part, of_interval, |_| lit(0)).map(|_| Adjustment::Years(of_interval));
    let text = || value.is_string().then_some(Adjustment::ReadText);
    seconds::function_of(part).map(Adjustment::Call).or_else(years).or_else(text)
}

/// What is done with the operand of a CASE and the values that it is compared with.
fn of_operand(operand: &Expr, case: &Case, schema: &DFSchema) -> Option<Adjustment> {
    let whens = case.when_then_expr.iter().map(|(when, _)| when.as_ref());
    let parts: Option<Vec<Part>> = std::iter::once(operand).chain(whens).map(|part| Part::of(part, schema)).collect();
    let parts = parts.unwrap_or_default();
    if are_intervals(&parts) {
        return Some(Adjustment::LengthsOfOperand);
    }
    let meeting = meeting(&parts)?;
    let is_done = parts.iter().all(|part| !meeting.changes(part));
    (!is_done).then_some(Adjustment::MeetOperand(meeting))
}

/// What is done with an expression whose parts take one type.
fn of_parts(expr: &Expr, schema: &DFSchema) -> Option<Adjustment> {
    let parts = parts(expr);
    if parts.len() < 2 {
        return None;
    }
    let parts: Option<Vec<Part>> = parts.into_iter().map(|part| Part::of(part, schema)).collect();
    let parts = parts?;
    if let Some(error) = refusal(expr, &parts) {
        return Some(Adjustment::Refuse(Box::new(error)));
    }
    let compares = match expr {
        Expr::BinaryExpr(BinaryExpr { op, .. }) => is_comparison(*op),
        Expr::InList(_) | Expr::Between(_) => true,
        _ => false,
    };
    if compares && parts.iter().any(|part| is_interval(part.data_type())) {
        return are_intervals(&parts).then_some(Adjustment::Lengths);
    }
    if let Expr::ScalarFunction(call) = expr {
        let is_moment = |part: &Part| is_moment(part.data_type());
        match call.func.name() {
            "nullif"
                if parts.iter().any(is_moment) && parts.iter().all(|part| is_moment(part) || part.is_written()) =>
            {
                return Some(Adjustment::NullIf);
            }
            "greatest" | "least" if are_intervals(&parts) => return Some(Adjustment::Extreme),
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
            parts.iter().any(Part::is_written).then_some(Adjustment::MeetWritten(met))
        }
        Meeting::Timestamp(_) if compares => {
            let is_other = |part: &Part| part.is_written() || *part.data_type() == DataType::Date32;
            parts.iter().any(is_other).then_some(Adjustment::Meet(met))
        }
        found => Some(Adjustment::Meet(found)),
    }
}

/// Whether there is an interval, and nothing that is none.
pub(super) fn are_intervals(parts: &[Part]) -> bool {
    parts.iter().any(|part| is_interval(part.data_type()))
        && parts
            .iter()
            .all(|part| is_interval(part.data_type()) || part.data_type().is_string() || part.data_type().is_null())
}

pub(super) fn of_subquery(subquery: &Subquery) -> Option<DataType> {
    subquery.subquery.schema().fields().first().map(|field| field.data_type().clone())
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
    Some(Error::invalid(format!("cannot cast type {from} to {to}")).code(SqlState::CannotCoerce).hint(hint))
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
    let matched = |what: &str| {
        Error::invalid(format!("{what} types {moment} and {other} cannot be matched")).code(SqlState::DatatypeMismatch)
    };
    let compared = |sign: String| {
        Error::invalid(format!("operator does not exist: {moment} {sign} {other}")).code(SqlState::UndefinedFunction)
    };
    Some(match expr {
        Expr::ScalarFunction(call) => matched(&call.func.name().to_uppercase()),
        Expr::Case(_) => matched("CASE"),
        Expr::BinaryExpr(BinaryExpr { op, .. }) => compared(op.to_string()),
        _ => compared("=".to_owned()),
    })
}

pub(super) fn has_change(expr: &Expr, schema: &DFSchema) -> bool {
    // The closure does not fail.
    expr.exists(|expr| Ok(change(expr, schema).is_some())).unwrap_or(false)
}
