//! SUM and AVG of whole numbers and decimals, exact: totals are wider than any sum, and what does not fit the result's type is error
//! 22003. An average of whole numbers is a numeric, one of decimals has at least six places; both are rounded, halves up.
//! Jobs have accumulators of their own for the same types and results.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, Decimal256Array, Int64Array, PrimitiveArray,
};
use datafusion::arrow::datatypes::{DataType, Decimal128Type, Decimal256Type, Field, FieldRef, Int64Type, i256};
use datafusion::error::Result;
use datafusion::functions_aggregate::average::Avg;
use datafusion::functions_aggregate::sum::Sum;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, ReversedUDAF, Signature, Volatility,
};
use datafusion::scalar::ScalarValue;

use super::entry::{Aggregation, Entry};
use super::no_such_call;
use crate::data_type::{NUMERIC_PRECISION, NUMERIC_SCALE, is_unconstrained_numeric, unconstrained_numeric};
use crate::error::{Error, SqlState};

/// Places of an average that is a numeric.
pub const NUMERIC_AVERAGE_PLACES: i8 = 20;
/// Places that an average of decimals has at least, and more than its argument.
const AVERAGE_PLACES: i8 = 6;
const MORE_PLACES: i8 = 4;
/// Digits whose sums fit 128 bits for all rows that there may be.
const NARROW_DIGITS: u8 = 20;

/// What the list of aggregates knows of them.
pub(super) const ENTRIES: &[Entry<Aggregation>] = &[
    Entry::public(
        "avg",
        &["bigint → numeric", "numeric → numeric", "double precision → double precision", "interval → interval"],
        "The average, exact for whole numbers and decimals. Of intervals in queries only.",
        Aggregation::OF_JOBS.made(avg),
    )
    .aliases(&["mean"])
    .example("AVG(x)", "1.5"),
    Entry::public(
        "sum",
        &["bigint → bigint", "numeric → numeric", "double precision → double precision", "interval → interval"],
        "The sum, exact for whole numbers and decimals. Of intervals in queries only.",
        Aggregation::OF_JOBS.made(sum),
    )
    .example("SUM(x)", "3"),
];

/// SUM
pub fn sum() -> AggregateUDF {
    AggregateUDF::from(Exact::new(Kind::Sum, &[]))
}

