//! DELETE FROM t WHERE …: takes rows out of a table that the server keeps.

use datafusion::sql::sqlparser::tokenizer::Token;

use super::row_clauses;
use crate::error::{Error, Result};
use crate::sql::parser::Cursor;
use crate::sql::planning::planner::ChangeRows;

/// Reads the statement.
///
/// # Errors
/// A syntax error, or USING.
pub fn parse(cursor: &mut Cursor) -> Result<ChangeRows> {
    cursor.expect_word("DELETE")?;
    cursor.expect_word("FROM")?;
    let position = cursor.position();
    let table = row_clauses::table_name(cursor)?;
    let goes_on = ["WHERE", "USING", "RETURNING"].iter().any(|word| cursor.peek_words(&[word]));
    let is_named = cursor.word("AS") || !goes_on && matches!(cursor.peek(), Token::Word(_));
    let alias = if is_named { Some(cursor.ident()?) } else { None };
    if cursor.peek_words(&["USING"]) {
        return Err(Error::unsupported("DELETE … USING is not supported")
            .hint("Use a sub-query: WHERE EXISTS (SELECT …).")
            .at(cursor.position()));
    }
    let selection = row_clauses::selection(cursor)?;
    let returning = row_clauses::returning(cursor)?;
    let hints = cursor.hints.clone();
    Ok(ChangeRows { table, position, alias, assignments: None, selection, returning, hints })
}
