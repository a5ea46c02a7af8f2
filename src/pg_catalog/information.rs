//! information_schema: the same model in the SQL standard's words.

use super::model::{Attribute, Model, Relation};
use super::relation::Row;
use super::types;
use crate::sql::SessionView;

/// The database.
pub fn catalog_name(model: &Model, _view: &SessionView) -> Vec<Row> {
    vec![Row::new().set("catalog_name", model.database.as_str())]
}

/// UTF-8 only.
pub fn character_sets(model: &Model, _view: &SessionView) -> Vec<Row> {
    vec![
        Row::new()
            .set("character_set_name", "UTF8")
            .set("character_repertoire", "UCS")
            .set("form_of_use", "UTF8")
            .set("default_collate_catalog", model.database.as_str())
            .set("default_collate_schema", "pg_catalog")
            .set("default_collate_name", "default"),
    ]
}

/// Schemas.
pub fn schemata(model: &Model, _view: &SessionView) -> Vec<Row> {
    let row = |namespace: &super::model::Namespace| {
        Row::new()
            .set("catalog_name", model.database.as_str())
            .set("schema_name", namespace.name.as_str())
            .set("schema_owner", model.owner_name(namespace.access.as_ref()))
    };
    model.namespaces.iter().map(row).collect()
}

fn schema_of(model: &Model, relation: &Relation) -> String {
    model.namespace_name(relation.namespace).to_owned()
}

/// Tables and views.
pub fn tables(model: &Model, view: &SessionView) -> Vec<Row> {
    let row = |relation: &Relation| {
        Row::new()
            .set("table_catalog", model.database.as_str())
            .set("table_schema", schema_of(model, relation))
            .set("table_name", relation.name.as_str())
            .set("table_type", if relation.kind == "v" { "VIEW" } else { "BASE TABLE" })
            .set("is_insertable_into", if relation.kind == "v" || relation.is_system { "NO" } else { "YES" })
            .set("is_typed", "NO")
    };
    model.tables().filter(|relation| model.shows(view, relation)).map(row).collect()
}

/// Views.
pub fn views(model: &Model, view: &SessionView) -> Vec<Row> {
    let row = |relation: &Relation| {
        Row::new()
            .set("table_catalog", model.database.as_str())
            .set("table_schema", schema_of(model, relation))
            .set("table_name", relation.name.as_str())
            .set("view_definition", relation.query.clone().unwrap_or_default())
            .set("check_option", "NONE")
            .all(&["is_updatable", "is_insertable_into", "is_trigger_updatable"], "NO")
            .all(&["is_trigger_deletable", "is_trigger_insertable_into"], "NO")
    };
    model.tables().filter(|relation| relation.kind == "v" && model.shows(view, relation)).map(row).collect()
}

/// Columns of tables and views.
pub fn columns(model: &Model, view: &SessionView) -> Vec<Row> {
    let mut rows = Vec::new();
    for relation in model.tables().filter(|relation| model.shows(view, relation)) {
        for (number, column) in (1_i32..).zip(&relation.columns) {
            rows.push(column_row(model, relation, number, column));
        }
    }
    rows
}

