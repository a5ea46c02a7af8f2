//! Runs a job until it has ended: kills it, restarts it from its checkpoints with another number of tasks, stops it with a
//! savepoint and goes on as another job. Every start has a runtime of its own, and dropping that is the kill.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use datafusion::execution::context::SessionContext;
use datafusion::logical_expr::LogicalPlan;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::runtime::Runtime;
use tokio::sync::watch;

use super::log::Log;
use super::queries::Query;
use super::sink::{Broker, Mode, Target};
use crate::clock::{Clock, SystemClock};
use crate::connectors::{ColumnDeclaration, ColumnKind, Position, TableDeclaration};
use crate::data_type;
use crate::engine::checkpoint::CheckpointStore;
use crate::engine::checkpoint::ending::{Ended, Wanted};
use crate::engine::dataflow::{Dataflow, JobSettings};
use crate::engine::job::JobContext;
use crate::engine::metrics::JobMetrics;
use crate::engine::planner::{PlannedInsert, plan_job};
use crate::engine::progress::{ReadBehind, ReadBehindRegistry};
use crate::engine::run;
use crate::engine::testing::{declare, plan, session};
use crate::error::{Error, Result};
use crate::options::OptionValue;

/// Starts of a job after which it must have ended.
const STARTS_MAX: usize = 60;

/// Far longer than any start takes.
const START_TIME_MAX: Duration = Duration::from_secs(120);

/// One INSERT of a job under test.
pub struct Insert {
    pub query: &'static Query,
    pub plan: LogicalPlan,
    pub target: Arc<Target>,
}

/// A job under test.
pub struct Job {
    pub logs: Vec<Arc<Log>>,
    pub inserts: Vec<Insert>,
    broker: Arc<Broker>,
    random: StdRng,
    /// Whether a sink's writes wait for their epoch.
    defers: bool,
    /// Where bits of checkpoints were flipped.
    damage: Vec<PathBuf>,
    /// Whether all rows were read and the job was told to stop: an endless log is at its end then.
    is_told_to_end: bool,
    /// What happened, for failures.
    pub story: Vec<String>,
}

/// A session in which the logs are tables.
pub fn session_over(logs: &[Arc<Log>]) -> SessionContext {
    let context = session(&[]);
    for log in logs {
        context.register_table(log.declaration.name.as_str(), log.provider()).unwrap();
    }
    context
}

/// A sink's declaration for what a query gives: its first columns are the key.
pub fn declare_target(name: &str, plan: &LogicalPlan, keys: usize, mode: Mode) -> TableDeclaration {
    let mut declaration = declare(name, "place INT", 0);
    let fields = plan.schema().fields().iter().enumerate();
    declaration.columns = fields
        .map(|(place, field)| ColumnDeclaration {
            name: format!("c{place}"),
            sql_type: data_type::to_flink(field.data_type()),
            nullable: true,
            kind: ColumnKind::Physical,
        })
        .collect();
    if mode.is_transactional() {
        let exactly_once = OptionValue::Plain("exactly-once".to_owned());
        declaration.options.insert("sink.delivery-guarantee".to_owned(), exactly_once);
    }
    declaration.primary_key = (0..keys).map(|place| format!("c{place}")).collect();
    declaration
}

