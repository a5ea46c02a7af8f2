//! How far each job's writes are acknowledged, visible to the other jobs: *read behind*.
//! A job that looks up a table passes a record only when the jobs here that fill this table from the same topic have had it acknowledged.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use parking_lot::RwLock;
use tokio::sync::watch;

use crate::connectors::{Position, Split};
use crate::error::Result;
use crate::waits::{Reason, Waiting, Waits};

/// How far a job is, by resource name of the split.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Acknowledged {
    /// Whether the job has opened its splits since it was last started here; before, nothing is known.
    pub opened: bool,
    /// Everything before the position is durable in the job's sinks.
    pub positions: HashMap<String, Position>,
    /// Splits that are durable there to their ends, and have no position any more. Kept: whoever reads one of them later need not wait.
    pub ended: HashSet<String>,
    /// Topics that the job reads as soon as they are there.
    pub expected: HashSet<String>,
}

/// One job's progress; the job's task writes it, others wait on it.
#[derive(Debug)]
pub struct JobProgress {
    job: String,
    sinks: Vec<String>,
    acknowledged: watch::Sender<Acknowledged>,
}

impl JobProgress {
    /// Records positions, and that the splits are open.
    pub fn advance(&self, positions: impl IntoIterator<Item = (String, Position)>) {
        self.acknowledged.send_if_modified(|now| {
            let mut changed = !now.opened;
            now.opened = true;
            for (resource, position) in positions {
                let known = now.positions.insert(resource, position.clone());
                changed |= known != Some(position);
            }
            changed
        });
    }

    /// Notes that a split is durable to its end.
    pub fn end(&self, resource: &str) {
        self.acknowledged.send_modify(|now| {
            now.positions.remove(resource);
            now.ended.insert(resource.to_owned());
        });
    }

    /// Notes splits that a checkpoint knows to be durable to their ends.
    pub fn have_ended(&self, resources: impl IntoIterator<Item = String>) {
        self.acknowledged.send_if_modified(|now| {
            let before = now.ended.len();
            now.ended.extend(resources);
            now.ended.len() != before
        });
    }

    /// Notes a topic that the job will read as soon as it is there: until it has opened it, nobody passes it.
    pub fn expect(&self, topic: &str) {
        self.acknowledged.send_modify(|now| {
            now.expected.insert(topic.to_owned());
        });
    }

    /// How far it is now.
    pub fn now(&self) -> Acknowledged {
        self.acknowledged.borrow().clone()
    }
}

/// A job that fills a table.
#[derive(Debug)]
pub struct Writer {
    /// Its name.
    pub job: String,
    /// How far it is, as it changes; not closed before [`Writers::of`] no longer gives the job.
    pub acknowledged: watch::Receiver<Acknowledged>,
}

/// Who fills which table, and how far it is, wherever that is known from. Only jobs that are wanted to run or paused count: a stopped or
/// dropped one holds nobody up.
pub trait Writers: std::fmt::Debug + Send + Sync {
    /// Jobs other than `reader` that fill one of `tables` (resource names), now.
    fn of(&self, reader: &str, tables: &[String]) -> Vec<Writer>;

    /// Changes whenever [`Self::of`] may give other jobs than before.
    fn changes(&self) -> watch::Receiver<u64>;
}

/// The [`Writers`] of this server: its jobs tell their progress here.
#[derive(Debug)]
pub struct ReadBehindRegistry {
    jobs: RwLock<BTreeMap<String, Arc<JobProgress>>>,
    changes: watch::Sender<u64>,
}

impl Default for ReadBehindRegistry {
    fn default() -> Self {
        Self { jobs: RwLock::default(), changes: watch::Sender::new(0) }
    }
}

/// Whether a writer lets a record pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pass {
    /// It has had the record acknowledged, or does not read this topic.
    Yes,
    /// Not yet.
    Wait,
}

