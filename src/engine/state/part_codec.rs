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

    /// How many columns a part is stored in.
    fn width(&self) -> usize;

    /// The columns of parts, NULL where there is none.
    ///
    /// # Errors
    /// An internal error.
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

    /// Takes what [`Self::put`] wrote; `None` if it was not written by this.
    fn take(bytes: &mut &[u8]) -> Option<Self::Part>;
}

/// Any columns, in Arrow's row format.
impl PartCodec for Codec {
    type Part = Encoded;

    fn width(&self) -> usize {
        self.column_count()
    }

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

            fn width(&self) -> usize {
                1
            }

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

number_codec!(
    /// A row's time in the unit of its operator, as Int64.
    Time, i64, Int64Array, Int64Type
);

/// One part behind another: a row with the number of its partners, a time with a sequence.
impl<A: PartCodec, B: PartCodec> PartCodec for (A, B) {
    type Part = (A::Part, B::Part);

    fn width(&self) -> usize {
        self.0.width() + self.1.width()
    }

    fn columns<'a>(&'a self, parts: impl Iterator<Item = Option<&'a Self::Part>>) -> Result<Vec<ArrayRef>>
    where
        Self::Part: 'a,
    {
        let (first, second): (Vec<_>, Vec<_>) =
            parts.map(|part| part.map(|(first, second)| (first, second)).unzip()).unzip();
        let mut columns = self.0.columns(first.into_iter())?;
        columns.extend(self.1.columns(second.into_iter())?);
        Ok(columns)
    }

    fn parts(&self, columns: &[ArrayRef], rows: usize) -> Result<Vec<Self::Part>> {
        let (first, second) = columns.split_at_checked(self.0.width()).ok_or_else(misfit)?;
        Ok(self.0.parts(first, rows)?.into_iter().zip(self.1.parts(second, rows)?).collect())
    }

    fn heap_bytes((first, second): &Self::Part) -> usize {
        A::heap_bytes(first) + B::heap_bytes(second)
    }

    fn put((first, second): &Self::Part, bytes: &mut Vec<u8>) {
        A::put(first, bytes);
        B::put(second, bytes);
    }

    fn take(bytes: &mut &[u8]) -> Option<Self::Part> {
        Some((A::take(bytes)?, B::take(bytes)?))
    }
}

fn column_of(columns: &[ArrayRef], place: usize) -> Result<&dyn Array> {
    Ok(columns.get(place).ok_or_else(misfit)?.as_ref())
}

pub(super) fn misfit() -> Error {
    Error::internal("a row of keyed state has fewer columns than its codec")
}

#[cfg(test)]
mod tests;
