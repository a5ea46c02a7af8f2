//! Starts, restarts and ends the tasks of jobs on their own runtime, as the catalog wants it.
//! Everything decided is in `lifecycle`; a panic or failure of one job ends or restarts that job alone.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use tokio::runtime::Handle;

use super::facts::{Event, Facts, FailedAt, JobState};
use super::facts_cell::{StateChange, StateHeard};
use super::job::Job;
use super::lifecycle::{self, Action, AfterFailure, Saving};
use super::restart;
use super::starts::Starts;
use super::{attempt, death_signs, forget, sampler};
use crate::catalog::{Catalog, Change, DesiredState, JobEntry, Snapshot};
use crate::clock::Clock;
use crate::connectors::{Registry, TableDeclaration, ToldAs};
use crate::engine::checkpoint::CheckpointStore;
use crate::engine::checkpoint::ending::{Ended, Wanted};
use crate::engine::dataflow::Dataflow;
use crate::engine::job::{JobContext, OpenTable, transactional};
use crate::engine::progress::{JobProgress, ReadBehind, ReadBehindRegistry};
use crate::engine::run;
use crate::error::{Error, Result, SqlState};
use crate::fault;
use crate::waits::Waiting;

/// Jobs by name, or by id.
type Running = BTreeMap<String, Arc<Job>>;

/// The jobs of this server. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Jobs {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub runtime: Handle,
    pub catalog: Catalog,
    pub connectors: Registry,
    pub clock: Arc<dyn Clock>,
    pub folder: PathBuf,
    pub registry: Arc<ReadBehindRegistry>,
    pub running: Mutex<Running>,
    pub closing: Mutex<bool>,
    /// Ids of dropped jobs whose rests are being removed.
    pub forgetting: Mutex<BTreeSet<String>>,
    /// What former processes of this server died of.
    pub starts: Starts,
    /// Why the jobs that are there wait for RESUME JOB, if they do: until the first look at them.
    pub holds: Mutex<Option<Error>>,
    /// Who hears of changes of state.
    pub heard: StateHeard,
}

impl Shared {
    /// Ends the interval of all rates that are a second old.
    fn sample(&self) {
        let jobs: Vec<Arc<Job>> = self.running.lock().values().cloned().collect();
        for node in jobs.iter().flat_map(|job| &job.metrics.nodes) {
            node.rates();
        }
    }

