//! `age(earlier)` is `age(current_date, earlier)`, as in Postgres: the date of the statement's clock, at midnight.

use datafusion::sql::sqlparser::ast::{
    CastKind, DataType as SqlType, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, TimezoneInfo,
};

use super::written::call;
use crate::sql::parser::fold;

/// Writes the date out.
pub(super) fn write_out(expr: &mut Expr) {
    let Expr::Function(function) = expr else { return };
    if function.name.0.last().and_then(|part| part.as_ident()).is_none_or(|name| fold(name) != "age") {
        return;
    }
    let FunctionArguments::List(list) = &mut function.args else { return };
    if list.args.len() == 1 {
        let midnight = Expr::Cast {
            kind: CastKind::Cast,
            expr: Box::new(call("current_date", Vec::new())),
            data_type: SqlType::Timestamp(None, TimezoneInfo::None),
            array: false,
            format: None,
        };
        list.args.insert(0, FunctionArg::Unnamed(FunctionArgExpr::Expr(midnight)));
    }
}