/// AVG, also as MEAN
pub fn avg() -> AggregateUDF {
    AggregateUDF::from(Exact::new(Kind::Avg, &["mean"]))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Sum,
    Avg,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Exact {
    kind: Kind,
    signature: Signature,
    aliases: Vec<String>,
}

/// The type of an average.
fn average_of(data_type: &DataType) -> Option<DataType> {
    if is_unconstrained_numeric(data_type) || *data_type == DataType::Int64 {
        return Some(unconstrained_numeric());
    }
    let (DataType::Decimal128(precision, scale) | DataType::Decimal256(precision, scale)) = data_type else {
        return None;
    };
    let whole = i16::from(*precision) - i16::from(*scale);
    let places = i16::from((scale + MORE_PLACES).max(AVERAGE_PLACES)).min(i16::from(NUMERIC_PRECISION) - whole);
    let (precision, scale) = (u8::try_from(whole + places).ok()?, i8::try_from(places).ok()?);
    Some(if precision <= 38 { DataType::Decimal128(precision, scale) } else { DataType::Decimal256(precision, scale) })
}

fn scale_of(data_type: &DataType) -> i8 {
    match data_type {
        DataType::Decimal128(_, scale) | DataType::Decimal256(_, scale) => *scale,
        _ => 0,
    }
}

impl Exact {
    fn new(kind: Kind, aliases: &[&str]) -> Self {
        let aliases = aliases.iter().map(|alias| (*alias).to_owned()).collect();
        Self { kind, signature: Signature::user_defined(Volatility::Immutable), aliases }
    }

    /// Whether DataFusion's own would lose something.
    fn is_ours(&self, argument: &DataType) -> bool {
        match (self.kind, argument) {
            (_, DataType::Int64 | DataType::Decimal256(..)) => true,
            // The type of the result has ten digits more.
            (Kind::Sum, DataType::Decimal128(precision, _)) => *precision > 28,
            (Kind::Avg, DataType::Decimal128(..)) => true,
            _ => false,
        }
    }

    fn inner(&self) -> Box<dyn AggregateUDFImpl> {
        match self.kind {
            Kind::Sum => Box::new(Sum::new()),
            Kind::Avg => Box::new(Avg::new()),
        }
    }

    fn finish(&self, argument: &DataType, result: &DataType) -> Finish {
        Finish { kind: self.kind, argument_scale: scale_of(argument), result: result.clone() }
    }
}

/// From totals to results.
#[derive(Debug, Clone)]
struct Finish {
    kind: Kind,
    argument_scale: i8,
    result: DataType,
}

fn out_of_range() -> Error {
    Error::row("the result is out of range")
        .code(SqlState::NumericValueOutOfRange)
        .hint("Cast the argument to a wider type.")
}

fn power_of_ten(digits: u8) -> Option<i256> {
    i256::from_i128(10).checked_pow(u32::from(digits))
}

/// An average in units of its type: a total over a count, rounded. `places`: how many more the result has than the total.
pub fn average(total: i256, count: i64, result: &DataType, argument_scale: i8) -> Option<i256> {
    // A numeric has fewer places than its type.
    let numeric = is_unconstrained_numeric(result);
    let scale = match result {
        DataType::Decimal32(_, scale) | DataType::Decimal64(_, scale) => *scale,
        _ if numeric => NUMERIC_AVERAGE_PLACES.max(argument_scale),
        result => scale_of(result),
    };
    let more = u8::try_from(scale.checked_sub(argument_scale)?).ok()?;
    let (total, count) = (total.checked_mul(power_of_ten(more)?)?, i256::from_i128(i128::from(count)));
    let (quotient, rest) = (total.checked_div(count)?, total.checked_rem(count)?);
    let twice = rest.wrapping_abs().checked_mul(i256::from_i128(2))?;
    let rounded = match twice >= count.wrapping_abs() {
        true if total.is_negative() => quotient.checked_sub(i256::ONE)?,
        true => quotient.checked_add(i256::ONE)?,
        false => quotient,
    };
    if !numeric {
        return Some(rounded);
    }
    rounded.checked_mul(power_of_ten(u8::try_from(NUMERIC_SCALE - scale).ok()?)?)
}

impl Finish {
    fn value(&self, total: i256, count: i64) -> Result<i256> {
        let value = match self.kind {
            Kind::Sum => Some(total),
            Kind::Avg => average(total, count, &self.result, self.argument_scale),
        };
        let bound = match self.result {
            DataType::Decimal128(precision, _) | DataType::Decimal256(precision, _) => power_of_ten(precision),
            _ => None,
        };
        let fits = |value: &i256| match bound {
            Some(bound) => *value < bound && *value > bound.wrapping_neg(),
            None => value.to_i128().is_some_and(|value| i64::try_from(value).is_ok()),
        };
        Ok(value.filter(fits).ok_or_else(out_of_range)?)
    }

    fn values(&self, totals: impl Iterator<Item = Option<(i256, i64)>>) -> Result<ArrayRef> {
        let values = totals
            .map(|total| total.map(|(total, count)| self.value(total, count)).transpose())
            .collect::<Result<Vec<Option<i256>>>>()?;
        let narrow = |value: i256| value.to_i128().unwrap_or_default();
        Ok(match &self.result {
            DataType::Int64 => Arc::new(
                values
                    .into_iter()
                    .map(|value| value.and_then(|value| i64::try_from(narrow(value)).ok()))
                    .collect::<Int64Array>(),
            ),
            DataType::Decimal128(..) => {
                let values: PrimitiveArray<Decimal128Type> =
                    values.into_iter().map(|value| value.map(narrow)).collect();
                Arc::new(values.with_data_type(self.result.clone()))
            }
            _ => {
                let values: PrimitiveArray<Decimal256Type> = values.into_iter().collect();
                Arc::new(values.with_data_type(self.result.clone()))
            }
        })
    }
}

/// The type in which totals go from one step of an aggregate to the next.
fn total_type() -> DataType {
    DataType::Decimal256(NUMERIC_PRECISION, 0)
}

fn state_of(totals: Vec<(i256, i64)>) -> Vec<ArrayRef> {
    let (totals, counts): (Vec<i256>, Vec<i64>) = totals.into_iter().unzip();
    let totals = Decimal256Array::from(totals).with_data_type(total_type());
    vec![Arc::new(totals), Arc::new(Int64Array::from(counts))]
}

/// Calls with each value that is not NULL and its row.
fn each(values: &ArrayRef, mut take: impl FnMut(usize, i256) -> Result<()>) -> Result<()> {
    match values.data_type() {
        DataType::Int64 => each_of::<Int64Type>(values, |row, value| take(row, i256::from_i128(i128::from(value)))),
        DataType::Decimal128(..) => each_of::<Decimal128Type>(values, |row, value| take(row, i256::from_i128(value))),
        DataType::Decimal256(..) => each_of::<Decimal256Type>(values, take),
        other => Err(Error::internal(format!("a sum of {other}")).into()),
    }
}

fn each_of<A: ArrowPrimitiveType>(
    values: &ArrayRef,
    mut take: impl FnMut(usize, A::Native) -> Result<()>,
) -> Result<()> {
    let values = values.as_primitive::<A>();
    for (row, value) in values.values().iter().enumerate() {
        if values.is_valid(row) {
            take(row, *value)?;
        }
    }
    Ok(())
}

/// Of one group, or of a window frame.
#[derive(Debug)]
struct One {
    total: i256,
    count: i64,
    finish: Finish,
}

impl Accumulator for One {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        each(&values[0], |_, value| {
            self.total = self.total.checked_add(value).ok_or_else(out_of_range)?;
            self.count += 1;
            Ok(())
        })
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        each(&values[0], |_, value| {
            self.total = self.total.checked_sub(value).ok_or_else(out_of_range)?;
            self.count -= 1;
            Ok(())
        })
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let total = (self.count > 0).then_some((self.total, self.count));
        ScalarValue::try_from_array(&self.finish.values(std::iter::once(total))?, 0)
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let state = state_of(vec![(self.total, self.count)]);
        state.iter().map(|column| ScalarValue::try_from_array(column, 0)).collect()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let counts = states[1].as_primitive::<Int64Type>();
        each_of::<Decimal256Type>(&states[0], |row, total| {
            self.total = self.total.checked_add(total).ok_or_else(out_of_range)?;
            self.count += counts.value(row);
            Ok(())
        })
    }
}

