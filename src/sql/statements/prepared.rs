//! PREPARE, EXECUTE and DEALLOCATE as SQL statements. The protocol's prepared statements are the wire layer's own.

use datafusion::sql::sqlparser::tokenizer::Token;

use super::super::session::{Outcome, Session};
use super::done;
use crate::data_type;
use crate::error::{Error, Result};
use crate::sql::parser::dialect::{Cursor, fold};
use crate::sql::parser::splitter::StatementText;

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

    /// Acts.
    ///
    /// # Errors
    /// The name is taken or unknown, or the statement fails.
    pub async fn execute(&self, session: &mut Session) -> Result<Outcome> {
        match self {
            Self::Prepare { name, types, text } => {
                let types = types
                    .iter()
                    .map(|sql_type| data_type::parse_in_query(sql_type).map(Some))
                    .collect::<Result<Vec<_>>>()?;
                let prepared = session.prepare(&StatementText { text: text.clone(), offset: 0 }, &types).await?;
                session.add_prepared(name.clone(), prepared)?;
                Ok(done("PREPARE"))
            }
            Self::Execute { name, values } => {
                let prepared = session.prepared(name)?;
                if prepared.parameter_types.len() != values.len() {
                    return Err(Error::invalid(format!(
                        "wrong number of parameters for prepared statement \"{name}\""
                    ))
                    .code("42601")
                    .detail(format!(
                        "Expected {} parameters but got {}.",
                        prepared.parameter_types.len(),
                        values.len()
                    )));
                }
                let mut parameters = Vec::new();
                for (value, data_type) in values.iter().zip(&prepared.parameter_types) {
                    let (value, data_type) = (value.clone(), data_type.clone());
                    parameters.push(session.plan(false, move |planner| planner.constant(&value, &data_type)).await?);
                }
                session.execute(&prepared, parameters).await
            }
            Self::Deallocate { name } => {
                match name {
                    Some(name) => session.remove_prepared(name)?,
                    None => session.forget_prepared(),
                }
                Ok(done(if name.is_some() { "DEALLOCATE" } else { "DEALLOCATE ALL" }))
            }
        }
    }
}
