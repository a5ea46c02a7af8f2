//! MIN, MAX, FIRST_VALUE, LAST_VALUE and ANY_VALUE of an input that only grows: one value a group.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, ArrowNativeTypeOp, ArrowPrimitiveType, AsArray, BooleanArray, PrimitiveArray,
};
use datafusion::arrow::buffer::NullBuffer;
use datafusion::arrow::datatypes::*;

use super::accumulator::{Accumulator, GroupedRows, without_nulls};
use crate::engine::aggregate::{AggregateFunction, StoredAggregate};
use crate::engine::state::encoded::{Codec, Encoded};
use crate::error::Result;

/// MIN or MAX of a primitive type; `None` for other types.
pub fn primitive_min_max(data_type: &DataType, greatest: bool) -> Option<Box<dyn Accumulator>> {
    macro_rules! primitive {
        ($kind:ty) => {
            Box::new(PrimitiveMinMax::<$kind> {
                greatest,
                data_type: data_type.clone(),
                values: Vec::new(),
                present: Vec::new(),
            })
        };
    }
    Some(match data_type {
        DataType::Int8 => primitive!(Int8Type),
        DataType::Int16 => primitive!(Int16Type),
        DataType::Int32 => primitive!(Int32Type),
        DataType::Int64 => primitive!(Int64Type),
        DataType::UInt8 => primitive!(UInt8Type),
        DataType::UInt16 => primitive!(UInt16Type),
        DataType::UInt32 => primitive!(UInt32Type),
        DataType::UInt64 => primitive!(UInt64Type),
        DataType::Float32 => primitive!(Float32Type),
        DataType::Float64 => primitive!(Float64Type),
        DataType::Decimal32(..) => primitive!(Decimal32Type),
        DataType::Decimal64(..) => primitive!(Decimal64Type),
        DataType::Decimal128(..) => primitive!(Decimal128Type),
        DataType::Decimal256(..) => primitive!(Decimal256Type),
        DataType::Date32 => primitive!(Date32Type),
        DataType::Date64 => primitive!(Date64Type),
        DataType::Time32(TimeUnit::Second) => primitive!(Time32SecondType),
        DataType::Time32(_) => primitive!(Time32MillisecondType),
        DataType::Time64(TimeUnit::Nanosecond) => primitive!(Time64NanosecondType),
        DataType::Time64(_) => primitive!(Time64MicrosecondType),
        DataType::Timestamp(TimeUnit::Second, _) => primitive!(TimestampSecondType),
        DataType::Timestamp(TimeUnit::Millisecond, _) => primitive!(TimestampMillisecondType),
        DataType::Timestamp(TimeUnit::Microsecond, _) => primitive!(TimestampMicrosecondType),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => primitive!(TimestampNanosecondType),
        _ => return None,
    })
}

struct PrimitiveMinMax<T: ArrowPrimitiveType> {
    greatest: bool,
    data_type: DataType,
    values: Vec<T::Native>,
    present: Vec<bool>,
}

impl<T: ArrowPrimitiveType> PrimitiveMinMax<T> {
    fn column(&self, groups: &[u32]) -> ArrayRef {
        let values: Vec<T::Native> = groups.iter().map(|group| self.values[*group as usize]).collect();
        let present: NullBuffer = groups.iter().map(|group| self.present[*group as usize]).collect();
        let nulls = Some(present).filter(|present| present.null_count() > 0);
        Arc::new(PrimitiveArray::<T>::new(values.into(), nulls).with_data_type(self.data_type.clone()))
    }
}

impl<T: ArrowPrimitiveType> Accumulator for PrimitiveMinMax<T> {
    fn resize(&mut self, groups: usize) {
        self.values.resize(groups, T::default_value());
        self.present.resize(groups, false);
    }

    fn accumulate(&mut self, columns: &[ArrayRef], grouped: &GroupedRows<'_>) -> Result<()> {
        let column = columns[0].as_primitive::<T>();
        let new = column.values();
        let (values, present, greatest) = (&mut self.values, &mut self.present, self.greatest);
        grouped.each(column.nulls(), |row, group, _| {
            let better = if greatest { new[row].is_gt(values[group]) } else { new[row].is_lt(values[group]) };
            if better || !present[group] {
                values[group] = new[row];
                present[group] = true;
            }
        });
        Ok(())
    }

