//! Casts and arithmetic as SQL means them, in a plan whose types are known: casts from and to exact numerics, moments, bytes and
//! values made of others, digits of a second, floats of one NaN.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, TimeUnit};
use datafusion::common::DFSchema;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result;
use datafusion::logical_expr::expr::{BinaryExpr, Cast, ScalarFunction, TryCast};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, Operator, cast};
use datafusion::optimizer::AnalyzerRule;

use super::exact::of_decimals;
use super::fields::{BYTEA_KEY, WRITTEN_KEY, second_unit, take_digits, take_length};
use super::floats::{MAKING_NAN, of_float};
use super::zones::{INSTANT_ZONE, at_zone, in_zone, is_instant};
use crate::data_type::{NamedText, TypeLength, is_unconstrained_numeric, list_of, to_postgres};
use crate::error::{Error, SqlState};
use crate::functions::nested::{fits, is_nested};
use crate::functions::{
    as_written, datetime_input, decimals, float_key, instant_plus, integers, interval_input, intervals, json, numeric,
    text_input, text_length, text_number, time, timestamp_precision, value_text,
};

/// Casts from and to exact numerics: text is read exactly or refused, printing trims zeros, floats go by their shortest text.
/// Casts from and to TIMESTAMP_LTZ go by the session's time zone, in which its parts are taken, too.
#[derive(Debug)]
pub(crate) struct Numerics;

impl AnalyzerRule for Numerics {
    fn analyze(&self, plan: LogicalPlan, config: &ConfigOptions) -> Result<LogicalPlan> {
        let zone: Arc<str> = config.execution.time_zone.as_deref().unwrap_or(INSTANT_ZONE).into();
        let plan = plan.transform_up_with_subqueries(|plan| {
            let schema = datafusion::logical_expr::utils::merge_schema(&plan.inputs());
            let preserver = NamePreserver::new(&plan);
            plan.map_expressions(|expr| {
                let name = preserver.save(&expr);
                let rewritten = expr.transform_up(|expr| rewrite(expr, &schema, &zone))?;
                Ok(if rewritten.transformed { rewritten.update_data(|expr| name.restore(expr)) } else { rewritten })
            })?
            .map_data(LogicalPlan::recompute_schema)
        })?;
        Ok(plan.data)
    }

    fn name(&self) -> &'static str {
        "exact_numerics"
    }
}

/// Rewrites the casts of one expression, as [`Numerics`] does those of a plan.
///
/// # Errors
/// Types that do not go together.
pub(crate) fn rewrite_all(expr: Expr, schema: &DFSchema, zone: &Arc<str>) -> Result<Expr> {
    Ok(expr.transform_up(|expr| rewrite(expr, schema, zone))?.data)
}

/// A call of `by_place`, within which casts are rewritten as here.
///
/// # Errors
/// The type has no NULL.
pub(crate) fn by_place(value: Expr, to: &DataType, written: Option<&str>, is_try: bool) -> Result<Expr> {
    crate::functions::by_place::call(rewrite_all, value, to, written, is_try)
}

/// The type of the same kind with another unit.
fn with_unit(data_type: &DataType, unit: TimeUnit) -> DataType {
    match data_type {
        DataType::Timestamp(_, zone) => DataType::Timestamp(unit, zone.clone()),
        _ if matches!(unit, TimeUnit::Second | TimeUnit::Millisecond) => DataType::Time32(unit),
        _ => DataType::Time64(unit),
    }
}

