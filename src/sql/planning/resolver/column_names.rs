//! The names that Postgres gives to result columns without AS.

use datafusion::sql::sqlparser::ast::{
    DataType as SqlType, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, SelectItem, SetExpr,
    TrimWhereField, Value, ValueWithSpan,
};

use crate::functions::{nulls, operator_chain, patterns};
use crate::sql::parser::dialect::fold;

/// The name that Postgres gives a result column without alias.
pub fn column_name(expr: &Expr) -> String {
    match expr {
        Expr::Identifier(ident) => ident.value.clone(),
        Expr::CompoundIdentifier(idents) => idents.last().map_or_else(String::new, |ident| ident.value.clone()),
        Expr::Function(function) if is_array_of_query(function) => "array".to_owned(),
        Expr::Function(function) => {
            let name = function.name.0.last().and_then(|part| part.as_ident()).map_or_else(String::new, fold);
            let is_operator = [operator_chain::NAME, patterns::SIMILAR_TO, nulls::ANY_EQUAL].contains(&name.as_str());
            if is_operator { "?column?".to_owned() } else { name }
        }
        Expr::Nested(expr) | Expr::Collate { expr, .. } => column_name(expr),
        Expr::Cast { expr, data_type, .. } if has_weak_name(expr) => type_name(data_type),
        Expr::Cast { expr, .. } => column_name(expr),
        Expr::Case { else_result, .. } => match else_result.as_deref().map(column_name) {
            Some(name) if name != "?column?" => name,
            _ => "case".to_owned(),
        },
        Expr::Extract { .. } => "extract".to_owned(),
        Expr::Substring { .. } => "substring".to_owned(),
        Expr::Trim { trim_where, .. } => match trim_where {
            Some(TrimWhereField::Leading) => "ltrim".to_owned(),
            Some(TrimWhereField::Trailing) => "rtrim".to_owned(),
            _ => "btrim".to_owned(),
        },
        Expr::Position { .. } => "position".to_owned(),
        Expr::Ceil { .. } => "ceil".to_owned(),
        Expr::Floor { .. } => "floor".to_owned(),
        Expr::Overlay { .. } => "overlay".to_owned(),
        Expr::Exists { .. } => "exists".to_owned(),
        Expr::Array(_) => "array".to_owned(),
        Expr::Interval(_) => "interval".to_owned(),
        Expr::Value(ValueWithSpan { value: Value::Boolean(_), .. }) => "bool".to_owned(),
        Expr::CompoundFieldAccess { root, access_chain } => {
            crate::sql::planning::field_access::name(access_chain).unwrap_or_else(|| column_name(root))
        }
        Expr::TypedString(typed) => type_name(&typed.data_type),
        Expr::Subquery(query) => match query.body.as_ref() {
            SetExpr::Select(select) => match select.projection.first() {
                Some(SelectItem::ExprWithAlias { alias, .. }) => alias.value.clone(),
                Some(SelectItem::UnnamedExpr(expr)) => column_name(expr),
                _ => "?column?".to_owned(),
            },
            _ => "?column?".to_owned(),
        },
        _ => "?column?".to_owned(),
    }
}

/// What `ARRAY(SELECT …)` has become.
fn is_array_of_query(function: &Function) -> bool {
    let FunctionArguments::List(list) = &function.args else { return false };
    matches!(
        &list.args[..],
        [
            FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Subquery(_))),
            FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Array(_)))
        ]
    )
}

/// Whether a cast around it gives its own name: what is cast has none, or that of another cast or of CASE.
fn has_weak_name(expr: &Expr) -> bool {
    match expr {
        Expr::Cast { expr, .. } => has_weak_name(expr),
        Expr::Nested(expr) | Expr::Collate { expr, .. } => has_weak_name(expr),
        Expr::Case { else_result, .. } => else_result.as_deref().is_none_or(has_weak_name),
        Expr::TypedString(_) | Expr::Interval(_) | Expr::Value(_) => true,
        other => column_name(other) == "?column?",
    }
}

fn type_name(data_type: &SqlType) -> String {
    crate::data_type::parse_in_query(&data_type.to_string())
        .map_or_else(|_| data_type.to_string().to_lowercase(), |known| short_type_name(&known))
}

fn short_type_name(data_type: &datafusion::arrow::datatypes::DataType) -> String {
    let name = crate::data_type::to_postgres(data_type);
    match name.as_str() {
        "integer" => "int4".to_owned(),
        "bigint" => "int8".to_owned(),
        "smallint" => "int2".to_owned(),
        "boolean" => "bool".to_owned(),
        "real" => "float4".to_owned(),
        "double precision" => "float8".to_owned(),
        name if name.starts_with("timestamp") && name.contains("with time") => "timestamptz".to_owned(),
        name if name.starts_with("timestamp") => "timestamp".to_owned(),
        name => name.split('(').next().unwrap_or(name).to_owned(),
    }
}