    fn evaluate(&self, groups: &[u32]) -> Result<ArrayRef> {
        Ok(self.column(groups))
    }

    fn reset(&mut self, group: u32) {
        self.present[group as usize] = false;
    }

    fn state_fields(&self) -> Vec<(&'static str, DataType)> {
        vec![("value", self.data_type.clone())]
    }

    fn state(&self, groups: &[u32]) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.column(groups)])
    }

    fn restore(&mut self, groups: &[u32], columns: &[ArrayRef]) -> Result<()> {
        let column = columns[0].as_primitive::<T>();
        for (row, group) in groups.iter().enumerate() {
            self.present[*group as usize] = column.is_valid(row);
            self.values[*group as usize] = column.value(row);
        }
        Ok(())
    }

    fn memory_bytes(&self) -> usize {
        self.values.capacity() * size_of::<T::Native>() + self.present.capacity()
    }
}

/// MIN or MAX of any type that can be compared.
pub struct MinMaxAccumulator {
    greatest: bool,
    data_type: DataType,
    codec: Codec,
    values: Vec<Option<Encoded>>,
    bytes: usize,
}

impl MinMaxAccumulator {
    /// MAX or MIN of values of a type.
    ///
    /// # Errors
    /// A type that cannot be compared.
    pub fn new(argument: &DataType, greatest: bool) -> Result<Self> {
        // A NULL within an array or a row comes behind everything else, as in Postgres.
        let codec = Codec::ordered(std::iter::once((argument.clone(), false, false)))?;
        Ok(Self { greatest, data_type: argument.clone(), codec, values: Vec::new(), bytes: 0 })
    }

    fn set(&mut self, group: usize, value: Option<&[u8]>) {
        self.bytes += value.map_or(0, <[u8]>::len);
        let old = std::mem::replace(&mut self.values[group], value.map(Into::into));
        self.bytes -= old.map_or(0, |old| old.len());
    }
}

impl Accumulator for MinMaxAccumulator {
    fn resize(&mut self, groups: usize) {
        self.values.resize(groups, None);
    }

    fn accumulate(&mut self, columns: &[ArrayRef], grouped: &GroupedRows<'_>) -> Result<()> {
        let rows = self.codec.encode(&columns[..1])?;
        grouped.each(without_nulls(&columns[..1]).as_ref(), |row, group, _| {
            let new = rows.row(row);
            let better =
                self.values[group].as_deref().is_none_or(|old| if self.greatest { new > old } else { new < old });
            if better {
                self.set(group, Some(new));
            }
        });
        Ok(())
    }

    fn evaluate(&self, groups: &[u32]) -> Result<ArrayRef> {
        let values = groups.iter().map(|group| self.values[*group as usize].as_deref());
        Ok(self.codec.decode_optional(values)?.remove(0))
    }

    fn reset(&mut self, group: u32) {
        self.set(group as usize, None);
    }

    fn state_fields(&self) -> Vec<(&'static str, DataType)> {
        vec![("value", self.data_type.clone())]
    }

    fn state(&self, groups: &[u32]) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.evaluate(groups)?])
    }

    fn restore(&mut self, groups: &[u32], columns: &[ArrayRef]) -> Result<()> {
        let rows = self.codec.encode(columns)?;
        for (row, group) in groups.iter().enumerate() {
            self.set(*group as usize, columns[0].is_valid(row).then(|| rows.row(row)));
        }
        Ok(())
    }

    fn value_bytes(&self) -> usize {
        self.bytes
    }

    fn memory_bytes(&self) -> usize {
        self.bytes + self.values.capacity() * size_of::<Option<Encoded>>()
    }
}

/// FIRST_VALUE, LAST_VALUE, ANY_VALUE: the value that comes first or last in the aggregate's order, else in order of arrival.
pub struct FirstLastAccumulator {
    last: bool,
    ignores_nulls: bool,
    data_type: DataType,
    order_types: Vec<DataType>,
    order: Codec,
    value: Codec,
    entries: Vec<Option<Entry>>,
}