/// Of the distinct values of one group.
#[derive(Debug)]
struct Distinct {
    values: BTreeSet<i256>,
    finish: Finish,
}

impl Accumulator for Distinct {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        each(&values[0], |_, value| {
            self.values.insert(value);
            Ok(())
        })
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let mut total = i256::ZERO;
        for value in &self.values {
            total = total.checked_add(*value).ok_or_else(out_of_range)?;
        }
        let count = i64::try_from(self.values.len()).unwrap_or(i64::MAX);
        let total = (count > 0).then_some((total, count));
        ScalarValue::try_from_array(&self.finish.values(std::iter::once(total))?, 0)
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.values.len() * 2 * size_of::<i256>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let value = |value: &i256| ScalarValue::Decimal256(Some(*value), NUMERIC_PRECISION, 0);
        let values: Vec<ScalarValue> = self.values.iter().map(value).collect();
        Ok(vec![ScalarValue::List(ScalarValue::new_list_nullable(&values, &total_type()))])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for values in states[0].as_list::<i32>().iter().flatten() {
            self.update_batch(&[values])?;
        }
        Ok(())
    }
}

/// A total of many groups.
trait Total: Copy + Default + Send + 'static {
    fn plus(self, value: Self) -> Option<Self>;
    fn wide(self) -> i256;
    fn narrow(value: i256) -> Option<Self>;
}

