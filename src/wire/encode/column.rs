//! A column of a batch in one of the few forms that are written.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Decimal256Array, Float32Array,
    Float64Array, Int16Array, Int32Array, Int64Array, IntervalDayTimeArray, IntervalMonthDayNanoArray,
    IntervalYearMonthArray, LargeBinaryArray, LargeStringArray, ListArray, MapArray, StringArray, StringViewArray,
    StructArray, Time64MicrosecondArray, TimestampMicrosecondArray, UInt32Array,
};
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::{DataType, IntervalUnit, TimeUnit};

use crate::data_type::to_postgres;
use crate::error::{Error, Result, SqlState};

/// A column in one of the few forms that have a writer; others are cast to these once a batch.
#[derive(Debug)]
pub(super) enum TypedColumn {
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
    List(ListArray, Box<TypedColumn>),
    Struct(StructArray, Vec<TypedColumn>),
    Map(MapArray, Box<TypedColumn>, Box<TypedColumn>),
}

macro_rules! for_each_array {
    ($column:expr, $array:ident => $body:expr) => {
        match $column {
            TypedColumn::Null => true,
            TypedColumn::Boolean($array) => $body,
            TypedColumn::Int16($array) => $body,
            TypedColumn::Int32($array) => $body,
            TypedColumn::Int64($array) | TypedColumn::Duration($array) => $body,
            TypedColumn::UInt32($array) => $body,
            TypedColumn::Float32($array) => $body,
            TypedColumn::Float64($array) => $body,
            TypedColumn::Decimal128($array) => $body,
            TypedColumn::Decimal256($array, _) => $body,
            TypedColumn::Utf8($array) => $body,
            TypedColumn::LargeUtf8($array) => $body,
            TypedColumn::Utf8View($array) => $body,
            TypedColumn::Binary($array) => $body,
            TypedColumn::LargeBinary($array) => $body,
            TypedColumn::Date($array) => $body,
            TypedColumn::Time($array) => $body,
            TypedColumn::Timestamp($array, _) => $body,
            TypedColumn::YearMonth($array) => $body,
            TypedColumn::DayTime($array) => $body,
            TypedColumn::MonthDayNano($array) => $body,
            TypedColumn::List($array, _) => $body,
            TypedColumn::Struct($array, _) => $body,
            TypedColumn::Map($array, _, _) => $body,
        }
    };
}

fn cast(array: &ArrayRef, target: &DataType) -> Result<ArrayRef> {
    let options = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(array, target, &options).map_err(|error| {
        let of = to_postgres(array.data_type());
        Error::from(error)
            .context(format!("a value of type {of} does not fit its Postgres type"))
            .code(SqlState::NumericValueOutOfRange)
    })
}