#[derive(Clone)]
struct Entry {
    order: Vec<u8>,
    value: Vec<u8>,
}

impl FirstLastAccumulator {
    /// One for values of a type, ordered by columns (type, descending, NULLs first).
    ///
    /// # Errors
    /// A type that cannot be compared.
    pub fn new(aggregate: &StoredAggregate, argument: &DataType, order: &[(DataType, bool, bool)]) -> Result<Self> {
        Ok(Self {
            last: aggregate.function == AggregateFunction::LastValue,
            ignores_nulls: aggregate.ignore_nulls,
            data_type: argument.clone(),
            order_types: order.iter().map(|(data_type, ..)| data_type.clone()).collect(),
            order: Codec::ordered(order.iter().cloned())?,
            value: Codec::new(std::slice::from_ref(argument))?,
            entries: Vec::new(),
        })
    }
}

impl Accumulator for FirstLastAccumulator {
    fn resize(&mut self, groups: usize) {
        self.entries.resize(groups, None);
    }

    fn accumulate(&mut self, columns: &[ArrayRef], grouped: &GroupedRows<'_>) -> Result<()> {
        let values = self.value.encode(&columns[..1])?;
        let orders = self.order.encode(&columns[1..])?;
        let nulls = if self.ignores_nulls { without_nulls(&columns[..1]) } else { None };
        grouped.each(nulls.as_ref(), |row, group, _| {
            let order = orders.row(row);
            let entry = &mut self.entries[group];
            match entry {
                // Rows come in order of arrival, so among equals the last one is the newest and the first one the oldest.
                Some(old) if self.last && order < old.order.as_slice() => {}
                Some(old) if !self.last && order >= old.order.as_slice() => {}
                Some(old) => {
                    old.order.clear();
                    old.order.extend_from_slice(order);
                    old.value.clear();
                    old.value.extend_from_slice(values.row(row));
                }
                None => *entry = Some(Entry { order: order.to_vec(), value: values.row(row).to_vec() }),
            }
        });
        Ok(())
    }

    fn evaluate(&self, groups: &[u32]) -> Result<ArrayRef> {
        let values =
            groups.iter().map(|group| self.entries[*group as usize].as_ref().map(|entry| entry.value.as_slice()));
        Ok(self.value.decode_optional(values)?.remove(0))
    }

    fn reset(&mut self, group: u32) {
        self.entries[group as usize] = None;
    }

    fn state_fields(&self) -> Vec<(&'static str, DataType)> {
        let mut fields = vec![("present", DataType::Boolean), ("value", self.data_type.clone())];
        fields.extend(self.order_types.iter().map(|data_type| ("order", data_type.clone())));
        fields
    }

    fn state(&self, groups: &[u32]) -> Result<Vec<ArrayRef>> {
        let entries = || groups.iter().map(|group| self.entries[*group as usize].as_ref());
        let present: BooleanArray = entries().map(|entry| Some(entry.is_some())).collect();
        let mut columns: Vec<ArrayRef> = vec![Arc::new(present), self.evaluate(groups)?];
        columns.extend(self.order.decode_optional(entries().map(|entry| entry.map(|entry| entry.order.as_slice())))?);
        Ok(columns)
    }

    fn restore(&mut self, groups: &[u32], columns: &[ArrayRef]) -> Result<()> {
        let present = columns[0].as_boolean();
        let values = self.value.encode(&columns[1..2])?;
        let orders = self.order.encode(&columns[2..])?;
        for (row, group) in groups.iter().enumerate() {
            self.entries[*group as usize] =
                present.value(row).then(|| Entry { order: orders.row(row).to_vec(), value: values.row(row).to_vec() });
        }
        Ok(())
    }

    fn memory_bytes(&self) -> usize {
        // As in [`super::float_sums`]: a sample stands for all.
        let sample: usize =
            self.entries.iter().take(64).flatten().map(|entry| entry.order.capacity() + entry.value.capacity()).sum();
        self.entries.capacity() * size_of::<Option<Entry>>()
            + self.entries.len() * sample / self.entries.len().clamp(1, 64)
    }
}
