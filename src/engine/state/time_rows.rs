//! The rows of each key in the order of their times: put anywhere, read between two times, taken away before a time. For OVER,
//! interval joins and windows. Rows of one time keep the order in which they came. Times are whole numbers in a unit of the
//! operator's choice, milliseconds where a table forgets keys by them.

use std::ops::Bound;

use super::key_rows::KeyRowsIter;
use super::keyed_state::{KeyedState, RowStore, StateBytes};
use super::part_codec::{PartCodec, Sequence, Time};
use super::row_map::RowMap;

/// See the module. Stored: key, time, sequence, the codec's columns.
pub struct TimeRows<R: PartCodec> {
    map: RowMap<(Time, Sequence), R>,
    /// Number of the next row, over all keys.
    sequence: u64,
}

impl<R: PartCodec> TimeRows<R> {
    /// Rows of a codec.
    pub fn new(codec: R) -> Self {
        Self { map: RowMap::new((Time, Sequence), codec), sequence: 0 }
    }

    /// The codec.
    pub fn codec(&self) -> &R {
        self.map.row_codec()
    }

    /// Adds a row behind all others of its time, and gives its place.
    pub fn insert(&mut self, slot: u32, time: i64, row: R::Part) -> (i64, u64) {
        // Restored rows of this key have smaller numbers; those of other keys do not matter.
        let behind = self.range(slot, time, time).next_back().map_or(0, |((_, last), _)| last + 1);
        self.sequence = self.sequence.max(behind);
        let place = (time, self.sequence);
        self.sequence += 1;
        self.map.insert(slot, place, row);
        place
    }

    /// Takes out the row at a place.
    pub fn remove(&mut self, slot: u32, place: (i64, u64)) -> Option<R::Part> {
        self.map.remove(slot, &place)
    }

    /// The rows of a key, oldest first.
    pub fn iter(&self, slot: u32) -> KeyRowsIter<'_, (i64, u64), R::Part> {
        self.map.iter(slot)
    }

    /// Those from one time to another, both included; none if the first is behind the second.
    pub fn range(&self, slot: u32, from: i64, to: i64) -> KeyRowsIter<'_, (i64, u64), R::Part> {
        let (from, to) = ((from, 0), (to, u64::MAX));
        match from <= to {
            true => self.map.range(slot, Bound::Included(&from), Bound::Included(&to)),
            false => KeyRowsIter::Few(Default::default()),
        }
    }

    /// Takes out the rows of a key that are older than a time, and gives them.
    pub fn prune(&mut self, slot: u32, before: i64) -> Vec<((i64, u64), R::Part)> {
        self.map.remove_before(slot, &(before, 0))
    }

    /// The time of a key's oldest row.
    pub fn oldest(&self, slot: u32) -> Option<i64> {
        self.iter(slot).next().map(|((time, _), _)| *time)
    }

    /// Rows, on disk too.
    pub fn rows_in_all(&self) -> u64 {
        self.map.rows_in_all()
    }
}

impl<R: PartCodec> KeyedState for TimeRows<R> {
    fn resize(&mut self, slots: usize) {
        self.map.resize(slots);
    }

    fn is_kept(&self, slot: u32) -> bool {
        self.map.is_kept(slot)
    }

    fn reset(&mut self, slot: u32) {
        self.map.reset(slot);
    }

    fn bytes(&self) -> StateBytes {
        self.map.bytes()
    }

    fn newest_ms(&self, slot: u32) -> Option<i64> {
        self.iter(slot).next_back().map(|((time, _), _)| *time)
    }

    fn stores(&mut self) -> Vec<&mut dyn RowStore> {
        self.map.stores()
    }
}
