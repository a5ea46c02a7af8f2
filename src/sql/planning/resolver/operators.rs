//! Operators that are written out with others before planning: `= ANY (array)` and its like with NULLs as SQL has them, LIKE ANY and
//! LIKE ALL, `~x`. Functions of functions (`x -> x + 1`) are refused here, where they are still seen as such.

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, UnaryOperator, Value,
    ValueWithSpan,
};

use super::written::call;
use crate::error::{Error, Result};
use crate::functions::nulls::ANY_EQUAL;
use crate::functions::registry::in_tree;

/// Rewrites an operator before its operands are resolved.
///
/// # Errors
/// A form that is not there (0A000).
pub(super) fn before(expr: &mut Expr, is_column: impl Fn(&str) -> bool) -> Result<()> {
    match expr {
        Expr::Lambda(_) => Err(of_functions()),
        Expr::BinaryOp { left, op: BinaryOperator::Arrow, .. } if is_parameter(left, &is_column) => Err(of_functions()),
        Expr::Function(function) if takes_function(function, &is_column) => Err(of_functions()),
        Expr::Value(ValueWithSpan { value: Value::SingleQuotedByteStringLiteral(_), .. }) => {
            Err(Error::unsupported("bit strings (b'101') are not supported yet").hint("0b101 is a number."))
        }
        Expr::Like { .. } | Expr::ILike { .. } => of_like(expr),
        _ => Ok(()),
    }
}

fn of_functions() -> Error {
    Error::unsupported("functions of functions (x -> …) are not supported yet").hint("Use UNNEST and WHERE.")
}

/// Whether a function of functions is called, whether it is there or not.
fn takes_function(function: &Function, is_column: &impl Fn(&str) -> bool) -> bool {
    let FunctionArguments::List(list) = &function.args else { return false };
    list.args.iter().any(|argument| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => begins_function(expr, is_column),
        _ => false,
    })
}

/// The arrow binds closer than most operators behind it.
fn begins_function(expr: &Expr, is_column: &impl Fn(&str) -> bool) -> bool {
    match expr {
        Expr::Lambda(_) => true,
        Expr::BinaryOp { left, op: BinaryOperator::Arrow, .. } => is_parameter(left, is_column),
        Expr::BinaryOp { left, .. } => begins_function(left, is_column),
        _ => false,
    }
}

fn is_parameter(expr: &Expr, is_column: &impl Fn(&str) -> bool) -> bool {
    match expr {
        Expr::Identifier(ident) => !is_column(&ident.value),
        Expr::Nested(inner) => is_parameter(inner, is_column),
        Expr::Tuple(items) => items.iter().all(|item| is_parameter(item, is_column)),
        _ => false,
    }
}

/// LIKE ANY and LIKE ALL over a list or an array that is written out.
fn of_like(expr: &mut Expr) -> Result<()> {
    let (Expr::Like { any, pattern, .. } | Expr::ILike { any, pattern, .. }) = expr else { return Ok(()) };
    let of_all = match pattern.as_mut() {
        Expr::Function(function) if !*any && is_all(function) => Some(arguments(function)),
        _ => None,
    };
    let is_any = *any;
    let patterns = match of_all {
        Some(patterns) => patterns,
        None if is_any => vec![std::mem::replace(pattern.as_mut(), Expr::value(Value::Null))],
        None => return Ok(()),
    };
    let patterns = listed(patterns).ok_or_else(|| {
        let word = if is_any { "ANY" } else { "ALL" };
        Error::unsupported(format!("LIKE {word} of an array that is not written out is not supported yet"))
            .hint("Write LIKE ANY (ARRAY['a%', 'b%']), or a regular expression.")
    })?;
    let one = |pattern: Expr| {
        let mut one = expr.clone();
        if let Expr::Like { any, pattern: place, .. } | Expr::ILike { any, pattern: place, .. } = &mut one {
            *any = false;
            **place = pattern;
        }
        one
    };
    let op = if is_any { BinaryOperator::Or } else { BinaryOperator::And };
    let joined = patterns.into_iter().map(one).reduce(|left, right| Expr::BinaryOp {
        left: Box::new(left),
        op: op.clone(),
        right: Box::new(right),
    });
    // Of no pattern none fits, and all do.
    *expr = Expr::Nested(Box::new(joined.unwrap_or_else(|| Expr::value(Value::Boolean(!is_any)))));
    Ok(())
}

fn is_all(function: &Function) -> bool {
    matches!(&function.name.0[..], [part] if part.as_ident().is_some_and(|ident| ident.value.eq_ignore_ascii_case("all")))
}

