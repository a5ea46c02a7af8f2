//! Arrow batches → DataRow messages, text or binary by column.
//! Knows nothing of sockets. Struct and Map leave as `jsonb` (`{"a": 1}`), so that drivers give them as documents.

mod column;
mod values;

use std::sync::Arc;

use bytes::{BufMut, BytesMut};
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::Schema;
use pgwire::messages::data::{FieldDescription, RowDescription};

use super::text::Style;
use crate::error::{Error, Result, SqlState};
use crate::pg_catalog::pg_type::{self, PgType};
use crate::sql::planning::result_names::shown_name;
use column::TypedColumn;
use values::put_length;
pub(super) use values::{EPOCH_DAYS, EPOCH_MICROSECONDS};

/// How a result's rows leave: types and formats of its columns.
#[derive(Debug, Clone)]
pub struct RowFormat {
    columns: Arc<[ColumnFormat]>,
    style: Style,
}

#[derive(Debug, Clone)]
struct ColumnFormat {
    name: String,
    pg_type: PgType,
    binary: bool,
    /// A name that the system catalog puts on the type and that changes how it is printed.
    special: Special,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Special {
    None,
    /// Number in binary, name of the function in text.
    Procedure,
    /// `1 2` rather than `{1,2}`.
    Vector,
}

impl RowFormat {
    /// Formats as Bind asks for them: none (all text), one for all, or one for each column.
    ///
    /// # Errors
    /// 08P01: their number does not fit.
    pub fn new(schema: &Schema, formats: &[i16], style: Style) -> Result<Self> {
        let count = schema.fields().len();
        if formats.len() > 1 && formats.len() != count {
            return Err(Error::invalid(format!(
                "bind message has {} result formats but query has {count} columns",
                formats.len()
            ))
            .code(SqlState::ProtocolViolation));
        }
        let columns = schema
            .fields()
            .iter()
            .enumerate()
            .map(|(index, field)| {
                let binary = match formats.get(index).or_else(|| formats.first().filter(|_| formats.len() == 1)) {
                    None | Some(0) => false,
                    Some(1) => true,
                    Some(other) => {
                        return Err(Error::invalid(format!("unsupported format code: {other}"))
                            .code(SqlState::InvalidParameterValue));
                    }
                };
                let special = match field.metadata().get(pg_type::TYPE_KEY).map(String::as_str) {
                    Some("regproc") => Special::Procedure,
                    Some("int2vector" | "oidvector") => Special::Vector,
                    _ => Special::None,
                };
                Ok(ColumnFormat {
                    name: shown_name(field.name()).to_owned(),
                    pg_type: pg_type::of_field(field),
                    binary,
                    special,
                })
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(Self { columns: columns.into(), style })
    }

    /// What RowDescription says.
    pub fn description(&self) -> RowDescription {
        let fields = self.columns.iter().map(|column| {
            FieldDescription::new(
                column.name.clone(),
                0,
                0,
                column.pg_type.oid,
                column.pg_type.size,
                column.pg_type.modifier,
                i16::from(column.binary),
            )
        });
        RowDescription::new(fields.collect())
    }

    /// Names of the columns.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|column| column.name.as_str())
    }

    /// Whether rows of this format fit a description made from another.
    pub fn same_types(&self, other: &Self) -> bool {
        self.columns.len() == other.columns.len()
            && self.columns.iter().zip(other.columns.iter()).all(|(a, b)| a.pg_type.oid == b.pg_type.oid)
    }

    /// Makes a batch ready to be written row by row.
    ///
    /// # Errors
    /// A value that has no place in its Postgres type (22003).
    pub fn rows(&self, batch: &RecordBatch) -> Result<Rows> {
        if batch.num_columns() != self.columns.len() {
            return Err(Error::internal(format!(
                "a batch of {} columns in a result of {}",
                batch.num_columns(),
                self.columns.len()
            )));
        }
        let columns = batch.columns().iter().map(TypedColumn::new).collect::<Result<Vec<_>>>()?;
        Ok(Rows { columns, format: self.clone(), next: 0, count: batch.num_rows(), text: BytesMut::new() })
    }
}

/// A batch and how far it was written.
#[derive(Debug)]
pub struct Rows {
    columns: Vec<TypedColumn>,
    format: RowFormat,
    next: usize,
    count: usize,
    /// Of one value, for those who take texts.
    text: BytesMut,
}

impl Rows {
    /// Rows not yet written.
    pub fn is_empty(&self) -> bool {
        self.next >= self.count
    }

    /// Writes one DataRow.
    ///
    /// # Errors
    /// A value that cannot be shown, or a row past 2 GB. What was begun of it is taken back.
    pub fn write_next(&mut self, out: &mut BytesMut) -> Result<()> {
        let start = out.len();
        let written = self.write_row(out);
        match written {
            Ok(()) => self.next += 1,
            Err(_) => out.truncate(start),
        }
        written
    }

    /// Writes the values of a row as they stand in a DataRow: their number, then each with its length.
    ///
    /// # Errors
    /// As [`Self::write_next`]; what was begun is not taken back.
    pub fn write_next_values(&mut self, out: &mut BytesMut) -> Result<()> {
        self.write_values(out)?;
        self.next += 1;
        Ok(())
    }

    /// Gives each value of a row as its text, `None` for NULL.
    ///
    /// # Errors
    /// A value that cannot be shown.
    pub fn next_texts(&mut self, mut each: impl FnMut(usize, Option<&[u8]>)) -> Result<()> {
        for (index, (column, format)) in self.columns.iter().zip(self.format.columns.iter()).enumerate() {
            if column.is_null(self.next) {
                each(index, None);
                continue;
            }
            self.text.clear();
            write_text(column, format, self.next, self.format.style, &mut self.text)?;
            each(index, Some(&self.text));
        }
        self.next += 1;
        Ok(())
    }

    fn write_row(&self, out: &mut BytesMut) -> Result<()> {
        out.put_u8(b'D');
        let start = out.len();
        out.put_i32(0);
        self.write_values(out)?;
        put_length(out, start, start)
    }

    fn write_values(&self, out: &mut BytesMut) -> Result<()> {
        out.put_i16(
            i16::try_from(self.columns.len())
                .map_err(|_| Error::invalid("too many columns").code(SqlState::TooManyColumns))?,
        );
        for (column, format) in self.columns.iter().zip(self.format.columns.iter()) {
            write_value(column, format, self.next, self.format.style, out)?;
        }
        Ok(())
    }
}

fn write_value(
    column: &TypedColumn,
    format: &ColumnFormat,
    row: usize,
    style: Style,
    out: &mut BytesMut,
) -> Result<()> {
    if column.is_null(row) {
        out.put_i32(-1);
        return Ok(());
    }
    let place = out.len();
    out.put_i32(0);
    let start = out.len();
    if format.binary {
        column.binary(row, format.pg_type.oid, style, out)?;
    } else {
        write_text(column, format, row, style, out)?;
    }
    put_length(out, place, start)
}

fn write_text(column: &TypedColumn, format: &ColumnFormat, row: usize, style: Style, out: &mut BytesMut) -> Result<()> {
    match (format.special, column) {
        (Special::Procedure, TypedColumn::UInt32(array)) => {
            out.put_slice(crate::pg_catalog::procedure_name(array.value(row)).as_bytes());
            Ok(())
        }
        (Special::Vector, _) => column.vector(row, style, out),
        _ => column.text(row, style, out),
    }
}

#[cfg(test)]
mod tests;
