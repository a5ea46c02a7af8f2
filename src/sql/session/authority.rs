//! Who a session acts as, and what that role may do to other roles. The rules are PostgreSQL 16's: CREATEROLE makes roles, and whoever
//! makes one may give it away and change it.

use super::Session;
use crate::catalog::role::{RoleEntry, is_member, missing};
use crate::error::{Error, Result};

impl Session {
    /// The name that it acts under.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Whether it acts as a role of the catalog; without one it was opened before there were roles, or by the server itself.
    pub fn has_role(&self) -> bool {
        !self.is_unbound
    }

    /// Whether it may do everything: it acts as a superuser, or was opened before there were roles.
    ///
    /// # Errors
    /// Its role is gone, or as [`Session::snapshot`].
    pub fn is_superuser(&mut self) -> Result<bool> {
        Ok(self.is_unbound || self.own_role()?.is_superuser)
    }

    fn own_role(&mut self) -> Result<RoleEntry> {
        let snapshot = self.snapshot()?;
        snapshot.roles.get(&self.user).cloned().ok_or_else(|| missing(&self.user))
    }

    /// # Errors
    /// 42501: it may not make roles, or none with these attributes.
    pub fn require_create_role(&mut self, superuser: bool) -> Result<()> {
        if self.is_superuser()? {
            return Ok(());
        }
        let denied = || Error::denied("permission denied to create role");
        match self.own_role()? {
            role if !role.can_create_roles => {
                Err(denied().detail("Only roles with the CREATEROLE attribute may create roles."))
            }
            _ if superuser => Err(denied()
                .detail("Only roles with the SUPERUSER attribute may create roles with the SUPERUSER attribute.")),
            _ => Ok(()),
        }
    }

    /// # Errors
    /// 42501: it may not alter or drop (`what`) that role; 42704: there is no such role.
    pub fn require_role_control(&mut self, what: &str, name: &str) -> Result<()> {
        let snapshot = self.snapshot()?;
        let role = snapshot.roles.get(name).ok_or_else(|| missing(name))?;
        if self.is_superuser()? {
            return Ok(());
        }
        let denied = || Error::denied(format!("permission denied to {what} role"));
        if role.is_superuser {
            return Err(denied().detail(format!(
                "Only roles with the SUPERUSER attribute may {what} roles with the SUPERUSER attribute."
            )));
        }
        let own = self.own_role()?;
        if !own.can_create_roles || !self.may_grant(name)? {
            return Err(denied().detail(format!(
                "Only roles with the CREATEROLE attribute and the ADMIN option on role \"{name}\" may {what} this role."
            )));
        }
        Ok(())
    }

    /// Whether it may put others into a role.
    ///
    /// # Errors
    /// 42704: there is no such role.
    pub fn may_grant(&mut self, name: &str) -> Result<bool> {
        let snapshot = self.snapshot()?;
        let role = snapshot.roles.get(name).ok_or_else(|| missing(name))?;
        if self.is_superuser()? {
            return Ok(true);
        }
        if role.is_superuser {
            return Ok(false);
        }
        let own = self.own_role()?;
        let has_admin = |entry: &RoleEntry| entry.member_of.get(&role.oid) == Some(&true);
        // The right may come by way of a role that it is in.
        Ok(snapshot.roles.values().any(|entry| has_admin(entry) && is_member(&snapshot.roles, own.oid, entry.oid)))
    }
}
