//! Key groups: every key belongs to one of 128, by a hash of our own over the key's values. Tasks own ranges of groups, stored
//! state carries its group, so the hash is part of the stored format: it may never change under this version.

use std::ops::Range;

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::datatypes::*;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};

use crate::error::Result;

/// Version of the hash, stored with every checkpoint.
pub const HASH_VERSION: u32 = 1;

/// How many there are.
pub const KEY_GROUPS: usize = 128;

/// The groups that task `task` of `parallelism` owns.
pub fn range_of(task: usize, parallelism: usize) -> Range<usize> {
    let bound = |task: usize| (task * KEY_GROUPS).div_ceil(parallelism);
    bound(task)..bound(task + 1)
}

/// The task of `parallelism` that owns a group.
pub fn owner_of(group: u8, parallelism: usize) -> usize {
    usize::from(group) * parallelism / KEY_GROUPS
}

/// The group of each row by its key columns, of which there is at least one; `rows` for keys without columns: all in group 0.
///
/// # Errors
/// A value of a nested type that cannot be printed.
pub fn key_groups(columns: &[ArrayRef], rows: usize) -> Result<Vec<u8>> {
    let mut hashes = vec![SEED; rows];
    for column in columns {
        hash_column(column, &mut hashes)?;
    }
    let group = |hash: &u64| if columns.is_empty() { 0 } else { (mix(*hash) >> 57) as u8 };
    Ok(hashes.iter().map(group).collect())
}

const SEED: u64 = 0x9e37_79b9_7f4a_7c15;
const NULL: u64 = 0x5bd1_e995_0000_0001;

/// The finalizer of MurmurHash3 (64 bits).
fn mix(mut hash: u64) -> u64 {
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

/// FNV-1a over eight bytes at a time, the last ones filled up with zeros, and the length.
fn hash_bytes(bytes: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325 ^ bytes.len() as u64;
    for chunk in bytes.chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        hash = mix(hash ^ u64::from_le_bytes(word));
    }
    hash
}

/// Puts a column's values into the rows' hashes. Integers of all widths that are equal hash equally.
fn hash_column(column: &ArrayRef, hashes: &mut [u64]) -> Result<()> {
    macro_rules! values {
        ($array:expr, $hash:expr) => {{
            let array = $array;
            for (row, hash) in hashes.iter_mut().enumerate() {
                let value = if array.is_null(row) { NULL } else { $hash(array.value(row)) };
                *hash = mix(*hash ^ value);
            }
        }};
    }
    macro_rules! integers {
        ($kind:ty) => {
            values!(column.as_primitive::<$kind>(), |value| value as i64 as u64)
        };
    }
    match column.data_type() {
        DataType::Boolean => values!(column.as_boolean(), u64::from),
        DataType::Int8 => integers!(Int8Type),
        DataType::Int16 => integers!(Int16Type),
        DataType::Int32 => integers!(Int32Type),
        DataType::Int64 => integers!(Int64Type),
        DataType::UInt8 => integers!(UInt8Type),
        DataType::UInt16 => integers!(UInt16Type),
        DataType::UInt32 => integers!(UInt32Type),
        DataType::UInt64 => integers!(UInt64Type),
        DataType::Date32 => integers!(Date32Type),
        DataType::Time32(TimeUnit::Second) => integers!(Time32SecondType),
        DataType::Time32(_) => integers!(Time32MillisecondType),
        DataType::Time64(TimeUnit::Nanosecond) => integers!(Time64NanosecondType),
        DataType::Time64(_) => integers!(Time64MicrosecondType),
        DataType::Timestamp(TimeUnit::Second, _) => integers!(TimestampSecondType),
        DataType::Timestamp(TimeUnit::Millisecond, _) => integers!(TimestampMillisecondType),
        DataType::Timestamp(TimeUnit::Microsecond, _) => integers!(TimestampMicrosecondType),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => integers!(TimestampNanosecondType),
        DataType::Float32 => values!(column.as_primitive::<Float32Type>(), |value: f32| u64::from(value.to_bits())),
        DataType::Float64 => values!(column.as_primitive::<Float64Type>(), f64::to_bits),
        DataType::Decimal128(..) => {
            values!(column.as_primitive::<Decimal128Type>(), |value: i128| hash_bytes(&value.to_le_bytes()))
        }
        DataType::Decimal256(..) => {
            values!(column.as_primitive::<Decimal256Type>(), |value: i256| hash_bytes(&value.to_le_bytes()))
        }
        DataType::Utf8 => values!(column.as_string::<i32>(), |value: &str| hash_bytes(value.as_bytes())),
        DataType::LargeUtf8 => values!(column.as_string::<i64>(), |value: &str| hash_bytes(value.as_bytes())),
        DataType::Utf8View => values!(column.as_string_view(), |value: &str| hash_bytes(value.as_bytes())),
        DataType::Binary => values!(column.as_binary::<i32>(), hash_bytes),
        DataType::LargeBinary => values!(column.as_binary::<i64>(), hash_bytes),
        DataType::BinaryView => values!(column.as_binary_view(), hash_bytes),
        _ => {
            // Nested types and intervals by their text.
            let options = FormatOptions::new();
            let texts = ArrayFormatter::try_new(column, &options)?;
            for (row, hash) in hashes.iter_mut().enumerate() {
                let value = match column.is_null(row) {
                    true => NULL,
                    false => hash_bytes(texts.value(row).try_to_string()?.as_bytes()),
                };
                *hash = mix(*hash ^ value);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
