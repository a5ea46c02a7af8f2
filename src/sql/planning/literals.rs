//! Literals and patterns that are written into another form before planning: numbers that only a DOUBLE holds, SIMILAR TO, and LIKE
//! with an escape character of its own.

use datafusion::sql::sqlparser::ast::{
    CastKind, DataType, ExactNumberInfo, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList,
    FunctionArguments, Ident, ObjectName, UnaryOperator, Value, ValueWithSpan,
};
use datafusion::sql::sqlparser::tokenizer::Span;

use crate::error::{Error, Result, SqlState};
use crate::functions::patterns::{self, LIKE_ESCAPE, SIMILAR_TO};
use crate::functions::registry::in_tree;

/// Digits of the longest exact number.
const EXACT_DIGITS_MAX: i64 = 76;

/// Writes an expression that is such a literal or such a pattern.
///
/// # Errors
/// A number that no type holds (22003), or an escape that is none (22025).
pub fn write_out(expr: &mut Expr) -> Result<()> {
    of_wide_number(expr);
    of_double(expr)?;
    of_pattern(expr)
}

/// A whole number that no BIGINT holds is a decimal, as in Postgres; `-9223372036854775808` is one of the smallest BIGINTs.
fn of_wide_number(expr: &mut Expr) {
    if let Expr::UnaryOp { op: UnaryOperator::Minus, expr: operand } = expr
        && let Some((_, span)) = wide_digits(operand).filter(|(digits, _)| digits == "9223372036854775808")
    {
        *expr = cast_of("-9223372036854775808".to_owned(), span, DataType::BigInt(None));
        return;
    }
    if let Some((digits, span)) = wide_digits(expr) {
        let length = digits.len() as u64;
        if length <= EXACT_DIGITS_MAX as u64 {
            *expr = cast_of(digits, span, DataType::Decimal(ExactNumberInfo::PrecisionAndScale(length, 0)));
        }
    }
}

fn wide_digits(expr: &Expr) -> Option<(String, Span)> {
    let Expr::Value(ValueWithSpan { value: Value::Number(text, _), span }) = expr else { return None };
    let digits: String = text.chars().filter(|digit| *digit != '_').collect();
    let is_wide = digits.bytes().all(|byte| byte.is_ascii_digit()) && digits.parse::<i64>().is_err();
    is_wide.then(|| (digits.trim_start_matches('0').to_owned(), *span))
}

fn cast_of(text: String, span: Span, data_type: DataType) -> Expr {
    let value = ValueWithSpan { value: Value::SingleQuotedString(text), span };
    Expr::Cast { kind: CastKind::Cast, expr: Box::new(Expr::Value(value)), data_type, array: false, format: None }
}

/// A number with an exponent that no exact number holds is a DOUBLE.
fn of_double(expr: &mut Expr) -> Result<()> {
    let Expr::Value(ValueWithSpan { value: Value::Number(text, _), span }) = expr else { return Ok(()) };
    let Some((mantissa, exponent)) = text.split_once(['e', 'E']) else { return Ok(()) };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let length = |digits: &str| i64::try_from(digits.len()).unwrap_or(i64::MAX);
    // an exponent that is not a number is one that is too long.
    let exponent = exponent.parse::<i64>().unwrap_or(i64::MAX / 2);
    let before = length(whole.trim_start_matches('0')).saturating_add(exponent);
    let behind = length(fraction).saturating_sub(exponent);
    if before.max(0).saturating_add(behind.max(0)) <= EXACT_DIGITS_MAX {
        return Ok(());
    }
    let digits = text.replace('_', "");
    if digits.parse::<f64>().is_ok_and(f64::is_infinite) {
        return Err(Error::invalid(format!("{text} is out of range for type double precision"))
            .code(SqlState::NumericValueOutOfRange));
    }
    let text = Value::SingleQuotedString(digits);
    *expr = Expr::Cast {
        kind: CastKind::Cast,
        expr: Box::new(Expr::Value(ValueWithSpan { value: text, span: *span })),
        data_type: DataType::Double(ExactNumberInfo::None),
        array: false,
        format: None,
    };
    Ok(())
}

/// SIMILAR TO as a call, and LIKE with a backslash as its escape.
fn of_pattern(expr: &mut Expr) -> Result<()> {
    match expr {
        Expr::SimilarTo { negated, expr: text, pattern, escape_char } => {
            let mut arguments = vec![take(text), take(pattern)];
            arguments.extend(escape_char.take().map(Expr::Value));
            let similar = call(&in_tree(SIMILAR_TO), arguments);
            let negated = *negated;
            *expr = if negated {
                let expr = Box::new(Expr::Nested(Box::new(similar)));
                Expr::UnaryOp { op: UnaryOperator::Not, expr }
            } else {
                similar
            };
        }
        Expr::Like { pattern, escape_char, .. } | Expr::ILike { pattern, escape_char, .. } => {
            let Some(escape) = escape_char.take() else { return Ok(()) };
            if let (Some(text), Value::SingleQuotedString(written)) = (literal(pattern), &escape.value) {
                let mut characters = written.chars();
                let (character, None) = (characters.next(), characters.next()) else {
                    return Err(Error::invalid("invalid escape string")
                        .code(SqlState::InvalidEscapeSequence)
                        .hint("An escape string is empty or one character."));
                };
                *text = patterns::with_backslash(text, character)?;
                return Ok(());
            }
            let escaped = call(&in_tree(LIKE_ESCAPE), vec![take(pattern), Expr::Value(escape)]);
            **pattern = escaped;
        }
        _ => {}
    }
    Ok(())
}

fn literal(pattern: &mut Expr) -> Option<&mut String> {
    match pattern {
        Expr::Value(ValueWithSpan { value: Value::SingleQuotedString(text), .. }) => Some(text),
        _ => None,
    }
}

fn take(expr: &mut Expr) -> Expr {
    std::mem::replace(expr, Expr::Value(Value::Null.into()))
}

/// A call of a function.
pub fn call(name: &str, arguments: Vec<Expr>) -> Expr {
    let argument = |argument| FunctionArg::Unnamed(FunctionArgExpr::Expr(argument));
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new(name)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args: arguments.into_iter().map(argument).collect(),
            clauses: Vec::new(),
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}
