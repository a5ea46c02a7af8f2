//! GRANT and REVOKE of rights on objects: what is granted, on what, to whom. The rules are PostgreSQL's. Jobs have the right OPERATE, for which
//! PostgreSQL has no word, and connectors are its foreign-data wrappers.

use std::collections::BTreeSet;

use datafusion::sql::sqlparser::ast::Ident;
use datafusion::sql::sqlparser::tokenizer::Token;

use super::super::session::{Outcome, Running, Session};
use super::control::Control;
use super::grant_objects::Objects;
use super::outcomes::done;
use super::role_name::RoleName;
use crate::catalog::rights::{self, Access, GrantChange, Kind, PUBLIC, Privilege};
use crate::catalog::role::{missing, oid_of, with_inherited};
use crate::catalog::{Change, Object, Snapshot};
use crate::error::{Error, Result, SqlState};
use crate::sql::parser::Cursor;
use crate::sql::privileges::Actor;

/// GRANT privilege, … ON objects TO role, … [WITH GRANT OPTION]; REVOKE [GRANT OPTION FOR] privilege, … ON objects FROM role, … [CASCADE]
#[derive(Debug, Clone)]
pub struct GrantRights {
    is_grant: bool,
    option: bool,
    /// Absent: ALL.
    privileges: Option<Vec<Privilege>>,
    objects: Objects,
    /// Absent: PUBLIC.
    grantees: Vec<Option<RoleName>>,
    granted_by: Option<RoleName>,
    cascade: bool,
}

impl GrantRights {
    /// Whether a GRANT or REVOKE is of rights on objects, not of roles.
    pub fn is_next(cursor: &Cursor) -> bool {
        let mut at = 1;
        loop {
            match cursor.peek_nth(at) {
                Token::Word(word) if word.quote_style.is_none() => match word.value.to_uppercase().as_str() {
                    "ON" => return true,
                    "TO" | "FROM" => return false,
                    _ => at += 1,
                },
                Token::EOF => return false,
                _ => at += 1,
            }
        }
    }

    /// Reads the statement.
    ///
    /// # Errors
    /// A syntax error, or what has no rights here.
    pub fn parse(cursor: &mut Cursor) -> Result<Self> {
        let is_grant = cursor.word("GRANT");
        if !is_grant {
            cursor.expect_word("REVOKE")?;
        }
        let mut option = !is_grant && cursor.words(&["GRANT", "OPTION", "FOR"]);
        let privileges = privileges(cursor)?;
        cursor.expect_word("ON")?;
        let objects = Objects::parse(cursor)?;
        cursor.expect_word(if is_grant { "TO" } else { "FROM" })?;
        let mut grantees = Vec::new();
        loop {
            cursor.word("GROUP");
            grantees.push(if cursor.word("PUBLIC") { None } else { Some(RoleName::parse(cursor)?) });
            if !cursor.token(&Token::Comma) {
                break;
            }
        }
        if is_grant && cursor.word("WITH") {
            cursor.expect_word("GRANT")?;
            cursor.expect_word("OPTION")?;
            option = true;
        }
        let granted_by = if cursor.words(&["GRANTED", "BY"]) { Some(RoleName::parse(cursor)?) } else { None };
        let cascade = !is_grant && cursor.word("CASCADE");
        if !is_grant && !cascade {
            cursor.word("RESTRICT");
        }
        Ok(Self { is_grant, option, privileges, objects, grantees, granted_by, cascade })
    }

    fn execute(&self, session: &mut Session) -> Result<Outcome> {
        if !session.has_role() && session.snapshot()?.roles.is_empty() {
            return Err(Error::invalid("there are no roles yet")
                .code(SqlState::ObjectNotInPrerequisiteState)
                .detail("Without roles whoever connects on this machine may do everything.")
                .hint("CREATE ROLE name SUPERUSER LOGIN PASSWORD '…' makes the first one."));
        }
        let objects = self.objects.find(session)?;
        let mut grantees = BTreeSet::new();
        for grantee in &self.grantees {
            grantees.insert(match grantee {
                None => PUBLIC,
                Some(name) => {
                    let name = name.of(session);
                    oid_of(&session.snapshot()?.roles, &name).ok_or_else(|| missing(&name))?
                }
            });
        }
        if let Some(by) = &self.granted_by
            && by.of(session) != session.user()
        {
            return Err(Error::unsupported("grantor must be current user").hint("SET ROLE to the grantor first."));
        }
        for object in objects {
            for grantee in &grantees {
                self.one(session, &object, *grantee)?;
            }
        }
        Ok(done(if self.is_grant { "GRANT" } else { "REVOKE" }))
    }

