//! The statements, one file each: its struct, how it is read, what it does.

pub mod create_function;
pub mod create_job;
pub mod create_schema;
pub mod create_table;
pub mod create_view;
pub mod describe;
pub mod discard;
pub mod drop_object;
pub mod explain;
pub mod explain_job;
pub mod insert;
pub mod job_control;
mod job_text;
mod outcomes;
mod plan_text;
pub mod prepared;
pub mod query;
pub mod refused;
pub mod reset;
pub mod resume_skip;
pub mod set;
pub mod shipped_tables;
pub mod show;
pub mod show_create_table;
pub mod show_jobs;
pub mod show_setting;
pub mod statement_set;
pub mod transaction;
pub mod use_schema;

use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::sql::sqlparser::tokenizer::Token;

use super::session::{InSet, Purpose, Session};
use crate::error::Result;
use crate::sql::parser::Cursor;
pub(super) use outcomes::done;

/// Reads a statement.
///
/// # Errors
/// A syntax error (42601 with position), or a statement that is refused (0A000).
pub fn parse(text: &str) -> Result<Statement> {
    let mut cursor = Cursor::new(text)?;
    let statement = Statement::parse(&mut cursor)?;
    cursor.end()?;
    Ok(statement)
}

/// A statement of either dialect.
#[derive(Debug, Clone)]
pub enum Statement {
    /// Nothing but comments.
    Empty,
    /// SELECT, VALUES, WITH …
    Query(Arc<query::Query>),
    /// INSERT INTO … SELECT
    Insert(Arc<insert::Insert>),
    /// EXPLAIN
    Explain(explain::Explain),
    /// EXPLAIN [ANALYZE] JOB
    ExplainJob(explain_job::ExplainJob),
    /// EXECUTE STATEMENT SET, BEGIN STATEMENT SET, also behind EXPLAIN and CREATE JOB
    StatementSet(statement_set::StatementSet),
    /// CREATE TABLE
    CreateTable(create_table::CreateTable),
    /// CREATE VIEW
    CreateView(create_view::CreateView),
    /// CREATE DATABASE | SCHEMA
    CreateSchema(create_schema::CreateSchema),
    /// CREATE FUNCTION
    CreateFunction(create_function::CreateFunction),
    /// CREATE JOB
    CreateJob(create_job::CreateJob),
    /// DROP TABLE | VIEW | FUNCTION | DATABASE | SCHEMA
    DropObject(drop_object::DropObject),
    /// USE
    UseSchema(use_schema::UseSchema),
    /// SHOW JOBS | TABLES | …
    Show(show::Show),
    /// SHOW CREATE TABLE
    ShowCreateTable(show_create_table::ShowCreateTable),
    /// DESCRIBE
    Describe(describe::Describe),
    /// STOP | PAUSE | RESUME | DROP JOB, DESCRIBE JOB
    JobControl(job_control::JobControl),
    /// SET
    Set(set::Set),
    /// RESET
    Reset(reset::Reset),
    /// SHOW setting | ALL
    ShowSetting(show_setting::ShowSetting),
    /// DISCARD
    Discard(discard::Discard),
    /// BEGIN, COMMIT, ROLLBACK, SAVEPOINT …
    Transaction(transaction::Transaction),
    /// PREPARE, EXECUTE, DEALLOCATE
    Prepared(prepared::PreparedControl),
}

