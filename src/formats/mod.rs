//! Formats: how the bytes of a record become columns and back. The registry is here.
//! Knows nothing of topics, offsets or tables; whoever calls adds where a bad record was.

mod canal_json;
mod change_json;
pub mod columns;
mod debezium_json;
mod json;
#[cfg(test)]
mod kv;
mod maxwell_json;
mod options;
pub mod time_text;

use std::sync::Arc;

use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::Fields;

use crate::changelog::{ChangeBatch, Changelog, RowKind};
use crate::error::{Error, Result};
use crate::options::{OptionEntry, OptionGroups, OptionReader};
use options::FormatOptions;

/// A way to write rows as bytes, with its options.
pub trait Format: Send + Sync {
    /// As in `WITH ('format' = 'json')`.
    fn name(&self) -> &'static str;

    /// What its records hold: rows, or changes of rows.
    fn changelog(&self) -> Changelog {
        Changelog::Append
    }

    /// A decoder of records that hold `fields`, which gives the columns of `projection` (indexes into `fields`). A record without a
    /// value for a field that is NOT NULL is a bad one, whether or not the field is in `projection`.
    ///
    /// # Errors
    /// A field has a type that the format cannot hold. CREATE TABLE asks with an empty `projection` to find that out.
    fn decoder(&self, fields: &Fields, projection: &[usize]) -> Result<Box<dyn Decoder>>;

    /// An encoder of rows that have `fields`.
    ///
    /// # Errors
    /// A field has a type that the format cannot hold.
    fn encoder(&self, fields: &Fields) -> Result<Box<dyn Encoder>>;
}

/// What became of one record.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Decoded {
    /// Rows that were added.
    pub rows: usize,
    /// Rows (or records) that were left out, as the options say.
    pub skipped: usize,
    /// Values that could not be read and became NULL, as the options say.
    pub nulled: usize,
}

/// Collects the columns of many records. A record that fails leaves the columns as they were before it.
pub trait Decoder: Send {
    /// Adds a record's rows.
    ///
    /// # Errors
    /// The record cannot be read and the options do not skip it; the message names the field.
    fn decode(&mut self, record: &[u8]) -> Result<Decoded>;

    /// Rows collected since the last `finish`.
    fn len(&self) -> usize;

    /// Whether no rows were collected.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes back the last rows, so that `len` are left.
    fn truncate(&mut self, len: usize);

    /// Adds a row without content: NULL, or the type's zero where NULL is not permitted. For the delete of a key, whose
    /// other columns nobody reads.
    fn push_blank(&mut self);

    /// The kinds of the rows collected, if they can be other than inserts; asked before `finish`.
    fn take_kinds(&mut self) -> Option<Vec<RowKind>> {
        None
    }

    /// Gives the projected columns and begins anew.
    ///
    /// # Errors
    /// An internal error: the columns do not fit their types.
    fn finish(&mut self) -> Result<Vec<ArrayRef>>;
}

/// Writes rows as records.
pub trait Encoder: Send {
    /// One record for each row. Formats whose records hold rows only do not look at the kinds.
    ///
    /// # Errors
    /// A value that the format cannot hold (NaN in JSON).
    fn encode(&mut self, changes: &ChangeBatch) -> Result<EncodedRows>;
}

/// Records one behind the other in one buffer.
#[derive(Debug, Default)]
pub struct EncodedRows {
    data: Vec<u8>,
    ends: Vec<usize>,
}

impl EncodedRows {
    /// An empty buffer with room for `rows` records.
    pub fn with_capacity(rows: usize) -> Self {
        Self { data: Vec::with_capacity(rows * 128), ends: Vec::with_capacity(rows) }
    }

    /// Lets `write` add a record's bytes.
    ///
    /// # Errors
    /// What `write` gave.
    pub fn push(&mut self, write: impl FnOnce(&mut Vec<u8>) -> Result<()>) -> Result<()> {
        write(&mut self.data)?;
        self.ends.push(self.data.len());
        Ok(())
    }

    /// The bytes of record `index`.
    pub fn record(&self, index: usize) -> &[u8] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.data[start..self.ends[index]]
    }

    /// Bytes of all records.
    pub fn bytes(&self) -> usize {
        self.data.len()
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are no records.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }
}

/// Formats of Flink that are not here yet.
const NOT_YET: &[&str] =
    &["csv", "avro", "avro-confluent", "raw", "protobuf", "debezium-avro-confluent", "ogg-json", "parquet", "orc"];

/// A format there is.
pub struct FormatEntry {
    /// As in `WITH ('format' = 'json')`.
    pub name: &'static str,
    /// All options that it takes, named without the format.
    pub options: OptionGroups,
    open: fn(FormatOptions<'_>) -> Result<Arc<dyn Format>>,
}

/// The formats there are.
pub const FORMATS: &[FormatEntry] = &[
    FormatEntry { name: json::NAME, options: json::OPTIONS, open: json::open },
    FormatEntry { name: debezium_json::NAME, options: debezium_json::OPTIONS, open: debezium_json::open },
    FormatEntry { name: canal_json::NAME, options: canal_json::OPTIONS, open: canal_json::open },
    FormatEntry { name: maxwell_json::NAME, options: maxwell_json::OPTIONS, open: maxwell_json::open },
    #[cfg(test)]
    FormatEntry { name: kv::NAME, options: kv::OPTIONS, open: kv::open },
];

fn entry(format: &str) -> Result<&'static FormatEntry> {
    let name = format.to_ascii_lowercase();
    FORMATS.iter().find(|known| known.name == name).ok_or_else(|| {
        let error = if NOT_YET.contains(&name.as_str()) {
            Error::unsupported(format!("format \"{name}\" is not supported yet"))
        } else {
            Error::invalid(format!("unknown format \"{format}\""))
        };
        let known: Vec<_> = FORMATS.iter().map(|known| known.name).collect();
        error.hint(format!("Known formats: {}.", known.join(", ")))
    })
}

/// Opens a format, with those of a table's options that stand behind `prefix` and its name.
///
/// # Errors
/// The format is unknown, or not implemented (SQLSTATE 0A000); an option cannot be read.
pub fn open(format: &str, prefix: &str, options: &mut OptionReader) -> Result<Arc<dyn Format>> {
    let entry = entry(format)?;
    (entry.open)(FormatOptions::new(options, prefix, entry.name))
}

/// Takes the option that names a format, and opens it: of the option `prefixed` its options stand behind `prefix`, of `plain` without one.
/// `None`: no format is named.
///
/// # Errors
/// Both are there, or as [`open`].
pub fn take(
    options: &mut OptionReader,
    plain: Option<&OptionEntry>,
    prefixed: &OptionEntry,
    prefix: &str,
) -> Result<Option<Arc<dyn Format>>> {
    let given = plain.and_then(|plain| options.take(plain).map(|name| (plain, name)));
    let (name, prefix) = match (given, options.take(prefixed)) {
        (Some((plain, _)), Some(_)) => {
            return Err(Error::invalid(format!(
                "options \"{}\" and \"{}\" mean the same; give one",
                plain.name, prefixed.name
            )));
        }
        (Some((_, name)), None) => (name, ""),
        (None, Some(name)) => (name, prefix),
        (None, None) => return Ok(None),
    };
    open(name.trim(), prefix, options).map(Some)
}

#[cfg(test)]
mod tests;
