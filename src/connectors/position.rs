//! Where to go on in a split: a place between two of its records, in the terms of the connector that reads it. Positions of one split are
//! ordered; positions of different kinds are not, and two of them in one split are an error that says so. Knows no outside system.
//! The one thing to get right: no position means "the beginning". Where nothing was read yet there is none, or an explicit [`super::Start`].

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use serde::de::{self, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::{Error, Result};

/// Digits of a sequence number at most.
pub const SEQUENCE_DIGITS_MAX: usize = 40;

/// Where to go on in a split; everything before it was read.
///
/// Stored as JSON: an offset as a number, which is all that former versions had; a sequence number as `{"sequence":"…"}`; a place in a
/// file as `{"file":"…","place":…}`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Position {
    /// Before the record with this number, which is 0 or more: Kafka's offset, a row of a generator.
    Offset(i64),
    /// Behind the record with this number.
    Sequence(SequenceNumber),
    /// So far into a file of the split. Files are read in the order of their names, byte by byte.
    File {
        /// Its name within the split.
        name: Arc<str>,
        /// How much of it lies before, in the reader's unit: bytes, lines.
        place: u64,
    },
}

impl Position {
    /// A place in a file.
    pub fn in_file(name: &str, place: u64) -> Self {
        Self::File { name: name.into(), place }
    }

    /// Which of two positions of one split comes first.
    ///
    /// # Errors
    /// They are of different kinds (`Corrupt`): what is stored of the split was not written for its source.
    pub fn compare(&self, other: &Self) -> Result<Ordering> {
        match (self, other) {
            (Self::Offset(one), Self::Offset(other)) => Ok(one.cmp(other)),
            (Self::Sequence(one), Self::Sequence(other)) => Ok(one.cmp(other)),
            (Self::File { name: one, place }, Self::File { name: other, place: there }) => {
                Ok(one.cmp(other).then(place.cmp(there)))
            }
            (Self::Offset(_) | Self::Sequence(_) | Self::File { .. }, _) => Err(Error::corrupt(format!(
                "{} and {} cannot both be positions of one split",
                self.described(),
                other.described()
            ))
            .hint("The checkpoint is damaged, or was written for another kind of source: DROP JOB and submit the statement again.")),
        }
    }

    /// Whether everything before `other` lies before this position, too.
    ///
    /// # Errors
    /// As [`Self::compare`].
    pub fn reaches(&self, other: &Self) -> Result<bool> {
        Ok(self.compare(other)? != Ordering::Less)
    }

    /// The one that comes first.
    ///
    /// # Errors
    /// As [`Self::compare`].
    pub fn earlier(self, other: Self) -> Result<Self> {
        Ok(if self.reaches(&other)? { other } else { self })
    }

    /// The one that comes last.
    ///
    /// # Errors
    /// As [`Self::compare`].
    pub fn later(self, other: Self) -> Result<Self> {
        Ok(if self.reaches(&other)? { self } else { other })
    }

    /// How many records lie between `earlier` and this position, 0 if it does not come first; absent where positions do not count records.
    pub fn records_since(&self, earlier: &Self) -> Option<u64> {
        match (self, earlier) {
            (Self::Offset(end), Self::Offset(earlier)) => {
                Some(end.checked_sub(*earlier).and_then(|records| u64::try_from(records).ok()).unwrap_or(0))
            }
            _ => None,
        }
    }

    /// The offset, if it is one.
    pub fn offset(&self) -> Option<i64> {
        match self {
            Self::Offset(offset) => Some(*offset),
            _ => None,
        }
    }

    /// The offset of a source that has nothing else.
    ///
    /// # Errors
    /// It is none (`Corrupt`): the position was stored for another kind of source than the one that reads `split` now.
    pub fn expect_offset(&self, split: &str) -> Result<i64> {
        self.offset().ok_or_else(|| {
            Error::corrupt(format!(
                "the stored position of {split} is {}, but its source goes on at offsets",
                self.described()
            ))
            .hint("The checkpoint was written for another kind of source: DROP JOB and submit the statement again.")
        })
    }

