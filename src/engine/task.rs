//! The task loop of a job: reads splits, passes batches through the operators into the sink, and keeps checkpoints.
//! It owns waiting, barriers and time. A checkpoint holds only positions whose rows the sink has acknowledged: the barrier
//! travels as the sink's ticket, so that neither reading nor writing stops for it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use datafusion::arrow::compute::concat_batches;
use datafusion::arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::arrow::record_batch::RecordBatch;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use super::checkpoint::{CheckpointStore, Positions, Resume, resume_from};
use super::dataflow::{Dataflow, RowErrors};
use super::expression::ExpressionScope;
use super::metrics::{JobMetrics, NodeMetrics, SplitProgress};
use super::operators::{self, Operator, OperatorContext};
use super::progress::{JobProgress, ReadBehind};
use crate::changelog::ChangeBatch;
use crate::clock::Clock;
use crate::connectors::{
    Lookup, Position, SinkContext, SinkWriter, Source, SourceBatch, Split, SplitReader, SplitRequest, Table,
    TableDeclaration,
};
use crate::error::{Error, ErrorKind, Result};

/// How long a stopping job waits for its sink before it leaves the rest to the next start.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// Rows of one evaluation: what more readers have ready is left for the next one. The last batch may go beyond.
const EVALUATED_ROWS_MAX: usize = 8192;

/// Opens a stored declaration.
pub type OpenTable = Arc<dyn Fn(&TableDeclaration) -> Result<Table> + Send + Sync>;

/// What a job's task is given.
#[derive(Clone)]
pub struct TaskContext {
    /// Name of the job.
    pub job: String,
    /// What it runs.
    pub dataflow: Arc<Dataflow>,
    /// Opens its tables.
    pub open_table: OpenTable,
    /// Where its checkpoints are.
    pub checkpoints: CheckpointStore,
    /// Its place on the board.
    pub progress: Arc<JobProgress>,
    /// Holds its records back behind the writers of what it looks up.
    pub read_behind: ReadBehind,
    /// Its counters.
    pub metrics: Arc<JobMetrics>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// Why a task ended without an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It was told to.
    Stopped,
    /// All its sources have ended.
    Finished,
}

/// Runs a job until `stop` becomes true, its sources end, or something fails.
///
/// # Errors
/// Whatever fails; its kind says whether a restart can help.
pub async fn run(context: TaskContext, mut stop: watch::Receiver<bool>) -> Result<Ended> {
    let mut task = tokio::select! {
        // Opening asks outside systems, which may take long to say that they are away.
        opened = Task::open(&context) => opened?,
        _ = stop.wait_for(|stop| *stop) => return Ok(Ended::Stopped),
    };
    let outcome = task.read_until(&mut stop).await;
    // Positions that are acknowledged by now are kept whatever ended the loop: a restart repeats less.
    let drained = task.drain(outcome.is_ok()).await;
    let ended = outcome?;
    drained?;
    Ok(ended)
}

struct BranchState {
    source: Arc<dyn Source>,
    source_id: String,
    projection: Vec<usize>,
    source_metrics: Arc<NodeMetrics>,
    operators: Vec<(Box<dyn Operator>, Arc<NodeMetrics>)>,
    splits: Vec<Split>,
}

struct Task {
    context: TaskContext,
    branches: Vec<BranchState>,
    writer: Box<dyn SinkWriter>,
    sink_metrics: Arc<NodeMetrics>,
    sink_schema: SchemaRef,
    required: Vec<usize>,
    row_errors: RowErrors,
    ledger: Arc<Ledger>,
    readers: FuturesUnordered<BoxFuture<'static, ReaderTurn>>,
    last_ticket: u64,
    /// Absent until the splits are open: nothing is known of positions before.
    checkpoints: Option<tokio::task::JoinHandle<()>>,
    end_checkpoints: watch::Sender<bool>,
}

/// A reader and what it read.
struct ReaderTurn {
    branch: usize,
    split: Split,
    reader: Box<dyn SplitReader>,
    read: Result<Option<SourceBatch>>,
}

/// What the readers of one branch had ready: it is evaluated as one batch.
#[derive(Default)]
struct Ready {
    rows: Vec<RecordBatch>,
    /// Split, position after its rows.
    positions: Vec<(Split, Position)>,
}

