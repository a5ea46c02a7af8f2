//! Plans what is written with operators: strings, exact numerics, dates and intervals in arithmetic, and the few forms of SQL
//! beside them that DataFusion reads otherwise. A string with a string or a number is an exact decimal; a timestamp with a string
//! stays an interval.

use std::ops::ControlFlow;

use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::DFSchema;
use datafusion::error::Result;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr, RawFieldAccessExpr};
use datafusion::logical_expr::{Expr, ExprSchemable, GetFieldAccess, Operator, binary_expr, cast, lit};
use datafusion::scalar::ScalarValue;
use datafusion::sql::sqlparser::ast::BinaryOperator;

use super::exact::of_decimals;
use crate::data_type::{is_unconstrained_numeric, to_postgres, unconstrained_numeric};
use crate::error::{Error, SqlState};
use crate::functions::decimals::{self, is_decimal};
use crate::functions::meetings::{Meeting, Part, meeting};
use crate::functions::{datetime_input, interval_math, intervals, nulls, numeric, substring};

/// Plans `+ - * / %` with strings and exact numerics.
#[derive(Debug)]
pub(super) struct Arithmetic;

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

    fn plan_binary_op(&self, mut raw: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        if raw.op == BinaryOperator::StringConcat {
            return Ok(with_items(raw, schema));
        }
        if let Some(operator) = comparison(&raw.op) {
            return beside_interval(raw, operator, schema);
        }
        let Some(operator) = arithmetic(&raw.op) else { return Ok(PlannerResult::Original(raw)) };
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
        let raw = match of_moments(raw, operator, &left, &right, of_calendar) {
            ControlFlow::Break(planned) => return Ok(planned),
            ControlFlow::Continue(raw) => raw,
        };
        let raw = match of_intervals(raw, &left, &right)? {
            ControlFlow::Break(planned) => return Ok(planned),
            ControlFlow::Continue(raw) => raw,
        };
        Ok(of_numbers(raw, operator, &left, &right))
    }
}

/// What is planned, or the operation again where another rule is to look at it.
type Attempt = ControlFlow<PlannerResult<RawBinaryExpr>, RawBinaryExpr>;

/// `||` of an array with an array or an item.
fn with_items(raw: RawBinaryExpr, schema: &DFSchema) -> PlannerResult<RawBinaryExpr> {
    let is_array = |expr: &Expr| expr.get_type(schema).is_ok_and(|data_type| data_type.is_list());
    let with_item = match (is_array(&raw.left), is_array(&raw.right)) {
        (true, true) => Some(nulls::array_cat()),
        (true, false) => Some(nulls::array_append()),
        (false, true) => Some(nulls::array_prepend()),
        (false, false) => None,
    };
    let is_null = |expr: &Expr| matches!(expr, Expr::Literal(value, _) if value.is_null());
    let beside_null = is_null(&raw.left) || is_null(&raw.right);
    match with_item.filter(|_| !beside_null) {
        Some(function) => PlannerResult::Planned(function.call(vec![raw.left, raw.right])),
        None => PlannerResult::Original(raw),
    }
}

/// A date or a timestamp plus or minus an interval, a text, or another one.
fn of_moments(
    mut raw: RawBinaryExpr,
    operator: Operator,
    left: &DataType,
    right: &DataType,
    of_calendar: bool,
) -> Attempt {
    // A timestamp or date with a string: the string is an interval.
    let is_date = |data_type: &DataType| matches!(data_type, DataType::Timestamp(..) | DataType::Date32);
    let is_timestamp = |data_type: &DataType| matches!(data_type, DataType::Timestamp(..));
    let is_interval = |data_type: &DataType| matches!(data_type, DataType::Interval(_));
    // What is subtracted may be a date, as in Postgres.
    let is_moment = |expr: &Expr| {
        let text = expr.as_literal().and_then(|value| value.try_as_str().flatten());
        text.is_some_and(|text| datetime_input::micros(text).is_some())
    };
    match raw.op {
        BinaryOperator::Minus if *left == DataType::Date32 && right.is_string() && is_moment(&raw.right) => {
            raw.right = cast(raw.right, DataType::Date32);
            return ControlFlow::Break(PlannerResult::Original(raw));
        }
        BinaryOperator::Minus if is_timestamp(left) && right.is_string() && is_moment(&raw.right) => {
            let right = cast(raw.right, left.clone());
            return ControlFlow::Break(PlannerResult::Planned(
                intervals::timestamp_minus().call(vec![raw.left, right]),
            ));
        }
        BinaryOperator::Plus | BinaryOperator::Minus if is_date(left) && right.is_string() => {
            let moved = at_midnight(raw.left, left);
            return ControlFlow::Break(PlannerResult::Planned(binary_expr(
                moved,
                operator,
                cast(raw.right, intervals::INTERVAL),
            )));
        }
        BinaryOperator::Plus if left.is_string() && is_date(right) => {
            let moved = at_midnight(raw.right, right);
            return ControlFlow::Break(PlannerResult::Planned(binary_expr(
                moved,
                operator,
                cast(raw.left, intervals::INTERVAL),
            )));
        }
        BinaryOperator::Plus | BinaryOperator::Minus
            if *left == DataType::Date32 && is_interval(right) && !of_calendar =>
        {
            let moved = at_midnight(raw.left, left);
            return ControlFlow::Break(PlannerResult::Planned(binary_expr(moved, operator, raw.right)));
        }
        BinaryOperator::Plus if is_interval(left) && *right == DataType::Date32 && !of_calendar => {
            let moved = at_midnight(raw.right, right);
            return ControlFlow::Break(PlannerResult::Planned(binary_expr(raw.left, operator, moved)));
        }
        BinaryOperator::Minus if is_date(left) && is_date(right) && (is_timestamp(left) || is_timestamp(right)) => {
            return ControlFlow::Break(PlannerResult::Planned(
                intervals::timestamp_minus().call(vec![raw.left, raw.right]),
            ));
        }
        _ => {}
    }
    ControlFlow::Continue(raw)
}

