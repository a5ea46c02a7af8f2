//! Strings in arithmetic, and exact numerics: rules that DataFusion's own type coercion does not have.
//! A string with a string or a number is an exact decimal; a timestamp with a string stays an interval.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, FieldRef, TimeUnit};
use datafusion::common::DFSchema;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result;
use datafusion::logical_expr::expr::{BinaryExpr, Cast, ScalarFunction, TryCast};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr, RawFieldAccessExpr};
use datafusion::logical_expr::{Expr, ExprSchemable, GetFieldAccess, LogicalPlan, Operator, binary_expr, cast, lit};
use datafusion::optimizer::AnalyzerRule;
use datafusion::scalar::ScalarValue;
use datafusion::sql::sqlparser::ast::BinaryOperator;

use super::meetings::{Meeting, Part, meeting};
use super::{
    as_written, by_place, datetime_input, decimal_divide, decimal_multiply, decimals, float_key, instant_plus,
    integers, interval_input, interval_math, intervals, nulls, numeric, seconds, substring, text_input, text_length,
    text_number, time, timestamp_precision, value_text,
};
use crate::data_type::{
    TypeLength, is_unconstrained_numeric, list_of, second_digits, to_postgres, unconstrained_numeric,
};
use crate::error::Error;

/// The planners that come before DataFusion's.
pub fn planners() -> Vec<Arc<dyn ExprPlanner>> {
    vec![Arc::new(Arithmetic), Arc::new(super::aggregates::Aggregates), Arc::new(seconds::Extract)]
}

/// Plans `+ - * / %` with strings and exact numerics.
#[derive(Debug)]
pub struct Arithmetic;

