//! Starts, restarts and ends the tasks of jobs on their own runtime, as the catalog wants it.
//! Everything decided is in `lifecycle`; a panic or failure of one job ends or restarts that job alone.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use futures::StreamExt;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::lag::{self, Lag, Reading};
use super::lifecycle::{self, Action, AfterFailure, JobState, Saving};
use super::restart;
use super::starts::Starts;
use super::state_cell::StateCell;
use super::status::{JobStatus, NodeStatus, SplitStatus};
use super::{attempt, death_signs, forget, sampler, waits_shown};
use crate::catalog::{Catalog, Change, DesiredState, JobEntry};
use crate::clock::Clock;
use crate::connectors::{Position, Registry, Split, TableDeclaration, ToldAs};
use crate::engine::checkpoint::CheckpointStore;
use crate::engine::checkpoint::ending::{Ended, Wanted};
use crate::engine::dataflow::Dataflow;
use crate::engine::job::{JobContext, OpenTable, transactional};
use crate::engine::metrics::JobMetrics;
use crate::engine::progress::{JobProgress, ProgressBoard, ReadBehind};
use crate::engine::run;
use crate::error::{Error, RecordPlace, Result, SqlState};
use crate::fault;
use crate::waits::Waiting;

/// The jobs of this server. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Jobs {
    shared: Arc<Shared>,
}

struct Shared {
    runtime: Handle,
    catalog: Catalog,
    connectors: Registry,
    clock: Arc<dyn Clock>,
    folder: PathBuf,
    board: Arc<ProgressBoard>,
    running: Mutex<BTreeMap<String, Arc<Job>>>,
    closing: Mutex<bool>,
    /// Ids of dropped jobs whose rests are being removed.
    forgetting: Mutex<BTreeSet<String>>,
    /// What former processes of this server died of.
    starts: Starts,
    /// Why the jobs that are there wait for RESUME JOB, if they do: until the first look at them.
    holds: Mutex<Option<Error>>,
}

/// Where a job rests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestingPlace {
    /// The record that failed it, if one did.
    pub record: Option<RecordPlace>,
    /// By split: the first record that it has not taken.
    pub positions: BTreeMap<String, Position>,
}

/// Where a task failed: at this record, if the error names one.
#[derive(Clone)]
struct FailedAt(Option<RecordPlace>);

/// A job that this server has looked at since it is up.
struct Job {
    id: String,
    state: StateCell,
    wanted: watch::Sender<Wanted>,
    /// Set while a savepoint is made: the job is not started again before its end is in the catalog.
    is_held: AtomicBool,
    /// Where the savepoint is with which it ended.
    savepoint: Mutex<Option<String>>,
    last_error: Mutex<Option<(i64, Error)>>,
    /// If its last task ended by an error, whatever was wanted of the job since.
    failed: Mutex<Option<FailedAt>>,
    restarts: AtomicU64,
    metrics: Arc<JobMetrics>,
    read_behind: Mutex<Option<ReadBehind>>,
    lag: Lag,
}

impl Shared {
    /// Ends the interval of all rates that are a second old.
    fn sample(&self) {
        let jobs: Vec<Arc<Job>> = self.running.lock().values().cloned().collect();
        for node in jobs.iter().flat_map(|job| &job.metrics.nodes) {
            node.rates();
        }
    }

    /// The state of a job that is wanted to run and may not start by itself.
    fn set_aside(&self, entry: &JobEntry, holds: bool) -> Option<JobState> {
        if entry.desired != DesiredState::Running {
            return None;
        }
        match self.starts.refusal(&entry.id) {
            Some(_) => Some(JobState::Quarantined),
            None => holds.then_some(JobState::Held),
        }
    }

    fn why_set_aside(&self, id: &str, state: Option<JobState>, held: Option<&Error>) -> Option<(i64, Error)> {
        let why = match state? {
            JobState::Quarantined => {
                let (deaths, sign) = self.starts.refusal(id)?;
                let message = format!("the server died {deaths} times before this job's first checkpoint; {sign}");
                Error::unavailable(message).detail("RESUME JOB tries again, DROP JOB removes it")
            }
            JobState::Held => held?.clone(),
            _ => return None,
        };
        Some((self.clock.now_ms(), why))
    }
}

