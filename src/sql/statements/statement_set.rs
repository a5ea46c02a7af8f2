//! Statement sets, in all of Flink's forms: several INSERTs that are one job, which reads its sources once.
//! psql cuts a set at its semicolons; then the part that opens it is read here, and the session collects the others until its END.

use std::sync::Arc;

use datafusion::sql::sqlparser::tokenizer::Token;

use datafusion::arrow::datatypes::SchemaRef;

use super::super::session::{Existing, Outcome, Purpose, Running, Session};
use super::block;
use super::control::Control;
use super::insert::{self, Insert};
use super::outcomes::done;
use super::plan_text;
use crate::error::{Error, Result, SqlState};
use crate::sql::parser::Cursor;
use crate::sql::planning::planned::Planned;

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
                    .code(SqlState::FeatureNotSupported)
                    .at(cursor.position()));
            }
            inserts.push(Arc::new(Insert::parse(cursor)?));
            if !matches!(cursor.peek(), Token::SemiColon | Token::EOF) {
                return Err(cursor.expected("\";\""));
            }
        };
        if is_complete && inserts.is_empty() {
            return Err(Error::invalid("the statement set has no INSERT").code(SqlState::SyntaxError));
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
            for member in &self.inserts {
                let planned = insert::plan(session, member, &[], &self.text).await?;
                session.add_to_set(planned);
            }
            return Ok(done(self.tag));
        }
        let mut members = Vec::new();
        for member in &self.inserts {
            members.push(insert::plan(session, member, &[], &self.text).await?);
        }
        run(session, &self.purpose, members).await
    }
}

impl Control for StatementSet {
    fn result(&self, _session: &Session) -> Option<SchemaRef> {
        self.is_explained().then(plan_text::schema)
    }

    fn has_own_rules(&self) -> bool {
        true
    }

    fn writes(&self) -> Option<&'static str> {
        (!self.is_explained()).then_some("INSERT")
    }

    fn run<'a>(&'a self, session: &'a mut Session) -> Running<'a> {
        Box::pin(self.execute(session))
    }
}

/// Ends the open set; tells whether it had failed.
///
/// # Errors
/// Its INSERTs cannot be one job.
pub async fn end(session: &mut Session) -> Result<Outcome> {
    let Some(set) = session.drop_set() else { return Err(Error::internal("no statement set is open")) };
    if set.failed {
        return Ok(done("ROLLBACK"));
    }
    run(session, &set.purpose, set.members).await
}

/// Runs a whole set: one job, or bounded INSERTs one after the other.
///
/// # Errors
/// Some are bounded and some are not, they cannot be one job, or one fails.
pub async fn run(session: &mut Session, purpose: &Purpose, members: Vec<Planned>) -> Result<Outcome> {
    let mut jobs = Vec::new();
    let mut bounded = Vec::new();
    for member in members {
        match member {
            Planned::Job(job) => jobs.push(*job),
            Planned::BoundedInsert { plan } => bounded.push(plan),
            Planned::LocalWrite(write) => {
                return Err(Error::unsupported(format!(
                    "table \"{}\", whose rows the server keeps, cannot be written in a statement set",
                    write.target.name
                ))
                .hint("Write it by an INSERT of its own, in BEGIN … COMMIT if need be."));
            }
            Planned::Query { .. } => return Err(Error::internal("a query in a statement set")),
        }
    }
    if jobs.is_empty() && bounded.is_empty() {
        return Err(Error::invalid("the statement set has no INSERT").code(SqlState::SyntaxError));
    }
    if !jobs.is_empty() && !bounded.is_empty() {
        return Err(Error::unsupported("a statement set holds INSERTs that end and INSERTs that do not")
            .detail("An INSERT ends if all its sources are bounded.")
            .hint("Submit those that end by themselves."));
    }
    match purpose {
        Purpose::Explain { verbose } => {
            let mut lines = Vec::new();
            if !jobs.is_empty() {
                let job = Planned::Job(Box::new(block::join(session, jobs).await?));
                lines = plan_text::lines(session, &job, false, *verbose).await?;
            }
            for plan in bounded {
                let planned = Planned::BoundedInsert { plan };
                lines.extend(plan_text::lines(session, &planned, false, *verbose).await?);
            }
            plan_text::rows(lines)
        }
        Purpose::CreateJob { name, existing } => {
            if !bounded.is_empty() {
                return Err(needs_unbounded());
            }
            if session.may_create_job(name, *existing)? {
                let job = block::join(session, jobs).await?;
                session.submit(&job, Some(name.clone()), *existing)?;
            }
            Ok(done("CREATE JOB"))
        }
        Purpose::Run if jobs.is_empty() => {
            let mut count = 0;
            for plan in bounded {
                count += insert::run_bounded(session, &plan).await?;
            }
            Ok(done(format!("INSERT 0 {count}")))
        }
        Purpose::Run => {
            let job = block::join(session, jobs).await?;
            session.submit(&job, None, Existing::Refuse)?;
            Ok(done("INSERT 0 0"))
        }
    }
}

/// Bounded INSERTs are no jobs.
pub fn needs_unbounded() -> Error {
    Error::invalid("CREATE JOB needs an INSERT that reads an unbounded table")
        .hint("A bounded INSERT runs at once: submit it without CREATE JOB.")
}