fn is_string(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

impl ExprPlanner for Arithmetic {
    /// EXTRACT(DOW …) counts from Sunday as 1, as in Flink; `date_part` from 0, as in Postgres.
    fn plan_extract(&self, args: Vec<Expr>) -> Result<PlannerResult<Vec<Expr>>> {
        let of_week =
            |field: &str| ["dow", "dayofweek"].iter().any(|name| field.trim_matches('\'').eq_ignore_ascii_case(name));
        match &args[..] {
            [Expr::Literal(field, _), value] if field.try_as_str().flatten().is_some_and(of_week) => {
                let day = datafusion::functions::datetime::date_part().call(vec![lit("dow"), value.clone()]);
                Ok(PlannerResult::Planned(binary_expr(day, Operator::Plus, lit(1_i32))))
            }
            _ => Ok(PlannerResult::Original(args)),
        }
    }

    /// The items of an array that are dates, times and timestamps take one type.
    fn plan_array_literal(&self, exprs: Vec<Expr>, schema: &DFSchema) -> Result<PlannerResult<Vec<Expr>>> {
        let parts: Option<Vec<Part>> = exprs.iter().map(|expr| Part::of(expr, schema)).collect();
        let met = parts.as_deref().and_then(meeting).filter(|met| *met != Meeting::Double);
        let Some(met) = met else { return Ok(PlannerResult::Original(exprs)) };
        Ok(PlannerResult::Original(exprs.into_iter().map(|expr| met.fit(expr, schema)).collect()))
    }

    /// Names of fields match as those of columns do: exactly, else without regard to case.
    fn plan_field_access(
        &self,
        mut raw: RawFieldAccessExpr,
        schema: &DFSchema,
    ) -> Result<PlannerResult<RawFieldAccessExpr>> {
        if let GetFieldAccess::NamedStructField { name } = &mut raw.field_access
            && let Some(wanted) = name.try_as_str().flatten()
            && let Ok(DataType::Struct(fields)) = raw.expr.get_type(schema)
            && fields.iter().all(|field| field.name() != wanted)
        {
            let mut similar = fields.iter().filter(|field| field.name().eq_ignore_ascii_case(wanted));
            if let (Some(field), None) = (similar.next(), similar.next()) {
                *name = ScalarValue::from(field.name().as_str());
            }
        }
        Ok(PlannerResult::Original(raw))
    }

    fn plan_substring(&self, args: Vec<Expr>) -> Result<PlannerResult<Vec<Expr>>> {
        Ok(PlannerResult::Planned(substring::substr().call(args)))
    }

    fn plan_binary_op(&self, raw: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        if raw.op == BinaryOperator::StringConcat {
            let is_array = |expr: &Expr| expr.get_type(schema).is_ok_and(|data_type| data_type.is_list());
            let array_cat = nulls::by_name("array_cat").filter(|_| is_array(&raw.left) && is_array(&raw.right));
            let with_item = match (is_array(&raw.left), is_array(&raw.right)) {
                (true, false) => nulls::by_name("array_append"),
                (false, true) => nulls::by_name("array_prepend"),
                _ => array_cat,
            };
            let is_null = |expr: &Expr| matches!(expr, Expr::Literal(value, _) if value.is_null());
            let beside_null = is_null(&raw.left) || is_null(&raw.right);
            return Ok(match with_item.filter(|_| !beside_null) {
                Some(function) => PlannerResult::Planned(function.call(vec![raw.left, raw.right])),
                None => PlannerResult::Original(raw),
            });
        }
        if let Some(operator) = comparison(&raw.op) {
            return beside_interval(raw, operator, schema);
        }
        if !matches!(
            raw.op,
            BinaryOperator::Plus
                | BinaryOperator::Minus
                | BinaryOperator::Multiply
                | BinaryOperator::Divide
                | BinaryOperator::Modulo
        ) {
            return Ok(PlannerResult::Original(raw));
        }
        let mut raw = raw;
        let mut of_calendar = false;
        for side in [&mut raw.left, &mut raw.right] {
            if let Some(interval) = intervals::of_calendar(side).cloned() {
                *side = interval;
                of_calendar = true;
            }
        }
        let (Ok(left), Ok(right)) = (raw.left.get_type(schema), raw.right.get_type(schema)) else {
            return Ok(PlannerResult::Original(raw));
        };
        // A timestamp or date with a string: the string is an interval.
        let is_date = |data_type: &DataType| matches!(data_type, DataType::Timestamp(..) | DataType::Date32);
        let is_timestamp = |data_type: &DataType| matches!(data_type, DataType::Timestamp(..));
        let is_interval = |data_type: &DataType| matches!(data_type, DataType::Interval(_));
        let operator = match raw.op {
            BinaryOperator::Plus => Operator::Plus,
            BinaryOperator::Minus => Operator::Minus,
            BinaryOperator::Multiply => Operator::Multiply,
            BinaryOperator::Divide => Operator::Divide,
            _ => Operator::Modulo,
        };
        // What is subtracted may be a date, as in Postgres.
        let is_moment = |expr: &Expr| {
            let text = expr.as_literal().and_then(|value| value.try_as_str().flatten());
            text.is_some_and(|text| datetime_input::micros(text).is_some())
        };
        match raw.op {
            BinaryOperator::Minus if left == DataType::Date32 && is_string(&right) && is_moment(&raw.right) => {
                raw.right = cast(raw.right, DataType::Date32);
                return Ok(PlannerResult::Original(raw));
            }
            BinaryOperator::Minus if is_timestamp(&left) && is_string(&right) && is_moment(&raw.right) => {
                let right = cast(raw.right, left);
                return Ok(PlannerResult::Planned(intervals::timestamp_minus().call(vec![raw.left, right])));
            }
            BinaryOperator::Plus | BinaryOperator::Minus if is_date(&left) && is_string(&right) => {
                let moved = at_midnight(raw.left, &left);
                return Ok(PlannerResult::Planned(binary_expr(moved, operator, cast(raw.right, intervals::INTERVAL))));
            }
            BinaryOperator::Plus if is_string(&left) && is_date(&right) => {
                let moved = at_midnight(raw.right, &right);
                return Ok(PlannerResult::Planned(binary_expr(moved, operator, cast(raw.left, intervals::INTERVAL))));
            }
            BinaryOperator::Plus | BinaryOperator::Minus
                if left == DataType::Date32 && is_interval(&right) && !of_calendar =>
            {
                let moved = at_midnight(raw.left, &left);
                return Ok(PlannerResult::Planned(binary_expr(moved, operator, raw.right)));
            }
            BinaryOperator::Plus if is_interval(&left) && right == DataType::Date32 && !of_calendar => {
                let moved = at_midnight(raw.right, &right);
                return Ok(PlannerResult::Planned(binary_expr(raw.left, operator, moved)));
            }
            BinaryOperator::Minus
                if is_date(&left) && is_date(&right) && (is_timestamp(&left) || is_timestamp(&right)) =>
            {
                return Ok(PlannerResult::Planned(intervals::timestamp_minus().call(vec![raw.left, raw.right])));
            }
            _ => {}
        }
        let is_factor = |data_type: &DataType| data_type.is_numeric() || data_type.is_null();
        let is_time = |data_type: &DataType| matches!(data_type, DataType::Time32(_) | DataType::Time64(_));
        match raw.op {
            BinaryOperator::Plus | BinaryOperator::Minus
                if is_interval(&left) && right.is_numeric() || left.is_numeric() && is_interval(&right) =>
            {
                let (left, right) = (to_postgres(&left), to_postgres(&right));
                return Err(Error::invalid(format!("operator does not exist: {left} {} {right}", raw.op))
                    .code("42883")
                    .hint("Write INTERVAL '1' DAY for a day.")
                    .into());
            }
            BinaryOperator::Plus if is_time(&left) && is_time(&right) => {
                let (left, right) = (to_postgres(&left), to_postgres(&right));
                return Err(Error::invalid(format!("operator is not unique: {left} + {right}")).code("42725").into());
            }
            BinaryOperator::Multiply if is_interval(&left) && is_factor(&right) => {
                return Ok(PlannerResult::Planned(interval_math::call(
                    interval_math::MULTIPLY,
                    vec![raw.left, raw.right],
                )?));
            }
            BinaryOperator::Multiply if is_factor(&left) && is_interval(&right) => {
                return Ok(PlannerResult::Planned(interval_math::call(
                    interval_math::MULTIPLY,
                    vec![raw.right, raw.left],
                )?));
            }
            BinaryOperator::Divide if is_interval(&left) && is_factor(&right) => {
                return Ok(PlannerResult::Planned(interval_math::call(
                    interval_math::DIVIDE,
                    vec![raw.left, raw.right],
                )?));
            }
            _ => {}
        }
        // A float beside a decimal is a double, as in both dialects.
        if left.is_floating() && is_decimal(&right) || is_decimal(&left) && right.is_floating() {
            let (left, right) = (as_double(raw.left, &left), as_double(raw.right, &right));
            return Ok(PlannerResult::Planned(binary_expr(left, operator, right)));
        }
        if decimals::are_decimals(&left, &right) {
            return Ok(match of_decimals(&raw.left, &left, operator, &raw.right, &right) {
                Some(planned) => PlannerResult::Planned(planned),
                None => PlannerResult::Original(raw),
            });
        }
        let takes_part = |data_type: &DataType| is_string(data_type) || data_type.is_numeric();
        let wanted = |data_type: &DataType| is_string(data_type) || is_unconstrained_numeric(data_type);
        if !(takes_part(&left) && takes_part(&right) && (wanted(&left) || wanted(&right))) {
            return Ok(PlannerResult::Original(raw));
        }
        let left = to_numeric(raw.left, &left);
        let right = to_numeric(raw.right, &right);
        Ok(PlannerResult::Planned(match raw.op {
            BinaryOperator::Plus => binary_expr(left, Operator::Plus, right),
            BinaryOperator::Minus => binary_expr(left, Operator::Minus, right),
            BinaryOperator::Multiply => numeric::multiply().call(vec![left, right]),
            BinaryOperator::Divide => numeric::divide().call(vec![left, right]),
            _ => numeric::modulo().call(vec![left, right]),
        }))
    }
}

/// Digits of a DECIMAL of 128 bits.
const NARROW_DIGITS: i16 = 38;

/// Arithmetic of decimals that DataFusion does not do exactly: every quotient, and what may need more than 38 digits, which is done
/// with 256 bits. `None`: the operator itself is exact.
fn of_decimals(
    left: &Expr,
    left_type: &DataType,
    operator: Operator,
    right: &Expr,
    right_type: &DataType,
) -> Option<Expr> {
    if operator == Operator::Divide {
        return Some(decimal_divide::call(left.clone(), right.clone()));
    }
    let (left, right) = (decimals::narrowed(left.clone()), decimals::narrowed(right.clone()));
    let digits = |expr: &Expr, data_type: &DataType| match expr {
        Expr::Cast(cast) => decimals::as_decimal(cast.field.data_type()),
        _ => decimals::as_decimal(data_type),
    };
    let (left_type, right_type) = (digits(&left, left_type)?, digits(&right, right_type)?);
    let ((left_precision, left_scale), (right_precision, right_scale)) =
        (decimals::parts(&left_type)?, decimals::parts(&right_type)?);
    let is_wide = matches!(left_type, DataType::Decimal256(..)) || matches!(right_type, DataType::Decimal256(..));
    let aligned = (left_precision - left_scale).max(right_precision - right_scale) + left_scale.max(right_scale);
    match operator {
        Operator::Multiply if is_wide || left_precision + right_precision + 1 > NARROW_DIGITS => {
            Some(decimal_multiply::decimal_multiply().call(vec![left, right]))
        }
        Operator::Plus | Operator::Minus | Operator::Modulo if is_wide || aligned + 1 > NARROW_DIGITS => {
            let wide = |expr: Expr, (precision, scale): (i16, i16)| {
                Some(cast(expr, DataType::Decimal256(u8::try_from(precision).ok()?, i8::try_from(scale).ok()?)))
            };
            let left = wide(left, (left_precision, left_scale))?;
            Some(binary_expr(left, operator, wide(right, (right_precision, right_scale))?))
        }
        _ => None,
    }
}

fn comparison(op: &BinaryOperator) -> Option<Operator> {
    Some(match op {
        BinaryOperator::Eq => Operator::Eq,
        BinaryOperator::NotEq => Operator::NotEq,
        BinaryOperator::Lt => Operator::Lt,
        BinaryOperator::LtEq => Operator::LtEq,
        BinaryOperator::Gt => Operator::Gt,
        BinaryOperator::GtEq => Operator::GtEq,
        _ => return None,
    })
}

/// A text that is written beside an interval is an interval.
fn beside_interval(raw: RawBinaryExpr, operator: Operator, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
    let is_text = |expr: &Expr| matches!(expr, Expr::Literal(value, _) if is_string(&value.data_type()));
    let is_interval = |expr: &Expr| expr.get_type(schema).is_ok_and(|found| intervals::is_interval(&found));
    let (left, right) = match (is_text(&raw.left), is_text(&raw.right)) {
        (true, false) if is_interval(&raw.right) => (cast(raw.left, intervals::INTERVAL), raw.right),
        (false, true) if is_interval(&raw.left) => (raw.left, cast(raw.right, intervals::INTERVAL)),
        _ => return Ok(PlannerResult::Original(raw)),
    };
    Ok(PlannerResult::Planned(binary_expr(left, operator, right)))
}

/// A date that is moved by an interval is a timestamp, as in Postgres.
fn at_midnight(expr: Expr, data_type: &DataType) -> Expr {
    if *data_type == DataType::Date32 { cast(expr, DataType::Timestamp(TimeUnit::Microsecond, None)) } else { expr }
}

/// Whether a type is a decimal's.
pub fn is_decimal(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Decimal128(..) | DataType::Decimal256(..))
}

