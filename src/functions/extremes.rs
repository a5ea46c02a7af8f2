//! MIN and MAX in queries: DataFusion's, but that NaN is the greatest number in groups, too, and that rows and arrays are compared as
//! Postgres compares them, with a NULL inside behind everything else. Jobs have accumulators of their own for the same results.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Float32Array, Float64Array};
use datafusion::arrow::array::{Int32Array, Int64Array};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Float32Type, Float64Type, Int32Type, Int64Type};
use datafusion::arrow::row::RowConverter;
use datafusion::error::Result;
use datafusion::functions_aggregate::min_max::{Max, Min};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, ReversedUDAF, SetMonotonicity, Signature,
    StatisticsArgs,
};
use datafusion::scalar::ScalarValue;

use super::entry::{Aggregation, Entry};
use super::order_key;

/// What the list of aggregates knows of them.
pub(super) const ENTRIES: &[Entry<Aggregation>] = &[
    Entry::public(
        "max",
        &["anyelement → anyelement"],
        "The greatest value.",
        Aggregation::OF_JOBS.made(max).whatever_distinct(),
    )
    .example("MAX(x)", "2"),
    Entry::public(
        "min",
        &["anyelement → anyelement"],
        "The least value.",
        Aggregation::OF_JOBS.made(min).whatever_distinct(),
    )
    .example("MIN(x)", "1"),
];

/// MAX
pub fn max() -> AggregateUDF {
    AggregateUDF::from(Extreme { inner: AggregateUDF::from(Max::new()), greatest: true })
}

/// MIN
pub fn min() -> AggregateUDF {
    AggregateUDF::from(Extreme { inner: AggregateUDF::from(Min::new()), greatest: false })
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Extreme {
    inner: AggregateUDF,
    greatest: bool,
}

/// Whether values are compared by their bytes.
fn is_nested(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Struct(_) | DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..))
}

impl Extreme {
    fn nested(&self, data_type: &DataType, slides: bool) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Nested {
            greatest: self.greatest,
            slides,
            data_type: data_type.clone(),
            converter: order_key::converter(data_type)?,
            candidates: VecDeque::new(),
            next: 0,
            first: 0,
        }))
    }
}

impl AggregateUDFImpl for Extreme {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(arguments)
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        self.inner.return_type(arguments)
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        self.inner.state_fields(args)
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let data_type = args.return_field.data_type();
        if is_nested(data_type) { self.nested(data_type, false) } else { self.inner.accumulator(args) }
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let data_type = args.return_field.data_type();
        if is_nested(data_type) { self.nested(data_type, true) } else { self.inner.create_sliding_accumulator(args) }
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        !is_nested(args.return_field.data_type()) && self.inner.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        let data_type = args.return_field.data_type().clone();
        let ordered = match data_type {
            DataType::Float64 => DataType::Int64,
            DataType::Float32 => DataType::Int32,
            _ => return self.inner.create_groups_accumulator(args),
        };
        let return_field = Arc::new(Field::new(args.name, ordered, true));
        let inner = self.inner.create_groups_accumulator(AccumulatorArgs { return_field, ..args })?;
        Ok(Box::new(OfFloats { inner, data_type }))
    }

    fn is_descending(&self) -> Option<bool> {
        self.inner.is_descending()
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        self.inner.order_sensitivity()
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        self.inner.reverse_udf()
    }

    fn value_from_stats(&self, args: &StatisticsArgs) -> Option<ScalarValue> {
        self.inner.value_from_stats(args)
    }

    fn set_monotonicity(&self, data_type: &DataType) -> SetMonotonicity {
        self.inner.inner().set_monotonicity(data_type)
    }
}

/// A float's bits so that they compare as the numbers do, NaN being the greatest; and back.
fn ordered64(bits: i64) -> i64 {
    bits ^ ((bits >> 63).cast_unsigned() >> 1).cast_signed()
}

fn ordered32(bits: i32) -> i32 {
    bits ^ ((bits >> 31).cast_unsigned() >> 1).cast_signed()
}

/// Extremes of floats by those of whole numbers.
struct OfFloats {
    inner: Box<dyn GroupsAccumulator>,
    data_type: DataType,
}

