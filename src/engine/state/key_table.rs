//! Finds the group of a key: keys in Arrow's row format, one behind the other in an arena, and a hash table of group numbers.
//! A group's number stays while the group is here and is given to another one afterwards. Knows nothing of aggregates.

use std::hash::BuildHasher;
use std::ops::Range;

use hashbrown::{DefaultHashBuilder, HashTable};

/// Below this much garbage the arena is left alone.
const GARBAGE_MIN: usize = 64 * 1024;

/// See the module.
#[derive(Default)]
pub struct KeyTable {
    index: HashTable<u32>,
    hasher: DefaultHashBuilder,
    slots: Vec<Slot>,
    arena: Vec<u8>,
    /// Bytes of the arena that belong to keys that are gone.
    garbage: usize,
    free: Vec<u32>,
}

/// Where a group's key is.
#[derive(Clone, Copy)]
struct Slot {
    offset: usize,
    /// No group if [`UNUSED`].
    length: u32,
    hash: u32,
}

const UNUSED: u32 = u32::MAX;

impl Slot {
    fn is_used(self) -> bool {
        self.length != UNUSED
    }

    fn range(self) -> Range<usize> {
        self.offset..self.offset + self.length as usize
    }
}

/// What the hash table takes its places (low bits) and tags (high bits) from.
fn spread(hash: u32) -> u64 {
    u64::from(hash) << 32 | u64::from(hash)
}

impl KeyTable {
    /// The group of a key.
    #[inline]
    pub fn find(&self, key: &[u8]) -> Option<u32> {
        self.index.find(spread(self.hash(key)), |group| self.key(*group) == key).copied()
    }

    /// The group of a key, which is made if there is none; whether it was made.
    #[inline]
    pub fn intern(&mut self, key: &[u8]) -> (u32, bool) {
        let hash = self.hash(key);
        match self.index.find(spread(hash), |group| self.key(*group) == key) {
            Some(group) => (*group, false),
            None => (self.insert(hash, key), true),
        }
    }

    #[inline]
    fn hash(&self, key: &[u8]) -> u32 {
        self.hasher.hash_one(key) as u32
    }

    fn insert(&mut self, hash: u32, key: &[u8]) -> u32 {
        let length = u32::try_from(key.len()).ok().filter(|length| *length != UNUSED);
        let slot = Slot { offset: self.arena.len(), length: length.expect("a key has less than 4 GB"), hash };
        self.arena.extend_from_slice(key);
        let group = match self.free.pop() {
            Some(group) => {
                self.slots[group as usize] = slot;
                group
            }
            None => {
                self.slots.push(slot);
                (self.slots.len() - 1) as u32
            }
        };
        let slots = &self.slots;
        self.index.insert_unique(spread(hash), group, |group| spread(slots[*group as usize].hash));
        group
    }

    /// The key of a group.
    #[inline]
    pub fn key(&self, group: u32) -> &[u8] {
        &self.arena[self.slots[group as usize].range()]
    }

    /// Takes a group away; its number may be given to another one.
    pub fn remove(&mut self, group: u32) {
        let slot = &mut self.slots[group as usize];
        if !slot.is_used() {
            return;
        }
        self.garbage += slot.length as usize;
        slot.length = UNUSED;
        if let Ok(entry) = self.index.find_entry(spread(slot.hash), |other| *other == group) {
            entry.remove();
        }
        self.free.push(group);
        if self.garbage > GARBAGE_MIN && self.garbage > self.arena.len() / 2 {
            self.compact();
        }
    }

    fn compact(&mut self) {
        let mut arena = Vec::with_capacity(self.arena.len() - self.garbage);
        for slot in &mut self.slots {
            if slot.is_used() {
                let offset = arena.len();
                arena.extend_from_slice(&self.arena[slot.range()]);
                slot.offset = offset;
            }
        }
        self.arena = arena;
        self.garbage = 0;
    }

    /// Whether a number belongs to a group.
    pub fn contains(&self, group: u32) -> bool {
        self.slots.get(group as usize).is_some_and(|slot| slot.is_used())
    }

    /// How many groups there are.
    pub fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Numbers given out so far: all groups are below.
    pub fn slots(&self) -> usize {
        self.slots.len()
    }

    /// Bytes in memory.
    pub fn memory_bytes(&self) -> usize {
        self.arena.capacity()
            + self.slots.capacity() * size_of::<Slot>()
            + self.index.allocation_size()
            + self.free.capacity() * size_of::<u32>()
    }
}
