//! Finds the group of a key: keys in Arrow's row format, one behind the other in an arena, and a hash table of group numbers.
//! A group's number stays while the group is here and is given to another one afterwards. Knows nothing of aggregates.

use std::hash::BuildHasher;

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

#[derive(Clone, Copy)]
struct Slot {
    hash: u64,
    offset: usize,
    length: usize,
    used: bool,
}

impl KeyTable {
    /// The group of a key.
    #[inline]
    pub fn find(&self, key: &[u8]) -> Option<u32> {
        self.index.find(self.hasher.hash_one(key), |group| self.key(*group) == key).copied()
    }

    /// The group of a key, which is made if there is none; whether it was made.
    #[inline]
    pub fn intern(&mut self, key: &[u8]) -> (u32, bool) {
        let hash = self.hasher.hash_one(key);
        match self.index.find(hash, |group| self.key(*group) == key) {
            Some(group) => (*group, false),
            None => (self.insert(hash, key), true),
        }
    }

    fn insert(&mut self, hash: u64, key: &[u8]) -> u32 {
        let slot = Slot { hash, offset: self.arena.len(), length: key.len(), used: true };
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
        self.index.insert_unique(hash, group, |group| slots[*group as usize].hash);
        group
    }

    /// The key of a group.
    #[inline]
    pub fn key(&self, group: u32) -> &[u8] {
        let slot = &self.slots[group as usize];
        &self.arena[slot.offset..slot.offset + slot.length]
    }

    /// Takes a group away; its number may be given to another one.
    pub fn remove(&mut self, group: u32) {
        let slot = &mut self.slots[group as usize];
        if !slot.used {
            return;
        }
        slot.used = false;
        self.garbage += slot.length;
        if let Ok(entry) = self.index.find_entry(slot.hash, |other| *other == group) {
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
            if slot.used {
                let offset = arena.len();
                arena.extend_from_slice(&self.arena[slot.offset..slot.offset + slot.length]);
                slot.offset = offset;
            } else {
                (slot.offset, slot.length) = (0, 0);
            }
        }
        self.arena = arena;
        self.garbage = 0;
    }

    /// Whether a number belongs to a group.
    pub fn contains(&self, group: u32) -> bool {
        self.slots.get(group as usize).is_some_and(|slot| slot.used)
    }

    /// How many groups there are.
    pub fn len(&self) -> usize {
        self.slots.len() - self.free.len()
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
