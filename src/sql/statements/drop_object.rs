//! DROP TABLE, VIEW, FUNCTION, DATABASE and SCHEMA: forgets declarations, never the data outside, and no running job notices. Rows that
//! the server itself keeps go with their table.

use datafusion::sql::sqlparser::ast::Ident;
use datafusion::sql::sqlparser::tokenizer::Token;

use super::super::session::{Outcome, Running, Session};
use super::control::Control;
use super::outcomes::done;
use super::refused;
use crate::catalog::{Change, Snapshot, TableEntry};
use crate::error::{Error, Result, SqlState};
use crate::sql::parser::{Cursor, fold};
use crate::sql::planning::shipped;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Table,
    View,
    Function,
    Schema,
}

/// DROP … [IF EXISTS] name [, …] [CASCADE | RESTRICT]
#[derive(Debug, Clone)]
pub struct DropObject {
    kind: Kind,
    names: Vec<Vec<Ident>>,
    if_exists: bool,
    cascade: bool,
    tag: &'static str,
}

impl DropObject {
    /// Reads the statement.
    ///
    /// # Errors
    /// A syntax error.
    pub fn parse(cursor: &mut Cursor) -> Result<Self> {
        for (words, kind, tag) in [
            (&["DROP", "TABLE"][..], Kind::Table, "DROP TABLE"),
            (&["DROP", "TEMPORARY", "TABLE"], Kind::Table, "DROP TABLE"),
            (&["DROP", "VIEW"], Kind::View, "DROP VIEW"),
            (&["DROP", "TEMPORARY", "VIEW"], Kind::View, "DROP VIEW"),
            (&["DROP", "FUNCTION"], Kind::Function, "DROP FUNCTION"),
            (&["DROP", "DATABASE"], Kind::Schema, "DROP DATABASE"),
            (&["DROP", "SCHEMA"], Kind::Schema, "DROP SCHEMA"),
        ] {
            if cursor.words(words) {
                let if_exists = cursor.words(&["IF", "EXISTS"]);
                let mut names = vec![cursor.name()?];
                loop {
                    if kind == Kind::Function && cursor.token(&Token::LParen) {
                        while !cursor.token(&Token::RParen) {
                            if cursor.peek() == Token::EOF {
                                return Err(cursor.error());
                            }
                            cursor.take();
                        }
                    }
                    if !cursor.token(&Token::Comma) {
                        break;
                    }
                    names.push(cursor.name()?);
                }
                let cascade = cursor.word("CASCADE");
                if !cascade {
                    cursor.word("RESTRICT");
                }
                return Ok(Self { kind, names, if_exists, cascade, tag });
            }
        }
        Err(refused::refused(cursor))
    }

