//! Types as they are printed: as Flink declares them, and as Postgres' `format_type` does. Reading them is the parent's. Arrow's
//! unsigned and narrow types are printed as the next type that SQL has.

use datafusion::arrow::datatypes::{DataType, Field, IntervalUnit, TimeUnit};

use super::is_unconstrained_numeric;

fn precision_of(unit: &TimeUnit) -> u8 {
    match unit {
        TimeUnit::Second => 0,
        TimeUnit::Millisecond => 3,
        TimeUnit::Microsecond => 6,
        TimeUnit::Nanosecond => 9,
    }
}

/// Prints a type as Flink writes it; [`parse`](super::parse) reads it back.
pub fn to_flink(data_type: &DataType) -> String {
    let element = |field: &Field| {
        format!("{}{}", to_flink(field.data_type()), if field.is_nullable() { "" } else { " NOT NULL" })
    };
    match data_type {
        DataType::Boolean => "BOOLEAN".to_owned(),
        DataType::Int8 => "TINYINT".to_owned(),
        DataType::Int16 | DataType::UInt8 => "SMALLINT".to_owned(),
        DataType::Int32 | DataType::UInt16 => "INT".to_owned(),
        DataType::Int64 | DataType::UInt32 => "BIGINT".to_owned(),
        DataType::UInt64 => "DECIMAL(20, 0)".to_owned(),
        DataType::Float16 | DataType::Float32 => "FLOAT".to_owned(),
        DataType::Float64 => "DOUBLE".to_owned(),
        DataType::Decimal32(p, s)
        | DataType::Decimal64(p, s)
        | DataType::Decimal128(p, s)
        | DataType::Decimal256(p, s) => format!("DECIMAL({p}, {s})"),
        DataType::Null | DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "STRING".to_owned(),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            "BYTES".to_owned()
        }
        DataType::Date32 | DataType::Date64 => "DATE".to_owned(),
        DataType::Time32(unit) | DataType::Time64(unit) => format!("TIME({})", precision_of(unit)),
        DataType::Timestamp(unit, None) => format!("TIMESTAMP({})", precision_of(unit)),
        DataType::Timestamp(unit, Some(_)) => format!("TIMESTAMP_LTZ({})", precision_of(unit)),
        DataType::List(field)
        | DataType::LargeList(field)
        | DataType::ListView(field)
        | DataType::LargeListView(field)
        | DataType::FixedSizeList(field, _) => format!("ARRAY<{}>", element(field)),
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(fields) if fields.len() == 2 => {
                format!("MAP<{}, {}>", to_flink(fields[0].data_type()), element(&fields[1]))
            }
            _ => "MAP<STRING, STRING>".to_owned(),
        },
        DataType::Struct(fields) => {
            let fields: Vec<String> = fields
                .iter()
                .map(|field| format!("`{}` {}", field.name().replace('`', "``"), element(field)))
                .collect();
            format!("ROW<{}>", fields.join(", "))
        }
        DataType::Dictionary(_, value) => to_flink(value),
        DataType::Interval(IntervalUnit::YearMonth) => "INTERVAL YEAR TO MONTH".to_owned(),
        DataType::Interval(_) | DataType::Duration(_) => "INTERVAL DAY TO SECOND".to_owned(),
        other => other.to_string(),
    }
}

/// Prints a type as Postgres' `format_type` does.
pub fn to_postgres(data_type: &DataType) -> String {
    match data_type {
        DataType::Boolean => "boolean".to_owned(),
        DataType::Int8 | DataType::Int16 | DataType::UInt8 => "smallint".to_owned(),
        DataType::Int32 | DataType::UInt16 => "integer".to_owned(),
        DataType::Int64 | DataType::UInt32 => "bigint".to_owned(),
        DataType::UInt64 => "numeric(20,0)".to_owned(),
        DataType::Float16 | DataType::Float32 => "real".to_owned(),
        DataType::Float64 => "double precision".to_owned(),
        other if is_unconstrained_numeric(other) => "numeric".to_owned(),
        DataType::Decimal32(p, s)
        | DataType::Decimal64(p, s)
        | DataType::Decimal128(p, s)
        | DataType::Decimal256(p, s) => format!("numeric({p},{s})"),
        DataType::Null | DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "text".to_owned(),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            "bytea".to_owned()
        }
        DataType::Date32 | DataType::Date64 => "date".to_owned(),
        DataType::Time32(unit) | DataType::Time64(unit) => {
            format!("time({}) without time zone", precision_of(unit).min(6))
        }
        DataType::Timestamp(unit, zone) => {
            let precision = match precision_of(unit) {
                precision @ 0..6 => format!("({precision})"),
                _ => String::new(),
            };
            format!("timestamp{precision} {} time zone", if zone.is_some() { "with" } else { "without" })
        }
        DataType::List(field)
        | DataType::LargeList(field)
        | DataType::ListView(field)
        | DataType::LargeListView(field)
        | DataType::FixedSizeList(field, _) => format!("{}[]", to_postgres(field.data_type())),
        DataType::Map(..) => "jsonb".to_owned(),
        DataType::Struct(_) => "record".to_owned(),
        DataType::Dictionary(_, value) => to_postgres(value),
        DataType::Interval(_) | DataType::Duration(_) => "interval".to_owned(),
        other => other.to_string(),
    }
}
