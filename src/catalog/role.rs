//! A role: somebody who logs in, or a group of such. Knows no passwords: what is kept of one is a secret, by reference.
//!
//! The first role is the owner of all that has no other: it has the oid that PostgreSQL's initial superuser has, is a superuser that
//! can log in, and is never dropped. So there is always somebody who can let others in, and "there are no roles" means that nobody has
//! been asked yet who may come in.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result, SqlState};

/// Oid of the first role, and of the owner of what was made before there were roles.
pub const FIRST_ROLE: u32 = 10;

/// Reads all tables and views.
pub const PG_READ_ALL_DATA: u32 = 6181;
/// Writes all tables.
pub const PG_WRITE_ALL_DATA: u32 = 6182;
/// Sees what all sessions do.
pub const PG_READ_ALL_STATS: u32 = 3375;
/// Is in those that see.
pub const PG_MONITOR: u32 = 3373;
/// Cancels and ends sessions of all that are no superusers.
pub const PG_SIGNAL_BACKEND: u32 = 4200;

/// Roles that are there from the beginning, with PostgreSQL's oids. Who is in one has its rights; it cannot log in, be altered or dropped.
pub const PREDEFINED: &[(u32, &str)] = &[
    (PG_MONITOR, "pg_monitor"),
    (PG_READ_ALL_DATA, "pg_read_all_data"),
    (PG_READ_ALL_STATS, "pg_read_all_stats"),
    (PG_SIGNAL_BACKEND, "pg_signal_backend"),
    (PG_WRITE_ALL_DATA, "pg_write_all_data"),
];

/// The oid of a role, also of one that is there from the beginning.
pub fn oid_of(roles: &Roles, name: &str) -> Option<u32> {
    let predefined = || PREDEFINED.iter().find(|(_, known)| *known == name).map(|(oid, _)| *oid);
    roles.get(name).map(|role| role.oid).or_else(predefined)
}

/// The name of a role, also of one that is there from the beginning.
pub fn name_of(roles: &Roles, oid: u32) -> Option<&str> {
    let predefined = || PREDEFINED.iter().find(|(known, _)| *known == oid).map(|(_, name)| *name);
    roles.iter().find(|(_, role)| role.oid == oid).map(|(name, _)| name.as_str()).or_else(predefined)
}

/// All roles, by name.
pub type Roles = BTreeMap<String, RoleEntry>;

/// A role.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RoleEntry {
    /// Stable id, never reused.
    pub oid: u32,
    /// LOGIN: it may open sessions.
    pub can_login: bool,
    /// SUPERUSER: it may do everything.
    pub is_superuser: bool,
    /// CREATEROLE: it may make roles, and change those that it may give away.
    pub can_create_roles: bool,
    /// INHERIT: it has the rights of the roles that it is in without SET ROLE.
    pub inherits: bool,
    /// Sessions at the same time; absent: as many as the server takes.
    pub connection_limit: Option<u32>,
    /// From when on its password is good no longer, milliseconds since 1970.
    pub valid_until_ms: Option<i64>,
    /// Where its SCRAM verifier is among the secrets.
    pub verifier: Option<String>,
    /// The roles that it is in, by oid, and whether it may give them to others (ADMIN OPTION).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub member_of: BTreeMap<u32, bool>,
}

impl RoleEntry {
    /// Whether it can prove who it is by a password.
    pub fn has_password(&self) -> bool {
        self.verifier.is_some()
    }
}

/// What CREATE ROLE and ALTER ROLE say of a role; what is absent stays, or is the default.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RoleOptions {
    pub can_login: Option<bool>,
    pub is_superuser: Option<bool>,
    pub can_create_roles: Option<bool>,
    pub inherits: Option<bool>,
    pub connection_limit: Option<Option<u32>>,
    pub valid_until_ms: Option<Option<i64>>,
    pub verifier: Option<Option<String>>,
}