impl Task {
    async fn open(context: &TaskContext) -> Result<Self> {
        let dataflow = &context.dataflow;
        let scope = ExpressionScope::new(&dataflow.settings.time_zone, &context.clock);
        let stored = context.checkpoints.load().await?;
        let checkpoint = match resume_from(None, false, &stored.manifests, stored.damaged.len()) {
            Resume::At(epoch) => stored
                .manifest(epoch)
                .map(|manifest| Checkpoint { epoch, positions: manifest.positions.clone() })
                .unwrap_or_default(),
            Resume::Refuse(error) => return Err(error),
            Resume::Fresh | Resume::RebuildMutedTo { .. } => Checkpoint::default(),
        };

        let sink_table = (context.open_table)(&dataflow.sink.table)?;
        let sink = sink_table
            .sink
            .ok_or_else(|| Error::unsupported(format!("table \"{}\" cannot be written", dataflow.sink.table.name)))?;
        let sink_metrics = node(&context.metrics, &dataflow.sink.id)?;
        let writer = sink
            .open(SinkContext::new(context.job.clone(), Arc::clone(&sink_metrics.connector), dataflow.settings.zone()?))
            .await?;

        let open_table = Arc::clone(&context.open_table);
        let open_lookup = move |table: &TableDeclaration| -> Result<Arc<dyn Lookup>> {
            open_table(table)?
                .lookup
                .ok_or_else(|| Error::unsupported(format!("table \"{}\" cannot be looked up", table.name)))
        };
        let gate = context.read_behind.clone();
        let operator_context = OperatorContext {
            scope: &scope,
            open_lookup: &open_lookup,
            consistent: Arc::new(move || !gate.writers().is_empty()),
            clock: Arc::clone(&context.clock),
        };
        let mut branches = Vec::new();
        for branch in &dataflow.branches {
            let table = (context.open_table)(&branch.source.table)?;
            let source = table.source.ok_or_else(|| {
                Error::unsupported(format!("table \"{}\" cannot be read as a stream", branch.source.table.name))
            })?;
            let mut schema: SchemaRef = Arc::new(branch.source.table.schema()?.project(&branch.source.projection)?);
            let mut built = Vec::new();
            for stored in &branch.operators {
                let metrics = node(&context.metrics, &stored.id)?;
                let operator = operators::build(&stored.kind, &schema, &metrics, &operator_context)?;
                schema = operator.schema();
                built.push((operator, metrics));
            }
            branches.push(BranchState {
                source,
                source_id: branch.source.id.clone(),
                projection: branch.source.projection.clone(),
                source_metrics: node(&context.metrics, &branch.source.id)?,
                operators: built,
                splits: Vec::new(),
            });
        }

        let declared = dataflow.sink.table.schema()?;
        // NULL keys are the sink's to skip and count, so only other NOT NULL columns are enforced here.
        let key: Vec<usize> =
            dataflow.sink.table.primary_key.iter().filter_map(|name| dataflow.sink.table.column_index(name)).collect();
        let required = (0..declared.fields().len())
            .filter(|index| !declared.field(*index).is_nullable() && !key.contains(index))
            .collect();
        let sink_schema: SchemaRef = Arc::new(Schema::new(
            declared.fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect::<Vec<Field>>(),
        ));

        let ledger = Arc::new(Ledger::new(checkpoint, Arc::clone(&context.progress), Arc::clone(&context.metrics)));
        let (end_checkpoints, ended) = watch::channel(false);
        let keeper = CheckpointKeeper {
            ledger: Arc::clone(&ledger),
            store: context.checkpoints.clone(),
            metrics: Arc::clone(&context.metrics),
            interval: dataflow.settings.checkpoint_interval()?,
            sources: branches.iter().map(|branch| (branch.source_id.clone(), Arc::clone(&branch.source))).collect(),
            job: context.job.clone(),
        };
        let acknowledged = writer.acknowledged();
        let mut task = Self {
            context: context.clone(),
            branches,
            writer,
            sink_metrics,
            sink_schema,
            required,
            row_errors: dataflow.settings.row_errors()?,
            ledger,
            readers: FuturesUnordered::new(),
            last_ticket: 0,
            checkpoints: None,
            end_checkpoints,
        };
        task.discover().await?;
        // Where a start-up mode led is kept before anything is read: "latest" means the time of the first start.
        keeper.save().await;
        task.checkpoints = Some(tokio::spawn(keeper.run(acknowledged, ended)));
        Ok(task)
    }