impl Total for i128 {
    #[inline(always)]
    fn plus(self, value: Self) -> Option<Self> {
        self.checked_add(value)
    }

    fn wide(self) -> i256 {
        i256::from_i128(self)
    }

    fn narrow(value: i256) -> Option<Self> {
        value.to_i128()
    }
}

impl Total for i256 {
    #[inline(always)]
    fn plus(self, value: Self) -> Option<Self> {
        self.checked_add(value)
    }

    fn wide(self) -> i256 {
        self
    }

    fn narrow(value: i256) -> Option<Self> {
        Some(value)
    }
}

/// Of many groups.
struct Groups<A: ArrowPrimitiveType, T> {
    totals: Vec<T>,
    counts: Vec<i64>,
    finish: Finish,
    convert: fn(A::Native) -> T,
}

impl<A: ArrowPrimitiveType, T: Total> Groups<A, T> {
    fn boxed(finish: Finish, convert: fn(A::Native) -> T) -> Box<dyn GroupsAccumulator> {
        Box::new(Self { totals: Vec::new(), counts: Vec::new(), finish, convert })
    }

    fn resize(&mut self, groups: usize) {
        self.totals.resize(groups, T::default());
        self.counts.resize(groups, 0);
    }
}

impl<A: ArrowPrimitiveType, T: Total> GroupsAccumulator for Groups<A, T> {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.resize(total_num_groups);
        let values = values[0].as_primitive::<A>();
        let passes = |row: usize| {
            values.is_valid(row) && opt_filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row))
        };
        let all = values.null_count() == 0 && opt_filter.is_none();
        for (row, (value, group)) in values.values().iter().zip(group_indices).enumerate() {
            if all || passes(row) {
                let total = &mut self.totals[*group];
                *total = total.plus((self.convert)(*value)).ok_or_else(out_of_range)?;
                self.counts[*group] += 1;
            }
        }
        Ok(())
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let (totals, counts) = (emit_to.take_needed(&mut self.totals), emit_to.take_needed(&mut self.counts));
        let totals = totals.into_iter().zip(counts).map(|(total, count)| (count > 0).then(|| (total.wide(), count)));
        self.finish.values(totals)
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let (totals, counts) = (emit_to.take_needed(&mut self.totals), emit_to.take_needed(&mut self.counts));
        Ok(state_of(totals.into_iter().map(Total::wide).zip(counts).collect()))
    }

    fn merge_batch(&mut self, values: &[ArrayRef], group_indices: &[usize], total_num_groups: usize) -> Result<()> {
        self.resize(total_num_groups);
        let (totals, counts) = (values[0].as_primitive::<Decimal256Type>(), values[1].as_primitive::<Int64Type>());
        for (row, group) in group_indices.iter().enumerate() {
            let merged = T::narrow(totals.value(row)).and_then(|value| self.totals[*group].plus(value));
            self.totals[*group] = merged.ok_or_else(out_of_range)?;
            self.counts[*group] += counts.value(row);
        }
        Ok(())
    }

    fn convert_to_state(&self, values: &[ArrayRef], opt_filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let values = values[0].as_primitive::<A>();
        let state = (0..values.len()).map(|row| {
            let passes =
                values.is_valid(row) && opt_filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row));
            if passes { ((self.convert)(values.value(row)).wide(), 1) } else { (i256::ZERO, 0) }
        });
        Ok(state_of(state.collect()))
    }

    fn size(&self) -> usize {
        self.totals.capacity() * size_of::<T>() + self.counts.capacity() * size_of::<i64>()
    }
}

