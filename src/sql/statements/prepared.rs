//! PREPARE, EXECUTE and DEALLOCATE as SQL statements, as they are read; `runner` runs them, since what they run is any statement. The protocol's prepared statements are the wire layer's own.

use datafusion::sql::sqlparser::tokenizer::Token;

use crate::error::{Error, Result};
use crate::sql::parser::{Cursor, fold};

/// PREPARE | EXECUTE | DEALLOCATE
#[derive(Debug, Clone)]
pub enum PreparedControl {
    /// PREPARE name [(types)] AS statement
    Prepare {
        /// Its name.
        name: String,
        /// Declared types.
        types: Vec<String>,
        /// The statement.
        text: String,
    },
    /// EXECUTE name [(values)]
    Execute {
        /// Its name.
        name: String,
        /// Expressions, as text.
        values: Vec<String>,
    },
    /// DEALLOCATE name | ALL
    Deallocate {
        /// `None` for ALL.
        name: Option<String>,
    },
}

impl PreparedControl {
    /// Reads the statement.
    ///
    /// # Errors
    /// A syntax error.
    pub fn parse(cursor: &mut Cursor) -> Result<Self> {
        if cursor.word("DEALLOCATE") {
            cursor.word("PREPARE");
            let name = if cursor.word("ALL") { None } else { Some(fold(&cursor.ident()?)) };
            return Ok(Self::Deallocate { name });
        }
        if cursor.word("EXECUTE") {
            let name = fold(&cursor.ident()?);
            let mut values = Vec::new();
            if cursor.token(&Token::LParen) {
                while !cursor.token(&Token::RParen) {
                    if !values.is_empty() {
                        cursor.expect(&Token::Comma)?;
                    }
                    values.push(cursor.expression()?);
                }
            }
            return Ok(Self::Execute { name, values });
        }
        cursor.expect_word("PREPARE")?;
        if cursor.peek_words(&["TRANSACTION"]) {
            return Err(Error::unsupported("two-phase commit is not supported").at(cursor.position()));
        }
        let name = fold(&cursor.ident()?);
        let mut types = Vec::new();
        if cursor.token(&Token::LParen) {
            while !cursor.token(&Token::RParen) {
                if !types.is_empty() {
                    cursor.expect(&Token::Comma)?;
                }
                types.push(cursor.data_type()?);
            }
        }
        cursor.expect_word("AS")?;
        Ok(Self::Prepare { name, types, text: cursor.rest() })
    }
}
