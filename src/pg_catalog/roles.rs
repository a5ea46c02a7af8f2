//! pg_roles, pg_user, pg_shadow, pg_authid, pg_auth_members: the roles of the catalog, or the session's own user where there are
//! none. Nobody is shown what is kept of a password.

use datafusion::scalar::ScalarValue;

use super::model::{Model, OWNER};
use super::relation::Row;
use crate::catalog::role::{self, PG_READ_ALL_STATS, PG_SIGNAL_BACKEND, RoleEntry, is_member, with_inherited};
use crate::sql::SessionView;

const RIGHTS: &[&str] =
    &["rolsuper", "rolinherit", "rolcreaterole", "rolcreatedb", "rolcanlogin", "rolreplication", "rolbypassrls"];

/// What stands for a password.
const STARS: &str = "********";

fn instant(at_ms: Option<i64>) -> ScalarValue {
    ScalarValue::TimestampMicrosecond(at_ms.and_then(|at| at.checked_mul(1000)), Some("UTC".into()))
}

/// Whether a role has a password, not what is kept of it.
pub fn pg_authid(model: &Model, view: &SessionView) -> Vec<Row> {
    if model.roles.is_empty() {
        let row = Row::new().set("oid", OWNER).set("rolname", view.user.as_str()).set("rolconnlimit", -1_i32);
        return vec![row.all(RIGHTS, true)];
    }
    let row = |(name, role): (&String, &RoleEntry)| {
        let limit = role.connection_limit.map_or(-1, |limit| i32::try_from(limit).unwrap_or(i32::MAX));
        let row = Row::new()
            .set("oid", role.oid)
            .set("rolname", name.as_str())
            .set("rolsuper", role.is_superuser)
            .set("rolinherit", role.inherits)
            .set("rolcreaterole", role.can_create_roles)
            .set("rolcanlogin", role.can_login)
            .set("rolconnlimit", limit)
            .set("rolvaliduntil", instant(role.valid_until_ms));
        let row = row.all(&["rolcreatedb", "rolreplication", "rolbypassrls"], false);
        if role.has_password() { row.set("rolpassword", STARS) } else { row }
    };
    let predefined = role::PREDEFINED.iter().map(|(oid, name)| {
        let row = Row::new().set("oid", *oid).set("rolname", *name).set("rolinherit", true).set("rolconnlimit", -1_i32);
        row.all(&["rolsuper", "rolcreaterole", "rolcanlogin", "rolcreatedb", "rolreplication", "rolbypassrls"], false)
    });
    model.roles.iter().map(row).chain(predefined).collect()
}

/// As pg_authid, but starred also where there is no password.
pub fn pg_roles(model: &Model, view: &SessionView) -> Vec<Row> {
    pg_authid(model, view).into_iter().map(|row| row.set("rolpassword", STARS)).collect()
}

/// Who is in which role.
pub fn pg_auth_members(model: &Model, _view: &SessionView) -> Vec<Row> {
    let of_role = |role: &RoleEntry| {
        let member = role.oid;
        let row = move |(of, admin): (&u32, &bool)| {
            let row = Row::new().set("roleid", *of).set("member", member).set("grantor", OWNER);
            row.set("admin_option", *admin)
        };
        role.member_of.iter().map(row).collect::<Vec<_>>()
    };
    model.roles.values().flat_map(of_role).collect()
}

/// Roles that can log in.
pub fn pg_user(model: &Model, view: &SessionView) -> Vec<Row> {
    pg_shadow(model, view).into_iter().map(|row| row.set("passwd", STARS)).collect()
}

/// As pg_user.
pub fn pg_shadow(model: &Model, view: &SessionView) -> Vec<Row> {
    let all = ["usecreatedb", "usesuper", "userepl", "usebypassrls"];
    if model.roles.is_empty() {
        return vec![Row::new().set("usename", view.user.as_str()).set("usesysid", OWNER).all(&all, true)];
    }
    let of_logins = model.roles.iter().filter(|(_, role)| role.can_login);
    of_logins
        .map(|(name, role)| {
            let row = Row::new().set("usename", name.as_str()).set("usesysid", role.oid);
            let row = row.set("usesuper", role.is_superuser).all(&["usecreatedb", "userepl", "usebypassrls"], false);
            let row = row.set("valuntil", instant(role.valid_until_ms));
            if role.has_password() { row.set("passwd", STARS) } else { row }
        })
        .collect()
}

/// Whether a session may look into another user's: it may end it, or is in a role that sees all.
pub fn may_see(model: &Model, view: &SessionView, other: &str) -> bool {
    may_signal(model, view, other) || has_rights_of(model, view, PG_READ_ALL_STATS)
}

fn has_rights_of(model: &Model, view: &SessionView, role: u32) -> bool {
    model.role_oid(&view.user).is_some_and(|own| with_inherited(&model.roles, own).contains(&role))
}

/// Whether a session may end another user's: it is his, it is a superuser's, it is in his role, or in one that ends all but superusers'.
pub fn may_signal(model: &Model, view: &SessionView, other: &str) -> bool {
    let own = model.roles.get(&view.user);
    let is_above = |own: &RoleEntry| match model.roles.get(other) {
        // Only superusers are above superusers, and above who came in before there were roles.
        Some(other) => {
            let is_above = is_member(&model.roles, own.oid, other.oid) || has_rights_of(model, view, PG_SIGNAL_BACKEND);
            own.is_superuser || !other.is_superuser && is_above
        }
        None => own.is_superuser,
    };
    view.is_unbound || view.user == other || own.is_some_and(is_above)
}