impl Jobs {
    /// No task runs before the first [`Self::reconcile`]. Checkpoints are kept under `folder`.
    pub fn new(
        runtime: Handle,
        catalog: Catalog,
        connectors: Registry,
        clock: Arc<dyn Clock>,
        folder: PathBuf,
    ) -> Self {
        let starts = Starts::open(&folder);
        let shared = Shared {
            runtime,
            catalog,
            connectors,
            clock,
            folder,
            board: Arc::default(),
            running: Mutex::default(),
            closing: Mutex::new(false),
            forgetting: Mutex::default(),
            starts,
            holds: Mutex::default(),
        };
        let shared = Arc::new(shared);
        let sampled = Arc::downgrade(&shared);
        sampler::start(&shared.runtime, move || sampled.upgrade().map(|shared| shared.sample()).is_some());
        Self { shared }
    }

    /// Holds the jobs that are there now until they are resumed, one by one; each shows the reason. Only before the first
    /// [`Self::reconcile`].
    pub fn hold(&self, reason: Error) {
        *self.shared.holds.lock() = Some(reason);
    }

    /// Lets the process leave a sign when it dies of what a job does: three such deaths set the job aside.
    pub fn watch_deaths(&self) {
        death_signs::watch(&self.shared.folder, &self.shared.starts);
    }

    /// Makes what runs agree with what the catalog wants; called after every commit that touched jobs.
    /// Failed or finished jobs in `resumed` are tried again.
    pub fn reconcile(&self, resumed: &[String]) {
        let shared = &self.shared;
        let mut starts = Vec::new();
        {
            let mut running = shared.running.lock();
            if *shared.closing.lock() {
                return;
            }
            // Taken under the lock: two calls at the same time must not act on an older catalog after a newer one.
            let snapshot = shared.catalog.snapshot();
            let mut replaced: BTreeMap<String, Arc<Job>> = BTreeMap::new();
            let mut dropped: BTreeMap<String, Arc<Job>> = BTreeMap::new();
            // A dropped job, or one dropped and made again under the same name.
            running.retain(|name, job| {
                if snapshot.jobs.get(name).is_some_and(|entry| entry.id == job.id) {
                    return true;
                }
                job.wanted.send_replace(Wanted::Stop);
                // One that was made again keeps its place until it is registered below: nobody may slip through between.
                match snapshot.jobs.contains_key(name) {
                    true => drop(replaced.insert(name.clone(), Arc::clone(job))),
                    false => shared.board.remove(name),
                }
                dropped.insert(job.id.clone(), Arc::clone(job));
                false
            });
            // Also those that a former process has dropped and not cleared away.
            for (id, entry) in &snapshot.dropped_jobs {
                if shared.forgetting.lock().insert(id.clone()) {
                    let (jobs, entry, ended) = (self.clone(), entry.clone(), dropped.remove(id));
                    shared.runtime.spawn(async move { jobs.forget(entry, ended).await });
                }
            }
            let holds = shared.holds.lock().take();
            for (name, entry) in &snapshot.jobs {
                let known = running.get(name).map(|job| job.state.now());
                let actual = known.or_else(|| shared.set_aside(entry, holds.is_some()));
                if let Some(job) = running.get(name)
                    && job.is_held.load(Ordering::Acquire)
                {
                    // Who only wants it to stop has it stopped by the savepoint that is being made.
                    if entry.desired != DesiredState::Paused {
                        continue;
                    }
                    job.is_held.store(false, Ordering::Release);
                }
                let action = lifecycle::decide(Some(entry.desired), actual, resumed.contains(name));
                let was_started = action == Action::Start;
                match action {
                    Action::Start => {
                        shared.starts.allow(&entry.id);
                        let job =
                            running.entry(name.clone()).or_insert_with(|| Arc::new(Job::new(entry, &shared.clock)));
                        job.wanted.send_replace(Wanted::Run);
                        job.state.set(JobState::Starting);
                        let progress = shared.board.register(name, self.sinks_of(entry));
                        starts.push((entry.clone(), Arc::clone(job), progress, replaced.remove(name)));
                    }
                    Action::End => {
                        if let Some(job) = running.get(name) {
                            job.state.set(JobState::Stopping);
                            job.wanted.send_replace(Wanted::Stop);
                        }
                    }
                    Action::Rest(rest) => {
                        let job =
                            running.entry(name.clone()).or_insert_with(|| Arc::new(Job::new(entry, &shared.clock)));
                        job.state.set(rest);
                    }
                    Action::Nothing => {
                        if known.is_none() {
                            let job = Arc::new(Job::new(entry, &shared.clock));
                            job.state.set(actual.unwrap_or_else(|| lifecycle::resting(Some(entry.desired))));
                            *job.last_error.lock() = shared.why_set_aside(&entry.id, actual, holds.as_ref());
                            running.insert(name.clone(), job);
                        }
                    }
                }
                match entry.desired {
                    DesiredState::Stopped => shared.board.remove(name),
                    // A job that was not started here still holds back the jobs that read behind it.
                    _ if known.is_none() && !was_started => drop(shared.board.register(name, self.sinks_of(entry))),
                    _ => {}
                }
            }
        }
        // All are on the board before the first one runs: none may slip past a writer that is not up yet.
        for (entry, job, progress, replaced) in starts {
            let jobs = self.clone();
            shared.runtime.spawn(async move {
                if let Some(replaced) = replaced {
                    // Two jobs of one name do not write at the same time.
                    let _waiting = job.metrics.waits.begin("the job that it replaces to end".to_owned());
                    replaced.has_ended().await;
                }
                jobs.supervise(entry, job, progress).await;
            });
        }
    }