/// A cast to a timestamp or a time of fewer digits than its argument has or may have, rounded before.
fn rounded(expr: &Expr, schema: &DFSchema, zone: &Arc<str>) -> Result<Option<Expr>> {
    let (inner, field, is_try) = match expr {
        Expr::Cast(cast) => (&cast.expr, &cast.field, false),
        Expr::TryCast(cast) => (&cast.expr, &cast.field, true),
        _ => return Ok(None),
    };
    let Some(unit) = second_unit(field.data_type()) else { return Ok(None) };
    let Ok(from) = inner.get_type(schema) else { return Ok(None) };
    let is_rounded = matches!(inner.as_ref(), Expr::ScalarFunction(call) if call.name() == timestamp_precision::ROUND);
    if is_rounded {
        return Ok(None);
    }
    let digits = take_digits(field);
    let natural = match unit {
        TimeUnit::Second => 0,
        TimeUnit::Millisecond => 3,
        TimeUnit::Microsecond => 6,
        TimeUnit::Nanosecond => 9,
    };
    let is_time = !matches!(field.data_type(), DataType::Timestamp(..));
    let source_unit = match (second_unit(&from), &from) {
        (Some(source), _) => source,
        // Text may have as many as it likes; as a time it is rounded when it is read.
        (None, text) if text.is_string() && !(is_time && digits.is_none()) => TimeUnit::Microsecond,
        _ if digits.is_some() => unit,
        _ => return Ok(None),
    };
    let is_finer = timestamp_precision::per_second(source_unit) > timestamp_precision::per_second(unit);
    if digits.is_none() && !is_finer {
        return Ok(None);
    }
    let (digits, plain) = digits.unwrap_or_else(|| (natural, field.clone()));
    let to = plain.data_type();
    if is_time && matches!(from, DataType::Timestamp(..)) {
        // The time of the rounded timestamp, in its zone.
        let rounded = timestamp_precision::call_round(inner.as_ref().clone(), digits);
        let time = match is_try {
            true => Expr::TryCast(TryCast::new_from_field(Box::new(rounded), plain)),
            false => Expr::Cast(Cast::new_from_field(Box::new(rounded), plain)),
        };
        return Ok(Some(rewrite(time, schema, zone)?.data));
    }
    let fine = with_unit(to, if is_finer { source_unit } else { unit });
    let source = if from == fine {
        inner.as_ref().clone()
    } else {
        let to = Arc::new(Field::new("", fine.clone(), true));
        let source = match is_try {
            true => Expr::TryCast(TryCast::new_from_field(inner.clone(), to)),
            false => Expr::Cast(Cast::new_from_field(inner.clone(), to)),
        };
        rewrite(source, schema, zone)?.data
    };
    let rounded = timestamp_precision::call_round(source, digits);
    Ok(Some(if fine == *to { rounded } else { cast(rounded, to.clone()) }))
}

fn rewrite(expr: Expr, schema: &DFSchema, zone: &Arc<str>) -> Result<Transformed<Expr>> {
    if let Some((length, plain)) = without_length(&expr) {
        let text = rewrite(plain, schema, zone)?.data;
        return Ok(Transformed::yes(text_length::call(text, length)));
    }
    if let Some(named) = of_named_text(&expr, schema)? {
        return Ok(Transformed::yes(named));
    }
    if let Some(rounded) = rounded(&expr, schema, zone)? {
        return Ok(Transformed::yes(rounded));
    }
    if let Some(nested) = of_nested(&expr, schema)? {
        return Ok(Transformed::yes(nested));
    }
    match &expr {
        Expr::ScalarFunction(_) => of_call(expr, schema, zone),
        Expr::Negative(_) => of_negation(expr, schema),
        Expr::BinaryExpr(_) => of_arithmetic(expr, schema, zone),
        Expr::TryCast(_) => of_try_cast(expr, schema, zone),
        _ => of_cast(expr, schema, zone),
    }
}

/// A cast to a uuid or a document, or of one to a text.
fn of_named_text(expr: &Expr, schema: &DFSchema) -> Result<Option<Expr>> {
    let (inner, field, is_try) = match expr {
        Expr::Cast(cast) => (&cast.expr, &cast.field, false),
        Expr::TryCast(cast) => (&cast.expr, &cast.field, true),
        _ => return Ok(None),
    };
    if !field.data_type().is_string() {
        return Ok(None);
    }
    let Ok((_, source)) = inner.to_field(schema) else { return Ok(None) };
    let (from, to) = (NamedText::of(&source), NamedText::of(field));
    let Some(to) = to else {
        return Ok(from.map(|_| json::cast_to_text(inner.as_ref().clone())));
    };
    if from == Some(to) {
        return Ok(Some(inner.as_ref().clone()));
    }
    if is_try {
        return Err(Error::unsupported(format!("TRY_CAST to {} is not supported yet", to.name())).into());
    }
    let is_text = source.data_type().is_string() || source.data_type().is_null();
    let is_from_other = from.is_some_and(|from| from.is_document() != to.is_document());
    if !is_text || is_from_other {
        let from = from.map_or_else(|| to_postgres(source.data_type()), |from| from.name().to_owned());
        let message = format!("cannot cast type {from} to {}", to.name());
        return Err(Error::invalid(message).code(SqlState::CannotCoerce).into());
    }
    let text = match source.data_type() {
        DataType::Null => cast(inner.as_ref().clone(), DataType::Utf8),
        _ => inner.as_ref().clone(),
    };
    Ok(Some(json::cast_to(text, to)))
}

