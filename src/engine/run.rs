//! Runs a job: opens its tables, finds where it goes on, gives operators their state back, starts its tasks and coordinator.
//! A job whose decided checkpoint is lost first recomputes it, with its sinks muted, and then runs.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use async_trait::async_trait;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::checkpoint::coordinator::{
    Coordinator, Ended, SAVEPOINT_TIMEOUT, SourceState, Wanted, stopped_before_running,
};
use super::checkpoint::protocol::{self, Facts, Lost, Resume};
use super::checkpoint::{CheckpointStore, Logs, Manifest, Positions};
use super::dataflow::{Dataflow, NodeKind, OperatorKind, RowErrors, SinkNode};
use super::deferred::Deferred;
use super::exchange::{self, Inputs, Output};
use super::expression::ExpressionScope;
use super::key_group::range_of;
use super::layout::Layout;
use super::ledger::Ledger;
use super::metrics::{JobMetrics, NodeMetrics};
use super::operators::{self, OperatorContext};
use super::progress::{JobProgress, ReadBehind};
use super::state::budget::MemoryBudget;
use super::task::{self, TaskNode, TaskParts, TaskSink, Work};
use crate::changelog::ChangeBatch;
use crate::clock::Clock;
use crate::connectors::{
    BadRows, Decision, Lookup, Sink, SinkConstraints, SinkContext, SinkWriter, SkippedRecords, Source, Table,
    TableDeclaration, Transactional, Transactions, short_table_name,
};
use crate::error::{Error, Result};
use crate::fault;

/// Commands that wait for a task at most.
const COMMANDS_MAX: usize = 64;

/// How the reason ends for which a job waits whose lost epochs are computed again.
pub const RECOMPUTED: &str = "to be computed again";

/// Opens a stored declaration.
pub type OpenTable = Arc<dyn Fn(&TableDeclaration) -> Result<Table> + Send + Sync>;

/// What a job is given.
#[derive(Clone)]
pub struct JobContext {
    /// Name of the job.
    pub job: String,
    /// Its id, which names its transactions.
    pub id: String,
    /// What it runs.
    pub dataflow: Arc<Dataflow>,
    /// Records that it goes over.
    pub skips: Arc<[SkippedRecords]>,
    /// Opens its tables.
    pub open_table: OpenTable,
    /// Where its checkpoints are.
    pub checkpoints: CheckpointStore,
    /// Where state that does not fit into memory may go; the job's own folder, gone when it ends.
    pub spill_folder: PathBuf,
    /// Its place on the board.
    pub progress: Arc<JobProgress>,
    /// Holds its records back behind the writers of what it looks up.
    pub read_behind: ReadBehind,
    /// Its counters.
    pub metrics: Arc<JobMetrics>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// Runs a job until `wanted` changes, its sources end, or something fails.
///
/// # Errors
/// Whatever fails; its kind says whether a restart can help.
pub async fn run(mut context: JobContext, mut wanted: watch::Receiver<Wanted>) -> Result<Ended> {
    let spill_folder = SpillFolder::begin(&context).await;
    context.spill_folder.clone_from(&spill_folder.path);
    let tables = Tables::open(&context)?;
    let opening = open(&context, &tables);
    let (transactions, at) = tokio::select! {
        // Opening asks outside systems, which may take long to say that they are away.
        opened = opening => opened?,
        ended = stopped_before_running(&mut wanted, SAVEPOINT_TIMEOUT) => return ended,
    };
    let (mut at, rebuild) = match at {
        GoOn::At(manifest) => (manifest, Vec::new()),
        GoOn::Rebuild { from, through } => (from, through),
    };
    let mut recomputing = None;
    for decision in rebuild {
        recomputing = Some(context.metrics.waits.begin(format!("epoch {} {RECOMPUTED}", decision.epoch)));
        tracing::warn!(
            job = context.job,
            epoch = decision.epoch,
            from = at.as_ref().map_or(0, |manifest| manifest.epoch),
            "the decided checkpoint cannot be read; its state is computed again, without writing to the sinks"
        );
        let start = Start { at: at.as_ref(), rebuild: Some(&decision), transactions: None };
        let mut coordinator = build(&context, &tables, start).await?;
        // Half of it is of no use to anyone: a job that is stopped meanwhile begins it anew.
        let (_unchanged, run) = watch::channel(Wanted::Run);
        let stopped = tokio::select! {
            ended = coordinator.run(run) => ended.map(|_| None),
            ended = stopped_before_running(&mut wanted, SAVEPOINT_TIMEOUT) => ended.map(Some),
        };
        coordinator.end_tasks().await;
        if let Some(ended) = stopped? {
            return Ok(ended);
        }
        let stored = context.checkpoints.load().await?;
        let rebuilt = stored.manifests.into_iter().find(|manifest| manifest.epoch == decision.epoch);
        at = Some(rebuilt.ok_or_else(|| Error::internal("the checkpoint that was computed again is not there"))?);
    }
    let mut coordinator = build(&context, &tables, Start { at: at.as_ref(), rebuild: None, transactions }).await?;
    // Not before: from now on a stop has the writes of the last one of these epochs sent.
    drop(recomputing);
    coordinator.run(wanted).await
}

/// Where one run of a job spills to. Gone when it ends, and before the next one if it was killed.
struct SpillFolder {
    path: PathBuf,
}

impl SpillFolder {
    async fn begin(context: &JobContext) -> Self {
        let all = &context.spill_folder;
        if let Err(error) = tokio::fs::remove_dir_all(all).await
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(job = context.job, %error, "what an earlier run spilled to {} stays", all.display());
        }
        // Of its own: the last tasks of an earlier run may still be ending.
        Self { path: all.join(uuid::Uuid::new_v4().simple().to_string()) }
    }
}