/// A number as a double.
pub fn as_double(expr: Expr, data_type: &DataType) -> Expr {
    if *data_type == DataType::Float64 { expr } else { cast(expr, DataType::Float64) }
}

fn to_numeric(expr: Expr, data_type: &DataType) -> Expr {
    if is_unconstrained_numeric(data_type) {
        expr
    } else if is_string(data_type) || data_type.is_floating() {
        numeric::to_numeric().call(vec![expr])
    } else {
        cast(expr, unconstrained_numeric())
    }
}

/// Casts from and to exact numerics: text is read exactly or refused, printing trims zeros, floats go by their shortest text.
/// Casts from and to TIMESTAMP_LTZ go by the session's time zone, in which its parts are taken, too.
#[derive(Debug)]
pub struct Numerics;

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
pub fn rewrite_all(expr: Expr, schema: &DFSchema, zone: &Arc<str>) -> Result<Expr> {
    Ok(expr.transform_up(|expr| rewrite(expr, schema, zone))?.data)
}

/// The zone in the type of every TIMESTAMP_LTZ.
const INSTANT_ZONE: &str = "UTC";

fn is_instant(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Timestamp(_, Some(zone)) if zone.as_ref() == INSTANT_ZONE)
}

/// Key of a cast's field that has a length: Arrow's text types have none.
const LENGTH_KEY: &str = "streamgate.length";

