//! Types in queries: the names of both dialects in CAST, beside the ones that DataFusion knows.

use std::sync::Arc;

use datafusion::arrow::datatypes::FieldRef;
use datafusion::logical_expr::planner::TypePlanner;
use datafusion::sql::sqlparser::ast::DataType as SqlType;

use crate::data_type;
use crate::functions::coercion::field_of;

/// Plans type names.
#[derive(Debug)]
pub struct Types;

impl TypePlanner for Types {
    fn plan_type_field(&self, sql_type: &SqlType) -> datafusion::error::Result<Option<FieldRef>> {
        if matches!(sql_type, SqlType::Interval { .. }) {
            return Ok(None);
        }
        let text = match sql_type {
            // A type that we wrote into the tree ourselves, as one word.
            SqlType::Custom(name, arguments) if arguments.is_empty() && name.0.len() == 1 => {
                name.0[0].as_ident().map(|ident| ident.value.clone()).unwrap_or_default()
            }
            other => other.to_string(),
        };
        match data_type::parse_in_query(&text) {
            Ok(data_type) => Ok(Some(Arc::new(field_of(data_type, &text)))),
            Err(error) if error.sqlstate() == crate::error::SqlState::UndefinedObject => match sql_type {
                SqlType::Custom(..) | SqlType::Regclass => {
                    let name = text.to_lowercase();
                    Err(crate::error::Error::not_found(format!("type \"{name}\" does not exist"))
                        .code(crate::error::SqlState::UndefinedObject)
                        .into())
                }
                _ => Ok(None),
            },
            Err(error) => Err(error.into()),
        }
    }
}
