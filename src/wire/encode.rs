//! Arrow batches → DataRow messages, text or binary by column.
//! Knows nothing of sockets. Struct and Map leave as `jsonb` (`{"a": 1}`), so that drivers give them as documents.

use std::fmt::Write;
use std::sync::Arc;

use bytes::{BufMut, BytesMut};
use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Decimal256Array, Float32Array,
    Float64Array, Int16Array, Int32Array, Int64Array, IntervalDayTimeArray, IntervalMonthDayNanoArray,
    IntervalYearMonthArray, LargeBinaryArray, LargeStringArray, ListArray, MapArray, RecordBatch, StringArray,
    StringViewArray, StructArray, Time64MicrosecondArray, TimestampMicrosecondArray, UInt32Array,
};
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::{DataType, IntervalUnit, Schema, TimeUnit};
use pgwire::messages::data::{FieldDescription, RowDescription};

use super::text::{self, Style};
use crate::data_type::to_postgres;
use crate::error::{Error, Result};
use crate::pg_catalog::pg_type::{self, PgType};
use crate::sql::planning::result_names::shown_name;

/// Microseconds between 1970 and 2000, where Postgres counts from.
pub const EPOCH_MICROSECONDS: i64 = 946_684_800_000_000;
/// Days between 1970 and 2000.
pub const EPOCH_DAYS: i32 = 10_957;

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
    /// A name that the catalogue puts on the type and that changes how it is printed.
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
            .code("08P01"));
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
                        return Err(Error::invalid(format!("unsupported format code: {other}")).code("22023"));
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
        let columns = batch.columns().iter().map(Column::new).collect::<Result<Vec<_>>>()?;
        Ok(Rows { columns, format: self.clone(), next: 0, count: batch.num_rows() })
    }
}

/// A batch and how far it was written.
#[derive(Debug)]
pub struct Rows {
    columns: Vec<Column>,
    format: RowFormat,
    next: usize,
    count: usize,
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

    fn write_row(&self, out: &mut BytesMut) -> Result<()> {
        out.put_u8(b'D');
        let start = out.len();
        out.put_i32(0);
        out.put_i16(i16::try_from(self.columns.len()).map_err(|_| Error::invalid("too many columns").code("54011"))?);
        for (column, format) in self.columns.iter().zip(self.format.columns.iter()) {
            write_value(column, format, self.next, self.format.style, out)?;
        }
        put_length(out, start, start)
    }
}

/// Writes the length of what was appended since `from` at `place`.
fn put_length(out: &mut BytesMut, place: usize, from: usize) -> Result<()> {
    let length = i32::try_from(out.len() - from)
        .map_err(|_| Error::invalid("a row of the result is larger than 2 GB").code("54000"))?;
    out[place..place + 4].copy_from_slice(&length.to_be_bytes());
    Ok(())
}

fn write_value(column: &Column, format: &ColumnFormat, row: usize, style: Style, out: &mut BytesMut) -> Result<()> {
    if column.is_null(row) {
        out.put_i32(-1);
        return Ok(());
    }
    let place = out.len();
    out.put_i32(0);
    let start = out.len();
    match (format.special, format.binary) {
        (Special::Procedure, false) => match column {
            Column::UInt32(array) => out.put_slice(crate::pg_catalog::procedure_name(array.value(row)).as_bytes()),
            _ => column.text(row, style, out)?,
        },
        (Special::Vector, false) => column.vector(row, style, out)?,
        (_, false) => column.text(row, style, out)?,
        (_, true) => column.binary(row, format.pg_type.oid, style, out)?,
    }
    put_length(out, place, start)
}

