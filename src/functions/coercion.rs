//! Strings in arithmetic, and exact numerics: rules that DataFusion's own type coercion does not have.
//! A string with a string or a number is an exact decimal; a timestamp with a string stays an interval.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, FieldRef, IntervalUnit, TimeUnit};
use datafusion::common::DFSchema;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result;
use datafusion::logical_expr::expr::{Cast, ScalarFunction, TryCast};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, Operator, binary_expr, cast};
use datafusion::optimizer::AnalyzerRule;
use datafusion::sql::sqlparser::ast::BinaryOperator;

use super::{numeric, text_length, time};
use crate::data_type::{TypeLength, is_unconstrained_numeric, unconstrained_numeric};

/// The planners that come before DataFusion's.
pub fn planners() -> Vec<Arc<dyn ExprPlanner>> {
    vec![Arc::new(Arithmetic), Arc::new(super::aggregates::Delimiters)]
}

/// Plans `+ - * / %` with strings and exact numerics.
#[derive(Debug)]
pub struct Arithmetic;

fn is_string(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

impl ExprPlanner for Arithmetic {
    fn plan_binary_op(&self, raw: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
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
        let (Ok(left), Ok(right)) = (raw.left.get_type(schema), raw.right.get_type(schema)) else {
            return Ok(PlannerResult::Original(raw));
        };
        // A timestamp or date with a string: the string is an interval.
        let is_date = |data_type: &DataType| matches!(data_type, DataType::Timestamp(..) | DataType::Date32);
        let interval = DataType::Interval(IntervalUnit::MonthDayNano);
        match raw.op {
            BinaryOperator::Plus | BinaryOperator::Minus if is_date(&left) && is_string(&right) => {
                let operator = if raw.op == BinaryOperator::Plus { Operator::Plus } else { Operator::Minus };
                return Ok(PlannerResult::Planned(binary_expr(raw.left, operator, cast(raw.right, interval))));
            }
            BinaryOperator::Plus if is_string(&left) && is_date(&right) => {
                return Ok(PlannerResult::Planned(binary_expr(raw.right, Operator::Plus, cast(raw.left, interval))));
            }
            _ => {}
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
    if let Expr::ScalarFunction(call) = &expr {
        return in_zone(call, schema, zone).map(|call| call.map_or_else(|| Transformed::no(expr), Transformed::yes));
    }
    let Expr::Cast(Cast { expr: inner, field }) = &expr else { return Ok(Transformed::no(expr)) };
    let Ok(from) = inner.get_type(schema) else { return Ok(Transformed::no(expr)) };
    let to = field.data_type();
    let call = |function: Arc<datafusion::logical_expr::ScalarUDF>, argument: &Expr| {
        Expr::ScalarFunction(ScalarFunction::new_udf(function, vec![argument.clone()]))
    };
    let replacement = if is_unconstrained_numeric(&from) && is_string(to) {
        let text = call(numeric::numeric_text(), inner);
        if *to == DataType::Utf8 { text } else { cast(text, to.clone()) }
    } else if is_unconstrained_numeric(to) && (is_string(&from) || from.is_floating()) {
        call(numeric::to_numeric(), inner)
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
    } else if is_instant(&from) && matches!(to, DataType::Timestamp(_, None) | DataType::Date32 | DataType::Time64(_)) {
        let local =
            call(datafusion::functions::datetime::to_local_time(), &at_zone(inner.as_ref().clone(), &from, zone));
        cast(local, to.clone())
    } else if is_instant(to) && (is_string(&from) || matches!(from, DataType::Timestamp(_, None) | DataType::Date32)) {
        let DataType::Timestamp(unit, _) = to else { return Ok(Transformed::no(expr)) };
        let local = if from == DataType::Date32 {
            cast(inner.as_ref().clone(), DataType::Timestamp(*unit, None))
        } else {
            inner.as_ref().clone()
        };
        cast(cast(local, DataType::Timestamp(*unit, Some(zone.clone()))), to.clone())
    } else {
        return Ok(Transformed::no(expr));
    };
    Ok(Transformed::yes(replacement))
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
