//! pg_namespace, pg_database, pg_tablespace.

use super::model::{Model, OWNER};
use super::relation::Row;
use crate::catalog::rights::Kind;
use crate::sql::SessionView;

/// Schemas.
pub fn pg_namespace(model: &Model, _view: &SessionView) -> Vec<Row> {
    let row = |namespace: &super::model::Namespace| {
        let access = namespace.access.as_ref();
        let row = Row::new()
            .set("oid", namespace.oid)
            .set("nspname", namespace.name.as_str())
            .set("nspowner", access.map_or(OWNER, |access| access.owner));
        model.set_acl(row, "nspacl", namespace.access_kind(), access)
    };
    model.namespaces.iter().map(row).collect()
}

/// Databases.
pub fn pg_database(model: &Model, _view: &SessionView) -> Vec<Row> {
    let row = |database: &super::model::Database| {
        let row = Row::new()
            .set("oid", database.oid)
            .set("datname", database.name.as_str())
            .set("datdba", database.access.owner)
            .set("encoding", 6_i32)
            .set("datlocprovider", "c")
            .set("datistemplate", false)
            .set("datallowconn", true)
            .set("datconnlimit", -1_i32)
            .all(&["datfrozenxid", "datminmxid"], 1_u32)
            .set("dattablespace", 1663_u32)
            .all(&["datcollate", "datctype"], "C.UTF-8");
        model.set_acl(row, "datacl", Kind::Database, Some(&database.access))
    };
    model.databases.iter().map(row).collect()
}

/// The two that every server has; nothing of our own lies in them.
pub fn pg_tablespace(_model: &Model, _view: &SessionView) -> Vec<Row> {
    let row = |(oid, name): (u32, &str)| Row::new().set("oid", oid).set("spcname", name).set("spcowner", OWNER);
    [(1663, "pg_default"), (1664, "pg_global")].map(row).into()
}
