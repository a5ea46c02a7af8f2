//! Checkpoint files in a job's folder: written beside, synced, renamed. Blocking; callers go through `spawn_blocking`.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use super::protocol::{self, Checkpoint, KEPT, Resume};
use crate::error::{Error, Result};

/// The folder of one job's checkpoints. Cheap to clone.
#[derive(Debug, Clone)]
pub struct CheckpointStore {
    folder: PathBuf,
    job: String,
}

impl CheckpointStore {
    /// The checkpoints of job `id` under `jobs_folder`; nothing is created yet.
    pub fn new(jobs_folder: &Path, id: &str) -> Self {
        Self { folder: jobs_folder.join(id), job: id.to_owned() }
    }

    /// Where the job goes on.
    ///
    /// # Errors
    /// The folder cannot be read, or none of its checkpoints can.
    pub fn load(&self) -> Result<Option<Checkpoint>> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.unreadable(&error)),
        };
        let mut files = Vec::new();
        for entry in entries {
            let path = entry.map_err(|error| self.unreadable(&error))?.path();
            if path.extension().is_some_and(|extension| extension == "checkpoint") {
                let content = fs::read(&path).map_err(|error| self.unreadable(&error));
                files.push(content.and_then(|bytes| protocol::decode(&self.job, &bytes)));
            }
        }
        match protocol::resume(files) {
            Resume::Fresh => Ok(None),
            Resume::At { checkpoint, damaged } => {
                if damaged > 0 {
                    tracing::warn!(
                        job = self.job,
                        damaged,
                        epoch = checkpoint.epoch,
                        "passed over damaged checkpoints"
                    );
                }
                Ok(Some(checkpoint))
            }
            Resume::Refuse => Err(Error::corrupt(format!("no checkpoint in {} can be read", self.folder.display()))
                .hint("Restore the folder from a copy, or drop the job and submit it anew.")),
        }
    }

    /// Writes a checkpoint durably, then removes those that are no longer needed.
    ///
    /// # Errors
    /// A write or sync fails: then the checkpoint does not count and older ones stand.
    pub fn save(&self, checkpoint: &Checkpoint) -> Result<()> {
        let failed = |error: std::io::Error| {
            Error::unavailable(format!("cannot write a checkpoint to {}: {error}", self.folder.display()))
        };
        fs::create_dir_all(&self.folder).map_err(failed)?;
        let name = format!("{:020}.checkpoint", checkpoint.epoch);
        let beside = self.folder.join(format!("{name}.new"));
        let bytes = protocol::encode(&self.job, checkpoint)?;
        let mut file = File::create(&beside).map_err(failed)?;
        file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(failed)?;
        fs::rename(&beside, self.folder.join(&name)).map_err(failed)?;
        File::open(&self.folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
        self.prune();
        Ok(())
    }

    /// Removes everything, when the job is dropped.
    pub fn remove(&self) {
        if let Err(error) = fs::remove_dir_all(&self.folder)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(job = self.job, %error, "cannot remove the checkpoints of a dropped job");
        }
    }

    fn prune(&self) {
        let Ok(entries) = fs::read_dir(&self.folder) else { return };
        let mut names: Vec<PathBuf> = entries
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "checkpoint"))
            .collect();
        names.sort();
        for old in names.iter().rev().skip(KEPT) {
            // Best effort: a file too many is read as an older checkpoint and harms nothing.
            let _ = fs::remove_file(old);
        }
    }

    fn unreadable(&self, error: &std::io::Error) -> Error {
        Error::unavailable(format!("cannot read checkpoints in {}: {error}", self.folder.display()))
    }
}
