//! Comments: what one may be of, and where it is kept, which is with its object. Knows no statement.

use std::fmt;

use super::database::{DatabaseEntry, SchemaEntry};
use super::function::FunctionEntry;
use super::table::ViewEntry;
use crate::error::{Error, Result, SqlState};

/// What a comment is of, in a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Commented {
    /// The database itself.
    Database,
    /// A schema.
    Schema { schema: String },
    /// A table or a view.
    Relation { schema: String, name: String },
    /// A column of a table or a view.
    Column { schema: String, name: String, column: String },
    /// A function.
    Function { schema: String, name: String },
}

impl fmt::Display for Commented {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Commented::Database => write!(f, "DATABASE"),
            Commented::Schema { schema } => write!(f, "SCHEMA {schema}"),
            Commented::Relation { schema, name } => write!(f, "RELATION {schema}.{name}"),
            Commented::Column { schema, name, column } => write!(f, "COLUMN {schema}.{name}.{column}"),
            Commented::Function { schema, name } => write!(f, "FUNCTION {schema}.{name}"),
        }
    }
}

/// Sets a comment; `None` removes it.
///
/// # Errors
/// What it is of is not there.
pub(super) fn set(database: &mut DatabaseEntry, of: &Commented, comment: Option<String>) -> Result<()> {
    *place(database, of)? = comment;
    Ok(())
}

/// Where the comment of an object stands.
fn place<'a>(database: &'a mut DatabaseEntry, of: &Commented) -> Result<&'a mut Option<String>> {
    match of {
        Commented::Database => Ok(&mut database.comment),
        Commented::Schema { schema } => Ok(&mut schema_of(database, schema)?.comment),
        Commented::Relation { schema, name } => {
            let schema = schema_of(database, schema)?;
            match (schema.tables.get_mut(name), schema.views.get_mut(name)) {
                (Some(table), _) => Ok(&mut table.comment),
                (None, Some(view)) => Ok(&mut view.comment),
                (None, None) => Err(missing_relation(name)),
            }
        }
        Commented::Column { schema, name, column } => {
            let schema = schema_of(database, schema)?;
            let missing = || {
                let message = format!("column \"{column}\" of relation \"{name}\" does not exist");
                Error::not_found(message).code(SqlState::UndefinedColumn)
            };
            match (schema.tables.get_mut(name), schema.views.get_mut(name)) {
                (Some(table), _) => {
                    let column = table.columns.iter_mut().find(|known| known.name == *column);
                    Ok(&mut column.ok_or_else(missing)?.comment)
                }
                (None, Some(view)) => {
                    let place = view.columns.iter().position(|(known, _)| known == column).ok_or_else(missing)?;
                    view.column_comments.resize(view.columns.len(), None);
                    Ok(&mut view.column_comments[place])
                }
                (None, None) => Err(missing_relation(name)),
            }
        }
        Commented::Function { schema, name } => {
            let function = schema_of(database, schema)?.functions.get_mut(name);
            let missing =
                || Error::not_found(format!("function {name} does not exist")).code(SqlState::UndefinedFunction);
            Ok(&mut function.ok_or_else(missing)?.comment)
        }
    }
}

fn schema_of<'a>(database: &'a mut DatabaseEntry, schema: &str) -> Result<&'a mut SchemaEntry> {
    database.schemas.get_mut(schema).ok_or_else(|| {
        Error::not_found(format!("schema \"{schema}\" does not exist")).code(SqlState::InvalidSchemaName)
    })
}

fn missing_relation(name: &str) -> Error {
    Error::not_found(format!("relation \"{name}\" does not exist")).code(SqlState::UndefinedTable)
}

/// A view that takes the place of another has its comments, unless it brings one: as in Postgres, they are of the name. Columns are the
/// same by their names.
pub(super) fn keep_of_view(view: &mut ViewEntry, old: &ViewEntry) {
    view.comment = view.comment.take().or_else(|| old.comment.clone());
    let of_column = |(name, _): &(String, String)| {
        let place = old.columns.iter().position(|(known, _)| known == name)?;
        old.column_comments.get(place).cloned().flatten()
    };
    let kept: Vec<Option<String>> = view.columns.iter().map(of_column).collect();
    view.column_comments = if kept.iter().any(Option::is_some) { kept } else { Vec::new() };
}

/// The same of a function.
pub(super) fn keep_of_function(function: &mut FunctionEntry, old: &FunctionEntry) {
    function.comment = function.comment.take().or_else(|| old.comment.clone());
}

#[cfg(test)]
mod tests;
