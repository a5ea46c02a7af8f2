//! Local tables as one statement sees them: what was committed at one moment, under what the session's transaction has changed.
//! Reading blocks. Knows keys and bytes, no rows.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use parking_lot::Mutex;
use redb::ReadTransaction;

use super::changes::{Bytes, TableChanges};
use super::store::{LocalStore, StoredTable, failed};
use crate::error::Result;

/// Committed rows of a table in memory.
pub type InMemory = BTreeMap<Bytes, Bytes>;

/// What one statement sees. An extension of its configuration, where scans find it.
pub struct LocalView {
    store: Arc<LocalStore>,
    /// What the transaction has changed, by table.
    changes: BTreeMap<String, TableChanges>,
    /// Committed rows of the session's temporary tables.
    temporary: BTreeMap<String, Arc<InMemory>>,
    /// What was committed when the statement read first.
    committed: Mutex<Option<Option<Arc<ReadTransaction>>>>,
}

impl LocalView {
    /// What was committed, and changes over it.
    pub fn new(
        store: Arc<LocalStore>,
        changes: BTreeMap<String, TableChanges>,
        temporary: BTreeMap<String, Arc<InMemory>>,
    ) -> Self {
        Self { store, changes, temporary, committed: Mutex::default() }
    }

    /// One table.
    ///
    /// # Errors
    /// The disk fails.
    pub fn table(&self, id: &str) -> Result<TableView> {
        let changes = self.changes.get(id).cloned().unwrap_or_default();
        if let Some(rows) = self.temporary.get(id) {
            return Ok(TableView { base: Base::Memory(Arc::clone(rows)), changes });
        }
        let snapshot = {
            let mut committed = self.committed.lock();
            match committed.as_ref() {
                Some(snapshot) => snapshot.clone(),
                None => committed.insert(self.store.snapshot()?).clone(),
            }
        };
        let base = match snapshot {
            Some(snapshot) => LocalStore::table(&snapshot, id)?.map_or(Base::Empty, Base::Stored),
            None => Base::Empty,
        };
        Ok(TableView { base, changes })
    }
}

enum Base {
    Empty,
    Memory(Arc<InMemory>),
    Stored(StoredTable),
}

/// One table as a statement sees it, and as the statement changes it.
pub struct TableView {
    base: Base,
    changes: TableChanges,
}

/// What comes of an entry that was visited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visit {
    /// The next one.
    Next,
    /// No more.
    Stop,
}

/// A function that is given entries.
pub type Visitor<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> Result<Visit>;

impl TableView {
    /// The same table under other changes.
    #[must_use]
    pub fn with_changes(self, changes: TableChanges) -> Self {
        Self { changes, ..self }
    }

    /// All that has changed.
    pub fn into_changes(self) -> TableChanges {
        self.changes
    }

    /// The value under a key.
    ///
    /// # Errors
    /// The disk fails.
    pub fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        if let Some(changed) = self.changes.get(key) {
            return Ok(changed.cloned());
        }
        if self.changes.is_emptied() {
            return Ok(None);
        }
        match &self.base {
            Base::Empty => Ok(None),
            Base::Memory(rows) => Ok(rows.get(key).cloned()),
            Base::Stored(table) => Ok(table.get_owned(key).map_err(failed)?.map(|value| value.value().to_vec())),
        }
    }

    /// Visits the entries of a range in the order of their keys.
    ///
    /// # Errors
    /// The disk fails, or the visitor does.
    pub fn visit(&self, from: &[u8], until: &[u8], visit: Visitor<'_>) -> Result<()> {
        let mut changed = self.changes.range(from, until).peekable();
        let mut of_base = |key: &[u8], value: &[u8]| -> Result<Visit> {
            // What changed before this key, then the key itself unless it changed.
            while let Some((at, new)) = changed.next_if(|(at, _)| at.as_slice() <= key) {
                if let Some(new) = new
                    && visit(at, new)? == Visit::Stop
                {
                    return Ok(Visit::Stop);
                }
                if at == key {
                    return Ok(Visit::Next);
                }
            }
            visit(key, value)
        };
        let is_read = !self.changes.is_emptied();
        match &self.base {
            Base::Memory(rows) if is_read => {
                for (key, value) in rows.range::<[u8], _>((Bound::Included(from), Bound::Excluded(until))) {
                    if of_base(key, value)? == Visit::Stop {
                        return Ok(());
                    }
                }
            }
            Base::Stored(table) if is_read => {
                for entry in table.range::<&[u8]>(from..until).map_err(failed)? {
                    let (key, value) = entry.map_err(failed)?;
                    if of_base(key.value(), value.value())? == Visit::Stop {
                        return Ok(());
                    }
                }
            }
            _ => {}
        }
        for (key, value) in changed {
            if let Some(value) = value
                && visit(key, value)? == Visit::Stop
            {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Sets a value, or takes it away.
    pub fn set(&mut self, key: Bytes, value: Option<Bytes>) {
        self.changes.set(key, value);
    }

    /// Takes everything away.
    pub fn clear(&mut self) {
        self.changes.clear();
    }

    /// About how much memory its changes hold.
    pub fn changed_bytes(&self) -> usize {
        self.changes.bytes()
    }
}

#[cfg(test)]
mod tests;