/// An interval multiplied or divided by a number; what is refused: an interval plus a number, a time plus a time.
fn of_intervals(raw: RawBinaryExpr, left: &DataType, right: &DataType) -> Result<Attempt> {
    let is_interval = |data_type: &DataType| matches!(data_type, DataType::Interval(_));
    let is_factor = |data_type: &DataType| data_type.is_numeric() || data_type.is_null();
    let is_time = |data_type: &DataType| matches!(data_type, DataType::Time32(_) | DataType::Time64(_));
    match raw.op {
        BinaryOperator::Plus | BinaryOperator::Minus
            if is_interval(left) && right.is_numeric() || left.is_numeric() && is_interval(right) =>
        {
            let (left, right) = (to_postgres(left), to_postgres(right));
            return Err(Error::invalid(format!("operator does not exist: {left} {} {right}", raw.op))
                .code(SqlState::UndefinedFunction)
                .hint("Write INTERVAL '1' DAY for a day.")
                .into());
        }
        BinaryOperator::Plus if is_time(left) && is_time(right) => {
            let (left, right) = (to_postgres(left), to_postgres(right));
            return Err(Error::invalid(format!("operator is not unique: {left} + {right}"))
                .code(SqlState::AmbiguousFunction)
                .into());
        }
        BinaryOperator::Multiply if is_interval(left) && is_factor(right) => {
            return Ok(ControlFlow::Break(PlannerResult::Planned(interval_math::call(
                interval_math::MULTIPLY,
                vec![raw.left, raw.right],
            )?)));
        }
        BinaryOperator::Multiply if is_factor(left) && is_interval(right) => {
            return Ok(ControlFlow::Break(PlannerResult::Planned(interval_math::call(
                interval_math::MULTIPLY,
                vec![raw.right, raw.left],
            )?)));
        }
        BinaryOperator::Divide if is_interval(left) && is_factor(right) => {
            return Ok(ControlFlow::Break(PlannerResult::Planned(interval_math::call(
                interval_math::DIVIDE,
                vec![raw.left, raw.right],
            )?)));
        }
        _ => {}
    }
    Ok(ControlFlow::Continue(raw))
}

/// Numbers, and texts that are numbers: doubles beside floats, else exact.
fn of_numbers(
    raw: RawBinaryExpr,
    operator: Operator,
    left: &DataType,
    right: &DataType,
) -> PlannerResult<RawBinaryExpr> {
    // A float beside a decimal is a double, as in both dialects.
    if left.is_floating() && is_decimal(right) || is_decimal(left) && right.is_floating() {
        let (left, right) = (as_double(raw.left, left), as_double(raw.right, right));
        return PlannerResult::Planned(binary_expr(left, operator, right));
    }
    if decimals::are_decimals(left, right) {
        return match of_decimals(&raw.left, left, operator, &raw.right, right) {
            Some(planned) => PlannerResult::Planned(planned),
            None => PlannerResult::Original(raw),
        };
    }
    let takes_part = |data_type: &DataType| data_type.is_string() || data_type.is_numeric();
    let wanted = |data_type: &DataType| data_type.is_string() || is_unconstrained_numeric(data_type);
    if !(takes_part(left) && takes_part(right) && (wanted(left) || wanted(right))) {
        return PlannerResult::Original(raw);
    }
    let left = to_numeric(raw.left, left);
    let right = to_numeric(raw.right, right);
    PlannerResult::Planned(match raw.op {
        BinaryOperator::Plus => binary_expr(left, Operator::Plus, right),
        BinaryOperator::Minus => binary_expr(left, Operator::Minus, right),
        BinaryOperator::Multiply => numeric::multiply().call(vec![left, right]),
        BinaryOperator::Divide => numeric::divide().call(vec![left, right]),
        _ => numeric::modulo().call(vec![left, right]),
    })
}

fn arithmetic(op: &BinaryOperator) -> Option<Operator> {
    Some(match op {
        BinaryOperator::Plus => Operator::Plus,
        BinaryOperator::Minus => Operator::Minus,
        BinaryOperator::Multiply => Operator::Multiply,
        BinaryOperator::Divide => Operator::Divide,
        BinaryOperator::Modulo => Operator::Modulo,
        _ => return None,
    })
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
    let is_text = |expr: &Expr| matches!(expr, Expr::Literal(value, _) if value.data_type().is_string());
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

/// A number as a double.
fn as_double(expr: Expr, data_type: &DataType) -> Expr {
    if *data_type == DataType::Float64 { expr } else { cast(expr, DataType::Float64) }
}

fn to_numeric(expr: Expr, data_type: &DataType) -> Expr {
    if is_unconstrained_numeric(data_type) {
        expr
    } else if data_type.is_string() || data_type.is_floating() {
        numeric::to_numeric().call(vec![expr])
    } else {
        cast(expr, unconstrained_numeric())
    }
}
