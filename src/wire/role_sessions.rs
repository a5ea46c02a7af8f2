//! How many sessions each role has, and whether one more may be opened (CONNECTION LIMIT).

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::catalog::role::RoleEntry;
use crate::error::{Error, Result, SqlState};

/// How many sessions each role has.
#[derive(Default)]
pub struct RoleSessions(Mutex<HashMap<u32, u32>>);

/// One session's place among those of its role, given back when it ends.
pub struct RolePlace {
    sessions: Arc<RoleSessions>,
    oid: u32,
}

impl RoleSessions {
    /// Takes a place.
    ///
    /// # Errors
    /// 53300: its role has as many sessions as it may.
    pub fn enter(self: &Arc<Self>, name: &str, role: &RoleEntry) -> Result<RolePlace> {
        let mut sessions = self.0.lock();
        let count = sessions.entry(role.oid).or_default();
        // As in PostgreSQL, no limit keeps a superuser out.
        if role.connection_limit.is_some_and(|limit| *count >= limit) && !role.is_superuser {
            return Err(Error::unavailable(format!("too many connections for role \"{name}\""))
                .code(SqlState::TooManyConnections));
        }
        *count += 1;
        Ok(RolePlace { sessions: Arc::clone(self), oid: role.oid })
    }
}

impl Drop for RolePlace {
    fn drop(&mut self) {
        let mut sessions = self.sessions.0.lock();
        if let Some(count) = sessions.get_mut(&self.oid) {
            *count -= 1;
            if *count == 0 {
                sessions.remove(&self.oid);
            }
        }
    }
}
