//! The change formats: what comes in as a record, and what goes out for a row.

use datafusion::arrow::array::{Array, AsArray};
use datafusion::arrow::datatypes::{DataType, Field, Int32Type, Schema};
use datafusion::arrow::record_batch::RecordBatch;
use proptest::prelude::*;

use super::*;
use crate::options::OptionValue;

fn fields() -> Fields {
    vec![Field::new("id", DataType::Int32, true), Field::new("name", DataType::Utf8, true)].into()
}

/// Opens a format with options that are named without it.
pub(super) fn try_open(format: &str, options: &[(&str, &str)]) -> Result<Arc<dyn Format>> {
    let value = |value: &str| OptionValue::Plain(value.to_owned());
    let options = options.iter().map(|(name, given)| (format!("{format}.{name}"), value(given))).collect();
    let mut options = OptionReader::new(&options, &|_| unreachable!("no secrets here"))?;
    let opened = open(format, "", &mut options)?;
    options.finish()?;
    Ok(opened)
}

fn opened(name: &str, options: &[(&str, &str)]) -> Arc<dyn Format> {
    try_open(name, options).unwrap()
}

fn sign(kind: RowKind) -> &'static str {
    match kind {
        RowKind::Insert => "+",
        RowKind::UpdateBefore => "-U",
        RowKind::UpdateAfter => "+U",
        RowKind::Delete => "-",
    }
}

fn taken(decoder: &mut dyn Decoder) -> ChangeBatch {
    let kinds = decoder.take_kinds().expect("change formats have kinds");
    let rows = RecordBatch::try_new(Arc::new(Schema::new(fields())), decoder.finish().unwrap()).unwrap();
    ChangeBatch::changes(rows, kinds.into())
}

fn text(changes: &ChangeBatch) -> String {
    let (ids, names) = (changes.rows().column(0), changes.rows().column(1));
    let (ids, names) = (ids.as_primitive::<Int32Type>(), names.as_string::<i32>());
    let rows = (0..changes.len()).map(|row| {
        let id = if ids.is_null(row) { "∅".to_owned() } else { ids.value(row).to_string() };
        let name = if names.is_null(row) { "∅" } else { names.value(row) };
        format!("{} {id} {name}", sign(changes.kind(row)))
    });
    rows.collect::<Vec<_>>().join(", ")
}

/// The changes of records, as text.
fn changes(format: &Arc<dyn Format>, records: &[&str]) -> String {
    let mut decoder = format.decoder(&fields(), &[0, 1]).unwrap();
    for record in records {
        let before = decoder.len();
        let decoded = decoder.decode(record.as_bytes()).unwrap();
        assert_eq!((decoder.len(), decoded.skipped), (before + decoded.rows, 0), "{record}");
    }
    text(&taken(decoder.as_mut()))
}

fn error(format: &Arc<dyn Format>, record: &str) -> Error {
    let mut decoder = format.decoder(&fields(), &[0, 1]).unwrap();
    let error = decoder.decode(record.as_bytes()).unwrap_err();
    assert!(decoder.is_empty(), "nothing is left of a bad record");
    error
}

const U: &str = r#"{"before":{"id":1,"name":"a"},"after":{"id":1,"name":"b"},"op":"u"}"#;

