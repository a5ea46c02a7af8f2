//! Rights: what a role may do with an object, who gave it, and whose the object is. The rules are PostgreSQL's, as plain functions; knows
//! no statement, and not where objects are kept.
//!
//! An object whose rights nobody has touched has those of its kind ([`Kind::defaults`]), which is why they can be absent.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::role::{FIRST_ROLE, PG_READ_ALL_DATA, PG_WRITE_ALL_DATA, Roles, with_inherited};
use crate::error::{Error, Result, SqlState};

/// The grantee that is everybody.
pub const PUBLIC: u32 = 0;

/// What may be done with an object. In the order in which PostgreSQL writes their letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Privilege {
    /// Rows are added.
    Insert,
    /// Rows are read.
    Select,
    /// Rows are changed.
    Update,
    /// Rows are taken away.
    Delete,
    /// All rows are taken away.
    Truncate,
    /// Foreign keys refer to it: kept for the tools that grant it.
    References,
    /// Triggers are made on it: kept for the tools that grant it.
    Trigger,
    /// A function is called.
    Execute,
    /// A schema's objects are reached, a connector has tables, a secret is referred to.
    Usage,
    /// Objects are made in it.
    Create,
    /// Temporary tables are made.
    Temporary,
    /// Sessions are opened.
    Connect,
    /// A job is paused, resumed and stopped; PostgreSQL has no word for it.
    Operate,
}

impl Privilege {
    const ALL: [(Privilege, char, &'static str); 13] = [
        (Self::Insert, 'a', "INSERT"),
        (Self::Select, 'r', "SELECT"),
        (Self::Update, 'w', "UPDATE"),
        (Self::Delete, 'd', "DELETE"),
        (Self::Truncate, 'D', "TRUNCATE"),
        (Self::References, 'x', "REFERENCES"),
        (Self::Trigger, 't', "TRIGGER"),
        (Self::Execute, 'X', "EXECUTE"),
        (Self::Usage, 'U', "USAGE"),
        (Self::Create, 'C', "CREATE"),
        (Self::Temporary, 'T', "TEMPORARY"),
        (Self::Connect, 'c', "CONNECT"),
        (Self::Operate, 'o', "OPERATE"),
    ];

    /// The one of that name, without regard to case.
    pub fn of(name: &str) -> Option<Self> {
        if name.eq_ignore_ascii_case("TEMP") {
            return Some(Self::Temporary);
        }
        Self::ALL.iter().find(|(_, _, word)| word.eq_ignore_ascii_case(name)).map(|(privilege, ..)| *privilege)
    }

    /// Its name.
    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|(privilege, ..)| *privilege == self).map_or("", |(_, _, word)| word)
    }

    fn letter(self) -> char {
        Self::ALL.iter().find(|(privilege, ..)| *privilege == self).map_or('?', |(_, letter, _)| *letter)
    }
}

/// What an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A database.
    Database,
    /// A schema.
    Schema,
    /// The schema that everybody may look into from the beginning.
    PublicSchema,
    /// A table.
    Table,
    /// A view.
    View,
    /// A SQL function.
    Function,
    /// A job.
    Job,
    /// A connector, which is to PostgreSQL a foreign-data wrapper.
    Connector,
}

impl Kind {
    /// As errors call it.
    pub fn noun(self) -> &'static str {
        match self {
            Self::Database => "database",
            Self::Schema | Self::PublicSchema => "schema",
            Self::Table => "table",
            Self::View => "view",
            Self::Function => "function",
            Self::Job => "job",
            Self::Connector => "foreign-data wrapper",
        }
    }

    /// The privileges that there are on it; ALL is all of them.
    pub fn privileges(self) -> &'static [Privilege] {
        use Privilege::*;
        match self {
            Self::Database => &[Create, Temporary, Connect],
            Self::Schema | Self::PublicSchema => &[Usage, Create],
            Self::Table | Self::View => &[Insert, Select, Update, Delete, Truncate, References, Trigger],
            Self::Function => &[Execute],
            Self::Job => &[Operate],
            Self::Connector => &[Usage],
        }
    }

    /// What everybody may do with one as it is made.
    fn of_public(self) -> &'static [Privilege] {
        match self {
            Self::Database => &[Privilege::Temporary, Privilege::Connect],
            Self::PublicSchema => &[Privilege::Usage],
            Self::Function => &[Privilege::Execute],
            Self::Schema | Self::Table | Self::View | Self::Job | Self::Connector => &[],
        }
    }

    /// The rights on one that nobody has touched.
    pub fn defaults(self, owner: u32) -> Vec<Grant> {
        let to = |grantee, privileges: &[Privilege]| Grant {
            grantee,
            grantor: owner,
            privileges: privileges.iter().map(|privilege| (*privilege, false)).collect(),
        };
        let public = Some(self.of_public()).filter(|privileges| !privileges.is_empty());
        public.map(|privileges| to(PUBLIC, privileges)).into_iter().chain([to(owner, self.privileges())]).collect()
    }
}

