//! Intervals as they are written, in the forms of both dialects, in the one form that DataFusion's planner reads: `14 months 3 days 5
//! nanoseconds` without units behind it.

use datafusion::sql::sqlparser::ast::{DateTimeField, Expr, Interval, UnaryOperator, Value, ValueWithSpan};

use crate::error::{Error, Result};
use crate::functions::interval_input::{Qualifier, Unit, parse};

/// Writes an interval out.
///
/// # Errors
/// What is no interval (22007, 22015), and units and values that are not there (0A000).
pub(super) fn write_out(interval: &mut Interval) -> Result<()> {
    let Some(text) = text_of(&interval.value) else {
        return Err(Error::unsupported("INTERVAL of anything but a literal is not supported")
            .hint("Write value * INTERVAL '1' DAY."));
    };
    let qualifier = match &interval.leading_field {
        None => None,
        Some(first) => {
            let last = interval.last_field.as_ref().map(unit_of).transpose()?;
            Some(Qualifier { first: unit_of(first)?, last })
        }
    };
    let read = parse(&text, qualifier).map_err(Error::of_every_row)?;
    let text = format!("{} months {} days {} nanoseconds", read.months, read.days, read.nanoseconds);
    *interval = Interval {
        value: Box::new(Expr::value(Value::SingleQuotedString(text))),
        leading_field: None,
        leading_precision: None,
        last_field: None,
        fractional_seconds_precision: None,
    };
    Ok(())
}

fn text_of(value: &Expr) -> Option<String> {
    match value {
        Expr::Value(ValueWithSpan { value, .. }) => match value {
            Value::SingleQuotedString(text)
            | Value::DoubleQuotedString(text)
            | Value::EscapedStringLiteral(text)
            | Value::Number(text, _) => Some(text.clone()),
            Value::DollarQuotedString(text) => Some(text.value.clone()),
            _ => None,
        },
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => text_of(expr).map(|text| format!("-{text}")),
        Expr::UnaryOp { op: UnaryOperator::Plus, expr } | Expr::Nested(expr) => text_of(expr),
        _ => None,
    }
}

fn unit_of(field: &DateTimeField) -> Result<Unit> {
    let name = match field {
        DateTimeField::Week(_) => "week".to_owned(),
        field => field.to_string(),
    };
    Unit::of_name(&name).ok_or_else(|| Error::unsupported(format!("intervals of {name} are not supported")))
}
