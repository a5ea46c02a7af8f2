use datafusion::arrow::datatypes::{DataType, TimeUnit};

use super::*;

#[test]
fn names_of_both_worlds_mean_the_same() {
    for (names, expected) in [
        (&["BOOLEAN", "bool"][..], DataType::Boolean),
        (&["SMALLINT", "int2"], DataType::Int16),
        (&["INT", "INTEGER", "int4"], DataType::Int32),
        (&["FLOAT", "REAL", "float4"], DataType::Float32),
        (&["DOUBLE", "DOUBLE PRECISION", "float8"], DataType::Float64),
        (&["DECIMAL", "NUMERIC", "dec(10)", "DECIMAL(10, 0)"], DataType::Decimal128(10, 0)),
        (&["STRING", "VARCHAR(255)", "TEXT", "CHAR(3)", "character varying(9)"], DataType::Utf8),
        (&["BYTES", "VARBINARY(10)", "bytea"], DataType::Binary),
        (&["TIMESTAMP(3)", "timestamp(2) without time zone"], DataType::Timestamp(TimeUnit::Millisecond, None)),
        (&["TIMESTAMP"], DataType::Timestamp(TimeUnit::Microsecond, None)),
        (
            &["TIMESTAMP_LTZ(3)", "TIMESTAMP(3) WITH LOCAL TIME ZONE"],
            DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())),
        ),
        (&["timestamptz"], DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))),
        (&["ARRAY<INT>", "int[]", "INT ARRAY"], list_of(DataType::Int32, true)),
    ] {
        for name in names {
            assert_eq!(parse(name).unwrap(), expected, "{name}");
        }
    }
}

#[test]
fn nested_types_print_and_read_back() {
    for text in ["MAP<STRING, ARRAY<INT NOT NULL>>", "ROW<`a` INT, `B c` ROW<`d` TIMESTAMP_LTZ(3)>>", "TIME(6)"] {
        assert_eq!(to_flink(&parse(text).unwrap()), text);
    }
    assert_eq!(parse("ROW(a INT 'comment', b STRING)").unwrap(), parse("ROW<a INT, b STRING>").unwrap());
}

#[test]
fn what_is_no_type_says_so() {
    assert_eq!(parse("INTERVAL").unwrap_err().sqlstate().code(), "0A000");
    assert_eq!(parse("MULTISET<INT>").unwrap_err().sqlstate().code(), "0A000");
    assert_eq!(parse("FOO").unwrap_err().sqlstate().code(), "42704");
    assert_eq!(parse("INT INT").unwrap_err().sqlstate().code(), "42704");
    assert!(parse("DECIMAL(77, 0)").is_err());
}

#[test]
fn numeric_is_unconstrained_in_queries_only() {
    assert!(is_unconstrained_numeric(&parse_in_query("numeric").unwrap()));
    assert_eq!(to_postgres(&parse_in_query("numeric").unwrap()), "numeric");
    assert_eq!(parse_in_query("numeric(5,2)").unwrap(), DataType::Decimal128(5, 2));
}

#[test]
fn lengths_are_those_of_the_type_as_written() {
    let of = |text| TypeLength::of(text).map(|length| (length.length, length.is_padded));
    for (text, expected) in [
        ("VARCHAR(10)", Some((10, false))),
        ("varchar ( 3 ) NOT NULL", Some((3, false))),
        ("CHARACTER VARYING(7)", Some((7, false))),
        ("CHAR(4)", Some((4, true))),
        ("CHAR", Some((1, true))),
        ("CHAR NOT NULL", Some((1, true))),
        ("bpchar(4)", Some((4, true))),
        ("BINARY(2)", Some((2, true))),
        ("VARBINARY(2)", Some((2, false))),
        ("VARCHAR", None),
        ("BPCHAR", None),
        ("STRING", None),
        ("VARCHAR(3)[]", None),
        ("\"char\"", None),
        ("DECIMAL(10, 2)", None),
    ] {
        assert_eq!(of(text), expected, "{text}");
    }
}

#[test]
fn texts_are_cut_by_characters_and_filled_up() {
    let varchar = TypeLength { length: 3, is_padded: false };
    let char = TypeLength { length: 3, is_padded: true };
    assert_eq!((varchar.fit("äöüß"), varchar.fit("a"), char.fit("ä")), ("äöü".into(), "a".into(), "ä  ".into()));
    assert_eq!((char.fit_bytes(b"abcd"), char.fit_bytes(b"a")), (b"abc"[..].into(), b"a\0\0"[..].into()));
    assert_eq!((varchar.admits(2), char.admits(2), char.admits(3), varchar.admits(4)), (true, false, true, false));
}