    /// Removes the objects.
    ///
    /// # Errors
    /// One does not exist, or is of another kind.
    pub async fn execute(&self, session: &mut Session) -> Result<Outcome> {
        for name in &self.names {
            match self.change(session, name) {
                Ok(Some(change)) => {
                    match &change {
                        Change::DropTable { database, schema, name } => {
                            let dropped = format!("{database}.{schema}.{name}");
                            session.tell_jobs_that_use(|table| table == dropped)?;
                        }
                        Change::DropSchema { database, schema, cascade: true } => {
                            let dropped = format!("{database}.{schema}.");
                            session.tell_jobs_that_use(|table| table.starts_with(&dropped))?;
                        }
                        _ => {}
                    }
                    if takes_rows(&change, session.snapshot()?.as_ref()) {
                        session.lock_rows().await?;
                    }
                    session.change(change)?;
                }
                Ok(None) => {}
                Err(error)
                    if self.if_exists
                        && matches!(
                            error.sqlstate(),
                            SqlState::UndefinedTable
                                | SqlState::UndefinedFunction
                                | SqlState::InvalidSchemaName
                                | SqlState::InvalidCatalogName
                        ) =>
                {
                    let message = match error.sqlstate() {
                        SqlState::InvalidSchemaName => error.message().to_owned(),
                        _ => error.message().replacen("relation", self.noun(), 1),
                    };
                    session.notice(format!("{message}, skipping"));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(done(self.tag))
    }

    fn noun(&self) -> &'static str {
        match self.kind {
            Kind::Table => "table",
            Kind::View => "view",
            Kind::Function => "function",
            Kind::Schema => "schema",
        }
    }

    fn change(&self, session: &mut Session, name: &[Ident]) -> Result<Option<Change>> {
        let written = name.iter().map(fold).collect::<Vec<_>>().join(".");
        if self.kind == Kind::Table
            && let [table] = name
            && session.drop_temporary(&fold(table))
        {
            return Ok(None);
        }
        let names = session.names()?;
        match self.kind {
            Kind::Schema => {
                let schema = name.last().and_then(|schema| names.find_schema(schema)).ok_or_else(|| {
                    Error::not_found(format!("schema \"{written}\" does not exist")).code(SqlState::InvalidSchemaName)
                })?;
                if session.server().system_schemas.iter().any(|system| system.name() == schema) || schema == "public" {
                    return Err(Error::invalid(format!("schema \"{schema}\" cannot be dropped"))
                        .code(SqlState::DependentObjectsStillExist));
                }
                let database = session.database().to_owned();
                Ok(Some(Change::DropSchema { database, schema, cascade: self.cascade }))
            }
            Kind::Function => {
                let found = names.find_function(name).ok_or_else(|| match shipped::function(name) {
                    Some(_) => {
                        Error::invalid(format!("function {written} is part of the server and cannot be dropped"))
                            .code(SqlState::DependentObjectsStillExist)
                            .hint("CREATE OR REPLACE FUNCTION puts another in its place.")
                    }
                    None => {
                        Error::not_found(format!("function {written} does not exist")).code(SqlState::UndefinedFunction)
                    }
                });
                let (database, schema, name) = found?;
                Ok(Some(Change::DropFunction { database, schema, name }))
            }
            Kind::Table | Kind::View => {
                let missing = || {
                    Error::not_found(format!("{} \"{written}\" does not exist", self.noun()))
                        .code(SqlState::UndefinedTable)
                };
                let found = names.find_relation(name)?.ok_or_else(missing)?;
                let snapshot = session.snapshot()?;
                let schema = snapshot.schema(&found.database, &found.schema).ok_or_else(missing)?;
                let is_view = schema.views.contains_key(&found.name);
                if is_view != (self.kind == Kind::View) {
                    let noun = if is_view { "view" } else { "table" };
                    return Err(Error::invalid(format!("\"{written}\" is not a {}", self.noun()))
                        .code(SqlState::WrongObjectType)
                        .hint(format!("Use DROP {} to remove a {noun}.", noun.to_uppercase())));
                }
                let (database, schema, name) = (found.database, found.schema, found.name);
                Ok(Some(match self.kind {
                    Kind::Table => Change::DropTable { database, schema, name },
                    _ => Change::DropView { database, schema, name },
                }))
            }
        }
    }
}

/// Whether rows go with what is dropped: then nobody else may be changing them.
fn takes_rows(change: &Change, snapshot: &Snapshot) -> bool {
    let keeps_rows = |table: &TableEntry| table.declaration.local.is_some();
    match change {
        Change::DropTable { database, schema, name } => {
            snapshot.schema(database, schema).and_then(|schema| schema.tables.get(name)).is_some_and(keeps_rows)
        }
        Change::DropSchema { database, schema, cascade: true } => {
            snapshot.schema(database, schema).is_some_and(|schema| schema.tables.values().any(keeps_rows))
        }
        _ => false,
    }
}

impl Control for DropObject {
    fn has_own_rules(&self) -> bool {
        true
    }

    fn writes(&self) -> Option<&'static str> {
        Some("DROP")
    }

    fn run<'a>(&'a self, session: &'a mut Session) -> Running<'a> {
        Box::pin(self.execute(session))
    }
}
