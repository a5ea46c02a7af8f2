//! Whether a role may do something: plain decisions over the catalog. They are asked at two places that nothing gets round: where planning
//! takes a name for a relation or a function (`planning::planner::permits`), and where a change of the catalog joins a transaction
//! (`Session::change`). What a statement is, they do not know.

use crate::catalog::rights::{self, Access, Kind, Privilege};
use crate::catalog::role::FIRST_ROLE;
use crate::catalog::{Change, Commented, DEFAULT_DATABASE, Need, Object, Snapshot};
use crate::connectors::local;
use crate::error::{Error, Result};

/// Who acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor {
    /// The server itself, or whoever came in before there were roles: everything is allowed.
    Everything,
    /// A role, by oid.
    Role(u32),
}

impl Actor {
    /// Whether rights are not asked for.
    pub fn is_superuser(self, snapshot: &Snapshot) -> bool {
        match self {
            Self::Everything => true,
            Self::Role(role) => rights::is_superuser(&snapshot.roles, role),
        }
    }

    /// Whether it has the rights of a role.
    pub fn has_rights_of(self, snapshot: &Snapshot, of: u32) -> bool {
        match self {
            Self::Everything => true,
            Self::Role(role) => rights::owns(&snapshot.roles, role, of),
        }
    }
}

/// Whether it may do something with an object; with one that is not there, it may.
pub fn may(snapshot: &Snapshot, actor: Actor, object: &Object, privilege: Privilege) -> bool {
    let Actor::Role(role) = actor else { return true };
    let Some((kind, access)) = snapshot.access(object) else { return true };
    rights::may(&snapshot.roles, role, &access, kind, privilege, false)
}

/// # Errors
/// 42501: it may not do that with the object.
pub fn require(snapshot: &Snapshot, actor: Actor, object: &Object, privilege: Privilege) -> Result<()> {
    if may(snapshot, actor, object, privilege) {
        return Ok(());
    }
    let kind = snapshot.access(object).map_or(Kind::Table, |(kind, _)| kind);
    let error = Error::denied(format!("permission denied for {} {}", kind.noun(), object.name()));
    let (word, name) = (privilege.word(), object.name());
    let hint = match kind {
        Kind::Table | Kind::View => format!("Its owner, or a superuser, may GRANT {word} ON {name} TO the role."),
        Kind::Function => format!("Its owner, or a superuser, may GRANT {word} ON FUNCTION {name} TO the role."),
        Kind::Connector => format!("A superuser may GRANT {word} ON FOREIGN DATA WRAPPER {name} TO the role."),
        kind => {
            format!("Its owner, or a superuser, may GRANT {word} ON {} {name} TO the role.", kind.noun().to_uppercase())
        }
    };
    Err(error.hint(hint))
}

/// # Errors
/// 42501: the object is not its own.
pub fn require_owner(snapshot: &Snapshot, actor: Actor, object: &Object) -> Result<()> {
    let Some((kind, access)) = snapshot.access(object) else { return Ok(()) };
    match actor.has_rights_of(snapshot, access.owner) {
        true => Ok(()),
        false => Err(Error::denied(format!("must be owner of {} {}", kind.noun(), object.name()))),
    }
}

/// What is in a schema may be dropped by the schema's owner, too.
fn require_owner_or_of_schema(snapshot: &Snapshot, actor: Actor, object: &Object) -> Result<()> {
    let schema = match object {
        Object::Relation { database, schema, .. } | Object::Function { database, schema, .. } => {
            Object::Schema { database: database.clone(), schema: schema.clone() }
        }
        _ => return require_owner(snapshot, actor, object),
    };
    match require_owner(snapshot, actor, &schema) {
        Ok(()) => Ok(()),
        Err(_) => require_owner(snapshot, actor, object),
    }
}

/// Whether tables over a connector may be declared; rows that the server keeps itself reach nothing outside.
///
/// # Errors
/// 42501: they may not.
pub fn require_connector(snapshot: &Snapshot, actor: Actor, connector: Option<&str>) -> Result<()> {
    match connector.map(str::to_lowercase) {
        None => Ok(()),
        Some(name) if name == local::NAME => Ok(()),
        Some(name) => require(snapshot, actor, &Object::Connector { name }, Privilege::Usage),
    }
}

