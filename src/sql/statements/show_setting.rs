//! SHOW setting, SHOW ALL, and Flink's SET without arguments.

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::sql::sqlparser::tokenizer::Token;

use super::super::session::{Outcome, Running, Session};
use super::control::Control;
use super::outcomes::{text_rows, text_schema};
use crate::error::{Result, SqlState};
use crate::sql::parser::Cursor;

/// Shows how many cancelled statements compute on, since they do not come to a pause.
const UNSTOPPABLE: &str = "streamgate.unstoppable_queries";

/// SHOW name | ALL
#[derive(Debug, Clone)]
pub struct ShowSetting {
    name: Option<String>,
}

impl ShowSetting {
    /// Reads the statement.
    ///
    /// # Errors
    /// A syntax error.
    pub fn parse(cursor: &mut Cursor) -> Result<Self> {
        if cursor.word("SET") {
            return Ok(Self { name: None });
        }
        cursor.expect_word("SHOW")?;
        if cursor.word("ALL") {
            return Ok(Self { name: None });
        }
        let name = if cursor.words(&["TRANSACTION", "ISOLATION", "LEVEL"]) {
            "transaction_isolation".to_owned()
        } else if cursor.words(&["TIME", "ZONE"]) {
            "timezone".to_owned()
        } else if cursor.words(&["SESSION", "AUTHORIZATION"]) {
            "session_authorization".to_owned()
        } else if matches!(cursor.peek(), Token::SingleQuotedString(_)) {
            cursor.string()?
        } else {
            if !matches!(cursor.peek(), Token::Word(_)) {
                return Err(cursor.error());
            }
            let position = cursor.position();
            let name: String = cursor.rest();
            if name.contains(char::is_whitespace) {
                return Err(crate::error::Error::invalid(format!("syntax error at or near \"{name}\""))
                    .code(SqlState::SyntaxError)
                    .at(position));
            }
            name.chars().filter(|c| *c != '"').collect()
        };
        Ok(Self { name: Some(name) })
    }

    /// Its columns.
    pub fn schema(&self, session: &Session) -> SchemaRef {
        match &self.name {
            Some(name) if name.eq_ignore_ascii_case(UNSTOPPABLE) => text_schema(&[UNSTOPPABLE]),
            Some(name) => text_schema(&[session.settings().display_name(name).as_str()]),
            None => text_schema(&["name", "setting", "description"]),
        }
    }

    /// Shows.
    ///
    /// # Errors
    /// The setting is unknown.
    pub fn execute(&self, session: &mut Session) -> Result<Outcome> {
        let rows = match &self.name {
            Some(name) if name.eq_ignore_ascii_case(UNSTOPPABLE) => {
                vec![vec![Some(session.server().queries.unstoppable().to_string())]]
            }
            Some(name) => vec![vec![Some(session.settings().get(name)?)]],
            None => session
                .settings()
                .all()
                .into_iter()
                .map(|(name, value, description)| vec![Some(name), Some(value), Some(description.to_owned())])
                .collect(),
        };
        text_rows("SHOW", self.schema(session), &rows)
    }
}

impl Control for ShowSetting {
    fn result(&self, session: &Session) -> Option<SchemaRef> {
        Some(self.schema(session))
    }

    fn run<'a>(&'a self, session: &'a mut Session) -> Running<'a> {
        Box::pin(std::future::ready(self.execute(session)))
    }
}
