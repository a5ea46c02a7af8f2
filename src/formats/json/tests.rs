use datafusion::arrow::array::{ArrayRef, Float32Array, Float64Array};
use datafusion::arrow::datatypes::{DataType, Field, Fields, Schema, TimeUnit};
use datafusion::arrow::record_batch::{RecordBatch, RecordBatchOptions};
use proptest::prelude::*;

use super::*;
use crate::changelog::ChangeBatch;
use crate::formats::Decoded;
use crate::formats::tests::try_open;

fn json(options: &[(&str, &str)]) -> Arc<dyn Format> {
    try_open("json", options).unwrap()
}

fn fields(list: &[(&str, DataType)]) -> Fields {
    list.iter().map(|(name, data_type)| Field::new(*name, data_type.clone(), true)).collect()
}

/// Decodes records with all fields and writes the rows as JSON again, one a line.
fn through(format: &Arc<dyn Format>, fields: &Fields, records: &[&str]) -> String {
    let mut decoder = format.decoder(fields, &(0..fields.len()).collect::<Vec<_>>()).unwrap();
    for record in records {
        decoder.decode(record.as_bytes()).unwrap();
    }
    let rows = decoder.len();
    let batch = RecordBatch::try_new_with_options(
        Arc::new(Schema::new(fields.clone())),
        decoder.finish().unwrap(),
        &RecordBatchOptions::new().with_row_count(Some(rows)),
    )
    .unwrap();
    text(format, &batch)
}

fn text(format: &Arc<dyn Format>, batch: &RecordBatch) -> String {
    let encoded =
        format.encoder(batch.schema().fields()).unwrap().encode(&ChangeBatch::inserts(batch.clone())).unwrap();
    (0..encoded.len()).map(|row| std::str::from_utf8(encoded.record(row)).unwrap()).collect::<Vec<_>>().join("\n")
}

