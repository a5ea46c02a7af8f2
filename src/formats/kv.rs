//! `kv`: a row as `name=value;name=value`, of columns of types STRING and INT. In tests only: it is the format that docs/adding.md tells how
//! to add. NULL is a name that is not there; a name that no column has is passed over.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::datatypes::{DataType, FieldRef, Fields, Int32Type};

use super::columns::{Column, Values};
use super::options::FormatOptions;
use super::{Decoded, Decoder, EncodedRows, Encoder, Format};
use crate::changelog::ChangeBatch;
use crate::data_type::to_flink;
use crate::error::{Error, Result, SqlState};
use crate::options::{OptionEntry, OptionGroups, option_entries};

/// As in `'format' = 'kv'`.
pub(super) const NAME: &str = "kv";

option_entries! {
    /// Of a record's text.
    TEXT:
    SEPARATOR = OptionEntry::choice("separator", &["SEMICOLON", "COMMA"], "What stands between pairs.").or("SEMICOLON");
    IGNORE_ERRORS = OptionEntry::flag("ignore-parse-errors", "false", "Whether records that cannot be read are left out.");
}

/// All options.
pub(super) const OPTIONS: OptionGroups = &[TEXT];

/// Reads the options.
///
/// # Errors
/// An option has a value that it cannot have.
pub(super) fn open(mut options: FormatOptions<'_>) -> Result<Arc<dyn Format>> {
    let separator = if options.choice(&SEPARATOR)? == "COMMA" { ',' } else { ';' };
    Ok(Arc::new(Kv { separator, ignores_errors: options.flag(&IGNORE_ERRORS)? }))
}

/// The format with its options.
#[derive(Clone)]
struct Kv {
    separator: char,
    ignores_errors: bool,
}

impl Format for Kv {
    fn name(&self) -> &'static str {
        NAME
    }

    fn decoder(&self, fields: &Fields, projection: &[usize]) -> Result<Box<dyn Decoder>> {
        check_types(fields)?;
        let columns = projection.iter().map(|index| Column::new(fields[*index].data_type()));
        Ok(Box::new(KvDecoder {
            kv: self.clone(),
            fields: fields.clone(),
            projection: projection.to_vec(),
            columns: columns.collect::<Result<_>>()?,
            rows: 0,
        }))
    }

    fn encoder(&self, fields: &Fields) -> Result<Box<dyn Encoder>> {
        check_types(fields)?;
        Ok(Box::new(KvEncoder { kv: self.clone(), fields: fields.clone() }))
    }
}

fn check_types(fields: &Fields) -> Result<()> {
    let stranger = fields.iter().find(|field| !matches!(field.data_type(), DataType::Utf8 | DataType::Int32));
    stranger.map_or(Ok(()), |field| {
        Err(Error::unsupported(format!(
            "format \"kv\" cannot hold column \"{}\" of type {}",
            field.name(),
            to_flink(field.data_type())
        )))
    })
}

fn bad(text: impl std::fmt::Display) -> Error {
    Error::row(format!("record {text}")).code(SqlState::InvalidTextRepresentation)
}

struct KvDecoder {
    kv: Kv,
    fields: Fields,
    projection: Vec<usize>,
    columns: Vec<Column>,
    rows: usize,
}

impl KvDecoder {
    /// Appends to the columns; after an error they are of unequal length.
    fn row(&mut self, record: &[u8]) -> Result<()> {
        let text = std::str::from_utf8(record).map_err(|_| bad("is not UTF-8"))?;
        let pairs = text.split(self.kv.separator).filter(|pair| !pair.is_empty());
        let pairs = pairs
            .map(|pair| pair.split_once('=').ok_or_else(|| bad(format_args!("has \"{pair}\" without ="))))
            .collect::<Result<Vec<_>>>()?;
        let value_of = |name: &str| pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
        let is_missing = |field: &&FieldRef| !field.is_nullable() && value_of(field.name()).is_none();
        if let Some(field) = self.fields.iter().find(is_missing) {
            return Err(bad(format_args!("field \"{}\" is NULL, but declared NOT NULL", field.name())));
        }
        for (index, column) in self.projection.iter().zip(&mut self.columns) {
            let name = self.fields[*index].name();
            match (value_of(name), column.values()) {
                (None, _) => column.append_null(),
                (Some(value), Values::Int32(values)) => {
                    let number = value.parse();
                    values.push(
                        number.map_err(|_| bad(format_args!("field \"{name}\" cannot read \"{value}\" as INT")))?,
                    );
                    column.accept();
                }
                (Some(value), _) => column.append_bytes(value.as_bytes()),
            }
        }
        Ok(())
    }
}

impl Decoder for KvDecoder {
    fn decode(&mut self, record: &[u8]) -> Result<Decoded> {
        match self.row(record) {
            Ok(()) => {
                self.rows += 1;
                Ok(Decoded { rows: 1, ..Decoded::default() })
            }
            Err(error) => {
                self.truncate(self.rows);
                if self.kv.ignores_errors { Ok(Decoded { skipped: 1, ..Decoded::default() }) } else { Err(error) }
            }
        }
    }

    fn len(&self) -> usize {
        self.rows
    }

    fn truncate(&mut self, len: usize) {
        self.rows = len.min(self.rows);
        self.columns.iter_mut().for_each(|column| column.truncate(self.rows));
    }

    fn push_blank(&mut self) {
        for (index, column) in self.projection.iter().zip(&mut self.columns) {
            column.append_blank(self.fields[*index].is_nullable());
        }
        self.rows += 1;
    }

    fn finish(&mut self) -> Result<Vec<ArrayRef>> {
        self.rows = 0;
        self.columns.iter_mut().map(Column::finish).collect()
    }
}

struct KvEncoder {
    kv: Kv,
    fields: Fields,
}

impl KvEncoder {
    fn row(&self, changes: &ChangeBatch, row: usize, out: &mut Vec<u8>) -> Result<()> {
        let mut pairs = Vec::new();
        for (field, column) in self.fields.iter().zip(changes.rows().columns()) {
            if column.is_null(row) {
                continue;
            }
            let value = match column.data_type() {
                DataType::Int32 => column.as_primitive::<Int32Type>().value(row).to_string(),
                _ => column.as_string::<i32>().value(row).to_owned(),
            };
            if value.contains(self.kv.separator) {
                return Err(Error::row(format!(
                    "format \"kv\" cannot hold \"{value}\" of column \"{}\"",
                    field.name()
                )));
            }
            pairs.push(format!("{}={value}", field.name()));
        }
        out.extend_from_slice(pairs.join(&self.kv.separator.to_string()).as_bytes());
        Ok(())
    }
}

impl Encoder for KvEncoder {
    fn encode(&mut self, changes: &ChangeBatch) -> Result<EncodedRows> {
        let mut records = EncodedRows::with_capacity(changes.len());
        for row in 0..changes.len() {
            records.push(|out| self.row(changes, row, out))?;
        }
        Ok(records)
    }
}
