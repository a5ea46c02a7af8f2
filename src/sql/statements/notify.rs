//! LISTEN, UNLISTEN and NOTIFY.

use datafusion::sql::sqlparser::tokenizer::Token;

use super::control::Control;
use super::done;
use crate::error::Result;
use crate::sql::activity::Listening;
use crate::sql::parser::{Cursor, fold};
use crate::sql::session::{Outcome, Running, Session};

/// LISTEN channel | UNLISTEN {channel | *}
#[derive(Debug, Clone)]
pub struct Listen {
    change: Listening,
}

impl Listen {
    /// Reads the statement.
    ///
    /// # Errors
    /// A syntax error.
    pub fn parse(cursor: &mut Cursor) -> Result<Self> {
        if cursor.word("LISTEN") {
            return Ok(Self { change: Listening::To(fold(&cursor.ident()?)) });
        }
        cursor.expect_word("UNLISTEN")?;
        let channel = if cursor.token(&Token::Mul) { None } else { Some(fold(&cursor.ident()?)) };
        Ok(Self { change: Listening::NotTo(channel) })
    }

    fn execute(&self, session: &Session) -> Result<Outcome> {
        session.backend().announcements.listen(self.change.clone())?;
        Ok(done(match self.change {
            Listening::To(_) => "LISTEN",
            Listening::NotTo(_) => "UNLISTEN",
        }))
    }
}

impl Control for Listen {
    fn run<'a>(&'a self, session: &'a mut Session) -> Running<'a> {
        Box::pin(std::future::ready(self.execute(session)))
    }
}

/// NOTIFY channel [, 'payload']
#[derive(Debug, Clone)]
pub struct Notify {
    channel: String,
    payload: String,
}

impl Notify {
    /// Reads the statement.
    ///
    /// # Errors
    /// A syntax error.
    pub fn parse(cursor: &mut Cursor) -> Result<Self> {
        cursor.expect_word("NOTIFY")?;
        let channel = fold(&cursor.ident()?);
        let payload = if cursor.token(&Token::Comma) { cursor.string()? } else { String::new() };
        Ok(Self { channel, payload })
    }
}

impl Control for Notify {
    fn run<'a>(&'a self, session: &'a mut Session) -> Running<'a> {
        let said = session.backend().announcements.say(&self.channel, &self.payload).map(|()| done("NOTIFY"));
        Box::pin(std::future::ready(said))
    }
}
