//! Which accumulator an aggregate function gets: by its argument's type, its options, and whether rows are taken back.
//! The only file that knows all of them.

use datafusion::arrow::datatypes::DataType;

use super::accumulator::Accumulator;
use super::counting::{BoolAccumulator, CountAccumulator};
use super::distinct::DistinctAccumulator;
use super::extremes::{FirstLastAccumulator, MinMaxAccumulator, primitive_min_max};
use super::float_sums::FloatAccumulator;
use super::lists::ListAccumulator;
use super::retracted_extremes::RetractedMinMaxAccumulator;
use super::sums;
use crate::engine::aggregate::{AggregateFunction, StoredAggregate};
use crate::error::{Error, Result};

/// Makes the accumulator of an aggregate over columns of these types.
///
/// # Errors
/// The stored form does not fit the input.
pub(super) fn accumulator(
    aggregate: &StoredAggregate,
    input: &[DataType],
    retracting: bool,
) -> Result<Box<dyn Accumulator>> {
    let misfit = || Error::corrupt(format!("aggregate \"{}\" does not fit its input", aggregate.text));
    let type_of = |column: &usize| input.get(*column).cloned().ok_or_else(misfit);
    let arguments = aggregate.arguments.iter().map(type_of).collect::<Result<Vec<_>>>()?;
    if aggregate.distinct && aggregate.function.heeds_distinct() {
        let inner = StoredAggregate { distinct: false, ..aggregate.clone() };
        let inner = match aggregate.function {
            AggregateFunction::ApproxDistinct => counter(&aggregate.data_type),
            _ => accumulator(&inner, input, retracting)?,
        };
        let keeps_nulls = aggregate.function == AggregateFunction::ArrayAgg;
        return Ok(Box::new(DistinctAccumulator::new(&arguments, inner, retracting, keeps_nulls)?));
    }
    let argument = || arguments.first().cloned().ok_or_else(misfit);
    let order = aggregate
        .order_by
        .iter()
        .map(|(column, descending, nulls_first)| Ok((type_of(column)?, *descending, *nulls_first)))
        .collect::<Result<Vec<_>>>()?;
    Ok(match aggregate.function {
        AggregateFunction::Count => counter(&aggregate.data_type),
        AggregateFunction::ApproxDistinct => return Err(misfit()),
        AggregateFunction::Sum | AggregateFunction::Avg if argument()?.is_floating() => {
            Box::new(FloatAccumulator::new(aggregate.function))
        }
        AggregateFunction::Sum | AggregateFunction::Avg => {
            sums::accumulator(aggregate.function, &argument()?, &aggregate.data_type).ok_or_else(misfit)?
        }
        AggregateFunction::VarSamp
        | AggregateFunction::VarPop
        | AggregateFunction::StddevSamp
        | AggregateFunction::StddevPop => Box::new(FloatAccumulator::new(aggregate.function)),
        AggregateFunction::Min | AggregateFunction::Max => {
            let greatest = aggregate.function == AggregateFunction::Max;
            match (retracting, primitive_min_max(&argument()?, greatest)) {
                (true, _) => Box::new(RetractedMinMaxAccumulator::new(&argument()?, greatest)?),
                (false, Some(primitive)) => primitive,
                (false, None) => Box::new(MinMaxAccumulator::new(&argument()?, greatest)?),
            }
        }
        AggregateFunction::BoolAnd => Box::new(BoolAccumulator::new(true)),
        AggregateFunction::BoolOr => Box::new(BoolAccumulator::new(false)),
        AggregateFunction::FirstValue | AggregateFunction::LastValue | AggregateFunction::AnyValue if !retracting => {
            Box::new(FirstLastAccumulator::new(aggregate, &argument()?, &order)?)
        }
        AggregateFunction::FirstValue
        | AggregateFunction::LastValue
        | AggregateFunction::AnyValue
        | AggregateFunction::ArrayAgg
        | AggregateFunction::StringAgg => Box::new(ListAccumulator::new(aggregate, &argument()?, &order, retracting)?),
    })
}

fn counter(data_type: &DataType) -> Box<dyn Accumulator> {
    Box::new(CountAccumulator::new(data_type.clone()))
}
