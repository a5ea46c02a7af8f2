//! Who is in which role.

use datafusion::scalar::ScalarValue;

use super::{Body, argument, entry};
use crate::catalog::role::{is_member, missing, with_inherited};
use crate::error::{Error, SqlState};
use crate::functions::entry::Entry;

pub(super) const ENTRIES: &[Entry<Body>] = &[entry(
    "pg_has_role",
    &["name, text → boolean", "name, name, text → boolean"],
    "Whether the user, or the role that comes first, has the rights (`USAGE`) of a role or may take it (`MEMBER`).",
    |context, values| {
        let at = values.len().saturating_sub(2);
        let (Some(role), Some(privilege)) = (argument(values, at), argument(values, at + 1)) else {
            return Ok(ScalarValue::Boolean(None));
        };
        let model = context.model();
        let user = match at {
            0 => context.view.user.clone(),
            _ => argument(values, 0).unwrap_or_default(),
        };
        let oid_of = |name: &str| model.role_oid(name).ok_or_else(|| missing(name));
        let (of, member) = (oid_of(&role)?, oid_of(&user)?);
        let is_superuser = model.roles.get(&user).is_none_or(|role| role.is_superuser);
        let has = match privilege.trim().to_ascii_uppercase().as_str() {
            "USAGE" => with_inherited(&model.roles, member).contains(&of),
            "MEMBER" | "SET" => is_member(&model.roles, member, of),
            other => {
                let error = Error::invalid(format!("unrecognized privilege type: \"{other}\""));
                return Err(error.code(SqlState::InvalidParameterValue).into());
            }
        };
        Ok(ScalarValue::Boolean(Some(is_superuser || has)))
    },
)];
