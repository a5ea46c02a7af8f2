//! Pieces of a tree that are written in place of others.

use datafusion::sql::sqlparser::ast::{
    CastKind, DataType as SqlType, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList,
    FunctionArguments, Ident, ObjectName, Value, ValueWithSpan,
};
use datafusion::sql::sqlparser::tokenizer::Span;

/// A parameter's expression, cast to its type where that is known.
pub fn placeholder(index: usize, cast: Option<SqlType>) -> Expr {
    let value = Value::Placeholder(format!("${}", index + 1));
    let expr = Expr::Value(ValueWithSpan { value, span: Span::empty() });
    match cast {
        Some(data_type) => {
            Expr::Cast { kind: CastKind::Cast, expr: Box::new(expr), data_type, array: false, format: None }
        }
        None => expr,
    }
}

/// A call of a function.
pub(super) fn call(name: &str, arguments: Vec<Expr>) -> Expr {
    let args = arguments.into_iter().map(|argument| FunctionArg::Unnamed(FunctionArgExpr::Expr(argument))).collect();
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new(name)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList { duplicate_treatment: None, args, clauses: Vec::new() }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}