impl Job {
    /// Plans queries, each into a sink of a mode that takes it.
    pub async fn new(logs: Vec<Arc<Log>>, queries: &[&'static Query], seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let context = session_over(&logs);
        let broker = Broker::new(random.random_range(0..4), random.random());
        let mut inserts = Vec::new();
        for (number, query) in queries.iter().enumerate() {
            let plan = plan(&context, query.sql).await;
            let target = loop {
                let mode = Mode::ALL[random.random_range(0..Mode::ALL.len())];
                let declaration = declare_target(&format!("target_{number}"), &plan, query.keys, mode);
                let target = Target::new(declaration, mode, &broker, random.random());
                let settings = JobSettings::default();
                let insert = PlannedInsert { query: &plan, sink: target.provider(), columns: None };
                match plan_job(&[insert], settings).await {
                    Ok(_) => break target,
                    Err(error) if error.message().contains("takes only inserts") => {}
                    Err(error) => panic!("{}: {error}", query.name),
                }
            };
            inserts.push(Insert { query, plan, target });
        }
        let story = vec![format!("modes {:?}", inserts.iter().map(|insert| insert.target.mode).collect::<Vec<_>>())];
        Self { logs, inserts, broker, random, defers: false, damage: Vec::new(), is_told_to_end: false, story }
    }

    fn settings(&mut self, savepoint: Option<&str>) -> JobSettings {
        let random = &mut self.random;
        let mut options = vec![
            ("execution.checkpointing.interval", format!("{} ms", random.random_range(10..=30))),
            ("parallelism.default", random.random_range(1..=3).to_string()),
        ];
        if random.random_bool(0.3) {
            options.push(("table.exec.mini-batch.enabled", "true".to_owned()));
            options.push(("table.exec.mini-batch.allow-latency", format!("{} ms", random.random_range(1..=20))));
        }
        // Nothing fits, a part does, or so much that barriers come early and sources wait for them.
        match random.random_range(0..6) {
            0 => options.push(("state.memory.budget", "1".to_owned())),
            1 | 2 => options.push(("state.memory.budget", random.random_range(1..32).to_string() + " kb")),
            3 => options.push(("state.memory.budget", random.random_range(32..128).to_string() + " kb")),
            _ => {}
        }
        self.story.push(format!("start {options:?}"));
        options.extend(savepoint.map(|path| ("execution.savepoint.path", path.to_owned())));
        JobSettings::new("UTC", options.iter().map(|(name, value)| (*name, value.as_str()))).unwrap()
    }

    async fn dataflow(&self, settings: JobSettings) -> Dataflow {
        let inserts: Vec<PlannedInsert<'_>> = self
            .inserts
            .iter()
            .map(|insert| PlannedInsert { query: &insert.plan, sink: insert.target.provider(), columns: None })
            .collect();
        let dataflow = plan_job(&inserts, settings).await.unwrap();
        // What is stored is what runs.
        Dataflow::from_json(&dataflow.to_json().unwrap()).unwrap()
    }

    /// Runs it to its end.
    pub fn run(&mut self) {
        let folder = tempfile::tempdir().unwrap();
        let mut troubles: u32 = self.random.random_range(0..6);
        let (mut number, mut savepoint) = (0, None);
        for _ in 0..STARTS_MAX {
            let id = format!("job{number}");
            let settings = self.settings(savepoint.as_deref());
            let retained = self.random.random_range(1..=3);
            let store = CheckpointStore::new(&folder.path().join("checkpoints"), &id).with_retained(retained);
            let trouble = match troubles {
                0 => None,
                _ => Some((
                    Duration::from_millis(self.random.random_range(0..90)),
                    ["kill", "kill", "kill", "stop", "savepoint"][self.random.random_range(0..5)],
                )),
            };
            troubles = troubles.saturating_sub(1);
            let runtime = self.runtime();
            let ended = runtime.block_on(self.start(&id, settings, store, folder.path(), trouble));
            // Files that are being written are still written, as by a process that dies a moment later.
            drop(runtime);
            self.story.push(format!("{trouble:?}: {ended:?}"));
            let is_told_to_end = std::mem::take(&mut self.is_told_to_end);
            match ended {
                Some(Ok(Ended::Stopped(None))) if is_told_to_end => return,
                None | Some(Ok(Ended::Stopped(None))) => self.lose_a_checkpoint(&id, folder.path()),
                Some(Ok(Ended::Finished)) => return,
                Some(Ok(Ended::Stopped(Some(path)))) => {
                    savepoint = Some(path);
                    number += 1;
                }
                Some(Err(error)) if error.is_retryable() => {}
                // Refused: then the checkpoints are restored from a copy.
                Some(Err(error)) => {
                    assert!(!self.damage.is_empty(), "the job failed: {error:?}");
                    for path in self.damage.drain(..) {
                        // It may be gone: a job that goes back to an older checkpoint drops it.
                        let _ = flip_a_bit(&path);
                    }
                }
            }
        }
        panic!("the job did not end");
    }

    fn runtime(&mut self) -> Runtime {
        match self.random.random_bool(0.7) {
            true => tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap(),
            false => tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap(),
        }
    }

    /// Runs it once; `None` when it was killed.
    async fn start(
        &mut self,
        id: &str,
        settings: JobSettings,
        checkpoints: CheckpointStore,
        folder: &Path,
        trouble: Option<(Duration, &str)>,
    ) -> Option<Result<Ended>> {
        let dataflow = self.dataflow(settings).await;
        self.defers = dataflow.sinks().any(|(_, sink)| sink.deferred);
        let registry = Arc::new(ReadBehindRegistry::default());
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let (logs, targets) = (self.logs.clone(), self.inserts.iter().map(|insert| Arc::clone(&insert.target)));
        let targets: Vec<Arc<Target>> = targets.collect();
        let context = JobContext {
            job: "job".to_owned(),
            id: id.to_owned(),
            spill_folder: folder.join("spill"),
            open_table: Arc::new(move |table: &TableDeclaration| {
                let log = logs.iter().find(|log| log.declaration == *table).map(Log::table);
                let target = || targets.iter().find(|target| target.declaration == *table).map(Target::table);
                log.or_else(target).ok_or_else(|| Error::not_found("no such table"))
            }),
            checkpoints,
            progress: registry.register("job", Vec::new()),
            read_behind: ReadBehind::new(registry, "job", Vec::new()),
            metrics: Arc::new(JobMetrics::new(dataflow.descriptions())),
            skips: Arc::default(),
            dataflow: Arc::new(dataflow),
            clock,
        };
        let (want, wanted) = watch::channel(Wanted::Run);
        let all_read = self.all_read(&context);
        let mut running = tokio::spawn(run::run(context, wanted));
        let whole = tokio::time::timeout(START_TIME_MAX, async {
            let what = tokio::select! {
                ended = &mut running => return Some(ended.unwrap()),
                what = async {
                    match trouble {
                        Some((after, what)) => {
                            tokio::time::sleep(after).await;
                            what
                        }
                        None => std::future::pending().await,
                    }
                } => what,
                () = all_read => "end",
            };
            match what {
                "kill" => return None,
                "savepoint" => {
                    let savepoints = folder.join("savepoints").to_string_lossy().into_owned();
                    want.send_replace(Wanted::StopWithSavepoint(savepoints));
                }
                _ => {
                    self.is_told_to_end = what == "end";
                    want.send_replace(Wanted::Stop);
                }
            }
            Some((&mut running).await.unwrap())
        });
        whole.await.expect("the job hangs")
    }

    /// Waits until the job has read endless logs to their end; for ever where logs end by themselves.
    fn all_read(&self, context: &JobContext) -> impl Future<Output = ()> + use<> {
        let reads = |log: &&Arc<Log>| context.dataflow.sources().any(|(_, source)| source.table == log.declaration);
        let ends: Vec<(String, Position)> = self.logs.iter().filter(reads).flat_map(|log| log.ends()).collect();
        let is_endless = self.logs.iter().all(|log| log.is_endless);
        let metrics = Arc::clone(&context.metrics);
        async move {
            if !is_endless {
                std::future::pending::<()>().await;
            }
            let is_read = |(id, end): &(String, Position)| {
                metrics.splits.lock().get(id).is_some_and(|at| at.read.reaches(end).unwrap())
            };
            // Lost epochs that are computed again are read, too, but a job that is stopped meanwhile has its writes before it still.
            let recomputes = || metrics.waits.now().iter().any(|wait| wait.reason.text.ends_with(run::RECOMPUTED));
            while recomputes() || !ends.iter().all(is_read) {
                tokio::time::sleep(Duration::from_millis(3)).await;
            }
        }
    }

    /// Sometimes the decided checkpoint is gone after a crash: where transactions decided it, it is computed again. Sometimes one bit
    /// of it is another.
    fn lose_a_checkpoint(&mut self, id: &str, folder: &Path) {
        let checkpoints = folder.join("checkpoints").join(id);
        if self.random.random_bool(0.25) {
            let Ok(entries) = std::fs::read_dir(&checkpoints) else { return };
            // Files of state, so that the positions are known.
            let files =
                entries.flatten().map(|entry| entry.path()).filter(|path| path.extension() == Some("state".as_ref()));
            if let Some(newest) = files.max()
                && flip_a_bit(&newest).is_ok()
            {
                self.story.push(format!("flipped a bit of {}", newest.display()));
                self.damage.push(newest);
            }
            return;
        }
        let Some(epoch) = self.broker.decided_epoch(id) else { return };
        let manifest = checkpoints.join(format!("{epoch:020}.checkpoint"));
        // It may be gone already, if the job was killed while it computed it again. Where writes wait for their epoch, an older
        // one is needed as well.
        if !self.defers && self.random.random_bool(0.1) && std::fs::remove_file(&manifest).is_ok() {
            self.story.push(format!("lost checkpoint {epoch}"));
        }
    }
}

/// Flips a bit in the middle of a file; once more flips it back.
fn flip_a_bit(path: &Path) -> std::io::Result<()> {
    let mut bytes = std::fs::read(path)?;
    let middle = bytes.len() / 2;
    match bytes.get_mut(middle) {
        Some(byte) => *byte ^= 4,
        // The job was killed before it had written anything.
        None => return Err(std::io::ErrorKind::UnexpectedEof.into()),
    }
    std::fs::write(path, bytes)
}
