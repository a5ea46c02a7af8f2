//! SUM and AVG of integers, durations and decimals, exact: totals are wider than any sum of the input can become in practice,
//! and what does not fit the result's type is an error when it is read, so that order and retractions never matter.

use std::marker::PhantomData;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray};
use datafusion::arrow::buffer::NullBuffer;
use datafusion::arrow::datatypes::*;

use super::accumulator::{Accumulator, GroupedRows};
use super::counting::{counts_of, restore_counts};
use crate::engine::aggregate::AggregateFunction;
use crate::error::{Error, Result, SqlState};
use crate::functions::exact_sums;

/// The accumulator for an argument of this type; `None` if it cannot be summed.
pub fn accumulator(
    function: AggregateFunction,
    argument: &DataType,
    result: &DataType,
) -> Option<Box<dyn Accumulator>> {
    macro_rules! sum {
        ($argument:ty, $total:ty) => {
            Box::new(SumAccumulator::<$argument, $total>::new(function, argument, result))
        };
    }
    Some(match argument {
        DataType::Int64 => sum!(Int64Type, i128),
        DataType::UInt64 => sum!(UInt64Type, i128),
        DataType::Duration(TimeUnit::Second) => sum!(DurationSecondType, i128),
        DataType::Duration(TimeUnit::Millisecond) => sum!(DurationMillisecondType, i128),
        DataType::Duration(TimeUnit::Microsecond) => sum!(DurationMicrosecondType, i128),
        DataType::Duration(TimeUnit::Nanosecond) => sum!(DurationNanosecondType, i128),
        DataType::Decimal32(..) => sum!(Decimal32Type, i128),
        DataType::Decimal64(..) => sum!(Decimal64Type, i128),
        // 10^18 rows of 20 digits fit; above that the total is wider.
        DataType::Decimal128(..=20, _) => sum!(Decimal128Type, i128),
        DataType::Decimal128(..) => sum!(Decimal128Type, Wide),
        DataType::Decimal256(..) => sum!(Decimal256Type, Wide),
        _ => return None,
    })
}

/// A total that never overflows.
trait Total: Copy + Default + Send {
    fn add(&mut self, value: Self);
    fn subtract(&mut self, value: Self);
    /// The value, if it fits.
    fn exact(self) -> Option<i256>;
    /// The value, if it is small.
    fn small(self) -> Option<i128>;
    fn state_fields() -> Vec<(&'static str, DataType)>;
    fn state(totals: impl Iterator<Item = Self>) -> Vec<ArrayRef>;
    fn restored(columns: &[ArrayRef], row: usize) -> Self;
}

impl Total for i128 {
    #[inline(always)]
    fn add(&mut self, value: Self) {
        *self = self.wrapping_add(value);
    }

    #[inline(always)]
    fn subtract(&mut self, value: Self) {
        *self = self.wrapping_sub(value);
    }

    fn exact(self) -> Option<i256> {
        Some(i256::from_i128(self))
    }

    fn small(self) -> Option<i128> {
        Some(self)
    }

    fn state_fields() -> Vec<(&'static str, DataType)> {
        vec![("sum", DataType::Decimal128(38, 0))]
    }

    fn state(totals: impl Iterator<Item = Self>) -> Vec<ArrayRef> {
        let totals = PrimitiveArray::<Decimal128Type>::from_iter_values(totals);
        vec![Arc::new(totals.with_data_type(DataType::Decimal128(38, 0)))]
    }

    fn restored(columns: &[ArrayRef], row: usize) -> Self {
        columns[0].as_primitive::<Decimal128Type>().value(row)
    }
}

/// 256 bits and what overflowed them.
#[derive(Clone, Copy, Default)]
struct Wide {
    low: i256,
    overflows: i64,
}

impl Total for Wide {
    #[inline(always)]
    fn add(&mut self, value: Self) {
        let (low, overflow) = self.low.overflowing_add(value.low);
        self.low = low;
        self.overflows += match overflow {
            false => value.overflows,
            true if value.low.is_negative() => value.overflows - 1,
            true => value.overflows + 1,
        };
    }

