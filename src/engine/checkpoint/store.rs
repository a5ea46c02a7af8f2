//! The checkpoints of one job: what is written, and dropped when it is no longer needed (`read` reads them).
//! Knows nothing of operators or sinks. It keeps in mind which manifests there are, so that an epoch costs no listing; the
//! place itself is asked when a job begins (`load`). One store at a time may write the checkpoints of a job.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::compaction::{Compaction, compact_files, place_of};
use super::manifest::{Manifest, Origin, Place, StateFile};
use super::protocol;
use super::state_file::StateFileWriter;
use super::storage::{BESIDE, Published, Storage};
use super::stored::{Damaged, STATE, manifest_name, missing_is_corrupt, state_name};
use crate::engine::state::TableDelta;
use crate::engine::state::budget::DEFAULT_BYTES;
use crate::error::{Error, Result};

/// What changed in a table of an operator since the barrier before.
#[derive(Debug, Clone)]
pub struct OperatorDelta {
    /// Stable id of the operator in its dataflow.
    pub operator: String,
    /// The changes.
    pub delta: TableDelta,
}

/// One job's checkpoints. Cheap to clone.
#[derive(Debug, Clone)]
pub struct CheckpointStore {
    pub(super) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) storage: Storage,
    pub(super) job: String,
    retained: usize,
    /// Bytes that the job's state may take in memory.
    pub(super) memory: u64,
    /// Names this store in what it writes.
    writer: String,
    pub(super) known: Mutex<Known>,
}

/// What the store has in mind of the place.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) is_loaded: bool,
    pub(super) manifests: BTreeMap<u64, Manifest>,
    pub(super) damaged: Vec<Damaged>,
    /// Files that were read back whole.
    pub(super) verified: BTreeSet<String>,
    pub(super) compaction: Compaction,
}

impl CheckpointStore {
    /// The checkpoints of job `job_id` in a folder of its own under `folder`; nothing is created yet.
    pub fn new(folder: &Path, job_id: &str) -> Self {
        Self::on(Storage::Local(folder.join(job_id).into()), job_id)
    }

    /// The same at a place named by the job (`state.checkpoints.dir`): a path, `file:///…` or `s3://bucket/prefix`.
    ///
    /// # Errors
    /// It is none of these, or the environment names no usable credentials or region.
    pub fn at(url: &str, job_id: &str) -> Result<Self> {
        Ok(Self::on(Storage::at(url)?.inside(job_id), job_id))
    }