#[test]
fn debezium_records_are_changes() {
    let format = opened("debezium-json", &[]);
    assert_eq!(format.changelog(), Changelog::Retract);
    let records = [
        r#"{"before":null,"after":{"id":1,"name":"a"},"source":{"db":"x"},"op":"c","ts_ms":1}"#,
        r#"{"after":{"id":2,"name":null},"op":"r"}"#,
        U,
        "",
        r#"{"before":{"id":2},"after":null,"op":"d"}"#,
    ];
    assert_eq!(changes(&format, &records), "+ 1 a, + 2 ∅, -U 1 a, +U 1 b, - 2 ∅");
    let with_schema = opened("debezium-json", &[("schema-include", "true")]);
    let record = format!(r#"{{"schema":{{"type":"struct"}},"payload":{U}}}"#);
    assert_eq!(changes(&with_schema, &[&record, r#"{"schema":null,"payload":null}"#]), "-U 1 a, +U 1 b");
    assert!(error(&format, &record).message().contains("has its schema with it"));
    assert_eq!(with_schema.encoder(&fields()).err().unwrap().sqlstate().code(), "0A000");
}

#[test]
fn a_debezium_update_or_delete_without_its_old_row_is_refused_with_the_way_out() {
    let format = opened("debezium-json", &[]);
    for record in [r#"{"before":null,"after":{"id":1},"op":"u"}"#, r#"{"before":null,"op":"d"}"#] {
        let error = error(&format, record);
        assert!(error.message().contains("has no \"before\""), "{error}");
        assert!(format!("{error:?}").contains("REPLICA IDENTITY FULL"), "{error:?}");
    }
    assert_eq!(
        error(&format, r#"{"op":"t"}"#).message(),
        "record has \"t\" as \"op\", which is no known kind of change"
    );
    assert_eq!(error(&format, r#"{"after":{"id":1}}"#).message(), "record has no \"op\"");
    assert_eq!(
        error(&format, r#"{"before":{"id":1},"after":{"id":"x"},"op":"u"}"#).message(),
        "record field \"id\" cannot read \"x\" as INT (in a row of the change)"
    );
    assert!(error(&format, "[1]").message().starts_with("record is no change record"));
}

#[test]
fn canal_records_have_several_rows_and_partial_old_ones() {
    let format = opened("canal-json", &[("database.include", "shop|lab"), ("table.include", "o.*")]);
    let record = |kind: &str, data: &str, old: &str| {
        format!(r#"{{"data":{data},"old":{old},"database":"shop","table":"orders","type":"{kind}","isDdl":false}}"#)
    };
    let insert = record("INSERT", r#"[{"id":"1","name":"a"},{"id":"2","name":"b"}]"#, "null");
    let update = record(
        "UPDATE",
        r#"[{"id":"1","name":"c"},{"id":"3","name":"d"}]"#,
        r#"[{"name":"a"},{"id":"2","name":null}]"#,
    );
    let delete = record("DELETE", r#"[{"id":"3","name":"d"}]"#, "null");
    let other = insert.replace("shop", "workshop");
    assert_eq!(
        changes(&format, &[&insert, &update, &delete, &other, &record("CREATE", "null", "null")]),
        "+ 1 a, + 2 b, -U 1 a, +U 1 c, -U 2 ∅, +U 3 d, - 3 d"
    );
    for kind in ["CREATE", "ALTER", "ERASE", "TRUNCATE", "QUERY", "INSERT"] {
        let definition = record(kind, "null", "null").replace(r#""isDdl":false"#, r#""isDdl":true"#);
        assert_eq!(changes(&format, &[&definition]), "", "{kind}");
    }
    assert!(error(&format, &record("UPDATE", r#"[{"id":1}]"#, "null")).message().contains("\"old\""));
    assert!(error(&format, &record("ALTER", "null", "null")).message().contains("\"ALTER\""));
    assert!(error(&format, r#"{"type":"INSERT","data":[]}"#).message().contains("\"database\""));
    // The first row fits, the second does not: none is kept.
    assert!(error(&format, &record("INSERT", r#"[{"id":1},{"id":"x"}]"#, "null")).message().contains("\"id\""));
    assert!(try_open("canal-json", &[("table.include", "(")]).is_err());
}

#[test]
fn maxwell_records_are_changes() {
    let format = opened("maxwell-json", &[]);
    let records = [
        r#"{"database":"d","type":"insert","ts":1,"data":{"id":1,"name":"a"}}"#,
        r#"{"type":"update","data":{"id":1,"name":"b"},"old":{"name":"a"}}"#,
        r#"{"type":"bootstrap-start","data":{}}"#,
        r#"{"type":"bootstrap-insert","data":{"id":2,"name":"z"}}"#,
        r#"{"type":"bootstrap-complete","data":{}}"#,
        r#"{"type":"delete","data":{"id":1,"name":"b"}}"#,
    ];
    assert_eq!(changes(&format, &records), "+ 1 a, -U 1 a, +U 1 b, + 2 z, - 1 b");
    assert!(error(&format, r#"{"type":"update","data":{"id":1}}"#).message().contains("\"old\""));
    assert!(error(&format, r#"{"type":"table-create"}"#).message().contains("table-create"));
}

#[test]
fn changes_are_written_as_flink_writes_them_and_read_back() {
    let mut decoder = opened("debezium-json", &[]).decoder(&fields(), &[0, 1]).unwrap();
    decoder.decode(br#"{"after":{"id":1,"name":"a"},"op":"c"}"#).unwrap();
    decoder.decode(U.as_bytes()).unwrap();
    decoder.decode(br#"{"before":{"id":1,"name":null},"op":"d"}"#).unwrap();
    let batch = taken(decoder.as_mut());
    for (name, expected) in [
        (
            "debezium-json",
            [
                r#"{"before":null,"after":{"id":1,"name":"a"},"op":"c"}"#,
                r#"{"before":{"id":1,"name":"a"},"after":null,"op":"d"}"#,
                r#"{"before":null,"after":{"id":1,"name":"b"},"op":"c"}"#,
                r#"{"before":{"id":1,"name":null},"after":null,"op":"d"}"#,
            ],
        ),
        (
            "canal-json",
            [
                r#"{"data":[{"id":1,"name":"a"}],"type":"INSERT"}"#,
                r#"{"data":[{"id":1,"name":"a"}],"type":"DELETE"}"#,
                r#"{"data":[{"id":1,"name":"b"}],"type":"INSERT"}"#,
                r#"{"data":[{"id":1,"name":null}],"type":"DELETE"}"#,
            ],
        ),
        (
            "maxwell-json",
            [
                r#"{"data":{"id":1,"name":"a"},"type":"insert"}"#,
                r#"{"data":{"id":1,"name":"a"},"type":"delete"}"#,
                r#"{"data":{"id":1,"name":"b"},"type":"insert"}"#,
                r#"{"data":{"id":1,"name":null},"type":"delete"}"#,
            ],
        ),
    ] {
        let format = opened(name, &[]);
        let encoded = format.encoder(&fields()).unwrap().encode(&batch).unwrap();
        let written: Vec<_> = (0..encoded.len()).map(|row| std::str::from_utf8(encoded.record(row)).unwrap()).collect();
        assert_eq!(written, expected, "{name}");
        assert_eq!(changes(&format, &expected), "+ 1 a, - 1 a, + 1 b, - 1 ∅", "{name}");
    }
    let brief = opened("debezium-json", &[("encode.ignore-null-fields", "true")]);
    let encoded = brief.encoder(&fields()).unwrap().encode(&batch.slice(3, 1)).unwrap();
    assert_eq!(encoded.record(0), br#"{"before":{"id":1},"op":"d"}"#);
}

#[test]
fn with_ignore_parse_errors_a_bad_change_is_left_out_whole_and_counted() {
    for name in ["debezium-json", "canal-json", "maxwell-json"] {
        let format = opened(name, &[("ignore-parse-errors", "true")]);
        let mut decoder = format.decoder(&fields(), &[1]).unwrap();
        for bad in
            ["{", "7", r#"{"op":"d"}"#, r#"{"type":"UPDATE","data":[{"id":1}],"old":[7]}"#, r#"{"type":"update"}"#]
        {
            assert_eq!(
                decoder.decode(bad.as_bytes()).unwrap(),
                Decoded { rows: 0, skipped: 1, nulled: 0 },
                "{name}: {bad}"
            );
        }
        assert!(decoder.is_empty());
    }
}

#[test]
fn a_blank_row_fits_columns_that_may_not_be_null() {
    let fields: Fields = vec![
        Field::new("id", DataType::Int32, false),
        Field::new("name", DataType::Utf8, true),
        Field::new("row", DataType::Struct(vec![Field::new("x", DataType::Int64, false)].into()), false),
    ]
    .into();
    let mut decoder = opened("json", &[]).decoder(&fields, &[0, 1, 2]).unwrap();
    decoder.push_blank();
    assert_eq!((decoder.len(), decoder.take_kinds()), (1, None), "plain JSON has no kinds");
    let arrays = decoder.finish().unwrap();
    assert_eq!(arrays.iter().map(|array| array.null_count()).collect::<Vec<_>>(), [0, 1, 0]);
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap();
}

proptest! {
    #[test]
    fn any_bytes_leave_the_changes_whole(records in prop::collection::vec(
        prop_oneof![
            "[{}\\[\\]\",:0-9a-e.\\-\\\\ ]{0,40}",
            Just(U.to_owned()),
            r#"\{"(data|before|after)":(\[\{"id":[0-9]\},7\]|\{"id":"?[0-9x]"?\}),"(type|op)":"(c|u|d|INSERT|UPDATE|insert)"\}"#,
        ],
        0..20,
    ), lenient: bool) {
        for name in ["debezium-json", "canal-json", "maxwell-json"] {
            let format = opened(name, &[("ignore-parse-errors", if lenient { "true" } else { "false" })]);
            let mut decoder = format.decoder(&fields(), &[0, 1]).unwrap();
            for record in &records {
                let before = decoder.len();
                match decoder.decode(record.as_bytes()) {
                    Ok(decoded) => prop_assert_eq!(decoder.len(), before + decoded.rows),
                    Err(_) => prop_assert!(!lenient && decoder.len() == before),
                }
            }
            let rows = decoder.len();
            let kinds = decoder.take_kinds().unwrap();
            prop_assert_eq!(kinds.len(), rows);
            for array in decoder.finish().unwrap() {
                prop_assert_eq!(array.len(), rows);
            }
        }
    }
}