/// A column in one of the few forms that have a writer; others are cast to these once a batch.
#[derive(Debug)]
enum Column {
    Null,
    Boolean(BooleanArray),
    Int16(Int16Array),
    Int32(Int32Array),
    Int64(Int64Array),
    UInt32(UInt32Array),
    Float32(Float32Array),
    Float64(Float64Array),
    Decimal128(Decimal128Array),
    Decimal256(Decimal256Array, bool),
    Utf8(StringArray),
    LargeUtf8(LargeStringArray),
    Utf8View(StringViewArray),
    Binary(BinaryArray),
    LargeBinary(LargeBinaryArray),
    Date(Date32Array),
    Time(Time64MicrosecondArray),
    Timestamp(TimestampMicrosecondArray, bool),
    YearMonth(IntervalYearMonthArray),
    DayTime(IntervalDayTimeArray),
    MonthDayNano(IntervalMonthDayNanoArray),
    /// Microseconds.
    Duration(Int64Array),
    List(ListArray, Box<Column>),
    Struct(StructArray, Vec<Column>),
    Map(MapArray, Box<Column>, Box<Column>),
}

macro_rules! for_each_array {
    ($column:expr, $array:ident => $body:expr) => {
        match $column {
            Column::Null => true,
            Column::Boolean($array) => $body,
            Column::Int16($array) => $body,
            Column::Int32($array) => $body,
            Column::Int64($array) | Column::Duration($array) => $body,
            Column::UInt32($array) => $body,
            Column::Float32($array) => $body,
            Column::Float64($array) => $body,
            Column::Decimal128($array) => $body,
            Column::Decimal256($array, _) => $body,
            Column::Utf8($array) => $body,
            Column::LargeUtf8($array) => $body,
            Column::Utf8View($array) => $body,
            Column::Binary($array) => $body,
            Column::LargeBinary($array) => $body,
            Column::Date($array) => $body,
            Column::Time($array) => $body,
            Column::Timestamp($array, _) => $body,
            Column::YearMonth($array) => $body,
            Column::DayTime($array) => $body,
            Column::MonthDayNano($array) => $body,
            Column::List($array, _) => $body,
            Column::Struct($array, _) => $body,
            Column::Map($array, _, _) => $body,
        }
    };
}

fn cast(array: &ArrayRef, target: &DataType) -> Result<ArrayRef> {
    let options = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(array, target, &options).map_err(|error| {
        let of = to_postgres(array.data_type());
        Error::from(error).context(format!("a value of type {of} does not fit its Postgres type")).code("22003")
    })
}

