//! Rows as bytes: a version, then each column in order. Stored: a form that was once written is read for ever, so that what changes
//! it gets a version of its own. The store's pages have checksums; what cannot be read nevertheless is an error of kind `Corrupt`.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayData, ArrayRef, AsArray, BooleanBufferBuilder, RecordBatch, RecordBatchOptions, make_array,
    new_empty_array, new_null_array,
};
use datafusion::arrow::buffer::{Buffer, MutableBuffer};
use datafusion::arrow::compute::concat;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::arrow::ipc::reader::StreamReader;
use datafusion::arrow::ipc::writer::StreamWriter;

use crate::error::{Error, Result};

/// The form that is written.
const VERSION: u8 = 1;
const NULL: u8 = 0;
const VALUE: u8 = 1;

/// How values of a type are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// So many bytes, the lowest first.
    Fixed(usize),
    /// A byte.
    Boolean,
    /// Their number, four bytes, and the bytes.
    Bytes,
    /// The same, of Arrow's IPC stream of a batch with this value.
    Nested,
}

fn form(data_type: &DataType) -> Form {
    match data_type {
        DataType::Boolean => Form::Boolean,
        DataType::Utf8 | DataType::Binary => Form::Bytes,
        other => other.primitive_width().map_or(Form::Nested, Form::Fixed),
    }
}

/// One row of a batch.
///
/// # Errors
/// A value is too large.
pub fn encode(rows: &RecordBatch, row: usize) -> Result<Vec<u8>> {
    let mut bytes = vec![VERSION];
    for column in rows.columns() {
        if column.is_null(row) {
            bytes.push(NULL);
            continue;
        }
        bytes.push(VALUE);
        match form(column.data_type()) {
            Form::Boolean => bytes.push(u8::from(column.as_boolean().value(row))),
            Form::Fixed(width) => {
                let data = column.to_data();
                let at = (data.offset() + row) * width;
                let value = data.buffers().first().and_then(|buffer| buffer.get(at..at + width));
                bytes.extend(value.ok_or_else(|| Error::internal("a column has fewer values than rows"))?);
            }
            Form::Bytes if *column.data_type() == DataType::Utf8 => {
                put(column.as_string::<i32>().value(row).as_bytes(), &mut bytes)?;
            }
            Form::Bytes => put(column.as_binary::<i32>().value(row), &mut bytes)?,
            Form::Nested => put(&encode_nested(column, row)?, &mut bytes)?,
        }
    }
    Ok(bytes)
}

fn put(value: &[u8], bytes: &mut Vec<u8>) -> Result<()> {
    let length = u32::try_from(value.len()).map_err(|_| Error::invalid("a value is larger than 4 GiB"))?;
    bytes.extend(length.to_le_bytes());
    bytes.extend(value);
    Ok(())
}

fn encode_nested(column: &ArrayRef, row: usize) -> Result<Vec<u8>> {
    let schema = Arc::new(Schema::new(vec![Field::new("v", column.data_type().clone(), true)]));
    let batch = RecordBatch::try_new(Arc::clone(&schema), vec![column.slice(row, 1)])?;
    let mut writer = StreamWriter::try_new(Vec::new(), &schema)?;
    writer.write(&batch)?;
    Ok(writer.into_inner()?)
}

/// Collects stored rows into a batch.
pub struct Decoder {
    schema: SchemaRef,
    /// For each stored column where it goes, if it is wanted.
    columns: Vec<(Form, Option<DecodedColumn>)>,
    projection: Vec<usize>,
    rows: usize,
}

impl Decoder {
    /// Of rows with these columns, of which those at `projection` are wanted, in that order and each once.
    ///
    /// # Errors
    /// There is no such column.
    pub fn new(stored: &Schema, projection: &[usize]) -> Result<Self> {
        let columns = stored.fields().iter().enumerate().map(|(at, field)| {
            let form = form(field.data_type());
            (form, projection.contains(&at).then(|| DecodedColumn::new(form, field.data_type())))
        });
        Ok(Self {
            schema: Arc::new(stored.project(projection)?),
            columns: columns.collect(),
            projection: projection.to_vec(),
            rows: 0,
        })
    }

