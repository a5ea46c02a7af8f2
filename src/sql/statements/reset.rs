//! RESET of one setting or of all.

use datafusion::sql::sqlparser::tokenizer::Token;

use super::super::session::{Outcome, Running, Session};
use super::control::Control;
use super::outcomes::done;
use crate::error::Result;
use crate::sql::parser::Cursor;
use crate::sql::session::settings::SESSION_AUTHORIZATION;

/// RESET [name | ALL]
#[derive(Debug, Clone)]
pub struct Reset {
    name: Option<String>,
}

impl Reset {
    /// Reads the statement.
    ///
    /// # Errors
    /// A syntax error.
    pub fn parse(cursor: &mut Cursor) -> Result<Self> {
        cursor.expect_word("RESET")?;
        if cursor.is_at_end() || cursor.word("ALL") {
            return Ok(Self { name: None });
        }
        if cursor.words(&["TIME", "ZONE"]) {
            return Ok(Self { name: Some("timezone".to_owned()) });
        }
        if cursor.words(&["SESSION", "AUTHORIZATION"]) {
            return Ok(Self { name: Some(SESSION_AUTHORIZATION.to_owned()) });
        }
        let name = match cursor.peek() {
            Token::SingleQuotedString(_) => cursor.string()?,
            _ => cursor.rest().chars().filter(|c| !c.is_whitespace() && *c != '"').collect(),
        };
        Ok(Self { name: Some(name) })
    }

    /// Resets.
    ///
    /// # Errors
    /// The setting is unknown.
    pub fn execute(&self, session: &mut Session) -> Result<Outcome> {
        match &self.name {
            Some(name) => session.reset_setting(name)?,
            None => session.settings_mut().reset_all(),
        }
        Ok(done("RESET"))
    }
}

impl Control for Reset {
    fn run<'a>(&'a self, session: &'a mut Session) -> Running<'a> {
        Box::pin(std::future::ready(self.execute(session)))
    }
}