/// A cast to a text or bytes of a certain length: that length, and the cast without it.
fn without_length(expr: &Expr) -> Option<(TypeLength, Expr)> {
    match expr {
        Expr::Cast(cast) => take_length(&cast.field)
            .map(|(length, field)| (length, Expr::Cast(Cast::new_from_field(cast.expr.clone(), field)))),
        Expr::TryCast(cast) => take_length(&cast.field)
            .map(|(length, field)| (length, Expr::TryCast(TryCast::new_from_field(cast.expr.clone(), field)))),
        _ => None,
    }
}

/// A call of a function: what is printed as it was written, items as texts, NaN of one kind, parts of an instant in its zone.
fn of_call(expr: Expr, schema: &DFSchema, zone: &Arc<str>) -> Result<Transformed<Expr>> {
    let Expr::ScalarFunction(call) = &expr else { return Ok(Transformed::no(expr)) };
    if let (as_written::NAME, Some(value)) = (call.func.name(), call.args.first()) {
        return Ok(Transformed::yes(value.clone()));
    }
    if let Some(texts) = of_items(call, schema)? {
        return Ok(Transformed::yes(texts));
    }
    if let Some(marked) = json::with_marked_documents(call, schema) {
        return Ok(Transformed::yes(marked));
    }
    if MAKING_NAN.contains(&call.func.name()) && call.func.name() != float_key::VALUE {
        return Ok(of_float(expr, schema));
    }
    in_zone(call, schema, zone).map(|call| call.map_or_else(|| Transformed::no(expr), Transformed::yes))
}

/// A minus sign: of an integer that is checked, or of a float.
fn of_negation(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let Expr::Negative(inner) = &expr else { return Ok(Transformed::no(expr)) };
    let is_integer = inner.get_type(schema).is_ok_and(|found| found.is_signed_integer());
    let is_literal = matches!(inner.as_ref(), Expr::Literal(..));
    let is_checked = is_integer && !is_literal;
    if !is_integer && !is_literal {
        return Ok(of_float(expr, schema));
    }
    Ok(if is_checked { Transformed::yes(integers::negated(inner.as_ref().clone())) } else { Transformed::no(expr) })
}

/// Arithmetic, where the types were known only after coercion: of instants in the zone, of floats, of checked integers, exact.
fn of_arithmetic(expr: Expr, schema: &DFSchema, zone: &Arc<str>) -> Result<Transformed<Expr>> {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = &expr else { return Ok(Transformed::no(expr)) };
    if !matches!(op, Operator::Plus | Operator::Minus | Operator::Multiply | Operator::Divide | Operator::Modulo) {
        return Ok(Transformed::no(expr));
    }
    // Those whose types were known only after coercion.
    let (Ok(left_type), Ok(right_type)) = (left.get_type(schema), right.get_type(schema)) else {
        return Ok(Transformed::no(expr));
    };
    if zone.as_ref() != INSTANT_ZONE && matches!(op, Operator::Plus | Operator::Minus) {
        let moved = |instant: &Expr, interval: &Expr| {
            instant_plus::call(instant.clone(), interval.clone(), *op == Operator::Minus, zone)
        };
        if is_instant(&left_type) && intervals::is_interval(&right_type) {
            return Ok(Transformed::yes(moved(left, right)));
        }
        if *op == Operator::Plus && intervals::is_interval(&left_type) && is_instant(&right_type) {
            return Ok(Transformed::yes(moved(right, left)));
        }
    }
    if left_type.is_floating() && right_type.is_floating() {
        return Ok(of_float(expr, schema));
    }
    if left_type.is_signed_integer() && left_type == right_type {
        let checked = integers::checked(left, *op, right);
        return Ok(checked.map_or_else(|| Transformed::no(expr), Transformed::yes));
    }
    if !decimals::are_decimals(&left_type, &right_type) {
        return Ok(Transformed::no(expr));
    }
    let is_wide = matches!(left_type, DataType::Decimal256(..)) && matches!(right_type, DataType::Decimal256(..));
    if is_wide && *op != Operator::Divide {
        // What was planned so.
        return Ok(Transformed::no(expr));
    }
    let Some(exact) = of_decimals(left, &left_type, *op, right, &right_type) else {
        return Ok(Transformed::no(expr));
    };
    // What stands around it was given this type.
    let planned = expr.get_type(schema);
    Ok(Transformed::yes(match planned {
        Ok(planned) if *op != Operator::Divide && exact.get_type(schema)? != planned => cast(exact, planned),
        _ => exact,
    }))
}