    /// Opens splits that were not open yet.
    async fn discover(&mut self) -> Result<()> {
        for index in 0..self.branches.len() {
            let branch = &self.branches[index];
            let (source, source_id, known) =
                (Arc::clone(&branch.source), branch.source_id.clone(), branch.splits.clone());
            let (projection, metrics) = (branch.projection.clone(), Arc::clone(&branch.source_metrics.connector));
            // Without any stored position the start-up mode decides; a split that is new later is read from its beginning.
            let fresh = self.ledger.is_fresh(&source_id);
            let mut opened = Vec::new();
            for split in source.splits().await? {
                if known.contains(&split) {
                    continue;
                }
                let stored = self.ledger.position(&source_id, &split.id);
                let position = if fresh { stored } else { stored.or(Some(0)) };
                let reader =
                    source.open(SplitRequest::new(&split, position, &projection, Arc::clone(&metrics))).await?;
                opened.push((split, reader));
            }
            for (split, reader) in opened {
                let begin = reader.position();
                let branch = &mut self.branches[index];
                branch.splits.push(split.clone());
                self.ledger.begin(&branch.source_id, &split, begin);
                self.context
                    .metrics
                    .splits
                    .lock()
                    .insert(split.id.clone(), SplitProgress { read: begin, acknowledged: begin, lag: reader.lag() });
                self.read_next(index, split, reader);
            }
        }
        self.ledger.opened();
        Ok(())
    }

    /// Puts a reader's next turn among the futures; the turn ends when its rows may pass the gate of read-behind.
    fn read_next(&self, branch: usize, split: Split, mut reader: Box<dyn SplitReader>) {
        let gate = self.context.read_behind.clone();
        self.readers.push(Box::pin(async move {
            let read = reader.next().await;
            if let Ok(Some(batch)) = &read {
                gate.wait(&split, batch.position).await;
            }
            ReaderTurn { branch, split, reader, read }
        }));
    }

    async fn read_until(&mut self, stop: &mut watch::Receiver<bool>) -> Result<Ended> {
        let mut acknowledged = self.writer.acknowledged();
        let interval = self.branches.iter().filter_map(|branch| branch.source.discovery_interval()).min();
        // Without an interval the timer is never asked; it must have one all the same.
        let mut discovery = tokio::time::interval(interval.unwrap_or(Duration::from_secs(3600)));
        discovery.set_missed_tick_behavior(MissedTickBehavior::Delay);
        discovery.tick().await;
        loop {
            if *stop.borrow() {
                return Ok(Ended::Stopped);
            }
            tokio::select! {
                changed = stop.changed() => {
                    if changed.is_err() { return Ok(Ended::Stopped); }
                }
                turn = self.readers.next() => {
                    let Some(turn) = turn else { return Ok(Ended::Finished) };
                    let mut stopping = stop.clone();
                    tokio::select! {
                        taken = self.take_turns(turn) => taken?,
                        // A sink that is stuck must not keep a job from stopping; what was not acknowledged is read again.
                        _ = told_to_stop(&mut stopping) => return Ok(Ended::Stopped),
                    }
                }
                changed = acknowledged.changed() => {
                    if changed.is_err() {
                        self.writer.flush().await?;
                        return Err(Error::unavailable("the sink's writer has ended"));
                    }
                }
                _ = discovery.tick(), if interval.is_some() => {
                    let mut stopping = stop.clone();
                    let discovered = tokio::select! {
                        discovered = self.discover() => discovered,
                        _ = stopping.wait_for(|stop| *stop) => return Ok(Ended::Stopped),
                    };
                    match discovered {
                        // The splits that are open go on; new ones are found when the source answers again.
                        Err(error) if error.is_retryable() => {
                            tracing::warn!(job = self.context.job, %error, "cannot look for new splits now");
                        }
                        discovered => discovered?,
                    }
                }
            }
        }
    }

