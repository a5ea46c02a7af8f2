//! DISTINCT: lets an aggregate see a value when it appears in its group, and takes it back when the last one is gone.

use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::DataType;

use super::accumulator::{Accumulator, GroupedRows, SKIPPED, ValueStore, without_nulls};
use super::counted_values::{CountedValues, Presence};
use crate::error::Result;

/// See the module.
pub struct DistinctAccumulator {
    values: CountedValues,
    inner: Box<dyn Accumulator>,
    arguments: usize,
    /// Whether NULL is a value (ARRAY_AGG).
    keeps_nulls: bool,
}

impl DistinctAccumulator {
    /// One before `inner`, for arguments of these types.
    ///
    /// # Errors
    /// A type that cannot be compared.
    pub fn new(
        arguments: &[DataType],
        inner: Box<dyn Accumulator>,
        retracting: bool,
        keeps_nulls: bool,
    ) -> Result<Self> {
        Ok(Self { values: CountedValues::new(arguments, retracting)?, inner, arguments: arguments.len(), keeps_nulls })
    }
}

impl Accumulator for DistinctAccumulator {
    fn resize(&mut self, groups: usize) {
        self.values.resize(groups);
        self.inner.resize(groups);
    }

    fn accumulate(&mut self, columns: &[ArrayRef], grouped: &GroupedRows<'_>) -> Result<()> {
        let arguments = &columns[..self.arguments];
        let rows = self.values.encode(arguments)?;
        let nulls = if self.keeps_nulls { None } else { without_nulls(arguments) };
        let mut groups = vec![SKIPPED; grouped.groups.len()];
        let mut any = false;
        grouped.each(nulls.as_ref(), |row, group, retracted| {
            if self.values.change(group as u32, rows.row(row), retracted) != Presence::Unchanged {
                groups[row] = group as u32;
                any = true;
            }
        });
        if any { self.inner.accumulate(columns, &GroupedRows { groups: &groups, ..*grouped }) } else { Ok(()) }
    }

    fn evaluate(&self, groups: &[u32]) -> Result<ArrayRef> {
        self.inner.evaluate(groups)
    }

    fn reset(&mut self, group: u32) {
        self.values.reset(group);
        self.inner.reset(group);
    }

    fn state_fields(&self) -> Vec<(&'static str, DataType)> {
        self.inner.state_fields()
    }

    fn state(&self, groups: &[u32]) -> Result<Vec<ArrayRef>> {
        self.inner.state(groups)
    }

    fn restore(&mut self, groups: &[u32], columns: &[ArrayRef]) -> Result<()> {
        self.inner.restore(groups, columns)
    }

    fn stores(&mut self) -> Vec<&mut dyn ValueStore> {
        let mut stores = self.inner.stores();
        stores.insert(0, &mut self.values);
        stores
    }

    fn values(&self) -> u64 {
        self.values.len() + self.inner.values()
    }

    fn value_bytes(&self) -> usize {
        self.values.value_bytes() + self.inner.value_bytes()
    }

    fn changed_value_bytes(&self) -> usize {
        self.values.changed_value_bytes() + self.inner.changed_value_bytes()
    }

    fn memory_bytes(&self) -> usize {
        self.values.memory_bytes() + self.inner.memory_bytes()
    }
}
