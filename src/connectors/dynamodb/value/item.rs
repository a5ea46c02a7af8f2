//! DynamoDB items to Arrow columns, by declared type and without loss: what does not fit is an error, never a guess. The way
//! back is `encode`. Knows no requests. An attribute that is missing and one of type NULL both read as NULL.

use std::collections::HashMap;
use std::sync::Arc;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use datafusion::arrow::array::{
    Array, ArrayRef, BinaryArray, BooleanArray, FixedSizeBinaryArray, LargeListArray, ListArray, MapArray, NullArray,
    PrimitiveArray, StructArray, new_empty_array,
};
use datafusion::arrow::buffer::{NullBuffer, OffsetBuffer};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{
    ArrowPrimitiveType, ArrowTemporalType, DataType, Date32Type, Decimal128Type, Decimal256Type, Field, Fields,
    Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, Time32MillisecondType, Time32SecondType,
    Time64MicrosecondType, Time64NanosecondType, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};

use super::number::Number;
use super::text_time::{NANOS, parse_date, parse_time, parse_timestamp};

/// An item as DynamoDB has it.
pub type Item = HashMap<String, AttributeValue>;

/// A value that does not fit: in which row, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// Index into the cells given.
    pub row: usize,
    /// What it is and what it should be.
    pub message: String,
}

/// An attribute's value to be read, and the row that it comes from.
#[derive(Clone, Copy)]
pub struct Cell<'a> {
    row: usize,
    value: Value<'a>,
}