/// A change of the roles.
#[derive(Debug, Clone, PartialEq)]
pub enum RoleChange {
    /// Adds a role.
    Create { name: String, options: RoleOptions },
    /// Changes what is given.
    Alter { name: String, options: RoleOptions },
    /// Gives it another name.
    Rename { name: String, to: String },
    /// Removes it, also from those that are in it.
    Drop { name: String },
    /// Puts `member` into `role`; `admin`: with the right to put others there.
    Grant { role: String, member: String, admin: bool },
    /// Takes `member` out of `role`, or (`admin_only`) the right to put others there.
    Revoke { role: String, member: String, admin_only: bool },
}

impl std::fmt::Display for RoleChange {
    /// The statement that makes it, without passwords.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Create { name, .. } => write!(f, "CREATE ROLE {name}"),
            Self::Alter { name, .. } => write!(f, "ALTER ROLE {name}"),
            Self::Rename { name, to } => write!(f, "ALTER ROLE {name} RENAME TO {to}"),
            Self::Drop { name } => write!(f, "DROP ROLE {name}"),
            Self::Grant { role, member, .. } => write!(f, "GRANT {role} TO {member}"),
            Self::Revoke { role, member, .. } => write!(f, "REVOKE {role} FROM {member}"),
        }
    }
}

impl RoleChange {
    /// The secret that it brings.
    pub fn secret(&self) -> Option<&str> {
        match self {
            Self::Create { options, .. } | Self::Alter { options, .. } => options.verifier.as_ref()?.as_deref(),
            _ => None,
        }
    }

    /// Whether a secret may be needed no longer.
    pub fn ends_secret(&self) -> bool {
        matches!(self, Self::Alter { options, .. } if options.verifier.is_some()) || matches!(self, Self::Drop { .. })
    }
}

/// Applies a change; `give_oid` numbers a new role.
///
/// # Errors
/// It does not fit.
pub(super) fn apply(roles: &mut Roles, change: &RoleChange, give_oid: impl FnOnce() -> u32) -> Result<()> {
    match change {
        RoleChange::Create { name, options } => create(roles, name, options, give_oid),
        RoleChange::Alter { name, options } => {
            let role = role_mut(roles, name)?;
            if role.oid == FIRST_ROLE && options.is_superuser == Some(false) {
                return Err(Error::denied(format!("permission denied to alter role \"{name}\""))
                    .detail("The first role must have the SUPERUSER attribute."));
            }
            set(role, options);
            Ok(())
        }
        RoleChange::Rename { name, to } => {
            refuse_taken(roles, to)?;
            let role = roles.remove(name).ok_or_else(|| missing(name))?;
            roles.insert(to.clone(), role);
            Ok(())
        }
        RoleChange::Drop { name } => {
            let oid = role_mut(roles, name)?.oid;
            if oid == FIRST_ROLE {
                return Err(Error::invalid(format!(
                    "cannot drop role {name} because it is required by the database system"
                ))
                .code(SqlState::DependentObjectsStillExist));
            }
            roles.remove(name);
            for other in roles.values_mut() {
                other.member_of.remove(&oid);
            }
            Ok(())
        }
        RoleChange::Grant { role, member, admin } => {
            let oid = oid_of(roles, role).ok_or_else(|| missing(role))?;
            let member_oid = role_mut(roles, member)?.oid;
            if oid == member_oid || is_member(roles, oid, member_oid) {
                return Err(Error::invalid(format!("role \"{role}\" is a member of role \"{member}\""))
                    .code(SqlState::InvalidGrantOperation));
            }
            let membership = role_mut(roles, member)?.member_of.entry(oid).or_default();
            *membership |= admin;
            Ok(())
        }
        RoleChange::Revoke { role, member, admin_only } => {
            let oid = oid_of(roles, role).ok_or_else(|| missing(role))?;
            let memberships = &mut role_mut(roles, member)?.member_of;
            if *admin_only {
                memberships.entry(oid).and_modify(|admin| *admin = false);
            } else {
                memberships.remove(&oid);
            }
            Ok(())
        }
    }
}