/// Whether a change of the catalog is allowed. Those of roles and of rights are asked for where they are made.
///
/// # Errors
/// 42501: it is not.
pub fn of_change(snapshot: &Snapshot, actor: Actor, change: &Change) -> Result<()> {
    if actor.is_superuser(snapshot) {
        return Ok(());
    }
    let in_schema = |database: &str, schema: &str| {
        let schema = Object::Schema { database: database.to_owned(), schema: schema.to_owned() };
        require(snapshot, actor, &schema, Privilege::Create)
    };
    let job = |name: &str| Object::Job { name: name.to_owned() };
    match change {
        Change::CreateSchema { database, .. } => {
            require(snapshot, actor, &Object::Database { database: database.clone() }, Privilege::Create)
        }
        Change::DropSchema { database, schema, .. } => {
            let schema = Object::Schema { database: database.clone(), schema: schema.clone() };
            require_owner(snapshot, actor, &schema)
        }
        Change::CreateTable { database, schema, entry, .. } => {
            in_schema(database, schema)?;
            require_connector(snapshot, actor, entry.declaration.connector())
        }
        Change::CreateView { database, schema, name, .. } => {
            in_schema(database, schema)?;
            require_owner(snapshot, actor, &relation(database, schema, name))
        }
        Change::CreateFunction { database, schema, name, .. } => {
            in_schema(database, schema)?;
            require_owner(snapshot, actor, &function(database, schema, name))
        }
        Change::DropTable { database, schema, name } | Change::DropView { database, schema, name } => {
            require_owner_or_of_schema(snapshot, actor, &relation(database, schema, name))
        }
        Change::DropFunction { database, schema, name } => {
            require_owner_or_of_schema(snapshot, actor, &function(database, schema, name))
        }
        Change::Comment { database, of, .. } => {
            let object = match of {
                Commented::Database => Object::Database { database: database.clone() },
                Commented::Schema { schema } => Object::Schema { database: database.clone(), schema: schema.clone() },
                Commented::Relation { schema, name } | Commented::Column { schema, name, .. } => {
                    relation(database, schema, name)
                }
                Commented::Function { schema, name } => function(database, schema, name),
            };
            require_owner(snapshot, actor, &object)
        }
        Change::CreateJob { .. } => {
            let database = Object::Database { database: DEFAULT_DATABASE.to_owned() };
            let told = "A job stays and works on, as a schema stays: whoever makes one needs CREATE on the database.";
            require(snapshot, actor, &database, Privilege::Create).map_err(|error| error.detail(told))
        }
        Change::SetJobState { name, .. } | Change::SkipRecords { name, .. } => {
            require(snapshot, actor, &job(name), Privilege::Operate)
        }
        Change::DropJob { name } => require_owner(snapshot, actor, &job(name)),
        Change::Role(_)
        | Change::Grant { .. }
        | Change::SetOwner { .. }
        | Change::ForgetGrants { .. }
        | Change::ForgetJob { .. } => Ok(()),
    }
}

/// Makes whoever acts the owner of what a change makes.
pub fn own(change: &mut Change, actor: Actor) {
    let owned = || {
        Access::owned_by(match actor {
            Actor::Everything => FIRST_ROLE,
            Actor::Role(role) => role,
        })
    };
    match change {
        Change::CreateSchema { access, .. } => *access = owned(),
        Change::CreateTable { entry, .. } => entry.access = owned(),
        Change::CreateView { entry, .. } => entry.access = owned(),
        Change::CreateFunction { entry, .. } => entry.access = owned(),
        Change::CreateJob { entry } => entry.access = owned(),
        _ => {}
    }
}

/// Whether a job may go on: its owner, and the owners of the views that it reads through, still have the rights that it needs. What is
/// there no longer needs none: a job keeps its declarations.
///
/// # Errors
/// 42501: one of them is gone.
pub fn of_job(snapshot: &Snapshot, name: &str) -> Result<()> {
    let Some(job) = snapshot.jobs.get(name) else { return Ok(()) };
    if snapshot.roles.is_empty() {
        return Ok(());
    }
    for Need { role, relation, privilege } in &job.needs {
        let Some((kind, relation, access)) = snapshot.relation_of_oid(*relation) else { continue };
        let role = role.unwrap_or(job.access.owner);
        if !rights::may(&snapshot.roles, role, access, kind, *privilege, false) {
            let who = crate::catalog::role::name_of(&snapshot.roles, role).unwrap_or("?");
            return Err(Error::denied(format!("permission denied for {} {relation}", kind.noun())).detail(format!(
                "Job \"{name}\" runs with the rights of role \"{who}\", which lacks {} on it.",
                privilege.word()
            )));
        }
    }
    Ok(())
}

fn relation(database: &str, schema: &str, name: &str) -> Object {
    Object::Relation { database: database.to_owned(), schema: schema.to_owned(), name: name.to_owned() }
}

fn function(database: &str, schema: &str, name: &str) -> Object {
    Object::Function { database: database.to_owned(), schema: schema.to_owned(), name: name.to_owned() }
}
