//! SET of both dialects: `SET 'k' = 'v'` (Flink), `SET [SESSION | LOCAL] k = v | TO v`, SET TIME ZONE (Postgres).

use datafusion::sql::sqlparser::tokenizer::Token;

use super::super::session::{Outcome, Running, Session, TransactionStatus};
use super::control::Control;
use super::outcomes::done;
use crate::error::{Error, Result};
use crate::sql::parser::{Cursor, fold};
use crate::sql::session::settings::{DEFAULT_READ_ONLY, READ_ONLY, ROLE, SESSION_AUTHORIZATION};

/// SET
#[derive(Debug, Clone)]
pub struct Set {
    name: String,
    /// `None` for DEFAULT.
    value: Option<String>,
    local: bool,
    position: usize,
    /// Another setting that the same words set.
    and: Option<(&'static str, Option<String>)>,
}

impl Set {
    /// Reads the statement.
    ///
    /// # Errors
    /// A syntax error.
    pub fn parse(cursor: &mut Cursor) -> Result<Self> {
        cursor.expect_word("SET")?;
        let position = cursor.position();
        let fixed = |name: &str, value: Option<String>, local| Self {
            name: name.to_owned(),
            value,
            local,
            position,
            and: None,
        };
        if cursor.words(&["SESSION", "CHARACTERISTICS", "AS", "TRANSACTION"]) {
            let modes = modes(cursor)?;
            let mut set = fixed("default_transaction_isolation", modes.isolation, false);
            if let Some(read_only) = modes.read_only {
                let value = Some(if read_only { "on" } else { "off" }.to_owned());
                if set.value.is_none() {
                    return Ok(fixed(DEFAULT_READ_ONLY, value, false));
                }
                set.and = Some((DEFAULT_READ_ONLY, value));
            }
            return Ok(set);
        }
        let is_authorization = cursor.peek_words(&["SESSION", "AUTHORIZATION"]);
        let local = cursor.word("LOCAL");
        if !local && !is_authorization {
            cursor.word("SESSION");
        }
        // `SET role = 'r'` is a setting like others.
        let is_assigned =
            |cursor: &Cursor| matches!(cursor.peek_nth(1), Token::Eq) || cursor.peek_words(&["ROLE", "TO"]);
        for (words, name, own) in
            [(&["SESSION", "AUTHORIZATION"][..], SESSION_AUTHORIZATION, "DEFAULT"), (&["ROLE"], ROLE, "NONE")]
        {
            if cursor.peek_words(words) && (words.len() > 1 || !is_assigned(cursor)) {
                cursor.words(words);
                let value = if cursor.word(own) { None } else { Some(role(cursor)?) };
                return Ok(fixed(name, value, local));
            }
        }
        if cursor.words(&["TIME", "ZONE"]) {
            let value = if cursor.word("LOCAL") || cursor.word("DEFAULT") { None } else { Some(value(cursor)?) };
            return Ok(fixed("timezone", value, local));
        }
        if cursor.word("NAMES") {
            let value = if cursor.word("DEFAULT") { None } else { Some(value(cursor)?) };
            return Ok(fixed("client_encoding", value, local));
        }
        if cursor.words(&["CONSTRAINTS", "ALL"]) {
            cursor.rest();
            return Ok(fixed("default_tablespace", None, local)); // no constraint can be deferred
        }
        let name = match cursor.peek() {
            Token::SingleQuotedString(_) => cursor.string()?,
            _ => {
                let from = cursor.position();
                while !matches!(cursor.peek(), Token::Eq | Token::EOF) && !cursor.peek_words(&["TO"]) {
                    cursor.take();
                }
                cursor.slice(from, cursor.last_end()).chars().filter(|c| !c.is_whitespace() && *c != '"').collect()
            }
        };
        if !cursor.token(&Token::Eq) && !cursor.word("TO") {
            return Err(cursor.expected("= or TO"));
        }
        let value = if cursor.peek_words(&["DEFAULT"]) {
            cursor.take();
            None
        } else {
            Some(value(cursor)?)
        };
        Ok(Self { name, value, local, position, and: None })
    }

