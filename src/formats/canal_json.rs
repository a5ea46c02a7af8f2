//! `canal-json`: `{"data":[…],"old":[…],"type":"INSERT|UPDATE|DELETE"}`, several rows a record; `old` has only the fields that
//! an update changed. Records about definitions (`"isDdl":true`) and of other databases and tables are passed over.

use std::borrow::Cow;
use std::sync::Arc;

use datafusion::arrow::datatypes::Fields;
use regex::Regex;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::change_json::{ChangeDecoder, ChangeEncoder, Envelope, Push, RowText, Wrapping, bad, parse, unknown_kind};
use super::json::{self, Options};
use super::options::FormatOptions;
use super::{Decoder, Encoder, Format};
use crate::changelog::{Changelog, RowKind};
use crate::error::Result;
use crate::options::{OptionEntry, OptionGroups, OptionKind, option_entries};

/// As in `'format' = 'canal-json'`.
pub(super) const NAME: &str = "canal-json";

const WRAPPING: Wrapping =
    Wrapping { insert: (r#"{"data":["#, r#"],"type":"INSERT"}"#), delete: (r#"{"data":["#, r#"],"type":"DELETE"}"#) };

option_entries! {
    /// Of which records are read.
    INCLUDED:
    DATABASE_INCLUDE = OptionEntry::new("database.include", OptionKind::Pattern,
        "What the whole name of a record's database must match; other records are passed over.");
    TABLE_INCLUDE = OptionEntry::new("table.include", OptionKind::Pattern,
        "What the whole name of a record's table must match; other records are passed over.");
}

/// All options.
pub(super) const OPTIONS: OptionGroups = &[json::COMMON, INCLUDED];

/// Reads the options.
///
/// # Errors
/// An option has a value that it cannot have.
pub(super) fn open(mut options: FormatOptions<'_>) -> Result<Arc<dyn Format>> {
    Ok(Arc::new(CanalJson {
        options: Options::take(&mut options)?,
        envelope: CanalEnvelope {
            database_include: options.pattern(&DATABASE_INCLUDE)?,
            table_include: options.pattern(&TABLE_INCLUDE)?,
        },
    }))
}

/// The format with its options.
struct CanalJson {
    options: Options,
    envelope: CanalEnvelope,
}

impl Format for CanalJson {
    fn name(&self) -> &'static str {
        NAME
    }

    fn changelog(&self) -> Changelog {
        Changelog::Retract
    }

    fn decoder(&self, fields: &Fields, projection: &[usize]) -> Result<Box<dyn Decoder>> {
        Ok(Box::new(ChangeDecoder::new(self.envelope.clone(), fields, projection, &self.options)?))
    }

    fn encoder(&self, fields: &Fields) -> Result<Box<dyn Encoder>> {
        Ok(Box::new(ChangeEncoder::new(WRAPPING, fields, &self.options)?))
    }
}

#[derive(Clone)]
struct CanalEnvelope {
    database_include: Option<Regex>,
    table_include: Option<Regex>,
}

#[derive(Deserialize)]
struct CanalRecord<'a> {
    #[serde(borrow)]
    data: Option<Vec<&'a RawValue>>,
    #[serde(borrow)]
    old: Option<Vec<&'a RawValue>>,
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow, rename = "isDdl")]
    is_ddl: Option<&'a RawValue>,
    #[serde(borrow)]
    database: Option<Cow<'a, str>>,
    #[serde(borrow)]
    table: Option<Cow<'a, str>>,
}

impl Envelope for CanalEnvelope {
    fn rows(&self, record: &[u8], push: Push<'_>) -> Result<()> {
        let change: CanalRecord<'_> = parse(record)?;
        for (pattern, name, field) in
            [(&self.database_include, &change.database, "database"), (&self.table_include, &change.table, "table")]
        {
            let Some(pattern) = pattern else { continue };
            let name = name.as_deref().ok_or_else(|| bad(format_args!("has no \"{field}\"")))?;
            if !pattern.is_match(name) {
                return Ok(());
            }
        }
        // A definition changed: ALTER, ERASE, TRUNCATE, QUERY … have no rows.
        if change.is_ddl.is_some_and(|is_ddl| is_ddl.get() == "true") {
            return Ok(());
        }
        let data = || change.data.as_deref().ok_or_else(|| bad("has no \"data\", the changed rows"));
        match change.kind.map(RawValue::get) {
            Some(r#""INSERT""#) => data()?.iter().try_for_each(|row| push(RowKind::Insert, RowText::Whole(row.get()))),
            Some(r#""DELETE""#) => data()?.iter().try_for_each(|row| push(RowKind::Delete, RowText::Whole(row.get()))),
            Some(r#""UPDATE""#) => {
                let data = data()?;
                let old = change.old.as_deref().filter(|old| old.len() == data.len()).ok_or_else(|| {
                    bad("has no \"old\" with an entry for each row of \"data\", though it is an update")
                })?;
                for (row, old) in data.iter().zip(old) {
                    push(RowKind::UpdateBefore, RowText::Overlaid { base: row.get(), over: old.get() })?;
                    push(RowKind::UpdateAfter, RowText::Whole(row.get()))?;
                }
                Ok(())
            }
            // A table was made; it has no rows yet.
            Some(r#""CREATE""#) => Ok(()),
            other => Err(unknown_kind("type", other)),
        }
    }
}
