//! The catalog's directory: one server at a time (a lock), the same directory as long as the server runs, and a marker beside the catalog
//! that tells an empty directory from one whose catalog is lost.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::checked_file::{read_checked, write_checked};
use crate::error::{Error, Result};

const LOCK_FILE: &str = "catalog.lock";
const MARKER_FILE: &str = "catalog.marker.json";
const FORMAT: &str = "streamgate-marker";

/// What is known of the directory beside the catalog.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marker {
    /// Names the gateway whose directory this is, over all of its processes: a UUID.
    pub instance: String,
    /// Of the lock file, which is made once and never replaced: a copy of the directory has another one.
    pub lock_inode: u64,
}

/// A directory that this server has for itself.
pub struct Directory {
    path: PathBuf,
    /// Keeps a second server out as long as it is open.
    lock: fs::File,
}

impl Directory {
    /// Takes the directory, which is made if it is not there.
    ///
    /// # Errors
    /// Another server has it, or it cannot be written.
    pub fn take(path: &Path) -> Result<Self> {
        fs::create_dir_all(path)
            .map_err(|error| Error::invalid(format!("data directory {}: {error}", path.display())))?;
        let file = path.join(LOCK_FILE);
        let failed = |error: std::io::Error| Error::invalid(format!("lock file {}: {error}", file.display()));
        let lock = fs::OpenOptions::new().create(true).truncate(false).write(true).open(&file).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), lock }),
            Err(fs::TryLockError::WouldBlock) => {
                Err(Error::invalid(format!("data directory of {} is in use by another server", file.display()))
                    .hint("Stop the other server, or give another data directory."))
            }
            Err(fs::TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    /// Whether a server has the directory now.
    pub fn is_taken(path: &Path) -> bool {
        let lock = fs::OpenOptions::new().write(true).open(path.join(LOCK_FILE));
        lock.is_ok_and(|lock| matches!(lock.try_lock(), Err(fs::TryLockError::WouldBlock)))
    }

    /// Whether the directory is still the one that was taken. Blocking.
    ///
    /// # Errors
    /// It was removed or replaced (`Corrupt`): another server may have what is there now.
    pub fn check(&self) -> Result<()> {
        let file = self.path.join(LOCK_FILE);
        let same = |there: &fs::Metadata, own: &fs::Metadata| (there.dev(), there.ino()) == (own.dev(), own.ino());
        match (fs::metadata(&file), self.lock.metadata()) {
            (Ok(there), Ok(own)) if same(&there, &own) => Ok(()),
            _ => Err(Error::corrupt(format!("the data directory of {} was removed or replaced", file.display()))
                .detail("This server has lost what it keeps")
                .hint("Restore the directory, then start the server again.")),
        }
    }

    /// Compares the marker with whether there is a catalog; gives it, made if this is the first time.
    ///
    /// # Errors
    /// There was a catalog and it is gone (`Corrupt`), or the marker cannot be read or written.
    pub fn marker(&self, has_catalog: bool) -> Result<Marker> {
        let path = self.path.join(MARKER_FILE);
        match read_checked::<Marker>(&path, FORMAT)? {
            Some(marker) if has_catalog => Ok(marker),
            Some(_) => Err(Error::corrupt(format!("the catalog of {} is gone", self.path.display()))
                .detail("The directory has held one: its tables, jobs and functions were in the file that is missing")
                .hint(format!(
                    "Restore catalog.json from a backup. To begin with an empty catalog, remove {} too: the jobs' checkpoints \
                     are of no use then.",
                    path.display()
                ))),
            None => {
                let marker = self.new_marker()?;
                // After the catalog's first commit: a crash in between leaves a catalog without a marker, which is taken.
                if has_catalog {
                    write_checked(&path, FORMAT, &marker)?;
                }
                Ok(marker)
            }
        }
    }

    /// Whether the marker was written in another directory, of which this one is a copy.
    ///
    /// # Errors
    /// The lock file cannot be looked at.
    pub fn is_copy(&self, marker: &Marker) -> Result<bool> {
        Ok(self.lock_inode()? != marker.lock_inode)
    }

    /// Makes this the directory of a gateway of its own.
    ///
    /// # Errors
    /// The marker cannot be written.
    pub fn adopt(&self) -> Result<Marker> {
        let marker = self.new_marker()?;
        write_checked(&self.path.join(MARKER_FILE), FORMAT, &marker)?;
        Ok(marker)
    }

    fn new_marker(&self) -> Result<Marker> {
        Ok(Marker { instance: uuid::Uuid::new_v4().to_string(), lock_inode: self.lock_inode()? })
    }

    fn lock_inode(&self) -> Result<u64> {
        let failed = |error| Error::unavailable(format!("lock file of {}: {error}", self.path.display()));
        self.lock.metadata().map(|metadata| metadata.ino()).map_err(failed)
    }
}

#[cfg(test)]
mod tests;
