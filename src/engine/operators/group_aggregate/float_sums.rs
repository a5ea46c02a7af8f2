//! SUM, AVG, variance and standard deviation of doubles over exact sums: results depend neither on order nor on retractions.
//! A variance is computed from whole numbers of any length and rounded at the end, so nothing cancels out.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BinaryBuilder, Float64Array};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Float64Type};

use super::accumulator::{Accumulator, GroupedRows};
use super::counting::{counts_of, restore_counts};
use super::exact_float::ExactSum;
use crate::engine::aggregate::AggregateFunction;
use crate::error::Result;

/// See the module.
pub struct FloatAccumulator {
    function: AggregateFunction,
    sums: Vec<ExactSum>,
    /// Sums of squares; only for variances.
    squares: Option<Vec<ExactSum>>,
    counts: Vec<i64>,
}

impl FloatAccumulator {
    /// One for SUM, AVG, or a kind of variance.
    pub fn new(function: AggregateFunction) -> Self {
        let squares = !matches!(function, AggregateFunction::Sum | AggregateFunction::Avg);
        Self { function, sums: Vec::new(), squares: squares.then(Vec::new), counts: Vec::new() }
    }

    fn result_of(&self, group: usize) -> Option<f64> {
        let count = self.counts[group];
        if count <= 0 {
            return None;
        }
        let divisor = match self.function {
            AggregateFunction::Sum => return Some(self.sums[group].value()),
            AggregateFunction::VarPop | AggregateFunction::StddevPop => count as f64,
            AggregateFunction::VarSamp | AggregateFunction::StddevSamp if count > 1 => (count - 1) as f64,
            AggregateFunction::VarSamp | AggregateFunction::StddevSamp => return None,
            _ => return Some(self.sums[group].value() / count as f64),
        };
        let squares = &self.squares.as_ref()?[group];
        let variance = if self.sums[group].is_special() {
            f64::NAN
        } else if squares.is_special() {
            f64::INFINITY
        } else {
            ExactSum::spread(&self.sums[group], squares, count).max(0.0) / count as f64 / divisor
        };
        Some(match self.function {
            AggregateFunction::StddevPop | AggregateFunction::StddevSamp => variance.sqrt(),
            _ => variance,
        })
    }
}

/// Adds the square of a value without rounding: the rounded square and what was lost of it.
fn add_square(sum: &mut ExactSum, value: f64, retracted: bool) {
    let square = value * value;
    sum.add(square, retracted);
    if square.is_finite() {
        sum.add(value.mul_add(value, -square), retracted);
    }
}

impl Accumulator for FloatAccumulator {
    fn resize(&mut self, groups: usize) {
        self.sums.resize(groups, ExactSum::default());
        if let Some(squares) = &mut self.squares {
            squares.resize(groups, ExactSum::default());
        }
        self.counts.resize(groups, 0);
    }

    fn accumulate(&mut self, columns: &[ArrayRef], grouped: &GroupedRows<'_>) -> Result<()> {
        let column = cast(&columns[0], &DataType::Float64)?;
        let column = column.as_primitive::<Float64Type>();
        let values = column.values();
        grouped.each(column.nulls(), |row, group, retracted| {
            self.sums[group].add(values[row], retracted);
            if let Some(squares) = &mut self.squares {
                add_square(&mut squares[group], values[row], retracted);
            }
            self.counts[group] += if retracted { -1 } else { 1 };
        });
        Ok(())
    }

    fn evaluate(&self, groups: &[u32]) -> Result<ArrayRef> {
        Ok(Arc::new(groups.iter().map(|group| self.result_of(*group as usize)).collect::<Float64Array>()))
    }

    fn reset(&mut self, group: u32) {
        let group = group as usize;
        self.sums[group] = ExactSum::default();
        if let Some(squares) = &mut self.squares {
            squares[group] = ExactSum::default();
        }
        self.counts[group] = 0;
    }

    fn state_fields(&self) -> Vec<(&'static str, DataType)> {
        let mut fields = vec![("count", DataType::Int64), ("sum", DataType::Binary)];
        if self.squares.is_some() {
            fields.push(("squares", DataType::Binary));
        }
        fields
    }

    fn state(&self, groups: &[u32]) -> Result<Vec<ArrayRef>> {
        let mut columns = vec![counts_of(&self.counts, groups)];
        for sums in std::iter::once(&self.sums).chain(&self.squares) {
            let (mut stored, mut bytes) = (BinaryBuilder::with_capacity(groups.len(), groups.len() * 16), Vec::new());
            for group in groups {
                bytes.clear();
                sums[*group as usize].write_to(&mut bytes);
                stored.append_value(&bytes);
            }
            columns.push(Arc::new(stored.finish()));
        }
        Ok(columns)
    }

    fn restore(&mut self, groups: &[u32], columns: &[ArrayRef]) -> Result<()> {
        restore_counts(&mut self.counts, groups, &columns[0]);
        for (sums, column) in std::iter::once(&mut self.sums).chain(&mut self.squares).zip(&columns[1..]) {
            let stored = column.as_binary::<i32>();
            for (row, group) in groups.iter().enumerate() {
                sums[*group as usize] = ExactSum::from_bytes(stored.value(row))?;
            }
        }
        Ok(())
    }

    fn memory_bytes(&self) -> usize {
        let sums = std::iter::once(&self.sums).chain(&self.squares).map(|sums| {
            // Most sums have about as many digits as the first ones; asking all would cost too much.
            let sample = sums.iter().take(64).map(ExactSum::heap_bytes).sum::<usize>() / sums.len().clamp(1, 64);
            sums.capacity() * size_of::<ExactSum>() + sums.len() * sample
        });
        sums.sum::<usize>() + self.counts.capacity() * size_of::<i64>()
    }
}