impl Column {
    fn new(array: &ArrayRef) -> Result<Self> {
        use DataType as T;
        let again = |target: &DataType| Column::new(&cast(array, target)?);
        Ok(match array.data_type() {
            T::Null => Column::Null,
            T::Boolean => Column::Boolean(array.as_boolean().clone()),
            T::Int16 => Column::Int16(array.as_primitive().clone()),
            T::Int32 => Column::Int32(array.as_primitive().clone()),
            T::Int64 => Column::Int64(array.as_primitive().clone()),
            T::UInt32 => Column::UInt32(array.as_primitive().clone()),
            T::Float32 => Column::Float32(array.as_primitive().clone()),
            T::Float64 => Column::Float64(array.as_primitive().clone()),
            T::Int8 | T::UInt8 => again(&T::Int16)?,
            T::UInt16 => again(&T::Int32)?,
            T::UInt64 => again(&T::Int64)?,
            T::Float16 => again(&T::Float32)?,
            T::Decimal128(..) => Column::Decimal128(array.as_primitive().clone()),
            T::Decimal256(precision, scale) => {
                Column::Decimal256(array.as_primitive().clone(), (*precision, *scale) == (76, 38))
            }
            T::Decimal32(precision, scale) | T::Decimal64(precision, scale) => {
                again(&T::Decimal128(*precision, *scale))?
            }
            T::Utf8 => Column::Utf8(array.as_string().clone()),
            T::LargeUtf8 => Column::LargeUtf8(array.as_string().clone()),
            T::Utf8View => Column::Utf8View(array.as_string_view().clone()),
            T::Binary => Column::Binary(array.as_binary().clone()),
            T::LargeBinary => Column::LargeBinary(array.as_binary().clone()),
            T::BinaryView | T::FixedSizeBinary(_) => again(&T::LargeBinary)?,
            T::Date32 => Column::Date(array.as_primitive().clone()),
            T::Date64 => again(&T::Date32)?,
            T::Time64(TimeUnit::Microsecond) => Column::Time(array.as_primitive().clone()),
            T::Time32(_) | T::Time64(_) => again(&T::Time64(TimeUnit::Microsecond))?,
            T::Timestamp(TimeUnit::Microsecond, zone) => {
                Column::Timestamp(array.as_primitive().clone(), zone.is_some())
            }
            T::Timestamp(_, zone) => again(&T::Timestamp(TimeUnit::Microsecond, zone.clone()))?,
            T::Interval(IntervalUnit::YearMonth) => Column::YearMonth(array.as_primitive().clone()),
            T::Interval(IntervalUnit::DayTime) => Column::DayTime(array.as_primitive().clone()),
            T::Interval(IntervalUnit::MonthDayNano) => Column::MonthDayNano(array.as_primitive().clone()),
            T::Duration(TimeUnit::Microsecond) => Column::Duration(cast(array, &T::Int64)?.as_primitive().clone()),
            T::Duration(_) => again(&T::Duration(TimeUnit::Microsecond))?,
            T::Dictionary(_, values) => again(values)?,
            T::RunEndEncoded(_, values) => again(values.data_type())?,
            T::List(_) => {
                let list = array.as_list::<i32>().clone();
                let values = Box::new(Column::new(list.values())?);
                Column::List(list, values)
            }
            T::LargeList(field) | T::FixedSizeList(field, _) | T::ListView(field) | T::LargeListView(field) => {
                again(&T::List(Arc::clone(field)))?
            }
            T::Struct(_) => {
                let array = array.as_struct().clone();
                let children = array.columns().iter().map(Column::new).collect::<Result<_>>()?;
                Column::Struct(array, children)
            }
            T::Map(..) => {
                let map = array.as_map().clone();
                let (keys, values) = (Column::new(map.keys())?, Column::new(map.values())?);
                Column::Map(map, Box::new(keys), Box::new(values))
            }
            other => {
                return Err(Error::unsupported(format!("results of type {} are not supported", to_postgres(other))));
            }
        })
    }

    fn is_null(&self, row: usize) -> bool {
        for_each_array!(self, array => array.is_null(row))
    }

    fn text(&self, row: usize, style: Style, out: &mut BytesMut) -> Result<()> {
        match self {
            Column::Null => {}
            Column::Boolean(array) => out.put_u8(if array.value(row) { b't' } else { b'f' }),
            Column::Int16(array) => put_display(out, array.value(row)),
            Column::Int32(array) => put_display(out, array.value(row)),
            Column::Int64(array) => put_display(out, array.value(row)),
            Column::UInt32(array) => put_display(out, array.value(row)),
            Column::Float32(array) => {
                let value = array.value(row);
                if (1e-4..1e6).contains(&value.abs()) {
                    put_display(out, value);
                } else {
                    text::float(out, &format!("{value:e}"), f64::from(value), 6);
                }
            }
            Column::Float64(array) => {
                let value = array.value(row);
                text::float(out, &format!("{value:e}"), value, 15);
            }
            Column::Decimal128(array) => text::decimal(out, &array.value(row).to_string(), array.scale(), false),
            Column::Decimal256(array, trim) => {
                text::decimal(out, &array.value(row).to_string(), array.scale(), *trim);
            }
            Column::Utf8(array) => out.put_slice(array.value(row).as_bytes()),
            Column::LargeUtf8(array) => out.put_slice(array.value(row).as_bytes()),
            Column::Utf8View(array) => out.put_slice(array.value(row).as_bytes()),
            Column::Binary(array) => put_hex(out, array.value(row)),
            Column::LargeBinary(array) => put_hex(out, array.value(row)),
            Column::Date(array) => {
                let era = text::date(out, i64::from(array.value(row)))?;
                out.put_slice(era.as_bytes());
            }
            Column::Time(array) => text::time(out, array.value(row)),
            Column::Timestamp(array, zoned) => {
                text::timestamp(out, array.value(row), zoned.then_some(style.zone), b' ')?;
            }
            Column::YearMonth(_) | Column::DayTime(_) | Column::MonthDayNano(_) | Column::Duration(_) => {
                let (months, days, microseconds) = self.interval(row);
                text::interval(out, months, days, microseconds);
            }
            Column::List(list, values) => {
                out.put_u8(b'{');
                let mut element = BytesMut::new();
                for (index, row) in range(list.value_offsets(), row).enumerate() {
                    if index > 0 {
                        out.put_u8(b',');
                    }
                    if values.is_null(row) {
                        out.put_slice(b"NULL");
                    } else if matches!(**values, Column::List(..)) {
                        values.text(row, style, out)?;
                    } else {
                        element.clear();
                        values.text(row, style, &mut element)?;
                        put_element(out, &element);
                    }
                }
                out.put_u8(b'}');
            }
            Column::Struct(..) | Column::Map(..) => self.json(row, style, out)?,
        }
        Ok(())
    }

