//! Runs a job's epochs: asks the tasks for a barrier, collects what they report, has it made durable and decided (`durable`), and tells
//! everyone. When an epoch begins and when the job has ended, `epochs` says; here that is done. The tasks run on meanwhile.
//! Splits are opened and assigned in `discovery`. What is decided after a crash is in `protocol`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::durable::{Completed, Epoch, Rim};
use super::ending::{Ended, SAVEPOINT_TIMEOUT, Wanted, stopped, stopped_before_running};
use super::epochs::{self, Epochs, Event, Step};
use super::log_watch::{self, After, Verdict, Watch, Watched};
use super::sources::{SourceState, by_resource};
use super::timers::{Timers, if_any};
use super::{CheckpointStore, Logs, Positions};
use crate::clock::Clock;
use crate::connectors::{Decision, LogIdentity, SkippedRecords, Split, Transactions};
use crate::engine::ack_tracker::AckTracker;
use crate::engine::metrics::JobMetrics;
use crate::engine::progress::JobProgress;
use crate::engine::state::budget::MemoryBudget;
use crate::engine::task::{Command, EndedSplits, Report};
use crate::error::{Error, ErrorKind, Result};

/// What a coordinator is made of.
pub(crate) struct Coordinator {
    /// Name of the job.
    pub job: String,
    /// Its checkpoints.
    pub store: CheckpointStore,
    /// What decides epochs; absent: the checkpoint itself does.
    pub transactions: Option<Arc<dyn Transactions>>,
    /// Sources.
    pub sources: Vec<SourceState>,
    /// Commands to each task.
    pub tasks: Vec<mpsc::Sender<Command>>,
    /// Tasks' reports.
    pub reports: mpsc::Receiver<Report>,
    /// The tasks themselves.
    pub running: JoinSet<Result<()>>,
    /// Time between two barriers.
    pub interval: Duration,
    /// Grows whenever a task has read something.
    pub activity: Arc<AtomicU64>,
    /// Positions at which the job goes on.
    pub positions: Positions,
    /// The logs in which they count.
    pub logs: Logs,
    /// The last decided epoch.
    pub epoch: u64,
    /// Ends of splits, when a job recomputes what was decided; the only checkpoint is then that epoch's.
    pub rebuild: Option<Decision>,
    /// Records that are gone over.
    pub skips: Arc<[SkippedRecords]>,
    /// Whether writes wait for the checkpoint in some sink.
    pub has_deferred: bool,
    /// The job's counters.
    pub metrics: Arc<JobMetrics>,
    /// Its place in the read-behind registry.
    pub progress: Arc<JobProgress>,
    /// Shows positions between checkpoints, if the job is one task.
    pub ack_tracker: Option<Arc<AckTracker>>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The memory of the job's state: what changed must be in a checkpoint before it can leave it.
    pub budget: MemoryBudget,
    /// Where tasks say which splits they have read to their end.
    pub ended: Arc<EndedSplits>,
    /// How far the discovery of splits is.
    pub discovery: DiscoveryState,
}

/// How far the discovery of splits is.
#[derive(Default)]
pub(crate) struct DiscoveryState {
    /// Splits that wait for the end of others.
    pub(super) waiting: usize,
    /// Whether there may be splits that can be opened now.
    pub(super) owes_look: bool,
    /// Whether the tasks know that no more splits will come.
    pub(super) has_told_last: bool,
    /// By source: splits whose end is decided, but not everything that waits for the decision is written.
    pub(super) retiring: BTreeMap<String, Vec<Split>>,
}

impl Coordinator {
    /// Runs the job until `wanted` changes, its sources end, or something fails. No task of it is left then.
    ///
    /// # Errors
    /// Whatever fails; its kind says whether a restart can help.
    pub async fn run(&mut self, wanted: watch::Receiver<Wanted>) -> Result<Ended> {
        let outcome = self.run_tasks(wanted).await;
        self.end_tasks().await;
        match outcome {
            Err(error) => Err(self.behind(error).await),
            ended => ended,
        }
    }

    /// Ends all tasks, for when [`Self::run`] is given up.
    pub async fn end_tasks(&mut self) {
        self.running.shutdown().await;
    }

