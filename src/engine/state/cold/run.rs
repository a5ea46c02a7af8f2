//! A file of cold rows in the order of their keys' hashes, written once: blocks of about 4 KB, of which the first hash and the
//! place are in memory, with a filter that knows most keys that are not here. Nothing is synced; the file goes with the run.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::filter::Filter;
use crate::fault;

/// A block is ended with the first row beyond so many bytes.
const BLOCK_BYTES: usize = 4096;

/// Rows are written in pieces of so many bytes.
const WRITTEN_BYTES: usize = 256 * 1024;

/// Read at a time where one row after the other is read.
const READ_BYTES: u64 = 64 * 1024;

/// Hash, length of the key, length of the value.
const HEAD_BYTES: usize = 16;

/// The length that stands for "no such row any more".
const GONE: u32 = u32::MAX;

/// A row: the hash of its key, the key, the value (`None`: the row is gone).
pub(super) struct Row<'a> {
    pub(super) hash: u64,
    pub(super) key: &'a [u8],
    pub(super) value: Option<&'a [u8]>,
}

impl<'a> Row<'a> {
    /// The first row of `bytes`, and where the next one begins.
    fn parse(bytes: &'a [u8]) -> Option<(Self, usize)> {
        let (hash, rest) = bytes.split_first_chunk::<8>()?;
        let (key_bytes, rest) = rest.split_first_chunk::<4>()?;
        let (value_bytes, rest) = rest.split_first_chunk::<4>()?;
        let (key, rest) = rest.split_at_checked(u32::from_le_bytes(*key_bytes) as usize)?;
        let value = match u32::from_le_bytes(*value_bytes) {
            GONE => None,
            length => Some(rest.get(..length as usize)?),
        };
        let end = HEAD_BYTES + key.len() + value.map_or(0, <[u8]>::len);
        Some((Self { hash: u64::from_le_bytes(*hash), key, value }, end))
    }
}

/// See the module.
pub(super) struct Run {
    path: PathBuf,
    file: File,
    /// First hash and place of each block. Rows of one hash are in one block.
    blocks: Vec<(u64, u64)>,
    filter: Filter,
    bytes: u64,
    rows: u64,
}

impl Drop for Run {
    fn drop(&mut self) {
        // What is left is removed when the job runs again.
        let _ = fs::remove_file(&self.path);
    }
}

impl Run {
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    pub(super) fn memory_bytes(&self) -> u64 {
        self.filter.bytes() + (self.blocks.capacity() * size_of::<(u64, u64)>()) as u64
    }

    /// Whether there may be a row of a key with this hash.
    pub(super) fn may_contain(&self, hash: u64) -> bool {
        self.filter.may_contain(hash)
    }

    /// Where a block is.
    fn place(&self, block: usize) -> (u64, u64) {
        let end = self.blocks.get(block + 1).map_or(self.bytes, |(_, place)| *place);
        (self.blocks[block].1, end)
    }

    /// The block in which rows of this hash are, if there are any.
    fn block_of(&self, hash: u64) -> Option<usize> {
        self.blocks.partition_point(|(first, _)| *first <= hash).checked_sub(1)
    }

    fn read(&self, (begin, end): (u64, u64), into: &mut Vec<u8>) -> io::Result<()> {
        into.resize(usize::try_from(end - begin).unwrap_or(usize::MAX), 0);
        self.file.read_exact_at(into, begin)
    }
}

/// Finds rows of a run by key; keys that are asked for in the order of their hashes read each block once.
pub(super) struct Finder<'a> {
    run: &'a Run,
    buffer: &'a mut Vec<u8>,
    block: Option<usize>,
}

impl<'a> Finder<'a> {
    pub(super) fn new(run: &'a Run, buffer: &'a mut Vec<u8>) -> Self {
        Self { run, buffer, block: None }
    }

    /// The row of a key: `None` if the run knows nothing of it.
    pub(super) fn find(&mut self, hash: u64, key: &[u8]) -> io::Result<Option<Row<'_>>> {
        if !self.run.may_contain(hash) {
            return Ok(None);
        }
        let Some(block) = self.run.block_of(hash) else { return Ok(None) };
        if self.block != Some(block) {
            self.block = None;
            self.run.read(self.run.place(block), self.buffer)?;
            self.block = Some(block);
        }
        let mut rest = self.buffer.as_slice();
        while !rest.is_empty() {
            let (row, end) = Row::parse(rest).ok_or_else(damaged)?;
            if row.hash > hash {
                break;
            }
            if row.hash == hash && row.key == key {
                return Ok(Some(row));
            }
            rest = &rest[end..];
        }
        Ok(None)
    }
}

