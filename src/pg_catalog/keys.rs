//! pg_index, pg_constraint, pg_indexes: primary keys, and what else holds for tables that the server keeps. Keys of other tables are
//! declared, not enforced; tools only need to know the columns.

use datafusion::arrow::datatypes::DataType;
use datafusion::scalar::ScalarValue;

use super::model::{Model, Relation, constraint_oid};
use super::relation::{Row, list};
use crate::functions::quoting::quote_ident;
use crate::sql::SessionView;

fn numbers(key: &[i16]) -> ScalarValue {
    let values: Vec<ScalarValue> = key.iter().map(|&number| number.into()).collect();
    list(&values, &DataType::Int16)
}

fn keyed(model: &Model) -> impl Iterator<Item = &Relation> {
    model.relations.iter().filter(|relation| relation.kind == "r" && relation.partner != 0)
}

/// Indexes.
pub fn pg_index(model: &Model, _view: &SessionView) -> Vec<Row> {
    let row = |table: &Relation| {
        let count = i16::try_from(table.key.len()).unwrap_or(i16::MAX);
        let zeros: Vec<ScalarValue> = table.key.iter().map(|_| 0_u32.into()).collect();
        Row::new()
            .set("indexrelid", table.partner)
            .set("indrelid", table.oid)
            .all(&["indnatts", "indnkeyatts"], count)
            .all(&["indisunique", "indisprimary", "indimmediate", "indisvalid", "indisready", "indislive"], true)
            .all(&["indnullsnotdistinct", "indisexclusion", "indisclustered", "indcheckxmin", "indisreplident"], false)
            .set("indkey", numbers(&table.key))
            .all(&["indcollation", "indclass"], list(&zeros, &DataType::UInt32))
            .set("indoption", numbers(&vec![0; table.key.len()]))
    };
    keyed(model).map(row).collect()
}

/// Primary keys, UNIQUE and CHECK.
pub fn pg_constraint(model: &Model, _view: &SessionView) -> Vec<Row> {
    let row = |table: &Relation| {
        Row::new()
            .set("oid", constraint_oid(table.oid))
            .set("conname", table.key_name.as_str())
            .set("contype", "p")
            .set("conindid", table.partner)
            .set("conkey", numbers(&table.key))
    };
    let of_table = |table: &Relation, row: Row| {
        row.set("connamespace", table.namespace)
            .all(&["condeferrable", "condeferred"], false)
            .all(&["convalidated", "conislocal", "connoinherit"], true)
            .set("conrelid", table.oid)
            .all(&["contypid", "conparentid", "confrelid"], 0_u32)
            .all(&["confupdtype", "confdeltype", "confmatchtype"], " ")
            .set("coninhcount", 0_i32)
    };
    let mut rows: Vec<Row> = keyed(model).map(|table| of_table(table, row(table))).collect();
    for table in &model.relations {
        for constraint in &table.constraints {
            let row = Row::new()
                .set("oid", constraint.oid)
                .set("conname", constraint.name.as_str())
                .set("contype", constraint.kind)
                .set("conindid", 0_u32)
                .set("conkey", numbers(&constraint.columns));
            rows.push(of_table(table, row));
        }
    }
    rows
}

/// Indexes for people.
pub fn pg_indexes(model: &Model, _view: &SessionView) -> Vec<Row> {
    let row = |table: &Relation| {
        Row::new()
            .set("schemaname", model.namespace_name(table.namespace).to_owned())
            .set("tablename", table.name.as_str())
            .set("indexname", table.key_name.as_str())
            .set("indexdef", index_definition(model, table, false))
    };
    keyed(model).map(row).collect()
}

/// Columns of a table's key, as they are written.
pub fn key_columns(table: &Relation) -> Vec<String> {
    let name = |number: &i16| {
        let column = table.columns.get(usize::try_from(number - 1).ok()?)?;
        Some(quote_ident(&column.name))
    };
    table.key.iter().filter_map(name).collect()
}

/// `CREATE UNIQUE INDEX t_pkey ON public.t USING btree (a, b)`
pub fn index_definition(model: &Model, table: &Relation, pretty: bool) -> String {
    let name = if pretty {
        model.relation_text(table.oid)
    } else {
        format!("{}.{}", quote_ident(model.namespace_name(table.namespace)), quote_ident(&table.name))
    };
    format!(
        "CREATE UNIQUE INDEX {} ON {name} USING btree ({})",
        quote_ident(&table.key_name),
        key_columns(table).join(", ")
    )
}