    /// Resource names of a job's sinks; those that cannot be opened are left out: the job itself says why.
    pub fn sinks_of(&self, entry: &JobEntry) -> Vec<String> {
        let Ok(dataflow) = Dataflow::from_json(&entry.dataflow) else { return Vec::new() };
        let open = self.opener();
        dataflow.sinks().filter_map(|(_, sink)| open(&sink.table).ok()?.sink.map(|sink| sink.resource())).collect()
    }

    /// Removes what a dropped job leaves, once it has ended here, and has the catalog forget it.
    async fn forget(&self, entry: JobEntry, ended: Option<Arc<Job>>) {
        fault::point("D0");
        if let Some(job) = ended {
            // The task must have ended before its checkpoints go.
            job.has_ended().await;
        }
        let mut tries = forget::Tries::default();
        while let Err(error) = self.remove(&entry).await {
            tries.failed(&entry.name, &error).await;
        }
        let (catalog, id) = (self.shared.catalog.clone(), entry.id.clone());
        let forgotten = tokio::task::spawn_blocking(move || catalog.commit(&[Change::ForgetJob { id }])).await;
        if let Ok(Err(error)) = forgotten {
            tracing::warn!(job = entry.name, %error, "a dropped job of which nothing is left is still in the catalog");
        }
        self.shared.forgetting.lock().remove(&entry.id);
    }

    /// Checkpoints, transactions, spilled state, records of starts.
    async fn remove(&self, entry: &JobEntry) -> Result<()> {
        // What cannot be read has named no place of its own.
        if let Ok(dataflow) = Dataflow::from_json(&entry.dataflow) {
            self.checkpoints(&entry.id, &dataflow)?.remove().await?;
            let open = self.opener();
            let sinks: Vec<_> = dataflow.sinks().filter_map(|(_, sink)| open(&sink.table).ok()?.sink).collect();
            if let Ok(Some(transactional)) = transactional(sinks.iter()) {
                transactional.forget(&entry.id).await?;
            }
        }
        forget::folder(&self.shared.folder.join(&entry.id)).await?;
        self.shared.starts.forget(&entry.id).await;
        Ok(())
    }

