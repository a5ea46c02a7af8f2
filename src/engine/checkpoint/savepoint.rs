//! Savepoints: a checkpoint with all its files in a folder of its own, which the job neither changes nor removes, and from which
//! another job can begin. The manifest is written last: a folder without one is no savepoint.

use super::manifest::{Manifest, Origin, Place, StateFile};
use super::protocol::FIRST_EPOCH;
use super::state_file;
use super::storage::{Published, Storage};
use super::store::CheckpointStore;
use super::stored::{MANIFEST, manifest_name, missing_is_corrupt, state_name};
use crate::error::{Error, Result};

/// Bytes copied at a time.
const COPIED_BYTES: u64 = 4 << 20;

/// Copies that wait to be written.
const COPIES_MAX: usize = 2;

impl CheckpointStore {
    /// Copies a checkpoint into a new folder under `target_dir` (a path or URL); returns that folder's URL.
    ///
    /// # Errors
    /// The target takes no files, or the checkpoint is damaged.
    pub async fn savepoint(&self, manifest: &Manifest, target_dir: &str) -> Result<String> {
        let job: String = self.inner.job.chars().filter(char::is_ascii_alphanumeric).take(6).collect();
        let target = Storage::at(target_dir)?.inside(&format!("savepoint-{job}-{:08x}", rand::random::<u32>()));
        match copy_checkpoint(&self.inner.storage, manifest, &target).await {
            Ok(()) => Ok(target.url()),
            Err(error) => {
                // Half a savepoint is of no use; without its manifest it is none either, should this fail.
                let _ = target.delete_all().await;
                Err(error.context(format!("no savepoint in {target_dir}")))
            }
        }
    }

    /// Makes a savepoint's state this job's first checkpoint. A job that adopted it before keeps that.
    ///
    /// # Errors
    /// There is no savepoint, it is damaged, or the job has checkpoints of its own.
    pub async fn adopt(&self, savepoint_path: &str) -> Result<Manifest> {
        let stored = self.load().await?;
        if let Some(adopted) = stored.manifests.iter().find(|manifest| manifest.origin == Origin::Adopted) {
            return Ok(adopted.clone());
        }
        if !stored.manifests.is_empty() || !stored.damaged.is_empty() {
            return Err(Error::invalid("a job that has checkpoints cannot begin with a savepoint")
                .hint("Submit the statement as a new job."));
        }
        let adopted = self.copy_savepoint(savepoint_path).await;
        adopted.map_err(|error| error.context(format!("savepoint {savepoint_path}")))
    }

    async fn copy_savepoint(&self, savepoint_path: &str) -> Result<Manifest> {
        let source = Storage::at(savepoint_path)?;
        let names = source.list().await?;
        let epoch = |name: &String| name.strip_suffix(MANIFEST)?.parse().ok();
        let Some(epoch) = names.iter().filter_map(epoch).max() else {
            return Err(Error::not_found("there is no savepoint here")
                .hint("Give the folder whose name begins with \"savepoint-\"."));
        };
        let bytes = source.read(&manifest_name(epoch)).await?;
        let saved = Manifest::decode(None, epoch, &bytes)?;
        let mut files = Vec::new();
        for file in &saved.files {
            let name = state_name(FIRST_EPOCH);
            copy_file(&source, file, &self.inner.storage, &name).await?;
            files.push(StateFile { name, epoch: FIRST_EPOCH, ..file.clone() });
        }
        for file in &files {
            self.verify(file).await?;
        }
        let place = Place { positions: saved.positions, logs: saved.logs, enumerators: saved.enumerators };
        let mut manifest = Manifest::new(&self.inner.job, FIRST_EPOCH, place, files);
        manifest.origin = Origin::Adopted;
        self.publish(manifest).await
    }
}

async fn copy_checkpoint(source: &Storage, manifest: &Manifest, target: &Storage) -> Result<()> {
    for file in &manifest.files {
        check(source, file).await?;
        copy_file(source, file, target, &file.name).await?;
    }
    let bytes = manifest.clone().encode()?;
    match target.publish(&manifest_name(manifest.epoch), bytes).await? {
        Published::Done => Ok(()),
        Published::Exists => Err(Error::internal("a new folder is not empty")),
    }
}

/// A savepoint is kept for long: damage is found while there is still something else to go back to.
async fn check(source: &Storage, file: &StateFile) -> Result<()> {
    let index = source.read_range(&file.name, state_file::index_range(file)).await.map_err(missing_is_corrupt)?;
    for part in state_file::decode_index(file, &index)? {
        part.check(&source.read_range(&file.name, part.range()).await.map_err(missing_is_corrupt)?)?;
    }
    Ok(())
}

async fn copy_file(source: &Storage, file: &StateFile, target: &Storage, name: &str) -> Result<()> {
    let (sender, mut receiver) = tokio::sync::mpsc::channel(COPIES_MAX);
    let write = target.write_file(name, move |write| {
        let mut copied = 0;
        while let Some(bytes) = receiver.blocking_recv() {
            let bytes: bytes::Bytes = bytes;
            copied += bytes.len() as u64;
            write(&bytes)?;
        }
        Ok(copied)
    });
    let read = async move {
        let mut offset = 0;
        while offset < file.bytes {
            let end = (offset + COPIED_BYTES).min(file.bytes);
            let bytes = source.read_range(&file.name, offset..end).await.map_err(missing_is_corrupt)?;
            offset = end;
            if sender.send(bytes).await.is_err() {
                // The writer has ended, and tells why.
                break;
            }
        }
        Ok::<(), Error>(())
    };
    let (copied, read) = tokio::join!(write, read);
    read?;
    match copied? {
        copied if copied == file.bytes => Ok(()),
        _ => Err(Error::corrupt(format!("{} is shorter than it was", file.name))),
    }
}
