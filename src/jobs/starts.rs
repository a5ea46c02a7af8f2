//! Keeps the records of `deaths` beside the jobs' checkpoints, a small file for each job in danger. Nothing is synced: what matters
//! survives the death of the process, not that of the machine.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

use super::deaths::{self, DEATHS_ALONE, Record, Start};
use crate::engine::metrics::JobMetrics;

/// Ends the names of records; before it is the job's id.
const RECORD: &str = ".start";
/// What a dying process leaves.
pub const SIGN: &str = "death";
/// How often a job in danger is looked at.
const LOOK: std::time::Duration = std::time::Duration::from_millis(200);

/// The records of all jobs. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Starts {
    inner: Arc<Inner>,
}

struct Inner {
    folder: PathBuf,
    records: Mutex<BTreeMap<String, Record>>,
    in_danger: watch::Sender<BTreeSet<String>>,
}

impl Starts {
    /// Reads what the process before has left in the folder, and takes it into the records.
    pub fn open(folder: &Path) -> Self {
        let sign = std::fs::read_to_string(folder.join(SIGN)).ok().filter(|sign| !sign.trim().is_empty());
        let sign = sign.as_deref().and_then(|text| text.lines().last()).map(str::trim);
        let mut records = BTreeMap::new();
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let Some(id) = name.strip_suffix(RECORD) else { continue };
            let record = std::fs::read(entry.path()).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
            // One that was cut by the death says as much as an empty one that is in danger.
            let record = record.unwrap_or(Record { is_in_danger: true, ..Record::default() });
            records.insert(id.to_owned(), deaths::after_process(record, sign));
        }
        let inner = Inner {
            folder: folder.to_owned(),
            records: Mutex::new(BTreeMap::new()),
            in_danger: watch::Sender::default(),
        };
        for (id, record) in &records {
            if record.deaths > 0 {
                tracing::warn!(
                    job = id,
                    deaths = record.deaths,
                    sign = record.sign,
                    "the server died while a job began"
                );
            }
            inner.write(id, record);
        }
        *inner.records.lock() = records;
        // Told once.
        let _ = std::fs::remove_file(folder.join(SIGN));
        Self { inner: Arc::new(inner) }
    }

    /// Why a job does not start by itself; absent if it may.
    pub fn refusal(&self, id: &str) -> Option<(u32, String)> {
        let records = self.inner.records.lock();
        let record = records.get(id).filter(|record| deaths::start(record.deaths) == Start::Never)?;
        Some((record.deaths, record.sign.clone()))
    }

    /// A job that was set aside is to be tried again, alone; one more death sets it aside again.
    pub fn allow(&self, id: &str) {
        if let Some(record) = self.inner.records.lock().get_mut(id) {
            record.deaths = record.deaths.min(DEATHS_ALONE);
        }
    }

    /// Forgets a job that was dropped.
    pub async fn forget(&self, id: &str) {
        self.inner.records.lock().remove(id);
        self.inner.keep(id, None).await;
    }

    /// Waits until the job may start, and puts it in danger.
    pub async fn begin(&self, id: &str) -> Danger {
        let mut in_danger = self.inner.in_danger.subscribe();
        loop {
            let deaths = self.inner.records.lock().get(id).map_or(0, |record| record.deaths);
            let may_start = self.inner.in_danger.send_if_modified(|set| {
                let may_start = deaths < DEATHS_ALONE || set.is_empty();
                if may_start {
                    set.insert(id.to_owned());
                }
                may_start
            });
            if may_start {
                break;
            }
            in_danger.mark_unchanged();
            if !self.inner.in_danger.borrow().is_empty() {
                let _ = in_danger.changed().await;
            }
        }
        let danger = Danger { inner: Arc::clone(&self.inner), id: id.to_owned() };
        let record = {
            let mut records = self.inner.records.lock();
            let record = records.entry(id.to_owned()).or_default();
            record.is_in_danger = true;
            record.clone()
        };
        self.inner.keep(id, Some(record)).await;
        danger
    }

    /// Whether some job is in danger, as it changes.
    pub fn in_danger(&self) -> watch::Receiver<BTreeSet<String>> {
        self.inner.in_danger.subscribe()
    }
}

impl Inner {
    fn path(&self, id: &str) -> PathBuf {
        self.folder.join(format!("{id}{RECORD}"))
    }

    fn write(&self, id: &str, record: &Record) {
        let bytes = serde_json::to_vec(record).unwrap_or_default();
        let written = std::fs::create_dir_all(&self.folder).and_then(|()| std::fs::write(self.path(id), bytes));
        if let Err(error) = written {
            tracing::warn!(job = id, %error, "a death of the server while this job begins will not be counted");
        }
    }

    /// Writes the record of a job, or removes it.
    async fn keep(self: &Arc<Self>, id: &str, record: Option<Record>) {
        let (inner, id) = (Arc::clone(self), id.to_owned());
        let kept = tokio::task::spawn_blocking(move || match record {
            Some(record) => inner.write(&id, &record),
            None => drop(std::fs::remove_file(inner.path(&id))),
        });
        let _ = kept.await;
    }
}

/// One run of a job in danger. Its record stays as it is unless it is told how that ended.
pub struct Danger {
    inner: Arc<Inner>,
    id: String,
}

impl Danger {
    /// The job is out of danger: what is known of former deaths is forgotten.
    pub async fn proven(self) {
        self.inner.records.lock().remove(&self.id);
        self.inner.keep(&self.id, None).await;
    }

    /// The job has ended, the process has not: former deaths count on.
    pub async fn ended(self) {
        let record = {
            let mut records = self.inner.records.lock();
            let record = records.get_mut(&self.id).map(|record| {
                record.is_in_danger = false;
                record.clone()
            });
            if record.as_ref().is_some_and(|record| record.deaths == 0) {
                records.remove(&self.id);
            }
            record.filter(|record| record.deaths > 0)
        };
        self.inner.keep(&self.id, record).await;
    }
}

impl Drop for Danger {
    fn drop(&mut self) {
        self.inner.in_danger.send_if_modified(|set| set.remove(&self.id));
    }
}

/// Waits until a job that is being started has proven itself.
pub async fn proven(metrics: &JobMetrics) {
    use std::sync::atomic::Ordering;
    let mut opened = metrics.opened();
    // The sender lives in `metrics`.
    let _ = opened.changed().await;
    let read = || metrics.nodes.iter().map(|node| node.connector.rows.load(Ordering::Relaxed)).sum::<u64>();
    let checkpoints = || metrics.checkpoints.load(Ordering::Relaxed);
    let (begun, read_before, checkpoints_before) = (tokio::time::Instant::now(), read(), checkpoints());
    loop {
        let since = deaths::SinceOpened {
            time: begun.elapsed(),
            has_read: read() != read_before,
            has_checkpoint: checkpoints() != checkpoints_before,
        };
        if deaths::is_proven(since) {
            return;
        }
        tokio::time::sleep(LOOK).await;
    }
}

#[cfg(test)]
mod tests;
