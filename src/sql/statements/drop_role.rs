//! DROP ROLE, USER and GROUP.

use super::super::session::{Outcome, Running, Session};
use super::control::Control;
use super::create_role::change;
use super::outcomes::done;
use super::role_name::RoleName;
use crate::catalog::role::RoleChange;
use crate::error::{Error, Result, SqlState};
use crate::sql::parser::Cursor;

/// DROP ROLE [IF EXISTS] name, …
#[derive(Debug, Clone)]
pub struct DropRole {
    names: Vec<RoleName>,
    if_exists: bool,
}

impl DropRole {
    /// Whether it comes next.
    pub fn is_next(cursor: &Cursor) -> bool {
        ["ROLE", "USER", "GROUP"].iter().any(|kind| cursor.peek_words(&["DROP", kind]))
    }

    /// Reads the statement.
    ///
    /// # Errors
    /// A syntax error.
    pub fn parse(cursor: &mut Cursor) -> Result<Self> {
        cursor.expect_word("DROP")?;
        cursor.take();
        let if_exists = cursor.words(&["IF", "EXISTS"]);
        Ok(Self { names: RoleName::parse_list(cursor)?, if_exists })
    }

    fn execute(&self, session: &mut Session) -> Result<Outcome> {
        for name in &self.names {
            let name = name.of(session);
            if self.if_exists && !session.snapshot()?.roles.contains_key(&name) {
                session.notice(format!("role \"{name}\" does not exist, skipping"));
                continue;
            }
            session.require_role_control("drop", &name)?;
            if name == session.user() {
                return Err(Error::invalid("current user cannot be dropped").code(SqlState::ObjectInUse));
            }
            if name == session.session_user() {
                return Err(Error::invalid("session user cannot be dropped").code(SqlState::ObjectInUse));
            }
            change(session, RoleChange::Drop { name })?;
        }
        Ok(done("DROP ROLE"))
    }
}

impl Control for DropRole {
    fn writes(&self) -> Option<&'static str> {
        Some("DROP ROLE")
    }

    fn has_own_rules(&self) -> bool {
        true
    }

    fn run<'a>(&'a self, session: &'a mut Session) -> Running<'a> {
        Box::pin(std::future::ready(self.execute(session)))
    }
}
