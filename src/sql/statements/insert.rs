//! INSERT INTO: bounded sources run now and are counted; an unbounded source becomes a job.

use datafusion::sql::sqlparser::tokenizer::Token;

use crate::error::{Error, Result};
use crate::sql::parser::dialect::Cursor;
use crate::sql::parser::secret_options::mask;
use crate::sql::planning::planner::InsertInto;

/// INSERT INTO t [(columns)] query
#[derive(Debug, Clone)]
pub struct Insert {
    /// What it writes, and where.
    pub into: InsertInto,
    /// The statement's text with its secrets masked.
    pub text: String,
}

impl Insert {
    /// Reads the statement.
    ///
    /// # Errors
    /// A syntax error, or a clause that is refused.
    pub fn parse(cursor: &mut Cursor) -> Result<Self> {
        let from = cursor.position();
        cursor.expect_word("INSERT")?;
        if cursor.peek_words(&["OVERWRITE"]) {
            return Err(Error::unsupported("INSERT OVERWRITE is not supported").at(cursor.position()));
        }
        cursor.expect_word("INTO")?;
        if matches!(cursor.peek_nth(1), Token::Word(_)) {
            cursor.word("TABLE");
        }
        let position = cursor.position();
        let mut last = position;
        let mut table = vec![cursor.ident()?];
        while cursor.token(&Token::Period) {
            last = cursor.position();
            table.push(cursor.ident()?);
        }
        let options = cursor.hints.options.remove(&last).unwrap_or_default();
        if cursor.peek_words(&["PARTITION"]) {
            return Err(Error::unsupported("INSERT INTO … PARTITION is not supported").at(cursor.position()));
        }
        if cursor.peek_words(&["AS"]) {
            return Err(Error::unsupported("an alias of the table of INSERT is not supported").at(cursor.position()));
        }
        let mut columns = Vec::new();
        let is_query = ["SELECT", "WITH", "VALUES", "TABLE"]
            .iter()
            .any(|word| matches!(cursor.peek_nth(1), Token::Word(w) if w.quote_style.is_none() && w.value.eq_ignore_ascii_case(word)));
        if cursor.peek() == Token::LParen && !is_query && cursor.peek_nth(1) != Token::LParen {
            cursor.expect(&Token::LParen)?;
            loop {
                let at = cursor.position();
                columns.push((cursor.ident()?, at));
                if !cursor.token(&Token::Comma) {
                    break;
                }
            }
            cursor.expect(&Token::RParen)?;
        }
        if cursor.peek_words(&["DEFAULT", "VALUES"]) {
            return Err(Error::unsupported("INSERT … DEFAULT VALUES is not supported").at(cursor.position()));
        }
        let source = cursor.query()?;
        for refused in [&["ON", "CONFLICT"][..], &["RETURNING"]] {
            if cursor.peek_words(refused) {
                return Err(Error::unsupported(format!("{} is not supported", refused.join(" ")))
                    .at(cursor.position())
                    .hint("A table with a key is written by key: the last row of a key stands."));
            }
        }
        // A hint may stand after the last token.
        let to = cursor.position();
        let text = mask(cursor.slice(from, to).trim_end());
        let hints = cursor.hints.between(from, to);
        Ok(Self { into: InsertInto { table, position, options, columns, source, hints }, text })
    }
}
