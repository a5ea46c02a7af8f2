//! DataFusion's planning errors as Postgres states them: SQLSTATE, message, place.

use datafusion::common::SchemaError;
use datafusion::error::DataFusionError;

use crate::error::{Error, SqlState};
use crate::sql::parser::Places;

/// Translates a planning error; the place comes from DataFusion's diagnostics.
pub fn refine(error: DataFusionError, places: Option<&Places>) -> Error {
    let span = error.diagnostic().and_then(|diagnostic| diagnostic.span);
    let position = span.and_then(|span| {
        let start = datafusion::sql::sqlparser::tokenizer::Location::new(span.start.line, span.start.column);
        places.map(|places| places.position(start))
    });
    let translated = match error.find_root() {
        // It says more than what caused it.
        _ if Error::is_within(&error) => Error::from(error),
        DataFusionError::SchemaError(schema, _) => match schema.as_ref() {
            SchemaError::AmbiguousReference { field } => {
                Error::invalid(format!("column reference \"{}\" is ambiguous", field.name))
                    .code(SqlState::AmbiguousColumn)
            }
            SchemaError::FieldNotFound { field, .. } => {
                Error::not_found(format!("column \"{}\" does not exist", field.flat_name()))
                    .code(SqlState::UndefinedColumn)
            }
            SchemaError::DuplicateUnqualifiedField { name } | SchemaError::DuplicateQualifiedField { name, .. } => {
                Error::invalid(format!("column \"{name}\" specified more than once")).code(SqlState::DuplicateColumn)
            }
        },
        DataFusionError::NotImplemented(text) if is_left_sub_query(text) => {
            Error::unsupported("a correlated sub-query of this form is not supported yet").hint("Write it as a join.")
        }
        _ => Error::from(error),
    };
    match position {
        Some(position) if translated.position().is_none() => translated.at(position),
        _ => translated,
    }
}

/// Whether a sub-query was left when a plan was to run: nobody could make a join of it.
fn is_left_sub_query(text: &str) -> bool {
    let form = text.to_ascii_lowercase();
    form.contains("does not support logical expression")
        && ["insubquery", "exists", "scalarsubquery", "outerreferencecolumn"].iter().any(|kind| form.contains(kind))
}