/// Decides whether a writer that is this far lets the records of `split` before `position` pass.
///
/// # Errors
/// The two read the split in different ways (`Corrupt`).
pub fn lets_pass(writer: &Acknowledged, split: &Split, position: &Position) -> Result<Pass> {
    if !writer.opened {
        return Ok(Pass::Wait);
    }
    if let Some(acknowledged) = writer.positions.get(&split.resource) {
        let is_past = acknowledged.reaches(position).map_err(|error| error.context(&split.resource))?;
        return Ok(if is_past { Pass::Yes } else { Pass::Wait });
    }
    if writer.ended.contains(&split.resource) {
        return Ok(Pass::Yes);
    }
    // A partition that the writer has not discovered yet, of a topic that it reads.
    let of = topic(&split.resource);
    let reads_topic =
        writer.expected.contains(of) || writer.positions.keys().chain(&writer.ended).any(|known| topic(known) == of);
    Ok(if reads_topic { Pass::Wait } else { Pass::Yes })
}

fn topic(resource: &str) -> &str {
    resource.rsplit_once('/').map_or(resource, |(topic, _)| topic)
}

impl ReadBehindRegistry {
    /// Registers a job, not opened; `sinks` are the resource names of its sinks.
    pub fn register(&self, job: &str, sinks: Vec<String>) -> Arc<JobProgress> {
        let progress = Arc::new(JobProgress {
            job: job.to_owned(),
            sinks,
            acknowledged: watch::Sender::new(Acknowledged::default()),
        });
        self.jobs.write().insert(job.to_owned(), Arc::clone(&progress));
        self.changed();
        progress
    }

    /// Removes a job: whoever waits for it goes on.
    pub fn remove(&self, job: &str) {
        self.jobs.write().remove(job);
        self.changed();
    }

    /// Removes a job if this is still its place, not that of a later start or of a job made anew.
    pub fn remove_place(&self, place: &Arc<JobProgress>) {
        let mut jobs = self.jobs.write();
        if jobs.get(&place.job).is_some_and(|now| Arc::ptr_eq(now, place)) {
            jobs.remove(&place.job);
            drop(jobs);
            self.changed();
        }
    }

    fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }
}

impl Writers for ReadBehindRegistry {
    fn of(&self, reader: &str, tables: &[String]) -> Vec<Writer> {
        self.jobs
            .read()
            .values()
            .filter(|job| job.job != reader && job.sinks.iter().any(|sink| tables.contains(sink)))
            .map(|job| Writer { job: job.job.clone(), acknowledged: job.acknowledged.subscribe() })
            .collect()
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}

/// Holds one job's records back until the writers of the tables that it looks up are past them.
#[derive(Debug, Clone)]
pub struct ReadBehind {
    writers: Arc<dyn Writers>,
    reader: String,
    tables: Arc<[String]>,
}

impl ReadBehind {
    /// A gate for job `reader` that looks up `tables` (resource names); no tables: everything passes.
    pub fn new(writers: Arc<dyn Writers>, reader: &str, tables: Vec<String>) -> Self {
        Self { writers, reader: reader.to_owned(), tables: tables.into() }
    }

    /// Names of the jobs that this one reads behind, now.
    pub fn writers(&self) -> Vec<String> {
        self.writers.of(&self.reader, &self.tables).into_iter().map(|writer| writer.job).collect()
    }

    /// Waits until the records of `split` before `position` may pass; tells `waits` for which job.
    ///
    /// # Errors
    /// As [`lets_pass`].
    pub async fn wait(&self, split: &Split, position: &Position, waits: &Waits) -> Result<()> {
        if self.tables.is_empty() {
            return Ok(());
        }
        let mut changes = self.writers.changes();
        let mut waiting: Option<(String, Waiting)> = None;
        'again: loop {
            changes.mark_unchanged();
            for Writer { job, mut acknowledged } in self.writers.of(&self.reader, &self.tables) {
                if lets_pass(&acknowledged.borrow(), split, position)? == Pass::Yes {
                    continue;
                }
                if waiting.as_ref().is_none_or(|(known, _)| *known != job) {
                    let wait = waits.begin(Reason::job(&job));
                    waiting = Some((job, wait));
                }
                tokio::select! {
                    // An error means that the writer was removed between the two looks: look again.
                    passed = acknowledged.wait_for(|now| !matches!(lets_pass(now, split, position), Ok(Pass::Wait))) => {
                        lets_pass(match &passed { Ok(now) => now, Err(_) => continue 'again }, split, position)?;
                    }
                    _ = changes.changed() => continue 'again,
                }
            }
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests;