fn arguments(function: &mut Function) -> Vec<Expr> {
    let FunctionArguments::List(list) = &mut function.args else { return Vec::new() };
    let args = std::mem::take(&mut list.args).into_iter().filter_map(|argument| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
        _ => None,
    });
    args.collect()
}

/// The items of a list, or of one array that is written out.
fn listed(mut exprs: Vec<Expr>) -> Option<Vec<Expr>> {
    if exprs.len() != 1 {
        return Some(exprs);
    }
    match exprs.pop()? {
        Expr::Array(array) => Some(array.elem),
        Expr::Tuple(items) => Some(items),
        Expr::Nested(inner) => listed(vec![*inner]),
        Expr::Value(value) => Some(vec![Expr::Value(value)]),
        _ => None,
    }
}

/// Rewrites an operator whose operands are resolved.
pub(super) fn after(expr: &mut Expr) {
    match expr {
        Expr::UnaryOp { op: op @ (UnaryOperator::PGSquareRoot | UnaryOperator::PGCubeRoot), expr: of } => {
            let name = if *op == UnaryOperator::PGSquareRoot { "sqrt" } else { "cbrt" };
            let of = take(of);
            *expr = call(name, vec![of]);
        }
        Expr::AnyOp { left, compare_op, right, .. } if !is_query(right) => {
            let (left, right) = (take(left), take(right));
            *expr = match opposite(compare_op) {
                None if *compare_op == BinaryOperator::Eq => call(&in_tree(ANY_EQUAL), vec![right, left]),
                None => return,
                // Not the opposite of all, whose NULLs are those of SQL.
                Some(compare_op) => {
                    let all = Expr::AllOp { left: Box::new(left), compare_op, right: Box::new(right) };
                    Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(Expr::Nested(Box::new(all))) }
                }
            };
        }
        Expr::UnaryOp { op: UnaryOperator::BitwiseNot, expr: operand } => {
            let (left, ones) = (take(operand), Expr::value(Value::Number("-1".to_owned(), false)));
            let (left, right) = (Box::new(left), Box::new(ones));
            let flipped = Expr::BinaryOp { left, op: BinaryOperator::PGBitwiseXor, right };
            *expr = Expr::Nested(Box::new(flipped));
        }
        Expr::Function(function) => of_function(function),
        _ => {}
    }
}

fn is_query(expr: &Expr) -> bool {
    match expr {
        Expr::Nested(inner) => is_query(inner),
        other => matches!(other, Expr::Subquery(_)),
    }
}

fn opposite(op: &BinaryOperator) -> Option<BinaryOperator> {
    Some(match op {
        BinaryOperator::NotEq => BinaryOperator::Eq,
        BinaryOperator::Lt => BinaryOperator::GtEq,
        BinaryOperator::LtEq => BinaryOperator::Gt,
        BinaryOperator::Gt => BinaryOperator::LtEq,
        BinaryOperator::GtEq => BinaryOperator::Lt,
        _ => return None,
    })
}

/// Arguments that other dialects write in another way.
fn of_function(function: &mut Function) {
    let [part] = &function.name.0[..] else { return };
    let Some(name) = part.as_ident().map(|ident| ident.value.to_ascii_lowercase()) else { return };
    let FunctionArguments::List(list) = &mut function.args else { return };
    let mut values = list.args.iter_mut().filter_map(|argument| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(ValueWithSpan { value, .. }))) => Some(value),
        _ => None,
    });
    match name.as_str() {
        // Base 64 has its padding, as in Postgres.
        "encode" => {
            if let Some(Value::SingleQuotedString(format)) = values.next_back()
                && format.eq_ignore_ascii_case("base64")
            {
                "base64pad".clone_into(format);
            }
        }
        // Flink's array_sort(array, ascending, nulls first): NULLs come first if it ascends, unless it says otherwise.
        "array_sort" | "list_sort" => {
            let flags: Vec<&mut Value> = values.filter(|value| matches!(value, Value::Boolean(_))).collect();
            let mut ascends = true;
            for (place, flag) in flags.into_iter().enumerate() {
                let Value::Boolean(set) = *flag else { continue };
                if place == 0 {
                    ascends = set;
                }
                *flag = Value::SingleQuotedString(
                    match (place, set) {
                        (0, true) => "ASC",
                        (0, false) => "DESC",
                        (_, true) => "NULLS FIRST",
                        (_, false) => "NULLS LAST",
                    }
                    .to_owned(),
                );
            }
            if list.args.len() == 2 && !ascends {
                let last = Value::SingleQuotedString("NULLS LAST".to_owned());
                list.args.push(FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::value(last))));
            }
        }
        _ => {}
    }
}

fn take(expr: &mut Expr) -> Expr {
    std::mem::replace(expr, Expr::value(Value::Null))
}
