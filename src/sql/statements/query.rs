//! SELECT, VALUES, WITH …: a bounded read whose rows are streamed.

use datafusion::sql::sqlparser::ast;

use crate::error::Result;
use crate::sql::parser::dialect::{Cursor, Hints};

/// A query as it was read.
#[derive(Debug, Clone)]
pub struct Query {
    /// sqlparser's tree.
    pub query: Box<ast::Query>,
    /// OPTIONS hints of its tables.
    pub hints: Hints,
}

impl Query {
    /// Reads a query up to the end of the statement.
    ///
    /// # Errors
    /// A syntax error.
    pub fn parse(cursor: &mut Cursor) -> Result<Self> {
        let query = cursor.query()?;
        Ok(Self { query, hints: cursor.hints.clone() })
    }
}