    /// `1 2` for int2vector and oidvector.
    fn vector(&self, row: usize, style: Style, out: &mut BytesMut) -> Result<()> {
        let Column::List(list, values) = self else { return self.text(row, style, out) };
        for (index, row) in range(list.value_offsets(), row).enumerate() {
            if index > 0 {
                out.put_u8(b' ');
            }
            values.text(row, style, out)?;
        }
        Ok(())
    }

    fn binary(&self, row: usize, oid: u32, style: Style, out: &mut BytesMut) -> Result<()> {
        match self {
            Column::Boolean(array) => out.put_u8(u8::from(array.value(row))),
            Column::Int16(array) => out.put_i16(array.value(row)),
            Column::Int32(array) => out.put_i32(array.value(row)),
            Column::Int64(array) => out.put_i64(array.value(row)),
            Column::UInt32(array) => out.put_u32(array.value(row)),
            Column::Float32(array) => out.put_f32(array.value(row)),
            Column::Float64(array) => out.put_f64(array.value(row)),
            Column::Decimal128(_) | Column::Decimal256(..) => {
                let mut digits = BytesMut::new();
                self.text(row, style, &mut digits)?;
                numeric(out, &digits)?;
            }
            Column::Binary(array) => out.put_slice(array.value(row)),
            Column::LargeBinary(array) => out.put_slice(array.value(row)),
            Column::Date(array) => {
                let days = array.value(row).checked_sub(EPOCH_DAYS);
                out.put_i32(days.ok_or_else(|| Error::invalid("date out of range").code("22008"))?);
            }
            Column::Time(array) => out.put_i64(array.value(row)),
            Column::Timestamp(array, _) => {
                let microseconds = array.value(row).checked_sub(EPOCH_MICROSECONDS);
                out.put_i64(microseconds.ok_or_else(|| Error::invalid("timestamp out of range").code("22008"))?);
            }
            Column::YearMonth(_) | Column::DayTime(_) | Column::MonthDayNano(_) | Column::Duration(_) => {
                let (months, days, microseconds) = self.interval(row);
                out.put_i64(microseconds);
                out.put_i32(days);
                out.put_i32(months);
            }
            Column::List(..) => self.binary_array(row, oid, style, out)?,
            Column::Struct(..) | Column::Map(..) => {
                out.put_u8(1);
                self.json(row, style, out)?;
            }
            Column::Null | Column::Utf8(_) | Column::LargeUtf8(_) | Column::Utf8View(_) => {
                if oid == 3802 {
                    out.put_u8(1);
                }
                self.text(row, style, out)?;
            }
        }
        Ok(())
    }