    async fn run_tasks(&mut self, mut wanted: watch::Receiver<Wanted>) -> Result<Ended> {
        let is_fresh = self.positions.is_empty();
        let mut epochs = Epochs::new(epochs::Facts {
            tasks: self.tasks.len(),
            first: self.rebuild.as_ref().map_or(self.epoch + 1, |decision| decision.epoch),
            checkpoints: self.rebuild.is_none(),
            has_deferred: self.has_deferred,
        });
        let opened = tokio::select! {
            // Opening asks outside systems, which may take long to say that they are away.
            opened = self.discover() => opened?,
            ended = stopped_before_running(&mut wanted, SAVEPOINT_TIMEOUT) => return ended,
        };
        if is_fresh && self.rebuild.is_none() {
            // Where a start-up mode led is kept before anything is read: "latest" means the time of the first start.
            self.first_epoch(&mut epochs).await?;
        }
        if self.rebuild.is_none() {
            self.show_open_splits();
        }
        self.assign(opened).await?;
        self.metrics.trouble.end();
        self.metrics.is_open.store(true, Ordering::Release);
        if let Some(ack_tracker) = &self.ack_tracker {
            ack_tracker.opened()?;
        } else {
            self.progress.advance(by_resource(&self.split_positions())?);
        }
        self.metrics.note_opened();
        self.run_epochs(&mut wanted, epochs).await
    }

    async fn run_epochs(&mut self, wanted: &mut watch::Receiver<Wanted>, mut epochs: Epochs) -> Result<Ended> {
        let discovery = self.sources.iter().filter_map(|source| source.source.discovery_interval()).min();
        let mut timers = Timers::begin(self.interval, discovery.filter(|_| self.rebuild.is_none())).await;
        let (transactions, budget, ended) = (self.transactions.clone(), self.budget.clone(), Arc::clone(&self.ended));
        let mut watch = Watch::default();
        let mut looking = self.look();
        let mut open: Option<Epoch> = None;
        let mut completing: Option<BoxFuture<'static, Result<Completed>>> = None;
        let mut deadline = None;
        let mut step = epochs.step();
        loop {
            match step {
                Step::Wait => {}
                Step::Begin(number) => open = Some(self.begin_epoch(number).await?),
                Step::Complete => completing = open.take().map(|whole| self.complete(whole)).transpose()?,
                Step::Finish(wanted) => return self.finish(wanted).await,
                Step::GiveUp => return Ok(self.give_up()),
                Step::Fail(error) => return Err(error),
            }
            let (may_begin, runs) = (epochs.may_begin(), !epochs.is_ending());
            let event = tokio::select! {
                biased;
                ended_task = self.running.join_next() => Event::Failed(task_error(ended_task)),
                report = self.reports.recv() => match report {
                    Some(Report::Barrier(report)) => {
                        let number = report.epoch;
                        if let Some(open) = &mut open {
                            open.add(report);
                        }
                        Event::Passed(number)
                    }
                    Some(Report::Ended) => Event::Ended,
                    // The last task is gone before its outcome is there.
                    None => Event::Failed(task_error(self.running.join_next().await)),
                },
                completed = if_any(completing.as_mut()) => {
                    completing = None;
                    match completed {
                        Ok(completed) => {
                            self.completed(completed).await?;
                            Event::Decided
                        }
                        Err(error) => Event::Failed(self.cause_of(error).await),
                    }
                }
                () = if_any(deadline.map(tokio::time::sleep_until)) => Event::Late,
                now_wanted = stopped(wanted), if runs => Event::Wanted(now_wanted),
                _ = timers.ticks.tick(), if may_begin => Event::Tick(self.activity.load(Ordering::Relaxed)),
                () = if_any(transactions.as_ref().map(|transactions| transactions.full())), if may_begin => Event::Full,
                looked = &mut looking => {
                    self.looked(looked, &mut watch)?;
                    looking = self.look();
                    Event::Looked
                }
                () = budget.barrier_wanted(), if may_begin => Event::Full,
                () = ended.some(), if runs => {
                    self.take_ended();
                    Event::Looked
                }
                _ = timers.first_look.tick(), if runs && self.looks_soon() => tokio::select! {
                    // The broker may be away as well, and a job that is told to end does not wait for it.
                    opened = self.discover() => {
                        self.take_up(opened).await?;
                        Event::Looked
                    }
                    now_wanted = stopped(wanted) => Event::Wanted(now_wanted),
                },
                _ = if_any(timers.discovery.as_mut().map(|timer| timer.tick())), if runs => {
                    let opened = self.discover().await;
                    self.take_up(opened).await?;
                    Event::Looked
                }
            };
            if let Event::Wanted(wanted) = &event {
                deadline = Some(tokio::time::Instant::now() + wanted.patience());
            }
            step = epochs.on(event);
        }
    }

