//! pg_description and pg_shdescription: COMMENTs of schemas, tables, views, columns, functions and databases, and what the functions of
//! the server do.

use super::built_in;
use super::model::{Database, Model};
use super::relation::Row;
use crate::sql::SessionView;

/// Oid of pg_class.
pub const PG_CLASS: u32 = 1259;
/// Oid of pg_database.
pub const PG_DATABASE: u32 = 1262;
/// Oid of pg_proc.
pub const PG_PROC: u32 = 1255;
/// Oid of pg_namespace.
pub const PG_NAMESPACE: u32 = 2615;

/// All comments.
pub fn pg_description(model: &Model, _view: &SessionView) -> Vec<Row> {
    let row = |object: u32, class: u32, number: i32, text: &str| {
        Row::new().set("objoid", object).set("classoid", class).set("objsubid", number).set("description", text)
    };
    let mut rows = Vec::new();
    for namespace in &model.namespaces {
        rows.extend(namespace.comment.as_deref().map(|text| row(namespace.oid, PG_NAMESPACE, 0, text)));
    }
    for relation in &model.relations {
        rows.extend(relation.comment.as_deref().map(|text| row(relation.oid, PG_CLASS, 0, text)));
        for (number, column) in (1..).zip(&relation.columns) {
            rows.extend(column.comment.as_deref().map(|text| row(relation.oid, PG_CLASS, number, text)));
        }
    }
    for function in &model.functions {
        rows.extend(function.comment.as_deref().map(|text| row(function.oid, PG_PROC, 0, text)));
    }
    rows.extend(built_in::all().iter().map(|function| row(function.oid, PG_PROC, 0, function.documentation)));
    rows
}

/// Comments of databases, which all of these share.
pub fn pg_shdescription(model: &Model, _view: &SessionView) -> Vec<Row> {
    let row = |database: &Database| {
        let text = database.comment.as_deref()?;
        Some(Row::new().set("objoid", database.oid).set("classoid", PG_DATABASE).set("description", text))
    };
    model.databases.iter().filter_map(row).collect()
}