    fn one(&self, session: &mut Session, object: &Object, grantee: u32) -> Result<()> {
        let (snapshot, actor) = (session.snapshot()?, session.actor()?);
        let Some((kind, access)) = snapshot.access(object) else { return Ok(()) };
        let wanted = match &self.privileges {
            None => kind.privileges().to_vec(),
            Some(privileges) => {
                if let Some(other) = privileges.iter().find(|privilege| !kind.privileges().contains(privilege)) {
                    let message = format!("invalid privilege type {} for {}", other.word(), kind.noun());
                    return Err(Error::invalid(message).code(SqlState::InvalidGrantOperation));
                }
                privileges.clone()
            }
        };
        let (grantor, may_give) = grantor(&snapshot, actor, &access, kind, &wanted);
        if may_give.is_empty() {
            // As in PostgreSQL, whoever has some right on the object is only warned.
            let has_some = match actor {
                Actor::Everything => true,
                Actor::Role(role) => {
                    let has =
                        |privilege: &&Privilege| rights::may(&snapshot.roles, role, &access, kind, **privilege, false);
                    kind.privileges().iter().any(|privilege| has(&privilege))
                }
            };
            if !has_some {
                return Err(Error::denied(format!("permission denied for {} {}", kind.noun(), object.name())));
            }
        }
        if may_give.len() < wanted.len() {
            let verb = if self.is_grant { "granted" } else { "revoked" };
            let what = match (may_give.is_empty(), self.is_grant) {
                (true, true) => "no privileges were",
                (true, false) => "no privileges could be",
                (false, true) => "not all privileges were",
                (false, false) => "not all privileges could be",
            };
            session.warning(format!("{what} {verb} for \"{}\"", object.name()));
        }
        if may_give.is_empty() {
            return Ok(());
        }
        let change = GrantChange {
            is_grant: self.is_grant,
            privileges: may_give,
            option: self.option,
            grantor,
            grantee,
            cascade: self.cascade,
        };
        session.change(Change::Grant { object: object.clone(), change: Box::new(change) })
    }
}

/// In whose name rights are given, and which of those that are wanted may be.
fn grantor(
    snapshot: &Snapshot,
    actor: Actor,
    access: &Access,
    kind: Kind,
    wanted: &[Privilege],
) -> (u32, Vec<Privilege>) {
    let role = match actor {
        // In the owner's name, as if he had said it.
        _ if actor.has_rights_of(snapshot, access.owner) => return (access.owner, wanted.to_vec()),
        Actor::Everything => return (access.owner, wanted.to_vec()),
        Actor::Role(role) => role,
    };
    let of = |role: u32| -> Vec<Privilege> {
        wanted.iter().copied().filter(|privilege| access.allows(kind, &[role], *privilege, true)).collect()
    };
    let mut best = (role, of(role));
    for other in with_inherited(&snapshot.roles, role) {
        let may_give = of(other);
        if may_give.len() > best.1.len() {
            best = (other, may_give);
        }
    }
    best
}

/// `SELECT, INSERT`; `ALL [PRIVILEGES]` is none.
fn privileges(cursor: &mut Cursor) -> Result<Option<Vec<Privilege>>> {
    let mut privileges = Vec::new();
    let no_columns = |cursor: &Cursor| match cursor.peek() {
        Token::LParen => Err(Error::unsupported("rights on columns are not supported")
            .hint("Grant the right on the table, or on a view of the columns.")
            .at(cursor.position())),
        _ => Ok(()),
    };
    if cursor.word("ALL") {
        cursor.word("PRIVILEGES");
        no_columns(cursor)?;
        return Ok(None);
    }
    loop {
        let position = cursor.position();
        let word: Ident = cursor.ident()?;
        let privilege = Privilege::of(&word.value).filter(|_| word.quote_style.is_none()).ok_or_else(|| {
            Error::invalid(format!("unrecognized privilege type \"{}\"", word.value))
                .code(SqlState::SyntaxError)
                .at(position)
        })?;
        no_columns(cursor)?;
        privileges.push(privilege);
        if !cursor.token(&Token::Comma) {
            return Ok(Some(privileges));
        }
    }
}

impl Control for GrantRights {
    fn writes(&self) -> Option<&'static str> {
        Some(if self.is_grant { "GRANT" } else { "REVOKE" })
    }

    fn has_own_rules(&self) -> bool {
        true
    }

    fn run<'a>(&'a self, session: &'a mut Session) -> Running<'a> {
        Box::pin(std::future::ready(self.execute(session)))
    }
}