    #[inline(always)]
    fn subtract(&mut self, value: Self) {
        let (low, overflow) = self.low.overflowing_sub(value.low);
        self.low = low;
        self.overflows -= match overflow {
            false => value.overflows,
            true if value.low.is_negative() => value.overflows - 1,
            true => value.overflows + 1,
        };
    }

    fn exact(self) -> Option<i256> {
        (self.overflows == 0).then_some(self.low)
    }

    fn small(self) -> Option<i128> {
        self.exact().and_then(i256::to_i128)
    }

    fn state_fields() -> Vec<(&'static str, DataType)> {
        vec![("sum", DataType::Decimal256(76, 0)), ("overflows", DataType::Int64)]
    }

    fn state(totals: impl Iterator<Item = Self>) -> Vec<ArrayRef> {
        let (low, overflows): (Vec<i256>, Vec<i64>) = totals.map(|total| (total.low, total.overflows)).unzip();
        let low = PrimitiveArray::<Decimal256Type>::from_iter_values(low);
        vec![
            Arc::new(low.with_data_type(DataType::Decimal256(76, 0))),
            Arc::new(PrimitiveArray::<Int64Type>::from(overflows)),
        ]
    }

    fn restored(columns: &[ArrayRef], row: usize) -> Self {
        Self {
            low: columns[0].as_primitive::<Decimal256Type>().value(row),
            overflows: columns[1].as_primitive::<Int64Type>().value(row),
        }
    }
}

/// An argument's value as a total.
trait Summand<T> {
    fn total(self) -> T;
}

macro_rules! summands {
    ($($native:ty),*) => {
        $(impl Summand<i128> for $native {
            #[inline(always)]
            fn total(self) -> i128 {
                self as i128
            }
        })*
    };
}
summands!(i32, i64, u64, i128);

impl Summand<Wide> for i128 {
    #[inline(always)]
    fn total(self) -> Wide {
        Wide { low: i256::from_i128(self), overflows: 0 }
    }
}

impl Summand<Wide> for i256 {
    #[inline(always)]
    fn total(self) -> Wide {
        Wide { low: self, overflows: 0 }
    }
}

struct SumAccumulator<A, T> {
    average: bool,
    argument_scale: i8,
    result: DataType,
    totals: Vec<T>,
    /// Values that are not NULL.
    counts: Vec<i64>,
    argument: PhantomData<fn(A)>,
}

impl<A, T: Total> SumAccumulator<A, T> {
    fn new(function: AggregateFunction, argument: &DataType, result: &DataType) -> Self {
        let argument_scale = match argument {
            DataType::Decimal32(_, scale)
            | DataType::Decimal64(_, scale)
            | DataType::Decimal128(_, scale)
            | DataType::Decimal256(_, scale) => *scale,
            _ => 0,
        };
        let average = function == AggregateFunction::Avg;
        Self {
            average,
            argument_scale,
            result: result.clone(),
            totals: Vec::new(),
            counts: Vec::new(),
            argument: PhantomData,
        }
    }

    /// The result in units of its type.
    fn result_of(&self, group: usize) -> Option<i256> {
        let (total, count) = (self.totals[group].exact()?, self.counts[group]);
        match &self.result {
            _ if !self.average => Some(total),
            // Cut off, as queries have it.
            DataType::Duration(_) => total.checked_div(i256::from_i128(i128::from(count))),
            result => exact_sums::average(total, count, result, self.argument_scale),
        }
    }