    /// Takes a reader's turn, and with it what else is ready: under load batches grow instead of waiting one by one.
    async fn take_turns(&mut self, first: ReaderTurn) -> Result<()> {
        let mut ready: BTreeMap<usize, Ready> = BTreeMap::new();
        let mut rows = 0;
        let mut next = Some(first);
        let mut failure = None;
        while let Some(turn) = next {
            let ReaderTurn { branch, split, reader, read } = turn;
            match read {
                Ok(Some(batch)) => {
                    rows += batch.changes.len();
                    if let Some(progress) = self.context.metrics.splits.lock().get_mut(&split.id) {
                        progress.read = batch.position;
                        progress.lag = reader.lag();
                    }
                    let taken = ready.entry(branch).or_default();
                    taken.rows.push(batch.changes.rows().clone());
                    taken.positions.push((split.clone(), batch.position));
                    self.read_next(branch, split, reader);
                }
                Ok(None) => {} // a bounded split has ended
                Err(error) => {
                    // What was read before is written first, so that less is repeated.
                    failure = Some(error.context(format!("source {}", split.id)));
                    break;
                }
            }
            next = if rows < EVALUATED_ROWS_MAX { self.readers.next().now_or_never().flatten() } else { None };
        }
        for (branch, taken) in ready {
            let source = &self.branches[branch];
            let rows = match taken.rows.as_slice() {
                [one] => one.clone(),
                many => concat_batches(&many[0].schema(), many)?,
            };
            source.source_metrics.rows_out.fetch_add(rows.num_rows() as u64, Ordering::Relaxed);
            self.process(branch, rows).await?;
            self.ledger.note(self.last_ticket, &self.branches[branch].source_id, taken.positions);
        }
        failure.map_or(Ok(()), Err)
    }

    /// Passes rows through the operators and into the sink. Rows that cannot be evaluated are found by halving the batch.
    async fn process(&mut self, branch: usize, rows: RecordBatch) -> Result<()> {
        let mut parts = VecDeque::from([rows]);
        while let Some(part) = parts.pop_front() {
            if part.num_rows() == 0 {
                continue;
            }
            match self.evaluate(branch, &part).await {
                Ok(output) => self.write(output).await?,
                Err(error) if !is_of_a_row(&error) || self.row_errors == RowErrors::Fail => return Err(error),
                Err(error) if part.num_rows() == 1 => {
                    let count = self.context.metrics.row_errors.fetch_add(1, Ordering::Relaxed) + 1;
                    if count.is_power_of_two() {
                        tracing::warn!(job = self.context.job, count, %error, "left out a row that cannot be evaluated");
                    }
                }
                Err(_) => {
                    let half = part.num_rows() / 2;
                    parts.push_front(part.slice(half, part.num_rows() - half));
                    parts.push_front(part.slice(0, half));
                }
            }
        }
        Ok(())
    }

    async fn evaluate(&mut self, branch: usize, rows: &RecordBatch) -> Result<ChangeBatch> {
        let mut batch = ChangeBatch::inserts(rows.clone());
        for (operator, metrics) in &mut self.branches[branch].operators {
            if batch.is_empty() {
                break;
            }
            metrics.rows_in.fetch_add(batch.len() as u64, Ordering::Relaxed);
            let begun = Instant::now();
            batch = operator.process(batch).await?;
            metrics.add_busy(begun.elapsed());
            metrics.rows_out.fetch_add(batch.len() as u64, Ordering::Relaxed);
        }
        if batch.is_empty() {
            return Ok(ChangeBatch::inserts(RecordBatch::new_empty(Arc::clone(&self.sink_schema))));
        }
        for index in &self.required {
            if batch.rows().column(*index).null_count() > 0 {
                return Err(Error::invalid(format!(
                    "null value in column \"{}\" of table \"{}\", which is NOT NULL",
                    self.sink_schema.field(*index).name(),
                    self.context.dataflow.sink.table.name
                ))
                .code("23502"));
            }
        }
        let rows = RecordBatch::try_new(Arc::clone(&self.sink_schema), batch.rows().columns().to_vec())?;
        Ok(match batch.kinds() {
            None => ChangeBatch::inserts(rows),
            Some(kinds) => ChangeBatch::changes(rows, Arc::clone(kinds)),
        })
    }

    async fn write(&mut self, batch: ChangeBatch) -> Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        self.sink_metrics.rows_in.fetch_add(batch.len() as u64, Ordering::Relaxed);
        let begun = Instant::now();
        self.last_ticket = self.writer.write(batch).await?;
        self.sink_metrics.add_backpressured(begun.elapsed());
        Ok(())
    }

    /// Ends the task: waits a while for the sink, then writes the last checkpoint.
    async fn drain(&mut self, orderly: bool) -> Result<()> {
        self.readers.clear();
        let flushed = if orderly {
            match tokio::time::timeout(DRAIN_TIMEOUT, self.writer.flush()).await {
                Ok(flushed) => flushed,
                Err(_) => {
                    tracing::warn!(
                        job = self.context.job,
                        "the sink did not acknowledge in time; its rows are written again at the next start"
                    );
                    Ok(())
                }
            }
        } else {
            Ok(())
        };
        self.end_checkpoints.send_replace(true);
        if let Some(checkpoints) = &mut self.checkpoints
            && let Err(error) = checkpoints.await
        {
            return Err(Error::internal(format!("keeping checkpoints panicked: {error}")));
        }
        flushed
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        if let Some(checkpoints) = &self.checkpoints {
            checkpoints.abort();
        }
    }
}

