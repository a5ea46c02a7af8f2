//! CREATE DATABASE (Flink) and CREATE SCHEMA (Postgres): the same thing, a schema of the connected database.

use datafusion::sql::sqlparser::ast::Ident;
use datafusion::sql::sqlparser::tokenizer::Token;

use super::super::session::{Outcome, Running, Session};
use super::alter_owner::give;
use super::control::Control;
use super::outcomes::done;
use super::role_name::RoleName;
use crate::catalog::Change;
use crate::catalog::Object;
use crate::catalog::rights::Access;
use crate::error::{Error, Result, SqlState};
use crate::sql::parser::{Cursor, fold};

/// CREATE DATABASE | SCHEMA [IF NOT EXISTS] name [COMMENT '…']
#[derive(Debug, Clone)]
pub struct CreateSchema {
    name: Vec<Ident>,
    if_not_exists: bool,
    comment: Option<String>,
    owner: Option<RoleName>,
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
        let mut owner = None;
        if cursor.word("AUTHORIZATION") {
            owner = Some(RoleName::parse(cursor)?);
        }
        let name = match &owner {
            Some(RoleName::Named(role)) => vec![Ident::with_quote('"', role)],
            Some(_) => return Err(cursor.expected("the name of a role")),
            None => cursor.name()?,
        };
        if owner.is_none() && cursor.word("AUTHORIZATION") {
            owner = Some(RoleName::parse(cursor)?);
        }
        let comment = if cursor.word("COMMENT") { Some(cursor.string()?) } else { None };
        if cursor.word("WITH") {
            cursor.expect(&Token::LParen)?;
            let options = crate::sql::parser::option_list(cursor)?;
            if let Some((name, _)) = options.first() {
                return Err(Error::invalid(format!("unknown option \"{name}\" of a database")));
            }
        }
        Ok(Self { name, if_not_exists, comment, owner, tag })
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
        let (comment, access) = (self.comment.clone(), Access::default());
        let object = Object::Schema { database: database.clone(), schema: schema.clone() };
        session.change(Change::CreateSchema { database, schema, comment, access })?;
        if let Some(owner) = &self.owner {
            give(session, object, owner)?;
        }
        Ok(done(self.tag))
    }
}

impl Control for CreateSchema {
    fn has_own_rules(&self) -> bool {
        true
    }

    fn writes(&self) -> Option<&'static str> {
        Some("CREATE SCHEMA")
    }

    fn run<'a>(&'a self, session: &'a mut Session) -> Running<'a> {
        Box::pin(std::future::ready(self.execute(session)))
    }
}
