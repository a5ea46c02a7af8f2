//! `json_agg` and its like: array_agg of the values as documents, and a function that makes one document of these. So they take ORDER BY,
//! DISTINCT, FILTER and OVER as array_agg does.

use datafusion::sql::sqlparser::ast::{
    CastKind, DataType as SqlType, DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments,
    Ident, ObjectName,
};

use super::written::call;
use crate::error::{Error, Result};
use crate::functions::json::{COLLECTED, Collected, VALUE};
use crate::functions::registry::in_tree;
use crate::sql::parser::fold;

/// What collects values in order.
const ARRAY: &str = "array_agg";

/// Writes such a call out.
///
/// # Errors
/// DISTINCT of keys and values, which would be told apart each for itself (0A000).
pub(super) fn write_out(expr: &mut Expr) -> Result<()> {
    let Expr::Function(function) = expr else { return Ok(()) };
    let name = match &function.name.0[..] {
        [.., part] => part.as_ident().map(fold).unwrap_or_default(),
        [] => return Ok(()),
    };
    let Some(collected) = COLLECTED.iter().find(|collected| collected.name == name) else { return Ok(()) };
    let is_distinct = matches!(
        &function.args,
        FunctionArguments::List(list) if list.duplicate_treatment == Some(DuplicateTreatment::Distinct)
    );
    if is_distinct && collected.arguments > 1 {
        return Err(Error::unsupported(format!("{name}(DISTINCT …) is not supported"))
            .hint("SELECT DISTINCT in a derived table."));
    }
    if let Some(arrays) = arrays(function, collected) {
        *expr = call(&in_tree(collected.maker), arrays);
    }
    Ok(())
}

/// For each argument what collects it; `None` if they are not as many as they should be.
fn arrays(function: &Function, collected: &Collected) -> Option<Vec<Expr>> {
    let FunctionArguments::List(list) = &function.args else { return None };
    if list.args.len() != collected.arguments {
        return None;
    }
    let of_argument = |place: usize| {
        let FunctionArg::Unnamed(FunctionArgExpr::Expr(argument)) = &list.args[place] else { return None };
        // Keys are texts.
        let is_key = place + 1 < collected.arguments;
        let value = match is_key {
            true => Expr::Cast {
                kind: CastKind::Cast,
                expr: Box::new(argument.clone()),
                data_type: SqlType::Text,
                array: false,
                format: None,
            },
            false => call(VALUE, vec![argument.clone()]),
        };
        let mut array = function.clone();
        array.name = ObjectName::from(vec![Ident::new(ARRAY)]);
        if let FunctionArguments::List(list) = &mut array.args {
            list.args = vec![FunctionArg::Unnamed(FunctionArgExpr::Expr(value))];
        }
        Some(Expr::Function(array))
    };
    (0..collected.arguments).map(of_argument).collect()
}
