//! ALTER … OWNER TO, REASSIGN OWNED and DROP OWNED: whose an object is.

use datafusion::sql::sqlparser::ast::Ident;

use super::super::session::{Outcome, Running, Session};
use super::control::Control;
use super::grant_objects::{Noun, name};
use super::outcomes::done;
use super::refused;
use super::role_name::RoleName;
use crate::catalog::rights::Privilege;
use crate::catalog::role::{FIRST_ROLE, is_member, missing, oid_of};
use crate::catalog::{Change, DesiredState, Object, Snapshot};
use crate::error::{Error, Result, SqlState};
use crate::sql::parser::Cursor;
use crate::sql::privileges::{Actor, require};

/// See the module.
#[derive(Debug, Clone)]
pub struct AlterOwner {
    action: Action,
}

#[derive(Debug, Clone)]
enum Action {
    /// ALTER TABLE | VIEW | SCHEMA | FUNCTION | JOB name OWNER TO role
    One { noun: Noun, tag: &'static str, name: Vec<Ident>, to: RoleName },
    /// REASSIGN OWNED BY role, … TO role
    Reassign { of: Vec<RoleName>, to: RoleName },
    /// DROP OWNED BY role, … [CASCADE | RESTRICT]
    Drop { of: Vec<RoleName>, cascade: bool },
}

impl AlterOwner {
    /// Whether ALTER … OWNER TO, REASSIGN OWNED or DROP OWNED comes next.
    pub fn is_next(cursor: &Cursor) -> bool {
        if cursor.peek_words(&["REASSIGN", "OWNED"]) || cursor.peek_words(&["DROP", "OWNED"]) {
            return true;
        }
        let mut at = 2;
        while cursor.peek_words(&["ALTER"]) && at < 12 {
            let is = |at: usize, word: &str| {
                matches!(cursor.peek_nth(at), datafusion::sql::sqlparser::tokenizer::Token::Word(found)
                    if found.quote_style.is_none() && found.value.eq_ignore_ascii_case(word))
            };
            if is(at, "OWNER") && is(at + 1, "TO") {
                return true;
            }
            at += 1;
        }
        false
    }

    /// Reads the statement.
    ///
    /// # Errors
    /// A syntax error, or a kind of object whose owner cannot be changed.
    pub fn parse(cursor: &mut Cursor) -> Result<Self> {
        if cursor.words(&["REASSIGN", "OWNED", "BY"]) {
            let of = RoleName::parse_list(cursor)?;
            cursor.expect_word("TO")?;
            return Ok(Self { action: Action::Reassign { of, to: RoleName::parse(cursor)? } });
        }
        if cursor.words(&["DROP", "OWNED", "BY"]) {
            let of = RoleName::parse_list(cursor)?;
            let cascade = cursor.word("CASCADE");
            if !cascade {
                cursor.word("RESTRICT");
            }
            return Ok(Self { action: Action::Drop { of, cascade } });
        }
        for (words, noun, tag) in [
            (&["ALTER", "TABLE"][..], Noun::Relation, "ALTER TABLE"),
            (&["ALTER", "VIEW"], Noun::Relation, "ALTER VIEW"),
            (&["ALTER", "SCHEMA"], Noun::Schema, "ALTER SCHEMA"),
            (&["ALTER", "DATABASE"], Noun::Database, "ALTER DATABASE"),
            (&["ALTER", "FUNCTION"], Noun::Function, "ALTER FUNCTION"),
            (&["ALTER", "JOB"], Noun::Job, "ALTER JOB"),
        ] {
            if cursor.words(words) {
                cursor.words(&["IF", "EXISTS"]);
                let name = name(cursor, noun)?;
                cursor.expect_word("OWNER")?;
                cursor.expect_word("TO")?;
                return Ok(Self { action: Action::One { noun, tag, name, to: RoleName::parse(cursor)? } });
            }
        }
        Err(refused::refused(cursor))
    }