#[derive(Clone, Copy)]
enum Value<'a> {
    Null,
    String(&'a str),
    Number(&'a str),
    Binary(&'a [u8]),
    Bool(bool),
    List(&'a [AttributeValue]),
    Map(&'a Item),
    StringSet(&'a [String]),
    NumberSet(&'a [String]),
    BinarySet(&'a [Blob]),
    Unknown,
}

impl<'a> Cell<'a> {
    /// The cell of an attribute that is there or is not.
    pub fn new(row: usize, attribute: Option<&'a AttributeValue>) -> Self {
        let value = match attribute {
            None | Some(AttributeValue::Null(_)) => Value::Null,
            Some(AttributeValue::S(text)) => Value::String(text),
            Some(AttributeValue::N(text)) => Value::Number(text),
            Some(AttributeValue::B(blob)) => Value::Binary(blob.as_ref()),
            Some(AttributeValue::Bool(value)) => Value::Bool(*value),
            Some(AttributeValue::L(values)) => Value::List(values),
            Some(AttributeValue::M(values)) => Value::Map(values),
            Some(AttributeValue::Ss(values)) => Value::StringSet(values),
            Some(AttributeValue::Ns(values)) => Value::NumberSet(values),
            Some(AttributeValue::Bs(values)) => Value::BinarySet(values),
            Some(_) => Value::Unknown,
        };
        Self { row, value }
    }

    fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    fn mismatch(&self, wanted: &DataType) -> Mismatch {
        let found = match self.value {
            Value::Null => "NULL".to_owned(),
            Value::String(text) => format!("S '{}'", shortened(text)),
            Value::Number(text) => format!("N {}", shortened(text)),
            Value::Binary(bytes) => format!("B of {} bytes", bytes.len()),
            Value::Bool(value) => format!("BOOL {value}"),
            Value::List(_) => "a list (L)".to_owned(),
            Value::Map(_) => "a map (M)".to_owned(),
            Value::StringSet(_) => "a string set (SS)".to_owned(),
            Value::NumberSet(_) => "a number set (NS)".to_owned(),
            Value::BinarySet(_) => "a binary set (BS)".to_owned(),
            Value::Unknown => "of a type unknown to this version".to_owned(),
        };
        Mismatch { row: self.row, message: format!("the value is {found}, which is no {}", type_name(wanted)) }
    }
}

fn shortened(text: &str) -> String {
    if text.chars().count() <= 60 { text.to_owned() } else { text.chars().take(60).chain(['…']).collect() }
}

/// A type as it is declared.
pub fn type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Int8 => "TINYINT".to_owned(),
        DataType::Int16 => "SMALLINT".to_owned(),
        DataType::Int32 => "INT".to_owned(),
        DataType::Int64 => "BIGINT".to_owned(),
        DataType::Float32 => "FLOAT".to_owned(),
        DataType::Float64 => "DOUBLE".to_owned(),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "STRING".to_owned(),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => "BYTES".to_owned(),
        DataType::Boolean => "BOOLEAN".to_owned(),
        DataType::Date32 => "DATE".to_owned(),
        DataType::Time32(_) | DataType::Time64(_) => "TIME".to_owned(),
        DataType::Timestamp(_, None) => "TIMESTAMP".to_owned(),
        DataType::Timestamp(_, Some(_)) => "TIMESTAMP_LTZ".to_owned(),
        DataType::Decimal128(precision, scale) | DataType::Decimal256(precision, scale) => {
            format!("DECIMAL({precision}, {scale})")
        }
        DataType::List(_) | DataType::LargeList(_) => "ARRAY".to_owned(),
        DataType::Map(..) => "MAP".to_owned(),
        DataType::Struct(_) => "ROW".to_owned(),
        other => other.to_string(),
    }
}

/// The attribute type (`S`, `N`, `B`) that values of a column are written as, if it is one that a key can have.
pub fn key_attribute_type(data_type: &DataType) -> Option<&'static str> {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Some("S"),
        DataType::Date32 | DataType::Time32(_) | DataType::Time64(_) | DataType::Timestamp(..) => Some("S"),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => Some("B"),
        data_type if data_type.is_numeric() => Some("N"),
        _ => None,
    }
}

/// Whether a column of this type can be stored; else why not.
pub fn check_type(data_type: &DataType) -> Result<(), String> {
    use DataType::{
        Binary, BinaryView, Boolean, Date32, Decimal128, Decimal256, FixedSizeBinary, Float32, Float64, Int8, Int16,
        Int32, Int64, LargeBinary, LargeList, LargeUtf8, List, Map, Null, Struct, Time32, Time64, Timestamp, UInt8,
        UInt16, UInt32, UInt64, Utf8, Utf8View,
    };
    match data_type {
        Null | Boolean | Int8 | Int16 | Int32 | Int64 | UInt8 | UInt16 | UInt32 | UInt64 | Float32 | Float64
        | Decimal128(..) | Decimal256(..) | Utf8 | LargeUtf8 | Utf8View | Binary | LargeBinary | BinaryView
        | FixedSizeBinary(_) | Date32 | Time32(_) | Time64(_) | Timestamp(..) => Ok(()),
        List(field) | LargeList(field) => check_type(field.data_type()),
        Struct(fields) => fields.iter().try_for_each(|field| check_type(field.data_type())),
        Map(entries, _) => {
            let (key, value) = map_fields(entries).ok_or("a MAP needs a key and a value")?;
            match key.data_type() {
                Utf8 | LargeUtf8 | Utf8View | Int8 | Int16 | Int32 | Int64 => check_type(value.data_type()),
                other => {
                    Err(format!("the keys of a MAP are strings or integers in DynamoDB, not {}", type_name(other)))
                }
            }
        }
        other => Err(format!("type {} cannot be stored in DynamoDB", type_name(other))),
    }
}

fn map_fields(entries: &Field) -> Option<(&Arc<Field>, &Arc<Field>)> {
    match entries.data_type() {
        DataType::Struct(fields) if fields.len() == 2 => Some((&fields[0], &fields[1])),
        _ => None,
    }
}

/// Reads one column.
///
/// # Errors
/// A value that is not of the declared type, or would lose digits in it.
pub fn decode_column(data_type: &DataType, cells: &[Cell<'_>]) -> Result<ArrayRef, Mismatch> {
    match data_type {
        DataType::Null => Ok(Arc::new(NullArray::new(cells.len()))),
        DataType::Boolean => booleans(data_type, cells),
        DataType::Int8 => integers::<Int8Type>(data_type, cells),
        DataType::Int16 => integers::<Int16Type>(data_type, cells),
        DataType::Int32 => integers::<Int32Type>(data_type, cells),
        DataType::Int64 => integers::<Int64Type>(data_type, cells),
        DataType::UInt8 => integers::<UInt8Type>(data_type, cells),
        DataType::UInt16 => integers::<UInt16Type>(data_type, cells),
        DataType::UInt32 => integers::<UInt32Type>(data_type, cells),
        DataType::UInt64 => integers::<UInt64Type>(data_type, cells),
        DataType::Float32 => primitives::<Float32Type>(data_type, cells, number(|text| text.parse().ok())),
        DataType::Float64 => primitives::<Float64Type>(data_type, cells, number(|text| text.parse().ok())),
        DataType::Decimal128(precision, scale) => primitives::<Decimal128Type>(
            data_type,
            cells,
            number(|text| Number::parse(text)?.to_scaled(*precision, *scale)?.to_i128()),
        ),
        DataType::Decimal256(precision, scale) => primitives::<Decimal256Type>(
            data_type,
            cells,
            number(|text| Number::parse(text)?.to_scaled(*precision, *scale)),
        ),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => strings(data_type, cells),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => {
            let values = binaries(data_type, cells)?;
            cast_to(Arc::new(BinaryArray::from_iter(values)), data_type)
        }
        DataType::FixedSizeBinary(size) => {
            let values = binaries(data_type, cells)?;
            FixedSizeBinaryArray::try_from_sparse_iter_with_size(values.into_iter(), *size)
                .map(|array| Arc::new(array) as ArrayRef)
                .map_err(|error| Mismatch { row: cells.first().map_or(0, |cell| cell.row), message: error.to_string() })
        }
        DataType::Date32 => primitives::<Date32Type>(data_type, cells, |value| match value {
            Value::String(text) => i32::try_from(parse_date(text)?).ok(),
            _ => None,
        }),
        DataType::Time32(TimeUnit::Second) => times::<Time32SecondType>(data_type, cells, NANOS as i64),
        DataType::Time32(_) => times::<Time32MillisecondType>(data_type, cells, 1_000_000),
        DataType::Time64(TimeUnit::Microsecond) => times::<Time64MicrosecondType>(data_type, cells, 1_000),
        DataType::Time64(_) => times::<Time64NanosecondType>(data_type, cells, 1),
        DataType::Timestamp(TimeUnit::Second, _) => timestamps::<TimestampSecondType>(data_type, cells, 0),
        DataType::Timestamp(TimeUnit::Millisecond, _) => timestamps::<TimestampMillisecondType>(data_type, cells, 3),
        DataType::Timestamp(TimeUnit::Microsecond, _) => timestamps::<TimestampMicrosecondType>(data_type, cells, 6),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => timestamps::<TimestampNanosecondType>(data_type, cells, 9),
        DataType::List(field) => {
            let (values, lengths, nulls) = lists(data_type, field, cells)?;
            let offsets = OffsetBuffer::from_lengths(lengths);
            array_of(cells, ListArray::try_new(field.clone(), offsets, values, nulls))
        }
        DataType::LargeList(field) => {
            let (values, lengths, nulls) = lists(data_type, field, cells)?;
            let offsets = OffsetBuffer::from_lengths(lengths);
            array_of(cells, LargeListArray::try_new(field.clone(), offsets, values, nulls))
        }
        DataType::Struct(fields) => decode_struct(data_type, fields, cells),
        DataType::Map(entries, sorted) => decode_map(data_type, entries, *sorted, cells),
        _ => Err(Mismatch { row: 0, message: format!("type {} is not supported", type_name(data_type)) }),
    }
}

fn booleans(data_type: &DataType, cells: &[Cell<'_>]) -> Result<ArrayRef, Mismatch> {
    let array = cells
        .iter()
        .map(|cell| match cell.value {
            Value::Null => Ok(None),
            Value::Bool(value) => Ok(Some(value)),
            _ => Err(cell.mismatch(data_type)),
        })
        .collect::<Result<BooleanArray, _>>()?;
    Ok(Arc::new(array))
}

fn decode_struct(data_type: &DataType, fields: &Fields, cells: &[Cell<'_>]) -> Result<ArrayRef, Mismatch> {
    let maps = maps(data_type, cells)?;
    let columns = fields
        .iter()
        .map(|field| {
            let cells: Vec<_> = cells
                .iter()
                .zip(&maps)
                .map(|(cell, map)| Cell::new(cell.row, map.and_then(|map| map.get(field.name()))))
                .collect();
            decode_column(field.data_type(), &cells).map_err(|error| Mismatch {
                row: error.row,
                message: format!("field \"{}\": {}", field.name(), error.message),
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    let nulls = NullBuffer::from_iter(maps.iter().map(Option::is_some));
    array_of(cells, StructArray::try_new_with_length(fields.clone(), columns, Some(nulls), cells.len()))
}

fn array_of<A: Array + 'static>(
    cells: &[Cell<'_>],
    array: Result<A, datafusion::arrow::error::ArrowError>,
) -> Result<ArrayRef, Mismatch> {
    array
        .map(|array| Arc::new(array) as ArrayRef)
        .map_err(|error| Mismatch { row: cells.first().map_or(0, |cell| cell.row), message: error.to_string() })
}

fn cast_to(array: ArrayRef, data_type: &DataType) -> Result<ArrayRef, Mismatch> {
    cast(&array, data_type).map_err(|error| Mismatch { row: 0, message: error.to_string() })
}

fn primitives<T: ArrowPrimitiveType>(
    data_type: &DataType,
    cells: &[Cell<'_>],
    read: impl Fn(Value<'_>) -> Option<T::Native>,
) -> Result<ArrayRef, Mismatch> {
    let array = cells
        .iter()
        .map(|cell| match cell.is_null() {
            true => Ok(None),
            false => read(cell.value).map(Some).ok_or_else(|| cell.mismatch(data_type)),
        })
        .collect::<Result<PrimitiveArray<T>, _>>()?;
    Ok(Arc::new(array.with_data_type(data_type.clone())))
}

fn number<T>(read: impl Fn(&str) -> Option<T>) -> impl Fn(Value<'_>) -> Option<T> {
    move |value| match value {
        Value::Number(text) => read(text),
        _ => None,
    }
}

fn integers<T: ArrowPrimitiveType>(data_type: &DataType, cells: &[Cell<'_>]) -> Result<ArrayRef, Mismatch>
where
    T::Native: TryFrom<i128>,
{
    primitives::<T>(
        data_type,
        cells,
        number(|text| {
            let value = match text.parse::<i64>() {
                Ok(value) => i128::from(value),
                Err(_) => Number::parse(text)?.to_i128()?,
            };
            T::Native::try_from(value).ok()
        }),
    )
}

fn times<T: ArrowPrimitiveType + ArrowTemporalType>(
    data_type: &DataType,
    cells: &[Cell<'_>],
    unit_nanos: i64,
) -> Result<ArrayRef, Mismatch>
where
    T::Native: TryFrom<i64>,
{
    primitives::<T>(data_type, cells, |value| match value {
        Value::String(text) => T::Native::try_from(parse_time(text)? / unit_nanos).ok(),
        _ => None,
    })
}

fn timestamps<T: ArrowPrimitiveType<Native = i64>>(
    data_type: &DataType,
    cells: &[Cell<'_>],
    digits: u32,
) -> Result<ArrayRef, Mismatch> {
    primitives::<T>(data_type, cells, |value| {
        let count = match value {
            Value::String(text) => parse_timestamp(text)?.div_euclid(10i128.pow(9 - digits)),
            Value::Number(text) => Number::parse(text)?.floor_scaled(i64::from(digits))?,
            _ => return None,
        };
        i64::try_from(count).ok()
    })
}

fn strings(data_type: &DataType, cells: &[Cell<'_>]) -> Result<ArrayRef, Mismatch> {
    let values = cells
        .iter()
        .map(|cell| match cell.value {
            Value::Null => Ok(None),
            Value::String(text) | Value::Number(text) => Ok(Some(text)),
            _ => Err(cell.mismatch(data_type)),
        })
        .collect::<Result<datafusion::arrow::array::StringArray, _>>()?;
    match data_type {
        DataType::Utf8 => Ok(Arc::new(values)),
        _ => cast_to(Arc::new(values), data_type),
    }
}

fn binaries<'a>(data_type: &DataType, cells: &[Cell<'a>]) -> Result<Vec<Option<&'a [u8]>>, Mismatch> {
    cells
        .iter()
        .map(|cell| match cell.value {
            Value::Null => Ok(None),
            Value::Binary(bytes) => Ok(Some(bytes)),
            _ => Err(cell.mismatch(data_type)),
        })
        .collect()
}

type Lists = (ArrayRef, Vec<usize>, Option<NullBuffer>);

fn lists(data_type: &DataType, field: &Field, cells: &[Cell<'_>]) -> Result<Lists, Mismatch> {
    let mut elements = Vec::new();
    let mut lengths = Vec::with_capacity(cells.len());
    for cell in cells {
        let row = cell.row;
        let before = elements.len();
        match cell.value {
            Value::Null => {}
            Value::List(values) => elements.extend(values.iter().map(|value| Cell::new(row, Some(value)))),
            Value::StringSet(values) => {
                elements.extend(values.iter().map(|value| Cell { row, value: Value::String(value) }));
            }
            Value::NumberSet(values) => {
                elements.extend(values.iter().map(|value| Cell { row, value: Value::Number(value) }));
            }
            Value::BinarySet(values) => {
                elements.extend(values.iter().map(|value| Cell { row, value: Value::Binary(value.as_ref()) }));
            }
            _ => return Err(cell.mismatch(data_type)),
        }
        lengths.push(elements.len() - before);
    }
    let values = if elements.is_empty() {
        new_empty_array(field.data_type())
    } else {
        decode_column(field.data_type(), &elements)
            .map_err(|error| Mismatch { row: error.row, message: format!("element: {}", error.message) })?
    };
    let nulls = NullBuffer::from_iter(cells.iter().map(|cell| !cell.is_null()));
    Ok((values, lengths, Some(nulls)))
}

fn maps<'a>(data_type: &DataType, cells: &[Cell<'a>]) -> Result<Vec<Option<&'a Item>>, Mismatch> {
    cells
        .iter()
        .map(|cell| match cell.value {
            Value::Null => Ok(None),
            Value::Map(map) => Ok(Some(map)),
            _ => Err(cell.mismatch(data_type)),
        })
        .collect()
}

fn decode_map(
    data_type: &DataType,
    entries: &Arc<Field>,
    sorted: bool,
    cells: &[Cell<'_>],
) -> Result<ArrayRef, Mismatch> {
    let (key_field, value_field) =
        map_fields(entries).ok_or_else(|| Mismatch { row: 0, message: "a MAP needs a key and a value".to_owned() })?;
    let maps = maps(data_type, cells)?;
    let is_text = !key_field.data_type().is_numeric();
    let (mut keys, mut values, mut lengths) = (Vec::new(), Vec::new(), Vec::with_capacity(cells.len()));
    for (cell, map) in cells.iter().zip(&maps) {
        // Sorted, so that equal items give equal rows.
        let mut pairs: Vec<_> = map.iter().flat_map(|map| map.iter()).collect();
        pairs.sort_by_key(|(name, _)| *name);
        lengths.push(pairs.len());
        for (name, value) in pairs {
            let key = if is_text { Value::String(name) } else { Value::Number(name) };
            keys.push(Cell { row: cell.row, value: key });
            values.push(Cell::new(cell.row, Some(value)));
        }
    }
    let keys = decode_column(key_field.data_type(), &keys)
        .map_err(|error| Mismatch { row: error.row, message: format!("map key: {}", error.message) })?;
    let values = decode_column(value_field.data_type(), &values)
        .map_err(|error| Mismatch { row: error.row, message: format!("map value: {}", error.message) })?;
    let DataType::Struct(fields) = entries.data_type() else {
        return Err(Mismatch { row: 0, message: "a MAP needs a key and a value".to_owned() });
    };
    let pairs = StructArray::try_new(fields.clone(), vec![keys, values], None)
        .map_err(|error| Mismatch { row: 0, message: error.to_string() })?;
    let nulls = NullBuffer::from_iter(maps.iter().map(Option::is_some));
    let offsets = OffsetBuffer::from_lengths(lengths);
    array_of(cells, MapArray::try_new(entries.clone(), offsets, pairs, Some(nulls), sorted))
}

#[cfg(test)]
mod tests;