impl Drop for SpillFolder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
        if let Some(all) = self.path.parent() {
            // Only when it is empty.
            let _ = std::fs::remove_dir(all);
        }
    }
}

/// Saves what is decided of a job that does not run, in a new folder under `target_dir`; gives that folder's URL.
///
/// # Errors
/// Nothing of it is decided yet, its decided state is lost, or the target takes no files.
pub async fn savepoint(context: &JobContext, target_dir: &str) -> Result<String> {
    let (_transactions, at) = open(context, &Tables::open(context)?).await?;
    match at {
        GoOn::At(Some(manifest)) => context.checkpoints.savepoint(&manifest, target_dir).await,
        GoOn::At(None) => {
            Err(Error::invalid(format!("job \"{}\" has decided nothing yet that could be saved", context.job))
                .code("55000")
                .hint("STOP JOB without a savepoint ends it; the same INSERT starts anew."))
        }
        GoOn::Rebuild { .. } => {
            Err(Error::invalid(format!("the decided checkpoint of job \"{}\" cannot be read", context.job))
                .code("55000")
                .hint("RESUME JOB computes it again; then the job can be stopped with a savepoint."))
        }
    }
}

/// The job's tables, opened once: its tasks share their clients.
struct Tables {
    sources: BTreeMap<usize, Arc<dyn Source>>,
    sinks: BTreeMap<usize, Arc<dyn Sink>>,
}

impl Tables {
    fn open(context: &JobContext) -> Result<Self> {
        let (mut sources, mut sinks) = (BTreeMap::new(), BTreeMap::new());
        for (index, node) in context.dataflow.nodes.iter().enumerate() {
            match &node.kind {
                NodeKind::Source(source) => {
                    let table = (context.open_table)(&source.table)?;
                    let opened = table.source.ok_or_else(|| {
                        Error::unsupported(format!("table \"{}\" cannot be read as a stream", source.table.name))
                    })?;
                    sources.insert(index, opened.of_job(&context.job, &context.id).unwrap_or(opened));
                }
                NodeKind::Sink(sink) => {
                    let table = (context.open_table)(&sink.table)?;
                    let sink = table.sink.ok_or_else(|| {
                        Error::unsupported(format!("table \"{}\" cannot be written", sink.table.name))
                    })?;
                    sinks.insert(index, sink);
                }
                NodeKind::Operator(_) => {}
            }
        }
        Ok(Self { sources, sinks })
    }
}

