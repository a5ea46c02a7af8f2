//! What the formats of change records in JSON share: a record is an envelope around whole or partial rows. The envelope's own
//! file says which rows with which kinds; here they become rows of the same columns as plain JSON, and are written back.
//! A record is taken as a whole or not at all, and `ignore-parse-errors` covers nothing but the reading of it.

use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::Fields;

use super::json::{JsonDecoder, JsonEncoder, Options};
use super::{Decoded, Decoder, EncodedRows, Encoder};
use crate::changelog::{ChangeBatch, RowKind};
use crate::error::{Error, Result, SqlState};

/// A row within a record, as JSON text.
#[derive(Debug, Clone, Copy)]
pub(super) enum RowText<'a> {
    /// An object with all fields.
    Whole(&'a str),
    /// An object of which some fields had other values.
    Overlaid {
        /// All fields.
        base: &'a str,
        /// Those that differed.
        over: &'a str,
    },
}

/// Takes a row out of a record.
pub(super) type Push<'a> = &'a mut dyn FnMut(RowKind, RowText<'_>) -> Result<()>;

/// How a format's records hold their rows.
pub(super) trait Envelope: Send {
    /// Shows each row of a record that is not empty, in order; a record about something else shows none.
    ///
    /// # Errors
    /// What is wrong with the record, or what `push` gave.
    fn rows(&self, record: &[u8], push: Push<'_>) -> Result<()>;
}

/// An error of a record; callers add where it was.
pub(super) fn bad(text: impl std::fmt::Display) -> Error {
    Error::row(format!("record {text}")).code(SqlState::InvalidTextRepresentation)
}

/// Reads the envelope itself.
pub(super) fn parse<'a, T: serde::Deserialize<'a>>(record: &'a [u8]) -> Result<T> {
    serde_json::from_slice(record).map_err(|error| bad(format_args!("is no change record: {error}")))
}

/// A kind of change that the format does not know.
pub(super) fn unknown_kind(field: &str, value: Option<&str>) -> Error {
    match value {
        Some(value) => bad(format_args!("has {value} as \"{field}\", which is no known kind of change")),
        None => bad(format_args!("has no \"{field}\"")),
    }
}

/// Reads change records.
pub(super) struct ChangeDecoder<E> {
    envelope: E,
    rows: JsonDecoder,
    kinds: Vec<RowKind>,
    ignore_parse_errors: bool,
}

impl<E: Envelope> ChangeDecoder<E> {
    /// For records whose rows have `fields`.
    pub fn new(envelope: E, fields: &Fields, projection: &[usize], options: &Options) -> Result<Self> {
        Ok(Self {
            envelope,
            rows: JsonDecoder::new(fields, projection, options.clone())?,
            kinds: Vec::new(),
            ignore_parse_errors: options.ignore_parse_errors,
        })
    }
}

impl<E: Envelope> Decoder for ChangeDecoder<E> {
    fn decode(&mut self, record: &[u8]) -> Result<Decoded> {
        let before = self.kinds.len();
        // A tombstone, which follows the delete it belongs to.
        if record.iter().all(u8::is_ascii_whitespace) {
            return Ok(Decoded::default());
        }
        let (rows, kinds) = (&mut self.rows, &mut self.kinds);
        let outcome = self.envelope.rows(record, &mut |kind, row| {
            match row {
                RowText::Whole(text) => rows.push_row(text),
                RowText::Overlaid { base, over } => rows.push_overlaid_row(base, over),
            }
            .map_err(|text| bad(format_args!("{text} (in a row of the change)")))?;
            kinds.push(kind);
            Ok(())
        });
        match outcome {
            Ok(()) => {
                let (rows, nulled) = (self.kinds.len() - before, self.rows.take_nulled());
                Ok(Decoded { rows, skipped: 0, nulled })
            }
            Err(error) => {
                self.truncate(before);
                self.rows.take_nulled();
                if self.ignore_parse_errors { Ok(Decoded { rows: 0, skipped: 1, nulled: 0 }) } else { Err(error) }
            }
        }
    }

    fn len(&self) -> usize {
        self.kinds.len()
    }

    fn truncate(&mut self, len: usize) {
        self.rows.truncate(len);
        self.kinds.truncate(len);
    }

    fn push_blank(&mut self) {
        self.rows.push_blank();
        self.kinds.push(RowKind::Insert);
    }

    fn take_kinds(&mut self) -> Option<Vec<RowKind>> {
        Some(std::mem::take(&mut self.kinds))
    }

    fn finish(&mut self) -> Result<Vec<ArrayRef>> {
        self.kinds.clear();
        self.rows.finish()
    }
}

/// The texts before and after a row in a record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wrapping {
    /// Around a new row (`+I`, `+U`).
    pub insert: (&'static str, &'static str),
    /// Around a row that goes (`-U`, `-D`).
    pub delete: (&'static str, &'static str),
}

/// Writes each row as a change record: an update is the delete of its old row and the insert of its new one, as in Flink.
pub(super) struct ChangeEncoder {
    wrapping: Wrapping,
    rows: JsonEncoder,
}

impl ChangeEncoder {
    /// For rows that have `fields`.
    pub fn new(wrapping: Wrapping, fields: &Fields, options: &Options) -> Result<Self> {
        Ok(Self { wrapping, rows: JsonEncoder::new(fields, options.clone())? })
    }
}

impl Encoder for ChangeEncoder {
    fn encode(&mut self, changes: &ChangeBatch) -> Result<EncodedRows> {
        self.rows.check(changes.rows())?;
        let mut encoded = EncodedRows::with_capacity(changes.len());
        for row in 0..changes.len() {
            let (before, after) = match changes.kind(row).is_retraction() {
                true => self.wrapping.delete,
                false => self.wrapping.insert,
            };
            encoded.push(|out| {
                out.extend_from_slice(before.as_bytes());
                self.rows.write_row(changes.rows(), row, out)?;
                out.extend_from_slice(after.as_bytes());
                Ok(())
            })?;
        }
        Ok(encoded)
    }
}
