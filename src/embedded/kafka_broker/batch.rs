//! The record batch (message format 2) as bytes: header fields, checks, and the first record at or after a timestamp.
//! Batches are never rebuilt: only base offset and leader epoch are written over, which the checksum does not cover. The only batches
//! made here are the markers that end transactions.

use crc32c::crc32c;

/// Offset and length in front of every batch.
pub const PREFIX_BYTES: usize = 12;
/// The whole header, records follow.
pub const HEADER_BYTES: usize = 61;

const CHECKSUM_AT: usize = 17;
const CHECKSUMMED_FROM: usize = 21;
const COMPRESSION_MASK: i16 = 0x07;
const LOG_APPEND_TIME: i16 = 0x08;
const TRANSACTIONAL: i16 = 0x10;
const CONTROL: i16 = 0x20;

/// The header fields that the broker looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchHeader {
    pub base_offset: i64,
    /// Length of the whole batch, prefix included.
    pub bytes: usize,
    pub magic: i8,
    pub checksum: u32,
    pub attributes: i16,
    pub last_offset_delta: i32,
    pub base_timestamp: i64,
    pub max_timestamp: i64,
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub base_sequence: i32,
    pub records: i32,
}

impl BatchHeader {
    /// Reads the header at the start of `bytes`; `None` when these cannot be the start of a batch.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let header = bytes.first_chunk::<HEADER_BYTES>()?;
        let length = i32::from_be_bytes(field(header, 8));
        let batch = Self {
            base_offset: i64::from_be_bytes(field(header, 0)),
            bytes: usize::try_from(length).ok()?.checked_add(PREFIX_BYTES)?,
            magic: i8::from_be_bytes(field(header, 16)),
            checksum: u32::from_be_bytes(field(header, CHECKSUM_AT)),
            attributes: i16::from_be_bytes(field(header, 21)),
            last_offset_delta: i32::from_be_bytes(field(header, 23)),
            base_timestamp: i64::from_be_bytes(field(header, 27)),
            max_timestamp: i64::from_be_bytes(field(header, 35)),
            producer_id: i64::from_be_bytes(field(header, 43)),
            producer_epoch: i16::from_be_bytes(field(header, 51)),
            base_sequence: i32::from_be_bytes(field(header, 53)),
            records: i32::from_be_bytes(field(header, 57)),
        };
        (batch.bytes >= HEADER_BYTES && batch.magic == 2 && batch.last_offset_delta >= 0).then_some(batch)
    }

    pub fn last_offset(&self) -> i64 {
        self.base_offset + i64::from(self.last_offset_delta)
    }

    /// The sequence number of the last record; they go round at the end of the positive numbers.
    pub fn last_sequence(&self) -> i32 {
        (i64::from(self.base_sequence) + i64::from(self.last_offset_delta)).rem_euclid(i64::from(i32::MAX) + 1) as i32
    }

    pub fn is_idempotent(&self) -> bool {
        self.producer_id >= 0
    }

    pub fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL != 0
    }

    /// Whether it is a marker of the broker's, which readers never see.
    pub fn is_control(&self) -> bool {
        self.attributes & CONTROL != 0
    }
}

fn field<const N: usize>(header: &[u8; HEADER_BYTES], at: usize) -> [u8; N] {
    let mut value = [0; N];
    value.copy_from_slice(&header[at..at + N]);
    value
}

/// What is wrong with a batch that a producer sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// Not one whole batch, or its checksum says it was changed on the way.
    Corrupt,
    /// Old message formats.
    OldFormat,
    /// Only the broker writes control batches.
    NotForProducers,
}

/// Checks that `bytes` hold exactly one well-formed batch.
pub fn check(bytes: &[u8]) -> Result<BatchHeader, Refused> {
    if bytes.get(16).is_some_and(|magic| *magic < 2) {
        return Err(Refused::OldFormat);
    }
    let header = BatchHeader::read(bytes).ok_or(Refused::Corrupt)?;
    if header.bytes != bytes.len() || header.records <= 0 || header.last_offset_delta != header.records - 1 {
        return Err(Refused::Corrupt);
    }
    if !checksum_is_right(&header, bytes) {
        return Err(Refused::Corrupt);
    }
    if header.is_control() {
        return Err(Refused::NotForProducers);
    }
    if header.is_transactional() && !header.is_idempotent() {
        return Err(Refused::Corrupt);
    }
    if header.is_idempotent() && (header.producer_epoch < 0 || header.base_sequence < 0) {
        return Err(Refused::Corrupt);
    }
    Ok(header)
}