/// What one role was given by another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Grant {
    /// Who has it; [`PUBLIC`]: everybody.
    pub grantee: u32,
    /// Who gave it.
    pub grantor: u32,
    /// What, and whether it may be given on (WITH GRANT OPTION).
    pub privileges: BTreeMap<Privilege, bool>,
}

/// Whose an object is, and what others may do with it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Access {
    /// Its owner.
    pub owner: u32,
    /// What was granted; absent: the rights of its kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grants: Option<Vec<Grant>>,
}

impl Default for Access {
    /// Of what was made before there were owners.
    fn default() -> Self {
        Self::owned_by(FIRST_ROLE)
    }
}

/// What GRANT and REVOKE do to an object.
#[derive(Debug, Clone, PartialEq)]
pub struct GrantChange {
    /// GRANT, or REVOKE.
    pub is_grant: bool,
    /// Of what.
    pub privileges: Vec<Privilege>,
    /// WITH GRANT OPTION, GRANT OPTION FOR.
    pub option: bool,
    /// Who gives or takes.
    pub grantor: u32,
    /// Whom to, or whom from.
    pub grantee: u32,
    /// REVOKE … CASCADE: what was given on goes too.
    pub cascade: bool,
}

impl Access {
    /// An object of a role, untouched.
    pub fn owned_by(owner: u32) -> Self {
        Self { owner, grants: None }
    }

    /// Whether nothing needs to be kept of it.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// What was granted.
    pub fn grants(&self, kind: Kind) -> Cow<'_, [Grant]> {
        match &self.grants {
            Some(grants) => Cow::Borrowed(grants),
            None => Cow::Owned(kind.defaults(self.owner)),
        }
    }

    /// Whether one of these roles may do something; `option`: whether it may give it on.
    pub fn allows(&self, kind: Kind, roles: &[u32], privilege: Privilege, option: bool) -> bool {
        if option && roles.contains(&self.owner) {
            return true;
        }
        self.grants(kind).iter().any(|grant| {
            (grant.grantee == PUBLIC || roles.contains(&grant.grantee))
                && grant.privileges.get(&privilege).is_some_and(|may_give| *may_give || !option)
        })
    }

    /// Applies a GRANT or a REVOKE.
    ///
    /// # Errors
    /// What was given on depends on what is revoked (2BP01); everybody is given the right to give on (0LP01).
    pub fn apply(&mut self, kind: Kind, change: &GrantChange) -> Result<()> {
        if change.is_grant && change.option && change.grantee == PUBLIC {
            return Err(
                Error::invalid("grant options can only be granted to roles").code(SqlState::InvalidGrantOperation)
            );
        }
        let mut next = self.clone();
        let mut grants = next.grants(kind).into_owned();
        for privilege in &change.privileges {
            if change.is_grant {
                grant(&mut grants, (change.grantee, change.grantor), *privilege, change.option);
            } else {
                let from = (change.grantee, change.grantor);
                revoke(&mut grants, self.owner, from, *privilege, change.option, change.cascade)?;
            }
        }
        grants.retain(|grant| !grant.privileges.is_empty());
        next.grants = Some(grants);
        *self = next;
        Ok(())
    }

    /// Gives it to another owner, who has what the old one was given.
    pub fn give_to(&mut self, owner: u32) {
        let old = std::mem::replace(&mut self.owner, owner);
        let Some(grants) = &mut self.grants else { return };
        let renamed = |role: u32| if role == old { owner } else { role };
        let mut merged: Vec<Grant> = Vec::new();
        for given in grants.drain(..) {
            for (privilege, option) in given.privileges {
                grant(&mut merged, (renamed(given.grantee), renamed(given.grantor)), privilege, option);
            }
        }
        *grants = merged;
    }

    /// Takes away all that a role was given, and all that it gave.
    pub fn forget(&mut self, role: u32) {
        if let Some(grants) = &mut self.grants {
            grants.retain(|grant| grant.grantee != role && grant.grantor != role);
        }
    }

    /// Whether a role was given something, or gave it.
    pub fn mentions(&self, role: u32) -> bool {
        self.grants.iter().flatten().any(|grant| grant.grantee == role || grant.grantor == role)
    }

    /// As PostgreSQL prints rights: `reader=r/admin`.
    pub fn texts(&self, kind: Kind, name_of: impl Fn(u32) -> String) -> Option<Vec<String>> {
        let text = |grant: &Grant| {
            let grantee = if grant.grantee == PUBLIC { String::new() } else { name_of(grant.grantee) };
            let letters: String = grant
                .privileges
                .iter()
                .flat_map(|(privilege, option)| [Some(privilege.letter()), option.then_some('*')])
                .flatten()
                .collect();
            format!("{grantee}={letters}/{}", name_of(grant.grantor))
        };
        let is_touched = self.grants.is_some();
        is_touched.then(|| self.grants(kind).iter().map(text).collect())
    }
}

