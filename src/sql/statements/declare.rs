//! DECLARE … CURSOR: a query that runs while its rows are asked for by FETCH.

use std::sync::Arc;

use datafusion::scalar::ScalarValue;

use super::over_query::OverQuery;
use super::query::{self, Query};
use super::{Statement, done};
use crate::error::{Error, Result};
use crate::sql::parser::{Cursor, fold};
use crate::sql::planning::planned::Planned;
use crate::sql::session::{CursorKind, Outcome, Running, Session};

/// DECLARE name [ASENSITIVE | INSENSITIVE] [[NO] SCROLL] CURSOR [{WITH | WITHOUT} HOLD] FOR query
#[derive(Debug, Clone)]
pub struct Declare {
    name: String,
    kind: CursorKind,
    query: Arc<Query>,
}

impl Declare {
    /// Reads the statement.
    ///
    /// # Errors
    /// A syntax error, or BINARY (0A000).
    pub fn parse(cursor: &mut Cursor) -> Result<Statement> {
        cursor.expect_word("DECLARE")?;
        let name = fold(&cursor.ident()?);
        let mut kind = CursorKind { scrolls: false, holds: false };
        while !cursor.word("CURSOR") {
            if cursor.peek_words(&["BINARY"]) {
                return Err(Error::unsupported("BINARY cursors are not supported")
                    .at(cursor.position())
                    .hint("Ask for binary columns when the FETCH is bound."));
            } else if cursor.words(&["NO", "SCROLL"]) {
                kind.scrolls = false;
            } else if cursor.word("SCROLL") {
                kind.scrolls = true;
            } else if !cursor.word("INSENSITIVE") && !cursor.word("ASENSITIVE") {
                return Err(cursor.expected("CURSOR"));
            }
        }
        if cursor.words(&["WITH", "HOLD"]) {
            kind.holds = true;
        } else {
            cursor.words(&["WITHOUT", "HOLD"]);
        }
        cursor.expect_word("FOR")?;
        Ok(Statement::OverQuery(Arc::new(Self { name, kind, query: Arc::new(Query::parse(cursor)?) })))
    }

    async fn begin(&self, session: &mut Session, planned: &Planned, parameters: Vec<ScalarValue>) -> Result<Outcome> {
        session.check_new_cursor(&self.name, self.kind)?;
        match query::run(session, planned, None, parameters).await? {
            Outcome::Rows { schema, stream, .. } => {
                session.add_cursor(self.name.clone(), self.kind, schema, stream)?;
                Ok(done("DECLARE CURSOR"))
            }
            _ => Err(Error::internal("a query without rows")),
        }
    }
}

impl OverQuery for Declare {
    fn query(&self) -> &Arc<Query> {
        &self.query
    }

    fn run<'a>(&'a self, session: &'a mut Session, planned: &'a Planned, parameters: Vec<ScalarValue>) -> Running<'a> {
        Box::pin(self.begin(session, planned, parameters))
    }
}
