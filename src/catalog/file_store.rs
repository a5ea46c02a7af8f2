//! The catalog in one local file, written whole: a new file beside the old one, then renamed over it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::catalog_store::CatalogStore;
use super::checked_file::{read_checked, write_checked};
use super::snapshot::{Change, Snapshot};
use crate::error::{Error, Result};

pub(super) const FILE: &str = "catalog.json";
const FORMAT: &str = "streamgate-catalog";

/// `catalog.json` in a directory.
pub(super) struct FileStore {
    path: PathBuf,
}

impl FileStore {
    /// The file in `directory`, which may not be there yet.
    pub fn at(directory: &Path) -> Self {
        Self { path: directory.join(FILE) }
    }
}

impl CatalogStore for FileStore {
    fn load(&mut self) -> Result<Option<Snapshot>> {
        let snapshot = read_checked(&self.path, FORMAT)?;
        if snapshot.is_some() {
            // Earlier versions left it readable for everybody.
            fs::set_permissions(&self.path, fs::Permissions::from_mode(0o600))
                .map_err(|error| Error::invalid(format!("file {}: {error}", self.path.display())).caused_by(error))?;
        }
        Ok(snapshot)
    }

    fn keep(&mut self, next: &Snapshot, _changes: &[Change]) -> Result<()> {
        write_checked(&self.path, FORMAT, next)
    }
}
