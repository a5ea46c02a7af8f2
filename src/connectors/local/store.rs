//! Rows of local tables on disk: one file of redb in the data directory, in it a table for each of ours under its id. A commit is all
//! or nothing under kill -9, and durable when it returns. Everything here blocks. Knows keys and bytes, no rows.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use redb::backends::InMemoryBackend;
use redb::{
    Builder, Database, ReadOnlyTable, ReadTransaction, ReadableDatabase, TableDefinition, TableError, TableHandle,
};

use super::changes::TableChanges;
use crate::error::{Error, Result, SqlState};

/// Pages that are kept in memory.
const CACHE_BYTES: usize = 32 << 20;

type Entries<'a> = TableDefinition<'a, &'static [u8], &'static [u8]>;

/// Rows of one table as they were at one moment.
pub type StoredTable = ReadOnlyTable<&'static [u8], &'static [u8]>;

/// Where rows are.
pub struct LocalStore {
    /// The file; absent: memory.
    path: Option<PathBuf>,
    /// Opened when there is something to read, made when there is something to write.
    database: Mutex<Option<Arc<Database>>>,
    writer: Arc<tokio::sync::Mutex<()>>,
}

/// The right to change rows, of which there is one.
pub type Writer = tokio::sync::OwnedMutexGuard<()>;

impl LocalStore {
    /// In memory, for as long as this is there.
    pub fn in_memory() -> Arc<Self> {
        Arc::new(Self { path: None, database: Mutex::default(), writer: Arc::default() })
    }

    /// In a file, which is made by the first commit.
    ///
    /// # Errors
    /// The file is there and cannot be opened.
    pub fn open(path: PathBuf) -> Result<Arc<Self>> {
        let is_there = path.exists();
        let store = Self { path: Some(path), database: Mutex::default(), writer: Arc::default() };
        if is_there {
            store.made()?;
        }
        Ok(Arc::new(store))
    }

    /// Waits for the right to change rows.
    pub async fn writer(&self) -> Writer {
        Arc::clone(&self.writer).lock_owned().await
    }

    /// The database; made if it is not there.
    fn made(&self) -> Result<Arc<Database>> {
        let mut database = self.database.lock();
        if let Some(database) = database.as_ref() {
            return Ok(Arc::clone(database));
        }
        let mut builder = Builder::new();
        builder.set_cache_size(CACHE_BYTES);
        let made = match &self.path {
            None => builder.create_with_backend(InMemoryBackend::new()).map_err(failed)?,
            Some(path) => {
                let at = |error: std::io::Error| {
                    Error::unavailable(format!("cannot open {}: {error}", path.display())).code(SqlState::IoError)
                };
                let folder = path.parent().ok_or_else(|| Error::internal("a file without a folder"))?;
                std::fs::create_dir_all(folder).map_err(at)?;
                let is_new = !path.exists();
                let made = builder.create(path).map_err(failed)?;
                if is_new {
                    // Else the file itself could be gone after a power cut.
                    File::open(folder).and_then(|folder| folder.sync_all()).map_err(at)?;
                }
                made
            }
        };
        let made = Arc::new(made);
        *database = Some(Arc::clone(&made));
        Ok(made)
    }

    /// What was committed until now; absent: nothing ever was.
    ///
    /// # Errors
    /// The disk fails.
    pub fn snapshot(&self) -> Result<Option<Arc<ReadTransaction>>> {
        let database = self.database.lock().clone();
        let begin = |database: Arc<Database>| database.begin_read().map(Arc::new).map_err(failed);
        database.map(begin).transpose()
    }

    /// One table as it was at that moment; absent: it had no rows.
    ///
    /// # Errors
    /// The disk fails.
    pub fn table(snapshot: &ReadTransaction, id: &str) -> Result<Option<StoredTable>> {
        match snapshot.open_table(Entries::new(id)) {
            Ok(table) => Ok(Some(table)),
            Err(TableError::TableDoesNotExist(_)) => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    /// Commits changes, by the ids of their tables: all of them, durable when it returns, or none.
    ///
    /// # Errors
    /// The disk fails.
    pub fn commit(&self, changes: &BTreeMap<String, TableChanges>) -> Result<()> {
        if changes.values().all(TableChanges::is_nothing) {
            return Ok(());
        }
        let transaction = self.made()?.begin_write().map_err(failed)?;
        for (id, changes) in changes {
            if changes.is_emptied() {
                transaction.delete_table(Entries::new(id)).map_err(failed)?;
            }
            if changes.entries().is_empty() {
                continue;
            }
            let mut table = transaction.open_table(Entries::new(id)).map_err(failed)?;
            for (key, value) in changes.entries() {
                match value {
                    Some(value) => drop(table.insert(key.as_slice(), value.as_slice()).map_err(failed)?),
                    None => drop(table.remove(key.as_slice()).map_err(failed)?),
                }
            }
        }
        transaction.commit().map_err(failed)
    }

    /// Forgets the rows of all tables but those that are `known` by their ids.
    ///
    /// # Errors
    /// The disk fails.
    pub fn keep_only(&self, known: &dyn Fn(&str) -> bool) -> Result<()> {
        let Some(snapshot) = self.snapshot()? else { return Ok(()) };
        let tables = snapshot.list_tables().map_err(failed)?;
        let unknown: Vec<String> = tables.map(|table| table.name().to_owned()).filter(|id| !known(id)).collect();
        self.forget(unknown.iter().map(String::as_str))
    }

    /// Forgets the rows of tables.
    ///
    /// # Errors
    /// The disk fails.
    pub fn forget<'a>(&self, tables: impl Iterator<Item = &'a str>) -> Result<()> {
        let mut emptied = TableChanges::default();
        emptied.clear();
        self.commit(&tables.map(|id| (id.to_owned(), emptied.clone())).collect())
    }
}

/// An error of redb's as one of ours.
pub fn failed(error: impl Into<redb::Error>) -> Error {
    let error = error.into();
    let text = format!("the rows of local tables: {error}");
    match &error {
        redb::Error::Corrupted(_) | redb::Error::UpgradeRequired(_) => {
            Error::corrupt(text).code(SqlState::DataCorrupted)
        }
        redb::Error::Io(io) if io.kind() == std::io::ErrorKind::StorageFull => {
            Error::unavailable(text).code(SqlState::DiskFull)
        }
        redb::Error::Io(_) | redb::Error::PreviousIo => Error::unavailable(text).code(SqlState::IoError),
        _ => Error::internal(text),
    }
}

#[cfg(test)]
mod tests;