    fn checkpoints(&self, id: &str, dataflow: &Dataflow) -> Result<CheckpointStore> {
        let store = match &dataflow.settings.checkpoints_dir {
            Some(url) => {
                // The configuration may have changed since the job was submitted.
                self.shared.connectors.defaults().places.check_folder("setting \"state.checkpoints.dir\"", url)?;
                CheckpointStore::at(url, id)?
            }
            None => CheckpointStore::new(&self.shared.folder, id),
        };
        let store = store.with_retained(dataflow.settings.checkpoints_retained);
        Ok(store.with_memory(dataflow.settings.memory_budget))
    }

    /// Ends a job with a savepoint in `folder` and gives its place: of a job that runs one of now, of any other one of what it has
    /// decided last. The job stays ended only if the catalog says so next.
    ///
    /// # Errors
    /// There is no such job, or its savepoint cannot be made: then it is as it was.
    pub async fn stop_with_savepoint(&self, name: &str, folder: &str) -> Result<String> {
        let job = self.shared.running.lock().get(name).cloned();
        let job = job.ok_or_else(|| Error::not_found(format!("job \"{name}\" does not exist")))?;
        job.is_held.store(true, Ordering::Release);
        job.savepoint.lock().take();
        let asked_ms = self.shared.clock.now_ms();
        let before = job.state.now();
        let saving = lifecycle::saving(before);
        if before.is_active() && before != JobState::Stopping {
            job.state.set(JobState::Stopping);
            // A job that is not open yet gives no state of now, and is not waited for.
            job.wanted.send_replace(match saving {
                Saving::LastEpoch => Wanted::StopWithSavepoint(folder.to_owned()),
                Saving::DecidedEpoch => Wanted::Stop,
            });
        }
        job.has_ended().await;
        if let Some(place) = job.savepoint.lock().take() {
            return Ok(place);
        }
        let saved = match saving {
            Saving::DecidedEpoch => self.save_decided(name, &job, folder).await,
            Saving::LastEpoch => {
                let error =
                    job.last_error.lock().as_ref().filter(|(at, _)| *at >= asked_ms).map(|(_, error)| error.clone());
                Err(error.unwrap_or_else(|| {
                    Error::invalid(format!(
                        "job \"{name}\" was paused or dropped meanwhile, so that there is no savepoint"
                    ))
                    .code(SqlState::ObjectNotInPrerequisiteState)
                }))
            }
        };
        if saved.is_err() {
            job.is_held.store(false, Ordering::Release);
            self.reconcile(&[]);
        }
        saved
    }

    async fn save_decided(&self, name: &str, job: &Arc<Job>, folder: &str) -> Result<String> {
        let entry = self.shared.catalog.snapshot().jobs.get(name).filter(|entry| entry.id == job.id).cloned();
        let entry = entry.ok_or_else(|| Error::not_found(format!("job \"{name}\" does not exist")))?;
        // Nothing of it is on the board: whoever reads behind the job goes by its place there.
        let progress = Arc::new(ProgressBoard::default()).register(name, Vec::new());
        let context = self.job_context(&entry, job, progress)?;
        // A task of its own, as for the job itself: what it opens wants the jobs' runtime.
        let (folder, runtime) = (folder.to_owned(), &self.shared.runtime);
        let saved = runtime.spawn(async move { run::savepoint(&context, &folder).await });
        saved.await.map_err(|error| Error::internal(format!("the savepoint ended without an answer: {error}")))?
    }

