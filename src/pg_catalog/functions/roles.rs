//! Who is in which role.

use datafusion::error::Result;
use datafusion::scalar::ScalarValue;

use super::privileges::role;
use super::{Body, Context, argument, entry};
use crate::catalog::rights;
use crate::catalog::role::{Roles, is_member, with_inherited};
use crate::error::{Error, SqlState};
use crate::functions::entry::Entry;

pub(super) const ENTRIES: &[Entry<Body>] = &[entry(
    "pg_has_role",
    &["name, text → boolean", "name, name, text → boolean"],
    "Whether the user, or the role that comes first, has the rights (`USAGE`) of a role, may take it (`SET`, `MEMBER`), or may give it to \
     others (`MEMBER WITH ADMIN OPTION`).",
    has_role,
)];

fn has_role(context: &Context, values: &[ScalarValue]) -> Result<ScalarValue> {
    let at = values.len().saturating_sub(2);
    let (Some(of), Some(privileges)) = (argument(values, at), argument(values, at + 1)) else {
        return Ok(ScalarValue::Boolean(None));
    };
    let member = match (at, argument(values, 0)) {
        (0, _) => None,
        (_, None) => return Ok(ScalarValue::Boolean(None)),
        (_, member) => member,
    };
    let model = context.model();
    let everything = model.roles.is_empty() || member.is_none() && context.view.is_unbound;
    let (of, member) = (role(context, &model, Some(of))?, role(context, &model, member)?);
    let mut has = false;
    for privilege in privileges.split(',') {
        let one = match (member, of) {
            (Some(member), Some(of)) => holds(&model.roles, member, of, privilege)?,
            _ => false,
        };
        has |= one;
    }
    Ok(ScalarValue::Boolean(Some(everything || has)))
}

fn holds(roles: &Roles, member: u32, of: u32, privilege: &str) -> Result<bool> {
    let upper = privilege.trim().to_ascii_uppercase();
    let (word, admin) =
        match upper.strip_suffix("WITH ADMIN OPTION").or_else(|| upper.strip_suffix("WITH GRANT OPTION")) {
            Some(word) => (word.trim_end(), true),
            None => (upper.as_str(), false),
        };
    let is_in = match word {
        "USAGE" => with_inherited(roles, member).contains(&of),
        "MEMBER" | "SET" => is_member(roles, member, of),
        _ => {
            let error = Error::invalid(format!("unrecognized privilege type: \"{}\"", privilege.trim()));
            return Err(error.code(SqlState::InvalidParameterValue).into());
        }
    };
    let may_give =
        || roles.values().any(|entry| entry.member_of.get(&of) == Some(&true) && is_member(roles, member, entry.oid));
    Ok(rights::is_superuser(roles, member) || if admin { may_give() } else { is_in })
}
