//! The statements, one file each: its struct, how it is read, what it does.

pub mod alter_owner;
mod block;
pub mod comment;
pub mod control;
pub mod copy;
pub mod copy_from;
pub mod create_function;
pub mod create_job;
pub mod create_role;
pub mod create_schema;
pub mod create_table;
pub mod create_view;
pub mod declare;
pub mod delete;
pub mod describe;
pub mod discard;
pub mod drop_object;
pub mod drop_role;
pub mod explain;
pub mod explain_job;
pub mod fetch;
mod fitted_values;
mod grant_objects;
pub mod grant_rights;
pub mod grant_role;
pub mod insert;
pub mod job_control;
mod job_text;
pub mod local_clauses;
pub mod local_write;
pub mod notify;
mod outcomes;
pub mod over_query;
mod plan_text;
pub mod prepared;
pub mod query;
pub mod refused;
pub mod reset;
pub mod resume_skip;
mod role_name;
mod row_clauses;
pub mod set;
pub mod set_config;
pub mod shipped_tables;
pub mod show;
pub mod show_create_table;
pub mod show_jobs;
pub mod show_setting;
pub mod statement_set;
pub mod transaction;
pub mod truncate;
pub mod update;
pub mod use_schema;

use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::sql::sqlparser::tokenizer::Token;

