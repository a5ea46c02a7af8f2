//! JSON, one object a row, as Flink's `json` format reads and writes it. `decode` reads, `scalar` turns the text of one
//! value into a column's type, `encode` writes.

mod decode;
mod encode;
mod scalar;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::ops::Deref;

use datafusion::arrow::datatypes::Fields;

use super::time_text::Standard;
use super::{Decoder, Encoder, Format};
use crate::error::{Error, Result};

pub(super) use decode::JsonDecoder;
pub(super) use encode::JsonEncoder;

/// Names of the options, without the prefix `json.`.
pub const OPTION_NAMES: &[&str] = &[
    "fail-on-missing-field",
    "ignore-parse-errors",
    "timestamp-format.standard",
    "map-null-key.mode",
    "map-null-key.literal",
    "encode.decimal-as-plain-number",
    "encode.ignore-null-fields",
    "decode.json-parser.enabled",
    "zero-timestamp.behavior",
];

/// What becomes of a map entry whose key is NULL.
#[derive(Debug, Clone, PartialEq, Eq)]
enum MapNullKey {
    Fail,
    Drop,
    Literal(String),
}

/// The options.
#[derive(Debug, Clone)]
pub(super) struct Options {
    fail_on_missing_field: bool,
    pub(super) ignore_parse_errors: bool,
    timestamp_format_standard: Standard,
    map_null_key: MapNullKey,
    encode_decimal_as_plain_number: bool,
    pub(super) encode_ignore_null_fields: bool,
    zero_timestamp_is_null: bool,
}

/// The options while records are read with them.
#[derive(Debug)]
pub(super) struct Reading {
    options: Options,
    /// Values that did not fit and became NULL since the last look.
    nulled: Cell<usize>,
}

impl Reading {
    fn new(options: Options) -> Self {
        Self { options, nulled: Cell::new(0) }
    }

    fn count_nulled(&self) {
        self.nulled.set(self.nulled.get() + 1);
    }
}

impl Deref for Reading {
    type Target = Options;

    fn deref(&self) -> &Options {
        &self.options
    }
}

/// The format with its options.
#[derive(Debug, Clone)]
pub struct Json {
    options: Options,
}

impl Json {
    /// Reads the options.
    ///
    /// # Errors
    /// An option has a value that it cannot have, or `fail-on-missing-field` meets `ignore-parse-errors`.
    pub fn open(options: &BTreeMap<&'static str, String>) -> Result<Self> {
        Ok(Self { options: Options::read("json", options)? })
    }
}

/// Reads an option of `format` that is true or false.
pub(super) fn flag(format: &str, options: &BTreeMap<&'static str, String>, name: &str, default: bool) -> Result<bool> {
    match options.get(name).map(|value| value.trim().to_ascii_lowercase()) {
        None => Ok(default),
        Some(value) if value == "true" => Ok(true),
        Some(value) if value == "false" => Ok(false),
        Some(value) => Err(Error::invalid(format!("option \"{format}.{name}\" is true or false, not '{value}'"))),
    }
}

impl Options {
    /// Reads the options of `format`; those that it does not have are at their defaults.
    ///
    /// # Errors
    /// As [`Json::open`].
    pub(super) fn read(format: &str, options: &BTreeMap<&'static str, String>) -> Result<Self> {
        let flag = |name: &str, default: bool| flag(format, options, name, default);
        let choice = |name: &str, default: &str, known: &[&str]| {
            let given = options.get(name).map_or(default, String::as_str).trim();
            let canonical = given.to_ascii_uppercase().replace('_', "-");
            known.iter().find(|known| **known == canonical).map(|_| canonical).ok_or_else(|| {
                Error::invalid(format!("option \"{format}.{name}\" cannot be '{given}'"))
                    .hint(format!("Known values: {}.", known.join(", ")))
            })
        };
        let read = Self {
            fail_on_missing_field: flag("fail-on-missing-field", false)?,
            ignore_parse_errors: flag("ignore-parse-errors", false)?,
            timestamp_format_standard: match choice(
                "timestamp-format.standard",
                "SQL",
                &["SQL", "ISO-8601", "ISO-8601-WITH-OFFSET"],
            )?
            .as_str()
            {
                "SQL" => Standard::Sql,
                "ISO-8601" => Standard::Iso8601,
                other => {
                    return Err(Error::unsupported(format!(
                        "option \"{format}.timestamp-format.standard\" = '{other}' is not supported yet"
                    )));
                }
            },
            map_null_key: match choice("map-null-key.mode", "FAIL", &["FAIL", "DROP", "LITERAL"])?.as_str() {
                "FAIL" => MapNullKey::Fail,
                "DROP" => MapNullKey::Drop,
                _ => MapNullKey::Literal(options.get("map-null-key.literal").map_or("null", String::as_str).to_owned()),
            },
            encode_decimal_as_plain_number: flag("encode.decimal-as-plain-number", false)?,
            encode_ignore_null_fields: flag("encode.ignore-null-fields", false)?,
            zero_timestamp_is_null: choice("zero-timestamp.behavior", "FAIL", &["FAIL", "CONVERT-TO-NULL"])? != "FAIL",
        };
        // There is one parser; the option chooses between two of Flink's that read alike.
        flag("decode.json-parser.enabled", true)?;
        if read.fail_on_missing_field && read.ignore_parse_errors {
            return Err(Error::invalid(format!(
                "options \"{format}.fail-on-missing-field\" and \"{format}.ignore-parse-errors\" cannot both be true"
            )));
        }
        Ok(read)
    }
}

impl Format for Json {
    fn name(&self) -> &'static str {
        "json"
    }

    fn decoder(&self, fields: &Fields, projection: &[usize]) -> Result<Box<dyn Decoder>> {
        Ok(Box::new(decode::JsonDecoder::new(fields, projection, self.options.clone())?))
    }

    fn encoder(&self, fields: &Fields) -> Result<Box<dyn Encoder>> {
        Ok(Box::new(encode::JsonEncoder::new(fields, self.options.clone())?))
    }
}

#[cfg(test)]
mod tests;
