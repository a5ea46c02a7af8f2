//! pg_roles, pg_user, pg_authid: the session's own user until roles exist.

use super::model::{Model, OWNER};
use super::relation::Row;
use crate::sql::SessionView;

const RIGHTS: &[&str] =
    &["rolsuper", "rolinherit", "rolcreaterole", "rolcreatedb", "rolcanlogin", "rolreplication", "rolbypassrls"];

/// Without passwords.
pub fn pg_authid(_model: &Model, view: &SessionView) -> Vec<Row> {
    let row = Row::new().set("oid", OWNER).set("rolname", view.user.as_str()).set("rolconnlimit", -1_i32);
    vec![row.all(RIGHTS, true)]
}

/// As pg_authid, the password starred.
pub fn pg_roles(model: &Model, view: &SessionView) -> Vec<Row> {
    pg_authid(model, view).into_iter().map(|row| row.set("rolpassword", "********")).collect()
}

/// Roles that can log in.
pub fn pg_user(_model: &Model, view: &SessionView) -> Vec<Row> {
    let row = Row::new().set("usename", view.user.as_str()).set("usesysid", OWNER).set("passwd", "********");
    vec![row.all(&["usecreatedb", "usesuper", "userepl", "usebypassrls"], true)]
}