    async fn execute(&self, session: &mut Session) -> Result<Outcome> {
        match &self.action {
            Action::One { noun, tag, name, to } => {
                let names = session.names()?;
                let object = noun.find(session, &names, name)?;
                give(session, object, to)?;
                Ok(done(*tag))
            }
            Action::Reassign { of, to } => {
                let to = role(session, to)?;
                require_rights_of(session, to)?;
                for of in of {
                    let of = role(session, of)?;
                    require_rights_of(session, of)?;
                    for object in owned(session.snapshot()?.as_ref(), of) {
                        session.change(Change::SetOwner { object, owner: to })?;
                    }
                }
                Ok(done("REASSIGN OWNED"))
            }
            Action::Drop { of, cascade } => {
                for of in of {
                    let of = role(session, of)?;
                    require_rights_of(session, of)?;
                    drop_owned(session, of, *cascade).await?;
                }
                Ok(done("DROP OWNED"))
            }
        }
    }
}

/// Gives an object to a role.
///
/// # Errors
/// 42501: it is not one's own, or the role is not one that one is in.
pub(super) fn give(session: &mut Session, object: Object, to: &RoleName) -> Result<()> {
    let to = role(session, to)?;
    session.require_owner(&object)?;
    require_receiver(session, &object, to)?;
    session.change(Change::SetOwner { object, owner: to })
}

fn role(session: &mut Session, name: &RoleName) -> Result<u32> {
    let name = name.of(session);
    oid_of(&session.snapshot()?.roles, &name).ok_or_else(|| missing(&name))
}

fn owned(snapshot: &Snapshot, role: u32) -> Vec<Object> {
    let is_owned = |object: &Object| {
        !matches!(object, Object::Connector { .. })
            && snapshot.access(object).is_some_and(|(_, access)| access.owner == role)
    };
    snapshot.objects().into_iter().filter(is_owned).collect()
}

/// Who gives an object away must be in the role that gets it, which must be one that could have made it.
fn require_receiver(session: &mut Session, object: &Object, to: u32) -> Result<()> {
    let (snapshot, actor) = (session.snapshot()?, session.actor()?);
    let Actor::Role(own) = actor else { return Ok(()) };
    if actor.is_superuser(&snapshot) {
        return Ok(());
    }
    if own != to && !is_member(&snapshot.roles, own, to) {
        let name = crate::catalog::role::name_of(&snapshot.roles, to).unwrap_or("?");
        return Err(Error::denied(format!("must be able to SET ROLE \"{name}\"")));
    }
    let place = match object {
        Object::Relation { database, schema, .. } | Object::Function { database, schema, .. } => {
            Object::Schema { database: database.clone(), schema: schema.clone() }
        }
        _ => Object::Database { database: session.database().to_owned() },
    };
    require(&snapshot, Actor::Role(to), &place, Privilege::Create)
}

fn require_rights_of(session: &mut Session, role: u32) -> Result<()> {
    let (snapshot, actor) = (session.snapshot()?, session.actor()?);
    match actor.has_rights_of(&snapshot, role) {
        true => Ok(()),
        false => Err(Error::denied("permission denied to reassign objects")
            .detail("Only roles with the rights of both roles may give objects from one to the other.")),
    }
}

/// Drops what a role owns, but databases and schema `public`, and takes its rights away.
async fn drop_owned(session: &mut Session, role: u32, cascade: bool) -> Result<()> {
    let snapshot = session.snapshot()?;
    if role == FIRST_ROLE {
        return Err(Error::invalid(
            "cannot drop objects owned by the first role because they are required by the database system",
        )
        .code(SqlState::DependentObjectsStillExist));
    }
    let (mut schemas, mut others) = (Vec::new(), Vec::new());
    for object in owned(&snapshot, role) {
        match object {
            Object::Schema { database, schema } => schemas.push(Change::DropSchema { database, schema, cascade }),
            Object::Relation { database, schema, name } => {
                let entry = snapshot.schema(&database, &schema);
                let table = entry.and_then(|entry| entry.tables.get(&name));
                if table.is_some_and(|table| table.declaration.local.is_some()) {
                    session.lock_rows().await?;
                }
                others.push(match table {
                    Some(_) => Change::DropTable { database, schema, name },
                    None => Change::DropView { database, schema, name },
                });
            }
            Object::Function { database, schema, name } => others.push(Change::DropFunction { database, schema, name }),
            Object::Job { name } => {
                if snapshot.jobs.get(&name).is_some_and(|job| job.desired != DesiredState::Stopped) {
                    return Err(Error::invalid(format!(
                        "job \"{name}\" runs; stop it before its owner's objects are dropped"
                    ))
                    .code(SqlState::ObjectInUse)
                    .hint("STOP JOB, then DROP OWNED."));
                }
                others.push(Change::DropJob { name });
            }
            Object::Database { .. } | Object::Connector { .. } => {}
        }
    }
    for change in others.into_iter().chain(schemas) {
        session.change(change)?;
    }
    session.change(Change::ForgetGrants { role })
}

impl Control for AlterOwner {
    fn writes(&self) -> Option<&'static str> {
        Some(match self.action {
            Action::One { tag, .. } => tag,
            Action::Reassign { .. } => "REASSIGN OWNED",
            Action::Drop { .. } => "DROP OWNED",
        })
    }

    fn has_own_rules(&self) -> bool {
        true
    }

    fn run<'a>(&'a self, session: &'a mut Session) -> Running<'a> {
        Box::pin(self.execute(session))
    }
}
