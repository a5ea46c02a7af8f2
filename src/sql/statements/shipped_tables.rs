//! Tables that a statement presupposes and the server can declare: those that DynamoDB has already and whose columns it knows.

use super::create_table::CreateTable;
use crate::error::{Error, Result, SqlState};
use crate::sql::parser::Cursor;
use crate::sql::planning::names::missing_text;
use crate::sql::planning::shipped;
use crate::sql::session::Session;

/// After an error: declares the table that was missing, if the server knows its columns and DynamoDB has it. Tells whether it did, so
/// that the statement can be tried again.
pub async fn declare_missing(session: &mut Session, error: &Error) -> bool {
    if error.sqlstate() != SqlState::UndefinedTable {
        return false;
    }
    let Some(table) = shipped::tables().find(|table| error.message().ends_with(&missing_text(table))) else {
        return false;
    };
    let undo = session.pending.len();
    let notices = session.notices.len();
    match declare_shipped(session, table).await {
        Ok(declared) => declared,
        Err(error) => {
            tracing::debug!(table, %error, "not declared by itself");
            session.drop_pending(undo);
            session.notices.truncate(notices);
            false
        }
    }
}

async fn declare_shipped(session: &mut Session, table: &str) -> Result<bool> {
    let Some(text) = shipped::declaration(table) else { return Ok(false) };
    let statement = read(text.trim_end_matches(';'))?;
    if !statement.is_there(session).await? {
        return Ok(false);
    }
    statement.execute(session).await?;
    session
        .notice_with(format!("table \"{table}\" is declared by itself: DynamoDB has a table of that name"), Some(text));
    Ok(true)
}

fn read(text: &str) -> Result<CreateTable> {
    let mut cursor = Cursor::new(text)?;
    let statement = CreateTable::parse(&mut cursor)?;
    cursor.end()?;
    Ok(statement)
}