    /// Heeds what a look at the logs has found.
    fn looked(&mut self, looked: Result<Vec<log_watch::Found>>, watch: &mut Watch) -> Result<()> {
        let verdict = looked.map(|found| log_watch::judge(&self.logs, &self.positions, &found));
        match watch.after(verdict) {
            After::Well(mut learned) => {
                // One that has ended since it was looked at is of no interest any more.
                learned.retain(|(source, split, _)| self.sources.iter().any(|state| state.reads(source, split)));
                self.learn(learned);
                if self.metrics.trouble.end() {
                    tracing::info!(job = self.job, "the job's sources answer again");
                }
            }
            After::Waits(error) => {
                let text = error.to_string();
                if self.metrics.trouble.begin(error) {
                    tracing::warn!(job = self.job, error = text, "the job waits for its sources");
                }
            }
            After::Fails(error) => return Err(error),
        }
        Ok(())
    }

    /// The open splits, by source.
    fn watched(&self) -> Vec<Watched> {
        self.sources.iter().map(SourceState::watched).collect()
    }

    /// Whether something is awaited, or may be read now that other splits have ended.
    fn looks_soon(&self) -> bool {
        self.discovery.owes_look || !self.metrics.awaits.lock().is_empty()
    }

    /// Looks at the logs, after a while.
    fn look(&self) -> BoxFuture<'static, Result<Vec<log_watch::Found>>> {
        let watched = self.watched();
        Box::pin(async move {
            tokio::time::sleep(log_watch::LOOK_INTERVAL).await;
            log_watch::look(&watched).await
        })
    }

    pub(super) fn learn(&mut self, learned: Vec<(String, String, LogIdentity)>) {
        for (source, split, log) in learned {
            self.logs.entry(source).or_default().insert(split, log);
        }
    }

    /// What may lie behind a failure: records that are not where they were are so because the log is another one.
    async fn behind(&self, error: Error) -> Error {
        if error.kind() != ErrorKind::Corrupt {
            return error;
        }
        match log_watch::look(&self.watched()).await {
            Ok(found) => match log_watch::judge(&self.logs, &self.positions, &found) {
                Verdict::Other(cause) | Verdict::Gone(cause) => cause,
                Verdict::Same(_) => error,
            },
            Err(_) => error,
        }
    }

    /// An epoch like any other, but without rows: the writers must count it too.
    async fn first_epoch(&mut self, epochs: &mut Epochs) -> Result<()> {
        let mut epoch = self.begin_epoch(epochs.begin()).await?;
        loop {
            tokio::select! {
                biased;
                ended_task = self.running.join_next() => return Err(task_error(ended_task)),
                report = self.reports.recv() => match report {
                    Some(Report::Barrier(report)) => {
                        let number = report.epoch;
                        epoch.add(report);
                        if epochs.passed(number) {
                            break;
                        }
                    }
                    Some(Report::Ended) | None => return Err(Error::internal("a task has ended before it was given its splits")),
                },
            }
        }
        let completed = match self.complete(epoch)?.await {
            Ok(completed) => completed,
            Err(error) => return Err(self.cause_of(error).await),
        };
        self.completed(completed).await?;
        epochs.decided();
        Ok(())
    }

    pub(super) async fn tell(&self, command: impl Fn() -> Command) -> Result<()> {
        for task in &self.tasks {
            // A task that has ended says why when it is joined.
            let _ = task.send(command()).await;
        }
        Ok(())
    }

    async fn begin_epoch(&mut self, number: u64) -> Result<Epoch> {
        self.tell(|| Command::Barrier(number)).await?;
        Ok(Epoch::new(number, self.split_positions(), self.budget.loan()))
    }

    /// Makes an epoch durable and decides it. Runs beside the tasks.
    fn complete(&mut self, epoch: Epoch) -> Result<BoxFuture<'static, Result<Completed>>> {
        let enumerators = self.enumerators_behind(&epoch)?;
        Ok(Box::pin(epoch.complete(Rim {
            store: self.store.clone(),
            transactions: self.transactions.clone(),
            is_rebuild: self.rebuild.is_some(),
            clock: Arc::clone(&self.clock),
            watched: self.sources.iter().map(SourceState::watched_whole).collect(),
            logs: self.logs.clone(),
            enumerators,
            waits: self.metrics.waits.clone(),
        })))
    }

    /// An epoch is decided: everyone learns of it.
    async fn completed(&mut self, completed: Completed) -> Result<()> {
        let Completed { manifest, facts, splits, ended } = completed;
        let before = std::mem::replace(&mut self.positions, manifest.positions);
        self.epoch = manifest.epoch;
        self.metrics.note_checkpoint(facts);
        if self.has_deferred {
            self.tell(|| Command::Decided).await?;
        }
        if self.ack_tracker.is_none() {
            // Deferred writes of this epoch are on their way only now: those of the epoch before are acknowledged.
            let shown = match self.has_deferred {
                true => self.at_positions(&splits, &before),
                false => splits.clone(),
            };
            if shown != splits || self.has_deferred && !ended.is_empty() {
                // Of a job that reads nothing more they are acknowledged with one more epoch.
                self.activity.fetch_add(1, Ordering::Relaxed);
            }
            let mut progress = self.metrics.splits.lock();
            for (split, position) in shown.values().flatten() {
                if let Some(progress) = progress.get_mut(&split.id) {
                    progress.acknowledged = position.clone();
                }
            }
            drop(progress);
            self.progress.advance(by_resource(&shown)?);
        }
        self.let_go_of(ended)?;
        if let Err(error) = self.store.settle(self.epoch).await {
            tracing::warn!(job = self.job, epoch = self.epoch, %error, "older checkpoints stay for now");
        }
        for (id, positions) in &splits {
            if let Some(state) = self.sources.iter().find(|state| state.id == *id)
                && let Err(error) = state.source.commit(positions).await
            {
                tracing::debug!(job = self.job, %error, "offsets were not sent to the group; the checkpoint has them");
            }
        }
        Ok(())
    }

    /// Counts an epoch's failure; gives the failure of a task that lies behind it, if there is one.
    async fn cause_of(&mut self, error: Error) -> Error {
        self.metrics.checkpoints_failed.fetch_add(1, Ordering::Relaxed);
        match tokio::time::timeout(Duration::from_secs(1), self.running.join_next()).await {
            Ok(Some(Ok(Err(cause)))) => cause,
            Ok(Some(Err(panic))) => panicked(panic),
            _ => error,
        }
    }

    fn give_up(&self) -> Ended {
        tracing::warn!(
            job = self.job,
            "the sink did not acknowledge in time; its rows are written again at the next start"
        );
        Ended::Stopped(None)
    }

    async fn finish(&mut self, wanted: Option<Wanted>) -> Result<Ended> {
        self.tell(|| Command::End).await?;
        match wanted {
            Some(Wanted::StopWithSavepoint(folder)) => {
                let stored = self.store.load().await?;
                let last = stored.manifests.iter().find(|manifest| manifest.epoch == self.epoch).ok_or_else(|| {
                    Error::corrupt(format!("checkpoint {} was written and cannot be read back", self.epoch))
                })?;
                Ok(Ended::Stopped(Some(self.store.savepoint(last, &folder).await?)))
            }
            Some(_) => Ok(Ended::Stopped(None)),
            None => Ok(Ended::Finished),
        }
    }
}

/// Why a task has ended that was to run on.
fn task_error(ended: Option<std::result::Result<Result<()>, tokio::task::JoinError>>) -> Error {
    match ended {
        Some(Ok(Ok(()))) | None => Error::internal("a task of the job has ended by itself"),
        Some(Ok(Err(error))) => error,
        Some(Err(error)) => panicked(error),
    }
}

fn panicked(error: tokio::task::JoinError) -> Error {
    Error::internal(format!("the job panicked: {}", crate::threads::panic_text(error)))
}