/// Whether an error can be of one row: data that does not fit (22…) or breaks a constraint (23…). All else, a look-up's
/// table that is gone or may not be read, say, hits every row: skipping them would lose them.
fn is_of_a_row(error: &Error) -> bool {
    let state = error.sqlstate();
    error.kind() == ErrorKind::Invalid && (state.starts_with("22") || state.starts_with("23"))
}

async fn told_to_stop(stop: &mut watch::Receiver<bool>) {
    // The job first gets the time that draining has, so that an ordinary batch in progress is not cut.
    let _ = stop.wait_for(|stop| *stop).await;
    tokio::time::sleep(DRAIN_TIMEOUT).await;
}

fn node(metrics: &JobMetrics, id: &str) -> Result<Arc<NodeMetrics>> {
    metrics.node(id).cloned().ok_or_else(|| Error::internal(format!("dataflow has no node \"{id}\"")))
}

/// Acknowledged positions by source id.
type PositionsBySource = BTreeMap<String, Vec<(Split, Position)>>;

/// What a checkpoint of this loop holds.
#[derive(Clone, Default)]
struct Checkpoint {
    epoch: u64,
    positions: Positions,
}

/// Which positions stand behind which ticket of the sink; shows those that are acknowledged to the board and the counters.
struct Ledger {
    inner: Mutex<LedgerState>,
    progress: Arc<JobProgress>,
    metrics: Arc<JobMetrics>,
}

struct LedgerState {
    /// Acknowledged, by source and split id.
    done: Checkpoint,
    /// Open splits by source and split id.
    splits: BTreeMap<(String, String), Split>,
    /// The same by resource name: several branches may read one partition.
    by_resource: BTreeMap<String, Vec<(String, String)>>,
    /// Not yet acknowledged, in order of tickets.
    open: VecDeque<(u64, String, Split, Position)>,
    acknowledged: u64,
    changed: bool,
    /// Whether all sources have opened their splits; before, nothing may be concluded from what is not there.
    is_opened: bool,
}

impl Ledger {
    fn new(done: Checkpoint, progress: Arc<JobProgress>, metrics: Arc<JobMetrics>) -> Self {
        let inner = LedgerState {
            done,
            splits: BTreeMap::new(),
            by_resource: BTreeMap::new(),
            open: VecDeque::new(),
            acknowledged: 0,
            changed: false,
            is_opened: false,
        };
        Self { inner: Mutex::new(inner), progress, metrics }
    }

    fn position(&self, source: &str, split: &str) -> Option<Position> {
        self.inner.lock().done.positions.get(source).and_then(|splits| splits.get(split)).copied()
    }

    fn is_fresh(&self, source: &str) -> bool {
        !self.inner.lock().done.positions.contains_key(source)
    }

    fn begin(&self, source: &str, split: &Split, position: Position) {
        let mut state = self.inner.lock();
        let place = (source.to_owned(), split.id.clone());
        if state.splits.insert(place.clone(), split.clone()).is_none() {
            state.by_resource.entry(split.resource.clone()).or_default().push(place);
        }
        let known = state.done.positions.entry(source.to_owned()).or_default().insert(split.id.clone(), position);
        state.changed |= known != Some(position);
    }

    /// All splits that there are now have begun.
    fn opened(&self) {
        let mut state = self.inner.lock();
        state.is_opened = true;
        let resources: Vec<(String, Position)> =
            state.by_resource.keys().map(|resource| (resource.clone(), state.position_of(resource))).collect();
        self.progress.advance(resources);
    }

    /// Everything of the splits before the positions is in the tickets up to `ticket`, which may be acknowledged already,
    /// as it is when nothing of the last rows had to be written.
    fn note(&self, ticket: u64, source: &str, positions: Vec<(Split, Position)>) {
        let mut state = self.inner.lock();
        state.open.extend(positions.into_iter().map(|(split, position)| (ticket, source.to_owned(), split, position)));
        self.settle(&mut state);
    }