fn column_row(model: &Model, relation: &Relation, number: i32, column: &Attribute) -> Row {
    let base = types::base_type(column.type_oid);
    let is_array = base.is_some_and(|base| base.category == "A");
    let data_type = if is_array { "ARRAY".to_owned() } else { types::formatted(column.type_oid, None) };
    let row = Row::new()
        .all(&["table_catalog", "udt_catalog"], model.database.as_str())
        .set("table_schema", schema_of(model, relation))
        .set("table_name", relation.name.as_str())
        .set("column_name", column.name.as_str())
        .set("ordinal_position", number)
        .set("column_default", column.default.clone())
        .set("is_nullable", if column.not_null { "NO" } else { "YES" })
        .set("data_type", data_type)
        .set("udt_schema", "pg_catalog")
        .set("udt_name", base.map_or_else(|| "text".to_owned(), |base| base.name.clone()))
        .set("dtd_identifier", number.to_string())
        .all(&["is_self_referencing", "identity_cycle"], "NO")
        .set("is_identity", if column.is_numbered { "YES" } else { "NO" })
        .set("identity_generation", column.is_numbered.then(|| "BY DEFAULT".to_owned()))
        .set("is_generated", if column.computed.is_some() { "ALWAYS" } else { "NEVER" })
        .set("generation_expression", column.computed.clone())
        .set("is_updatable", if relation.kind == "r" && !relation.is_system { "YES" } else { "NO" });
    let integer = |bits: i32| (Some(bits), Some(2), Some(0));
    let (precision, radix, scale) = match column.type_oid {
        21 => integer(16),
        23 => integer(32),
        20 => integer(64),
        700 => (Some(24), Some(2), None),
        701 => (Some(53), Some(2), None),
        1700 if column.modifier >= 0 => {
            let modifier = column.modifier - 4;
            (Some(modifier >> 16), Some(10), Some(modifier & 0x7ff))
        }
        1700 => (None, Some(10), None),
        _ => (None, None, None),
    };
    let length = matches!(column.type_oid, 1042 | 1043).then_some(column.modifier - 4).filter(|length| *length > 0);
    let moment = matches!(column.type_oid, 1082 | 1083 | 1114 | 1184 | 1186);
    let digits = match (moment, column.type_oid, column.modifier) {
        (true, 1082, _) => Some(0),
        (true, _, digits) if digits >= 0 => Some(digits),
        (true, ..) => Some(6),
        _ => None,
    };
    row.set("numeric_precision", precision)
        .set("numeric_precision_radix", radix)
        .set("numeric_scale", scale)
        .set("character_maximum_length", length)
        .set("datetime_precision", digits)
}

fn keyed(model: &Model) -> impl Iterator<Item = &Relation> {
    model.relations.iter().filter(|relation| relation.kind == "r" && relation.partner != 0)
}

fn constraint(model: &Model, table: &Relation) -> Row {
    Row::new()
        .all(&["constraint_catalog", "table_catalog"], model.database.as_str())
        .all(&["constraint_schema", "table_schema"], schema_of(model, table))
        .set("constraint_name", table.key_name.as_str())
        .set("table_name", table.name.as_str())
}

/// Primary keys; those of tables with a connector are declared, not enforced.
pub fn table_constraints(model: &Model, _view: &SessionView) -> Vec<Row> {
    let row = |table: &Relation| {
        constraint(model, table)
            .set("constraint_type", "PRIMARY KEY")
            .all(&["is_deferrable", "initially_deferred"], "NO")
            .set("enforced", if table.is_enforced { "YES" } else { "NO" })
    };
    keyed(model).map(row).collect()
}

/// Their columns.
pub fn key_column_usage(model: &Model, _view: &SessionView) -> Vec<Row> {
    let mut rows = Vec::new();
    for table in keyed(model) {
        for (place, number) in (1_i32..).zip(&table.key) {
            let column = usize::try_from(number - 1).ok().and_then(|index| table.columns.get(index));
            let name = column.map_or("", |column| column.name.as_str());
            rows.push(constraint(model, table).set("column_name", name).set("ordinal_position", place));
        }
    }
    rows
}

/// SQL functions.
pub fn routines(model: &Model, _view: &SessionView) -> Vec<Row> {
    let row = |function: &super::model::Function| {
        Row::new()
            .all(&["specific_catalog", "routine_catalog"], model.database.as_str())
            .all(&["specific_schema", "routine_schema"], model.namespace_name(function.namespace).to_owned())
            .set("specific_name", format!("{}_{}", function.name, function.oid))
            .set("routine_name", function.name.as_str())
            .set("routine_type", "FUNCTION")
            .set("data_type", types::formatted(function.returns, None))
            .set("routine_body", "SQL")
            .set("routine_definition", function.body.as_str())
            .set("external_language", "SQL")
            .set("is_deterministic", "NO")
    };
    model.functions.iter().map(row).collect()
}