    /// What a job that is wanted to run is told if it may not start by itself. `holds`: why all wait, if they do.
    fn set_aside(&self, entry: &JobEntry, holds: Option<&Error>) -> Option<Event> {
        if entry.desired != DesiredState::Running {
            return None;
        }
        let Some((deaths, sign)) = self.starts.refusal(&entry.id) else {
            return Some(Event::SetAside(JobState::Held, holds?.clone()));
        };
        let message = format!("the server died {deaths} times before this job's first checkpoint; {sign}");
        let why = Error::unavailable(message).detail("RESUME JOB tries again, DROP JOB removes it");
        Some(Event::SetAside(JobState::Quarantined, why))
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
            registry: Arc::default(),
            running: Mutex::default(),
            closing: Mutex::new(false),
            forgetting: Mutex::default(),
            starts,
            holds: Mutex::default(),
            heard: StateHeard::default(),
        };
        let shared = Arc::new(shared);
        let sampled = Arc::downgrade(&shared);
        sampler::start(&shared.runtime, move || sampled.upgrade().map(|shared| shared.sample()).is_some());
        Self { shared }
    }

    /// Has somebody hear of all changes of state from now on; it may not wait. Only the first one does.
    pub fn on_state_change(&self, heard: impl Fn(StateChange<'_>) + Send + Sync + 'static) {
        let _ = self.shared.heard.set(Box::new(heard));
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
            let mut replaced = self.take_out_dropped(&snapshot, &mut running);
            let holds = shared.holds.lock().take();
            for (name, entry) in &snapshot.jobs {
                let start = self.bring(entry, &mut running, resumed.contains(name), holds.as_ref());
                starts.extend(start.map(|(job, progress)| (entry.clone(), job, progress, replaced.remove(name))));
            }
        }
        // All are registered before the first one runs: none may slip past a writer that is not up yet.
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

    /// Ends the jobs that are not in the catalog any more, and has what they leave removed. Gives, by name, those that were dropped
    /// and made again.
    fn take_out_dropped(&self, snapshot: &Snapshot, running: &mut Running) -> Running {
        let shared = &self.shared;
        let mut replaced = Running::new();
        let mut dropped = Running::new();
        running.retain(|name, job| {
            if snapshot.jobs.get(name).is_some_and(|entry| entry.id == job.id) {
                return true;
            }
            job.wanted.send_replace(Wanted::Stop);
            // One that was made again keeps its place until it is registered by `bring`: nobody may slip through between.
            match snapshot.jobs.contains_key(name) {
                true => drop(replaced.insert(name.clone(), Arc::clone(job))),
                false => shared.registry.remove(name),
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
        replaced
    }

    /// Brings one job where it is wanted, as `lifecycle` decides; gives it with its place in the read-behind registry if its task is to be started.
    /// `holds`: why jobs that this server has not looked at yet wait for RESUME JOB, if they do.
    fn bring(
        &self,
        entry: &JobEntry,
        running: &mut Running,
        resumed: bool,
        holds: Option<&Error>,
    ) -> Option<(Arc<Job>, Arc<JobProgress>)> {
        let (shared, name) = (&self.shared, &entry.name);
        let known = running.get(name).map(|job| {
            job.facts.tell(Event::Desired(entry.desired));
            job.facts.now()
        });
        let is_new = known.is_none();
        let set_aside = if is_new { shared.set_aside(entry, holds) } else { None };
        let facts = known.or_else(|| {
            let now_ms = shared.clock.now_ms();
            set_aside.clone().map(|event| Facts::new(now_ms).after(event, now_ms))
        });
        let job =
            running.entry(name.clone()).or_insert_with(|| Arc::new(Job::new(entry, &shared.clock, &shared.heard)));
        let mut start = None;
        match lifecycle::decide(Some(entry.desired), facts.as_ref(), resumed) {
            Action::AwaitSavepoint => return None,
            Action::Start => {
                shared.starts.allow(&entry.id);
                job.wanted.send_replace(Wanted::Run);
                job.facts.tell(Event::Starts);
                start = Some((Arc::clone(job), shared.registry.register(name, self.sinks_of(entry))));
            }
            Action::End => {
                job.facts.tell(Event::Ends);
                job.wanted.send_replace(Wanted::Stop);
            }
            Action::Rest(rest) => drop(job.facts.tell(Event::Rests(rest))),
            Action::Nothing if is_new => {
                let resting = || Event::Rests(lifecycle::resting(Some(entry.desired)));
                job.facts.tell(set_aside.unwrap_or_else(resting));
            }
            Action::Nothing => {}
        }
        match entry.desired {
            DesiredState::Stopped => shared.registry.remove(name),
            // A job that was not started here still holds back the jobs that read behind it.
            _ if is_new && start.is_none() => drop(shared.registry.register(name, self.sinks_of(entry))),
            _ => {}
        }
        start
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

    pub(super) fn checkpoints(&self, id: &str, dataflow: &Dataflow) -> Result<CheckpointStore> {
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
        let asked_ms = self.shared.clock.now_ms();
        let before = job.facts.tell(Event::SavepointAsked);
        let saving = lifecycle::saving(&before);
        if before.state.is_active() && before.state != JobState::Stopping {
            // A job that is not open yet gives no state of now, and is not waited for.
            job.wanted.send_replace(match saving {
                Saving::LastEpoch => Wanted::StopWithSavepoint(folder.to_owned()),
                Saving::DecidedEpoch => Wanted::Stop,
            });
        }
        job.has_ended().await;
        let ended = job.facts.tell(Event::SavepointTaken);
        if let Some(place) = ended.savepoint {
            return Ok(place);
        }
        let saved = match saving {
            Saving::DecidedEpoch => self.save_decided(name, &job, folder).await,
            Saving::LastEpoch => {
                let error = ended.last_error.filter(|(at, _)| *at >= asked_ms).map(|(_, error)| error);
                Err(error.unwrap_or_else(|| {
                    Error::invalid(format!(
                        "job \"{name}\" was paused or dropped meanwhile, so that there is no savepoint"
                    ))
                    .code(SqlState::ObjectNotInPrerequisiteState)
                }))
            }
        };
        if saved.is_err() {
            job.facts.tell(Event::Released);
            self.reconcile(&[]);
        }
        saved
    }

    async fn save_decided(&self, name: &str, job: &Arc<Job>, folder: &str) -> Result<String> {
        let entry = self.shared.catalog.snapshot().jobs.get(name).filter(|entry| entry.id == job.id).cloned();
        let entry = entry.ok_or_else(|| Error::not_found(format!("job \"{name}\" does not exist")))?;
        // It is not registered: whoever reads behind the job goes by its place there.
        let progress = Arc::new(ReadBehindRegistry::default()).register(name, Vec::new());
        let context = self.job_context(&entry, job, progress)?;
        // A task of its own, as for the job itself: what it opens wants the jobs' runtime.
        let (folder, runtime) = (folder.to_owned(), &self.shared.runtime);
        let saved = runtime.spawn(async move { run::savepoint(&context, &folder).await });
        saved.await.map_err(|error| Error::internal(format!("the savepoint ended without an answer: {error}")))?
    }

    /// Gives a job back to the catalog's wish after [`Self::stop_with_savepoint`]: its end is noted there, or could not be.
    pub fn release(&self, name: &str) {
        if let Some(job) = self.shared.running.lock().get(name) {
            job.facts.tell(Event::Released);
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

    pub(super) fn opener(&self) -> OpenTable {
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
            job.facts.tell(Event::RunBegins { again: failures > 0 });
            let begun = Instant::now();
            job.metrics.begin_run();
            let outcome = match self.job_context(&entry, &job, Arc::clone(&progress)) {
                // A task of its own, so that a panic ends it and nothing else.
                Ok(context) => {
                    let opened = || {
                        waiting = None;
                        job.facts.tell(Event::Opened);
                    };
                    let shared = &self.shared;
                    attempt::run(&shared.runtime, context, wanted.clone(), &shared.starts, opened).await
                }
                Err(error) => Err(error),
            };
            let error = match outcome {
                Ok(Ended::Stopped(savepoint)) => {
                    job.facts.tell(Event::Stopped(savepoint));
                    break None;
                }
                Ok(Ended::Finished) => break Some(JobState::Finished),
                Err(error) => error,
            };
            job.facts.tell(Event::Failed(error.clone()));
            if *wanted.borrow() != Wanted::Run {
                break None;
            }
            failures = if begun.elapsed() >= restart::STEADY { 1 } else { failures + 1 };
            if lifecycle::after_failure(error.kind(), failures) == AfterFailure::GiveUp {
                tracing::error!(job = name, failures, %error, "job failed");
                job.facts.tell(Event::GivenUp(FailedAt(error.record().cloned())));
                break Some(lifecycle::given_up(error.kind()));
            }
            let delay = restart::delay(failures, rand::random());
            tracing::warn!(job = name, failures, %error, delay_ms = delay.as_millis(), "job failed and is started again");
            job.facts.tell(Event::Retries);
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
                self.shared.registry.remove_place(&progress);
            }
            job.facts.tell(Event::Rests(lifecycle::ended(rest, desired)));
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
        let read_behind = ReadBehind::new(self.shared.registry.clone(), &entry.name, looked_up);
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
        let facts = job.facts.until(|state| !matches!(state, JobState::Starting | JobState::Stopping)).await;
        match (facts.state, facts.last_error) {
            (JobState::Failed | JobState::Quarantined, Some((_, error))) => Err(error),
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
}