    /// Sets.
    ///
    /// # Errors
    /// The setting is unknown, or does not take the value.
    pub fn execute(&self, session: &mut Session) -> Result<Outcome> {
        if self.local && session.transaction_status() == TransactionStatus::Idle {
            session.warning("SET LOCAL can only be used in transaction blocks".to_owned());
            return Ok(done("SET"));
        }
        let at = |error: Error| error.at(self.position);
        if self.name.eq_ignore_ascii_case(READ_ONLY) {
            if session.transaction_status() == TransactionStatus::Idle {
                session.warning("SET transaction_read_only can only be used in transaction blocks".to_owned());
                return Ok(done("SET"));
            }
            session.settings_mut().begin_local(READ_ONLY).map_err(at)?;
        }
        if let Some((name, Some(value))) = &self.and {
            session.settings_mut().set(name, value).map_err(at)?;
        }
        if self.local {
            session.begin_local(&self.name).map_err(at)?;
        }
        match &self.value {
            Some(value) => session.set_setting(&self.name, value).map_err(at)?,
            None => session.reset_setting(&self.name).map_err(at)?,
        }
        if let Some(why) = session.settings().without_effect(&self.name) {
            session.notice(format!("{}: {}", self.name, why.trim_end_matches('.').replacen("Without", "without", 1)));
        }
        Ok(done("SET"))
    }
}

impl Control for Set {
    fn run<'a>(&'a self, session: &'a mut Session) -> Running<'a> {
        Box::pin(std::future::ready(self.execute(session)))
    }
}

/// What a transaction is to be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Modes {
    /// Isolation level, if given.
    pub isolation: Option<String>,
    /// READ ONLY or READ WRITE, if given.
    pub read_only: Option<bool>,
}

/// Reads `ISOLATION LEVEL … [, READ ONLY]`.
///
/// # Errors
/// A syntax error.
pub fn modes(cursor: &mut Cursor) -> Result<Modes> {
    let mut modes = Modes::default();
    loop {
        if cursor.words(&["ISOLATION", "LEVEL"]) {
            let known = ["READ COMMITTED", "READ UNCOMMITTED", "REPEATABLE READ", "SERIALIZABLE"];
            let found = known.iter().find(|known| cursor.words(&known.split(' ').collect::<Vec<_>>()));
            modes.isolation = Some(found.ok_or_else(|| cursor.error())?.to_lowercase());
        } else if cursor.words(&["READ", "ONLY"]) {
            modes.read_only = Some(true);
        } else if cursor.words(&["READ", "WRITE"]) {
            modes.read_only = Some(false);
        } else if !(cursor.words(&["NOT", "DEFERRABLE"]) || cursor.word("DEFERRABLE")) {
            return Ok(modes);
        }
        cursor.token(&Token::Comma);
    }
}

/// The name of a role, as a word or in quotes of either kind.
fn role(cursor: &mut Cursor) -> Result<String> {
    match cursor.peek() {
        Token::SingleQuotedString(_) => cursor.string(),
        _ => Ok(fold(&cursor.ident()?)),
    }
}

fn value(cursor: &mut Cursor) -> Result<String> {
    let mut values = Vec::new();
    loop {
        let part = match cursor.peek() {
            Token::SingleQuotedString(_) | Token::EscapedStringLiteral(_) | Token::DollarQuotedString(_) => {
                cursor.string()?
            }
            Token::EOF | Token::SemiColon | Token::Comma => return Err(cursor.error()),
            _ => {
                let from = cursor.position();
                while !matches!(cursor.peek(), Token::Comma | Token::EOF | Token::SemiColon) {
                    cursor.take();
                }
                cursor.slice(from, cursor.last_end())
            }
        };
        values.push(part);
        if !cursor.token(&Token::Comma) {
            return Ok(values.join(", "));
        }
    }
}
