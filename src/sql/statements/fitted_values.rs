//! Values as the columns of a table that the server keeps hold them: of the lengths that PostgreSQL would give them, or refuse.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BinaryArray, RecordBatch, RecordBatchOptions, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Fields, Schema};

use crate::connectors::local::LocalTable;
use crate::data_type::TypeLength;
use crate::error::{Error, Result, SqlState};

/// The rows as they are stored. NULL may still stand where the table takes none.
///
/// # Errors
/// 22001: a value is too long.
pub fn fit(table: &LocalTable, columns: &[ArrayRef]) -> Result<RecordBatch> {
    let mut columns = columns.to_vec();
    for (at, length) in &table.lengths {
        columns[*at] = fitted(&columns[*at], *length)?;
    }
    let fields = table.schema.fields().iter().map(|field| Arc::new(Field::clone(field).with_nullable(true)));
    let schema = Arc::new(Schema::new(fields.collect::<Fields>()));
    let options = RecordBatchOptions::new().with_row_count(columns.first().map(Array::len));
    Ok(RecordBatch::try_new_with_options(schema, columns, &options)?)
}

fn fitted(column: &ArrayRef, length: TypeLength) -> Result<ArrayRef> {
    Ok(match column.data_type() {
        DataType::Binary => {
            let values = column.as_binary::<i32>().iter();
            let values = values.map(|value| value.map(|bytes| fitted_bytes(bytes, length)).transpose());
            Arc::new(values.collect::<Result<BinaryArray>>()?)
        }
        _ => {
            let values = column.as_string::<i32>().iter();
            let values = values.map(|value| value.map(|text| fitted_text(text, length)).transpose());
            Arc::new(values.collect::<Result<StringArray>>()?)
        }
    })
}

/// As PostgreSQL: blanks at the end that are too many are left out, CHAR(n) is filled up with them.
fn fitted_text(text: &str, length: TypeLength) -> Result<String> {
    let too_many = text.char_indices().nth(length.length).map(|(end, _)| &text[end..]);
    if too_many.is_some_and(|rest| rest.chars().any(|c| c != ' ')) {
        let name = if length.is_padded { "character" } else { "character varying" };
        return Err(Error::invalid(format!("value too long for type {name}({})", length.length))
            .code(SqlState::StringDataRightTruncation));
    }
    Ok(length.fit(text).into_owned())
}

fn fitted_bytes(bytes: &[u8], length: TypeLength) -> Result<Vec<u8>> {
    if bytes.len() > length.length {
        return Err(Error::invalid(format!("value too long for a column of {} bytes", length.length))
            .code(SqlState::StringDataRightTruncation));
    }
    Ok(length.fit_bytes(bytes).into_owned())
}

#[cfg(test)]
mod tests;
