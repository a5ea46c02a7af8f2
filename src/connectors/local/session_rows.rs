//! What a session has of local tables: what its transaction has changed, the right to change rows while it has, and the rows of its
//! temporary tables. Holds no lock across anything: whoever commits takes what there is out of here first.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::changes::{ENTRY_BYTES, TableChanges};
use super::store::{LocalStore, Writer};
use super::view::{InMemory, LocalView};
use crate::error::Result;

/// Changes of a transaction, by the ids of their tables.
pub type Changes = BTreeMap<String, TableChanges>;

/// See the module.
pub struct SessionRows {
    store: Arc<LocalStore>,
    changes: Changes,
    temporary: BTreeMap<String, Arc<InMemory>>,
    /// Of the rows of temporary tables that are committed.
    temporary_bytes: usize,
    writer: Option<Writer>,
}

/// A transaction's changes of stored tables, on their way to the disk.
pub struct Committing {
    store: Arc<LocalStore>,
    changes: Changes,
    /// Others may change rows when this is dropped.
    _writer: Option<Writer>,
}

impl SessionRows {
    /// Of a session that begins.
    pub fn new(store: Arc<LocalStore>) -> Self {
        Self { store, changes: Changes::new(), temporary: BTreeMap::new(), temporary_bytes: 0, writer: None }
    }

    /// Where committed rows are.
    pub fn store(&self) -> &Arc<LocalStore> {
        &self.store
    }

    /// What a statement that begins now sees.
    pub fn view(&self) -> Arc<LocalView> {
        Arc::new(LocalView::new(Arc::clone(&self.store), self.changes.clone(), self.temporary.clone()))
    }

    /// Whether the transaction may change rows of stored tables.
    pub fn is_writer(&self) -> bool {
        self.writer.is_some()
    }

    /// The transaction may, from now on.
    pub fn set_writer(&mut self, writer: Writer) {
        self.writer = Some(writer);
    }

    /// A temporary table is there, and empty.
    pub fn add_temporary(&mut self, id: String) {
        self.temporary.insert(id, Arc::default());
    }

    /// A temporary table is gone with its rows.
    pub fn drop_temporary(&mut self, id: &str) {
        self.changes.remove(id);
        if let Some(rows) = self.temporary.remove(id) {
            self.temporary_bytes = self.temporary_bytes.saturating_sub(bytes_of(&rows));
        }
    }

    /// Takes the changes of a table out, for the statement that goes on changing it. A statement that fails gives nothing back: its
    /// transaction cannot be committed any more, or goes back to a savepoint.
    pub fn take(&mut self, id: &str) -> TableChanges {
        self.changes.remove(id).unwrap_or_default()
    }

    /// Gives them back.
    pub fn put(&mut self, id: String, changes: TableChanges) {
        self.changes.insert(id, changes);
    }

    /// The changes as they are now, for a savepoint.
    pub fn changes(&self) -> Changes {
        self.changes.clone()
    }

    /// Goes back to a savepoint; tables that are gone since then stay so.
    pub fn restore(&mut self, mut changes: Changes) {
        changes.retain(|id, _| !id.starts_with(TEMPORARY) || self.temporary.contains_key(id));
        self.changes = changes;
    }

    /// About how much memory the session's rows hold that are not on disk.
    pub fn bytes(&self) -> usize {
        let changed: usize = self.changes.values().map(TableChanges::bytes).sum();
        changed + self.temporary_bytes
    }

    /// Forgets what the transaction has changed.
    pub fn roll_back(&mut self) {
        self.changes.clear();
        self.writer = None;
    }

    /// Takes the changes out: those of stored tables on their way to the disk, and those of temporary ones, which [`Self::apply`] takes when
    /// all else of the transaction is committed.
    pub fn commit(&mut self) -> (Committing, Changes) {
        let changes = std::mem::take(&mut self.changes);
        let (temporary, stored) = changes.into_iter().partition(|(id, _)| self.temporary.contains_key(id));
        (Committing { store: Arc::clone(&self.store), changes: stored, _writer: self.writer.take() }, temporary)
    }

    /// Commits changes of temporary tables.
    pub fn apply(&mut self, changes: Changes) {
        for (id, changes) in changes.into_iter().filter(|(_, changes)| !changes.is_nothing()) {
            let Some(rows) = self.temporary.get_mut(&id) else { continue };
            let rows = Arc::make_mut(rows);
            self.temporary_bytes = self.temporary_bytes.saturating_sub(bytes_of(rows));
            if changes.is_emptied() {
                rows.clear();
            }
            for (key, value) in changes.entries() {
                match value {
                    Some(value) => drop(rows.insert(key.clone(), value.clone())),
                    None => drop(rows.remove(key)),
                }
            }
            self.temporary_bytes += bytes_of(rows);
        }
    }
}

fn bytes_of(rows: &InMemory) -> usize {
    rows.iter().map(|(key, value)| ENTRY_BYTES + key.len() + value.len()).sum()
}

/// How ids of temporary tables begin.
pub const TEMPORARY: &str = "temp-";

impl Committing {
    /// Whether there is nothing to write.
    pub fn is_nothing(&self) -> bool {
        self.changes.values().all(TableChanges::is_nothing)
    }

    /// Leaves out the changes of tables that are not there any more.
    pub fn keep_only(&mut self, is_known: impl Fn(&str) -> bool) {
        self.changes.retain(|table, _| is_known(table));
    }

    /// Forgets the rows of tables. Blocking.
    ///
    /// # Errors
    /// The disk fails.
    pub fn forget(&self, tables: &[&str]) -> Result<()> {
        self.store.forget(tables.iter().copied())
    }

    /// Writes, durable when it returns. Blocking.
    ///
    /// # Errors
    /// The disk fails; then nothing is written.
    pub fn write(&self) -> Result<()> {
        self.store.commit(&self.changes)
    }
}