    /// Where a job that rests may be told to go on behind records it cannot take.
    ///
    /// # Errors
    /// It has a task (55000), or what it has decided cannot be read.
    pub async fn resting_place(&self, name: &str) -> Result<RestingPlace> {
        let job = self.shared.running.lock().get(name).cloned();
        let job = job.ok_or_else(|| Error::not_found(format!("job \"{name}\" does not exist")))?;
        let state = job.state.now();
        if state.is_active() {
            return Err(Error::invalid(format!(
                "job \"{name}\" is {}: only a job at rest can go over records",
                state.name()
            ))
            .code(SqlState::ObjectNotInPrerequisiteState)
            .hint("PAUSE JOB it first."));
        }
        let failed = job.failed.lock().clone();
        let has_failed = failed.is_some();
        let record = failed.and_then(|FailedAt(record)| record);
        let mut positions: BTreeMap<String, Position> = BTreeMap::new();
        let entry = self.shared.catalog.snapshot().jobs.get(name).filter(|entry| entry.id == job.id).cloned();
        if let Some(dataflow) = entry.and_then(|entry| Dataflow::from_json(&entry.dataflow).ok()) {
            let stored = self.checkpoints(&job.id, &dataflow)?.newest_positions().await?.unwrap_or_default();
            positions.extend(stored.into_values().flatten());
        }
        // What has failed without a record's name may be anywhere behind the checkpoint.
        if record.is_some() || !has_failed {
            for (split, progress) in job.metrics.splits.lock().iter() {
                let read = progress.read.clone();
                let furthest = match positions.remove(split) {
                    Some(known) => known.later(read).map_err(|error| error.context(split))?,
                    None => read,
                };
                positions.insert(split.clone(), furthest);
            }
        }
        if let Some(record) = &record {
            positions.insert(record.split.clone(), Position::Offset(record.offset));
        }
        Ok(RestingPlace { record, positions })
    }

    /// Gives a job back to the catalog's wish after [`Self::stop_with_savepoint`]: its end is noted there, or could not be.
    pub fn release(&self, name: &str) {
        if let Some(job) = self.shared.running.lock().get(name) {
            job.is_held.store(false, Ordering::Release);
        }
        self.reconcile(&[]);
    }

    /// Where savepoints go unless the statement or the session says otherwise: beside the jobs' folder.
    pub fn default_savepoints_folder(&self) -> PathBuf {
        self.shared.folder.with_file_name("savepoints")
    }

    /// The jobs among `others` that tell their progress under a name which the tables of `dataflow` give too, each with that name.
    pub fn telling_under_one_name(&self, dataflow: &Dataflow, others: &[&JobEntry]) -> Vec<(String, ToldAs)> {
        let open = self.opener();
        let told = |dataflow: &Dataflow| -> Vec<ToldAs> {
            let sources = dataflow.sources().filter_map(|(_, source)| open(&source.table).ok()?.source);
            sources.flat_map(|source| source.told_as()).collect()
        };
        let mine = told(dataflow);
        if mine.is_empty() {
            return Vec::new();
        }
        let shares = |entry: &JobEntry| {
            let theirs = told(&Dataflow::from_json(&entry.dataflow).ok()?);
            let shared = theirs.into_iter().find(|told| mine.contains(told))?;
            Some((entry.name.clone(), shared))
        };
        others.iter().filter_map(|entry| shares(entry)).collect()
    }

    fn opener(&self) -> OpenTable {
        let shared = Arc::clone(&self.shared);
        Arc::new(move |table: &TableDeclaration| {
            let resolve = |reference: &str| shared.catalog.secret(reference);
            shared.connectors.open(table, &resolve, false)
        })
    }