    /// Dimensions, then the elements of the innermost lists.
    fn binary_array(&self, row: usize, oid: u32, style: Style, out: &mut BytesMut) -> Result<()> {
        let element_oid = match oid {
            22 => 21,
            30 => 26,
            _ => pg_type::element_oid(oid).unwrap_or(pg_type::TEXT),
        };
        let mut column = self;
        let mut rows = row..row + 1;
        let mut dimensions = Vec::new();
        while let Column::List(list, values) = column {
            let offsets = list.value_offsets();
            let (first, last) = (offsets[rows.start], offsets[rows.end]);
            let length = rows.clone().next().map_or(0, |row| offsets[row + 1] - offsets[row]);
            if rows.clone().any(|row| list.is_null(row) || offsets[row + 1] - offsets[row] != length) {
                return Err(Error::unsupported("arrays of arrays of different lengths have no binary form")
                    .hint("Ask for the result as text."));
            }
            dimensions.push(length);
            rows = usize::try_from(first).unwrap_or(0)..usize::try_from(last).unwrap_or(0);
            column = values;
        }
        if rows.is_empty() {
            dimensions.clear();
        }
        out.put_i32(i32::try_from(dimensions.len()).unwrap_or(0));
        out.put_i32(i32::from(rows.clone().any(|row| column.is_null(row))));
        out.put_u32(element_oid);
        for dimension in dimensions {
            out.put_i32(dimension);
            // The vectors of the catalogue are the only arrays that count from 0.
            out.put_i32(i32::from(!matches!(oid, 22 | 30)));
        }
        for row in rows {
            if column.is_null(row) {
                out.put_i32(-1);
                continue;
            }
            let place = out.len();
            out.put_i32(0);
            column.binary(row, element_oid, style, out)?;
            put_length(out, place, place + 4)?;
        }
        Ok(())
    }

    /// Months, days, microseconds.
    fn interval(&self, row: usize) -> (i32, i32, i64) {
        match self {
            Column::YearMonth(array) => (array.value(row), 0, 0),
            Column::DayTime(array) => {
                let value = array.value(row);
                (0, value.days, i64::from(value.milliseconds) * 1000)
            }
            Column::MonthDayNano(array) => {
                let value = array.value(row);
                (value.months, value.days, value.nanoseconds / 1000)
            }
            Column::Duration(array) => (0, 0, array.value(row)),
            _ => (0, 0, 0),
        }
    }

    fn json(&self, row: usize, style: Style, out: &mut BytesMut) -> Result<()> {
        if self.is_null(row) {
            out.put_slice(b"null");
            return Ok(());
        }
        match self {
            Column::Boolean(array) => put_display(out, array.value(row)),
            Column::Int16(_)
            | Column::Int32(_)
            | Column::Int64(_)
            | Column::UInt32(_)
            | Column::Decimal128(_)
            | Column::Decimal256(..) => self.text(row, style, out)?,
            Column::Float32(array) if array.value(row).is_finite() => self.text(row, style, out)?,
            Column::Float64(array) if array.value(row).is_finite() => self.text(row, style, out)?,
            Column::Timestamp(array, zoned) => {
                out.put_u8(b'"');
                text::timestamp(out, array.value(row), zoned.then_some(style.zone), b'T')?;
                out.put_u8(b'"');
            }
            Column::List(list, values) => {
                out.put_u8(b'[');
                for (index, row) in range(list.value_offsets(), row).enumerate() {
                    out.put_slice(if index > 0 { b", " } else { b"" });
                    values.json(row, style, out)?;
                }
                out.put_u8(b']');
            }
            Column::Struct(array, children) => {
                out.put_u8(b'{');
                for (index, (name, child)) in array.column_names().iter().zip(children).enumerate() {
                    out.put_slice(if index > 0 { b", " } else { b"" });
                    put_json_string(out, name);
                    out.put_slice(b": ");
                    child.json(row, style, out)?;
                }
                out.put_u8(b'}');
            }
            Column::Map(map, keys, values) => {
                out.put_u8(b'{');
                for (index, row) in range(map.value_offsets(), row).enumerate() {
                    out.put_slice(if index > 0 { b", " } else { b"" });
                    let mut key = BytesMut::new();
                    keys.text(row, style, &mut key)?;
                    put_json_string(out, &String::from_utf8_lossy(&key));
                    out.put_slice(b": ");
                    values.json(row, style, out)?;
                }
                out.put_u8(b'}');
            }
            _ => {
                let mut value = BytesMut::new();
                self.text(row, style, &mut value)?;
                put_json_string(out, &String::from_utf8_lossy(&value));
            }
        }
        Ok(())
    }
}

