//! What a group aggregate gives out at a flush: each touched group's change since the one before.

use std::collections::HashSet;

use datafusion::arrow::array::{Array, ArrayRef, BooleanArray, make_comparator, new_null_array};
use datafusion::arrow::compute::kernels::cmp::not_distinct;
use datafusion::arrow::compute::{SortOptions, concat, interleave};
use datafusion::arrow::record_batch::RecordBatch;

use super::{Before, FLUSHED_KEYS_MAX, GroupAggregate, Results};
use crate::changelog::{ChangeBatch, Changelog, RowKind};
use crate::error::Result;

/// Where an output row's columns behind the key come from: the group as it is, as it was, or NULLs.
const AFTER: usize = 0;
const BEFORE: usize = 1;
const NOTHING: usize = 2;

impl GroupAggregate {
    /// How many of the groups that wait are given out next, and what they were before.
    pub(super) fn next_part(&mut self) -> (usize, Vec<Before>) {
        let (mut count, mut chunks) = (0, Vec::new());
        if !self.needs_before() {
            return (self.table.pending().len().min(FLUSHED_KEYS_MAX), chunks);
        }
        while count < FLUSHED_KEYS_MAX
            && let Some(chunk) = self.before.pop_front()
        {
            count += chunk.groups;
            self.before_bytes -= chunk.bytes;
            chunks.push(chunk);
        }
        (count, chunks)
    }

    /// The changes of dirty groups, which were as `before` says; changes nothing.
    pub(super) fn output(&self, dirty: &[u32], chunks: &[Before], results: &Results) -> Result<ChangeBatch> {
        let after = &results.columns;
        let before = self.before_columns(chunks)?;
        let was_bad = was_bad(chunks);
        let unchanged = match &before {
            Some(before) if !self.emits_unchanged() => Some(equal_rows(before, after, dirty.len())?),
            _ => None,
        };
        let mut rows: Vec<(usize, usize)> = Vec::with_capacity(dirty.len() * 2);
        let mut kinds = Vec::with_capacity(dirty.len() * 2);
        let mut add = |place, index, kind| {
            rows.push((place, index));
            kinds.push(kind);
        };
        let upsert = self.spec.emits == Changelog::Upsert;
        for (index, group) in dirty.iter().enumerate() {
            // A group without a result is in the output as little as one without rows.
            let existed = self.table.state.emitted[*group as usize] && !was_bad.contains(&index);
            let exists = self.table.state.exists(*group) && !results.is_bad(index);
            match (existed, exists) {
                (false, true) => add(AFTER, index, RowKind::Insert),
                (true, true) if unchanged.as_ref().is_some_and(|unchanged| unchanged.value(index)) => {}
                (true, true) => {
                    if !upsert {
                        add(BEFORE, index, RowKind::UpdateBefore);
                    }
                    add(AFTER, index, RowKind::UpdateAfter);
                }
                // Also a group that came and went since the last flush: in another run it may have been given out in between,
                // and what is written must not depend on that.
                (_, false) if upsert => add(NOTHING, index, RowKind::Delete),
                (true, false) => add(BEFORE, index, RowKind::Delete),
                (false, false) => {}
            }
        }
        let keys = self.table.keys_of(dirty)?;
        // The usual case needs no copy: every group gives its new row.
        let plain = rows.len() == dirty.len() && rows.iter().all(|(place, _)| *place == AFTER);
        let columns = if plain {
            keys.into_iter().chain(after.iter().cloned()).collect()
        } else {
            let key_rows: Vec<(usize, usize)> = rows.iter().map(|(_, index)| (0, *index)).collect();
            let value_rows: Vec<(usize, usize)> =
                rows.iter().map(|(place, index)| (*place, if *place == NOTHING { 0 } else { *index })).collect();
            let mut columns = Vec::with_capacity(keys.len() + after.len());
            for key in &keys {
                columns.push(interleave(&[key.as_ref()], &key_rows)?);
            }
            // A delete by key carries its version too: it must win over older writes.
            let version = self.spec.version.then(|| after.len() - 1);
            for (index, column) in after.iter().enumerate() {
                if upsert && Some(index) == version {
                    columns.push(interleave(&[column.as_ref()], &key_rows)?);
                    continue;
                }
                let nothing = new_null_array(column.data_type(), 1);
                let before = before.as_ref().map_or(&nothing, |before| &before[index]);
                columns.push(interleave(&[column.as_ref(), before.as_ref(), nothing.as_ref()], &value_rows)?);
            }
            columns
        };
        if kinds.is_empty() {
            return Ok(ChangeBatch::empty(self.schema.clone()));
        }
        let batch = RecordBatch::try_new(self.schema.clone(), columns)?;
        if kinds.iter().all(|kind| *kind == RowKind::Insert) {
            return Ok(ChangeBatch::inserts(batch));
        }
        Ok(ChangeBatch::changes(batch, kinds.into()))
    }

    /// The columns of groups before they changed, if that must be known.
    fn before_columns(&self, before: &[Before]) -> Result<Option<Vec<ArrayRef>>> {
        if !self.needs_before() {
            return Ok(None);
        }
        let columns = before.first().map_or(0, |chunk| chunk.results.columns.len());
        let column = |index: usize| {
            let chunks: Vec<&dyn Array> = before.iter().map(|chunk| chunk.results.columns[index].as_ref()).collect();
            Ok(concat(&chunks)?)
        };
        Ok(Some((0..columns).map(column).collect::<Result<_>>()?))
    }
}

/// The places of the groups that had no result.
fn was_bad(chunks: &[Before]) -> HashSet<usize> {
    let mut first = 0;
    let mut places = HashSet::new();
    for chunk in chunks {
        places.extend(chunk.results.bad.iter().map(|(place, _)| first + place));
        first += chunk.groups;
    }
    places
}

/// Which rows of two sets of columns are equal, NULL being equal to NULL.
pub(super) fn equal_rows(left: &[ArrayRef], right: &[ArrayRef], rows: usize) -> Result<BooleanArray> {
    let mut equal = vec![true; rows];
    for (left, right) in left.iter().zip(right) {
        if left.data_type().is_nested() {
            let compare = make_comparator(left.as_ref(), right.as_ref(), SortOptions::default())?;
            for (row, equal) in equal.iter_mut().enumerate() {
                *equal = *equal && compare(row, row).is_eq();
            }
        } else {
            let column = not_distinct(left, right)?;
            for (row, equal) in equal.iter_mut().enumerate() {
                *equal = *equal && column.value(row);
            }
        }
    }
    Ok(BooleanArray::from(equal))
}
