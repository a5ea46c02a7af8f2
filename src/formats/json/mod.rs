//! JSON, one object a row, as Flink's `json` format reads and writes it. `decode` reads, `scalar` turns the text of one
//! value into a column's type, `encode` writes.

mod decode;
mod encode;
mod scalar;

use std::cell::Cell;
use std::ops::Deref;
use std::sync::Arc;

use datafusion::arrow::datatypes::Fields;

use super::options::FormatOptions;
use super::time_text::Standard;
use super::{Decoder, Encoder, Format};
use crate::error::{Error, Result};

pub(super) use decode::JsonDecoder;
pub(super) use encode::JsonEncoder;

/// As in `'format' = 'json'`.
pub(super) const NAME: &str = "json";

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
struct Json {
    options: Options,
}

/// Reads the options.
///
/// # Errors
/// An option has a value that it cannot have, or `fail-on-missing-field` meets `ignore-parse-errors`.
pub(super) fn open(mut options: FormatOptions<'_>) -> Result<Arc<dyn Format>> {
    let read = Options {
        fail_on_missing_field: options.flag("fail-on-missing-field", false)?,
        zero_timestamp_is_null: options.choice("zero-timestamp.behavior", "FAIL", &["FAIL", "CONVERT-TO-NULL"])?
            != "FAIL",
        ..Options::take(&mut options)?
    };
    // There is one parser; the option chooses between two of Flink's that read alike.
    options.flag("decode.json-parser.enabled", true)?;
    if read.fail_on_missing_field && read.ignore_parse_errors {
        return Err(Error::invalid(
            "options \"json.fail-on-missing-field\" and \"json.ignore-parse-errors\" cannot both be true",
        ));
    }
    Ok(Arc::new(Json { options: read }))
}

impl Options {
    /// Takes the options that all formats of JSON have; the others are at their defaults.
    ///
    /// # Errors
    /// An option has a value that it cannot have.
    pub(super) fn take(options: &mut FormatOptions<'_>) -> Result<Self> {
        let map_null_key_literal = options.take("map-null-key.literal").unwrap_or_else(|| "null".to_owned());
        Ok(Self {
            fail_on_missing_field: false,
            ignore_parse_errors: options.flag("ignore-parse-errors", false)?,
            timestamp_format_standard: match options
                .choice("timestamp-format.standard", "SQL", &["SQL", "ISO-8601", "ISO-8601-WITH-OFFSET"])?
                .as_str()
            {
                "SQL" => Standard::Sql,
                "ISO-8601" => Standard::Iso8601,
                other => {
                    return Err(Error::unsupported(format!(
                        "option \"{}.timestamp-format.standard\" = '{other}' is not supported yet",
                        options.format()
                    )));
                }
            },
            map_null_key: match options.choice("map-null-key.mode", "FAIL", &["FAIL", "DROP", "LITERAL"])?.as_str() {
                "FAIL" => MapNullKey::Fail,
                "DROP" => MapNullKey::Drop,
                _ => MapNullKey::Literal(map_null_key_literal),
            },
            encode_decimal_as_plain_number: options.flag("encode.decimal-as-plain-number", false)?,
            encode_ignore_null_fields: options.flag("encode.ignore-null-fields", false)?,
            zero_timestamp_is_null: false,
        })
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