/// A type of a cast with its length; the cast then cuts and pads.
pub fn with_length(field: Field, length: Option<TypeLength>) -> Field {
    let Some(TypeLength { length, is_padded }) = length else { return field };
    let text = format!("{length}{}", if is_padded { " padded" } else { "" });
    field.with_metadata(HashMap::from([(LENGTH_KEY.to_owned(), text)]))
}

/// Key of a cast's field that has fewer digits of a second than its Arrow type.
const DIGITS_KEY: &str = "streamgate.digits";

/// The type of a cast to a timestamp or a time with its precision; the cast then rounds.
pub fn with_digits(field: Field, digits: Option<u8>) -> Field {
    let Some(digits) = digits else { return field };
    field.with_metadata(HashMap::from([(DIGITS_KEY.to_owned(), digits.to_string())]))
}

/// Key of a cast's field whose text is read as PostgreSQL reads a bytea; BYTES of Flink are those of the text.
const BYTEA_KEY: &str = "streamgate.bytea";

/// A type of a cast that was written in Postgres' words.
pub fn as_bytea(field: Field) -> Field {
    field.with_metadata(HashMap::from([(BYTEA_KEY.to_owned(), String::new())]))
}

/// Key of a cast's field whose values hold others, with the words of SQL in which the type is written.
const WRITTEN_KEY: &str = "streamgate.written";

