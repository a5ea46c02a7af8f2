//! EXPLAIN of a query or an INSERT: the plan as text, without running it; ANALYZE runs it. Jobs and statement sets have their own.

use std::sync::Arc;

use super::super::session::{Outcome, Purpose, Session};
use super::explain_job::ExplainJob;
use super::insert::Insert;
use super::query::Query;
use super::statement_set::StatementSet;
use super::{Statement, delete, plan_text, update};
use crate::error::{Error, Result};
use crate::sql::parser::Cursor;
use crate::sql::planning::planned::Planned;
use crate::sql::planning::planner::ChangeRows;

/// What is explained.
#[derive(Debug, Clone)]
pub enum Explained {
    /// A query.
    Query(Arc<Query>),
    /// An INSERT.
    Insert(Arc<Insert>),
    /// UPDATE, DELETE
    Change(Arc<ChangeRows>),
}

/// EXPLAIN [PLAN FOR | ANALYZE | VERBOSE]
#[derive(Debug, Clone)]
pub struct Explain {
    /// The statement.
    pub explained: Explained,
    /// Run it and show what each operator did.
    pub analyze: bool,
    /// Show the logical plan too.
    pub verbose: bool,
}

impl Explain {
    /// Reads EXPLAIN.
    ///
    /// # Errors
    /// A syntax error.
    pub fn parse(cursor: &mut Cursor) -> Result<Statement> {
        cursor.expect_word("EXPLAIN")?;
        let (mut analyze, mut verbose) = (false, false);
        if cursor.peek() == datafusion::sql::sqlparser::tokenizer::Token::LParen
            && !matches!(cursor.peek_nth(1), datafusion::sql::sqlparser::tokenizer::Token::LParen)
            && !["SELECT", "WITH", "VALUES"].iter().any(|word| {
                matches!(cursor.peek_nth(1), datafusion::sql::sqlparser::tokenizer::Token::Word(w) if w.value.eq_ignore_ascii_case(word))
            })
        {
            for option in cursor.idents().map_err(|_| Error::unsupported("EXPLAIN knows ANALYZE and VERBOSE"))? {
                match option.value.to_ascii_uppercase().as_str() {
                    "ANALYZE" => analyze = true,
                    "VERBOSE" => verbose = true,
                    other => return Err(Error::unsupported(format!("EXPLAIN option {other} is not supported"))),
                }
            }
        }
        loop {
            if cursor.words(&["PLAN", "FOR"]) {
            } else if cursor.word("ANALYZE") {
                analyze = true;
            } else if cursor.word("VERBOSE") {
                verbose = true;
            } else if cursor.peek_words(&["ESTIMATED_COST"])
                || cursor.peek_words(&["CHANGELOG_MODE"])
                || cursor.peek_words(&["JSON_EXECUTION_PLAN"])
                || cursor.peek_words(&["PLAN_ADVICE"])
            {
                return Err(Error::unsupported("EXPLAIN knows PLAN FOR, ANALYZE and VERBOSE").at(cursor.position()));
            } else {
                break;
            }
        }
        if cursor.peek_words(&["JOB"]) {
            return Ok(Statement::Control(Arc::new(ExplainJob::parse(cursor)?)));
        }
        if StatementSet::is_next(cursor) {
            if analyze {
                return Err(Error::unsupported("EXPLAIN ANALYZE of a statement set is not supported")
                    .at(cursor.position())
                    .hint("Submit it, then EXPLAIN ANALYZE JOB."));
            }
            return Ok(Statement::Control(Arc::new(StatementSet::parse(cursor, Purpose::Explain { verbose })?)));
        }
        let explained = if cursor.peek_words(&["INSERT"]) {
            Explained::Insert(Arc::new(Insert::parse(cursor)?))
        } else if cursor.peek_words(&["UPDATE"]) {
            Explained::Change(Arc::new(update::parse(cursor)?))
        } else if cursor.peek_words(&["DELETE"]) {
            Explained::Change(Arc::new(delete::parse(cursor)?))
        } else {
            Explained::Query(Arc::new(Query::parse(cursor)?))
        };
        Ok(Statement::Explain(Self { explained, analyze, verbose }))
    }

    /// Shows the plan.
    ///
    /// # Errors
    /// The plan cannot be made, or its run fails.
    pub async fn execute(&self, session: &Session, planned: &Planned) -> Result<Outcome> {
        plan_text::rows(plan_text::lines(session, planned, self.analyze, self.verbose).await?)
    }
}
