//! Columns as bytes that compare like their values (Arrow's row format), one byte string a row, and back. In memory only:
//! the format is not stable on disk.

use std::fmt;

use datafusion::arrow::array::{ArrayRef, UInt32Array};
use datafusion::arrow::compute::{SortOptions, take};
use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::row::{RowConverter, RowParser, Rows, SortField};

use crate::error::Result;

/// One row as bytes.
pub type Encoded = Box<[u8]>;

/// See the module. Without columns every row is empty.
pub struct Codec {
    columns: usize,
    converter: Option<(RowConverter, RowParser)>,
}

impl fmt::Debug for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Codec")
    }
}

/// Encoded rows of a batch.
#[derive(Default)]
pub struct EncodedRows(Option<Rows>);

impl EncodedRows {
    /// A row.
    #[inline]
    pub fn row(&self, row: usize) -> &[u8] {
        match &self.0 {
            Some(rows) => rows.row(row).data(),
            None => &[],
        }
    }
}

impl Codec {
    /// One for columns in ascending order.
    ///
    /// # Errors
    /// A type that cannot be compared.
    pub fn new(types: &[DataType]) -> Result<Self> {
        Self::ordered(types.iter().map(|data_type| (data_type.clone(), false, true)))
    }

    /// One for columns with their order: type, descending, NULLs first.
    ///
    /// # Errors
    /// A type that cannot be compared.
    pub fn ordered(columns: impl Iterator<Item = (DataType, bool, bool)>) -> Result<Self> {
        let fields: Vec<SortField> = columns
            .map(|(data_type, descending, nulls_first)| {
                SortField::new_with_options(data_type, SortOptions { descending, nulls_first })
            })
            .collect();
        if fields.is_empty() {
            return Ok(Self { columns: 0, converter: None });
        }
        let columns = fields.len();
        let converter = RowConverter::new(fields)?;
        let parser = converter.parser();
        Ok(Self { columns, converter: Some((converter, parser)) })
    }

    /// How many columns there are.
    pub fn column_count(&self) -> usize {
        self.columns
    }

    /// Encodes columns.
    ///
    /// # Errors
    /// Their types are others.
    pub fn encode(&self, columns: &[ArrayRef]) -> Result<EncodedRows> {
        Ok(EncodedRows(match &self.converter {
            Some((converter, _)) => Some(converter.convert_columns(columns)?),
            None => None,
        }))
    }

    /// Encodes columns into rows that were used before.
    ///
    /// # Errors
    /// Their types are others.
    pub fn encode_into(&self, rows: &mut EncodedRows, columns: &[ArrayRef]) -> Result<()> {
        match (&self.converter, &mut rows.0) {
            (Some((converter, _)), Some(rows)) => {
                rows.clear();
                converter.append(rows, columns)?;
            }
            _ => *rows = self.encode(columns)?,
        }
        Ok(())
    }

    /// The columns of encoded rows.
    ///
    /// # Errors
    /// They were not encoded here.
    pub fn decode<'a>(&'a self, rows: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<ArrayRef>> {
        match &self.converter {
            Some((converter, parser)) => Ok(converter.convert_rows(rows.into_iter().map(|row| parser.parse(row)))?),
            None => Ok(Vec::new()),
        }
    }

    /// The columns of encoded rows, NULL where there is none.
    ///
    /// # Errors
    /// They were not encoded here.
    pub fn decode_optional<'a>(&'a self, rows: impl Iterator<Item = Option<&'a [u8]>>) -> Result<Vec<ArrayRef>> {
        let mut present = Vec::new();
        let indices: Vec<Option<u32>> = rows
            .map(|row| {
                row.map(|row| {
                    present.push(row);
                    present.len() as u32 - 1
                })
            })
            .collect();
        let all = present.len() == indices.len();
        let columns = self.decode(present)?;
        if all {
            return Ok(columns);
        }
        let indices = UInt32Array::from(indices);
        Ok(columns.iter().map(|column| take(column, &indices, None)).collect::<Result<_, _>>()?)
    }
}