fn create(roles: &mut Roles, name: &str, options: &RoleOptions, give_oid: impl FnOnce() -> u32) -> Result<()> {
    refuse_taken(roles, name)?;
    let is_first = roles.is_empty();
    let mut role = RoleEntry {
        oid: if is_first { FIRST_ROLE } else { give_oid() },
        can_login: false,
        is_superuser: false,
        can_create_roles: false,
        inherits: true,
        connection_limit: None,
        valid_until_ms: None,
        verifier: None,
        member_of: BTreeMap::new(),
    };
    set(&mut role, options);
    if is_first && !(role.is_superuser && role.can_login && role.has_password()) {
        return Err(Error::invalid("the first role must be a superuser that can log in")
            .code(SqlState::ObjectNotInPrerequisiteState)
            .detail("From then on nobody comes in without a role, so there must be one that can make others.")
            .hint("CREATE ROLE name SUPERUSER LOGIN PASSWORD '…', or streamgate init --superuser name."));
    }
    roles.insert(name.to_owned(), role);
    Ok(())
}

fn set(role: &mut RoleEntry, options: &RoleOptions) {
    let RoleOptions { can_login, is_superuser, can_create_roles, inherits, connection_limit, valid_until_ms, verifier } =
        options.clone();
    role.can_login = can_login.unwrap_or(role.can_login);
    role.is_superuser = is_superuser.unwrap_or(role.is_superuser);
    role.can_create_roles = can_create_roles.unwrap_or(role.can_create_roles);
    role.inherits = inherits.unwrap_or(role.inherits);
    role.connection_limit = connection_limit.unwrap_or(role.connection_limit);
    role.valid_until_ms = valid_until_ms.unwrap_or(role.valid_until_ms);
    if let Some(verifier) = verifier {
        role.verifier = verifier;
    }
}

fn role_mut<'a>(roles: &'a mut Roles, name: &str) -> Result<&'a mut RoleEntry> {
    roles.get_mut(name).ok_or_else(|| missing(name))
}

fn refuse_taken(roles: &Roles, name: &str) -> Result<()> {
    match roles.contains_key(name) {
        true => Err(Error::invalid(format!("role \"{name}\" already exists")).code(SqlState::DuplicateObject)),
        false => Ok(()),
    }
}

/// The error for a role that is not there.
pub fn missing(name: &str) -> Error {
    Error::not_found(format!("role \"{name}\" does not exist")).code(SqlState::UndefinedObject)
}

/// Whether the role `member` is in `of`, directly or by way of others.
pub fn is_member(roles: &Roles, member: u32, of: u32) -> bool {
    reached(roles, member, |_| true).contains(&of)
}

/// The role itself and those whose rights it has without SET ROLE.
pub fn with_inherited(roles: &Roles, oid: u32) -> Vec<u32> {
    reached(roles, oid, |role| role.inherits)
}

/// The role and all that it is in; `goes_on`: whether what a role is in counts.
fn reached(roles: &Roles, oid: u32, goes_on: impl Fn(&RoleEntry) -> bool) -> Vec<u32> {
    let mut reached = vec![oid];
    let mut at = 0;
    while let Some(&next) = reached.get(at) {
        at += 1;
        if let Some(role) = roles.values().find(|role| role.oid == next).filter(|role| goes_on(role)) {
            let new: Vec<u32> = role.member_of.keys().copied().filter(|oid| !reached.contains(oid)).collect();
            reached.extend(new);
        }
        // Whoever watches sees what all do.
        if next == PG_MONITOR && !reached.contains(&PG_READ_ALL_STATS) {
            reached.push(PG_READ_ALL_STATS);
        }
    }
    reached
}

#[cfg(test)]
mod tests;
