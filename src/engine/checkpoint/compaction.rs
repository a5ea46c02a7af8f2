//! Compacts state files into one by key, in the background: of a key's rows only the newest is kept, and where the compaction reaches back
//! to the first file, deleted keys go altogether. Checkpoints written later name the new file; those that name the old ones
//! keep them until they are dropped. Knows files and where they are; the store says when. Memory is bounded: a range of key groups is compacted at a time.

use std::collections::BTreeSet;
use std::ops::Range;

use bytes::Bytes;
use datafusion::arrow::array::AsArray;
use datafusion::arrow::compute::interleave_record_batch;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::arrow::row::{RowConverter, Rows, SortField};
use hashbrown::HashSet;
use tokio::runtime::Handle;

use super::manifest::StateFile;
use super::state_file::{self, Part, StateFileWriter};
use super::storage::Storage;
use crate::engine::key_group::{KEY_GROUPS, range_of};
use crate::error::{Error, Result};

/// Least and most bytes of one table that are compacted at a time, as they are stored; in memory narrow rows take some five times as much.
const PASS_BYTES: (u64, u64) = (512 << 10, 32 << 20);

/// Bytes that are compacted at a time by a job whose state may take so many in memory.
pub(super) fn pass_bytes(memory: u64) -> u64 {
    (memory / 32).clamp(PASS_BYTES.0, PASS_BYTES.1)
}

/// The compaction of a job's files; at most one is under way.
#[derive(Debug, Default)]
pub(super) enum Compaction {
    /// None.
    #[default]
    Idle,
    /// A background task compacts.
    Running {
        /// The files that it reads.
        replaced: Vec<String>,
        /// The file that it writes.
        name: String,
    },
    /// Done; no checkpoint names it yet.
    Ready {
        /// The files that it stands for, which follow one another.
        replaced: Vec<String>,
        /// The compacted file.
        with: StateFile,
    },
}

impl Compaction {
    /// A chain with the compacted file in place of those that it stands for.
    pub(super) fn replace_in(&self, mut files: Vec<StateFile>) -> Vec<StateFile> {
        if let Compaction::Ready { replaced, with } = self
            && let Some(place) = place_of(replaced, &files)
        {
            files.splice(place, [with.clone()]);
        }
        files
    }

    /// Files that must not be removed though no checkpoint names them.
    pub(super) fn files_in_use(&self) -> Vec<String> {
        match self {
            Compaction::Idle => Vec::new(),
            Compaction::Running { replaced, name } => replaced.iter().chain([name]).cloned().collect(),
            Compaction::Ready { replaced, with } => replaced.iter().chain([&with.name]).cloned().collect(),
        }
    }
}

/// Where a chain has the files that a compaction stands for.
pub(super) fn place_of(replaced: &[String], files: &[StateFile]) -> Option<Range<usize>> {
    let is_here = |window: &[StateFile]| window.iter().map(|file| &file.name).eq(replaced);
    let begin = files.windows(replaced.len().max(1)).position(is_here)?;
    Some(begin..begin + replaced.len())
}

/// Writes the compaction of `files` (oldest first) as file `name`, unless the job has ended meanwhile.
pub(super) async fn compact_files(
    storage: &Storage,
    files: Vec<StateFile>,
    is_base: bool,
    memory: u64,
    name: &str,
    has_ended: impl Fn() -> bool + Send + 'static,
) -> Result<StateFile> {
    let epoch = files.last().map_or(0, |file| file.epoch);
    let mut parts = Vec::new();
    for file in files {
        let index = storage.read_range(&file.name, state_file::index_range(&file)).await?;
        parts.extend(state_file::decode_index(&file, &index)?.into_iter().map(|part| (file.name.clone(), part)));
    }
    let (handle, from, name_within) = (Handle::current(), storage.clone(), name.to_owned());
    storage
        .write_file(name, move |write| {
            let mut file = StateFileWriter::begin(write, memory)?;
            let read = |name: &str, range: Range<u64>| {
                if has_ended() {
                    return Err(Error::unavailable("the job has ended"));
                }
                handle.block_on(from.read_range(name, range))
            };
            compact_parts(&parts, is_base, pass_bytes(memory), &read, &mut file)?;
            file.finish(&name_within, epoch)
        })
        .await
}

/// Compacts parts (oldest first, each with the file where it is) into `file`.
pub(super) fn compact_parts(
    parts: &[(String, Part)],
    is_base: bool,
    pass_bytes: u64,
    read: &dyn Fn(&str, Range<u64>) -> Result<Bytes>,
    file: &mut StateFileWriter<'_>,
) -> Result<()> {
    let tables: BTreeSet<(&str, &str)> =
        parts.iter().map(|(_, part)| (part.operator.as_str(), part.table.as_str())).collect();
    for (operator, table) in tables {
        let parts: Vec<&(String, Part)> =
            parts.iter().filter(|(_, part)| part.operator == operator && part.table == table).collect();
        let Some((_, first)) = parts.first() else { continue };
        let key_columns = first.key_columns;
        if parts.iter().any(|(_, part)| part.key_columns != key_columns) {
            return Err(Error::internal(format!("state \"{table}\" of operator {operator} has keys of two kinds")));
        }
        let bytes: u64 = parts.iter().map(|(_, part)| part.bytes).sum();
        let passes = usize::try_from(bytes.div_ceil(pass_bytes.max(1))).unwrap_or(KEY_GROUPS).clamp(1, KEY_GROUPS);
        for pass in 0..passes {
            let groups = range_of(pass, passes);
            let mut batches = Vec::new();
            for (name, part) in parts.iter().filter(|(_, part)| part.overlaps(&groups)) {
                batches.push(part.decode(read(name, part.range())?, &groups)?);
            }
            if let Some(rows) = newest_rows(&batches, key_columns, is_base)? {
                file.table(operator, table, key_columns, &rows)?;
            }
        }
    }
    Ok(())
}

/// The newest row of each key, from batches in the order of age; without those that say "deleted" when nothing is before them.
fn newest_rows(batches: &[RecordBatch], key_columns: usize, is_base: bool) -> Result<Option<RecordBatch>> {
    let Some(first) = batches.first() else { return Ok(None) };
    let key = 2..2 + key_columns;
    let fields = first.columns()[key.clone()].iter().map(|column| SortField::new(column.data_type().clone()));
    let converter = RowConverter::new(fields.collect())?;
    // A key without columns has one value, for which there is no row format.
    let keys: Vec<Rows> = match key_columns {
        0 => Vec::new(),
        _ => {
            let keys = batches.iter().map(|batch| converter.convert_columns(&batch.columns()[key.clone()]));
            keys.collect::<Result<_, _>>()?
        }
    };
    let mut seen: HashSet<&[u8]> = HashSet::new();
    let mut newest = Vec::new();
    for (index, batch) in batches.iter().enumerate().rev() {
        let deleted = batch.column(1).as_boolean();
        for row in (0..batch.num_rows()).rev() {
            let key = keys.get(index).map_or(&[][..], |keys| keys.row(row).data());
            if seen.insert(key) && !(is_base && deleted.value(row)) {
                newest.push((index, row));
            }
        }
    }
    if newest.is_empty() {
        return Ok(None);
    }
    newest.reverse();
    Ok(Some(interleave_record_batch(&batches.iter().collect::<Vec<_>>(), &newest)?))
}

#[cfg(test)]
mod tests;
