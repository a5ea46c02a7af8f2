//! Which records rows come from, and which records a job goes over because its owner said so. Both by the offsets of records, which only
//! splits have whose positions are offsets; a position is where to go on, between two records.

use serde::{Deserialize, Serialize};

/// Records of a split that are not read: from an offset on, up to another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkippedRecords {
    /// The split, of whichever source: `orders/0`.
    pub split: String,
    /// The first one.
    pub from: i64,
    /// The first one behind them.
    pub to: i64,
}

impl SkippedRecords {
    /// Adds records to others; what touches becomes one.
    pub fn add(mut self, others: &mut Vec<Self>) {
        others.retain(|other| {
            let touches = other.split == self.split && other.from <= self.to && self.from <= other.to;
            if touches {
                self.from = self.from.min(other.from);
                self.to = self.to.max(other.to);
            }
            !touches
        });
        others.push(self);
        others.sort_by(|one, other| (&one.split, one.from).cmp(&(&other.split, other.from)));
    }
}

/// For each row of a batch the offset of the record it comes from, kept in runs of rows whose records follow each other.
#[derive(Debug, Clone, Default)]
pub struct RowOffsets {
    /// The first row of a run, and its offset.
    runs: Vec<(usize, i64)>,
}

impl RowOffsets {
    /// The rows from `row` on, of which there are `rows`, come from the record at `offset`.
    pub fn push(&mut self, row: usize, rows: usize, offset: i64) {
        for row in row..row + rows {
            let goes_on = self.runs.last().is_some_and(|(first, start)| offset - start == (row - first) as i64);
            if !goes_on {
                self.runs.push((row, offset));
            }
        }
    }

    /// The offset of a row's record.
    pub fn of(&self, row: usize) -> Option<i64> {
        let behind = self.runs.partition_point(|(first, _)| *first <= row);
        let (first, start) = self.runs.get(behind.checked_sub(1)?)?;
        Some(start + (row - first) as i64)
    }
}

#[cfg(test)]
mod tests;
