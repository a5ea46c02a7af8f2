//! MIN and MAX of an input that takes rows back: all values are kept with their counts, the next one is there when one goes.

use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::DataType;

use super::accumulator::{Accumulator, GroupedRows, ValueStore, without_nulls};
use super::counted_values::CountedValues;
use crate::error::Result;

/// See the module.
pub struct RetractedMinMaxAccumulator {
    greatest: bool,
    values: CountedValues,
}

impl RetractedMinMaxAccumulator {
    /// MAX or MIN of values of a type.
    ///
    /// # Errors
    /// A type that cannot be compared.
    pub fn new(argument: &DataType, greatest: bool) -> Result<Self> {
        Ok(Self { greatest, values: CountedValues::new(std::slice::from_ref(argument), true)? })
    }
}

impl Accumulator for RetractedMinMaxAccumulator {
    fn resize(&mut self, groups: usize) {
        self.values.resize(groups);
    }

    fn accumulate(&mut self, columns: &[ArrayRef], grouped: &GroupedRows<'_>) -> Result<()> {
        let rows = self.values.encode(&columns[..1])?;
        grouped.each(without_nulls(&columns[..1]).as_ref(), |row, group, retracted| {
            self.values.change(group as u32, rows.row(row), retracted);
        });
        Ok(())
    }

    fn evaluate(&self, groups: &[u32]) -> Result<ArrayRef> {
        let extremes = groups.iter().map(|group| self.values.extreme(*group, self.greatest));
        Ok(self.values.decode(extremes)?.remove(0))
    }

    fn reset(&mut self, group: u32) {
        self.values.reset(group);
    }

    fn stores(&mut self) -> Vec<&mut dyn ValueStore> {
        vec![&mut self.values]
    }

    fn values(&self) -> u64 {
        self.values.len()
    }

    fn value_bytes(&self) -> usize {
        self.values.value_bytes()
    }

    fn changed_value_bytes(&self) -> usize {
        self.values.changed_value_bytes()
    }

    fn memory_bytes(&self) -> usize {
        self.values.memory_bytes()
    }
}
