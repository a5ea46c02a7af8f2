//! FETCH, MOVE and CLOSE: the rows of a cursor, a motion without them, and its end.

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::sql::sqlparser::tokenizer::Token;
use futures::TryStreamExt;

use super::control::Control;
use super::done;
use crate::error::{Error, Result};
use crate::sql::parser::{Cursor, fold};
use crate::sql::session::{Motion, Outcome, Running, Session};

/// FETCH | MOVE [direction] [FROM | IN] name
#[derive(Debug, Clone)]
pub struct Fetch {
    name: String,
    motion: Motion,
    gives_rows: bool,
}

impl Fetch {
    /// Reads the statement.
    ///
    /// # Errors
    /// A syntax error.
    pub fn parse(cursor: &mut Cursor) -> Result<Self> {
        let gives_rows = cursor.word("FETCH");
        if !gives_rows {
            cursor.expect_word("MOVE")?;
        }
        let motion = motion(cursor)?;
        if !cursor.word("FROM") {
            cursor.word("IN");
        }
        Ok(Self { name: fold(&cursor.ident()?), motion, gives_rows })
    }

    async fn execute(&self, session: &mut Session) -> Result<Outcome> {
        let (schema, mut stream) = session.move_cursor(&self.name, self.motion)?;
        if self.gives_rows {
            return Ok(Outcome::Rows { verb: "FETCH", schema, stream });
        }
        let mut rows = 0;
        while let Some(batch) = stream.try_next().await.map_err(Error::from)? {
            rows += batch.num_rows();
        }
        Ok(done(format!("MOVE {rows}")))
    }
}

impl Control for Fetch {
    fn result(&self, session: &Session) -> Option<SchemaRef> {
        self.gives_rows.then(|| session.cursor_schema(&self.name)).flatten()
    }

    fn run<'a>(&'a self, session: &'a mut Session) -> Running<'a> {
        Box::pin(self.execute(session))
    }
}

/// The direction; NEXT where there is none.
fn motion(cursor: &mut Cursor) -> Result<Motion> {
    Ok(if cursor.word("NEXT") {
        Motion::Forward(Some(1))
    } else if cursor.word("PRIOR") {
        Motion::Backward(Some(1))
    } else if cursor.word("FIRST") {
        Motion::Absolute(1)
    } else if cursor.word("LAST") {
        Motion::Absolute(-1)
    } else if cursor.word("ABSOLUTE") {
        Motion::Absolute(expected_count(cursor)?)
    } else if cursor.word("RELATIVE") {
        Motion::Relative(expected_count(cursor)?)
    } else if cursor.word("ALL") {
        Motion::Forward(None)
    } else if cursor.word("FORWARD") {
        if cursor.word("ALL") { Motion::Forward(None) } else { forward(count(cursor)?.unwrap_or(1)) }
    } else if cursor.word("BACKWARD") {
        if cursor.word("ALL") { Motion::Backward(None) } else { backward(count(cursor)?.unwrap_or(1)) }
    } else {
        forward(count(cursor)?.unwrap_or(1))
    })
}

fn forward(rows: i64) -> Motion {
    if rows < 0 { Motion::Backward(Some(rows.unsigned_abs())) } else { Motion::Forward(Some(rows.unsigned_abs())) }
}

fn backward(rows: i64) -> Motion {
    if rows < 0 { Motion::Forward(Some(rows.unsigned_abs())) } else { Motion::Backward(Some(rows.unsigned_abs())) }
}

/// A whole number, if one comes next.
fn count(cursor: &mut Cursor) -> Result<Option<i64>> {
    let begins = |token: &Token| matches!(token, Token::Minus | Token::Plus | Token::Number(..));
    if begins(&cursor.peek()) { expected_count(cursor).map(Some) } else { Ok(None) }
}

fn expected_count(cursor: &mut Cursor) -> Result<i64> {
    let is_negative = cursor.token(&Token::Minus);
    if !is_negative {
        cursor.token(&Token::Plus);
    }
    let Token::Number(digits, _) = cursor.peek() else { return Err(cursor.expected("a whole number")) };
    let text = if is_negative { format!("-{digits}") } else { digits };
    let number = text.parse().map_err(|_| cursor.expected("a whole number"))?;
    cursor.take();
    Ok(number)
}

/// CLOSE name | ALL
#[derive(Debug, Clone)]
pub struct Close {
    /// `None` for ALL.
    name: Option<String>,
}

impl Close {
    /// Reads the statement.
    ///
    /// # Errors
    /// A syntax error.
    pub fn parse(cursor: &mut Cursor) -> Result<Self> {
        cursor.expect_word("CLOSE")?;
        Ok(Self { name: if cursor.word("ALL") { None } else { Some(fold(&cursor.ident()?)) } })
    }

    fn execute(&self, session: &mut Session) -> Result<Outcome> {
        match &self.name {
            Some(name) => session.close_cursor(name).map(|()| done("CLOSE CURSOR")),
            None => {
                session.close_all_cursors();
                Ok(done("CLOSE CURSOR ALL"))
            }
        }
    }
}

impl Control for Close {
    fn run<'a>(&'a self, session: &'a mut Session) -> Running<'a> {
        Box::pin(std::future::ready(self.execute(session)))
    }
}
