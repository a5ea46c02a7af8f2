//! How one part of a keyed table's row, its sub-key or what stands behind it, is kept in memory, stored in columns, and written
//! to local disk for this run. An operator chooses codecs and needs no code of its own for state.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Int64Array, UInt64Array};
use datafusion::arrow::datatypes::{Int64Type, UInt64Type};

use super::encoded::{Codec, Encoded};
use super::spill;
use crate::error::{Error, Result};

/// See the module.
pub trait PartCodec: Send {
    /// The form in memory.
    type Part: Clone + Send;

    /// The columns of parts, NULL where there is none.
    ///
    /// # Errors
    /// A defect of ours.
    fn columns<'a>(&'a self, parts: impl Iterator<Item = Option<&'a Self::Part>>) -> Result<Vec<ArrayRef>>
    where
        Self::Part: 'a;

    /// The parts of `rows` rows of such columns. What is made of NULLs of [`Self::columns`] does not matter.
    ///
    /// # Errors
    /// The columns are others.
    fn parts(&self, columns: &[ArrayRef], rows: usize) -> Result<Vec<Self::Part>>;

    /// Bytes of a part beside those of its type.
    fn heap_bytes(part: &Self::Part) -> usize;

    /// Writes a part behind other bytes.
    fn put(part: &Self::Part, bytes: &mut Vec<u8>);

    /// Takes what [`Self::put`] wrote; `None` if it is none of ours.
    fn take(bytes: &mut &[u8]) -> Option<Self::Part>;
}

/// Any columns, in Arrow's row format.
impl PartCodec for Codec {
    type Part = Encoded;

    fn columns<'a>(&'a self, parts: impl Iterator<Item = Option<&'a Encoded>>) -> Result<Vec<ArrayRef>> {
        self.decode_optional(parts.map(|part| part.map(AsRef::as_ref)))
    }

    fn parts(&self, columns: &[ArrayRef], rows: usize) -> Result<Vec<Encoded>> {
        let encoded = self.encode(columns)?;
        Ok((0..rows).map(|row| encoded.row(row).into()).collect())
    }

    fn heap_bytes(part: &Encoded) -> usize {
        // What the allocator rounds up included.
        part.len() + 8
    }

    fn put(part: &Encoded, bytes: &mut Vec<u8>) {
        spill::put(bytes, part);
    }

    fn take(bytes: &mut &[u8]) -> Option<Encoded> {
        spill::take(bytes).map(Encoded::from)
    }
}

/// A codec of one number, in a column of its own type.
macro_rules! number_codec {
    ($(#[$doc:meta])* $codec:ident, $number:ty, $array:ty, $arrow:ty) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $codec;

        impl PartCodec for $codec {
            type Part = $number;

            fn columns<'a>(&'a self, parts: impl Iterator<Item = Option<&'a $number>>) -> Result<Vec<ArrayRef>> {
                Ok(vec![Arc::new(parts.map(|part| part.copied()).collect::<$array>())])
            }

            fn parts(&self, columns: &[ArrayRef], _rows: usize) -> Result<Vec<$number>> {
                Ok(column_of(columns, 0)?.as_primitive::<$arrow>().values().to_vec())
            }

            fn heap_bytes(_part: &$number) -> usize {
                0
            }

            fn put(part: &$number, bytes: &mut Vec<u8>) {
                bytes.extend_from_slice(&part.to_le_bytes());
            }

            fn take(bytes: &mut &[u8]) -> Option<$number> {
                let (part, rest) = bytes.split_first_chunk()?;
                *bytes = rest;
                Some(<$number>::from_le_bytes(*part))
            }
        }
    };
}

number_codec!(
    /// How often a row is there, as Int64.
    Count, i64, Int64Array, Int64Type
);

number_codec!(
    /// A row's number in the order of arrival, as UInt64.
    Sequence, u64, UInt64Array, UInt64Type
);

/// A row's place in the order of time: its time as Int64, in the unit of the operator, then its number among all rows as UInt64.
#[derive(Debug)]
pub struct TimeAndSequence;

impl PartCodec for TimeAndSequence {
    type Part = (i64, u64);

    fn columns<'a>(&'a self, parts: impl Iterator<Item = Option<&'a (i64, u64)>>) -> Result<Vec<ArrayRef>> {
        let (times, sequences): (Vec<Option<i64>>, Vec<Option<u64>>) =
            parts.map(|part| part.map(|(time, sequence)| (*time, *sequence)).unzip()).unzip();
        Ok(vec![Arc::new(Int64Array::from(times)), Arc::new(UInt64Array::from(sequences))])
    }

    fn parts(&self, columns: &[ArrayRef], _rows: usize) -> Result<Vec<(i64, u64)>> {
        let times = column_of(columns, 0)?.as_primitive::<Int64Type>().values();
        let sequences = column_of(columns, 1)?.as_primitive::<UInt64Type>().values();
        Ok(times.iter().copied().zip(sequences.iter().copied()).collect())
    }

    fn heap_bytes(_part: &(i64, u64)) -> usize {
        0
    }

    fn put((time, sequence): &(i64, u64), bytes: &mut Vec<u8>) {
        Count::put(time, bytes);
        Sequence::put(sequence, bytes);
    }

    fn take(bytes: &mut &[u8]) -> Option<(i64, u64)> {
        Some((Count::take(bytes)?, Sequence::take(bytes)?))
    }
}

fn column_of(columns: &[ArrayRef], place: usize) -> Result<&dyn Array> {
    let column =
        columns.get(place).ok_or_else(|| Error::internal("a keyed table's row has fewer columns than its codec"))?;
    Ok(column.as_ref())
}