    /// Runs a job's task until it is told to end, its sources end, or a failure that needs a person.
    async fn supervise(&self, entry: JobEntry, job: Arc<Job>, progress: Arc<JobProgress>) {
        let mut wanted = job.wanted.subscribe();
        let mut failures = 0;
        // What it waits for between its failures, until it has opened everything again.
        let mut waiting: Option<(String, Waiting)> = None;
        let name = entry.name.clone();
        let rest = loop {
            // A job that failed is not said to run before it has opened everything.
            if failures == 0 {
                job.state.set_unless(JobState::Running, Some(JobState::Stopping));
            }
            *job.failed.lock() = None;
            let begun = Instant::now();
            job.metrics.begin_run();
            let outcome = match self.job_context(&entry, &job, Arc::clone(&progress)) {
                // A task of its own, so that a panic ends it and nothing else.
                Ok(context) => {
                    let opened = || {
                        waiting = None;
                        job.state.set_unless(JobState::Running, Some(JobState::Stopping));
                    };
                    let shared = &self.shared;
                    attempt::run(&shared.runtime, context, wanted.clone(), &shared.starts, opened).await
                }
                Err(error) => Err(error),
            };
            let error = match outcome {
                Ok(Ended::Stopped(savepoint)) => {
                    *job.savepoint.lock() = savepoint;
                    break None;
                }
                Ok(Ended::Finished) => break Some(JobState::Finished),
                Err(error) => error,
            };
            *job.last_error.lock() = Some((self.shared.clock.now_ms(), error.clone()));
            if *wanted.borrow() != Wanted::Run {
                break None;
            }
            failures = if begun.elapsed() >= restart::STEADY { 1 } else { failures + 1 };
            if lifecycle::after_failure(error.kind(), failures) == AfterFailure::GiveUp {
                tracing::error!(job = name, failures, %error, "job failed");
                *job.failed.lock() = Some(FailedAt(error.record().cloned()));
                break Some(lifecycle::given_up(error.kind()));
            }
            let delay = restart::delay(failures, rand::random());
            tracing::warn!(job = name, failures, %error, delay_ms = delay.as_millis(), "job failed and is started again");
            job.restarts.fetch_add(1, Ordering::Relaxed);
            job.state.set_unless(JobState::Retrying, Some(JobState::Stopping));
            let reason = error.waits_for().unwrap_or("another try after its last error");
            if waiting.as_ref().is_none_or(|(known, _)| known != reason) {
                waiting = Some((reason.to_owned(), job.metrics.waits.begin(reason.to_owned())));
            }
            tokio::select! {
                () = tokio::time::sleep(delay) => {}
                _ = wanted.wait_for(|wanted| *wanted != Wanted::Run) => break None,
            }
        };
        drop(waiting);
        let desired = {
            // Under the lock of `reconcile`: a RESUME is either seen here, or finds the job at rest.
            let _running = self.shared.running.lock();
            let desired =
                self.shared.catalog.snapshot().jobs.get(&name).filter(|now| now.id == entry.id).map(|now| now.desired);
            if rest == Some(JobState::Finished) {
                self.shared.board.remove_place(&progress);
            }
            job.state.set(lifecycle::ended(rest, desired));
            desired
        };
        // RESUME may have come while the task was still ending.
        if rest.is_none() && desired == Some(DesiredState::Running) {
            self.reconcile(&[]);
        }
    }

    fn job_context(&self, entry: &JobEntry, job: &Arc<Job>, progress: Arc<JobProgress>) -> Result<JobContext> {
        let dataflow = Dataflow::from_json(&entry.dataflow)?;
        let open_table = self.opener();
        let mut looked_up = Vec::new();
        if dataflow.settings.read_behind {
            for function in dataflow.lookups() {
                if let Some(lookup) = open_table(&function.table)?.lookup {
                    looked_up.push(lookup.resource());
                }
            }
        }
        let read_behind = ReadBehind::new(Arc::clone(&self.shared.board), &entry.name, looked_up);
        *job.read_behind.lock() = Some(read_behind.clone());
        Ok(JobContext {
            job: entry.name.clone(),
            id: entry.id.clone(),
            checkpoints: self.checkpoints(&entry.id, &dataflow)?,
            spill_folder: self.shared.folder.join(&entry.id).join("spill"),
            dataflow: Arc::new(dataflow),
            skips: entry.skips.clone().into(),
            open_table,
            progress,
            read_behind,
            metrics: Arc::clone(&job.metrics),
            clock: Arc::clone(&self.shared.clock),
        })
    }

