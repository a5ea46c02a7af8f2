//! Statement sets, in all of Flink's forms: several INSERTs that are one job, which reads its sources once.
//! psql cuts a set at its semicolons; then the part that opens it is read here, and the session collects the others.

use std::sync::Arc;

use datafusion::sql::sqlparser::tokenizer::Token;

use super::super::session::{Existing, Outcome, Session};
use super::done;
use super::insert::Insert;
use crate::error::{Error, Result};
use crate::sql::parser::dialect::Cursor;

/// What becomes of a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purpose {
    /// It is submitted.
    Run,
    /// It is submitted under a name.
    CreateJob {
        /// The job's name.
        name: String,
        /// What happens when a job of that name is there.
        existing: Existing,
    },
    /// Its plan is shown.
    Explain {
        /// With the logical plans.
        verbose: bool,
    },
}

/// `EXECUTE STATEMENT SET BEGIN … END`, `BEGIN STATEMENT SET; … END`, `EXPLAIN STATEMENT SET BEGIN … END`, also behind CREATE JOB … AS
#[derive(Debug, Clone)]
pub struct StatementSet {
    /// What becomes of it.
    pub purpose: Purpose,
    inserts: Vec<Arc<Insert>>,
    /// Whether its END was read.
    is_complete: bool,
    /// Its command tag, if its END was not.
    tag: &'static str,
    /// The text, for the positions of errors.
    text: String,
}

impl StatementSet {
    /// Whether a set begins here.
    pub fn is_next(cursor: &Cursor) -> bool {
        ["BEGIN", "EXECUTE"].iter().any(|word| cursor.peek_words(&[word, "STATEMENT", "SET"]))
            || cursor.peek_words(&["STATEMENT", "SET", "BEGIN"])
    }

    /// Reads a set, or the part that opens it.
    ///
    /// # Errors
    /// A syntax error, or a statement that is no INSERT.
    pub fn parse(cursor: &mut Cursor, purpose: Purpose) -> Result<Self> {
        let tag = if cursor.words(&["BEGIN", "STATEMENT", "SET"]) {
            if !matches!(cursor.peek(), Token::SemiColon | Token::EOF) {
                return Err(cursor.expected("\";\""));
            }
            "BEGIN"
        } else {
            cursor.word("EXECUTE");
            for word in ["STATEMENT", "SET", "BEGIN"] {
                cursor.expect_word(word)?;
            }
            "EXECUTE STATEMENT SET"
        };
        let mut inserts = Vec::new();
        let is_complete = loop {
            if cursor.is_at_end() {
                break false;
            }
            if cursor.word("END") {
                break true;
            }
            if !cursor.peek_words(&["INSERT"]) {
                return Err(Error::unsupported("only INSERT can stand in a statement set")
                    .code("0A000")
                    .at(cursor.position()));
            }
            inserts.push(Arc::new(Insert::parse(cursor)?));
            if !matches!(cursor.peek(), Token::SemiColon | Token::EOF) {
                return Err(cursor.expected("\";\""));
            }
        };
        if is_complete && inserts.is_empty() {
            return Err(Error::invalid("the statement set has no INSERT").code("42601"));
        }
        let text = cursor.text().to_owned();
        Ok(Self { purpose, inserts, is_complete, tag, text })
    }

    /// Whether it gives rows: a plan.
    pub fn is_explained(&self) -> bool {
        self.is_complete && matches!(self.purpose, Purpose::Explain { .. })
    }

    /// Runs the set, or opens it.
    ///
    /// # Errors
    /// As planning; the INSERTs cannot be one job.
    pub async fn execute(&self, session: &mut Session) -> Result<Outcome> {
        if !self.is_complete {
            session.open_set(self.purpose.clone())?;
            for insert in &self.inserts {
                let planned = session.plan_insert(insert, &[], &self.text).await?;
                session.add_to_set(planned);
            }
            return Ok(done(self.tag));
        }
        let mut members = Vec::new();
        for insert in &self.inserts {
            members.push(session.plan_insert(insert, &[], &self.text).await?);
        }
        session.run_set(&self.purpose, members).await
    }
}
