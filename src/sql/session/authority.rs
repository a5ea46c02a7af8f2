//! Who a session acts as, and what that role may do to other roles. The rules are PostgreSQL 16's: CREATEROLE makes roles, and whoever
//! makes one may give it away and change it.

use super::Session;
use super::settings::{IS_SUPERUSER, NO_ROLE, ROLE, SESSION_AUTHORIZATION};
use crate::catalog::Object;
use crate::catalog::rights;
use crate::catalog::role::{RoleEntry, is_member, missing, oid_of};
use crate::error::{Error, Result, SqlState};
use crate::sql::privileges::{self, Actor};

impl Session {
    /// The role that it acts as (`current_user`): that of SET ROLE, else that of the session.
    pub fn user(&self) -> String {
        match self.settings.get(ROLE) {
            Ok(role) if role != NO_ROLE => role,
            _ => self.session_user(),
        }
    }

    /// The role as which it logged in, or that SET SESSION AUTHORIZATION put in its place.
    pub fn session_user(&self) -> String {
        self.settings.get(SESSION_AUTHORIZATION).unwrap_or_else(|_| self.login.clone())
    }

    /// Whether it acts as no role of the catalog: it was opened before there were roles, or by the server itself.
    pub(super) fn is_unbound(&self) -> bool {
        self.is_unbound && self.user() == self.login
    }

    /// Whether it acts as a role of the catalog.
    pub fn has_role(&self) -> bool {
        !self.is_unbound()
    }

    /// Who acts.
    ///
    /// # Errors
    /// Its role is gone, or as [`Session::snapshot`].
    pub fn actor(&mut self) -> Result<Actor> {
        match self.is_unbound() {
            true => Ok(Actor::Everything),
            false => self.own_oid().map(Actor::Role),
        }
    }

    fn own_oid(&mut self) -> Result<u32> {
        let (snapshot, user) = (self.snapshot()?, self.user());
        oid_of(&snapshot.roles, &user).ok_or_else(|| missing(&user))
    }

    /// Whether it may do everything: it acts as a superuser, or was opened before there were roles.
    ///
    /// # Errors
    /// Its role is gone, or as [`Session::snapshot`].
    pub fn is_superuser(&mut self) -> Result<bool> {
        let (actor, snapshot) = (self.actor()?, self.snapshot()?);
        Ok(actor.is_superuser(&snapshot))
    }

    fn own_role(&mut self) -> Result<RoleEntry> {
        let (snapshot, user) = (self.snapshot()?, self.user());
        snapshot.roles.get(&user).cloned().ok_or_else(|| missing(&user))
    }

    /// # Errors
    /// 42501: the object is not its own.
    pub fn require_owner(&mut self, object: &Object) -> Result<()> {
        let (snapshot, actor) = (self.snapshot()?, self.actor()?);
        privileges::require_owner(&snapshot, actor, object)
    }

    /// # Errors
    /// 42501: it may not do that with the object.
    pub fn require_privilege(&mut self, object: &Object, privilege: rights::Privilege) -> Result<()> {
        let (snapshot, actor) = (self.snapshot()?, self.actor()?);
        privileges::require(&snapshot, actor, object, privilege)
    }

    /// # Errors
    /// 42501: it may declare no table over the connector.
    pub fn require_connector(&mut self, connector: Option<&str>) -> Result<()> {
        let (snapshot, actor) = (self.snapshot()?, self.actor()?);
        privileges::require_connector(&snapshot, actor, connector)
    }

    /// SET ROLE; `None`: as the session's own role again.
    ///
    /// # Errors
    /// 22023: there is no such role; 42501: the session's role is not in it.
    pub fn set_role(&mut self, role: Option<&str>) -> Result<()> {
        let snapshot = self.snapshot()?;
        if let Some(role) = role {
            let oid = oid_of(&snapshot.roles, role).ok_or_else(|| {
                Error::not_found(format!("role \"{role}\" does not exist")).code(SqlState::InvalidParameterValue)
            })?;
            let session_user = self.session_user();
            let is_everything = self.is_unbound && session_user == self.login;
            let own = oid_of(&snapshot.roles, &session_user);
            let may = |own: u32| rights::is_superuser(&snapshot.roles, own) || is_member(&snapshot.roles, own, oid);
            if !is_everything && !own.is_some_and(may) {
                return Err(Error::denied(format!("permission denied to set role \"{role}\"")));
            }
        }
        self.settings.set_fixed_now(ROLE, role.unwrap_or(NO_ROLE));
        self.tell_superuser()
    }