/// Gives the rows of a run one after the other.
#[derive(Default)]
pub(super) struct Cursor {
    buffer: Vec<u8>,
    /// Where the current row begins in the buffer.
    at: usize,
    /// The block behind the buffer.
    next_block: usize,
}

impl Cursor {
    /// One that begins at the first row whose hash is not below `from`.
    pub(super) fn at(run: &Run, from: u64) -> io::Result<Self> {
        let mut cursor = Self { next_block: run.block_of(from).unwrap_or(0), ..Self::default() };
        cursor.fill(run)?;
        while cursor.row().is_some_and(|row| row.hash < from) {
            cursor.advance(run)?;
        }
        Ok(cursor)
    }

    /// The current row; `None` behind the last one.
    pub(super) fn row(&self) -> Option<Row<'_>> {
        Row::parse(&self.buffer[self.at..]).map(|(row, _)| row)
    }

    pub(super) fn advance(&mut self, run: &Run) -> io::Result<()> {
        match Row::parse(&self.buffer[self.at..]) {
            Some((_, end)) => self.at += end,
            None => return Ok(()),
        }
        if self.at == self.buffer.len() { self.fill(run) } else { Ok(()) }
    }

    fn fill(&mut self, run: &Run) -> io::Result<()> {
        (self.at, self.buffer) = (0, std::mem::take(&mut self.buffer));
        self.buffer.clear();
        let Some((_, begin)) = run.blocks.get(self.next_block).copied() else { return Ok(()) };
        let behind = run.blocks.partition_point(|(_, place)| *place < begin + READ_BYTES);
        let last = behind.max(self.next_block + 1) - 1;
        run.read((begin, run.place(last).1), &mut self.buffer)?;
        self.next_block = last + 1;
        match self.row() {
            Some(_) => Ok(()),
            None => Err(damaged()),
        }
    }
}

fn damaged() -> io::Error {
    io::Error::other("a file of spilled state is damaged")
}

/// Writes a run.
pub(super) struct RunWriter {
    run: Run,
    /// Rows that are not written yet.
    buffer: Vec<u8>,
    block_bytes: usize,
    last_hash: Option<u64>,
}

impl RunWriter {
    /// A new file for at most so many rows.
    pub(super) fn begin(path: &Path, rows_max: u64) -> io::Result<Self> {
        fault::io("spill")?;
        let file = File::options().read(true).write(true).create_new(true).open(path)?;
        let filter = Filter::for_keys(rows_max);
        let run = Run { path: path.to_owned(), file, blocks: Vec::new(), filter, bytes: 0, rows: 0 };
        Ok(Self { run, buffer: Vec::new(), block_bytes: 0, last_hash: None })
    }

    /// Adds a row; hashes only grow.
    pub(super) fn add(&mut self, row: &Row<'_>) -> io::Result<()> {
        let length = |bytes: usize| u32::try_from(bytes).ok().filter(|length| *length != GONE);
        let too_long = || io::Error::other("a row of state has 4 GB or more");
        let key_bytes = length(row.key.len()).ok_or_else(too_long)?;
        let value_bytes = match row.value {
            Some(value) => length(value.len()).ok_or_else(too_long)?,
            None => GONE,
        };
        if self.last_hash.is_none() || self.block_bytes >= BLOCK_BYTES && self.last_hash != Some(row.hash) {
            self.run.blocks.push((row.hash, self.run.bytes));
            self.block_bytes = 0;
        }
        let before = self.buffer.len();
        self.buffer.extend_from_slice(&row.hash.to_le_bytes());
        self.buffer.extend_from_slice(&key_bytes.to_le_bytes());
        self.buffer.extend_from_slice(&value_bytes.to_le_bytes());
        self.buffer.extend_from_slice(row.key);
        self.buffer.extend_from_slice(row.value.unwrap_or_default());
        self.block_bytes += self.buffer.len() - before;
        self.run.bytes += (self.buffer.len() - before) as u64;
        self.run.rows += 1;
        self.run.filter.insert(row.hash);
        self.last_hash = Some(row.hash);
        if self.buffer.len() >= WRITTEN_BYTES { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> io::Result<()> {
        fault::io("spill")?;
        self.run.file.write_all(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }

    /// All rows are there.
    pub(super) fn finish(mut self) -> io::Result<Run> {
        self.write()?;
        self.run.blocks.shrink_to_fit();
        Ok(self.run)
    }
}
