//! Rows of state that do not fit into memory, by key, on local disk. Nothing here outlives the job's run: the checkpoint is the
//! truth, so the file is made anew when it is opened, never synced, and removed when it is dropped. A filter in memory knows
//! most keys that are not here, so that a new key costs no read. All calls block; the caller is where it may.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use redb::{Database, Durability, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};

use crate::error::{Error, Result};

const ROWS: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("rows");

/// Pages of the file that are kept in memory.
const CACHE_BYTES: usize = 16 << 20;

/// Keys for which the filter is made at first.
const FILTER_KEYS_MIN: u64 = 1 << 16;

/// Key bytes to value bytes, on disk.
pub struct ColdTable {
    path: PathBuf,
    /// Gone only while this is dropped: the file is closed before it is removed.
    database: Option<Database>,
    filter: Filter,
    rows: u64,
}

impl std::fmt::Debug for ColdTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ColdTable").field("path", &self.path).field("rows", &self.rows).finish_non_exhaustive()
    }
}

impl ColdTable {
    /// An empty table in file `path`; what was there is removed.
    ///
    /// # Errors
    /// The file cannot be made.
    pub fn open(path: &Path) -> Result<Self> {
        let failed = |error: &dyn std::fmt::Display| {
            Error::unavailable(format!("cannot spill state to {}: {error}", path.display()))
        };
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(|error| failed(&error))?;
        }
        match fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(&error)),
            _ => {}
        }
        let database = Database::builder().set_cache_size(CACHE_BYTES).create(path).map_err(|error| failed(&error))?;
        let filter = Filter::for_keys(FILTER_KEYS_MIN);
        let table = Self { path: path.to_owned(), database: Some(database), filter, rows: 0 };
        let write = table.begin()?;
        write.open_table(ROWS).map_err(|error| table.failed(&error))?;
        write.commit().map_err(|error| table.failed(&error))?;
        Ok(table)
    }

    /// Puts rows in; one whose key is there is replaced. All or none.
    ///
    /// # Errors
    /// The disk takes no more.
    pub fn put_many<'a>(&mut self, rows: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Result<()> {
        let write = self.begin()?;
        let mut hashes = Vec::new();
        let mut added = 0;
        {
            let mut table = write.open_table(ROWS).map_err(|error| self.failed(&error))?;
            for (key, value) in rows {
                let replaced = table.insert(key, value).map_err(|error| self.failed(&error))?;
                added += u64::from(replaced.is_none());
                hashes.push(hash_of(key));
            }
        }
        write.commit().map_err(|error| self.failed(&error))?;
        self.rows += added;
        if self.filter.is_full(hashes.len() as u64) {
            return self.rebuild_filter();
        }
        for hash in hashes {
            self.filter.insert(hash);
        }
        Ok(())
    }

    /// Takes the rows of these keys out; `None` for those that are not here. All or none.
    ///
    /// # Errors
    /// The disk cannot be read.
    pub fn take_many(&mut self, keys: &[&[u8]]) -> Result<Vec<Option<Vec<u8>>>> {
        let mut taken = vec![None; keys.len()];
        let mut wanted: Vec<usize> =
            (0..keys.len()).filter(|index| self.filter.may_contain(hash_of(keys[*index]))).collect();
        if wanted.is_empty() || self.rows == 0 {
            return Ok(taken);
        }
        // Neighbours in the tree are read together.
        wanted.sort_unstable_by_key(|index| keys[*index]);
        let write = self.begin()?;
        let mut found = 0;
        {
            let mut table = write.open_table(ROWS).map_err(|error| self.failed(&error))?;
            for index in wanted {
                let removed = table.remove(keys[index]).map_err(|error| self.failed(&error))?;
                if let Some(value) = removed {
                    taken[index] = Some(value.value().to_vec());
                    found += 1;
                }
            }
        }
        // Nothing found (the filter errs now and then): nothing to write.
        match found {
            0 => write.abort().map_err(|error| self.failed(&error))?,
            _ => write.commit().map_err(|error| self.failed(&error))?,
        }
        self.rows -= found;
        Ok(taken)
    }

    /// Rows that are here.
    pub fn len(&self) -> u64 {
        self.rows
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Bytes on disk.
    pub fn bytes(&self) -> u64 {
        fs::metadata(&self.path).map_or(0, |file| file.len())
    }

    /// Bytes in memory: filter and cache.
    pub fn memory_bytes(&self) -> u64 {
        CACHE_BYTES as u64 + self.filter.bytes()
    }

    /// Shows every row, in the order of their keys.
    ///
    /// # Errors
    /// The disk cannot be read; the first error of `show`.
    pub fn for_each(&self, mut show: impl FnMut(&[u8], &[u8]) -> Result<()>) -> Result<()> {
        let read = self.database()?.begin_read().map_err(|error| self.failed(&error))?;
        let table = read.open_table(ROWS).map_err(|error| self.failed(&error))?;
        for row in table.iter().map_err(|error| self.failed(&error))? {
            let (key, value) = row.map_err(|error| self.failed(&error))?;
            show(key.value(), value.value())?;
        }
        Ok(())
    }

    /// Removes all rows.
    ///
    /// # Errors
    /// The file cannot be made anew.
    pub fn clear(&mut self) -> Result<()> {
        // Closed first: two may not have the file open.
        self.database = None;
        *self = Self::open(&self.path.clone())?;
        Ok(())
    }

    /// Taken keys stay in the filter; it is made from what is here when it is full.
    fn rebuild_filter(&mut self) -> Result<()> {
        let mut filter = Filter::for_keys(self.rows.saturating_mul(2).max(FILTER_KEYS_MIN));
        self.for_each(|key, _| {
            filter.insert(hash_of(key));
            Ok(())
        })?;
        self.filter = filter;
        Ok(())
    }

    fn begin(&self) -> Result<WriteTransaction> {
        let mut write = self.database()?.begin_write().map_err(|error| self.failed(&error))?;
        write.set_durability(Durability::None).map_err(|error| self.failed(&error))?;
        Ok(write)
    }

    fn database(&self) -> Result<&Database> {
        self.database.as_ref().ok_or_else(|| Error::internal("a table of cold state was used after its end"))
    }

    fn failed(&self, error: &dyn std::fmt::Display) -> Error {
        Error::unavailable(format!("cannot spill state to {}: {error}", self.path.display()))
    }
}

