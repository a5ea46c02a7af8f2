//! Values as PostgreSQL shows them in the details of errors about constraints.

use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};

use crate::connectors::bad_rows::shortened;
use crate::data_type::is_unconstrained_numeric;

/// Characters of one value, at most; as PostgreSQL cuts them.
const VALUE_CHARS_MAX: usize = 64;

fn value(column: &ArrayRef, row: usize) -> String {
    if column.is_null(row) {
        return "null".to_owned();
    }
    let options = FormatOptions::default()
        .with_timestamp_format(Some("%Y-%m-%d %H:%M:%S%.f"))
        .with_timestamp_tz_format(Some("%Y-%m-%d %H:%M:%S%.f+00"));
    let text = match column.data_type() {
        DataType::Boolean => return if column.as_boolean().value(row) { "t" } else { "f" }.to_owned(),
        DataType::Binary => {
            let bytes = column.as_binary::<i32>().value(row);
            bytes.iter().fold("\\x".to_owned(), |text, byte| format!("{text}{byte:02x}"))
        }
        _ => match ArrayFormatter::try_new(column.as_ref(), &options) {
            Ok(formatter) => formatter.value(row).try_to_string().unwrap_or_else(|_| "?".to_owned()),
            Err(_) => "?".to_owned(),
        },
    };
    let text = match is_unconstrained_numeric(column.data_type()) && text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    };
    match text.chars().count() > VALUE_CHARS_MAX {
        true => shortened(&text, VALUE_CHARS_MAX).replace('…', "..."),
        false => text,
    }
}

/// Values of a row: `1, abc, null`.
pub fn values(rows: &RecordBatch, row: usize, columns: &[usize]) -> String {
    columns.iter().map(|column| value(rows.column(*column), row)).collect::<Vec<_>>().join(", ")
}

/// The detail of an error about a row: `Failing row contains (1, abc, null).`
pub fn failing_row(rows: &RecordBatch, row: usize) -> String {
    let columns: Vec<usize> = (0..rows.num_columns()).collect();
    format!("Failing row contains ({}).", values(rows, row, &columns))
}
