//! UPDATE t SET … WHERE …: new values in rows of a table that the server keeps.

use super::row_clauses;
use crate::error::{Error, Result};
use crate::sql::parser::Cursor;
use crate::sql::planning::planner::ChangeRows;

/// Reads the statement.
///
/// # Errors
/// A syntax error, or FROM.
pub fn parse(cursor: &mut Cursor) -> Result<ChangeRows> {
    cursor.expect_word("UPDATE")?;
    let position = cursor.position();
    let table = row_clauses::table_name(cursor)?;
    let alias = if cursor.word("AS") || !cursor.peek_words(&["SET"]) { Some(cursor.ident()?) } else { None };
    cursor.expect_word("SET")?;
    let assignments = Some(row_clauses::assignments(cursor)?);
    if cursor.peek_words(&["FROM"]) {
        return Err(Error::unsupported("UPDATE … FROM is not supported")
            .hint("Use a sub-query: SET a = (SELECT …) WHERE EXISTS (SELECT …).")
            .at(cursor.position()));
    }
    let selection = row_clauses::selection(cursor)?;
    let returning = row_clauses::returning(cursor)?;
    let hints = cursor.hints.clone();
    Ok(ChangeRows { table, position, alias, assignments, selection, returning, hints })
}