fn error(format: &Arc<dyn Format>, fields: &Fields, record: &str) -> String {
    let mut decoder = format.decoder(fields, &(0..fields.len()).collect::<Vec<_>>()).unwrap();
    decoder.decode(br#"{}"#).unwrap();
    let error = decoder.decode(record.as_bytes()).unwrap_err().message().to_owned();
    assert_eq!(decoder.len(), 1, "a failed record leaves nothing behind");
    decoder.decode(br#"{}"#).unwrap();
    for array in decoder.finish().unwrap() {
        assert_eq!(array.len(), 2);
    }
    error
}

fn orders() -> Fields {
    fields(&[
        ("order_id", DataType::Int32),
        ("order_amount", DataType::Float32),
        ("coupon_code", DataType::Utf8),
        ("created_at", DataType::Timestamp(TimeUnit::Millisecond, None)),
    ])
}

#[test]
fn an_order_comes_through_as_it_was() {
    let order = r#"{"order_id":7,"order_amount":12.34,"coupon_code":"A\"é","created_at":"2024-01-31 10:00:00.5"}"#;
    assert_eq!(through(&json(&[]), &orders(), &[order]), order);
}

#[test]
fn unknown_fields_are_skipped_and_missing_ones_are_null() {
    let record = r#"{"x":{"order_id":[1,{"a":2}]},"order_id":7,"y":null}"#;
    let expected = r#"{"order_id":7,"order_amount":null,"coupon_code":null,"created_at":null}"#;
    assert_eq!(through(&json(&[]), &orders(), &[record]), expected);
    let plain = r#"{"order_id":7}"#;
    assert_eq!(through(&json(&[("encode.ignore-null-fields", "true")]), &orders(), &[record]), plain);
    assert_eq!(
        error(&json(&[("fail-on-missing-field", "true"), ("zero-timestamp.behavior", "fail")]), &fields(&[]), "7"),
        "record is no JSON object of one row: invalid type: integer `7`, expected a JSON object at line 1 column 1"
    );
}

#[test]
fn a_missing_field_fails_when_asked_to() {
    let format = json(&[("fail-on-missing-field", "true")]);
    let mut decoder = format.decoder(&orders(), &[0]).unwrap();
    assert_eq!(decoder.decode(b"{}").unwrap_err().message(), "record field \"order_id\" is missing");
    assert_eq!(decoder.decode(br#"{"order_id":1}"#).unwrap(), Decoded { rows: 1, skipped: 0, nulled: 0 });
}

#[test]
fn an_exact_name_goes_before_one_in_another_case() {
    let fields = fields(&[("userId", DataType::Int32)]);
    for record in [r#"{"userId":1,"userid":2}"#, r#"{"userid":2,"userId":1}"#] {
        assert_eq!(through(&json(&[]), &fields, &[record]), r#"{"userId":1}"#);
    }
    assert_eq!(through(&json(&[]), &fields, &[r#"{"USERID":3}"#]), r#"{"userId":3}"#);
    assert_eq!(through(&json(&[]), &fields, &[r#"{"userId":3,"userId":4}"#]), r#"{"userId":4}"#);
}

#[test]
fn strings_and_numbers_convert_into_each_other() {
    let fields = fields(&[("i", DataType::Int32), ("s", DataType::Utf8), ("b", DataType::Boolean)]);
    let record = r#"{"i":" 12 ","s":1.50e3,"b":"TRUE"}"#;
    assert_eq!(through(&json(&[]), &fields, &[record]), r#"{"i":12,"s":"1.50e3","b":true}"#);
    let record = r#"{"i":1.2e1,"s":{"a": [1]},"b":false}"#;
    assert_eq!(through(&json(&[]), &fields, &[record]), r#"{"i":12,"s":"{\"a\": [1]}","b":false}"#);
}

#[test]
fn a_bad_field_names_itself() {
    let format = json(&[]);
    assert_eq!(error(&format, &orders(), r#"{"order_id":"x"}"#), "record field \"order_id\" cannot read \"x\" as INT");
    assert_eq!(
        error(&format, &orders(), r#"{"order_id":2147483648}"#),
        "record field \"order_id\" cannot read 2147483648 as INT"
    );
    assert_eq!(error(&format, &orders(), r#"{"order_id":1.5}"#), "record field \"order_id\" cannot read 1.5 as INT");
    assert_eq!(
        error(&format, &orders(), r#"{"created_at":"2024-01-31T10:00:00"}"#),
        "record field \"created_at\" cannot read \"2024-01-31T10:00:00\" as TIMESTAMP"
    );
    assert!(error(&format, &orders(), r#"{"order_id":1"#).starts_with("record is no JSON object"));
    assert!(error(&format, &orders(), r#"{"order_id":1}{"#).starts_with("record goes on after its end"));
}

#[test]
fn with_ignore_parse_errors_bad_fields_are_null_and_bad_rows_left_out() {
    let format = json(&[("ignore-parse-errors", "true")]);
    let mut decoder = format.decoder(&orders(), &[0, 2]).unwrap();
    let skipped = Decoded { rows: 0, skipped: 1, nulled: 0 };
    for bad in ["{", "7", "", "  ", "{\"order_id\":1}x", "\u{0}", "null"] {
        assert_eq!(decoder.decode(bad.as_bytes()).unwrap(), skipped, "{bad:?}");
    }
    decoder.decode(br#"{"order_id":{"a":1},"coupon_code":"c"}"#).unwrap();
    let arrays = decoder.finish().unwrap();
    assert_eq!((arrays[0].len(), arrays[0].null_count(), arrays[1].null_count()), (1, 1, 0));
    assert_eq!(
        decoder.decode(br#"[{"order_id":1},2,{"order_id":3}]"#).unwrap(),
        Decoded { rows: 2, skipped: 1, nulled: 0 }
    );
}

#[test]
fn both_strictness_options_are_refused() {
    assert!(try_open("json", &[("fail-on-missing-field", "true"), ("ignore-parse-errors", "true")]).is_err());
}

#[test]
fn an_array_is_several_rows_or_none() {
    let fields = fields(&[("a", DataType::Int32)]);
    assert_eq!(through(&json(&[]), &fields, &[r#"[{"a":1},{"a":2}]"#]), "{\"a\":1}\n{\"a\":2}");
    error(&json(&[]), &fields, r#"[{"a":1},{"a":"x"}]"#);
}

#[test]
fn a_null_in_a_not_null_column_is_a_bad_row_under_any_projection() {
    let fields: Fields = vec![Field::new("id", DataType::Int32, false), Field::new("v", DataType::Int32, true)].into();
    for projection in [vec![], vec![1], vec![0, 1]] {
        let mut decoder = json(&[("ignore-parse-errors", "true")]).decoder(&fields, &projection).unwrap();
        assert_eq!(decoder.decode(br#"{"v":1}"#).unwrap().skipped, 1);
        assert_eq!(decoder.decode(br#"{"v":1,"id":null}"#).unwrap().skipped, 1);
        assert_eq!(decoder.decode(br#"{"v":1,"id":"x"}"#).unwrap().skipped, 1);
        assert_eq!(decoder.decode(br#"{"v":1,"id":2}"#).unwrap().rows, 1);
        assert_eq!(decoder.finish().unwrap().len(), projection.len());
    }
}

#[test]
fn nested_values_come_through() {
    let item = Fields::from(vec![Field::new("n", DataType::Int64, true), Field::new("t", DataType::Utf8, true)]);
    let entries =
        Fields::from(vec![Field::new("key", DataType::Utf8, false), Field::new("value", DataType::Float64, true)]);
    let fields = fields(&[
        ("rows", DataType::List(Arc::new(Field::new("item", DataType::Struct(item), true)))),
        ("m", DataType::Map(Arc::new(Field::new("entries", DataType::Struct(entries), false)), false)),
    ]);
    let record = r#"{"rows":[{"n":1,"t":"a"},null,{"n":null,"t":null}],"m":{"x":1.5,"y":null}}"#;
    assert_eq!(through(&json(&[]), &fields, &[record, "{}", record]).lines().nth(2).unwrap(), record);
    assert_eq!(
        error(&json(&[]), &fields, r#"{"m":{"x":1},"rows":[{"n":1},{"n":"x"}]}"#),
        "record field \"rows[].n\" cannot read \"x\" as BIGINT"
    );
    let lenient = json(&[("ignore-parse-errors", "true")]);
    assert_eq!(
        through(&lenient, &fields, &[r#"{"rows":[{"n":"x","t":"b"},7],"m":3}"#]),
        r#"{"rows":[{"n":null,"t":"b"},null],"m":null}"#
    );
}

#[test]
fn decimals_are_exact_and_round_half_up() {
    let fields = fields(&[("d", DataType::Decimal128(38, 10))]);
    let format = json(&[("encode.decimal-as-plain-number", "true")]);
    for (given, expected) in [
        ("1234567890123456789012345678.0123456789", "1234567890123456789012345678.0123456789"),
        ("0.1", "0.1"),
        ("1e3", "1000"),
        ("1.5E-3", "0.0015"),
        ("-12.00", "-12"),
        ("\"7.25\"", "7.25"),
        ("0.00000000005", "0.0000000001"),
        ("-0.00000000005", "-0.0000000001"),
        ("0.00000000004999999999999999999999999999999999999999999999999", "0"),
        ("0e999999", "0"),
        ("1e-999999", "0"),
        ("100000000000000000000000000000000000000000000000e-40", "10000000"),
    ] {
        assert_eq!(
            through(&format, &fields, &[&format!("{{\"d\":{given}}}")]),
            format!("{{\"d\":{expected}}}"),
            "{given}"
        );
    }
    for bad in ["1e28", "\"x\"", "\"\"", "\"1e\"", "1e999999", "\"-\"", "\"1.2.3\""] {
        error(&format, &fields, &format!("{{\"d\":{bad}}}"));
    }
}

#[test]
fn decimals_are_written_as_java_writes_them() {
    let fields = fields(&[("d", DataType::Decimal128(38, 10))]);
    for (given, expected) in
        [("100", "1E+2"), ("0.000000027", "2.7E-8"), ("12.50", "12.5"), ("120", "1.2E+2"), ("0", "0")]
    {
        assert_eq!(through(&json(&[]), &fields, &[&format!("{{\"d\":{given}}}")]), format!("{{\"d\":{expected}}}"));
    }
}

#[test]
fn times_have_flinks_texts() {
    let zone = Some(Arc::from("UTC"));
    let fields = fields(&[
        ("d", DataType::Date32),
        ("t", DataType::Time32(TimeUnit::Millisecond)),
        ("us", DataType::Timestamp(TimeUnit::Microsecond, None)),
        ("ltz", DataType::Timestamp(TimeUnit::Millisecond, zone)),
    ]);
    let sql = r#"{"d":"1969-12-31","t":"23:59:59.001","us":"1969-12-31 23:59:59.999999","ltz":"2024-02-29 00:00:00Z"}"#;
    assert_eq!(through(&json(&[]), &fields, &[sql]), sql);
    let iso = sql.replace("31 23", "31T23").replace("29 00", "29T00");
    assert_eq!(through(&json(&[("timestamp-format.standard", "iso_8601")]), &fields, &[&iso]), iso);
    for bad in [
        r#"{"d":"2023-02-29"}"#,
        r#"{"t":"24:00:00"}"#,
        r#"{"us":"2024-01-01 00:00:00Z"}"#,
        r#"{"ltz":"2024-01-01 00:00:00"}"#,
        r#"{"us":1}"#,
        r#"{"us":"2024-01-01 00:00:0é"}"#,
        r#"{"us":"2024-01-01é00:00:00"}"#,
        r#"{"us":"0000-00-00 00:00:00"}"#,
    ] {
        error(&json(&[]), &fields, bad);
    }
    let zero = json(&[("zero-timestamp.behavior", "CONVERT_TO_NULL")]);
    through(&zero, &fields, &[r#"{"us":"0000-00-00 00:00:00"}"#]);
}

#[test]
fn bytes_are_base64_and_what_is_no_number_is_text() {
    let fields = fields(&[("b", DataType::Binary), ("f", DataType::Float64)]);
    let record = r#"{"b":"AAH/","f":1e300}"#;
    assert_eq!(through(&json(&[]), &fields, &[record]), record);
    error(&json(&[]), &fields, r#"{"b":"?"}"#);
    error(&json(&[]), &fields, r#"{"f":1e999}"#);
    for record in [r#"{"b":"","f":"NaN"}"#, r#"{"b":"","f":"Infinity"}"#, r#"{"b":"","f":"-Infinity"}"#] {
        assert_eq!(through(&json(&[]), &fields, &[record]), record);
    }
}

proptest! {
    #[test]
    fn any_bytes_leave_the_columns_whole(records in prop::collection::vec("[{}\\[\\]\",:0-9a-e.\\-\\\\ ]{0,40}", 0..20), lenient: bool) {
        let format = json(&[("ignore-parse-errors", if lenient { "true" } else { "false" })]);
        let nested = DataType::List(Arc::new(Field::new("item", DataType::Int32, false)));
        let fields = fields(&[("a", DataType::Int32), ("b", nested), ("c", DataType::Utf8)]);
        let mut decoder = format.decoder(&fields, &[0, 1, 2]).unwrap();
        for record in &records {
            let before = decoder.len();
            match decoder.decode(record.as_bytes()) {
                Ok(decoded) => prop_assert_eq!(decoder.len(), before + decoded.rows),
                Err(_) => prop_assert_eq!(decoder.len(), before),
            }
        }
        let rows = decoder.len();
        for array in decoder.finish().unwrap() {
            prop_assert_eq!(array.len(), rows);
        }
    }

    #[test]
    fn floats_are_written_as_the_shortest_text_that_reads_back(bits: u64, amount: i32) {
        for value in [f64::from_bits(bits), f64::from(amount) / 100.0, f64::from(amount) * 1e7] {
            let narrow = value as f32;
            if value.is_finite() && narrow.is_finite() {
                let batch = RecordBatch::try_from_iter([
                    ("d", Arc::new(Float64Array::from(vec![value])) as ArrayRef),
                    ("f", Arc::new(Float32Array::from(vec![narrow]))),
                ]).unwrap();
                let written = text(&json(&[]), &batch);
                let (wide_text, narrow_text) = written.strip_prefix("{\"d\":").unwrap().split_once(",\"f\":").unwrap();
                let narrow_text = narrow_text.strip_suffix('}').unwrap();
                prop_assert_eq!(wide_text.parse(), Ok(value));
                prop_assert_eq!(narrow_text.parse(), Ok(narrow));
                // Of two that are equally short and near either may be taken.
                prop_assert_eq!(wide_text.len(), format!("{value:?}").len());
                prop_assert_eq!(narrow_text.len(), format!("{narrow:?}").len());
            }
        }
    }

    #[test]
    fn numbers_keep_their_value(value: i64, scale in 0_u8..10) {
        let fields = fields(&[("d", DataType::Decimal128(38, 10)), ("i", DataType::Int64)]);
        let decimal = format!("{value}e-{scale}");
        let row = through(&json(&[("encode.decimal-as-plain-number", "true")]), &fields, &[&format!("{{\"d\":{decimal},\"i\":{value}}}")]);
        let ten = 10_i128.pow(u32::from(scale));
        let (whole, fraction) = (i128::from(value).abs() / ten, i128::from(value).abs() % ten);
        let mut expected = format!("{whole}");
        if fraction != 0 {
            expected = format!("{expected}.{}", format!("{fraction:0width$}", width = usize::from(scale)).trim_end_matches('0'));
        }
        let sign = if value < 0 { "-" } else { "" };
        prop_assert_eq!(row, format!("{{\"d\":{sign}{expected},\"i\":{value}}}"));
    }
}
