//! Several runs as one: their rows in the order of hashes and keys, of each key the newest one. In steps, so that nobody waits long.

use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use super::run::{Cursor, Row, Run, RunWriter};

/// The rows of runs, oldest run first, merged.
pub(super) struct MergedRows {
    runs: Vec<Arc<Run>>,
    cursors: Vec<Cursor>,
}

impl MergedRows {
    pub(super) fn new(runs: Vec<Arc<Run>>, from: u64) -> io::Result<Self> {
        let cursors = runs.iter().map(|run| Cursor::at(run, from)).collect::<io::Result<_>>()?;
        Ok(Self { runs, cursors })
    }

    /// Shows the newest row of the next key; false when there is none any more.
    pub(super) fn next(&mut self, show: impl FnOnce(&Row<'_>) -> io::Result<()>) -> io::Result<bool> {
        let mut newest: Option<(usize, Row<'_>)> = None;
        for (index, cursor) in self.cursors.iter().enumerate() {
            let Some(row) = cursor.row() else { continue };
            // Of equal keys the later run's is the newer one.
            if newest.as_ref().is_none_or(|(_, other)| (row.hash, row.key) <= (other.hash, other.key)) {
                newest = Some((index, row));
            }
        }
        let Some((newest, row)) = newest else { return Ok(false) };
        show(&row)?;
        let is_same =
            |cursor: &Cursor| cursor.row().is_some_and(|other| other.hash == row.hash && other.key == row.key);
        let behind: Vec<usize> = (0..self.cursors.len()).filter(|index| is_same(&self.cursors[*index])).collect();
        debug_assert!(behind.contains(&newest));
        for index in behind {
            self.cursors[index].advance(&self.runs[index])?;
        }
        Ok(true)
    }
}

/// A merge under way.
pub(super) struct Merge {
    /// Which of the table's runs are merged.
    pub(super) range: Range<usize>,
    rows: MergedRows,
    writer: RunWriter,
}

impl Merge {
    /// Begins to merge `runs[range]` into a new file.
    pub(super) fn begin(path: &Path, runs: &[Arc<Run>], range: Range<usize>) -> io::Result<Self> {
        let merged = runs[range.clone()].to_vec();
        let rows = merged.iter().map(|run| run.rows()).sum();
        Ok(Self { range, rows: MergedRows::new(merged, 0)?, writer: RunWriter::begin(path, rows)? })
    }

    /// Merges so many rows; true when all are.
    pub(super) fn step(&mut self, rows: u64) -> io::Result<bool> {
        // Nothing older is left that a row which is gone could hide.
        let forgets = self.range.start == 0;
        for _ in 0..rows {
            let writer = &mut self.writer;
            let more = self.rows.next(|row| if forgets && row.value.is_none() { Ok(()) } else { writer.add(row) })?;
            if !more {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The run that stands for them; `None` if no row is left.
    pub(super) fn finish(self) -> io::Result<Option<Run>> {
        let run = self.writer.finish()?;
        Ok((run.rows() > 0).then_some(run))
    }
}

/// Which runs (bytes of each, oldest first) to merge: the newest and each older one that is not larger than those behind it
/// together, once they are four: a row is written again a logarithmic number of times.
pub(super) fn runs_to_merge(bytes: &[u64]) -> Option<Range<usize>> {
    let mut begin = bytes.len().checked_sub(1)?;
    let mut sum = bytes[begin];
    while begin > 0 && bytes[begin - 1] <= sum {
        begin -= 1;
        sum += bytes[begin];
    }
    (bytes.len() - begin >= 4).then_some(begin..bytes.len())
}