    fn results<R: ArrowPrimitiveType>(
        &self,
        groups: &[u32],
        convert: impl Fn(&Self, usize) -> Option<R::Native>,
    ) -> Result<ArrayRef> {
        let mut values = Vec::with_capacity(groups.len());
        let mut valid = Vec::with_capacity(groups.len());
        for group in groups {
            let group = *group as usize;
            let present = self.counts[group] > 0;
            values.push(match present {
                true => convert(self, group).ok_or_else(out_of_range)?,
                false => R::default_value(),
            });
            valid.push(present);
        }
        let nulls = valid.contains(&false).then(|| NullBuffer::from(valid));
        let array = PrimitiveArray::<R>::new(values.into(), nulls);
        Ok(Arc::new(array.with_data_type(self.result.clone())))
    }
}

fn out_of_range() -> Error {
    Error::row("the result is out of range")
        .code(SqlState::NumericValueOutOfRange)
        .hint("Cast the argument to a wider type.")
}

fn power_of_ten(digits: u32) -> i256 {
    i256::from_i128(10).checked_pow(digits).unwrap_or(i256::MAX)
}

impl<A, T> Accumulator for SumAccumulator<A, T>
where
    A: ArrowPrimitiveType,
    A::Native: Summand<T>,
    T: Total,
{
    fn resize(&mut self, groups: usize) {
        self.totals.resize(groups, T::default());
        self.counts.resize(groups, 0);
    }

    fn accumulate(&mut self, columns: &[ArrayRef], grouped: &GroupedRows<'_>) -> Result<()> {
        let column = columns[0].as_primitive::<A>();
        let values = column.values();
        let (totals, counts) = (&mut self.totals, &mut self.counts);
        grouped.each(column.nulls(), |row, group, retracted| {
            let value = values[row].total();
            if retracted {
                totals[group].subtract(value);
                counts[group] -= 1;
            } else {
                totals[group].add(value);
                counts[group] += 1;
            }
        });
        Ok(())
    }

    fn evaluate(&self, groups: &[u32]) -> Result<ArrayRef> {
        macro_rules! integers {
            ($kind:ty, $native:ty) => {
                self.results::<$kind>(groups, |sums, group| {
                    sums.result_of(group)?.to_i128().and_then(|value| <$native>::try_from(value).ok())
                })
            };
        }
        macro_rules! decimals {
            ($kind:ty, $native:ty, $precision:expr) => {{
                let bound = power_of_ten(u32::from($precision)).to_i128().unwrap_or(i128::MAX);
                self.results::<$kind>(groups, |sums, group| {
                    let value = match sums.average {
                        false => sums.totals[group].small()?,
                        true => sums.result_of(group)?.to_i128()?,
                    };
                    if value.unsigned_abs() < bound.unsigned_abs() { <$native>::try_from(value).ok() } else { None }
                })
            }};
        }
        match &self.result {
            DataType::Int64 => integers!(Int64Type, i64),
            DataType::UInt64 => integers!(UInt64Type, u64),
            DataType::Duration(TimeUnit::Second) => integers!(DurationSecondType, i64),
            DataType::Duration(TimeUnit::Millisecond) => integers!(DurationMillisecondType, i64),
            DataType::Duration(TimeUnit::Microsecond) => integers!(DurationMicrosecondType, i64),
            DataType::Duration(TimeUnit::Nanosecond) => integers!(DurationNanosecondType, i64),
            DataType::Decimal32(precision, _) => decimals!(Decimal32Type, i32, *precision),
            DataType::Decimal64(precision, _) => decimals!(Decimal64Type, i64, *precision),
            DataType::Decimal128(precision, _) => decimals!(Decimal128Type, i128, *precision),
            DataType::Decimal256(precision, _) => {
                let bound = power_of_ten(u32::from(*precision));
                self.results::<Decimal256Type>(groups, |sums, group| {
                    sums.result_of(group).filter(|value| *value < bound && *value > bound.wrapping_neg())
                })
            }
            other => Err(Error::internal(format!("a sum cannot be of type {other}"))),
        }
    }

    fn reset(&mut self, group: u32) {
        self.totals[group as usize] = T::default();
        self.counts[group as usize] = 0;
    }

    fn state_fields(&self) -> Vec<(&'static str, DataType)> {
        let mut fields = T::state_fields();
        fields.push(("count", DataType::Int64));
        fields
    }

    fn state(&self, groups: &[u32]) -> Result<Vec<ArrayRef>> {
        let mut columns = T::state(groups.iter().map(|group| self.totals[*group as usize]));
        columns.push(counts_of(&self.counts, groups));
        Ok(columns)
    }

    fn restore(&mut self, groups: &[u32], columns: &[ArrayRef]) -> Result<()> {
        let (count, totals) = columns.split_last().ok_or_else(|| Error::corrupt("state of a sum has no columns"))?;
        restore_counts(&mut self.counts, groups, count);
        for (row, group) in groups.iter().enumerate() {
            self.totals[*group as usize] = T::restored(totals, row);
        }
        Ok(())
    }

    fn memory_bytes(&self) -> usize {
        self.totals.capacity() * size_of::<T>() + self.counts.capacity() * size_of::<i64>()
    }
}
