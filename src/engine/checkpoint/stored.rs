//! What is stored of a job as its store, its readers and its copies know it: the names of files, and what was found of them.

use super::manifest::Manifest;
use crate::error::{Error, ErrorKind};

/// Ends the names of manifests; before it is the epoch.
pub(super) const MANIFEST: &str = ".checkpoint";

/// Ends the names of state files.
pub(super) const STATE: &str = ".state";

/// A checkpoint that cannot be used.
#[derive(Debug, Clone)]
pub struct Damaged {
    /// Its name in the job's folder.
    pub name: String,
    /// Its number, by its name.
    pub epoch: Option<u64>,
    /// Why.
    pub error: Error,
    /// What it says, if that much can be read: a file of its state is damaged or gone.
    pub manifest: Option<Manifest>,
}

/// What is stored of a job.
#[derive(Debug, Clone, Default)]
pub struct Stored {
    /// Checkpoints that can be used, oldest first.
    pub manifests: Vec<Manifest>,
    /// Those that cannot.
    pub damaged: Vec<Damaged>,
}

impl Stored {
    /// The checkpoint of an epoch.
    pub fn manifest(&self, epoch: u64) -> Option<&Manifest> {
        self.manifests.iter().find(|manifest| manifest.epoch == epoch)
    }
}

pub(super) fn manifest_name(epoch: u64) -> String {
    format!("{epoch:020}{MANIFEST}")
}

/// A name that was never used: a file that was removed after a failed sync is not written again.
pub(super) fn state_name(epoch: u64) -> String {
    format!("{epoch:020}-{:08x}{STATE}", rand::random::<u32>())
}

/// A file that a manifest names must be there.
pub(super) fn missing_is_corrupt(error: Error) -> Error {
    match error.kind() {
        ErrorKind::NotFound => Error::corrupt(error.message().to_owned()),
        _ => error,
    }
}