fn grant(grants: &mut Vec<Grant>, (grantee, grantor): (u32, u32), privilege: Privilege, option: bool) {
    let known = grants.iter_mut().find(|grant| grant.grantee == grantee && grant.grantor == grantor);
    match known {
        Some(grant) => *grant.privileges.entry(privilege).or_default() |= option,
        None => grants.push(Grant { grantee, grantor, privileges: [(privilege, option)].into() }),
    }
}

/// Takes away what `grantor` gave to `grantee`; what that one gave on only because of it goes too, or holds it.
fn revoke(
    grants: &mut Vec<Grant>,
    owner: u32,
    (grantee, grantor): (u32, u32),
    privilege: Privilege,
    option_only: bool,
    cascade: bool,
) -> Result<()> {
    let known = grants.iter_mut().find(|grant| grant.grantee == grantee && grant.grantor == grantor);
    let Some(known) = known else { return Ok(()) };
    let Some(option) = known.privileges.get_mut(&privilege) else { return Ok(()) };
    let had_option = *option;
    if option_only {
        *option = false;
    } else {
        known.privileges.remove(&privilege);
    }
    let may_still_give = grantee == owner
        || grants.iter().any(|grant| grant.grantee == grantee && grant.privileges.get(&privilege) == Some(&true));
    if !had_option || may_still_give {
        return Ok(());
    }
    let depends = |grant: &&Grant| grant.grantor == grantee && grant.privileges.contains_key(&privilege);
    let dependent: Vec<u32> = grants.iter().filter(depends).map(|grant| grant.grantee).collect();
    if !dependent.is_empty() && !cascade {
        return Err(Error::invalid("dependent privileges exist")
            .code(SqlState::DependentObjectsStillExist)
            .hint("Use CASCADE to revoke them too."));
    }
    for on in dependent {
        revoke(grants, owner, (on, grantee), privilege, false, cascade)?;
    }
    Ok(())
}

/// Whether a role may do something with an object: it is a superuser, it or a role whose rights it has was given that, or it is in a role
/// that may read or write all there is. `option`: whether it may give it on.
pub fn may(roles: &Roles, role: u32, access: &Access, kind: Kind, privilege: Privilege, option: bool) -> bool {
    if is_superuser(roles, role) {
        return true;
    }
    let acts_as = with_inherited(roles, role);
    let reaches_all = match privilege {
        _ if option => false,
        Privilege::Select => acts_as.contains(&PG_READ_ALL_DATA),
        Privilege::Insert | Privilege::Update | Privilege::Delete => acts_as.contains(&PG_WRITE_ALL_DATA),
        Privilege::Usage if matches!(kind, Kind::Schema | Kind::PublicSchema) => {
            acts_as.contains(&PG_READ_ALL_DATA) || acts_as.contains(&PG_WRITE_ALL_DATA)
        }
        _ => false,
    };
    reaches_all || access.allows(kind, &acts_as, privilege, option)
}

/// Whether a role has the rights of an owner: it is a superuser, the owner, or has the rights of the owner.
pub fn owns(roles: &Roles, role: u32, owner: u32) -> bool {
    is_superuser(roles, role) || with_inherited(roles, role).contains(&owner)
}

/// Whether a role is a superuser.
pub fn is_superuser(roles: &Roles, role: u32) -> bool {
    roles.values().any(|entry| entry.oid == role && entry.is_superuser)
}

#[cfg(test)]
mod tests;
