//! Functions that give rows, in FROM and in a list of SELECT. Each is a function that gives an array here, of which UNNEST makes rows.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, Ident, ObjectName, ObjectNamePart, TableAlias, TableAliasColumnDef,
    TableFactor, Value, ValueWithSpan, visit_expressions,
};

use super::literals::call;
use crate::functions::expand_array::EXPAND_ARRAY;
use crate::functions::json::{AS_JSON, AS_JSONB};
use crate::functions::registry::in_tree;
use crate::sql::parser::fold;

/// What makes rows of an array.
const ROWS: &str = "unnest";

/// The one that FROM reads row by row, without an array.
const SERIES: &str = "generate_series";
/// The column of WITH ORDINALITY.
pub const ORDINALITY: &str = "ordinality";

/// A function whose rows are the items of an array.
pub struct RowFunction {
    /// As statements call it.
    name: &'static str,
    /// The function that gives the array.
    pub array: &'static str,
    /// The name of its column, where that is not the relation's.
    pub column: Option<&'static str>,
    /// The internal function that says what a row is, where that is more than a text.
    says: Option<&'static str>,
}

const fn rows(name: &'static str, array: &'static str, column: Option<&'static str>) -> RowFunction {
    RowFunction { name, array, column, says: None }
}

const fn documents(name: &'static str, says: &'static str) -> RowFunction {
    RowFunction { name, array: name, column: Some("value"), says: Some(says) }
}

const ROW_FUNCTIONS: &[RowFunction] = &[
    rows("generate_series", "generate_series", None),
    documents("json_array_elements", AS_JSON),
    documents("jsonb_array_elements", AS_JSONB),
    rows("json_array_elements_text", "json_array_elements_text", Some("value")),
    rows("jsonb_array_elements_text", "jsonb_array_elements_text", Some("value")),
    rows("json_object_keys", "json_object_keys", None),
    rows("jsonb_object_keys", "jsonb_object_keys", None),
    rows("json_each", "json_each", None),
    rows("jsonb_each", "jsonb_each", None),
    rows("json_each_text", "json_each_text", None),
    rows("jsonb_each_text", "jsonb_each_text", None),
    rows("regexp_matches", "regexp_matches", None),
    rows("regexp_split_to_table", "regexp_split_to_array", None),
    rows("string_to_table", "string_to_array", None),
    rows(EXPAND_ARRAY, EXPAND_ARRAY, None),
];

/// The function of that name, if it gives rows.
pub fn by_name(name: &ObjectName) -> Option<&'static RowFunction> {
    let name = name.0.last().and_then(ObjectNamePart::as_ident).map(fold)?;
    ROW_FUNCTIONS.iter().find(|known| known.name == name)
}

/// Rows of a call in a list of SELECT.
pub fn rows_of(function: &Function, of: &RowFunction) -> Expr {
    let mut array = function.clone();
    array.name = ObjectName::from(vec![Ident::new(of.array)]);
    let rows = call(ROWS, vec![Expr::Function(array)]);
    match of.says {
        Some(says) => call(&in_tree(says), vec![rows]),
        None => rows,
    }
}

/// Writes a function in FROM that gives rows as UNNEST of its array. `LATERAL unnest(…)` is read as a call of a function like any other; it is
/// what UNNEST is without LATERAL.
pub fn write_as_unnest(factor: &mut TableFactor) {
    let (name, args, ordinality, alias) = match factor {
        TableFactor::Function { name, args, with_ordinality, alias, .. } => (name, &*args, *with_ordinality, alias),
        TableFactor::Table { name, args: Some(args), with_ordinality, alias, .. } => {
            (name, &args.args, *with_ordinality, alias)
        }
        _ => return,
    };
    let arguments = args.iter().map(|arg| match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(array)) => Some(array.clone()),
        _ => None,
    });
    let Some(arguments) = arguments.collect::<Option<Vec<Expr>>>() else { return };
    let array_exprs = if matches!(&name.0[..], [part] if part.as_ident().is_some_and(|name| fold(name) == "unnest")) {
        arguments
    } else if let Some(of) =
        by_name(name).filter(|of| of.name != SERIES || ordinality || arguments.iter().any(has_parameter))
    {
        name_after(alias, of, ordinality);
        vec![call(of.array, arguments)]
    } else {
        return;
    };
    *factor = TableFactor::UNNEST {
        alias: alias.take(),
        array_exprs,
        with_offset: false,
        with_offset_alias: None,
        with_ordinality: ordinality,
    };
}

/// What FROM reads row by row knows its arguments when it is planned; a parameter is given later.
fn has_parameter(argument: &Expr) -> bool {
    visit_expressions(argument, |expr| match expr {
        Expr::Value(ValueWithSpan { value: Value::Placeholder(_), .. }) => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    })
    .is_break()
}

/// The relation is called like the function, its column as the function says.
fn name_after(alias: &mut Option<TableAlias>, of: &RowFunction, ordinality: bool) {
    let alias = alias.get_or_insert_with(|| TableAlias {
        explicit: true,
        name: Ident::with_quote('"', of.name),
        columns: Vec::new(),
        at: None,
    });
    if let Some(column) = of.column.filter(|_| alias.columns.is_empty()) {
        let columns = if ordinality { vec![column, ORDINALITY] } else { vec![column] };
        let named = |column| TableAliasColumnDef { name: Ident::with_quote('"', column), data_type: None };
        alias.columns = columns.into_iter().map(named).collect();
    }
}