    /// With the word for its kind, for messages: `offset 42`.
    pub fn described(&self) -> String {
        match self {
            Self::Offset(offset) => format!("offset {offset}"),
            Self::Sequence(number) => format!("sequence number {number}"),
            Self::File { name, place } => format!("place {place} of file \"{name}\""),
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Offset(offset) => write!(f, "{offset}"),
            Self::Sequence(number) => write!(f, "{number}"),
            Self::File { name, place } => write!(f, "{name}:{place}"),
        }
    }
}

impl Serialize for Position {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Offset(offset) => serializer.serialize_i64(*offset),
            Self::Sequence(number) => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry("sequence", number.as_str())?;
                map.end()
            }
            Self::File { name, place } => {
                let mut map = serializer.serialize_map(Some(2))?;
                map.serialize_entry("file", &**name)?;
                map.serialize_entry("place", place)?;
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Position {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Stored)
    }
}

/// Reads the stored form.
struct Stored;

impl<'de> Visitor<'de> for Stored {
    type Value = Position;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a position: an offset, a sequence number or a place in a file")
    }

    fn visit_i64<E: de::Error>(self, offset: i64) -> Result<Position, E> {
        if offset < 0 {
            return Err(E::custom(format!("offset {offset} is below 0")));
        }
        Ok(Position::Offset(offset))
    }

    fn visit_u64<E: de::Error>(self, offset: u64) -> Result<Position, E> {
        let offset = i64::try_from(offset).map_err(|_| E::custom(format!("offset {offset} is too large")))?;
        self.visit_i64(offset)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Position, A::Error> {
        let (mut sequence, mut file, mut place): (Option<String>, Option<String>, Option<u64>) = (None, None, None);
        while let Some(field) = map.next_key::<String>()? {
            match field.as_str() {
                "sequence" if sequence.is_none() => sequence = Some(map.next_value()?),
                "file" if file.is_none() => file = Some(map.next_value()?),
                "place" if place.is_none() => place = Some(map.next_value()?),
                other => return Err(de::Error::custom(format!("a position has no field \"{other}\" here"))),
            }
        }
        match (sequence, file, place) {
            (Some(number), None, None) => {
                SequenceNumber::new(&number).map(Position::Sequence).map_err(|error| de::Error::custom(error.message()))
            }
            (None, Some(name), Some(place)) => Ok(Position::File { name: name.into(), place }),
            _ => Err(de::Error::custom("this is no position")),
        }
    }
}

/// A number of up to 40 decimal digits that an outside system gives its records. Kept as it was given, with leading zeros; compared as a number.
#[derive(Debug, Clone)]
pub struct SequenceNumber(Arc<str>);

impl SequenceNumber {
    /// The number that a text gives.
    ///
    /// # Errors
    /// It is empty, longer than 40 characters, or has something else than digits (`Invalid`).
    pub fn new(text: &str) -> Result<Self> {
        let is_number =
            (1..=SEQUENCE_DIGITS_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number {
            return Err(Error::invalid(format!(
                "\"{text}\" is no sequence number of 1 to {SEQUENCE_DIGITS_MAX} digits"
            )));
        }
        Ok(Self(text.into()))
    }

    /// As it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn significant(&self) -> &str {
        self.0.trim_start_matches('0')
    }
}

impl fmt::Display for SequenceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Ord for SequenceNumber {
    fn cmp(&self, other: &Self) -> Ordering {
        let (one, other) = (self.significant(), other.significant());
        one.len().cmp(&other.len()).then_with(|| one.cmp(other))
    }
}

impl PartialOrd for SequenceNumber {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for SequenceNumber {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for SequenceNumber {}

impl std::hash::Hash for SequenceNumber {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.significant().hash(state);
    }
}

#[cfg(test)]
mod tests;