    /// Waits until a job does what is wanted of it: runs, rests, or is gone.
    ///
    /// # Errors
    /// It failed on the way.
    pub async fn settled(&self, name: &str) -> Result<()> {
        let Some(job) = self.shared.running.lock().get(name).cloned() else { return Ok(()) };
        let mut state = job.state.subscribe();
        // The sender lives in `job`, so that waiting cannot fail.
        let state = state
            .wait_for(|state| !matches!(state, JobState::Starting | JobState::Stopping))
            .await
            .map(|state| *state)
            .unwrap_or(JobState::Stopped);
        match (state, job.last_error.lock().as_ref()) {
            (JobState::Failed | JobState::Quarantined, Some((_, error))) => Err(error.clone()),
            _ => Ok(()),
        }
    }

    /// Ends all tasks with a last checkpoint, for the end of the server; what is wanted of the jobs stays as it is.
    pub async fn shutdown(&self) {
        let jobs: Vec<Arc<Job>> = {
            let running = self.shared.running.lock();
            *self.shared.closing.lock() = true;
            running.values().cloned().collect()
        };
        for job in &jobs {
            job.wanted.send_replace(Wanted::Stop);
        }
        for job in jobs {
            job.has_ended().await;
        }
    }

    /// What all jobs do now, by name, and how much waits for them, which outside systems are asked for. A job whose sources do not
    /// answer soon has no lag.
    pub async fn status_now(&self) -> Vec<JobStatus> {
        let measured = self.status().into_iter().map(|mut status| async move {
            self.measure_lag(&mut status).await;
            status
        });
        futures::stream::iter(measured).buffered(lag::JOBS_AT_ONCE).collect().await
    }

    async fn measure_lag(&self, status: &mut JobStatus) {
        let (job, entry) = {
            let running = self.shared.running.lock();
            let job = running.get(&status.name).filter(|job| job.id == status.id).cloned();
            (job, self.shared.catalog.snapshot().jobs.get(&status.name).cloned())
        };
        let (Some(job), Some(entry)) = (job, entry) else { return };
        if job.metrics.trouble().is_some() {
            // Whoever does not answer the job does not answer us.
            return;
        }
        let places = job.lag.measure(&status.splits, || self.reading(&entry, &job)).await;
        lag::fill(&mut status.splits, &places, status.state == JobState::Running.name());
    }

    /// What a job reads, and how far it has come in splits that it has not opened since this server is up.
    async fn reading(&self, entry: &JobEntry, job: &Job) -> Result<Vec<Reading>> {
        let opened = job.metrics.sources.all();
        if !opened.is_empty() {
            return Ok(opened.into_iter().map(|(source, splits)| Reading { source, splits, stored: None }).collect());
        }
        let dataflow = Dataflow::from_json(&entry.dataflow)?;
        let stored = self.checkpoints(&entry.id, &dataflow)?.newest_positions().await?.unwrap_or_default();
        let open = self.opener();
        let mut reading = Vec::new();
        for (node, stored_source) in dataflow.sources() {
            if let Some(positions) = stored.get(&node.id).filter(|positions| !positions.is_empty())
                && let Some(source) = open(&stored_source.table)?.source
            {
                let split = |id: &String| Split { id: id.clone(), resource: String::new(), group: None };
                reading.push(Reading {
                    source,
                    splits: positions.keys().map(split).collect(),
                    stored: Some(positions.clone()),
                });
            }
        }
        Ok(reading)
    }