impl AggregateUDFImpl for Exact {
    fn name(&self) -> &str {
        match self.kind {
            Kind::Sum => "sum",
            Kind::Avg => "avg",
        }
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        let data_type = match arguments {
            [argument] if argument.is_signed_integer() => DataType::Int64,
            [DataType::UInt64] if self.kind == Kind::Avg => DataType::Decimal128(20, 0),
            [argument] if argument.is_unsigned_integer() => DataType::UInt64,
            [DataType::Null] => DataType::Int64,
            [argument] if argument.is_floating() => DataType::Float64,
            [DataType::Decimal32(precision, scale) | DataType::Decimal64(precision, scale)] => {
                DataType::Decimal128(*precision, *scale)
            }
            [argument @ (DataType::Decimal128(..) | DataType::Decimal256(..) | DataType::Duration(_))] => {
                argument.clone()
            }
            // Rules write them out as sums of their parts.
            [argument @ DataType::Interval(_)] => argument.clone(),
            _ => return Err(no_such_call(self.name(), arguments, &format!("{}(number)", self.name()))),
        };
        let narrow = self.kind == Kind::Avg && data_type == DataType::UInt64;
        Ok(vec![if narrow { DataType::Decimal128(20, 0) } else { data_type }])
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        match (self.kind, arguments) {
            (Kind::Avg, [argument]) if self.is_ours(argument) => {
                let misfit = || no_such_call("avg", arguments, "AVG(number)");
                average_of(argument).ok_or_else(misfit)
            }
            (_, [argument @ DataType::Interval(_)]) => Ok(argument.clone()),
            _ => self.inner().return_type(arguments),
        }
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let argument = args.expr_fields[0].data_type().clone();
        if !self.is_ours(&argument) {
            return self.inner().accumulator(args);
        }
        let finish = self.finish(&argument, args.return_field.data_type());
        if args.is_distinct {
            return Ok(Box::new(Distinct { values: BTreeSet::new(), finish }));
        }
        Ok(Box::new(One { total: i256::ZERO, count: 0, finish }))
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        if self.is_ours(args.expr_fields[0].data_type()) {
            if args.is_distinct {
                return Err(Error::unsupported(format!("{}(DISTINCT …) over a frame that moves", self.name())).into());
            }
            return self.accumulator(args);
        }
        self.inner().create_sliding_accumulator(args)
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        if !self.is_ours(args.input_fields[0].data_type()) {
            return self.inner().state_fields(args);
        }
        if args.is_distinct {
            let item = Field::new_list_field(total_type(), true);
            return Ok(vec![Arc::new(Field::new_list(format_state_name(args.name, "values"), item, true))]);
        }
        Ok(vec![
            Arc::new(Field::new(format_state_name(args.name, "total"), total_type(), true)),
            Arc::new(Field::new(format_state_name(args.name, "count"), DataType::Int64, true)),
        ])
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        if self.is_ours(args.expr_fields[0].data_type()) {
            return !args.is_distinct;
        }
        self.inner().groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        let argument = args.expr_fields[0].data_type().clone();
        if !self.is_ours(&argument) {
            return self.inner().create_groups_accumulator(args);
        }
        let finish = self.finish(&argument, args.return_field.data_type());
        Ok(match argument {
            DataType::Int64 => Groups::<Int64Type, i128>::boxed(finish, i128::from),
            DataType::Decimal128(precision, _) if precision <= NARROW_DIGITS => {
                Groups::<Decimal128Type, i128>::boxed(finish, |value| value)
            }
            DataType::Decimal128(..) => Groups::<Decimal128Type, i256>::boxed(finish, i256::from_i128),
            _ => Groups::<Decimal256Type, i256>::boxed(finish, |value| value),
        })
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }
}

#[cfg(test)]
mod tests;