/// What opens the job's transactions, if any of its sinks is exactly-once: the first one, whose prefix names them.
///
/// # Errors
/// Sinks on different clusters: only one of them could decide (0A000).
pub fn transactional<'a>(sinks: impl Iterator<Item = &'a Arc<dyn Sink>>) -> Result<Option<Arc<dyn Transactional>>> {
    let mut found: Option<Arc<dyn Transactional>> = None;
    for sink in sinks {
        let Some(transactional) = sink.transactional() else { continue };
        match &found {
            Some(known) if known.scope() != transactional.scope() => {
                return Err(Error::unsupported(
                    "exactly-once sinks of one job must be on one Kafka cluster, with the same client properties",
                )
                .detail("A transaction decides an epoch, and there is none over two clusters.")
                .hint("Use one job for each cluster, or 'sink.delivery-guarantee' = 'at-least-once' in all but one."));
            }
            Some(_) => {}
            None => found = Some(transactional),
        }
    }
    Ok(found)
}

/// Where a job goes on.
enum GoOn {
    /// At a checkpoint, or fresh.
    At(Option<Manifest>),
    /// Decided checkpoints are lost: the last one that is left, and the lost ones, oldest first.
    Rebuild { from: Option<Manifest>, through: Vec<Decision> },
}

async fn open(context: &JobContext, tables: &Tables) -> Result<(Option<Arc<dyn Transactions>>, GoOn)> {
    let transactions = match transactional(tables.sinks.values())? {
        Some(transactional) => {
            let opens = transactional.open(&context.id);
            Some(context.metrics.waits.during(|| "its Kafka transactions to be taken over".to_owned(), opens).await?)
        }
        None => None,
    };
    if let Some(transactions) = &transactions
        && tables.sinks.values().any(|sink| sink.transactional().is_none())
    {
        // How long the others take is not to count against the time that a transaction may be open.
        transactions.hold_back();
    }
    let decided = transactions.as_ref().and_then(|transactions| transactions.decided());
    let loads = context.checkpoints.load();
    let stored = context.metrics.waits.during(|| "its checkpoints to be read".to_owned(), loads).await?;
    for damaged in &stored.damaged {
        tracing::warn!(job = context.job, checkpoint = damaged.name, error = %damaged.error, "a checkpoint is damaged");
    }
    let at = |epoch: u64| stored.manifests.iter().find(|manifest| manifest.epoch == epoch).cloned();
    let decides_in_kafka = transactions.is_some() && !fault::is_mutant("skip-progress-read");
    let lost: Vec<Lost<'_>> = stored
        .damaged
        .iter()
        .map(|damaged| Lost { epoch: damaged.epoch, manifest: damaged.manifest.as_ref() })
        .collect();
    let facts = Facts {
        decides_in_kafka,
        decided,
        defers: context.dataflow.sinks().any(|(_, sink)| sink.deferred) && !fault::is_mutant("forget-lost-epochs"),
        is_repeatable: is_repeatable(context, tables)?,
        stored: &stored.manifests,
        lost: &lost,
    };
    let go_on = match protocol::resume_from(&facts) {
        Resume::Fresh => {
            context.checkpoints.discard_after(0).await?;
            match context.dataflow.settings.options.get("execution.savepoint.path") {
                Some(path) if !path.trim().is_empty() => GoOn::At(Some(adopt(context, path).await?)),
                _ => GoOn::At(None),
            }
        }
        Resume::At(epoch) => {
            context.checkpoints.discard_after(epoch).await?;
            GoOn::At(at(epoch))
        }
        Resume::RebuildMuted { from, through } => {
            // Those that are gone through stay until they are written again: if the job is killed meanwhile, they are still
            // known to be lost.
            let last = through.last().map_or(0, |decision| decision.epoch);
            context.checkpoints.discard_but_lost(from.unwrap_or(0), last).await?;
            GoOn::Rebuild { from: from.and_then(at), through }
        }
        Resume::Refuse(error) => return Err(error),
    };
    Ok((transactions, go_on))
}

