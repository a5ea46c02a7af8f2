//! Names of roles as statements write them.

use datafusion::sql::sqlparser::tokenizer::Token;

use super::super::session::Session;
use crate::error::{Error, Result, SqlState};
use crate::sql::parser::{Cursor, fold};

/// A role: by its name, or the one that asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RoleName {
    /// By name.
    Named(String),
    /// CURRENT_USER, CURRENT_ROLE.
    Own,
    /// SESSION_USER.
    OfSession,
}

impl RoleName {
    /// Reads one.
    ///
    /// # Errors
    /// Something else is next.
    pub fn parse(cursor: &mut Cursor) -> Result<Self> {
        let ident = cursor.ident()?;
        let is_word = ident.quote_style.is_none();
        if is_word && ident.value.eq_ignore_ascii_case("SESSION_USER") {
            return Ok(Self::OfSession);
        }
        let own = ["CURRENT_USER", "CURRENT_ROLE"];
        if is_word && own.iter().any(|word| ident.value.eq_ignore_ascii_case(word)) {
            return Ok(Self::Own);
        }
        Ok(Self::Named(fold(&ident)))
    }

    /// Reads several, with commas between.
    ///
    /// # Errors
    /// Something else is next.
    pub fn parse_list(cursor: &mut Cursor) -> Result<Vec<Self>> {
        let mut names = vec![Self::parse(cursor)?];
        while cursor.token(&Token::Comma) {
            names.push(Self::parse(cursor)?);
        }
        Ok(names)
    }

    /// The name that is meant.
    pub fn of(&self, session: &Session) -> String {
        match self {
            Self::Named(name) => name.clone(),
            Self::Own => session.user(),
            Self::OfSession => session.session_user(),
        }
    }
}

/// Reads the name of a role that is to be.
///
/// # Errors
/// Something else is next, or the name is reserved (42939).
pub fn new_name(cursor: &mut Cursor) -> Result<String> {
    let position = cursor.position();
    let ident = cursor.ident()?;
    let name = fold(&ident);
    let is_word = ident.quote_style.is_none() && ["current_user", "current_role", "session_user"].contains(&&*name);
    if is_word || name.starts_with("pg_") || ["public", "none", ""].contains(&&*name) {
        return Err(Error::invalid(format!("role name \"{name}\" is reserved"))
            .code(SqlState::ReservedName)
            .at(position));
    }
    Ok(name)
}
