//! Columns under construction that can take back their last rows, which Arrow's own builders cannot.
//! A record that turns out to be bad half-way is simply cut off again.

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, BooleanBufferBuilder, ListArray, MapArray, PrimitiveArray, StringArray,
    StructArray, new_empty_array,
};
use datafusion::arrow::buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use datafusion::arrow::datatypes::{
    ArrowPrimitiveType, DataType, Date32Type, Decimal128Type, Decimal256Type, FieldRef, Fields, Float32Type,
    Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, Time32MillisecondType, Time32SecondType,
    Time64MicrosecondType, Time64NanosecondType, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType, i256,
};

use crate::data_type::to_flink;
use crate::error::{Error, Result};

/// The values of a column, by type. Every variant has one entry for each row, also for NULLs.
#[allow(missing_docs, reason = "the names of the types say it")]
pub enum Values {
    Boolean(BooleanBufferBuilder),
    Int8(Vec<i8>),
    Int16(Vec<i16>),
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Float32(Vec<f32>),
    Float64(Vec<f64>),
    Decimal128 { values: Vec<i128>, precision: u8, scale: i8 },
    Decimal256 { values: Vec<i256>, precision: u8, scale: i8 },
    Date32(Vec<i32>),
    Time32(Vec<i32>, TimeUnit),
    Time64(Vec<i64>, TimeUnit),
    Timestamp { values: Vec<i64>, unit: TimeUnit, zone: Option<Arc<str>> },
    Utf8(Bytes),
    Binary(Bytes),
    List { ends: Vec<i32>, element: FieldRef, child: Box<Column> },
    Map { ends: Vec<i32>, entries: FieldRef, fields: Fields, keys: Box<Column>, values: Box<Column> },
    Struct { fields: Fields, children: Vec<Column> },
}

/// Values of varying length, one behind the other.
#[derive(Default)]
pub struct Bytes {
    data: Vec<u8>,
    ends: Vec<i32>,
}

impl Bytes {
    fn truncate(&mut self, len: usize) {
        self.ends.truncate(len);
        self.data.truncate(self.ends.last().map_or(0, |end| *end as usize));
    }

    fn take(&mut self) -> (OffsetBuffer<i32>, Buffer) {
        (offsets(&mut self.ends), Buffer::from_vec(std::mem::take(&mut self.data)))
    }
}

/// One column under construction.
pub struct Column {
    values: Values,
    valid: BooleanBufferBuilder,
    null_count_hint: usize,
}