use super::session::{InSet, Purpose, Session};
use crate::error::Result;
use crate::sql::parser::Cursor;
use crate::sql::planning::planner::ChangeRows;
pub use control::Control;
pub(super) use outcomes::done;
pub use over_query::OverQuery;

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
    /// UPDATE, DELETE
    Change(Arc<ChangeRows>),
    /// EXPLAIN
    Explain(explain::Explain),
    /// One that does something with the rows of a query.
    OverQuery(Arc<dyn OverQuery>),
    /// One that runs without a plan.
    Control(Arc<dyn Control>),
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
            "SELECT" | "WITH" | "VALUES" | "TABLE" => set_config::SetConfig::of(query::Query::parse(cursor)?)?,
            "INSERT" => Self::Insert(Arc::new(insert::Insert::parse(cursor)?)),
            "UPDATE" => Self::Change(Arc::new(update::parse(cursor)?)),
            "DELETE" => Self::Change(Arc::new(delete::parse(cursor)?)),
            "TRUNCATE" => control(truncate::Truncate::parse(cursor)?),
            "EXPLAIN" => explain::Explain::parse(cursor)?,
            "CREATE" => Self::parse_create(cursor)?,
            "DROP" if cursor.peek_words(&["DROP", "JOB"]) => control(job_control::JobControl::parse(cursor)?),
            "DROP" if drop_role::DropRole::is_next(cursor) => control(drop_role::DropRole::parse(cursor)?),
            "ALTER" if create_role::RoleStatement::is_altered_next(cursor) => {
                control(create_role::RoleStatement::parse_alter(cursor)?)
            }
            "ALTER" | "REASSIGN" | "DROP" if alter_owner::AlterOwner::is_next(cursor) => {
                control(alter_owner::AlterOwner::parse(cursor)?)
            }
            "GRANT" | "REVOKE" if grant_rights::GrantRights::is_next(cursor) => {
                control(grant_rights::GrantRights::parse(cursor)?)
            }
            "GRANT" | "REVOKE" => control(grant_role::GrantRole::parse(cursor)?),
            "DROP" => control(drop_object::DropObject::parse(cursor)?),
            "COMMENT" => control(comment::Comment::parse(cursor)?),
            "USE" => control(use_schema::UseSchema::parse(cursor)?),
            "STOP" | "PAUSE" | "RESUME" => control(job_control::JobControl::parse(cursor)?),
            "DESCRIBE" | "DESC" if cursor.peek_words(&[&keyword, "JOB"]) => {
                control(job_control::JobControl::parse(cursor)?)
            }
            "DESCRIBE" | "DESC" => control(describe::Describe::parse(cursor)?),
            "SHOW" if show::Show::is_next(cursor) => control(show::Show::parse(cursor)?),
            "SHOW" if cursor.peek_words(&["SHOW", "CREATE"]) => {
                control(show_create_table::ShowCreateTable::parse(cursor)?)
            }
            "SHOW" => control(show_setting::ShowSetting::parse(cursor)?),
            "SET" if cursor.peek_words(&["SET", "TRANSACTION"]) => control(transaction::Transaction::parse(cursor)?),
            "SET" if matches!(cursor.peek_nth(1), Token::EOF | Token::SemiColon) => {
                control(show_setting::ShowSetting::parse(cursor)?)
            }
            "SET" => control(set::Set::parse(cursor)?),
            "RESET" => control(reset::Reset::parse(cursor)?),
            "COPY" => copy::Copy::parse(cursor)?,
            "DECLARE" => declare::Declare::parse(cursor)?,
            "LISTEN" | "UNLISTEN" => control(notify::Listen::parse(cursor)?),
            "NOTIFY" => control(notify::Notify::parse(cursor)?),
            "FETCH" | "MOVE" => control(fetch::Fetch::parse(cursor)?),
            "CLOSE" => control(fetch::Close::parse(cursor)?),
            "DISCARD" => control(discard::Discard::parse(cursor)?),
            "EXECUTE" if !statement_set::StatementSet::is_next(cursor) => {
                Self::Prepared(prepared::PreparedControl::parse(cursor)?)
            }
            "PREPARE" | "DEALLOCATE" => Self::Prepared(prepared::PreparedControl::parse(cursor)?),
            "BEGIN" | "EXECUTE" | "STATEMENT" if statement_set::StatementSet::is_next(cursor) => {
                control(statement_set::StatementSet::parse(cursor, Purpose::Run)?)
            }
            "BEGIN" | "START" | "COMMIT" | "END" | "ROLLBACK" | "ABORT" | "SAVEPOINT" | "RELEASE" => {
                control(transaction::Transaction::parse(cursor)?)
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
            "TABLE" => control(create_table::CreateTable::parse(cursor)?),
            "VIEW" => control(create_view::CreateView::parse(cursor)?),
            "DATABASE" | "SCHEMA" => control(create_schema::CreateSchema::parse(cursor)?),
            "FUNCTION" => control(create_function::CreateFunction::parse(cursor)?),
            "ROLE" | "USER" | "GROUP" if at == 1 => control(create_role::RoleStatement::parse_create(cursor)?),
            "JOB" => create_job::CreateJob::parse(cursor)?,
            _ => return Err(refused::refused(cursor)),
        })
    }

    /// The columns that the statement gives; queries are planned for that elsewhere.
    pub fn result(&self, session: &Session) -> Option<SchemaRef> {
        match self {
            Self::Control(control) => control.result(session),
            Self::Explain(_) => Some(plan_text::schema()),
            Self::Empty
            | Self::Query(_)
            | Self::Insert(_)
            | Self::Change(_)
            | Self::OverQuery(_)
            | Self::Prepared(_) => None,
        }
    }

    /// What the statement changes, as a read-only transaction refuses it; `None`: nothing.
    pub fn writes(&self) -> Option<&'static str> {
        match self {
            Self::Control(control) => control.writes(),
            Self::Insert(_) => Some("INSERT"),
            Self::Change(change) => Some(verb_of(change)),
            Self::Empty | Self::Query(_) | Self::Explain(_) | Self::OverQuery(_) | Self::Prepared(_) => None,
        }
    }

    /// What only a superuser may do: what changes something and does not say that it asks for rights itself. What reads and writes rows
    /// asks for them where it is planned.
    pub fn wants(&self) -> Option<&'static str> {
        match self {
            Self::Control(control) if !control.has_own_rules() => control.writes(),
            _ => None,
        }
    }

    /// What it is to a statement set that is open.
    pub fn in_set(&self) -> InSet {
        match self {
            Self::Control(control) => control.in_set(),
            Self::Insert(_) | Self::Empty => InSet::Member,
            Self::Query(_) | Self::Change(_) | Self::Explain(_) | Self::OverQuery(_) | Self::Prepared(_) => {
                InSet::Refused
            }
        }
    }

    /// Whether the statement is allowed in a failed transaction block.
    pub fn ends_block(&self) -> bool {
        match self {
            Self::Control(control) => control.ends_block(),
            Self::Empty => true,
            Self::Query(_)
            | Self::Insert(_)
            | Self::Change(_)
            | Self::Explain(_)
            | Self::OverQuery(_)
            | Self::Prepared(_) => false,
        }
    }
}

fn verb_of(change: &ChangeRows) -> &'static str {
    if change.assignments.is_some() { "UPDATE" } else { "DELETE" }
}

fn control(statement: impl Control + 'static) -> Statement {
    Statement::Control(Arc::new(statement))
}

#[cfg(test)]
mod tests;