pub fn checksum_is_right(header: &BatchHeader, bytes: &[u8]) -> bool {
    bytes.get(CHECKSUMMED_FROM..header.bytes).is_some_and(|covered| crc32c(covered) == header.checksum)
}

/// Gives a checked batch its place in the log.
pub fn place(bytes: &mut [u8], base_offset: i64, leader_epoch: i32) {
    bytes[0..8].copy_from_slice(&base_offset.to_be_bytes());
    bytes[12..16].copy_from_slice(&leader_epoch.to_be_bytes());
}

/// The marker that ends a producer's transaction, one control record.
pub fn marker((producer_id, epoch): (i64, i16), commit: bool, timestamp: i64) -> Vec<u8> {
    // Length, attributes, timestamp delta, offset delta; key: version and kind; value: version and coordinator epoch; no headers.
    let record = [32, 0, 0, 0, 8, 0, 0, 0, u8::from(commit), 12, 0, 0, 0, 0, 0, 0, 0];
    let mut bytes = vec![0; HEADER_BYTES];
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    put(8, &((HEADER_BYTES + record.len() - PREFIX_BYTES) as i32).to_be_bytes());
    put(16, &[2]);
    put(21, &(TRANSACTIONAL | CONTROL).to_be_bytes());
    put(27, &timestamp.to_be_bytes());
    put(35, &timestamp.to_be_bytes());
    put(43, &producer_id.to_be_bytes());
    put(51, &epoch.to_be_bytes());
    put(53, &(-1i32).to_be_bytes());
    put(57, &1i32.to_be_bytes());
    bytes.extend(record);
    let checksum = crc32c(&bytes[CHECKSUMMED_FROM..]);
    bytes[CHECKSUM_AT..CHECKSUMMED_FROM].copy_from_slice(&checksum.to_be_bytes());
    bytes
}

/// Whether the marker of a control batch commits.
pub fn commits(bytes: &[u8]) -> Option<bool> {
    let (_, record) = varint(bytes.get(HEADER_BYTES..)?)?;
    let (_, rest) = varint(record.get(1..)?)?;
    let (_, rest) = varint(rest)?;
    let (key_bytes, key) = varint(rest)?;
    (key_bytes >= 4).then_some(())?;
    Some(i16::from_be_bytes(*key.get(2..)?.first_chunk()?) == 1)
}

/// Offset and timestamp of the first record at or after `timestamp` in a batch that has one. A compressed batch answers with its first
/// record: the broker does not decompress, and a reader that starts too early misses nothing.
pub fn first_record_at(header: &BatchHeader, bytes: &[u8], timestamp: i64) -> (i64, i64) {
    if header.attributes & LOG_APPEND_TIME != 0 {
        return (header.base_offset, header.max_timestamp);
    }
    if header.attributes & COMPRESSION_MASK == 0 {
        let mut rest = bytes.get(HEADER_BYTES..header.bytes).unwrap_or_default();
        while let Some((delta, offset_delta, after)) = record_deltas(rest) {
            if header.base_timestamp + delta >= timestamp {
                return (header.base_offset + offset_delta, header.base_timestamp + delta);
            }
            rest = after;
        }
    }
    (header.base_offset, header.base_timestamp)
}

/// Timestamp delta and offset delta of the first record, and what follows it.
fn record_deltas(bytes: &[u8]) -> Option<(i64, i64, &[u8])> {
    let (length, body) = varint(bytes)?;
    let length = usize::try_from(length).ok()?;
    let record = body.get(..length)?;
    let (timestamp_delta, rest) = varint(record.get(1..)?)?;
    let (offset_delta, _) = varint(rest)?;
    Some((timestamp_delta, offset_delta, &body[length..]))
}

/// A zig-zag variable-length integer.
fn varint(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let mut value = 0u64;
    for (index, byte) in bytes.iter().enumerate().take(10) {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some(((value >> 1) as i64 ^ -((value & 1) as i64), &bytes[index + 1..]));
        }
    }
    None
}