    pub(super) fn on(storage: Storage, job_id: &str) -> Self {
        let inner = Inner {
            storage,
            job: job_id.to_owned(),
            retained: protocol::RETAINED,
            memory: DEFAULT_BYTES,
            writer: uuid::Uuid::new_v4().simple().to_string(),
            known: Mutex::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// With another number of decided checkpoints to keep (`state.checkpoints.num-retained`), at least one. Given before use.
    #[must_use]
    pub fn with_retained(self, retained: usize) -> Self {
        let inner = Inner {
            storage: self.inner.storage.clone(),
            job: self.inner.job.clone(),
            retained: retained.max(1),
            memory: self.inner.memory,
            writer: self.inner.writer.clone(),
            known: Mutex::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// With the bytes that the job's state may take in memory (`state.memory.budget`): compactions in the background take a part of that.
    /// Given before use.
    #[must_use]
    pub fn with_memory(self, memory: u64) -> Self {
        let inner = Inner {
            storage: self.inner.storage.clone(),
            job: self.inner.job.clone(),
            retained: self.inner.retained,
            memory,
            writer: self.inner.writer.clone(),
            known: Mutex::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Where the checkpoints are, as users write it.
    pub fn url(&self) -> String {
        self.inner.storage.url()
    }

    /// Prepares the checkpoint of `epoch`: its state is that of the newest older checkpoint and what changed since.
    /// Durable when this returns.
    ///
    /// # Errors
    /// The place takes no more or does not answer (then earlier checkpoints stand, and the same call may be made again),
    /// or another process writes this job's checkpoints.
    pub async fn write(&self, epoch: u64, place: impl Into<Place>, deltas: Vec<OperatorDelta>) -> Result<Manifest> {
        self.write_as(Origin::Barrier, epoch, place.into(), deltas).await
    }

    /// Writes a decided checkpoint again that was lost, recomputed from the one before it.
    ///
    /// # Errors
    /// As [`CheckpointStore::write`].
    pub async fn write_rebuilt(
        &self,
        epoch: u64,
        place: impl Into<Place>,
        deltas: Vec<OperatorDelta>,
    ) -> Result<Manifest> {
        self.write_as(Origin::Rebuilt, epoch, place.into(), deltas).await
    }

    async fn write_as(
        &self,
        origin: Origin,
        epoch: u64,
        place: Place,
        mut deltas: Vec<OperatorDelta>,
    ) -> Result<Manifest> {
        self.ensure_loaded().await?;
        let mut files = {
            let known = self.inner.known.lock();
            let before = known.manifests.range(..epoch).next_back().map(|(_, manifest)| manifest.files.clone());
            known.compaction.replace_in(before.unwrap_or_default())
        };
        deltas.retain(|changed| changed.delta.rows.num_rows() > 0);
        if !deltas.is_empty() {
            files.push(self.write_state(epoch, deltas).await?);
        }
        let mut manifest = Manifest::new(&self.inner.job, epoch, place, files);
        manifest.origin = origin;
        self.publish(manifest).await
    }

    async fn write_state(&self, epoch: u64, deltas: Vec<OperatorDelta>) -> Result<StateFile> {
        let name = state_name(epoch);
        let (written, memory) = (name.clone(), self.inner.memory);
        self.inner
            .storage
            .write_file(&name, move |write| {
                let mut file = StateFileWriter::begin(write, memory)?;
                for OperatorDelta { operator, delta } in deltas {
                    file.table(&operator, &delta.table, delta.key_columns, &delta.rows)?;
                }
                file.finish(&written, epoch)
            })
            .await
    }

    /// Puts a manifest in place and in mind. The file that it alone names is removed if that fails.
    pub(super) async fn publish(&self, mut manifest: Manifest) -> Result<Manifest> {
        manifest.writer.clone_from(&self.inner.writer);
        let published = self.put(&mut manifest).await;
        if let Err(error) = published {
            if let Some(file) = manifest.files.last().filter(|file| !self.is_named(&file.name)) {
                self.delete(&file.name).await;
            }
            return Err(error);
        }
        let mut known = self.inner.known.lock();
        known.damaged.retain(|damaged| damaged.epoch != Some(manifest.epoch));
        known.manifests.insert(manifest.epoch, manifest.clone());
        drop(known);
        Ok(manifest)
    }

    async fn put(&self, manifest: &mut Manifest) -> Result<()> {
        let (storage, name) = (&self.inner.storage, manifest_name(manifest.epoch));
        let bytes = manifest.encode()?;
        let is_lost = self.inner.known.lock().damaged.iter().any(|damaged| damaged.epoch == Some(manifest.epoch));
        if is_lost && manifest.origin == Origin::Rebuilt {
            return storage.replace(&name, bytes).await;
        }
        if storage.publish(&name, bytes.clone()).await? == Published::Done {
            return Ok(());
        }
        // An earlier attempt of this store, whose answer was lost or which was not decided, gives way; another's does not.
        let there = storage.read(&name).await?;
        if there == bytes {
            return Ok(());
        }
        match Manifest::decode(Some(&self.inner.job), manifest.epoch, &there) {
            Ok(earlier) if earlier.writer == self.inner.writer => {
                storage.delete(&name).await?;
                if storage.publish(&name, bytes).await? == Published::Done {
                    return Ok(());
                }
            }
            _ => {}
        }
        Err(Error::unavailable(format!("another process has written checkpoint {} of this job", manifest.epoch))
            .hint("Only one server may run a job; this one takes it up again from what is stored now."))
    }

    /// After `decided_epoch` was decided: reads back what is new in it, then drops what is no longer needed. Begins to compact
    /// the chain of files in the background when it has become long.
    ///
    /// # Errors
    /// The decided checkpoint does not read back as it was written: nothing was dropped, so that a restart can rebuild it.
    pub async fn settle(&self, decided_epoch: u64) -> Result<()> {
        self.ensure_loaded().await?;
        let newest = self.inner.known.lock().manifests.get(&decided_epoch).cloned();
        let Some(newest) = newest else {
            return Err(Error::internal(format!("checkpoint {decided_epoch} was decided but is not known")));
        };
        if self.inner.storage.is_local() {
            self.read_back(&newest).await.map_err(missing_is_corrupt)?;
        }
        let outdated = {
            let known = self.inner.known.lock();
            let damaged = known.damaged.iter().filter_map(|damaged| damaged.epoch);
            let stored: Vec<u64> = known.manifests.keys().copied().collect();
            let mut outdated = protocol::outdated(&stored, decided_epoch, self.inner.retained);
            // A damaged one older than all that are kept is of no more use to anyone.
            let oldest_kept = stored.iter().find(|epoch| !outdated.contains(epoch)).copied().unwrap_or_default();
            outdated.extend(damaged.filter(|epoch| *epoch < oldest_kept));
            outdated
        };
        self.forget(&outdated).await;
        self.compact_if_long(&newest, decided_epoch);
        Ok(())
    }

    /// Begins to compact the files of a decided checkpoint when they have become many, unless a compaction is under way.
    fn compact_if_long(&self, manifest: &Manifest, decided: u64) {
        let mut known = self.inner.known.lock();
        match &known.compaction {
            Compaction::Running { .. } => return,
            Compaction::Ready { replaced, with } if !manifest.files.contains(with) => {
                if place_of(replaced, &manifest.files).is_some() {
                    return;
                }
                // The job went back to an older checkpoint: nobody will name this file.
                let (store, name) = (self.clone(), with.name.clone());
                tokio::spawn(async move { store.delete(&name).await });
            }
            _ => {}
        }
        known.compaction = Compaction::Idle;
        let Some(range) = protocol::files_to_compact(&manifest.files, decided) else { return };
        let is_base = range.start == 0;
        let files = manifest.files[range].to_vec();
        let name = state_name(files.last().map_or(decided, |file| file.epoch));
        let replaced: Vec<String> = files.iter().map(|file| file.name.clone()).collect();
        known.compaction = Compaction::Running { replaced: replaced.clone(), name: name.clone() };
        drop(known);
        let (storage, job, store) = (self.inner.storage.clone(), self.inner.job.clone(), Arc::downgrade(&self.inner));
        let memory = self.inner.memory;
        let has_ended = {
            let store = Weak::clone(&store);
            move || store.strong_count() == 0
        };
        tokio::spawn(async move {
            let compacted = compact_files(&storage, files, is_base, memory, &name, has_ended).await;
            let failed = compacted.as_ref().err().cloned();
            let compaction = compacted.map_or(Compaction::Idle, |with| Compaction::Ready { replaced, with });
            match store.upgrade() {
                Some(store) => store.known.lock().compaction = compaction,
                // Whoever has taken up the job meanwhile knows nothing of this file.
                None => drop(storage.delete(&name).await),
            }
            if let Some(error) = failed {
                tracing::warn!(job, %error, "files of state were not compacted; they are used as they are");
            }
        });
    }

    /// Removes checkpoints newer than `epoch`, which were prepared but not decided (all, with 0), and files that no checkpoint
    /// names. Called when a job takes up its work: the next checkpoint builds on what is left.
    ///
    /// # Errors
    /// The place does not answer.
    pub async fn discard_after(&self, epoch: u64) -> Result<()> {
        self.discard_but_lost(epoch, epoch).await
    }

    /// As [`CheckpointStore::discard_after`], but damaged ones stay up to `last`: they are written again as rebuilt.
    ///
    /// # Errors
    /// As there.
    pub async fn discard_but_lost(&self, epoch: u64, last: u64) -> Result<()> {
        self.ensure_loaded().await?;
        let newer = {
            let known = self.inner.known.lock();
            let damaged = known.damaged.iter().filter_map(|damaged| damaged.epoch).filter(|damaged| *damaged > last);
            let newer: BTreeSet<u64> =
                known.manifests.keys().copied().chain(damaged).filter(|stored| *stored > epoch).collect();
            newer
        };
        for epoch in &newer {
            // Not best effort: a prepared checkpoint that came back would count where the newest one is the decision.
            self.inner.storage.delete(&manifest_name(*epoch)).await?;
        }
        self.forget(&newer.into_iter().collect::<Vec<_>>()).await;
        let (named, is_clear) = {
            let known = self.inner.known.lock();
            (known.named_files(), known.damaged.iter().all(|damaged| damaged.manifest.is_some()))
        };
        // What an unreadable manifest names is not known; its files stay until it is dropped.
        if is_clear {
            for name in self.inner.storage.list().await? {
                if name.ends_with(BESIDE) || name.ends_with(STATE) && !named.contains(&name) {
                    self.delete(&name).await;
                }
            }
        }
        Ok(())
    }

    /// Removes everything, when the job is dropped.
    ///
    /// # Errors
    /// Something stays.
    pub async fn remove(&self) -> Result<()> {
        *self.inner.known.lock() = Known::default();
        self.inner.storage.delete_all().await
    }

    /// Drops checkpoints, then the files that only they named. Best effort: what stays is found by the next `discard_after`.
    async fn forget(&self, epochs: &[u64]) {
        if epochs.is_empty() {
            return;
        }
        for epoch in epochs {
            self.delete(&manifest_name(*epoch)).await;
        }
        let unnamed: BTreeSet<String> = {
            let mut known = self.inner.known.lock();
            let mut files = Vec::new();
            for epoch in epochs {
                files.extend(known.manifests.remove(epoch).map(|manifest| manifest.files).unwrap_or_default());
            }
            let damaged = std::mem::take(&mut known.damaged);
            let (dropped, kept) =
                damaged.into_iter().partition(|damaged| damaged.epoch.is_some_and(|epoch| epochs.contains(&epoch)));
            known.damaged = kept;
            let dropped: Vec<Damaged> = dropped;
            files
                .extend(dropped.into_iter().filter_map(|damaged| damaged.manifest).flat_map(|manifest| manifest.files));
            let named = known.named_files();
            let unnamed: BTreeSet<String> =
                files.into_iter().map(|file| file.name).filter(|name| !named.contains(name)).collect();
            known.verified.retain(|name| !unnamed.contains(name));
            unnamed
        };
        for name in unnamed {
            self.delete(&name).await;
        }
    }

    fn is_named(&self, file: &str) -> bool {
        self.inner.known.lock().named_files().contains(file)
    }

    pub(super) async fn delete(&self, name: &str) {
        if let Err(error) = self.inner.storage.delete(name).await {
            tracing::debug!(job = self.inner.job, name, %error, "a file that is no longer needed stays for now");
        }
    }
}

impl Known {
    /// The files that a checkpoint names, or that are in use.
    fn named_files(&self) -> BTreeSet<String> {
        let damaged = self.damaged.iter().filter_map(|damaged| damaged.manifest.as_ref());
        let files = self.manifests.values().chain(damaged).flat_map(|manifest| &manifest.files);
        files.map(|file| file.name.clone()).chain(self.compaction.files_in_use()).collect()
    }
}
