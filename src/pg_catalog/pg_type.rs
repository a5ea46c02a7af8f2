//! Arrow types ↔ Postgres types: oids, sizes, modifiers. Knows no values.
//!
//! `UInt32` is `oid`: none of our declared types is unsigned, and so parameters compared with an oid column are described as one.
//! A field may name a type of the system catalog that Arrow does not have (`name`, `"char"`, `regproc` …) under [`TYPE_KEY`].

use datafusion::arrow::datatypes::{DataType, Field, IntervalUnit, TimeUnit};

pub use crate::data_type::TYPE_KEY;
use crate::data_type::{self, NamedText};

/// Precision and scale of our numeric without modifier.
const NUMERIC_FREE: (u8, i8) = (76, 38);

/// A column's type as RowDescription shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PgType {
    /// `pg_type.oid`
    pub oid: u32,
    /// `pg_type.typlen`
    pub size: i16,
    /// `pg_attribute.atttypmod`
    pub modifier: i32,
}

/// Oid of uuid.
pub const UUID: u32 = 2950;
/// Oid of jsonb.
pub const JSONB: u32 = 3802;
/// Oid of text, also of what has no type.
pub const TEXT: u32 = 25;

/// Type, oid, size, oid of its array.
const TYPES: &[(&str, u32, i16, u32)] = &[
    ("bool", 16, 1, 1000),
    ("bytea", 17, -1, 1001),
    ("char", 18, 1, 1002),
    ("name", 19, 64, 1003),
    ("int8", 20, 8, 1016),
    ("int2", 21, 2, 1005),
    ("int2vector", 22, -1, 1006),
    ("int4", 23, 4, 1007),
    ("regproc", 24, 4, 1008),
    ("text", TEXT, -1, 1009),
    ("oid", 26, 4, 1028),
    ("xid", 28, 4, 1011),
    ("oidvector", 30, -1, 1013),
    ("json", 114, -1, 199),
    ("pg_node_tree", 194, -1, 0),
    ("float4", 700, 4, 1021),
    ("float8", 701, 8, 1022),
    ("aclitem", 1033, 12, 1034),
    ("bpchar", 1042, -1, 1014),
    ("varchar", 1043, -1, 1015),
    ("date", 1082, 4, 1182),
    ("time", 1083, 8, 1183),
    ("timestamp", 1114, 8, 1115),
    ("timestamptz", 1184, 8, 1185),
    ("interval", 1186, 16, 1187),
    ("numeric", 1700, -1, 1231),
    ("regclass", 2205, 4, 2210),
    ("regtype", 2206, 4, 2211),
    ("jsonb", 3802, -1, 3807),
    ("pg_lsn", 3220, 8, 3221),
    ("unknown", 705, -2, 0),
    ("uuid", 2950, 16, 2951),
];

fn by_name(name: &str) -> Option<(u32, i16, u32)> {
    TYPES.iter().find(|entry| entry.0 == name).map(|entry| (entry.1, entry.2, entry.3))
}

/// The type of a field: what its metadata says, else what its Arrow type is.
pub fn of_field(field: &Field) -> PgType {
    match field.metadata().get(TYPE_KEY).and_then(|name| by_name(name)) {
        Some((_, _, array)) if field.data_type().is_list() && !field.metadata()[TYPE_KEY].ends_with("vector") => {
            PgType { oid: array, size: -1, modifier: -1 }
        }
        Some((oid, size, _)) => PgType { oid, size, modifier: -1 },
        None => of(field.data_type()),
    }
}

/// The type of texts of a certain form.
pub fn of_named(named: NamedText) -> PgType {
    let (oid, size, _) = by_name(named.name()).unwrap_or((TEXT, -1, 1009));
    PgType { oid, size, modifier: -1 }
}