/// A TRY_CAST: text that is read here gives NULL where it cannot be read.
fn of_try_cast(expr: Expr, schema: &DFSchema, zone: &Arc<str>) -> Result<Transformed<Expr>> {
    let Expr::TryCast(TryCast { expr: inner, field }) = &expr else { return Ok(Transformed::no(expr)) };
    let to = field.data_type();
    let from = inner.get_type(schema);
    if from.as_ref().is_ok_and(DataType::is_string) && datetime_input::is_ours(to) {
        return Ok(Transformed::yes(datetime_input::call(inner.as_ref().clone(), to, zone, true)?));
    }
    if from.as_ref().is_ok_and(DataType::is_string) && intervals::is_interval(to) {
        return Ok(Transformed::yes(interval_input::call(inner.as_ref().clone(), true)?));
    }
    let is_moment = |found: &DataType| matches!(found, DataType::Timestamp(..) | DataType::Date32);
    if from.as_ref().is_ok_and(|from| is_moment(from) && (is_instant(from) || is_instant(to))) {
        // What goes by the zone.
        return rewrite(Expr::Cast(Cast::new_from_field(inner.clone(), field.clone())), schema, zone);
    }
    let is_number = to.is_signed_integer() || matches!(to, DataType::Decimal128(..) | DataType::Decimal256(..));
    let reads = is_number && inner.get_type(schema).is_ok_and(|from| from.is_string());
    match reads {
        true => Ok(Transformed::yes(text_number::call(inner.as_ref().clone(), to, true)?)),
        false => Ok(Transformed::no(expr)),
    }
}

