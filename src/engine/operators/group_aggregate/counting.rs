//! Accumulators that are counters only: COUNT, BOOL_AND, BOOL_OR.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, BooleanArray, Int64Array};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Int64Type};

use super::accumulator::{Accumulator, GroupedRows, without_nulls};
use crate::error::Result;

/// Counters of groups as a column.
pub fn counts_of(counts: &[i64], groups: &[u32]) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(groups.iter().map(|group| counts[*group as usize])))
}

/// Puts a column into the counters of groups.
pub fn restore_counts(counts: &mut [i64], groups: &[u32], column: &ArrayRef) {
    for (group, count) in groups.iter().zip(column.as_primitive::<Int64Type>().values()) {
        counts[*group as usize] = *count;
    }
}

/// COUNT: rows in which no argument is NULL.
pub struct CountAccumulator {
    counts: Vec<i64>,
    data_type: DataType,
}

impl CountAccumulator {
    /// One that gives results of a type (COUNT is Int64, APPROX_COUNT_DISTINCT UInt64).
    pub fn new(data_type: DataType) -> Self {
        Self { counts: Vec::new(), data_type }
    }
}

impl Accumulator for CountAccumulator {
    fn resize(&mut self, groups: usize) {
        self.counts.resize(groups, 0);
    }

    fn accumulate(&mut self, columns: &[ArrayRef], grouped: &GroupedRows<'_>) -> Result<()> {
        let counts = &mut self.counts;
        grouped.each(without_nulls(columns).as_ref(), |_, group, retracted| {
            counts[group] += if retracted { -1 } else { 1 };
        });
        Ok(())
    }

    fn evaluate(&self, groups: &[u32]) -> Result<ArrayRef> {
        let counts = counts_of(&self.counts, groups);
        Ok(if self.data_type == DataType::Int64 { counts } else { cast(&counts, &self.data_type)? })
    }

    fn reset(&mut self, group: u32) {
        self.counts[group as usize] = 0;
    }

    fn state_fields(&self) -> Vec<(&'static str, DataType)> {
        vec![("count", DataType::Int64)]
    }

    fn state(&self, groups: &[u32]) -> Result<Vec<ArrayRef>> {
        Ok(vec![counts_of(&self.counts, groups)])
    }

    fn restore(&mut self, groups: &[u32], columns: &[ArrayRef]) -> Result<()> {
        restore_counts(&mut self.counts, groups, &columns[0]);
        Ok(())
    }

    fn memory_bytes(&self) -> usize {
        self.counts.capacity() * size_of::<i64>()
    }
}

/// BOOL_AND and BOOL_OR: how many values are true and how many false.
pub struct BoolAccumulator {
    and: bool,
    /// False values, true values.
    counts: [Vec<i64>; 2],
}

impl BoolAccumulator {
    /// BOOL_AND, or BOOL_OR.
    pub fn new(and: bool) -> Self {
        Self { and, counts: Default::default() }
    }
}

impl Accumulator for BoolAccumulator {
    fn resize(&mut self, groups: usize) {
        self.counts.iter_mut().for_each(|counts| counts.resize(groups, 0));
    }

    fn accumulate(&mut self, columns: &[ArrayRef], grouped: &GroupedRows<'_>) -> Result<()> {
        let values = columns[0].as_boolean();
        grouped.each(without_nulls(columns).as_ref(), |row, group, retracted| {
            self.counts[usize::from(values.value(row))][group] += if retracted { -1 } else { 1 };
        });
        Ok(())
    }

    fn evaluate(&self, groups: &[u32]) -> Result<ArrayRef> {
        let result = |group: &u32| {
            let [no, yes] = [0, 1].map(|value: usize| self.counts[value][*group as usize] > 0);
            (no || yes).then_some(if self.and { !no } else { yes })
        };
        Ok(Arc::new(groups.iter().map(result).collect::<BooleanArray>()))
    }

    fn reset(&mut self, group: u32) {
        self.counts.iter_mut().for_each(|counts| counts[group as usize] = 0);
    }

    fn state_fields(&self) -> Vec<(&'static str, DataType)> {
        vec![("false", DataType::Int64), ("true", DataType::Int64)]
    }

    fn state(&self, groups: &[u32]) -> Result<Vec<ArrayRef>> {
        Ok(self.counts.iter().map(|counts| counts_of(counts, groups)).collect())
    }

    fn restore(&mut self, groups: &[u32], columns: &[ArrayRef]) -> Result<()> {
        for (counts, column) in self.counts.iter_mut().zip(columns) {
            restore_counts(counts, groups, column);
        }
        Ok(())
    }

    fn memory_bytes(&self) -> usize {
        self.counts.iter().map(|counts| counts.capacity() * size_of::<i64>()).sum()
    }
}