fn range(offsets: &[i32], row: usize) -> std::ops::Range<usize> {
    usize::try_from(offsets[row]).unwrap_or(0)..usize::try_from(offsets[row + 1]).unwrap_or(0)
}

fn put_display(out: &mut BytesMut, value: impl std::fmt::Display) {
    let _ = write!(out, "{value}");
}

fn put_hex(out: &mut BytesMut, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.put_slice(b"\\x");
    for byte in bytes {
        out.put_u8(DIGITS[usize::from(byte >> 4)]);
        out.put_u8(DIGITS[usize::from(byte & 15)]);
    }
}

fn put_json_string(out: &mut BytesMut, value: &str) {
    let quoted = serde_json::Value::from(value).to_string();
    out.put_slice(quoted.as_bytes());
}

/// An element of an array's text, quoted where Postgres quotes.
fn put_element(out: &mut BytesMut, element: &[u8]) {
    let plain = !element.is_empty()
        && !element.eq_ignore_ascii_case(b"null")
        && !element.iter().any(|byte| matches!(byte, b'"' | b'\\' | b'{' | b'}' | b',') || byte.is_ascii_whitespace());
    if plain {
        return out.put_slice(element);
    }
    out.put_u8(b'"');
    for &byte in element {
        if matches!(byte, b'"' | b'\\') {
            out.put_u8(b'\\');
        }
        out.put_u8(byte);
    }
    out.put_u8(b'"');
}

/// Binary numeric from its text: groups of four digits around the point.
fn numeric(out: &mut BytesMut, text: &[u8]) -> Result<()> {
    let too_long = || Error::invalid("numeric out of range").code("22003");
    let (negative, text) = match text.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let point = text.iter().position(|&byte| byte == b'.').unwrap_or(text.len());
    let (whole, fraction) = (&text[..point], text.get(point + 1..).unwrap_or_default());
    let digit = |byte: Option<&u8>| i16::from(byte.map_or(0, |byte| byte - b'0'));
    let mut groups = Vec::new();
    let padding = (4 - whole.len() % 4) % 4;
    let mut value = 0;
    for (index, byte) in whole.iter().enumerate() {
        value = value * 10 + digit(Some(byte));
        if (index + padding) % 4 == 3 {
            groups.push(value);
            value = 0;
        }
    }
    let mut weight = i16::try_from(groups.len()).map_err(|_| too_long())? - 1;
    for group in fraction.chunks(4) {
        groups.push((0..4).fold(0, |value, index| value * 10 + digit(group.get(index))));
    }
    while groups.first() == Some(&0) {
        groups.remove(0);
        weight -= 1;
    }
    while groups.last() == Some(&0) {
        groups.pop();
    }
    if groups.is_empty() {
        weight = 0;
    }
    out.put_i16(i16::try_from(groups.len()).map_err(|_| too_long())?);
    out.put_i16(weight);
    out.put_u16(if negative && !groups.is_empty() { 0x4000 } else { 0 });
    out.put_i16(i16::try_from(fraction.len()).map_err(|_| too_long())?);
    for group in groups {
        out.put_i16(group);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
