//! `debezium-json`: `{"before":…,"after":…,"op":"c|r|u|d"}`, with `schema-include` inside `{"schema":…,"payload":…}`.
//! An update or delete without `before` is an error: without the old row nothing can be taken back.

use std::sync::Arc;

use datafusion::arrow::datatypes::Fields;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::change_json::{ChangeDecoder, ChangeEncoder, Envelope, Push, RowText, Wrapping, bad, parse, unknown_kind};
use super::json::{self, Options};
use super::options::FormatOptions;
use super::{Decoder, Encoder, Format};
use crate::changelog::{Changelog, RowKind};
use crate::error::{Error, Result};
use crate::options::{OptionEntry, OptionGroups, option_entries};

/// As in `'format' = 'debezium-json'`.
pub(super) const NAME: &str = "debezium-json";

const WRAPPING: Wrapping = Wrapping {
    insert: (r#"{"before":null,"after":"#, r#","op":"c"}"#),
    delete: (r#"{"before":"#, r#","after":null,"op":"d"}"#),
};

const WRAPPING_WITHOUT_NULLS: Wrapping =
    Wrapping { insert: (r#"{"after":"#, r#","op":"c"}"#), delete: (r#"{"before":"#, r#","op":"d"}"#) };

option_entries! {
    /// Of the envelope.
    ENVELOPE:
    SCHEMA_INCLUDE = OptionEntry::flag("schema-include", "false",
        "Whether records hold their schema beside the change. Such a table can be read only.");
}

/// All options.
pub(super) const OPTIONS: OptionGroups = &[json::COMMON, ENVELOPE];

/// Reads the options.
///
/// # Errors
/// An option has a value that it cannot have.
pub(super) fn open(mut options: FormatOptions<'_>) -> Result<Arc<dyn Format>> {
    Ok(Arc::new(DebeziumJson { options: Options::take(&mut options)?, schema_include: options.flag(&SCHEMA_INCLUDE)? }))
}

/// The format with its options.
struct DebeziumJson {
    options: Options,
    schema_include: bool,
}

impl Format for DebeziumJson {
    fn name(&self) -> &'static str {
        NAME
    }

    fn changelog(&self) -> Changelog {
        Changelog::Retract
    }

    fn decoder(&self, fields: &Fields, projection: &[usize]) -> Result<Box<dyn Decoder>> {
        let envelope = DebeziumEnvelope { schema_include: self.schema_include };
        Ok(Box::new(ChangeDecoder::new(envelope, fields, projection, &self.options)?))
    }

    fn encoder(&self, fields: &Fields) -> Result<Box<dyn Encoder>> {
        if self.schema_include {
            return Err(Error::unsupported("format \"debezium-json\" cannot write records with their schema")
                .hint("Leave out 'debezium-json.schema-include' for a table that is written."));
        }
        let wrapping = if self.options.encode_ignore_null_fields { WRAPPING_WITHOUT_NULLS } else { WRAPPING };
        Ok(Box::new(ChangeEncoder::new(wrapping, fields, &self.options)?))
    }
}

struct DebeziumEnvelope {
    schema_include: bool,
}

#[derive(Deserialize)]
struct WithSchema<'a> {
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct DebeziumRecord<'a> {
    #[serde(borrow)]
    before: Option<&'a RawValue>,
    #[serde(borrow)]
    after: Option<&'a RawValue>,
    #[serde(borrow)]
    op: Option<&'a RawValue>,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
}

impl Envelope for DebeziumEnvelope {
    fn rows(&self, record: &[u8], push: Push<'_>) -> Result<()> {
        let change: DebeziumRecord<'_> = if self.schema_include {
            match parse::<WithSchema<'_>>(record)?.payload {
                Some(payload) => parse(payload.get().as_bytes())?,
                // A tombstone with its schema.
                None => return Ok(()),
            }
        } else {
            parse(record)?
        };
        let before = |what: &str| {
            change.before.map(RawValue::get).ok_or_else(|| {
                bad(format_args!("has no \"before\", the row before the {what}")).hint(
                    "With Debezium's Postgres connector, set the table's REPLICA IDENTITY to FULL: ALTER TABLE … REPLICA IDENTITY FULL.",
                )
            })
        };
        let after = || change.after.map(RawValue::get).ok_or_else(|| bad("has no \"after\", the new row"));
        match change.op.map(RawValue::get) {
            Some(r#""c""# | r#""r""#) => push(RowKind::Insert, RowText::Whole(after()?)),
            Some(r#""u""#) => {
                push(RowKind::UpdateBefore, RowText::Whole(before("update")?))?;
                push(RowKind::UpdateAfter, RowText::Whole(after()?))
            }
            Some(r#""d""#) => push(RowKind::Delete, RowText::Whole(before("delete")?)),
            None if !self.schema_include && change.payload.is_some() => Err(bad("has its schema with it")
                .hint("Set 'debezium-json.schema-include' = 'true', or 'value.converter.schemas.enable' = 'false' in Debezium.")),
            other => Err(unknown_kind("op", other)),
        }
    }
}