    /// SET SESSION AUTHORIZATION; `None`: the role that logged in. SET ROLE is over then.
    ///
    /// # Errors
    /// 22023: there is no such role; 42501: who logged in is no superuser.
    pub fn set_session_user(&mut self, user: Option<&str>) -> Result<()> {
        let snapshot = self.snapshot()?;
        let login = self.login.clone();
        if let Some(user) = user.filter(|user| **user != *login) {
            if oid_of(&snapshot.roles, user).is_none() {
                return Err(
                    Error::not_found(format!("role \"{user}\" does not exist")).code(SqlState::InvalidParameterValue)
                );
            }
            let is_superuser = |oid| rights::is_superuser(&snapshot.roles, oid);
            if !self.is_unbound && !oid_of(&snapshot.roles, &login).is_some_and(is_superuser) {
                return Err(Error::denied("permission denied to set session authorization"));
            }
        }
        self.settings.set_fixed_now(SESSION_AUTHORIZATION, user.unwrap_or(&login));
        self.settings.set_fixed_now(ROLE, NO_ROLE);
        self.tell_superuser()
    }

    fn tell_superuser(&mut self) -> Result<()> {
        let is_superuser = self.is_superuser()?;
        self.settings.set_fixed_now(IS_SUPERUSER, if is_superuser { "on" } else { "off" });
        Ok(())
    }

    /// SET LOCAL of any setting: what it was comes back at the end of the transaction.
    ///
    /// # Errors
    /// The setting is unknown.
    pub fn begin_local(&mut self, name: &str) -> Result<()> {
        self.settings.begin_local(name)?;
        if [ROLE, SESSION_AUTHORIZATION].iter().any(|known| known.eq_ignore_ascii_case(name)) {
            self.settings.begin_local(ROLE)?;
            self.settings.begin_local(IS_SUPERUSER)?;
        }
        Ok(())
    }

    /// SET of any setting.
    ///
    /// # Errors
    /// As [`super::settings::Settings::set`], [`Self::set_role`] and [`Self::set_session_user`].
    pub fn set_setting(&mut self, name: &str, value: &str) -> Result<()> {
        match name {
            _ if name.eq_ignore_ascii_case(ROLE) => {
                self.set_role(Some(value).filter(|role| !role.eq_ignore_ascii_case(NO_ROLE)))
            }
            _ if name.eq_ignore_ascii_case(SESSION_AUTHORIZATION) => {
                self.set_session_user(Some(value).filter(|user| !user.eq_ignore_ascii_case("default")))
            }
            _ => self.settings.set(name, value),
        }
    }

    /// RESET of any setting.
    ///
    /// # Errors
    /// The setting is unknown.
    pub fn reset_setting(&mut self, name: &str) -> Result<()> {
        match name {
            _ if name.eq_ignore_ascii_case(ROLE) => self.set_role(None),
            _ if name.eq_ignore_ascii_case(SESSION_AUTHORIZATION) => self.set_session_user(None),
            _ => self.settings.reset(name),
        }
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
        let oid = oid_of(&snapshot.roles, name).ok_or_else(|| missing(name))?;
        if self.is_superuser()? {
            return Ok(true);
        }
        if rights::is_superuser(&snapshot.roles, oid) {
            return Ok(false);
        }
        let own = self.own_role()?;
        let has_admin = |entry: &RoleEntry| entry.member_of.get(&oid) == Some(&true);
        // The right may come by way of a role that it is in.
        Ok(snapshot.roles.values().any(|entry| has_admin(entry) && is_member(&snapshot.roles, own.oid, entry.oid)))
    }
}