/// Whether the same records give the same rows at another time.
fn is_repeatable(context: &JobContext, tables: &Tables) -> Result<bool> {
    let dataflow = &context.dataflow;
    // Versions count changes, of which there are more or fewer when rows come in other batches.
    let counts = |index: &usize| {
        let node = &dataflow.nodes[*index];
        matches!(&node.kind, NodeKind::Sink(sink) if sink.deferred) && tables.sinks[index].wants_version()
    };
    if dataflow.settings.state_ttl()?.is_some() || tables.sinks.keys().any(counts) {
        return Ok(false);
    }
    let scope = ExpressionScope::new(&dataflow.settings.time_zone, &context.clock);
    let mut expressions = Vec::new();
    for node in &dataflow.nodes {
        match &node.kind {
            NodeKind::Operator(OperatorKind::LookUp { .. }) => return Ok(false),
            NodeKind::Operator(OperatorKind::Filter { predicate }) => expressions.push(predicate),
            NodeKind::Operator(OperatorKind::Project { expressions: projected }) => expressions.extend(projected),
            _ => {}
        }
    }
    for expression in expressions {
        if expression.decode(&scope)?.is_volatile() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Begins with the state of a savepoint.
async fn adopt(context: &JobContext, path: &str) -> Result<Manifest> {
    let manifest = context.checkpoints.adopt(path).await?;
    let known = |id: &str| context.dataflow.nodes.iter().any(|node| node.id == id);
    let operators = context.checkpoints.operators(&manifest).await?;
    let unclaimed: Vec<&str> =
        operators.iter().chain(manifest.positions.keys()).map(String::as_str).filter(|id| !known(id)).collect();
    let may_ignore = context.dataflow.settings.options.get("execution.savepoint.ignore-unclaimed-state");
    if !unclaimed.is_empty() && may_ignore.is_none_or(|text| text != "true") {
        return Err(Error::invalid(format!(
            "savepoint {path} has state of operators that this job has not: {}",
            unclaimed.join(", ")
        ))
        .hint("SET 'execution.savepoint.ignore-unclaimed-state' = 'true' leaves that state out."));
    }
    Ok(manifest)
}

/// What a coordinator begins with.
struct Start<'a> {
    at: Option<&'a Manifest>,
    rebuild: Option<&'a Decision>,
    transactions: Option<Arc<dyn Transactions>>,
}

async fn build(context: &JobContext, tables: &Tables, start: Start<'_>) -> Result<Coordinator> {
    let dataflow = &context.dataflow;
    let parallelism = dataflow.settings.parallelism()?;
    let layout = Layout::of(dataflow, parallelism);
    let task_count = layout.stages.len() * parallelism;
    let has_deferred = dataflow.sinks().any(|(_, sink)| sink.deferred);
    let is_one_task = task_count == 1 && !has_deferred && start.rebuild.is_none();
    let ledger = is_one_task.then(|| {
        Arc::new(Ledger::new(tables.sinks.len(), Arc::clone(&context.progress), Arc::clone(&context.metrics)))
    });
    let epoch = start.at.map_or(0, |manifest| manifest.epoch);
    let (reports, reports_seen) = mpsc::channel(task_count.max(1) * 2);
    let activity = Arc::new(AtomicU64::new(0));
    let budget = MemoryBudget::new(dataflow.settings.memory_budget()?);

    // One channel for each edge and pair of tasks.
    let mut inputs: Vec<Vec<Inputs>> = (0..layout.stages.len()).map(|_| Vec::new()).collect();
    for stage in &mut inputs {
        stage.resize_with(parallelism, Inputs::default);
    }
    let mut outputs: BTreeMap<(usize, usize), Vec<Output>> = BTreeMap::new();
    for edge in &layout.exchanges {
        let to = layout.stage_of(edge.to);
        let place = place_in(&layout, edge.to);
        for from_task in 0..parallelism {
            let mut senders = Vec::new();
            for input in &mut inputs[to] {
                let (sender, receiver) = exchange::channel();
                input.add(place, receiver);
                senders.push(sender);
            }
            outputs.entry((edge.from, from_task)).or_default().push(Output::new(edge.keys.clone(), senders));
        }
    }

    let bad_rows = match dataflow.settings.row_errors()? {
        RowErrors::Fail => BadRows::fail(),
        RowErrors::Skip => BadRows::leave_out(format!("job {}", context.job), Arc::clone(&context.metrics.left_out)),
    };
    let builder = Builder {
        context,
        tables,
        start: &start,
        layout: &layout,
        parallelism,
        epoch,
        budget: &budget,
        bad_rows: Arc::clone(&bad_rows),
    };
    let (mut parts_of_tasks, mut tasks) = (Vec::new(), Vec::new());
    for (stage, stage_inputs) in inputs.into_iter().enumerate() {
        for (number, inputs) in stage_inputs.into_iter().enumerate() {
            let (commands, commands_seen) = mpsc::channel(COMMANDS_MAX);
            parts_of_tasks.push(TaskParts {
                job: context.job.clone(),
                nodes: builder.nodes(stage, number, &mut outputs).await?,
                inputs,
                reads: layout.reads(stage, dataflow),
                bad_rows: Arc::clone(&bad_rows),
                hold_back_max: dataflow.settings.mini_batch_latency()?,
                feeds_state: dataflow.has_state_behind_state(),
                read_behind: context.read_behind.clone(),
                // What is recomputed has one checkpoint, at its end, for which nobody can wait.
                budget: if start.rebuild.is_some() { MemoryBudget::default() } else { budget.clone() },
                ledger: ledger.clone(),
                metrics: Arc::clone(&context.metrics),
                activity: Arc::clone(&activity),
                commands: commands_seen,
                reports: reports.clone(),
            });
            tasks.push(commands);
        }
    }

    let sources = tables
        .sources
        .iter()
        .map(|(index, source)| {
            let node = &dataflow.nodes[*index];
            let NodeKind::Source(stored) = &node.kind else {
                return Err(Error::internal("a source that is none"));
            };
            let stage = layout.stage_of(*index);
            Ok(SourceState {
                id: node.id.clone(),
                table: stored.table.name.clone(),
                source: Arc::clone(source),
                projection: stored.projection.clone(),
                metrics: node_metrics(&context.metrics, &node.id)?,
                tasks: (stage * parallelism..(stage + 1) * parallelism).collect(),
                place: place_in(&layout, *index),
                splits: Vec::new(),
            })
        })
        .collect::<Result<Vec<_>>>()?;
    let interval = dataflow.settings.checkpoint_interval()?;
    let logs = logs_of(&start);
    // From here on nothing fails: a task that was begun is always ended.
    let mut running = JoinSet::new();
    for parts in parts_of_tasks {
        if let Some(ledger) = &ledger {
            follow(&parts, ledger, &mut running);
        }
        running.spawn(task::run(parts));
    }
    Ok(Coordinator {
        job: context.job.clone(),
        store: context.checkpoints.clone(),
        transactions: start.transactions,
        sources,
        tasks,
        reports: reports_seen,
        running,
        interval,
        activity,
        positions: start.at.map_or_else(Positions::new, |manifest| manifest.positions.clone()),
        logs,
        epoch,
        rebuild: start.rebuild.cloned(),
        skips: Arc::clone(&context.skips),
        has_deferred: has_deferred && start.rebuild.is_none(),
        metrics: Arc::clone(&context.metrics),
        progress: Arc::clone(&context.progress),
        ledger,
        clock: Arc::clone(&context.clock),
        budget,
    })
}

/// The logs in which the positions count, that a job begins with; of what is recomputed also those of its end.
fn logs_of(start: &Start<'_>) -> Logs {
    let mut logs = start.at.map_or_else(Logs::new, |manifest| manifest.logs.clone());
    if let Some(decision) = start.rebuild {
        for (source, decided) in &decision.logs {
            logs.entry(source.clone()).or_default().extend(decided.clone());
        }
    }
    logs
}

/// Takes the writers' acknowledgements to the ledger for as long as the job runs.
fn follow(parts: &TaskParts, ledger: &Arc<Ledger>, running: &mut JoinSet<Result<()>>) {
    let sinks = parts.nodes.iter().filter_map(|node| match &node.work {
        Work::Sink(sink) => Some(sink.writer.acknowledged()),
        _ => None,
    });
    for (writer, mut acknowledged) in sinks.enumerate() {
        let ledger = Arc::clone(ledger);
        running.spawn(async move {
            loop {
                ledger.acknowledge(writer, *acknowledged.borrow_and_update());
                if acknowledged.changed().await.is_err() {
                    // The writer has failed, which its task says.
                    std::future::pending::<()>().await;
                }
            }
        });
    }
}

fn place_in(layout: &Layout, node: usize) -> usize {
    let stage = &layout.stages[layout.stage_of(node)];
    stage.nodes.iter().position(|known| *known == node).unwrap_or_default()
}

fn node_metrics(metrics: &JobMetrics, id: &str) -> Result<Arc<NodeMetrics>> {
    metrics.node(id).cloned().ok_or_else(|| Error::internal(format!("dataflow has no node \"{id}\"")))
}

struct Builder<'a> {
    context: &'a JobContext,
    tables: &'a Tables,
    start: &'a Start<'a>,
    layout: &'a Layout,
    parallelism: usize,
    epoch: u64,
    budget: &'a MemoryBudget,
    bad_rows: Arc<BadRows>,
}

