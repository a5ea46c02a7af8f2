//! Reads the checkpoints of a job: which there are, whether they are whole, and the rows of an operator's state.
//! Nothing is believed before it was held against its checksum. Damage is told apart from a place that does not answer.

use std::collections::BTreeMap;
use std::ops::Range;

use datafusion::arrow::record_batch::RecordBatch;
use futures::{StreamExt, TryStreamExt};

use super::manifest::{Manifest, Positions, StateFile};
use super::state_file::{self, MAGIC, Part};
use super::storage::is_damage;
use super::store::{CheckpointStore, Known};
use super::stored::{Damaged, MANIFEST, Stored, manifest_name, missing_is_corrupt};
use crate::error::{Error, Result};
use crate::fault;

/// Parts of state files that are read ahead.
const PARTS_AHEAD: usize = 4;

impl CheckpointStore {
    /// What is stored. All state is read once and held against its checksums, so that a decision knows what can be restored.
    ///
    /// # Errors
    /// The place does not answer. Damage is no error here; it is part of the answer.
    pub async fn load(&self) -> Result<Stored> {
        let storage = &self.inner.storage;
        let mut known = Known { is_loaded: true, ..Known::default() };
        let mut files: BTreeMap<String, Option<Error>> = BTreeMap::new();
        for name in storage.list().await? {
            let Some(epoch) = name.strip_suffix(MANIFEST) else { continue };
            let Ok(epoch) = epoch.parse() else {
                let error = Error::corrupt(format!("{name} is no name of a checkpoint"));
                known.damaged.push(Damaged { name, epoch: None, error, manifest: None });
                continue;
            };
            let read = storage.read(&name).await;
            match read.and_then(|bytes| Manifest::decode(Some(&self.inner.job), epoch, &bytes)) {
                Ok(manifest) => {
                    known.manifests.insert(epoch, manifest);
                }
                Err(error) if is_damage(&error) => {
                    known.damaged.push(Damaged { name, epoch: Some(epoch), error, manifest: None });
                }
                Err(error) => return Err(error),
            }
        }
        for manifest in known.manifests.values() {
            for file in &manifest.files {
                // Two manifests that tell different things of one file cannot both be right: then checked for each.
                let id = format!("{file:?}");
                if files.contains_key(&id) {
                    continue;
                }
                match self.verify(file).await {
                    Ok(()) => {
                        known.verified.insert(file.name.clone());
                        files.insert(id, None);
                    }
                    Err(error) if is_damage(&error) => {
                        files.insert(id, Some(error));
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        let manifests = std::mem::take(&mut known.manifests);
        for (epoch, manifest) in manifests {
            let damage = manifest.files.iter().find_map(|file| files.get(&format!("{file:?}")).cloned().flatten());
            match damage {
                Some(error) => known.damaged.push(Damaged {
                    name: manifest_name(epoch),
                    epoch: Some(epoch),
                    error,
                    manifest: Some(manifest),
                }),
                None => {
                    known.manifests.insert(epoch, manifest);
                }
            }
        }
        for damaged in &known.damaged {
            tracing::warn!(job = self.inner.job, name = damaged.name, error = %damaged.error, "a checkpoint is damaged");
        }
        let stored = Stored { manifests: known.manifests.values().cloned().collect(), damaged: known.damaged.clone() };
        let mut current = self.inner.known.lock();
        known.compaction = std::mem::take(&mut current.compaction);
        *current = known;
        Ok(stored)
    }

    /// The positions of the newest checkpoint that can be read, for showing them: no state is looked at, and nothing is decided by it.
    ///
    /// # Errors
    /// The place does not answer.
    pub async fn newest_positions(&self) -> Result<Option<Positions>> {
        let mut epochs: Vec<u64> = self
            .inner
            .storage
            .list()
            .await?
            .iter()
            .filter_map(|name| name.strip_suffix(MANIFEST)?.parse().ok())
            .collect();
        epochs.sort_unstable();
        while let Some(epoch) = epochs.pop() {
            let bytes = self.inner.storage.read(&manifest_name(epoch)).await?;
            if let Ok(manifest) = Manifest::decode(Some(&self.inner.job), epoch, &bytes) {
                return Ok(Some(manifest.positions));
            }
        }
        Ok(None)
    }

    /// Gives the state of an operator as it was stored, oldest rows first: a later row replaces an earlier one of its key, or
    /// deletes it. Only rows of the key groups are given, in the columns of [`TableDelta::rows`], batch by batch.
    ///
    /// # Errors
    /// The state is damaged or the place does not answer; the first error of `take`. What was given before is then void.
    pub async fn read_state(
        &self,
        manifest: &Manifest,
        operator: &str,
        groups: Range<usize>,
        take: &mut (dyn FnMut(&str, &RecordBatch) -> Result<()> + Send),
    ) -> Result<()> {
        let manifest = match fault::is_mutant("reuse-old-checkpoint") {
            true => self.inner.known.lock().manifests.values().next().unwrap_or(manifest).clone(),
            false => manifest.clone(),
        };
        let mut parts = Vec::new();
        for file in &manifest.files {
            let index = self.index(file).await?;
            let wanted = |part: &Part| part.operator == operator && part.overlaps(&groups);
            parts.extend(index.into_iter().filter(wanted).map(|part| (file.name.clone(), part)));
        }
        let read = |(name, part): (String, Part)| {
            let (storage, groups) = (self.inner.storage.clone(), groups.clone());
            async move {
                let bytes = storage.read_range(&name, part.range()).await?;
                let decoded = tokio::task::spawn_blocking(move || {
                    let rows = part.decode(bytes, &groups)?;
                    Ok((part.table, rows))
                });
                decoded.await.map_err(|error| Error::internal(format!("reading state panicked: {error}")))?
            }
        };
        let mut batches = futures::stream::iter(parts).map(read).buffered(PARTS_AHEAD);
        while let Some((table, rows)) = batches.try_next().await.map_err(missing_is_corrupt)? {
            if rows.num_rows() > 0 {
                take(&table, &rows)?;
            }
        }
        Ok(())
    }

    pub(super) async fn ensure_loaded(&self) -> Result<()> {
        let is_loaded = self.inner.known.lock().is_loaded;
        if !is_loaded {
            self.load().await?;
        }
        Ok(())
    }

    /// Reads the manifest and what it adds to the state back from the disk.
    pub(super) async fn read_back(&self, manifest: &Manifest) -> Result<()> {
        let bytes = self.inner.storage.read(&manifest_name(manifest.epoch)).await?;
        let stored = Manifest::decode(Some(&self.inner.job), manifest.epoch, &bytes)?;
        if stored.checksum() != manifest.checksum() {
            return Err(Error::corrupt(format!("checkpoint {} is not the one that was written", manifest.epoch)));
        }
        for file in &manifest.files {
            let is_verified = self.inner.known.lock().verified.contains(&file.name);
            if !is_verified {
                self.verify(file).await?;
                self.inner.known.lock().verified.insert(file.name.clone());
            }
        }
        Ok(())
    }

    pub(super) async fn index(&self, file: &StateFile) -> Result<Vec<Part>> {
        let read = self.inner.storage.read_range(&file.name, state_file::index_range(file)).await;
        read.and_then(|bytes| state_file::decode_index(file, &bytes)).map_err(missing_is_corrupt)
    }

    /// Reads a state file whole and holds it against its checksums.
    pub(super) async fn verify(&self, file: &StateFile) -> Result<()> {
        let storage = &self.inner.storage;
        let magic = storage.read_range(&file.name, 0..MAGIC.len() as u64).await.map_err(missing_is_corrupt)?;
        if *magic != *MAGIC {
            return Err(Error::corrupt(format!("{} is no state file", file.name)));
        }
        for part in self.index(file).await? {
            let bytes = storage.read_range(&file.name, part.range()).await.map_err(missing_is_corrupt)?;
            part.check(&bytes)?;
        }
        Ok(())
    }
}