impl Column {
    /// An empty column of a type.
    ///
    /// # Errors
    /// The type has no column here (SQLSTATE 0A000).
    pub fn new(data_type: &DataType) -> Result<Self> {
        let values = match data_type {
            DataType::Boolean => Values::Boolean(BooleanBufferBuilder::new(0)),
            DataType::Int8 => Values::Int8(Vec::new()),
            DataType::Int16 => Values::Int16(Vec::new()),
            DataType::Int32 => Values::Int32(Vec::new()),
            DataType::Int64 => Values::Int64(Vec::new()),
            DataType::Float32 => Values::Float32(Vec::new()),
            DataType::Float64 => Values::Float64(Vec::new()),
            DataType::Decimal128(precision, scale) => {
                Values::Decimal128 { values: Vec::new(), precision: *precision, scale: *scale }
            }
            DataType::Decimal256(precision, scale) => {
                Values::Decimal256 { values: Vec::new(), precision: *precision, scale: *scale }
            }
            DataType::Date32 => Values::Date32(Vec::new()),
            DataType::Time32(unit) => Values::Time32(Vec::new(), *unit),
            DataType::Time64(unit) => Values::Time64(Vec::new(), *unit),
            DataType::Timestamp(unit, zone) => {
                Values::Timestamp { values: Vec::new(), unit: *unit, zone: zone.clone() }
            }
            DataType::Utf8 => Values::Utf8(Bytes::default()),
            DataType::Binary => Values::Binary(Bytes::default()),
            DataType::List(element) => Values::List {
                ends: Vec::new(),
                element: element.clone(),
                child: Box::new(Column::new(element.data_type())?),
            },
            DataType::Map(entries, _) => {
                let DataType::Struct(fields) = entries.data_type() else { return Err(no_column(data_type)) };
                let [key, value] = fields.as_ref() else { return Err(no_column(data_type)) };
                Values::Map {
                    ends: Vec::new(),
                    entries: entries.clone(),
                    fields: fields.clone(),
                    keys: Box::new(Column::new(key.data_type())?),
                    values: Box::new(Column::new(value.data_type())?),
                }
            }
            DataType::Struct(fields) => Values::Struct {
                fields: fields.clone(),
                children: fields.iter().map(|field| Column::new(field.data_type())).collect::<Result<_>>()?,
            },
            other => return Err(no_column(other)),
        };
        Ok(Self { values, valid: BooleanBufferBuilder::new(0), null_count_hint: 0 })
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.valid.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The values, to append one; [`Self::accept`] must follow.
    pub fn values(&mut self) -> &mut Values {
        &mut self.values
    }

    /// Notes that the value just appended is there (not NULL).
    pub fn accept(&mut self) {
        self.valid.append(true);
    }

    /// Appends bytes to a column of text or binary values.
    pub fn append_bytes(&mut self, value: &[u8]) {
        if let Values::Utf8(bytes) | Values::Binary(bytes) = &mut self.values {
            bytes.data.extend_from_slice(value);
            // A batch holds a few megabytes, so the end fits.
            bytes.ends.push(bytes.data.len() as i32);
            self.valid.append(true);
        }
    }

    /// Appends NULL.
    pub fn append_null(&mut self) {
        self.append_blank(true);
    }

    /// Appends NULL, or the type's zero (an empty text or list) where NULL is not permitted.
    pub fn append_blank(&mut self, nullable: bool) {
        self.null_count_hint += usize::from(nullable);
        self.valid.append(!nullable);
        match &mut self.values {
            Values::Boolean(values) => values.append(false),
            Values::Int8(values) => values.push(0),
            Values::Int16(values) => values.push(0),
            Values::Int32(values) | Values::Date32(values) | Values::Time32(values, _) => values.push(0),
            Values::Int64(values) | Values::Time64(values, _) | Values::Timestamp { values, .. } => values.push(0),
            Values::Float32(values) => values.push(0.0),
            Values::Float64(values) => values.push(0.0),
            Values::Decimal128 { values, .. } => values.push(0),
            Values::Decimal256 { values, .. } => values.push(i256::ZERO),
            Values::Utf8(bytes) | Values::Binary(bytes) => bytes.ends.push(bytes.data.len() as i32),
            Values::List { ends, child, .. } => ends.push(child.len() as i32),
            Values::Map { ends, keys, .. } => ends.push(keys.len() as i32),
            Values::Struct { fields, children } => {
                let children = children.iter_mut().zip(fields.iter());
                children.for_each(|(child, field)| child.append_blank(nullable || field.is_nullable()));
            }
        }
    }

    /// Takes back the last rows (and what a failed append left behind), so that `len` are left.
    pub fn truncate(&mut self, len: usize) {
        self.valid.truncate(len);
        match &mut self.values {
            Values::Boolean(values) => values.truncate(len),
            Values::Int8(values) => values.truncate(len),
            Values::Int16(values) => values.truncate(len),
            Values::Int32(values) | Values::Date32(values) | Values::Time32(values, _) => values.truncate(len),
            Values::Int64(values) | Values::Time64(values, _) | Values::Timestamp { values, .. } => {
                values.truncate(len);
            }
            Values::Float32(values) => values.truncate(len),
            Values::Float64(values) => values.truncate(len),
            Values::Decimal128 { values, .. } => values.truncate(len),
            Values::Decimal256 { values, .. } => values.truncate(len),
            Values::Utf8(bytes) | Values::Binary(bytes) => bytes.truncate(len),
            Values::List { ends, child, .. } => {
                ends.truncate(len);
                child.truncate(ends.last().map_or(0, |end| *end as usize));
            }
            Values::Map { ends, keys, values, .. } => {
                ends.truncate(len);
                let children = ends.last().map_or(0, |end| *end as usize);
                keys.truncate(children);
                values.truncate(children);
            }
            Values::Struct { children, .. } => children.iter_mut().for_each(|child| child.truncate(len)),
        }
    }

    /// Gives the array and begins anew.
    ///
    /// # Errors
    /// The values do not fit the type (a defect of the decoder).
    pub fn finish(&mut self) -> Result<ArrayRef> {
        let nulls = if self.null_count_hint == 0 {
            self.valid.truncate(0);
            None
        } else {
            Some(NullBuffer::new(self.valid.finish())).filter(|nulls| nulls.null_count() > 0)
        };
        self.null_count_hint = 0;
        Ok(match &mut self.values {
            Values::Boolean(values) => Arc::new(BooleanArray::new(values.finish(), nulls)),
            Values::Int8(values) => primitive::<Int8Type>(values, nulls),
            Values::Int16(values) => primitive::<Int16Type>(values, nulls),
            Values::Int32(values) => primitive::<Int32Type>(values, nulls),
            Values::Int64(values) => primitive::<Int64Type>(values, nulls),
            Values::Float32(values) => primitive::<Float32Type>(values, nulls),
            Values::Float64(values) => primitive::<Float64Type>(values, nulls),
            Values::Date32(values) => primitive::<Date32Type>(values, nulls),
            Values::Decimal128 { values, precision, scale } => {
                let array = PrimitiveArray::<Decimal128Type>::new(ScalarBuffer::from(std::mem::take(values)), nulls);
                Arc::new(array.with_precision_and_scale(*precision, *scale)?)
            }
            Values::Decimal256 { values, precision, scale } => {
                let array = PrimitiveArray::<Decimal256Type>::new(ScalarBuffer::from(std::mem::take(values)), nulls);
                Arc::new(array.with_precision_and_scale(*precision, *scale)?)
            }
            Values::Time32(values, TimeUnit::Second) => primitive::<Time32SecondType>(values, nulls),
            Values::Time32(values, _) => primitive::<Time32MillisecondType>(values, nulls),
            Values::Time64(values, TimeUnit::Nanosecond) => primitive::<Time64NanosecondType>(values, nulls),
            Values::Time64(values, _) => primitive::<Time64MicrosecondType>(values, nulls),
            Values::Timestamp { values, unit, zone } => {
                let values = ScalarBuffer::from(std::mem::take(values));
                let zone = zone.clone();
                match unit {
                    TimeUnit::Second => {
                        Arc::new(PrimitiveArray::<TimestampSecondType>::new(values, nulls).with_timezone_opt(zone))
                            as ArrayRef
                    }
                    TimeUnit::Millisecond => {
                        Arc::new(PrimitiveArray::<TimestampMillisecondType>::new(values, nulls).with_timezone_opt(zone))
                    }
                    TimeUnit::Microsecond => {
                        Arc::new(PrimitiveArray::<TimestampMicrosecondType>::new(values, nulls).with_timezone_opt(zone))
                    }
                    TimeUnit::Nanosecond => {
                        Arc::new(PrimitiveArray::<TimestampNanosecondType>::new(values, nulls).with_timezone_opt(zone))
                    }
                }
            }
            Values::Utf8(bytes) => {
                let (offsets, data) = bytes.take();
                Arc::new(StringArray::try_new(offsets, data, nulls)?)
            }
            Values::Binary(bytes) => {
                let (offsets, data) = bytes.take();
                Arc::new(BinaryArray::try_new(offsets, data, nulls)?)
            }
            Values::List { ends, element, child } => {
                Arc::new(ListArray::try_new(element.clone(), offsets(ends), child.finish()?, nulls)?)
            }
            Values::Map { ends, entries, fields, keys, values } => {
                let pairs = StructArray::try_new(fields.clone(), vec![keys.finish()?, values.finish()?], None)?;
                Arc::new(MapArray::try_new(entries.clone(), offsets(ends), pairs, nulls, false)?)
            }
            Values::Struct { fields, children } => {
                if fields.is_empty() {
                    return Ok(new_empty_array(&DataType::Struct(fields.clone())));
                }
                let children = children.iter_mut().map(Column::finish).collect::<Result<Vec<_>>>()?;
                Arc::new(StructArray::try_new(fields.clone(), children, nulls)?)
            }
        })
    }
}

fn no_column(data_type: &DataType) -> Error {
    Error::unsupported(format!("values of type {} cannot be read from records yet", to_flink(data_type)))
}

fn primitive<T: ArrowPrimitiveType>(values: &mut Vec<T::Native>, nulls: Option<NullBuffer>) -> ArrayRef {
    Arc::new(PrimitiveArray::<T>::new(ScalarBuffer::from(std::mem::take(values)), nulls))
}

fn offsets(ends: &mut Vec<i32>) -> OffsetBuffer<i32> {
    let mut offsets = Vec::with_capacity(ends.len() + 1);
    offsets.push(0);
    offsets.append(ends);
    OffsetBuffer::new(ScalarBuffer::from(offsets))
}
