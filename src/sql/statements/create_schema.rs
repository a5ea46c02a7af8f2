//! CREATE DATABASE (Flink) and CREATE SCHEMA (Postgres): the same thing, a schema of the connected database.

use datafusion::sql::sqlparser::ast::Ident;
use datafusion::sql::sqlparser::tokenizer::Token;

use super::super::session::{Outcome, Running, Session};
use super::control::Control;
use super::outcomes::done;
use crate::catalog::Change;
use crate::error::{Error, Result, SqlState};
use crate::sql::parser::{Cursor, fold};

/// CREATE DATABASE | SCHEMA [IF NOT EXISTS] name [COMMENT '…']
#[derive(Debug, Clone)]
pub struct CreateSchema {
    name: Vec<Ident>,
    if_not_exists: bool,
    comment: Option<String>,
    tag: &'static str,
}

impl CreateSchema {
    /// Reads the statement.
    ///
    /// # Errors
    /// A syntax error.
    pub fn parse(cursor: &mut Cursor) -> Result<Self> {
        cursor.expect_word("CREATE")?;
        let tag = if cursor.word("DATABASE") {
            "CREATE DATABASE"
        } else {
            cursor.expect_word("SCHEMA")?;
            "CREATE SCHEMA"
        };
        let if_not_exists = cursor.words(&["IF", "NOT", "EXISTS"]);
        let name = cursor.name()?;
        let comment = if cursor.word("COMMENT") { Some(cursor.string()?) } else { None };
        if cursor.word("WITH") {
            cursor.expect(&Token::LParen)?;
            let options = crate::sql::parser::option_list(cursor)?;
            if let Some((name, _)) = options.first() {
                return Err(Error::invalid(format!("unknown option \"{name}\" of a database")));
            }
        }
        if cursor.word("AUTHORIZATION") {
            return Err(Error::unsupported("AUTHORIZATION is not supported yet: schemas have no owners"));
        }
        Ok(Self { name, if_not_exists, comment, tag })
    }

    /// Adds the schema.
    ///
    /// # Errors
    /// It exists.
    pub fn execute(&self, session: &mut Session) -> Result<Outcome> {
        let (database, schema) = match &self.name[..] {
            [schema] => (session.database().to_owned(), fold(schema)),
            [database, schema] => (fold(database), fold(schema)),
            _ => {
                return Err(
                    Error::invalid("improper qualified name (too many dotted names)").code(SqlState::SyntaxError)
                );
            }
        };
        if session.server().system_schemas.iter().any(|system| system.name() == schema) {
            return Err(Error::invalid(format!("schema name \"{schema}\" is reserved")).code(SqlState::ReservedName));
        }
        if session.snapshot()?.schema(&database, &schema).is_some() {
            if self.if_not_exists {
                session.notice(format!("schema \"{schema}\" already exists, skipping"));
                return Ok(done(self.tag));
            }
            return Err(Error::invalid(format!("schema \"{schema}\" already exists")).code(SqlState::DuplicateSchema));
        }
        session.change(Change::CreateSchema { database, schema, comment: self.comment.clone() })?;
        Ok(done(self.tag))
    }
}

impl Control for CreateSchema {
    fn writes(&self) -> Option<&'static str> {
        Some("CREATE SCHEMA")
    }

    fn run<'a>(&'a self, session: &'a mut Session) -> Running<'a> {
        Box::pin(std::future::ready(self.execute(session)))
    }
}