    fn acknowledge(&self, ticket: u64) {
        let mut state = self.inner.lock();
        state.acknowledged = state.acknowledged.max(ticket);
        self.settle(&mut state);
    }

    fn settle(&self, state: &mut LedgerState) {
        let mut settled: BTreeMap<String, String> = BTreeMap::new();
        while state.open.front().is_some_and(|(ticket, ..)| *ticket <= state.acknowledged) {
            if let Some((_, source, split, position)) = state.open.pop_front() {
                state.done.positions.entry(source).or_default().insert(split.id.clone(), position);
                settled.insert(split.resource, split.id);
                state.changed = true;
            }
        }
        if settled.is_empty() {
            return;
        }
        let settled: Vec<(String, String, Position)> = settled
            .into_iter()
            .map(|(resource, split)| {
                let position = state.position_of(&resource);
                (resource, split, position)
            })
            .collect();
        {
            let mut splits = self.metrics.splits.lock();
            for (_, split, position) in &settled {
                if let Some(progress) = splits.get_mut(split) {
                    progress.acknowledged = *position;
                }
            }
        }
        if state.is_opened {
            self.progress.advance(settled.into_iter().map(|(resource, _, position)| (resource, position)));
        }
    }

    /// The next checkpoint if anything changed since the last, and its positions by source.
    fn next_checkpoint(&self) -> Option<(Checkpoint, PositionsBySource)> {
        let mut state = self.inner.lock();
        if !state.changed {
            return None;
        }
        state.changed = false;
        state.done.epoch += 1;
        let mut by_source = PositionsBySource::new();
        for ((source, id), split) in &state.splits {
            if let Some(position) = state.done.positions.get(source).and_then(|splits| splits.get(id)) {
                by_source.entry(source.clone()).or_default().push((split.clone(), *position));
            }
        }
        Some((state.done.clone(), by_source))
    }

    fn retry_checkpoint(&self) {
        self.inner.lock().changed = true;
    }
}

impl LedgerState {
    /// How far a partition is done: by the slowest of the branches that read it.
    fn position_of(&self, resource: &str) -> Position {
        let places = self.by_resource.get(resource).into_iter().flatten();
        places
            .filter_map(|(source, split)| self.done.positions.get(source)?.get(split).copied())
            .min()
            .unwrap_or_default()
    }
}

/// Follows the sink's acknowledgements and writes checkpoints of them.
struct CheckpointKeeper {
    ledger: Arc<Ledger>,
    store: CheckpointStore,
    metrics: Arc<JobMetrics>,
    interval: Duration,
    sources: BTreeMap<String, Arc<dyn Source>>,
    job: String,
}

impl CheckpointKeeper {
    async fn run(self, mut acknowledged: watch::Receiver<u64>, mut ended: watch::Receiver<bool>) {
        let mut ticks = tokio::time::interval(self.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut writer_alive = true;
        loop {
            tokio::select! {
                changed = acknowledged.changed(), if writer_alive => {
                    writer_alive = changed.is_ok();
                    self.ledger.acknowledge(*acknowledged.borrow_and_update());
                }
                _ = ticks.tick() => {
                    self.save().await;
                }
                _ = ended.changed() => {
                    self.ledger.acknowledge(*acknowledged.borrow());
                    self.save().await;
                    return;
                }
            }
        }
    }

    async fn save(&self) {
        let Some((checkpoint, by_source)) = self.ledger.next_checkpoint() else { return };
        let begun = Instant::now();
        let epoch = checkpoint.epoch;
        let saved = match self.store.write(epoch, checkpoint.positions, Vec::new()).await {
            Ok(_) => self.store.settle(epoch).await,
            Err(error) => Err(error),
        };
        if let Err(error) = saved {
            tracing::warn!(job = self.job, epoch, %error, "checkpoint failed; the one before stands");
            self.ledger.retry_checkpoint();
            return;
        }
        self.metrics.checkpoints.fetch_add(1, Ordering::Relaxed);
        let micros = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.metrics.checkpoint_us.store(micros, Ordering::Relaxed);
        for (source, positions) in by_source {
            if let Some(source) = self.sources.get(&source)
                && let Err(error) = source.commit(&positions).await
            {
                tracing::debug!(job = self.job, %error, "offsets were not sent to the group; the checkpoint has them");
            }
        }
    }
}

#[cfg(test)]
mod tests;
