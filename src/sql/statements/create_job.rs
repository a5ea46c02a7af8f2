//! CREATE JOB name AS INSERT …: an unbounded INSERT under a name of the user's choice.

use super::super::dialect::Cursor;
use super::super::session::{Outcome, Session};
use super::done;
use super::insert::Insert;
use crate::error::{Error, Result};

/// CREATE JOB name [IF NOT EXISTS] AS INSERT …
#[derive(Debug, Clone)]
pub struct CreateJob {
    name: String,
    if_not_exists: bool,
    insert: Insert,
}

impl CreateJob {
    /// Reads the statement.
    ///
    /// # Errors
    /// A syntax error.
    pub fn parse(cursor: &mut Cursor) -> Result<Self> {
        cursor.expect_word("CREATE")?;
        cursor.expect_word("JOB")?;
        let before = cursor.words(&["IF", "NOT", "EXISTS"]);
        let name = cursor.ident_or_string()?;
        let if_not_exists = cursor.words(&["IF", "NOT", "EXISTS"]) || before;
        cursor.expect_word("AS")?;
        Ok(Self { name, if_not_exists, insert: Insert::parse(cursor)? })
    }

    /// Submits the job.
    ///
    /// # Errors
    /// The name is taken, the INSERT is bounded, or it cannot run as a job.
    pub async fn execute(&self, session: &mut Session) -> Result<Outcome> {
        if session.snapshot()?.jobs.contains_key(&self.name) {
            let exists = format!("job \"{}\" already exists", self.name);
            if self.if_not_exists {
                session.notice(format!("{exists}, skipping"));
                return Ok(done("CREATE JOB"));
            }
            return Err(Error::invalid(exists).code("42710"));
        }
        let planned = session.plan_insert(&self.insert, &[]).await?;
        let super::super::planner::Planned::Job { .. } = &planned else {
            return Err(Error::invalid("CREATE JOB needs an INSERT that reads an unbounded table")
                .hint("A bounded INSERT runs at once: submit it without CREATE JOB."));
        };
        session.submit(&planned, Some(self.name.clone()))?;
        Ok(done("CREATE JOB"))
    }
}