    /// Takes a row.
    ///
    /// # Errors
    /// It cannot be read (`Corrupt`).
    pub fn push(&mut self, mut row: &[u8]) -> Result<()> {
        if take(&mut row, 1)? != [VERSION] {
            return Err(Error::corrupt("a row of a local table was written by another version of the server"));
        }
        for (form, column) in &mut self.columns {
            let value = match take(&mut row, 1)? {
                [NULL] => None,
                _ => Some(match form {
                    Form::Boolean => take(&mut row, 1)?,
                    Form::Fixed(width) => take(&mut row, *width)?,
                    Form::Bytes | Form::Nested => {
                        let length = take(&mut row, 4)?.try_into().map(u32::from_le_bytes).unwrap_or_default();
                        take(&mut row, length as usize)?
                    }
                }),
            };
            if let Some(column) = column {
                column.push(*form, value)?;
            }
        }
        self.rows += 1;
        if row.is_empty() { Ok(()) } else { Err(unreadable()) }
    }

    /// Rows taken since the last batch.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The rows taken so far; begins anew.
    ///
    /// # Errors
    /// They cannot be read (`Corrupt`).
    pub fn finish(&mut self) -> Result<RecordBatch> {
        let mut arrays = Vec::with_capacity(self.projection.len());
        for (at, field) in self.projection.iter().zip(self.schema.fields()) {
            let (form, Some(column)) = &mut self.columns[*at] else { return Err(unreadable()) };
            let whole = std::mem::replace(column, DecodedColumn::new(*form, field.data_type()));
            arrays.push(whole.finish(*form, field.data_type())?);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(std::mem::take(&mut self.rows)));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), arrays, &options).map_err(|_| unreadable())
    }
}

fn take<'a>(row: &mut &'a [u8], length: usize) -> Result<&'a [u8]> {
    let (value, rest) = row.split_at_checked(length).ok_or_else(unreadable)?;
    *row = rest;
    Ok(value)
}

fn unreadable() -> Error {
    Error::corrupt("a row of a local table cannot be read")
}

/// A column that grows.
struct DecodedColumn {
    valid: BooleanBufferBuilder,
    values: MutableBuffer,
    /// Of `Bytes`.
    offsets: Vec<i32>,
    /// Of `Boolean`.
    bits: BooleanBufferBuilder,
    /// Of `Nested`.
    parts: Vec<ArrayRef>,
    nothing: ArrayRef,
}

impl DecodedColumn {
    fn new(form: Form, data_type: &DataType) -> Self {
        Self {
            valid: BooleanBufferBuilder::new(0),
            values: MutableBuffer::new(0),
            offsets: vec![0],
            bits: BooleanBufferBuilder::new(0),
            parts: Vec::new(),
            nothing: match form {
                Form::Nested => new_null_array(data_type, 1),
                _ => new_empty_array(&DataType::Null),
            },
        }
    }

    fn push(&mut self, form: Form, value: Option<&[u8]>) -> Result<()> {
        self.valid.append(value.is_some());
        match (form, value) {
            (Form::Boolean, value) => self.bits.append(value == Some(&[1])),
            (Form::Fixed(_), Some(value)) => self.values.extend_from_slice(value),
            (Form::Fixed(width), None) => self.values.extend_zeros(width),
            (Form::Bytes, value) => {
                self.values.extend_from_slice(value.unwrap_or_default());
                let end = i32::try_from(self.values.len());
                self.offsets.push(end.map_err(|_| Error::invalid("a batch of a local table is larger than 2 GiB"))?);
            }
            (Form::Nested, None) => self.parts.push(Arc::clone(&self.nothing)),
            (Form::Nested, Some(value)) => {
                let mut reader = StreamReader::try_new(value, None).map_err(|_| unreadable())?;
                let batch = reader.next().ok_or_else(unreadable)?.map_err(|_| unreadable())?;
                self.parts.push(Arc::clone(batch.columns().first().ok_or_else(unreadable)?));
            }
        }
        Ok(())
    }

    fn finish(mut self, form: Form, data_type: &DataType) -> Result<ArrayRef> {
        let rows = self.valid.len();
        let data =
            ArrayData::builder(data_type.clone()).len(rows).null_bit_buffer(Some(self.valid.finish().into_inner()));
        let data = match form {
            Form::Boolean => data.add_buffer(self.bits.finish().into_inner()),
            Form::Fixed(_) => data.add_buffer(self.values.into()),
            Form::Bytes => data.add_buffer(Buffer::from_vec(self.offsets)).add_buffer(self.values.into()),
            Form::Nested if rows == 0 => return Ok(new_empty_array(data_type)),
            Form::Nested => {
                let parts: Vec<&dyn Array> = self.parts.iter().map(AsRef::as_ref).collect();
                return Ok(concat(&parts)?);
            }
        };
        // Checks that texts are texts.
        Ok(make_array(data.align_buffers(true).build().map_err(|_| unreadable())?))
    }
}

#[cfg(test)]
mod tests;
