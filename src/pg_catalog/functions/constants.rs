//! Functions that answer the same for whatever is asked: sizes and parts of PostgreSQL that are not here; and small ones that need
//! no catalog.

use datafusion::scalar::ScalarValue;

use super::{Body, argument, entry, number, some_text};
use crate::functions::entry::Entry;

type Signatures = &'static [&'static str];

const fn yes(name: &'static str, signatures: Signatures) -> Entry<Body> {
    entry(name, signatures, "Always true.", |_, _| Ok(ScalarValue::Boolean(Some(true))))
}

const fn no(name: &'static str, signatures: Signatures) -> Entry<Body> {
    entry(name, signatures, "Always false.", |_, _| Ok(ScalarValue::Boolean(Some(false))))
}

const fn nothing(name: &'static str, signatures: Signatures) -> Entry<Body> {
    entry(name, signatures, "Always NULL: there are no such objects.", |_, _| some_text(None::<String>))
}

const fn empty(name: &'static str, signatures: Signatures) -> Entry<Body> {
    entry(name, signatures, "Always an empty text.", |_, _| some_text(Some("")))
}

const fn nil(name: &'static str, signatures: Signatures) -> Entry<Body> {
    entry(name, signatures, "Always 0: rows are in outside systems.", |_, _| Ok(ScalarValue::Int64(Some(0))))
}

pub(super) const ENTRIES: &[Entry<Body>] = &[
    yes("pg_type_is_visible", &["oid → boolean"]),
    yes("pg_operator_is_visible", &["oid → boolean"]),
    yes("pg_opclass_is_visible", &["oid → boolean"]),
    yes("pg_opfamily_is_visible", &["oid → boolean"]),
    yes("pg_collation_is_visible", &["oid → boolean"]),
    yes("pg_conversion_is_visible", &["oid → boolean"]),
    yes("pg_statistics_obj_is_visible", &["oid → boolean"]),
    yes("pg_ts_config_is_visible", &["oid → boolean"]),
    yes("pg_ts_dict_is_visible", &["oid → boolean"]),
    yes("pg_ts_parser_is_visible", &["oid → boolean"]),
    yes("pg_ts_template_is_visible", &["oid → boolean"]),
    yes("pg_relation_is_publishable", &["oid → boolean"]),
    no("pg_is_in_recovery", &["→ boolean"]),
    no("pg_is_other_temp_schema", &["oid → boolean"]),
    no("pg_column_is_updatable", &["oid, integer, boolean → boolean"]),
    no("row_security_active", &["oid → boolean"]),
    nothing("pg_get_ruledef", &["oid → text"]),
    nothing("pg_get_triggerdef", &["oid → text"]),
    nothing("pg_get_function_sqlbody", &["oid → text"]),
    nothing("pg_get_function_arg_default", &["oid, integer → text"]),
    nothing("pg_get_serial_sequence", &["text, text → text"]),
    nothing("pg_get_statisticsobjdef", &["oid → text"]),
    nothing("pg_get_statisticsobjdef_columns", &["oid → text"]),
    nothing("pg_get_partkeydef", &["oid → text"]),
    nothing("pg_get_partition_constraintdef", &["oid → text"]),
    nothing("inet_client_addr", &["→ text"]),
    nothing("inet_server_addr", &["→ text"]),
    nil("pg_relation_size", &["oid → bigint"]),
    nil("pg_table_size", &["oid → bigint"]),
    nil("pg_total_relation_size", &["oid → bigint"]),
    nil("pg_indexes_size", &["oid → bigint"]),
    nil("pg_database_size", &["text → bigint"]),
    nil("pg_tablespace_size", &["oid → bigint"]),
    empty("pg_tablespace_location", &["oid → text"]),
    empty("pg_advisory_unlock_all", &["→ text"]),
    entry("txid_current", &["→ bigint"], "Always 1: there are no numbers of transactions.", |_, _| {
        Ok(ScalarValue::Int64(Some(1)))
    })
    .aliases(&["pg_current_xact_id"]),
    entry("pg_my_temp_schema", &["→ oid"], "Always 0: temporary tables have no schema with an oid.", |_, _| {
        Ok(ScalarValue::UInt32(Some(0)))
    }),
    entry(
        "pg_relation_is_updatable",
        &["oid, boolean → integer"],
        "Always 0: no relation is changed row by row.",
        |_, _| Ok(ScalarValue::Int32(Some(0))),
    ),
    entry("pg_encoding_to_char", &["integer → name"], "The name of an encoding.", |_, values| {
        some_text(number(values, 0).map(|encoding| match encoding {
            0 => "SQL_ASCII",
            6 => "UTF8",
            _ => "",
        }))
    }),
    entry("getdatabaseencoding", &["→ name"], "Always `UTF8`.", |_, _| some_text(Some("UTF8")))
        .aliases(&["pg_client_encoding"]),
    entry("pg_char_to_encoding", &["name → integer"], "The number of an encoding.", |_, values| {
        let is_utf8 = argument(values, 0).is_some_and(|name| matches!(name.to_lowercase().as_str(), "utf8" | "utf-8"));
        Ok(ScalarValue::Int32(Some(if is_utf8 { 6 } else { -1 })))
    }),
    entry("pg_size_pretty", &["bigint → text"], "A number of bytes in words.", |_, values| {
        some_text(number(values, 0).map(|bytes| {
            let units = ["bytes", "kB", "MB", "GB", "TB", "PB"];
            let (mut size, mut unit) = (bytes, 0);
            while size.abs() >= 10_240 && unit + 1 < units.len() {
                size /= 1024;
                unit += 1;
            }
            format!("{size} {}", units[unit])
        }))
    }),
    entry(
        "array_lower",
        &["anyarray, integer → integer"],
        "The first place of an array, which is 1; NULL if it has no items.",
        |_, values| Ok(ScalarValue::Int32(list_length(values).filter(|length| *length > 0).map(|_| 1))),
    ),
    entry(
        "array_upper",
        &["anyarray, integer → integer"],
        "The last place of an array; NULL if it has no items.",
        |_, values| Ok(ScalarValue::Int32(list_length(values).filter(|length| *length > 0))),
    ),
];

fn list_length(values: &[ScalarValue]) -> Option<i32> {
    use datafusion::arrow::array::Array;
    match values.first()? {
        ScalarValue::List(list) if !list.is_null(0) => Some(list.value_length(0)),
        _ => None,
    }
}