impl Drop for ColdTable {
    fn drop(&mut self) {
        self.database = None;
        // What is left is removed when the job runs again.
        let _ = fs::remove_file(&self.path);
    }
}

fn hash_of(key: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

/// A Bloom filter with twelve bits a key, all of a key's bits in one cache line: about one absent key of a hundred passes.
struct Filter {
    lines: Vec<[u64; 8]>,
    capacity: u64,
    inserted: u64,
}

impl Filter {
    const BITS_PER_KEY: u64 = 12;
    const PROBES: u32 = 6;

    fn for_keys(capacity: u64) -> Self {
        let lines = usize::try_from((capacity * Self::BITS_PER_KEY).div_ceil(512)).unwrap_or(usize::MAX).max(1);
        Self { lines: vec![[0; 8]; lines], capacity, inserted: 0 }
    }

    fn is_full(&self, more: u64) -> bool {
        self.inserted + more > self.capacity
    }

    /// The line of a hash among so many, and its bits there as (word, mask).
    fn place(lines: usize, hash: u64) -> (usize, impl Iterator<Item = (usize, u64)>) {
        let line = ((u128::from(hash) * lines as u128) >> 64) as usize;
        // The line took the high bits; nine others give each bit.
        let bits = (0..Self::PROBES).map(move |probe| {
            let bit = (hash.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (probe * 9)) & 511;
            ((bit >> 6) as usize, 1 << (bit & 63))
        });
        (line, bits)
    }

    fn insert(&mut self, hash: u64) {
        let (line, bits) = Self::place(self.lines.len(), hash);
        for (word, mask) in bits {
            self.lines[line][word] |= mask;
        }
        self.inserted += 1;
    }

    fn may_contain(&self, hash: u64) -> bool {
        let (line, mut bits) = Self::place(self.lines.len(), hash);
        bits.all(|(word, mask)| self.lines[line][word] & mask != 0)
    }

    fn bytes(&self) -> u64 {
        self.lines.len() as u64 * 64
    }
}

#[cfg(test)]
mod tests;
