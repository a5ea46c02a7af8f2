//! TRUNCATE: takes all rows out of tables that the server keeps.

use std::sync::Arc;

use datafusion::sql::sqlparser::ast::Ident;
use datafusion::sql::sqlparser::tokenizer::Token;

use super::super::session::{Outcome, Running, Session};
use super::control::Control;
use super::local_write::let_in;
use super::outcomes::done;
use super::row_clauses;
use crate::connectors::local::{self, LocalTable};
use crate::error::Result;
use crate::sql::parser::Cursor;
use crate::sql::planning::names::Target;

/// TRUNCATE [TABLE] t [, …] [RESTART IDENTITY | CONTINUE IDENTITY] [CASCADE | RESTRICT]
#[derive(Debug, Clone)]
pub struct Truncate {
    tables: Vec<(Vec<Ident>, usize)>,
    restarts: bool,
}

impl Truncate {
    /// Reads the statement.
    ///
    /// # Errors
    /// A syntax error.
    pub fn parse(cursor: &mut Cursor) -> Result<Self> {
        cursor.expect_word("TRUNCATE")?;
        cursor.word("TABLE");
        let mut tables = Vec::new();
        loop {
            let position = cursor.position();
            tables.push((row_clauses::table_name(cursor)?, position));
            if !cursor.token(&Token::Comma) {
                break;
            }
        }
        let restarts = cursor.words(&["RESTART", "IDENTITY"]);
        if !restarts {
            cursor.words(&["CONTINUE", "IDENTITY"]);
        }
        // Nothing depends on a table.
        if !cursor.word("CASCADE") {
            cursor.word("RESTRICT");
        }
        Ok(Self { tables, restarts })
    }

    async fn execute(&self, session: &mut Session) -> Result<Outcome> {
        let mut tables: Vec<(Target, Arc<LocalTable>)> = Vec::new();
        let planner = session.planner(false)?;
        for (name, position) in &self.tables {
            let found = planner.changed_table(name, "TRUNCATE").map_err(|error| error.at(*position))?;
            tables.push((found.0, found.2));
        }
        for (target, table) in &tables {
            let_in(session, target, table).await?;
        }
        let restarts = self.restarts;
        for (_, table) in &tables {
            session.change_rows(table, move |table, rows| local::truncate(table, rows, restarts)).await?;
        }
        Ok(done("TRUNCATE TABLE"))
    }
}

impl Control for Truncate {
    fn has_own_rules(&self) -> bool {
        true
    }

    fn writes(&self) -> Option<&'static str> {
        Some("TRUNCATE TABLE")
    }

    fn run<'a>(&'a self, session: &'a mut Session) -> Running<'a> {
        Box::pin(self.execute(session))
    }
}