impl TypedColumn {
    pub(super) fn new(array: &ArrayRef) -> Result<Self> {
        use DataType as T;
        let again = |target: &DataType| TypedColumn::new(&cast(array, target)?);
        Ok(match array.data_type() {
            T::Null => TypedColumn::Null,
            T::Boolean => TypedColumn::Boolean(array.as_boolean().clone()),
            T::Int16 => TypedColumn::Int16(array.as_primitive().clone()),
            T::Int32 => TypedColumn::Int32(array.as_primitive().clone()),
            T::Int64 => TypedColumn::Int64(array.as_primitive().clone()),
            T::UInt32 => TypedColumn::UInt32(array.as_primitive().clone()),
            T::Float32 => TypedColumn::Float32(array.as_primitive().clone()),
            T::Float64 => TypedColumn::Float64(array.as_primitive().clone()),
            T::Int8 | T::UInt8 => again(&T::Int16)?,
            T::UInt16 => again(&T::Int32)?,
            T::UInt64 => again(&T::Int64)?,
            T::Float16 => again(&T::Float32)?,
            T::Decimal128(..) => TypedColumn::Decimal128(array.as_primitive().clone()),
            T::Decimal256(precision, scale) => {
                TypedColumn::Decimal256(array.as_primitive().clone(), (*precision, *scale) == (76, 38))
            }
            T::Decimal32(precision, scale) | T::Decimal64(precision, scale) => {
                again(&T::Decimal128(*precision, *scale))?
            }
            T::Utf8 => TypedColumn::Utf8(array.as_string().clone()),
            T::LargeUtf8 => TypedColumn::LargeUtf8(array.as_string().clone()),
            T::Utf8View => TypedColumn::Utf8View(array.as_string_view().clone()),
            T::Binary => TypedColumn::Binary(array.as_binary().clone()),
            T::LargeBinary => TypedColumn::LargeBinary(array.as_binary().clone()),
            T::BinaryView | T::FixedSizeBinary(_) => again(&T::LargeBinary)?,
            T::Date32 => TypedColumn::Date(array.as_primitive().clone()),
            T::Date64 => again(&T::Date32)?,
            T::Time64(TimeUnit::Microsecond) => TypedColumn::Time(array.as_primitive().clone()),
            T::Time32(_) | T::Time64(_) => again(&T::Time64(TimeUnit::Microsecond))?,
            T::Timestamp(TimeUnit::Microsecond, zone) => {
                TypedColumn::Timestamp(array.as_primitive().clone(), zone.is_some())
            }
            T::Timestamp(_, zone) => again(&T::Timestamp(TimeUnit::Microsecond, zone.clone()))?,
            T::Interval(IntervalUnit::YearMonth) => TypedColumn::YearMonth(array.as_primitive().clone()),
            T::Interval(IntervalUnit::DayTime) => TypedColumn::DayTime(array.as_primitive().clone()),
            T::Interval(IntervalUnit::MonthDayNano) => TypedColumn::MonthDayNano(array.as_primitive().clone()),
            T::Duration(TimeUnit::Microsecond) => TypedColumn::Duration(cast(array, &T::Int64)?.as_primitive().clone()),
            T::Duration(_) => again(&T::Duration(TimeUnit::Microsecond))?,
            T::Dictionary(_, values) => again(values)?,
            T::RunEndEncoded(_, values) => again(values.data_type())?,
            T::List(_) => {
                let list = array.as_list::<i32>().clone();
                let values = Box::new(TypedColumn::new(list.values())?);
                TypedColumn::List(list, values)
            }
            T::LargeList(field) | T::FixedSizeList(field, _) | T::ListView(field) | T::LargeListView(field) => {
                again(&T::List(Arc::clone(field)))?
            }
            T::Struct(_) => {
                let array = array.as_struct().clone();
                let children = array.columns().iter().map(TypedColumn::new).collect::<Result<_>>()?;
                TypedColumn::Struct(array, children)
            }
            T::Map(..) => {
                let map = array.as_map().clone();
                let (keys, values) = (TypedColumn::new(map.keys())?, TypedColumn::new(map.values())?);
                TypedColumn::Map(map, Box::new(keys), Box::new(values))
            }
            other => {
                return Err(Error::unsupported(format!("results of type {} are not supported", to_postgres(other))));
            }
        })
    }

    pub(super) fn is_null(&self, row: usize) -> bool {
        for_each_array!(self, array => array.is_null(row))
    }

    /// Months, days, microseconds.
    pub(super) fn interval(&self, row: usize) -> (i32, i32, i64) {
        match self {
            TypedColumn::YearMonth(array) => (array.value(row), 0, 0),
            TypedColumn::DayTime(array) => {
                let value = array.value(row);
                (0, value.days, i64::from(value.milliseconds) * 1000)
            }
            TypedColumn::MonthDayNano(array) => {
                let value = array.value(row);
                (value.months, value.days, value.nanoseconds / 1000)
            }
            TypedColumn::Duration(array) => (0, 0, array.value(row)),
            _ => (0, 0, 0),
        }
    }
}
