//! Clauses of statements that change rows: SET, RETURNING, ON CONFLICT.

use datafusion::sql::sqlparser::ast;
use datafusion::sql::sqlparser::tokenizer::Token;

use crate::error::{Error, Result, SqlState};
use crate::sql::parser::Cursor;
use crate::sql::planning::planner::{Assignment, ConflictTarget, OnConflict};

/// Reads RETURNING, if it is next.
///
/// # Errors
/// A syntax error.
pub fn returning(cursor: &mut Cursor) -> Result<Option<Vec<ast::SelectItem>>> {
    if cursor.word("RETURNING") { cursor.select_list().map(Some) } else { Ok(None) }
}

/// Reads what stands behind SET.
///
/// # Errors
/// A syntax error, or several columns at once.
pub fn assignments(cursor: &mut Cursor) -> Result<Vec<Assignment>> {
    let mut assignments = Vec::new();
    loop {
        let position = cursor.position();
        if cursor.peek() == Token::LParen {
            return Err(Error::unsupported("SET of several columns at once is not supported")
                .hint("Write SET a = …, b = …")
                .at(position));
        }
        let column = cursor.ident()?;
        if matches!(cursor.peek(), Token::Period | Token::LBracket) {
            return Err(Error::unsupported("SET of a part of a column is not supported").at(cursor.position()));
        }
        cursor.expect(&Token::Eq)?;
        let is_default = cursor.peek_words(&["DEFAULT"]);
        let value = if is_default { None } else { Some(cursor.expr()?) };
        if is_default {
            cursor.take();
        }
        assignments.push(Assignment { column, position, value });
        if !cursor.token(&Token::Comma) {
            return Ok(assignments);
        }
    }
}

/// Reads WHERE, if it is next.
///
/// # Errors
/// A syntax error.
pub fn selection(cursor: &mut Cursor) -> Result<Option<ast::Expr>> {
    let position = cursor.position();
    if !cursor.word("WHERE") {
        return Ok(None);
    }
    if cursor.peek_words(&["CURRENT", "OF"]) {
        return Err(Error::unsupported("WHERE CURRENT OF is not supported").at(position));
    }
    cursor.expr().map(Some)
}

/// Reads ON CONFLICT, if it is next.
///
/// # Errors
/// A syntax error, or an index expression.
pub fn on_conflict(cursor: &mut Cursor) -> Result<Option<OnConflict>> {
    let position = cursor.position();
    if !cursor.words(&["ON", "CONFLICT"]) {
        return Ok(None);
    }
    let target = if cursor.words(&["ON", "CONSTRAINT"]) {
        ConflictTarget::Constraint(cursor.ident()?)
    } else if cursor.peek() == Token::LParen {
        ConflictTarget::Columns(cursor.idents()?)
    } else {
        ConflictTarget::Any
    };
    if cursor.peek_words(&["WHERE"]) {
        return Err(Error::unsupported("ON CONFLICT (…) WHERE is not supported: there are no partial indexes")
            .at(cursor.position()));
    }
    cursor.expect_word("DO")?;
    let update = if cursor.word("NOTHING") {
        None
    } else {
        cursor.expect_word("UPDATE")?;
        cursor.expect_word("SET")?;
        let assignments = assignments(cursor)?;
        Some((assignments, selection(cursor)?))
    };
    Ok(Some(OnConflict { position, target, update }))
}

/// Refuses what stands in brackets or lists where one table is named.
///
/// # Errors
/// 42601: it does.
pub fn table_name(cursor: &mut Cursor) -> Result<Vec<ast::Ident>> {
    cursor.word("ONLY");
    let name = cursor.name()?;
    cursor.token(&Token::Mul);
    if name.len() > 3 {
        return Err(Error::invalid("improper qualified name (too many dotted names)").code(SqlState::SyntaxError));
    }
    Ok(name)
}
