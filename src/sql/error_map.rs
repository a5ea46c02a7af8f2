//! DataFusion's planning errors as Postgres states them: SQLSTATE, message, place.

use datafusion::common::SchemaError;
use datafusion::error::DataFusionError;

use super::dialect::Places;
use crate::error::Error;

/// Translates a planning error; the place comes from DataFusion's diagnostics.
pub fn refine(error: DataFusionError, places: Option<&Places>) -> Error {
    let span = error.diagnostic().and_then(|diagnostic| diagnostic.span);
    let position = span.and_then(|span| {
        let start = datafusion::sql::sqlparser::tokenizer::Location::new(span.start.line, span.start.column);
        places.map(|places| places.position(start))
    });
    let translated = match error.find_root() {
        DataFusionError::SchemaError(schema, _) => match schema.as_ref() {
            SchemaError::AmbiguousReference { field } => {
                Error::invalid(format!("column reference \"{}\" is ambiguous", field.name)).code("42702")
            }
            SchemaError::FieldNotFound { field, .. } => {
                Error::not_found(format!("column \"{}\" does not exist", field.flat_name())).code("42703")
            }
            SchemaError::DuplicateUnqualifiedField { name } | SchemaError::DuplicateQualifiedField { name, .. } => {
                Error::invalid(format!("column \"{name}\" specified more than once")).code("42701")
            }
        },
        _ => Error::from(error),
    };
    match position {
        Some(position) if translated.position().is_none() => translated.at(position),
        _ => translated,
    }
}