    /// What all jobs do now, by name; their lag is left out.
    pub fn status(&self) -> Vec<JobStatus> {
        let shared = &self.shared;
        let snapshot = shared.catalog.snapshot();
        let running = shared.running.lock();
        let (now, now_ms) = (Instant::now(), shared.clock.now_ms());
        let state_of = |name: &str| running.get(name).map(|job| job.state.now());
        snapshot
            .jobs
            .values()
            .map(|entry| {
                let job = running.get(&entry.name).filter(|job| job.id == entry.id);
                let (state, last_error) = job.map_or((JobState::Starting, None), |job| job.shown(now_ms));
                let metrics = job.map(|job| &job.metrics);
                let waits = metrics.filter(|_| state.is_active()).map(|metrics| metrics.all_waits());
                let count = |counter: fn(&JobMetrics) -> &AtomicU64| {
                    metrics.map_or(0, |metrics| counter(metrics).load(Ordering::Relaxed))
                };
                JobStatus {
                    name: entry.name.clone(),
                    id: entry.id.clone(),
                    state: state.name(),
                    since_ms: job.map(|job| job.state.since_ms()),
                    waits: waits_shown::shown(&waits.unwrap_or_default(), now, now_ms, &state_of),
                    statement: entry.statement.clone(),
                    created_ms: entry.created_ms,
                    last_error_ms: last_error.as_ref().map(|(at, _)| *at),
                    last_error: last_error.map(|(_, error)| error.to_string()),
                    restarts: job.map_or(0, |job| job.restarts.load(Ordering::Relaxed)),
                    row_errors: metrics.map_or(0, |metrics| metrics.left_out.rows()),
                    last_row_error: metrics.and_then(|metrics| metrics.left_out.last()),
                    checkpoints: count(|metrics| &metrics.checkpoints),
                    last_checkpoints: metrics
                        .map(|metrics| metrics.last_checkpoints.lock().iter().copied().collect())
                        .unwrap_or_default(),
                    checkpoint_ms: count(|metrics| &metrics.checkpoint_us) as f64 / 1000.0,
                    reads_behind: job
                        .and_then(|job| job.read_behind.lock().as_ref().map(ReadBehind::writers))
                        .unwrap_or_default(),
                    nodes: metrics
                        .map(|metrics| metrics.nodes.iter().map(|node| NodeStatus::of(node)).collect())
                        .unwrap_or_default(),
                    splits: metrics.map(|metrics| SplitStatus::all(metrics)).unwrap_or_default(),
                }
            })
            .collect()
    }
}

impl Job {
    /// State and last error as users see them. A job that is there but cannot go on, because an outside system does not answer, is
    /// being tried again and says with what, whether its task lives on or is started anew.
    fn shown(&self, now_ms: i64) -> (JobState, Option<(i64, Error)>) {
        let (state, last_error) = (self.state.now(), self.last_error.lock().clone());
        let trouble = if state == JobState::Running { self.metrics.trouble() } else { None };
        match (trouble, last_error) {
            (Some(trouble), _) => (JobState::Retrying, Some((now_ms, trouble))),
            (None, _) if state == JobState::Running && self.metrics.awaits().is_some() => {
                (JobState::Retrying, self.metrics.awaits().map(|error| (now_ms, error)))
            }
            (None, Some((at, error)))
                if lifecycle::is_retrying(state, self.metrics.is_open.load(Ordering::Acquire), error.kind()) =>
            {
                (JobState::Retrying, Some((at, error)))
            }
            (None, last_error) => (state, last_error),
        }
    }

    fn new(entry: &JobEntry, clock: &Arc<dyn Clock>) -> Self {
        // One that cannot be read says so when it starts.
        let nodes = Dataflow::from_json(&entry.dataflow).map(|dataflow| dataflow.descriptions()).unwrap_or_default();
        Self {
            id: entry.id.clone(),
            state: StateCell::new(&entry.name, JobState::Starting, Arc::clone(clock)),
            wanted: watch::Sender::new(Wanted::Run),
            is_held: AtomicBool::new(false),
            savepoint: Mutex::new(None),
            last_error: Mutex::new(None),
            failed: Mutex::new(None),
            restarts: AtomicU64::new(0),
            metrics: Arc::new(JobMetrics::new(nodes)),
            read_behind: Mutex::new(None),
            lag: Lag::default(),
        }
    }

    /// Waits until nothing of it runs.
    async fn has_ended(&self) {
        // The sender lives here, so that waiting cannot fail.
        let _ = self.state.subscribe().wait_for(|state| !state.is_active()).await;
    }
}
