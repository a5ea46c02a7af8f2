//! The catalog: what it holds now, and how the next moment of it is decided. Every commit is all or nothing under kill -9.
//!
//! A commit keeps the secrets that it refers to, then has the [`CatalogStore`] keep the next snapshot. A crash in between leaves the old
//! catalog and perhaps secrets that nothing refers to; these are swept when the catalog is opened.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};

use super::catalog_store::CatalogStore;
use super::checked_file::unserializable;
use super::directory::{Directory, Marker};
use super::file_store::FileStore;
use super::job::JobEntry;
use super::secrets::Secrets;
use super::snapshot::{Change, Snapshot};
use crate::error::Result;
use crate::options::OptionValue;

/// The catalog. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Catalog {
    state: Arc<RwLock<Arc<Snapshot>>>,
    secrets: Arc<RwLock<Secrets>>,
    /// Held while a commit is kept: one commit at a time.
    store: Arc<Mutex<Box<dyn CatalogStore>>>,
    directory: Arc<Directory>,
    marker: Arc<Mutex<Marker>>,
}

impl Catalog {
    /// Opens (or makes) the catalog in a directory.
    ///
    /// # Errors
    /// The file cannot be read or is gone (`Corrupt`: nothing is overwritten), cannot be written, or another server has it open.
    pub fn open(directory: &Path) -> Result<Self> {
        let taken = Directory::take(directory)?;
        let mut store = FileStore::at(directory);
        let snapshot = store.load()?;
        taken.marker(snapshot.is_some())?;
        let mut secrets = Secrets::open(directory)?;
        let snapshot = match snapshot {
            Some(snapshot) => {
                let text = serde_json::to_string(&snapshot).map_err(unserializable)?;
                // References are UUIDs, so that finding one anywhere (a table, a job's dataflow) means that it is used.
                secrets.sweep(&|reference| text.contains(reference))?;
                snapshot
            }
            None => {
                let snapshot = Snapshot::initial();
                store.keep(&snapshot, &[])?;
                snapshot
            }
        };
        let marker = taken.marker(true)?;
        Ok(Self {
            state: Arc::new(RwLock::new(Arc::new(snapshot))),
            secrets: Arc::new(RwLock::new(secrets)),
            store: Arc::new(Mutex::new(Box::new(store))),
            directory: Arc::new(taken),
            marker: Arc::new(Mutex::new(marker)),
        })
    }

    /// What names this gateway.
    pub fn marker(&self) -> Marker {
        self.marker.lock().clone()
    }

    /// Whether the directory is a copy of one that another gateway may be using. Blocking.
    ///
    /// # Errors
    /// It cannot be looked at.
    pub fn is_copy(&self) -> Result<bool> {
        self.directory.is_copy(&self.marker())
    }

    /// Makes a copy the directory of a gateway of its own. Blocking.
    ///
    /// # Errors
    /// That cannot be noted there.
    pub fn adopt(&self) -> Result<()> {
        *self.marker.lock() = self.directory.adopt()?;
        Ok(())
    }

    /// Whether the directory is still the one that was opened. Blocking.
    ///
    /// # Errors
    /// It was removed or replaced (`Corrupt`).
    pub fn check_directory(&self) -> Result<()> {
        self.directory.check()
    }

    /// What it holds now.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.state.read().clone()
    }

    /// Applies changes, durable when it returns. Blocking (fsync): call it off the async runtime.
    ///
    /// # Errors
    /// A change that does not fit; then none is applied.
    pub fn commit(&self, changes: &[Change]) -> Result<Arc<Snapshot>> {
        self.commit_with(changes, |_| Ok(()))
    }

    /// As [`Self::commit`], after what `before` does, which is told what the catalog will be: rows that are part of the transaction are
    /// written when it is known that the changes fit.
    ///
    /// # Errors
    /// As [`Self::commit`], and what `before` gives; then no change is applied.
    pub fn commit_with(
        &self,
        changes: &[Change],
        before: impl FnOnce(&Snapshot) -> Result<()>,
    ) -> Result<Arc<Snapshot>> {
        let mut store = self.store.lock();
        self.directory.check()?;
        let mut next = self.snapshot().as_ref().clone();
        for change in changes {
            next.apply(change)?;
        }
        let jobs: Vec<&JobEntry> = changes
            .iter()
            .filter_map(|change| match change {
                Change::CreateJob { entry } => Some(entry.as_ref()),
                _ => None,
            })
            .collect();
        {
            let mut secrets = self.secrets.write();
            // A job over a temporary table outlives it, and so must its secrets.
            let mut used = references(changes);
            if !jobs.is_empty() {
                let text = serde_json::to_string(&jobs).map_err(unserializable)?;
                used.extend(secrets.staged().filter(|reference| text.contains(*reference)).map(str::to_owned));
            }
            secrets.keep(&used)?;
            for reference in references(changes) {
                secrets.unstage(&reference);
            }
        }
        before(&next)?;
        store.keep(&next, changes)?;
        let next = Arc::new(next);
        *self.state.write() = next.clone();
        if changes.iter().any(|change| {
            matches!(change, Change::DropTable { .. } | Change::DropSchema { .. } | Change::ForgetJob { .. })
                || matches!(change, Change::Role(change) if change.ends_secret())
        }) {
            let text = serde_json::to_string(next.as_ref()).map_err(unserializable)?;
            // The commit is decided; a secret that stays behind is swept at the next start.
            if let Err(error) = self.secrets.write().sweep(&|reference| text.contains(reference)) {
                tracing::warn!(%error, "secrets that nothing refers to are still stored");
            }
        }
        Ok(next)
    }

    /// Takes a secret and gives its reference; it becomes durable with the commit of the change that refers to it.
    ///
    /// # Errors
    /// It cannot be encrypted.
    pub fn stage_secret(&self, plain: &str) -> Result<String> {
        self.secrets.write().stage(plain)
    }

    /// Forgets the staged secrets of changes that will not be committed.
    pub fn discard(&self, changes: &[Change]) {
        let mut secrets = self.secrets.write();
        for reference in references(changes) {
            secrets.unstage(&reference);
        }
    }

    /// Forgets staged secrets by reference.
    pub fn discard_secrets(&self, references: &[String]) {
        let mut secrets = self.secrets.write();
        for reference in references {
            secrets.unstage(reference);
        }
    }

    /// A key of this data directory for what must look random and be the same after a restart.
    pub fn mock_key(&self) -> [u8; 32] {
        self.secrets.read().mock_key()
    }

    /// Plain text of a secret that a declaration or a role refers to.
    ///
    /// # Errors
    /// There is no such secret, or it cannot be decrypted.
    pub fn secret(&self, reference: &str) -> Result<String> {
        self.secrets.read().reveal(reference)
    }
}

fn references(changes: &[Change]) -> BTreeSet<String> {
    let of_tables = changes
        .iter()
        .filter_map(|change| match change {
            Change::CreateTable { entry, .. } => Some(entry.declaration.options.values()),
            _ => None,
        })
        .flatten()
        .filter_map(|value| match value {
            OptionValue::Secret(reference) => Some(reference.clone()),
            OptionValue::Plain(_) => None,
        });
    let of_roles = changes.iter().filter_map(|change| match change {
        Change::Role(change) => change.secret().map(str::to_owned),
        _ => None,
    });
    of_tables.chain(of_roles).collect()
}

#[cfg(test)]
mod tests;