/// A CAST: of numerics, moments and bytes from and to text, of instants in the zone.
fn of_cast(expr: Expr, schema: &DFSchema, zone: &Arc<str>) -> Result<Transformed<Expr>> {
    let Expr::Cast(Cast { expr: inner, field }) = &expr else { return Ok(Transformed::no(expr)) };
    let Ok(from) = inner.get_type(schema) else { return Ok(Transformed::no(expr)) };
    let to = field.data_type();
    let call = |function: Arc<datafusion::logical_expr::ScalarUDF>, argument: &Expr| {
        Expr::ScalarFunction(ScalarFunction::new_udf(function, vec![argument.clone()]))
    };
    let replacement = if from.is_string() && datetime_input::is_ours(to) {
        datetime_input::call(inner.as_ref().clone(), to, zone, false)?
    } else if from.is_string() && intervals::is_interval(to) {
        interval_input::call(inner.as_ref().clone(), false)?
    } else if from.is_string() && field.metadata().contains_key(BYTEA_KEY) {
        call(text_input::bytea(), inner)
    } else if intervals::is_interval(&from) && to.is_string() {
        let text = call(intervals::interval_text(), inner);
        if *to == DataType::Utf8 { text } else { cast(text, to.clone()) }
    } else if is_unconstrained_numeric(&from) && to.is_string() {
        let text = call(numeric::numeric_text(), inner);
        if *to == DataType::Utf8 { text } else { cast(text, to.clone()) }
    } else if is_unconstrained_numeric(to) && (from.is_string() || from.is_floating()) {
        call(numeric::to_numeric(), inner)
    } else if matches!(to, DataType::Decimal128(..) | DataType::Decimal256(..)) && from.is_string() {
        text_number::call(inner.as_ref().clone(), to, false)?
    } else if to.is_string() && value_text::is_ours(&from) {
        let text = value_text::call(inner.as_ref().clone());
        if *to == DataType::Utf8 { text } else { cast(text, to.clone()) }
    } else if matches!(to, DataType::Decimal128(..) | DataType::Decimal256(..)) && from.is_floating() {
        cast(call(numeric::to_numeric(), inner), to.clone())
    } else if matches!(from, DataType::Decimal128(..) | DataType::Decimal256(..)) && to.is_floating() {
        // Reading the digits rounds once; Arrow's own cast divides by a power of ten and rounds again.
        cast(cast(inner.as_ref().clone(), DataType::Utf8), to.clone())
    } else if matches!(from, DataType::Timestamp(..)) && to.is_string() {
        let text = call(time::timestamp_text(), inner);
        if *to == DataType::Utf8 { text } else { cast(text, to.clone()) }
    } else if zone.as_ref() == INSTANT_ZONE {
        return Ok(Transformed::no(expr));
    } else if is_instant(&from)
        && matches!(to, DataType::Timestamp(_, None) | DataType::Date32 | DataType::Time32(_) | DataType::Time64(_))
    {
        let local =
            call(datafusion::functions::datetime::to_local_time(), &at_zone(inner.as_ref().clone(), &from, zone));
        cast(local, to.clone())
    } else if is_instant(to) && matches!(from, DataType::Timestamp(_, None) | DataType::Date32) {
        let DataType::Timestamp(unit, _) = to else { return Ok(Transformed::no(expr)) };
        let local = DataType::Timestamp(*unit, None);
        let local = if from == local { inner.as_ref().clone() } else { cast(inner.as_ref().clone(), local) };
        datetime_input::call_local(local, zone)
    } else {
        return Ok(Transformed::no(expr));
    };
    Ok(Transformed::yes(replacement))
}

/// A cast to an array, a map or a row: what is within is cast as if it stood alone.
fn of_nested(expr: &Expr, schema: &DFSchema) -> Result<Option<Expr>> {
    let (inner, field, is_try) = match expr {
        Expr::Cast(cast) => (&cast.expr, &cast.field, false),
        Expr::TryCast(cast) => (&cast.expr, &cast.field, true),
        _ => return Ok(None),
    };
    let to = field.data_type();
    if !is_nested(to) {
        return Ok(None);
    }
    let Ok(from) = inner.get_type(schema) else { return Ok(None) };
    let written = field.metadata().get(WRITTEN_KEY).map(String::as_str);
    if from.is_string() && matches!(to, DataType::List(_)) {
        let array = text_input::call_array(inner.as_ref().clone(), to, is_try)?;
        return Ok(Some(match written {
            Some(_) => by_place(array, to, written, is_try)?,
            None => array,
        }));
    }
    if from.is_null() || from.is_string() || (from == *to && written.is_none()) {
        return Ok(None);
    }
    if !fits(&from, to) {
        let message = format!("cannot cast type {} to {}", to_postgres(&from), to_postgres(to));
        return Err(Error::invalid(message).code(SqlState::CannotCoerce).into());
    }
    Ok(Some(by_place(inner.as_ref().clone(), to, written, is_try)?))
}

/// Items that are joined to a text: each as CAST writes it.
fn of_items(call: &ScalarFunction, schema: &DFSchema) -> Result<Option<Expr>> {
    if !matches!(call.func.name(), "array_to_string" | "array_join" | "list_to_string" | "list_join") {
        return Ok(None);
    }
    fn as_texts(data_type: &DataType) -> DataType {
        match data_type {
            DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
                list_of(as_texts(item.data_type()), true)
            }
            DataType::Null => DataType::Null,
            _ => DataType::Utf8,
        }
    }
    let Some(array) = call.args.first() else { return Ok(None) };
    let Ok(found) = array.get_type(schema) else { return Ok(None) };
    let to = as_texts(&found);
    if !found.is_list() || found.equals_datatype(&to) {
        return Ok(None);
    }
    let mut args = call.args.clone();
    args[0] = by_place(array.clone(), &to, None, false)?;
    Ok(Some(Expr::ScalarFunction(ScalarFunction::new_udf(call.func.clone(), args))))
}
