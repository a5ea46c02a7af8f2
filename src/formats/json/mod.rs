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
use crate::options::OptionKind::Text;
use crate::options::{OptionEntry, OptionGroups, option_entries};

pub(super) use decode::JsonDecoder;
pub(super) use encode::JsonEncoder;

/// As in `'format' = 'json'`.
pub(super) const NAME: &str = "json";

option_entries! {
    /// Of all formats of JSON.
    pub(super) COMMON:
    IGNORE_ERRORS = OptionEntry::flag("ignore-parse-errors", "false",
        "Whether values that do not fit become NULL and records that cannot be read are left out, both counted.");
    TIMESTAMPS = OptionEntry::choice("timestamp-format.standard", &["SQL", "ISO-8601"],
        "How times are written: `2026-01-31 12:00:00.5`, or `2026-01-31T12:00:00.5`.")
        .refusing(&["ISO-8601-WITH-OFFSET"]).or("SQL");
    NULL_KEYS = OptionEntry::choice("map-null-key.mode", &["FAIL", "DROP", "LITERAL"],
        "What is written for an entry of a MAP whose key is NULL: an error, nothing, or `map-null-key.literal`.")
        .or("FAIL");
    NULL_KEY_LITERAL = OptionEntry::new("map-null-key.literal", Text, "The key that is written for NULL.").or("null");
    PLAIN_DECIMALS = OptionEntry::flag("encode.decimal-as-plain-number", "false",
        "Whether decimals are written with all digits, never with an exponent.");
    IGNORE_NULLS = OptionEntry::flag("encode.ignore-null-fields", "false",
        "Whether fields that are NULL are left out of what is written.");
}

option_entries! {
    /// Of `json` alone.
    ROWS:
    MISSING_FIELD = OptionEntry::flag("fail-on-missing-field", "false",
        "Whether a record without a field is an error; otherwise the field is NULL.");
    ZERO_TIMESTAMP = OptionEntry::choice("zero-timestamp.behavior", &["FAIL", "CONVERT-TO-NULL"],
        "What becomes of the time `0000-00-00 00:00:00`.").or("FAIL");
    JSON_PARSER = OptionEntry::flag("decode.json-parser.enabled", "true",
        "Without effect: Flink has two parsers that read alike, and here is one.");
}

/// All options of `json`.
pub(super) const OPTIONS: OptionGroups = &[COMMON, ROWS];

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
        fail_on_missing_field: options.flag(&MISSING_FIELD)?,
        zero_timestamp_is_null: options.choice(&ZERO_TIMESTAMP)? != "FAIL",
        ..Options::take(&mut options)?
    };
    // There is one parser; the option chooses between two of Flink's that read alike.
    options.flag(&JSON_PARSER)?;
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
        let null_key_literal = options.text(&NULL_KEY_LITERAL)?;
        Ok(Self {
            fail_on_missing_field: false,
            ignore_parse_errors: options.flag(&IGNORE_ERRORS)?,
            timestamp_format_standard: match options.choice(&TIMESTAMPS)? {
                "SQL" => Standard::Sql,
                _ => Standard::Iso8601,
            },
            map_null_key: match options.choice(&NULL_KEYS)? {
                "FAIL" => MapNullKey::Fail,
                "DROP" => MapNullKey::Drop,
                _ => MapNullKey::Literal(null_key_literal),
            },
            encode_decimal_as_plain_number: options.flag(&PLAIN_DECIMALS)?,
            encode_ignore_null_fields: options.flag(&IGNORE_NULLS)?,
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
