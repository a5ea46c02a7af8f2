//! pg_class, pg_attribute, pg_tables, pg_views.

use super::model::{DEFAULT_RANGE, Model, OWNER, Relation, oid_of_name};
use super::relation::Row;
use super::types;
use crate::sql::SessionView;

/// Tables, views, indexes.
pub fn pg_class(model: &Model, _view: &SessionView) -> Vec<Row> {
    let row = |relation: &Relation| {
        let columns = i16::try_from(relation.columns.len()).unwrap_or(i16::MAX);
        let checks = relation.constraints.iter().filter(|constraint| constraint.kind == "c").count();
        let checks = i16::try_from(checks).unwrap_or(i16::MAX);
        let row = Row::new()
            .set("oid", relation.oid)
            .set("relname", relation.name.as_str())
            .set("relnamespace", relation.namespace)
            .set("relowner", relation.access.as_ref().map_or(OWNER, |access| access.owner))
            .set(
                "relam",
                match relation.kind {
                    "i" => 403_u32,
                    "r" => 2,
                    _ => 0,
                },
            )
            .set("relfilenode", if relation.kind == "v" { 0 } else { relation.oid })
            .all(&["reltype", "reloftype", "reltablespace", "reltoastrelid", "relrewrite"], 0_u32)
            .all(&["relfrozenxid", "relminmxid"], 0_u32)
            .set("relpages", 0_i32)
            .set("reltuples", -1_f32)
            .set("relallvisible", 0_i32)
            .set("relhasindex", relation.kind == "r" && relation.partner != 0)
            .set("relhasrules", relation.kind == "v")
            .all(&["relisshared", "relhastriggers", "relhassubclass", "relrowsecurity", "relforcerowsecurity"], false)
            .set("relispartition", false)
            .set("relispopulated", true)
            .set("relpersistence", "p")
            .set("relkind", relation.kind)
            .set("relnatts", columns)
            .set("relchecks", checks)
            .set("relreplident", if relation.kind == "r" { "d" } else { "n" });
        let access = relation.access.as_ref().filter(|_| relation.kind != "i");
        model.set_acl(row, "relacl", relation.access_kind(), access)
    };
    model.relations.iter().map(row).collect()
}

/// Columns of all of them.
pub fn pg_attribute(model: &Model, _view: &SessionView) -> Vec<Row> {
    let mut rows = Vec::new();
    for relation in &model.relations {
        for (number, column) in (1_i16..).zip(&relation.columns) {
            let shape = types::base_type(column.type_oid);
            rows.push(
                Row::new()
                    .set("attrelid", relation.oid)
                    .set("attname", column.name.as_str())
                    .set("atttypid", column.type_oid)
                    .set("attstattarget", -1_i32)
                    .set("attlen", shape.map_or(-1, |shape| shape.length))
                    .set("attnum", number)
                    .set("attndims", i32::from(shape.is_some_and(|shape| shape.category == "A")))
                    .set("attcacheoff", -1_i32)
                    .set("atttypmod", column.modifier)
                    .set("attbyval", shape.is_some_and(|shape| shape.by_value))
                    .set("attalign", shape.map_or("i", |shape| shape.align.as_str()).to_owned())
                    .set("attstorage", shape.map_or("x", |shape| shape.storage.as_str()).to_owned())
                    .all(&["attcompression", "attgenerated"], "")
                    .set("attidentity", if column.is_numbered { "d" } else { "" })
                    .set("attnotnull", column.not_null)
                    .set("atthasdef", column.default.is_some())
                    .all(&["atthasmissing", "attisdropped"], false)
                    .set("attislocal", true)
                    .set("attinhcount", 0_i32)
                    .set("attcollation", shape.map_or(0, |shape| shape.collation)),
            );
        }
    }
    rows
}

/// Defaults of columns.
pub fn pg_attrdef(model: &Model, _view: &SessionView) -> Vec<Row> {
    let mut rows = Vec::new();
    for relation in &model.relations {
        for (number, column) in (1_i16..).zip(&relation.columns) {
            let Some(default) = &column.default else { continue };
            let name = format!("{}.{number}", relation.oid);
            rows.push(
                Row::new()
                    .set("oid", oid_of_name(DEFAULT_RANGE, &name))
                    .set("adrelid", relation.oid)
                    .set("adnum", number)
                    .set("adbin", default.as_str()),
            );
        }
    }
    rows
}

/// Tables for people.
pub fn pg_tables(model: &Model, _view: &SessionView) -> Vec<Row> {
    let row = |relation: &Relation| {
        Row::new()
            .set("schemaname", model.namespace_name(relation.namespace).to_owned())
            .set("tablename", relation.name.as_str())
            .set("tableowner", model.owner_name(relation.access.as_ref()))
            .set("hasindexes", relation.partner != 0)
            .all(&["hasrules", "hastriggers", "rowsecurity"], false)
    };
    model.relations.iter().filter(|relation| relation.kind == "r").map(row).collect()
}

/// Views for people.
pub fn pg_views(model: &Model, _view: &SessionView) -> Vec<Row> {
    let row = |relation: &Relation| {
        Row::new()
            .set("schemaname", model.namespace_name(relation.namespace).to_owned())
            .set("viewname", relation.name.as_str())
            .set("viewowner", model.owner_name(relation.access.as_ref()))
            .set("definition", relation.query.clone().unwrap_or_default())
    };
    model.relations.iter().filter(|relation| relation.kind == "v").map(row).collect()
}
