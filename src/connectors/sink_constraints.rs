//! What a sink's columns hold: no NULL in a NOT NULL column, and the lengths of CHAR(n), VARCHAR(n), BINARY(n) and VARBINARY(n) as
//! `table.exec.sink.type-length-enforcer` says: other values are written as they are, made to fit, or are refused.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BinaryArray, BooleanArray, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::record_batch::RecordBatch;
use serde::{Deserialize, Serialize};

use super::bad_rows::{BadRows, row_text};
use super::declaration::TableDeclaration;
use crate::changelog::ChangeBatch;
use crate::data_type::TypeLength;
use crate::error::{Error, Result, SqlState};

/// What happens to values of another length than declared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LengthEnforcer {
    /// They are written as they are.
    #[default]
    Ignore,
    /// They are cut off or filled up.
    TrimPad,
    /// They are errors of their rows.
    Error,
}

impl LengthEnforcer {
    /// By its name in the setting.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn of(name: &str) -> Result<Self> {
        match name {
            "IGNORE" => Ok(Self::Ignore),
            "TRIM_PAD" => Ok(Self::TrimPad),
            "ERROR" => Ok(Self::Error),
            other => Err(Error::invalid(format!("table.exec.sink.type-length-enforcer cannot be '{other}'"))
                .hint("Known values: IGNORE, TRIM_PAD, ERROR.")),
        }
    }
}

/// What the columns of a sink must hold.
#[derive(Debug, Clone)]
pub struct SinkConstraints {
    table: String,
    /// Columns that are NOT NULL and no key: rows with a NULL key are the sink's to skip and count.
    required: Vec<usize>,
    lengths: Vec<(usize, TypeLength)>,
    enforcer: LengthEnforcer,
}

impl SinkConstraints {
    /// Those of a table.
    pub fn of(table: &TableDeclaration, enforcer: LengthEnforcer) -> Self {
        let key: Vec<usize> = table.primary_key.iter().filter_map(|name| table.column_index(name)).collect();
        let columns = || table.columns.iter().enumerate();
        let required =
            columns().filter(|(index, column)| !column.nullable && !key.contains(index)).map(|(index, _)| index);
        let lengths = columns().filter_map(|(index, column)| Some((index, TypeLength::of(&column.sql_type)?)));
        Self { table: table.name.clone(), required: required.collect(), lengths: lengths.collect(), enforcer }
    }

    /// The rows as they are written.
    ///
    /// # Errors
    /// A value is none of its column, and rows are not left out.
    pub fn admit(&self, batch: ChangeBatch, bad_rows: &BadRows) -> Result<ChangeBatch> {
        let batch = self.without_nulls(batch, bad_rows)?;
        match self.enforcer {
            LengthEnforcer::Ignore => Ok(batch),
            LengthEnforcer::Error => self.of_length(batch, bad_rows),
            LengthEnforcer::TrimPad if self.lengths.is_empty() => Ok(batch),
            LengthEnforcer::TrimPad => {
                let mut columns = batch.rows().columns().to_vec();
                for (index, length) in &self.lengths {
                    columns[*index] = fitted(&columns[*index], *length)?;
                }
                Ok(batch.with_rows(RecordBatch::try_new(batch.rows().schema(), columns)?))
            }
        }
    }

    fn without_nulls(&self, mut batch: ChangeBatch, bad_rows: &BadRows) -> Result<ChangeBatch> {
        for index in &self.required {
            let column = Arc::clone(batch.rows().column(*index));
            if column.null_count() == 0 {
                continue;
            }
            for row in (0..column.len()).filter(|row| column.is_null(*row)) {
                let name = batch.rows().schema().field(*index).name().clone();
                let error = Error::row(format!(
                    "null value in column \"{name}\" of table \"{}\", which is NOT NULL",
                    self.table
                ))
                .code(SqlState::NotNullViolation);
                bad_rows.take(error.detail(format!("The row is {}.", row_text(batch.rows(), row))))?;
            }
            let keep: BooleanArray = (0..column.len()).map(|row| Some(column.is_valid(row))).collect();
            batch = batch.filter(&keep)?;
        }
        Ok(batch)
    }

    fn of_length(&self, mut batch: ChangeBatch, bad_rows: &BadRows) -> Result<ChangeBatch> {
        for (index, length) in &self.lengths {
            let column = Arc::clone(batch.rows().column(*index));
            let lengths = lengths_of(&column)?;
            if lengths.iter().flatten().all(|found| length.admits(*found)) {
                continue;
            }
            for (row, found) in lengths.iter().enumerate() {
                let Some(found) = found.filter(|found| !length.admits(*found)) else { continue };
                let error = Error::row(format!(
                    "table \"{}\": a value of length {found} does not fit column \"{}\" of length {}",
                    self.table,
                    batch.rows().schema().field(*index).name(),
                    length.length
                ))
                .code(SqlState::StringDataRightTruncation);
                bad_rows.take(error.detail(format!("The row is {}.", row_text(batch.rows(), row))))?;
            }
            let keep: BooleanArray =
                lengths.iter().map(|found| Some(found.is_none_or(|found| length.admits(found)))).collect();
            batch = batch.filter(&keep)?;
        }
        Ok(batch)
    }
}

/// Characters or bytes of each value that is not NULL.
fn lengths_of(column: &ArrayRef) -> Result<Vec<Option<usize>>> {
    Ok(match column.data_type() {
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => {
            let bytes = cast(column, &DataType::Binary)?;
            bytes.as_binary::<i32>().iter().map(|value| value.map(<[u8]>::len)).collect()
        }
        _ => {
            let texts = cast(column, &DataType::Utf8)?;
            texts.as_string::<i32>().iter().map(|value| value.map(|text| text.chars().count())).collect()
        }
    })
}

fn fitted(column: &ArrayRef, length: TypeLength) -> Result<ArrayRef> {
    let fitted: ArrayRef = match column.data_type() {
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => {
            let bytes = cast(column, &DataType::Binary)?;
            let values = bytes.as_binary::<i32>().iter().map(|value| value.map(|bytes| length.fit_bytes(bytes)));
            Arc::new(values.collect::<BinaryArray>())
        }
        _ => {
            let texts = cast(column, &DataType::Utf8)?;
            let values = texts.as_string::<i32>().iter().map(|value| value.map(|text| length.fit(text)));
            Arc::new(values.collect::<StringArray>())
        }
    };
    Ok(cast(&fitted, column.data_type())?)
}