impl Statement {
    /// Reads any statement.
    ///
    /// # Errors
    /// A syntax error, or a statement that is refused.
    pub fn parse(cursor: &mut Cursor) -> Result<Self> {
        if cursor.is_at_end() {
            return Ok(Self::Empty);
        }
        let Token::Word(first) = cursor.peek() else {
            return Ok(Self::Query(Arc::new(query::Query::parse(cursor)?)));
        };
        let keyword = if first.quote_style.is_none() { first.value.to_ascii_uppercase() } else { String::new() };
        Ok(match keyword.as_str() {
            "SELECT" | "WITH" | "VALUES" | "TABLE" => Self::Query(Arc::new(query::Query::parse(cursor)?)),
            "INSERT" => Self::Insert(Arc::new(insert::Insert::parse(cursor)?)),
            "EXPLAIN" => explain::Explain::parse(cursor)?,
            "CREATE" => Self::parse_create(cursor)?,
            "DROP" if cursor.peek_words(&["DROP", "JOB"]) => Self::JobControl(job_control::JobControl::parse(cursor)?),
            "DROP" => Self::DropObject(drop_object::DropObject::parse(cursor)?),
            "USE" => Self::UseSchema(use_schema::UseSchema::parse(cursor)?),
            "STOP" | "PAUSE" | "RESUME" => Self::JobControl(job_control::JobControl::parse(cursor)?),
            "DESCRIBE" | "DESC" if cursor.peek_words(&[&keyword, "JOB"]) => {
                Self::JobControl(job_control::JobControl::parse(cursor)?)
            }
            "DESCRIBE" | "DESC" => Self::Describe(describe::Describe::parse(cursor)?),
            "SHOW" if show::Show::is_next(cursor) => Self::Show(show::Show::parse(cursor)?),
            "SHOW" if cursor.peek_words(&["SHOW", "CREATE"]) => {
                Self::ShowCreateTable(show_create_table::ShowCreateTable::parse(cursor)?)
            }
            "SHOW" => Self::ShowSetting(show_setting::ShowSetting::parse(cursor)?),
            "SET" if cursor.peek_words(&["SET", "TRANSACTION"]) => {
                Self::Transaction(transaction::Transaction::parse(cursor)?)
            }
            "SET" if matches!(cursor.peek_nth(1), Token::EOF | Token::SemiColon) => {
                Self::ShowSetting(show_setting::ShowSetting::parse(cursor)?)
            }
            "SET" => Self::Set(set::Set::parse(cursor)?),
            "RESET" => Self::Reset(reset::Reset::parse(cursor)?),
            "DISCARD" => Self::Discard(discard::Discard::parse(cursor)?),
            "EXECUTE" if !statement_set::StatementSet::is_next(cursor) => {
                Self::Prepared(prepared::PreparedControl::parse(cursor)?)
            }
            "PREPARE" | "DEALLOCATE" => Self::Prepared(prepared::PreparedControl::parse(cursor)?),
            "BEGIN" | "EXECUTE" | "STATEMENT" if statement_set::StatementSet::is_next(cursor) => {
                Self::StatementSet(statement_set::StatementSet::parse(cursor, Purpose::Run)?)
            }
            "BEGIN" | "START" | "COMMIT" | "END" | "ROLLBACK" | "ABORT" | "SAVEPOINT" | "RELEASE" => {
                Self::Transaction(transaction::Transaction::parse(cursor)?)
            }
            _ => return Err(refused::refused(cursor)),
        })
    }

    fn parse_create(cursor: &mut Cursor) -> Result<Self> {
        let mut at = 1;
        let word = |at: usize| match cursor.peek_nth(at) {
            Token::Word(word) => word.value.to_ascii_uppercase(),
            _ => String::new(),
        };
        while matches!(word(at).as_str(), "OR" | "REPLACE" | "TEMPORARY" | "TEMP" | "LOCAL" | "GLOBAL" | "SYSTEM") {
            at += 1;
        }
        Ok(match word(at).as_str() {
            "TABLE" => Self::CreateTable(create_table::CreateTable::parse(cursor)?),
            "VIEW" => Self::CreateView(create_view::CreateView::parse(cursor)?),
            "DATABASE" | "SCHEMA" => Self::CreateSchema(create_schema::CreateSchema::parse(cursor)?),
            "FUNCTION" => Self::CreateFunction(create_function::CreateFunction::parse(cursor)?),
            "JOB" => create_job::CreateJob::parse(cursor)?,
            _ => return Err(refused::refused(cursor)),
        })
    }

    /// The columns that the statement gives; queries are planned for that elsewhere.
    pub fn result(&self, session: &Session) -> Option<SchemaRef> {
        match self {
            Self::Explain(_) | Self::ExplainJob(_) => Some(plan_text::schema()),
            Self::StatementSet(set) => set.is_explained().then(plan_text::schema),
            Self::Transaction(transaction::Transaction::End) => {
                matches!(session.set_purpose(), Some(Purpose::Explain { .. })).then(plan_text::schema)
            }
            Self::Show(show) => Some(show.schema()),
            Self::ShowCreateTable(show) => Some(show.schema()),
            Self::Describe(_) => Some(describe::schema()),
            Self::JobControl(control) => control.schema(),
            Self::ShowSetting(show) => Some(show.schema(session)),
            _ => None,
        }
    }

    /// What the statement changes, as a read-only transaction refuses it; `None`: nothing.
    pub fn writes(&self) -> Option<&'static str> {
        Some(match self {
            Self::Insert(_) => "INSERT",
            Self::StatementSet(set) if !set.is_explained() => "INSERT",
            Self::CreateTable(_) => "CREATE TABLE",
            Self::CreateView(_) => "CREATE VIEW",
            Self::CreateSchema(_) => "CREATE SCHEMA",
            Self::CreateFunction(_) => "CREATE FUNCTION",
            Self::CreateJob(_) => "CREATE JOB",
            Self::DropObject(_) => "DROP",
            Self::JobControl(control) => return control.writes(),
            _ => return None,
        })
    }

    /// What it is to a statement set that is open.
    pub fn in_set(&self) -> InSet {
        use transaction::Transaction;
        match self {
            Self::Insert(_) | Self::Empty => InSet::Member,
            Self::Transaction(Transaction::Savepoint(_) | Transaction::Release(_)) => InSet::Member,
            Self::Transaction(Transaction::Commit) => InSet::Commit,
            other if other.ends_block() => InSet::End,
            _ => InSet::Refused,
        }
    }

    /// Whether the statement is allowed in a failed transaction block.
    pub fn ends_block(&self) -> bool {
        match self {
            Self::Transaction(transaction) => transaction.ends_block(),
            Self::Empty => true,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests;