impl Builder<'_> {
    /// The nodes of one task, with their state.
    async fn nodes(
        &self,
        stage: usize,
        task: usize,
        outputs: &mut BTreeMap<(usize, usize), Vec<Output>>,
    ) -> Result<Vec<TaskNode>> {
        let dataflow = &self.context.dataflow;
        let scope = ExpressionScope::new(&dataflow.settings.time_zone, &self.context.clock);
        let open_table = Arc::clone(&self.context.open_table);
        let open_lookup = move |table: &TableDeclaration| -> Result<Arc<dyn Lookup>> {
            open_table(table)?
                .lookup
                .ok_or_else(|| Error::unsupported(format!("table \"{}\" cannot be looked up", table.name)))
        };
        let gate = self.context.read_behind.clone();
        let operator_context = OperatorContext {
            scope: &scope,
            open_lookup: &open_lookup,
            consistent: Arc::new(move || !gate.writers().is_empty()),
            bad_rows: Arc::clone(&self.bad_rows),
            clock: Arc::clone(&self.context.clock),
            budget: self.budget.clone(),
            spill_folder: self.context.spill_folder.join(format!("{stage}-{task}")),
        };
        let schemas = schemas(dataflow, &operator_context, &self.context.metrics)?;
        let members = &self.layout.stages[stage].nodes;
        let mut nodes = Vec::new();
        for index in members {
            let node = &dataflow.nodes[*index];
            let metrics = node_metrics(&self.context.metrics, &node.id)?;
            let work = match &node.kind {
                NodeKind::Source(_) => Work::Source,
                NodeKind::Operator(kind) => {
                    let input = &schemas[node.inputs[0]];
                    let mut operator = operators::build(kind, input, &metrics, &operator_context)?;
                    self.restore(&node.id, task, &mut |table, rows| operator.restore(table, rows)).await?;
                    Work::Operator(operator)
                }
                NodeKind::Sink(sink) => Work::Sink(Box::new(self.sink(*index, &node.id, sink, task, &metrics).await?)),
            };
            let locals = members
                .iter()
                .enumerate()
                .filter(|(_, other)| {
                    dataflow.nodes[**other].inputs.contains(index)
                        && !self.layout.exchanges.iter().any(|edge| edge.from == *index && edge.to == **other)
                })
                .map(|(place, _)| place)
                .collect();
            let outputs = outputs.remove(&(*index, task)).unwrap_or_default().into();
            nodes.push(TaskNode { id: node.id.clone(), metrics, work, locals, outputs });
        }
        Ok(nodes)
    }

    async fn restore(
        &self,
        id: &str,
        task: usize,
        take: &mut (dyn FnMut(&str, &datafusion::arrow::record_batch::RecordBatch) -> Result<()> + Send),
    ) -> Result<()> {
        let Some(manifest) = self.start.at else { return Ok(()) };
        let groups = range_of(task, self.parallelism);
        self.context.checkpoints.read_state(manifest, id, groups, take).await
    }

    async fn sink(
        &self,
        index: usize,
        id: &str,
        stored: &SinkNode,
        task: usize,
        metrics: &Arc<NodeMetrics>,
    ) -> Result<TaskSink> {
        let settings = &self.context.dataflow.settings;
        let sink = &self.tables.sinks[&index];
        let declared = stored.table.schema()?;
        let mut fields: Vec<Field> =
            declared.fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect();
        if sink.wants_version() {
            fields.push(Field::new("_version", DataType::Int64, true));
        }
        let schema: SchemaRef = Arc::new(Schema::new(fields));
        let writer: Box<dyn SinkWriter> = match self.start.rebuild {
            Some(_) => Box::new(Muted::default()),
            None => {
                let context = SinkContext {
                    owner: self.context.job.clone(),
                    job_id: self.context.id.clone(),
                    is_of_job: true,
                    transactions: sink.transactional().and_then(|_| self.start.transactions.clone()),
                    epoch: self.epoch + 1,
                    metrics: Arc::clone(&metrics.connector),
                    bad_rows: Arc::clone(&self.bad_rows),
                    time_zone: settings.zone()?,
                };
                let reason = || format!("table \"{}\" to be opened for writing", short_table_name(&stored.table.name));
                metrics.connector.waits.during(reason, sink.open(context)).await?
            }
        };
        let deferred = match (&stored.key, stored.deferred) {
            (Some(key), true) => {
                let mut deferred = Deferred::new(&schema, key)?.counted_in(self.budget);
                self.restore(id, task, &mut |table, rows| deferred.restore(table, rows)).await?;
                deferred.restored()?;
                Some(deferred)
            }
            _ => None,
        };
        let in_transaction = sink.transactional().is_some() && self.start.transactions.is_some();
        let constraints = SinkConstraints::of(&stored.table, settings.length_enforcer()?);
        let table = stored.table.name.clone();
        Ok(TaskSink { writer, in_transaction, deferred, table, schema, constraints, ticket: 0 })
    }
}

