//! Columns as a job stores them: the message of Arrow's IPC format that describes a schema, base64. That format is stable.

use std::io::Cursor;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::ipc::reader::StreamReader;
use datafusion::arrow::ipc::writer::StreamWriter;
use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serializer};

pub(super) fn serialize<S: Serializer>(schema: &SchemaRef, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&text_of(schema).map_err(S::Error::custom)?)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SchemaRef, D::Error> {
    of_text(&String::deserialize(deserializer)?).map_err(D::Error::custom)
}

/// Several of them.
pub(super) mod list {
    use serde::ser::SerializeSeq;

    use super::*;

    pub fn serialize<S: Serializer>(schemas: &[SchemaRef], serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(schemas.len()))?;
        for schema in schemas {
            list.serialize_element(&text_of(schema).map_err(S::Error::custom)?)?;
        }
        list.end()
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<SchemaRef>, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        texts.iter().map(|text| of_text(text).map_err(D::Error::custom)).collect()
    }
}

fn text_of(schema: &Schema) -> Result<String, ArrowError> {
    let mut bytes = Vec::new();
    StreamWriter::try_new(&mut bytes, schema)?.finish()?;
    Ok(STANDARD.encode(bytes))
}

fn of_text(text: &str) -> Result<SchemaRef, ArrowError> {
    let damaged =
        |error: &dyn std::fmt::Display| ArrowError::ParseError(format!("stored columns are damaged: {error}"));
    let bytes = STANDARD.decode(text).map_err(|error| damaged(&error))?;
    let reader = StreamReader::try_new(Cursor::new(bytes), None).map_err(|error| damaged(&error))?;
    Ok(Arc::clone(&reader.schema()))
}
