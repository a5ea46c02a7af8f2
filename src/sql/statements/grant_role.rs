//! GRANT role TO member and REVOKE role FROM member: who is in which role.

use super::super::session::{Outcome, Running, Session};
use super::control::Control;
use super::create_role::{change, not_to_grant};
use super::outcomes::done;
use super::role_name::RoleName;
use crate::catalog::role::{RoleChange, missing, oid_of};
use crate::error::{Error, Result};
use crate::sql::parser::Cursor;

/// GRANT role, … TO member, … [WITH ADMIN OPTION]; REVOKE [ADMIN OPTION FOR] role, … FROM member, …
#[derive(Debug, Clone)]
pub struct GrantRole {
    is_grant: bool,
    roles: Vec<RoleName>,
    members: Vec<RoleName>,
    admin: bool,
}

impl GrantRole {
    /// Reads the statement.
    ///
    /// # Errors
    /// A syntax error.
    pub fn parse(cursor: &mut Cursor) -> Result<Self> {
        let is_grant = cursor.word("GRANT");
        if !is_grant {
            cursor.expect_word("REVOKE")?;
        }
        let mut admin = !is_grant && cursor.words(&["ADMIN", "OPTION", "FOR"]);
        let roles = RoleName::parse_list(cursor)?;
        cursor.expect_word(if is_grant { "TO" } else { "FROM" })?;
        let members = RoleName::parse_list(cursor)?;
        if is_grant && cursor.word("WITH") {
            cursor.expect_word("ADMIN")?;
            admin = cursor.word("OPTION") || cursor.word("TRUE");
            if !admin {
                return Err(cursor.expected("OPTION"));
            }
        }
        if cursor.words(&["GRANTED", "BY"]) {
            return Err(Error::unsupported("GRANTED BY is not supported").at(cursor.position()));
        }
        if !is_grant && cursor.word("CASCADE") {
            return Err(Error::unsupported("REVOKE … CASCADE is not supported: grants do not depend on one another"));
        }
        if !is_grant {
            cursor.word("RESTRICT");
        }
        Ok(Self { is_grant, roles, members, admin })
    }

    fn execute(&self, session: &mut Session) -> Result<Outcome> {
        for role in &self.roles {
            let role = role.of(session);
            if !session.may_grant(&role)? {
                return Err(match self.is_grant {
                    true => not_to_grant(&role),
                    false => Error::denied(format!("permission denied to revoke role \"{role}\""))
                        .detail(format!("Only roles with the ADMIN option on role \"{role}\" may revoke this role.")),
                });
            }
            for member in &self.members {
                self.one(session, &role, &member.of(session))?;
            }
        }
        Ok(done(if self.is_grant { "GRANT ROLE" } else { "REVOKE ROLE" }))
    }

    fn one(&self, session: &mut Session, role: &str, member: &str) -> Result<()> {
        let snapshot = session.snapshot()?;
        let oid = oid_of(&snapshot.roles, role).ok_or_else(|| missing(role))?;
        let known = snapshot.roles.get(member).ok_or_else(|| missing(member))?.member_of.get(&oid).copied();
        let (role, member, admin) = (role.to_owned(), member.to_owned(), self.admin);
        if self.is_grant {
            if known.is_some_and(|has_admin| has_admin || !admin) {
                session.notice(format!("role \"{member}\" is already a member of role \"{role}\""));
                return Ok(());
            }
            return change(session, RoleChange::Grant { role, member, admin });
        }
        if known.is_none() {
            session.warning(format!("role \"{member}\" is not a member of role \"{role}\""));
            return Ok(());
        }
        change(session, RoleChange::Revoke { role, member, admin_only: admin })
    }
}

impl Control for GrantRole {
    fn writes(&self) -> Option<&'static str> {
        Some(if self.is_grant { "GRANT ROLE" } else { "REVOKE ROLE" })
    }

    fn has_own_rules(&self) -> bool {
        true
    }

    fn run<'a>(&'a self, session: &'a mut Session) -> Running<'a> {
        Box::pin(std::future::ready(self.execute(session)))
    }
}
