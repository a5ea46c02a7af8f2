//! Names of result columns as Postgres gives them. DataFusion wants expressions of a SELECT to be unique by name and calls them by
//! their text, so each gets a name of its own for planning, and the client sees Postgres' names.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::sql::sqlparser::ast::{
    DataType as SqlType, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, Query, SelectItem,
    SetExpr, TrimWhereField, Value, ValueWithSpan, VisitMut, VisitorMut,
};

use super::{cast_names, field_access};
use crate::data_type::NamedText;
use crate::functions::json::collected_as;
use crate::functions::registry::of_tree;
use crate::sql::parser::fold;

/// Begins what makes a planned name unique; cut off before the client sees it.
pub const MARK: char = '\u{1}';

/// What Postgres calls a column without a name. DataFusion wants names to differ, so they carry a number behind it inside.
pub const UNNAMED_COLUMN: &str = "?column?";

/// The name of a result's column as the client sees it.
pub fn shown_name(name: &str) -> &str {
    if name.starts_with(UNNAMED_COLUMN) { UNNAMED_COLUMN } else { name }
}

/// A planned name as the client sees it.
pub fn without_mark(name: &str) -> &str {
    name.split(MARK).next().unwrap_or(name)
}

/// Names the items of the queries inside a query: what stands outside sees Postgres' names.
pub fn name_nested(query: &mut Query) {
    struct Nested;
    impl VisitorMut for Nested {
        type Break = ();

        fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
            name_results(&mut query.body);
            cast_names::keep_apart(query);
            ControlFlow::Continue(())
        }
    }
    let _ = VisitMut::visit(query, &mut Nested);
}

/// Names the items of a query's SELECTs; gives the names of the result, unless a wildcard hides them.
pub fn name_results(body: &mut SetExpr) -> Option<Vec<String>> {
    match body {
        SetExpr::Select(select) => {
            let mut used = BTreeSet::new();
            let mut names = Some(Vec::new());
            let has_wildcard = select
                .projection
                .iter()
                .any(|item| matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..)));
            for item in &mut select.projection {
                let (name, expr) = match item {
                    SelectItem::UnnamedExpr(expr) => (column_name(expr), Some(expr.clone())),
                    SelectItem::ExprWithAlias { alias, .. } => (alias.value.clone(), None),
                    _ => {
                        names = None;
                        continue;
                    }
                };
                let is_column = matches!(expr, Some(Expr::Identifier(_) | Expr::CompoundIdentifier(_)));
                // The wildcard gives the column itself, so that the one beside it needs another name.
                let mut unique = if has_wildcard && is_column { format!("{name}{MARK}") } else { name.clone() };
                let mut count = 1;
                while !used.insert(unique.clone()) {
                    unique = format!("{name}{MARK}{count}");
                    count += 1;
                }
                match (item, expr) {
                    (item, Some(expr)) if !is_column || unique != name => {
                        *item = SelectItem::ExprWithAlias { expr, alias: Ident::with_quote('"', unique) };
                    }
                    (SelectItem::ExprWithAlias { alias, .. }, None) if unique != name => alias.value = unique,
                    _ => {}
                }
                if let Some(names) = &mut names {
                    names.push(without_mark(&name).to_owned());
                }
            }
            names
        }
        SetExpr::Query(query) => name_results(&mut query.body),
        SetExpr::SetOperation { left, right, .. } => {
            name_results(right);
            name_results(left)
        }
        _ => None,
    }
}

/// The columns of a result as the client sees them.
pub fn rename(schema: &SchemaRef, names: Option<&[String]>) -> SchemaRef {
    match names {
        Some(names) if names.len() == schema.fields().len() => {
            let fields: Vec<Field> =
                schema.fields().iter().zip(names).map(|(field, name)| field.as_ref().clone().with_name(name)).collect();
            Arc::new(Schema::new(fields))
        }
        _ if schema.fields().iter().any(|field| field.name().contains(MARK)) => {
            let fields: Vec<Field> = schema
                .fields()
                .iter()
                .map(|field| field.as_ref().clone().with_name(without_mark(field.name())))
                .collect();
            Arc::new(Schema::new(fields))
        }
        _ => schema.clone(),
    }
}

/// The name that Postgres gives a result column without alias.
pub fn column_name(expr: &Expr) -> String {
    match expr {
        Expr::Identifier(ident) => ident.value.clone(),
        Expr::CompoundIdentifier(idents) => idents.last().map_or_else(String::new, |ident| ident.value.clone()),
        Expr::Function(function) if is_array_of_query(function) => "array".to_owned(),
        Expr::Function(function) => {
            let name = function.name.0.last().and_then(|part| part.as_ident()).map_or_else(String::new, fold);
            match of_tree(&name) {
                // What the server wrote in place of an operator has no name.
                Some(internal) => collected_as(internal).unwrap_or(UNNAMED_COLUMN).to_owned(),
                None => name,
            }
        }
        Expr::Nested(expr) | Expr::Collate { expr, .. } => column_name(expr),
        Expr::Cast { expr, data_type, .. } if has_weak_name(expr) => type_name(data_type),
        Expr::Cast { expr, .. } => column_name(expr),
        Expr::Case { else_result, .. } => match else_result.as_deref().map(column_name) {
            Some(name) if name != UNNAMED_COLUMN => name,
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
            field_access::name(access_chain).unwrap_or_else(|| column_name(root))
        }
        Expr::TypedString(typed) => type_name(&typed.data_type),
        Expr::Subquery(query) => match query.body.as_ref() {
            SetExpr::Select(select) => match select.projection.first() {
                Some(SelectItem::ExprWithAlias { alias, .. }) => alias.value.clone(),
                Some(SelectItem::UnnamedExpr(expr)) => column_name(expr),
                _ => UNNAMED_COLUMN.to_owned(),
            },
            _ => UNNAMED_COLUMN.to_owned(),
        },
        _ => UNNAMED_COLUMN.to_owned(),
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
        other => column_name(other) == UNNAMED_COLUMN,
    }
}

fn type_name(data_type: &SqlType) -> String {
    let text = data_type.to_string();
    if let Some(named) = NamedText::of_words(&text) {
        return named.name().to_owned();
    }
    crate::data_type::parse_in_query(&text)
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