/// The Postgres type in which values of an Arrow type leave.
pub fn of(data_type: &DataType) -> PgType {
    let name = match data_type {
        DataType::Boolean => "bool",
        DataType::Int8 | DataType::Int16 | DataType::UInt8 => "int2",
        DataType::Int32 | DataType::UInt16 => "int4",
        DataType::Int64 | DataType::UInt64 => "int8",
        DataType::UInt32 => "oid",
        DataType::Float16 | DataType::Float32 => "float4",
        DataType::Float64 => "float8",
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => {
            let free = (*precision, *scale) == NUMERIC_FREE || *scale < 0;
            let modifier =
                if free { -1 } else { ((i32::from(*precision) << 16) | i32::from(scale.unsigned_abs())) + 4 };
            return PgType { oid: 1700, size: -1, modifier };
        }
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => "bytea",
        DataType::Date32 | DataType::Date64 => "date",
        DataType::Time32(_) | DataType::Time64(_) => "time",
        DataType::Timestamp(_, None) => "timestamp",
        DataType::Timestamp(_, Some(_)) => "timestamptz",
        DataType::Interval(_) | DataType::Duration(_) => "interval",
        DataType::Struct(_) | DataType::Map(..) => "jsonb",
        DataType::Dictionary(_, values) => return of(values),
        DataType::RunEndEncoded(_, values) => return of(values.data_type()),
        list if list.is_list() => {
            return PgType { oid: array_of(element_of(list)), size: -1, modifier: -1 };
        }
        _ => "text",
    };
    let (oid, size, _) = by_name(name).unwrap_or((TEXT, -1, 1009));
    PgType { oid, size, modifier: -1 }
}

/// A declared type as Postgres knows it: oid and modifier.
pub fn declared(sql_type: &str) -> (u32, i32) {
    let upper = sql_type.trim().to_ascii_uppercase();
    let length = upper
        .split_once('(')
        .and_then(|(_, rest)| rest.split_once(')'))
        .and_then(|(digits, _)| digits.trim().parse::<i32>().ok());
    if let Some(length) = length {
        if upper.starts_with("VARCHAR") {
            return (1043, length + 4);
        }
        if upper.starts_with("CHAR") {
            return (1042, length + 4);
        }
    }
    if let Some(named) = NamedText::of_words(sql_type) {
        return (of_named(named).oid, -1);
    }
    let Ok(arrow) = data_type::parse(sql_type) else { return (TEXT, -1) };
    let pg = of(&arrow);
    match (&arrow, length) {
        (DataType::Timestamp(..) | DataType::Time32(_) | DataType::Time64(_), Some(digits)) if digits < 6 => {
            (pg.oid, digits)
        }
        _ => (pg.oid, pg.modifier),
    }
}

/// Innermost element type of nested lists.
pub fn element_of(data_type: &DataType) -> &DataType {
    match data_type {
        DataType::List(field)
        | DataType::LargeList(field)
        | DataType::FixedSizeList(field, _)
        | DataType::ListView(field)
        | DataType::LargeListView(field) => element_of(field.data_type()),
        other => other,
    }
}

fn array_of(element: &DataType) -> u32 {
    let oid = of(element).oid;
    TYPES.iter().find(|entry| entry.1 == oid).map_or(1009, |entry| entry.3)
}

/// The element type of an array type.
pub fn element_oid(array: u32) -> Option<u32> {
    TYPES.iter().find(|entry| entry.3 == array && array != 0).map(|entry| entry.1)
}

/// The Arrow type of a parameter that the client declared with an oid; `None` leaves it to the planner.
pub fn arrow_of(oid: u32) -> Option<DataType> {
    Some(match oid {
        16 => DataType::Boolean,
        17 => DataType::Binary,
        20 => DataType::Int64,
        21 => DataType::Int16,
        23 => DataType::Int32,
        18 | 19 | TEXT | 114 | 1042 | 1043 | 2950 | 3802 => DataType::Utf8,
        24 | 26 | 28 | 2205 | 2206 => DataType::UInt32,
        700 => DataType::Float32,
        701 => DataType::Float64,
        1082 => DataType::Date32,
        1083 => DataType::Time64(TimeUnit::Microsecond),
        1114 => DataType::Timestamp(TimeUnit::Microsecond, None),
        1184 => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        1186 => DataType::Interval(IntervalUnit::MonthDayNano),
        1700 => DataType::Decimal256(NUMERIC_FREE.0, NUMERIC_FREE.1),
        array => {
            let element = arrow_of(element_oid(array)?)?;
            DataType::List(Field::new_list_field(element, true).into())
        }
    })
}
