//! Builds what a job runs as: channels between its tasks, their nodes with the state that operators and sinks go on with, and the
//! coordinator. Nothing runs before all of it is built.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::record_batch::RecordBatch;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::Instrument;

use super::ack_tracker::AckTracker;
use super::checkpoint::coordinator::{Coordinator, DiscoveryState};
use super::checkpoint::sources::{SourceState, Splits};
use super::checkpoint::{Enumerators, Logs, Manifest, Positions};
use super::dataflow::{Node, NodeKind, Output, RowErrors, SinkNode};
use super::deferred::Deferred;
use super::exchange::{self, Entry, Inputs};
use super::expression::ExpressionScope;
use super::job::{JobContext, Tables};
use super::key_group::range_of;
use super::layout::Layout;
use super::metrics::{JobMetrics, NodeMetrics};
use super::muted::Muted;
use super::operators::OperatorContext;
use super::state::budget::MemoryBudget;
use super::task::{
    self, Command, EndedSplits, Nodes, Report, RowTime, TaskNode, TaskOutput, TaskParts, TaskSink, Work,
};
use super::watermark::EventTime;
use crate::connectors::{
    BadRows, Decision, Lookup, Restored, SinkConstraints, SinkContext, SinkWriter, Source, SplitEnumerator,
    TableDeclaration, Transactions, short_table_name,
};
use crate::error::{Error, Result};

/// Commands that wait for a task at most.
const COMMANDS_MAX: usize = 64;

/// What a coordinator begins with.
pub(super) struct Start<'a> {
    /// The checkpoint; absent: nothing was decided yet.
    pub at: Option<&'a Manifest>,
    /// What is computed again, up to which the sinks are muted.
    pub rebuild: Option<&'a Decision>,
    /// What decides epochs; absent: the checkpoint itself does.
    pub transactions: Option<Arc<dyn Transactions>>,
}

/// Edges to other tasks by output and number of the task that gives rows.
type Exchanges = BTreeMap<(Output, usize), Vec<exchange::Output>>;

