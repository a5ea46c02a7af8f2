//! The form of a state file: magic bytes, then parts (each a batch of one table's rows as an Arrow IPC stream of its own, rows in
//! the order of their key groups), then an index of the parts in JSON. The manifest has the checksum of the index, the index
//! those of the parts, so that nothing is believed that was not checked. Knows bytes only; where they lie is `storage`'s.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, UInt32Array};
use datafusion::arrow::buffer::Buffer;
use datafusion::arrow::compute::{filter_record_batch, take_record_batch};
use datafusion::arrow::datatypes::{DataType, UInt8Type};
use datafusion::arrow::ipc::reader::StreamDecoder;
use datafusion::arrow::ipc::writer::StreamWriter;
use datafusion::arrow::record_batch::RecordBatch;
use serde::{Deserialize, Serialize};

use super::manifest::StateFile;
use crate::engine::key_group::KEY_GROUPS;
use crate::error::{Error, Result};

/// The first bytes of every state file.
pub(super) const MAGIC: &[u8; 8] = b"SGSTATE\x02";

/// Least and most bytes that a part has, about: small enough to be read whole, with few key groups in it. A part is what a restore and a
/// compaction have in memory several times, so that a job that may take little of that has smaller ones.
const PART_BYTES: (u64, u64) = (256 << 10, 1 << 20);

/// Where a part of a table is, and what is in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Part {
    pub(super) operator: String,
    pub(super) table: String,
    pub(super) key_columns: usize,
    pub(super) rows: u64,
    /// First and last key group.
    pub(super) groups: (u8, u8),
    pub(super) offset: u64,
    pub(super) bytes: u64,
    pub(super) crc32c: u32,
}

impl Part {
    /// Whether it may hold rows of these key groups.
    pub(super) fn overlaps(&self, groups: &Range<usize>) -> bool {
        usize::from(self.groups.0) < groups.end && groups.start <= usize::from(self.groups.1)
    }

    /// Where it is in its file.
    pub(super) fn range(&self) -> Range<u64> {
        self.offset..self.offset.saturating_add(self.bytes)
    }

    /// Its rows of these key groups, out of its bytes.
    pub(super) fn decode(&self, bytes: Bytes, groups: &Range<usize>) -> Result<RecordBatch> {
        self.check(&bytes)?;
        let mut decoder = StreamDecoder::new();
        let mut buffer = Buffer::from(bytes);
        let mut rows = None;
        while !buffer.is_empty() {
            if let Some(batch) = decoder.decode(&mut buffer)? {
                rows = Some(batch);
            }
        }
        let rows = rows.ok_or_else(|| Error::corrupt("a part of a state file has no rows"))?;
        let all = usize::from(self.groups.0) >= groups.start && usize::from(self.groups.1) < groups.end;
        if all { Ok(rows) } else { of_groups(&rows, groups) }
    }

    /// Holds its bytes against its checksum.
    pub(super) fn check(&self, bytes: &[u8]) -> Result<()> {
        if bytes.len() as u64 != self.bytes || crc32c::crc32c(bytes) != self.crc32c {
            return Err(Error::corrupt(format!("state of table {} has a wrong checksum", self.table)));
        }
        Ok(())
    }
}

/// The rows of some key groups.
fn of_groups(rows: &RecordBatch, groups: &Range<usize>) -> Result<RecordBatch> {
    let kept: BooleanArray = groups_of(rows)?.iter().map(|group| Some(groups.contains(&usize::from(*group)))).collect();
    Ok(filter_record_batch(rows, &kept)?)
}

/// The key group of each row.
pub(super) fn groups_of(rows: &RecordBatch) -> Result<&[u8]> {
    let column = rows.columns().first().filter(|column| column.data_type() == &DataType::UInt8);
    let column = column.ok_or_else(|| Error::internal("state has no column of key groups"))?;
    Ok(column.as_primitive::<UInt8Type>().values())
}

/// Writes a state file piece by piece.
pub(super) struct StateFileWriter<'a> {
    write: &'a mut dyn FnMut(&[u8]) -> Result<()>,
    offset: u64,
    parts: Vec<Part>,
    part_bytes: usize,
}

impl<'a> StateFileWriter<'a> {
    /// Begins a file whose bytes go to `write`, of a job whose state may take so many bytes in memory.
    pub(super) fn begin(write: &'a mut dyn FnMut(&[u8]) -> Result<()>, memory: u64) -> Result<Self> {
        write(MAGIC)?;
        let part_bytes = (memory / 64).clamp(PART_BYTES.0, PART_BYTES.1) as usize;
        Ok(Self { write, offset: MAGIC.len() as u64, parts: Vec::new(), part_bytes })
    }

