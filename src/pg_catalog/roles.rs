//! pg_roles, pg_user, pg_authid, pg_stat_activity: the session's own user until roles exist.

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

/// The asking session only.
pub fn pg_stat_activity(model: &Model, view: &SessionView) -> Vec<Row> {
    let setting = |name: &str| {
        let found = view.settings.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map_or("", |(_, value)| value.as_str()).to_owned()
    };
    let database = model.databases.iter().find(|known| known.name == model.database).map_or(0, |known| known.oid);
    let row = Row::new()
        .set("datid", database)
        .set("datname", model.database.as_str())
        .set("usesysid", OWNER)
        .set("usename", view.user.as_str())
        .set("application_name", setting("application_name"))
        .set("state", "active")
        .set("backend_type", "client backend");
    vec![row.set("pid", view.process_id)]
}