/// Builds the tasks of a job, starts them, and gives what coordinates them.
///
/// # Errors
/// The stored job does not fit this build, its state cannot be read, or a sink does not open.
pub(super) async fn build(context: &JobContext, tables: &Tables, start: Start<'_>) -> Result<Coordinator> {
    let dataflow = &context.dataflow;
    let parallelism = dataflow.settings.parallelism();
    let layout = Layout::of(dataflow, parallelism);
    let task_count = layout.stages.len() * parallelism;
    let has_deferred = dataflow.sinks().any(|(_, sink)| sink.deferred);
    let is_one_task = task_count == 1 && !has_deferred && start.rebuild.is_none();
    let ack_tracker = is_one_task.then(|| {
        Arc::new(AckTracker::new(tables.sinks.len(), Arc::clone(&context.progress), Arc::clone(&context.metrics)))
    });
    let epoch = start.at.map_or(0, |manifest| manifest.epoch);
    let (reports, reports_seen) = mpsc::channel(task_count.max(1) * 2);
    let activity = Arc::new(AtomicU64::new(0));
    let ended = Arc::new(EndedSplits::default());
    let budget = MemoryBudget::new(dataflow.settings.memory_budget);
    let builder = Builder {
        context,
        tables,
        start: &start,
        layout: &layout,
        parallelism,
        epoch,
        budget: &budget,
        bad_rows: bad_rows(context),
        ack_tracker: &ack_tracker,
        activity: &activity,
        ended: &ended,
    };
    let (parts_of_tasks, tasks) = builder.tasks(&reports).await?;
    let sources = builder.sources()?;
    let interval = dataflow.settings.checkpoint_interval;
    let logs = logs_of(&start);
    // From here on nothing fails: a task that was begun is always ended.
    let mut running = JoinSet::new();
    for parts in parts_of_tasks {
        if let Some(ack_tracker) = &ack_tracker {
            follow(&parts, ack_tracker, &mut running);
        }
        let span = tracing::error_span!("task", number = running.len());
        running.spawn(task::run(parts).instrument(span));
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
        ack_tracker,
        clock: Arc::clone(&context.clock),
        budget,
        ended,
        discovery: DiscoveryState::default(),
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

/// What finds the splits of a source, as a checkpoint or a decision left it.
fn enumerator(
    source: &Arc<dyn Source>,
    id: &str,
    stored: Option<(&Positions, &Enumerators)>,
) -> Result<Box<dyn SplitEnumerator>> {
    let Some((positions, enumerators)) = stored else { return source.enumerator(Restored::default()) };
    let splits = positions.get(id).into_iter().flat_map(|positions| positions.keys()).map(String::as_str).collect();
    source.enumerator(Restored { state: enumerators.get(id), splits })
}

/// Takes the writers' acknowledgements to the ack_tracker for as long as the job runs.
fn follow(parts: &TaskParts, ack_tracker: &Arc<AckTracker>, running: &mut JoinSet<Result<()>>) {
    let sinks = parts.nodes.all.iter().filter_map(|node| match &node.work {
        Work::Sink(sink) => Some(sink.writer.acknowledged()),
        _ => None,
    });
    for (writer, mut acknowledged) in sinks.enumerate() {
        let ack_tracker = Arc::clone(ack_tracker);
        running.spawn(async move {
            loop {
                ack_tracker.acknowledge(writer, *acknowledged.borrow_and_update())?;
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

fn bad_rows(context: &JobContext) -> Arc<BadRows> {
    match context.dataflow.settings.row_errors {
        RowErrors::Fail => BadRows::fail(),
        RowErrors::Skip => BadRows::leave_out(format!("job {}", context.job), Arc::clone(&context.metrics.left_out)),
    }
}

/// One channel for each edge and pair of tasks: the inputs of each stage's tasks, and the outputs.
fn channels(layout: &Layout, parallelism: usize) -> (Vec<Vec<Inputs>>, Exchanges) {
    let mut inputs: Vec<Vec<Inputs>> = (0..layout.stages.len()).map(|_| Vec::new()).collect();
    for stage in &mut inputs {
        stage.resize_with(parallelism, Inputs::default);
    }
    let mut exchanges: Exchanges = BTreeMap::new();
    for edge in &layout.exchanges {
        let to = layout.stage_of(edge.to);
        let entry = Entry { place: place_in(layout, edge.to), input: edge.input };
        for from_task in 0..parallelism {
            let mut senders = Vec::new();
            for input in &mut inputs[to] {
                let (sender, receiver) = exchange::channel();
                input.add(entry, receiver);
                senders.push(sender);
            }
            let output = exchange::Output::new(edge.keys.clone(), senders);
            exchanges.entry((edge.from, from_task)).or_default().push(output);
        }
    }
    (inputs, exchanges)
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
    ack_tracker: &'a Option<Arc<AckTracker>>,
    activity: &'a Arc<AtomicU64>,
    ended: &'a Arc<EndedSplits>,
}

impl Builder<'_> {
    /// All tasks, and where each takes its commands from.
    async fn tasks(&self, reports: &mpsc::Sender<Report>) -> Result<(Vec<TaskParts>, Vec<mpsc::Sender<Command>>)> {
        let (context, dataflow) = (self.context, &self.context.dataflow);
        let (inputs, mut exchanges) = channels(self.layout, self.parallelism);
        let (mut parts_of_tasks, mut tasks) = (Vec::new(), Vec::new());
        for (stage, stage_inputs) in inputs.into_iter().enumerate() {
            for (number, inputs) in stage_inputs.into_iter().enumerate() {
                let (commands, commands_seen) = mpsc::channel(COMMANDS_MAX);
                parts_of_tasks.push(TaskParts {
                    job: context.job.clone(),
                    nodes: Nodes {
                        all: self.nodes(stage, number, &mut exchanges).await?,
                        task: number,
                        bad_rows: Arc::clone(&self.bad_rows),
                    },
                    inputs,
                    reads: self.layout.reads(stage, dataflow),
                    hold_back_max: dataflow.settings.mini_batch_latency(),
                    feeds_state: dataflow.has_state_behind_state(),
                    read_behind: context.read_behind.clone(),
                    // What is recomputed has one checkpoint, at its end, for which nobody can wait.
                    budget: match self.start.rebuild {
                        Some(_) => MemoryBudget::default(),
                        None => self.budget.clone(),
                    },
                    ack_tracker: self.ack_tracker.clone(),
                    metrics: Arc::clone(&context.metrics),
                    activity: Arc::clone(self.activity),
                    ended: Arc::clone(self.ended),
                    commands: commands_seen,
                    reports: reports.clone(),
                    clock: Arc::clone(&context.clock),
                });
                tasks.push(commands);
            }
        }
        Ok((parts_of_tasks, tasks))
    }

    /// The sources as the coordinator knows them.
    fn sources(&self) -> Result<Vec<SourceState>> {
        let source = |(index, source): (&usize, &Arc<dyn Source>)| {
            let node = &self.context.dataflow.nodes[*index];
            let NodeKind::Source(stored) = &node.kind else {
                return Err(Error::internal("expected a source"));
            };
            let stage = self.layout.stage_of(*index);
            Ok(SourceState {
                id: node.id.clone(),
                table: stored.table.name.clone(),
                enumerator: enumerator(source, &node.id, self.start.at.map(|at| (&at.positions, &at.enumerators)))?,
                decided: match self.start.rebuild {
                    Some(decision) => {
                        let decided = Some((&decision.positions, &decision.enumerators));
                        Some(enumerator(source, &node.id, decided)?)
                    }
                    None => None,
                },
                source: Arc::clone(source),
                projection: stored.projection.clone(),
                metrics: node_metrics(&self.context.metrics, &node.id)?,
                tasks: (stage * self.parallelism..(stage + 1) * self.parallelism).collect(),
                place: place_in(self.layout, *index),
                splits: Splits::default(),
            })
        };
        self.tables.sources.iter().map(source).collect()
    }

    /// The nodes of one task, with their state.
    async fn nodes(&self, stage: usize, task: usize, exchanges: &mut Exchanges) -> Result<Vec<TaskNode>> {
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
        let skips_bad_rows = dataflow.settings.row_errors == RowErrors::Skip;
        let members = &self.layout.stages[stage].nodes;
        let mut nodes = Vec::new();
        for index in members {
            let node = &dataflow.nodes[*index];
            let metrics = node_metrics(&self.context.metrics, &node.id)?;
            let work = match &node.kind {
                NodeKind::Source(source) => Work::Source(match &source.watermark {
                    Some(watermark) => Some(RowTime::new(watermark, &node.schema, &scope, skips_bad_rows)?),
                    None => None,
                }),
                NodeKind::Operator(kind) => {
                    let inputs = node.inputs.iter().map(|input| dataflow.input_schema(input).cloned());
                    let inputs = inputs.collect::<Result<Vec<SchemaRef>>>()?;
                    let mut operator = kind.spec().build(&inputs, &metrics, &operator_context)?;
                    if operator.schema() != node.schema {
                        return Err(Error::corrupt(format!("{} is stored with other columns than it gives", node.id)));
                    }
                    self.restore(&node.id, task, &mut |table, rows| operator.restore(table, rows)).await?;
                    Work::Operator(operator)
                }
                NodeKind::Sink(sink) => Work::Sink(Box::new(self.sink(*index, node, sink, task, &metrics).await?)),
            };
            let sides = (0..node.side_outputs.len()).map(|side| Output { node: *index, side: Some(side) });
            let outputs = std::iter::once(Output::of(*index)).chain(sides).map(|output| TaskOutput {
                locals: self.locals(members, output),
                exchanges: exchanges.remove(&(output, task)).unwrap_or_default().into(),
            });
            let outputs = outputs.collect();
            let (event_time, held_watermark) = (EventTime::default(), None);
            nodes.push(TaskNode { id: node.id.clone(), metrics, work, outputs, event_time, held_watermark });
        }
        Ok(nodes)
    }

    /// Where the rows of an output enter among the nodes of its own task.
    fn locals(&self, members: &[usize], output: Output) -> Vec<Entry> {
        let is_exchanged = |to: usize, input: usize| {
            self.layout.exchanges.iter().any(|edge| edge.from == output && edge.to == to && edge.input == input)
        };
        let mut entries = Vec::new();
        for (place, index) in members.iter().enumerate() {
            for (input, stored) in self.context.dataflow.nodes[*index].inputs.iter().enumerate() {
                if stored.from.contains(&output) && !is_exchanged(*index, input) {
                    entries.push(Entry { place, input });
                }
            }
        }
        entries
    }

    async fn restore(
        &self,
        id: &str,
        task: usize,
        take: &mut (dyn FnMut(&str, &RecordBatch) -> Result<()> + Send),
    ) -> Result<()> {
        let Some(manifest) = self.start.at else { return Ok(()) };
        let groups = range_of(task, self.parallelism);
        self.context.checkpoints.read_state(manifest, id, groups, take).await
    }

    async fn sink(
        &self,
        index: usize,
        node: &Node,
        stored: &SinkNode,
        task: usize,
        metrics: &Arc<NodeMetrics>,
    ) -> Result<TaskSink> {
        let settings = &self.context.dataflow.settings;
        let sink = &self.tables.sinks[&index];
        let schema = Arc::clone(&node.schema);
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
                self.restore(&node.id, task, &mut |table, rows| deferred.restore(table, rows)).await?;
                deferred.restored()?;
                Some(deferred)
            }
            _ => None,
        };
        let in_transaction = sink.transactional().is_some() && self.start.transactions.is_some();
        let constraints = SinkConstraints::of(&stored.table, settings.length_enforcer);
        let table = stored.table.name.clone();
        Ok(TaskSink { writer, in_transaction, deferred, table, schema, constraints, sequence: 0 })
    }
}
