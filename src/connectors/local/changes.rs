//! What a transaction has changed in one table and not committed. Knows keys and bytes, no rows.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

/// What is stored under a key.
pub type Bytes = Vec<u8>;

/// Changes of one table. Cheap to clone; a change of a clone copies what both hold.
#[derive(Debug, Clone, Default)]
pub struct TableChanges {
    /// Whether nothing of what was committed before counts.
    is_emptied: bool,
    /// The value under a key, or that there is none any more.
    entries: Arc<BTreeMap<Bytes, Option<Bytes>>>,
    bytes: usize,
}

/// What an entry costs beside its bytes.
pub(super) const ENTRY_BYTES: usize = 96;

impl TableChanges {
    /// Whether nothing has changed.
    pub fn is_nothing(&self) -> bool {
        !self.is_emptied && self.entries.is_empty()
    }

    /// Whether nothing of what was committed before counts.
    pub fn is_emptied(&self) -> bool {
        self.is_emptied
    }

    /// About how much memory they hold.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// What was changed, in the order of the keys.
    pub fn entries(&self) -> &BTreeMap<Bytes, Option<Bytes>> {
        &self.entries
    }

    /// What became of a key; absent: nothing.
    pub fn get(&self, key: &[u8]) -> Option<Option<&Bytes>> {
        self.entries.get(key).map(Option::as_ref)
    }

    /// What became of the keys of a range.
    pub fn range(&self, from: &[u8], until: &[u8]) -> impl DoubleEndedIterator<Item = (&Bytes, Option<&Bytes>)> {
        let range = self.entries.range::<[u8], _>((Bound::Included(from), Bound::Excluded(until)));
        range.map(|(key, value)| (key, value.as_ref()))
    }

    /// Sets a value, or takes it away.
    pub fn set(&mut self, key: Bytes, value: Option<Bytes>) {
        let of_value = |value: &Option<Bytes>| value.as_ref().map_or(0, Vec::len);
        let (length, new) = (key.len(), of_value(&value));
        match Arc::make_mut(&mut self.entries).insert(key, value) {
            Some(old) => self.bytes = self.bytes + new - of_value(&old),
            None => self.bytes += ENTRY_BYTES + length + new,
        }
    }

    /// Takes everything away.
    pub fn clear(&mut self) {
        *self = Self { is_emptied: true, ..Self::default() };
    }
}