/// The field of a cast to a type that is written in these words.
pub fn field_of(data_type: DataType, text: &str) -> Field {
    if by_place::is_nested(&data_type) {
        let upper = text.to_ascii_uppercase();
        let says_more = ["CHAR", "TIME", "BYTEA"].iter().any(|word| upper.contains(word));
        let field = Field::new("", data_type, true);
        return match says_more {
            true => field.with_metadata(HashMap::from([(WRITTEN_KEY.to_owned(), text.to_owned())])),
            false => field,
        };
    }
    if data_type == DataType::Binary && text.eq_ignore_ascii_case("BYTEA") {
        return as_bytea(Field::new("", data_type, true));
    }
    let length = TypeLength::of(text).filter(|_| data_type == DataType::Utf8);
    let digits = second_digits(text).filter(|_| second_unit(&data_type).is_some());
    with_digits(with_length(Field::new("", data_type, true), length), digits)
}

/// The precision of a cast's type, and the type without it.
fn take_digits(field: &Field) -> Option<(u8, FieldRef)> {
    let digits = field.metadata().get(DIGITS_KEY)?.parse().ok()?;
    Some((digits, Arc::new(field.clone().with_metadata(HashMap::new()))))
}

/// The unit in which a timestamp or a time counts.
fn second_unit(data_type: &DataType) -> Option<TimeUnit> {
    match data_type {
        DataType::Timestamp(unit, _) | DataType::Time32(unit) | DataType::Time64(unit) => Some(*unit),
        _ => None,
    }
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
        (None, text) if is_string(text) && !(is_time && digits.is_none()) => TimeUnit::Microsecond,
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

/// The length of a cast's type, and the type without it.
fn take_length(field: &Field) -> Option<(TypeLength, FieldRef)> {
    let text = field.metadata().get(LENGTH_KEY)?;
    let (length, is_padded) = text.strip_suffix(" padded").map_or((text.as_str(), false), |length| (length, true));
    let length = TypeLength { length: length.parse().ok()?, is_padded };
    Some((length, Arc::new(field.clone().with_metadata(HashMap::new()))))
}

fn rewrite(expr: Expr, schema: &DFSchema, zone: &Arc<str>) -> Result<Transformed<Expr>> {
    let fitted = match &expr {
        Expr::Cast(cast) => take_length(&cast.field)
            .map(|(length, field)| (length, Expr::Cast(Cast::new_from_field(cast.expr.clone(), field)))),
        Expr::TryCast(cast) => take_length(&cast.field)
            .map(|(length, field)| (length, Expr::TryCast(TryCast::new_from_field(cast.expr.clone(), field)))),
        _ => None,
    };
    if let Some((length, plain)) = fitted {
        let text = rewrite(plain, schema, zone)?.data;
        return Ok(Transformed::yes(text_length::call(text, length)));
    }
    if let Some(rounded) = rounded(&expr, schema, zone)? {
        return Ok(Transformed::yes(rounded));
    }
    if let Some(nested) = of_nested(&expr, schema)? {
        return Ok(Transformed::yes(nested));
    }
    if let Expr::ScalarFunction(call) = &expr {
        if let (as_written::NAME, Some(value)) = (call.func.name(), call.args.first()) {
            return Ok(Transformed::yes(value.clone()));
        }
        if let Some(texts) = of_items(call, schema)? {
            return Ok(Transformed::yes(texts));
        }
        if MAKING_NAN.contains(&call.func.name()) && call.func.name() != float_key::VALUE {
            return Ok(of_float(expr, schema));
        }
        return in_zone(call, schema, zone).map(|call| call.map_or_else(|| Transformed::no(expr), Transformed::yes));
    }
    if let Expr::Negative(inner) = &expr {
        let is_integer = inner.get_type(schema).is_ok_and(|found| found.is_signed_integer());
        let is_literal = matches!(inner.as_ref(), Expr::Literal(..));
        let is_checked = is_integer && !is_literal;
        if !is_integer && !is_literal {
            return Ok(of_float(expr, schema));
        }
        return Ok(if is_checked {
            Transformed::yes(integers::negated(inner.as_ref().clone()))
        } else {
            Transformed::no(expr)
        });
    }
    if let Expr::BinaryExpr(BinaryExpr { left, op, right }) = &expr {
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
        return Ok(Transformed::yes(match planned {
            Ok(planned) if *op != Operator::Divide && exact.get_type(schema)? != planned => cast(exact, planned),
            _ => exact,
        }));
    }
    if let Expr::TryCast(TryCast { expr: inner, field }) = &expr {
        let to = field.data_type();
        let from = inner.get_type(schema);
        if from.as_ref().is_ok_and(is_string) && datetime_input::is_ours(to) {
            return Ok(Transformed::yes(datetime_input::call(inner.as_ref().clone(), to, zone, true)?));
        }
        if from.as_ref().is_ok_and(is_string) && intervals::is_interval(to) {
            return Ok(Transformed::yes(interval_input::call(inner.as_ref().clone(), true)?));
        }
        let is_moment = |found: &DataType| matches!(found, DataType::Timestamp(..) | DataType::Date32);
        if from.as_ref().is_ok_and(|from| is_moment(from) && (is_instant(from) || is_instant(to))) {
            // What goes by the zone.
            return rewrite(Expr::Cast(Cast::new_from_field(inner.clone(), field.clone())), schema, zone);
        }
        let is_number = to.is_signed_integer() || matches!(to, DataType::Decimal128(..) | DataType::Decimal256(..));
        let reads = is_number && inner.get_type(schema).is_ok_and(|from| is_string(&from));
        return match reads {
            true => Ok(Transformed::yes(text_number::call(inner.as_ref().clone(), to, true)?)),
            false => Ok(Transformed::no(expr)),
        };
    }
    let Expr::Cast(Cast { expr: inner, field }) = &expr else { return Ok(Transformed::no(expr)) };
    let Ok(from) = inner.get_type(schema) else { return Ok(Transformed::no(expr)) };
    let to = field.data_type();
    let call = |function: Arc<datafusion::logical_expr::ScalarUDF>, argument: &Expr| {
        Expr::ScalarFunction(ScalarFunction::new_udf(function, vec![argument.clone()]))
    };
    let replacement = if is_string(&from) && datetime_input::is_ours(to) {
        datetime_input::call(inner.as_ref().clone(), to, zone, false)?
    } else if is_string(&from) && intervals::is_interval(to) {
        interval_input::call(inner.as_ref().clone(), false)?
    } else if is_string(&from) && field.metadata().contains_key(BYTEA_KEY) {
        call(text_input::bytea(), inner)
    } else if intervals::is_interval(&from) && is_string(to) {
        let text = call(intervals::interval_text(), inner);
        if *to == DataType::Utf8 { text } else { cast(text, to.clone()) }
    } else if is_unconstrained_numeric(&from) && is_string(to) {
        let text = call(numeric::numeric_text(), inner);
        if *to == DataType::Utf8 { text } else { cast(text, to.clone()) }
    } else if is_unconstrained_numeric(to) && (is_string(&from) || from.is_floating()) {
        call(numeric::to_numeric(), inner)
    } else if matches!(to, DataType::Decimal128(..) | DataType::Decimal256(..)) && is_string(&from) {
        text_number::call(inner.as_ref().clone(), to, false)?
    } else if is_string(to) && value_text::is_ours(&from) {
        let text = value_text::call(inner.as_ref().clone());
        if *to == DataType::Utf8 { text } else { cast(text, to.clone()) }
    } else if matches!(to, DataType::Decimal128(..) | DataType::Decimal256(..)) && from.is_floating() {
        cast(call(numeric::to_numeric(), inner), to.clone())
    } else if matches!(from, DataType::Decimal128(..) | DataType::Decimal256(..)) && to.is_floating() {
        // Reading the digits rounds once; Arrow's own cast divides by a power of ten and rounds again.
        cast(cast(inner.as_ref().clone(), DataType::Utf8), to.clone())
    } else if matches!(from, DataType::Timestamp(..)) && is_string(to) {
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

/// Functions of floats that give NaN for some arguments that are none.
const MAKING_NAN: [&str; 17] = [
    "acos", "acosh", "asin", "atanh", "cos", "cot", "exp", "fmod", "ln", "log", "log10", "log2", "pow", "power", "sin",
    "sqrt", "tan",
];

/// What may be a NaN of the processor's as the one NaN.
fn of_float(expr: Expr, schema: &DFSchema) -> Transformed<Expr> {
    if !expr.get_type(schema).is_ok_and(|found| found.is_floating()) {
        return Transformed::no(expr);
    }
    // Once for all that stands within each other.
    let bare = |operand: Box<Expr>| match *operand {
        Expr::ScalarFunction(mut call) if call.func.name() == float_key::VALUE && call.args.len() == 1 => {
            Box::new(call.args.swap_remove(0))
        }
        other => Box::new(other),
    };
    let expr = match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            Expr::BinaryExpr(BinaryExpr { left: bare(left), op, right: bare(right) })
        }
        Expr::Negative(inner) => Expr::Negative(bare(inner)),
        other => other,
    };
    Transformed::yes(float_key::value(expr))
}

/// A cast to an array, a map or a row: what is within is cast as if it stood alone.
fn of_nested(expr: &Expr, schema: &DFSchema) -> Result<Option<Expr>> {
    let (inner, field, is_try) = match expr {
        Expr::Cast(cast) => (&cast.expr, &cast.field, false),
        Expr::TryCast(cast) => (&cast.expr, &cast.field, true),
        _ => return Ok(None),
    };
    let to = field.data_type();
    if !by_place::is_nested(to) {
        return Ok(None);
    }
    let Ok(from) = inner.get_type(schema) else { return Ok(None) };
    let written = field.metadata().get(WRITTEN_KEY).map(String::as_str);
    if is_string(&from) && matches!(to, DataType::List(_)) {
        let array = text_input::call_array(inner.as_ref().clone(), to, is_try)?;
        return Ok(Some(match written {
            Some(_) => by_place::call(array, to, written, is_try)?,
            None => array,
        }));
    }
    if from.is_null() || is_string(&from) || (from == *to && written.is_none()) {
        return Ok(None);
    }
    if !by_place::fits(&from, to) {
        let message = format!("cannot cast type {} to {}", to_postgres(&from), to_postgres(to));
        return Err(Error::invalid(message).code("42846").into());
    }
    Ok(Some(by_place::call(inner.as_ref().clone(), to, written, is_try)?))
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
    args[0] = by_place::call(array.clone(), &to, None, false)?;
    Ok(Some(Expr::ScalarFunction(ScalarFunction::new_udf(call.func.clone(), args))))
}

fn at_zone(expr: Expr, data_type: &DataType, zone: &Arc<str>) -> Expr {
    let unit = if let DataType::Timestamp(unit, _) = data_type { *unit } else { TimeUnit::Microsecond };
    cast(expr, DataType::Timestamp(unit, Some(zone.clone())))
}

/// EXTRACT, date_part and date_trunc of a TIMESTAMP_LTZ: by the session's clock.
fn in_zone(call: &ScalarFunction, schema: &DFSchema, zone: &Arc<str>) -> Result<Option<Expr>> {
    let name = call.func.name();
    if zone.as_ref() == INSTANT_ZONE || !matches!(name, "date_part" | "date_trunc") {
        return Ok(None);
    }
    let Some(argument) = call.args.get(1) else { return Ok(None) };
    let data_type = argument.get_type(schema)?;
    if !is_instant(&data_type) {
        return Ok(None);
    }
    let mut args = call.args.clone();
    args[1] = at_zone(argument.clone(), &data_type, zone);
    let result = Expr::ScalarFunction(ScalarFunction::new_udf(call.func.clone(), args));
    Ok(Some(if name == "date_trunc" { cast(result, data_type) } else { result }))
}
