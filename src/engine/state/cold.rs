//! Rows of state that do not fit into memory, by key, on local disk: sorted files that are written once and merged, in steps,
//! when they become many. Nothing here outlives the job's run: the checkpoint is the truth, so nothing is synced, and the files
//! go when the table is dropped. Filters in memory know most keys that are not here, so that a new key costs no read.
//! All calls block; the caller is where it may.

mod filter;
mod merge;
mod run;

use std::fs;
use std::hash::BuildHasher;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hashbrown::DefaultHashBuilder;

use self::merge::{Merge, MergedRows, runs_to_merge};
use self::run::{Finder, Row, Run, RunWriter};
use crate::error::{Error, Result};

/// For each row that is put in, so many are merged in the same call.
const MERGED_ROWS_PER_ROW: u64 = 16;

/// With so many files a merge is brought to its end at once.
const RUNS_MAX: usize = 32;

/// Key bytes to value bytes, on disk. A key that was got may be put again, which replaces it, or removed; until then the table
/// still has the row as it was.
pub struct ColdTable {
    folder: PathBuf,
    /// Oldest first.
    runs: Vec<Arc<Run>>,
    merge: Option<Merge>,
    /// Number of the next file.
    next: u64,
    hasher: DefaultHashBuilder,
    block: Vec<u8>,
}

impl std::fmt::Debug for ColdTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ColdTable")
            .field("folder", &self.folder)
            .field("runs", &self.runs.len())
            .finish_non_exhaustive()
    }
}

impl ColdTable {
    /// An empty table in a folder of its own; what was there is removed.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn open(folder: &Path) -> Result<Self> {
        let made = match fs::remove_dir_all(folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => fs::create_dir_all(folder),
        };
        made.map_err(|error| failed(folder, &error))?;
        Ok(Self {
            folder: folder.to_owned(),
            runs: Vec::new(),
            merge: None,
            next: 0,
            hasher: DefaultHashBuilder::default(),
            block: Vec::new(),
        })
    }

    /// Puts rows in (`None` removes one), each key once; one whose key is there is replaced. All or none.
    ///
    /// # Errors
    /// The disk takes no more.
    pub fn put_many<'a>(&mut self, rows: impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)>) -> Result<()> {
        let mut rows: Vec<Row<'a>> =
            rows.map(|(key, value)| Row { hash: self.hasher.hash_one(key), key, value }).collect();
        if rows.is_empty() {
            return Ok(());
        }
        rows.sort_unstable_by_key(|row| row.hash);
        // Keys of one hash must be in order too: merges rely on it.
        rows.chunk_by_mut(|one, other| one.hash == other.hash)
            .for_each(|same| same.sort_unstable_by_key(|row| row.key));
        self.write(&rows).map_err(|error| failed(&self.folder, &error))
    }

    fn write(&mut self, rows: &[Row<'_>]) -> io::Result<()> {
        let mut writer = RunWriter::begin(&self.next_path(), rows.len() as u64)?;
        for row in rows {
            writer.add(row)?;
        }
        self.runs.push(Arc::new(writer.finish()?));
        self.merge_on(rows.len() as u64 * MERGED_ROWS_PER_ROW)
    }

    fn next_path(&mut self) -> PathBuf {
        self.next += 1;
        self.folder.join(self.next.to_string())
    }

    /// Merges so many rows, more if there are too many files.
    fn merge_on(&mut self, rows: u64) -> io::Result<()> {
        if self.merge.is_none() {
            let bytes: Vec<u64> = self.runs.iter().map(|run| run.bytes()).collect();
            let Some(range) = runs_to_merge(&bytes) else { return Ok(()) };
            let path = self.next_path();
            self.merge = Some(Merge::begin(&path, &self.runs, range)?);
        }
        let rows = if self.runs.len() >= RUNS_MAX { u64::MAX } else { rows };
        if let Some(merge) = &mut self.merge
            && merge.step(rows)?
            && let Some(merge) = self.merge.take()
        {
            let range = merge.range.clone();
            self.runs.splice(range, merge.finish()?.map(Arc::new));
        }
        Ok(())
    }

    /// The rows of these keys; `None` for those that are not here.
    ///
    /// # Errors
    /// The disk cannot be read.
    pub fn get_many(&mut self, keys: &[&[u8]]) -> Result<Vec<Option<Vec<u8>>>> {
        let mut found = vec![None; keys.len()];
        if self.runs.is_empty() {
            return Ok(found);
        }
        let mut wanted: Vec<(u64, usize)> =
            keys.iter().enumerate().map(|(index, key)| (self.hasher.hash_one(key), index)).collect();
        // In the order of the files: neighbours are read together.
        wanted.sort_unstable();
        for run in self.runs.iter().rev() {
            let mut finder = Finder::new(run, &mut self.block);
            let mut failure = None;
            wanted.retain(|(hash, index)| match finder.find(*hash, keys[*index]) {
                Ok(None) => true,
                Ok(Some(row)) => {
                    found[*index] = row.value.map(<[u8]>::to_vec);
                    false
                }
                Err(error) => {
                    failure = Some(error);
                    true
                }
            });
            if let Some(error) = failure {
                return Err(failed(&self.folder, &error));
            }
        }
        Ok(found)
    }

    /// Whether there may be a row of this key, or was one.
    pub fn may_contain(&self, key: &[u8]) -> bool {
        let hash = self.hasher.hash_one(key);
        self.runs.iter().any(|run| run.may_contain(hash))
    }

    /// Shows rows in the order of the files, at least `count` if there are so many, from a place on that an earlier call gave (0 at
    /// first), and gives the place behind; `None` at the end.
    ///
    /// # Errors
    /// The disk cannot be read.
    pub fn scan(&self, from: u64, count: usize, mut show: impl FnMut(&[u8], &[u8])) -> Result<Option<u64>> {
        let mut scan = || -> io::Result<Option<u64>> {
            let mut rows = MergedRows::new(self.runs.clone(), from)?;
            let (mut shown, mut last, mut behind) = (0, from, None);
            loop {
                let more = rows.next(|row| {
                    // Not between two rows of one hash.
                    if shown >= count && row.hash != last {
                        behind = Some(row.hash);
                        return Ok(());
                    }
                    (shown, last) = (shown + 1, row.hash);
                    if let Some(value) = row.value {
                        show(row.key, value);
                    }
                    Ok(())
                })?;
                if !more || behind.is_some() {
                    return Ok(behind);
                }
            }
        };
        scan().map_err(|error| failed(&self.folder, &error))
    }

    /// Bytes on disk.
    pub fn bytes(&self) -> u64 {
        self.runs.iter().map(|run| run.bytes()).sum()
    }

    /// Bytes in memory.
    pub fn memory_bytes(&self) -> u64 {
        self.runs.iter().map(|run| run.memory_bytes()).sum::<u64>() + self.block.capacity() as u64
    }
}

impl Drop for ColdTable {
    fn drop(&mut self) {
        self.merge = None;
        self.runs.clear();
        // What is left is removed when the job runs again.
        let _ = fs::remove_dir(&self.folder);
    }
}

fn failed(folder: &Path, error: &io::Error) -> Error {
    Error::unavailable(format!("cannot spill state to {}: {error}", folder.display()))
        .hint("The job goes on from its last checkpoint; make room there, or raise 'state.memory.budget'.")
}

#[cfg(test)]
mod tests;