/// The columns that each node gives; sinks give none.
fn schemas(dataflow: &Dataflow, context: &OperatorContext<'_>, metrics: &JobMetrics) -> Result<Vec<SchemaRef>> {
    let mut schemas: Vec<SchemaRef> = Vec::new();
    for node in &dataflow.nodes {
        schemas.push(match &node.kind {
            NodeKind::Source(source) => Arc::new(source.table.schema()?.project(&source.projection)?),
            NodeKind::Operator(kind) => {
                let metrics = node_metrics(metrics, &node.id)?;
                operators::build(kind, &schemas[node.inputs[0]], &metrics, context)?.schema()
            }
            NodeKind::Sink(_) => Arc::new(Schema::empty()),
        });
    }
    Ok(schemas)
}

/// Takes what would be written and writes nothing: everything up to the decided epoch is written already.
struct Muted {
    acknowledged: watch::Sender<u64>,
}

impl Default for Muted {
    fn default() -> Self {
        Self { acknowledged: watch::Sender::new(0) }
    }
}

#[async_trait]
impl SinkWriter for Muted {
    async fn write(&mut self, _batch: ChangeBatch) -> Result<u64> {
        self.acknowledged.send_modify(|ticket| *ticket += 1);
        Ok(*self.acknowledged.borrow())
    }

    fn acknowledged(&self) -> watch::Receiver<u64> {
        self.acknowledged.subscribe()
    }

    async fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}