    /// Adds the rows of a table: `key_group`, `deleted`, the key, the values.
    pub(super) fn table(&mut self, operator: &str, table: &str, key_columns: usize, rows: &RecordBatch) -> Result<()> {
        check_shape(operator, table, key_columns, rows)?;
        let row_bytes = bytes_of(rows).div_ceil(rows.num_rows().max(1)).max(1);
        let part_rows = (self.part_bytes / row_bytes).max(1);
        let order = by_group(groups_of(rows)?);
        for order in order.chunks(part_rows) {
            let rows = compact(&take_record_batch(rows, &UInt32Array::from(order.to_vec()))?)?;
            self.part(operator, table, key_columns, &rows)?;
        }
        Ok(())
    }

    fn part(&mut self, operator: &str, table: &str, key_columns: usize, rows: &RecordBatch) -> Result<()> {
        let groups = groups_of(rows)?;
        let (Some(first), Some(last)) = (groups.first(), groups.last()) else { return Ok(()) };
        let mut writer = StreamWriter::try_new(Vec::new(), rows.schema_ref())?;
        writer.write(rows)?;
        let bytes = writer.into_inner()?;
        self.parts.push(Part {
            operator: operator.to_owned(),
            table: table.to_owned(),
            key_columns,
            rows: rows.num_rows() as u64,
            groups: (*first, *last),
            offset: self.offset,
            bytes: bytes.len() as u64,
            crc32c: crc32c::crc32c(&bytes),
        });
        self.offset += bytes.len() as u64;
        (self.write)(&bytes)
    }

    /// Ends the file `name`, which holds changes up to `epoch`.
    pub(super) fn finish(self, name: &str, epoch: u64) -> Result<StateFile> {
        let index = serde_json::to_vec(&self.parts)
            .map_err(|error| Error::internal(format!("index of a state file has no stored form: {error}")))?;
        (self.write)(&index)?;
        Ok(StateFile {
            name: name.to_owned(),
            epoch,
            bytes: self.offset + index.len() as u64,
            rows: self.parts.iter().map(|part| part.rows).sum(),
            index_bytes: index.len() as u64,
            index_crc32c: crc32c::crc32c(&index),
        })
    }
}

/// Where the index of a file is.
pub(super) fn index_range(file: &StateFile) -> Range<u64> {
    file.bytes.saturating_sub(file.index_bytes)..file.bytes
}

/// Reads the index of a file.
pub(super) fn decode_index(file: &StateFile, bytes: &[u8]) -> Result<Vec<Part>> {
    if bytes.len() as u64 != file.index_bytes || crc32c::crc32c(bytes) != file.index_crc32c {
        return Err(Error::corrupt("the index of a state file has a wrong checksum"));
    }
    serde_json::from_slice(bytes)
        .map_err(|error| Error::corrupt(format!("the index of a state file cannot be read: {error}")))
}

/// Rows in the order of their key groups.
fn by_group(groups: &[u8]) -> Vec<u32> {
    let mut rows: Vec<u32> = (0..).take(groups.len()).collect();
    rows.sort_by_key(|row| groups[*row as usize]);
    rows
}

fn bytes_of(rows: &RecordBatch) -> usize {
    let bytes =
        |column: &ArrayRef| column.to_data().get_slice_memory_size().unwrap_or_else(|_| column.get_array_memory_size());
    rows.columns().iter().map(bytes).sum()
}

/// Views whose buffers hold nothing else: IPC writes the buffers of a view whole.
fn compact(rows: &RecordBatch) -> Result<RecordBatch> {
    let columns = rows.columns().iter().map(|column| match column.data_type() {
        DataType::Utf8View => Arc::new(column.as_string_view().gc()) as ArrayRef,
        DataType::BinaryView => Arc::new(column.as_binary_view().gc()) as ArrayRef,
        _ => Arc::clone(column),
    });
    Ok(RecordBatch::try_new(rows.schema(), columns.collect())?)
}

fn check_shape(operator: &str, table: &str, key_columns: usize, rows: &RecordBatch) -> Result<()> {
    let wrong = |what: &str| Err(Error::internal(format!("state \"{table}\" of operator {operator} {what}")));
    if rows.num_columns() < 2 + key_columns {
        return wrong("has too few columns");
    }
    if rows.column(1).data_type() != &DataType::Boolean || rows.column(1).null_count() > 0 {
        return wrong("does not say which rows are deleted");
    }
    if rows.column(0).null_count() > 0 || groups_of(rows)?.iter().any(|group| usize::from(*group) >= KEY_GROUPS) {
        return wrong("has rows without a key group");
    }
    Ok(())
}

#[cfg(test)]
mod tests;