impl OfFloats {
    fn to_ordered(values: &[ArrayRef]) -> Vec<ArrayRef> {
        let ordered = |values: &ArrayRef| -> ArrayRef {
            match values.data_type() {
                DataType::Float64 => {
                    let values = values.as_primitive::<Float64Type>();
                    Arc::new(values.unary::<_, Int64Type>(|value| ordered64(value.to_bits().cast_signed())))
                }
                DataType::Float32 => {
                    let values = values.as_primitive::<Float32Type>();
                    Arc::new(values.unary::<_, Int32Type>(|value| ordered32(value.to_bits().cast_signed())))
                }
                _ => values.clone(),
            }
        };
        values.iter().map(ordered).collect()
    }

    fn of_ordered(&self, values: &ArrayRef) -> ArrayRef {
        match self.data_type {
            DataType::Float64 => {
                let values: &Int64Array = values.as_primitive();
                let floats: Float64Array = values.unary(|value| f64::from_bits(ordered64(value).cast_unsigned()));
                Arc::new(floats)
            }
            _ => {
                let values: &Int32Array = values.as_primitive();
                let floats: Float32Array = values.unary(|value| f32::from_bits(ordered32(value).cast_unsigned()));
                Arc::new(floats)
            }
        }
    }
}

impl GroupsAccumulator for OfFloats {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        total: usize,
    ) -> Result<()> {
        self.inner.update_batch(&Self::to_ordered(values), groups, filter, total)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let values = self.inner.evaluate(emit_to)?;
        Ok(self.of_ordered(&values))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let states = self.inner.state(emit_to)?;
        Ok(states.iter().map(|state| self.of_ordered(state)).collect())
    }

    fn merge_batch(&mut self, values: &[ArrayRef], groups: &[usize], total: usize) -> Result<()> {
        self.inner.merge_batch(&Self::to_ordered(values), groups, total)
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let states = self.inner.convert_to_state(&Self::to_ordered(values), filter)?;
        Ok(states.iter().map(|state| self.of_ordered(state)).collect())
    }

    fn size(&self) -> usize {
        self.inner.size()
    }
}

/// The extreme of rows or arrays, of which the oldest may be taken back.
#[derive(Debug)]
struct Nested {
    greatest: bool,
    /// Whether values may be taken back; else only the best one is kept.
    slides: bool,
    data_type: DataType,
    converter: RowConverter,
    /// What is or may become the extreme, the best one first, each with its place among all that came.
    candidates: VecDeque<(u64, Box<[u8]>)>,
    next: u64,
    first: u64,
}

impl Accumulator for Nested {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let values = &values[0];
        let rows = self.converter.convert_columns(std::slice::from_ref(values))?;
        for (at, row) in rows.iter().enumerate() {
            if values.is_null(at) {
                continue;
            }
            let new = row.data();
            let is_beaten = |old: &[u8]| if self.greatest { old < new } else { old > new };
            if !self.slides && self.candidates.front().is_some_and(|(_, old)| !is_beaten(old)) {
                continue;
            }
            while self.candidates.back().is_some_and(|(_, old)| is_beaten(old)) {
                self.candidates.pop_back();
            }
            self.candidates.push_back((self.next, new.into()));
            self.next += 1;
        }
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let gone = values[0].len() - values[0].logical_null_count();
        self.first += gone as u64;
        while self.candidates.front().is_some_and(|(place, _)| *place < self.first) {
            self.candidates.pop_front();
        }
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        self.slides
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let Some((_, best)) = self.candidates.front() else { return ScalarValue::try_from(&self.data_type) };
        let parser = self.converter.parser();
        let columns = self.converter.convert_rows([parser.parse(best)])?;
        ScalarValue::try_from_array(&columns[0], 0)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.evaluate()?])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.update_batch(states)
    }

    fn size(&self) -> usize {
        let bytes: usize = self.candidates.iter().map(|(_, bytes)| bytes.len() + size_of::<(u64, Box<[u8]>)>()).sum();
        size_of_val(self) + self.converter.size() + bytes
    }
}
