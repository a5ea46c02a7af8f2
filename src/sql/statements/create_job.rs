//! CREATE [OR REPLACE] JOB name AS INSERT …: an unbounded INSERT, or a statement set of them, under a name of the user's choice.

use std::sync::Arc;

use super::super::session::{Existing, Outcome, Purpose, Running, Session};
use super::Statement;
use super::control::Control;
use super::insert::{self, Insert};
use super::outcomes::done;
use super::statement_set::{StatementSet, needs_unbounded};
use crate::error::{Error, Result, SqlState};
use crate::sql::parser::Cursor;
use crate::sql::planning::planned::Planned;

/// CREATE [OR REPLACE] JOB [IF NOT EXISTS] name [IF NOT EXISTS] AS INSERT …
#[derive(Debug, Clone)]
pub struct CreateJob {
    name: String,
    existing: Existing,
    insert: Arc<Insert>,
    text: String,
}

impl CreateJob {
    /// Reads the statement; over a statement set it is that with a name.
    ///
    /// # Errors
    /// A syntax error.
    pub fn parse(cursor: &mut Cursor) -> Result<Statement> {
        cursor.expect_word("CREATE")?;
        let replaces = cursor.words(&["OR", "REPLACE"]);
        cursor.expect_word("JOB")?;
        let at = cursor.position();
        let before = cursor.words(&["IF", "NOT", "EXISTS"]);
        let name = cursor.ident_or_string()?;
        let existing = match (replaces, cursor.words(&["IF", "NOT", "EXISTS"]) || before) {
            (true, true) => {
                return Err(Error::invalid("OR REPLACE and IF NOT EXISTS exclude each other")
                    .code(SqlState::SyntaxError)
                    .at(at));
            }
            (true, false) => Existing::Replace,
            (false, true) => Existing::Keep,
            (false, false) => Existing::Refuse,
        };
        cursor.expect_word("AS")?;
        if StatementSet::is_next(cursor) {
            let purpose = Purpose::CreateJob { name, existing };
            return Ok(Statement::Control(Arc::new(StatementSet::parse(cursor, purpose)?)));
        }
        let text = cursor.text().to_owned();
        let insert = Arc::new(Insert::parse(cursor)?);
        Ok(Statement::Control(Arc::new(Self { name, existing, insert, text })))
    }

    /// Submits the job.
    ///
    /// # Errors
    /// The name is taken, the INSERT is bounded, or it cannot run as a job.
    pub async fn execute(&self, session: &mut Session) -> Result<Outcome> {
        if session.may_create_job(&self.name, self.existing)? {
            match insert::plan(session, &self.insert, &[], &self.text).await? {
                Planned::Job(job) => session.submit(&job, Some(self.name.clone()), self.existing)?,
                Planned::BoundedInsert { .. } | Planned::Query { .. } | Planned::LocalWrite(_) => {
                    return Err(needs_unbounded());
                }
            }
        }
        Ok(done("CREATE JOB"))
    }
}

impl Control for CreateJob {
    fn has_own_rules(&self) -> bool {
        true
    }

    fn writes(&self) -> Option<&'static str> {
        Some("CREATE JOB")
    }

    fn run<'a>(&'a self, session: &'a mut Session) -> Running<'a> {
        Box::pin(self.execute(session))
    }
}
