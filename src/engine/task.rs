//! The loop of one task: takes rows from its splits and from other tasks, passes them through its nodes, answers barriers.
//! It owns waiting and time; operators are passive. At a barrier everything held back is given out, state is copied, writers
//! are told, and the task runs on: what makes the epoch durable happens elsewhere (`checkpoint::coordinator`).

mod culprit;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::record_batch::RecordBatch;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use tokio::sync::{mpsc, watch};

use self::culprit::ReadBatch;
use super::checkpoint::OperatorDelta;
use super::deferred::Deferred;
use super::exchange::{Inputs, Message, Output, Received};
use super::ledger::{Ledger, SourcePositions};
use super::metrics::{JobMetrics, NodeMetrics};
use super::operators::Operator;
use super::progress::ReadBehind;
use super::state::{MemoryBudget, StateSize};
use crate::changelog::ChangeBatch;
use crate::connectors::bad_rows::row_text;
use crate::connectors::{
    BadRows, FailureTeller, Position, SinkConstraints, SinkWriter, SourceBatch, Split, SplitReader, short_table_name,
};
use crate::error::{Error, ErrorKind, Result};
use crate::fault;
use crate::waits::{Waiting, Waits};

/// Rows of one evaluation: what more readers have ready is left for the next one. The last batch may go beyond.
const EVALUATED_ROWS_MAX: usize = 8192;

/// Bytes of their records, likewise: 8192 records of a megabyte each would be 8 GB.
const EVALUATED_BYTES_MAX: u64 = 64 << 20;

/// What the sources of a job wait for when so much has changed that nothing more may be read before it is in a checkpoint.
const BUDGET_FULL: &str = "a checkpoint of what has changed, which takes half of state.memory.budget";

/// Batches from other tasks that are taken before the task looks at its commands again.
const TAKEN_IN_A_ROW_MAX: usize = 16;

/// What the coordinator tells a task.
pub enum Command {
    /// Read a split into a node of the task.
    Read {
        /// Place of the source in the task.
        node: usize,
        /// The split.
        split: Split,
        /// Its reader.
        reader: Box<dyn SplitReader>,
    },
    /// No splits will follow.
    NoMoreSplits,
    /// End the epoch.
    Barrier(u64),
    /// The epoch's checkpoint is decided: deferred writes of it go out.
    Decided(u64),
    /// Nothing is wanted any more.
    End,
}

/// What a task tells the coordinator.
pub enum Report {
    /// The barrier is past.
    Barrier(BarrierReport),
    /// All inputs have ended and everything of them was given out.
    Ended,
}

/// What belongs to an epoch in one task.
pub struct BarrierReport {
    /// The epoch.
    pub epoch: u64,
    /// Everything before these positions is in the epoch or an earlier one.
    pub positions: Vec<SourcePositions>,
    /// What changed of the operators' state.
    pub deltas: Vec<OperatorDelta>,
    /// One for each writer.
    pub tickets: Vec<SinkTicket>,
    /// How long the task did nothing but answer the barrier.
    pub stall: Duration,
}

/// How far one writer's writes of an epoch go.
pub struct SinkTicket {
    /// The table, for messages.
    pub table: String,
    /// The writer's acknowledgements.
    pub acknowledged: watch::Receiver<u64>,
    /// The last ticket of the epoch.
    pub ticket: u64,
    /// Where it is said that they are waited for.
    pub waits: Waits,
    /// Tells why the writer acknowledges nothing more.
    pub failure: FailureTeller,
    /// Whether the writes are part of the job's transaction.
    pub in_transaction: bool,
}

/// A node as a task runs it.
pub struct TaskNode {
    /// Stable id.
    pub id: String,
    /// Counters, shared by the node's tasks.
    pub metrics: Arc<NodeMetrics>,
    /// What it does.
    pub work: Work,
    /// Places of nodes in this task that take its rows.
    pub locals: Vec<usize>,
    /// Nodes in other tasks that do.
    pub outputs: Arc<[Output]>,
}

/// What a node does in a task.
pub enum Work {
    /// Rows come from readers.
    Source,
    /// Rows pass.
    Operator(Box<dyn Operator>),
    /// Rows leave.
    Sink(Box<TaskSink>),
}

/// A sink as a task runs it.
pub struct TaskSink {
    /// Writes.
    pub writer: Box<dyn SinkWriter>,
    /// Whether it writes into the job's transaction.
    pub in_transaction: bool,
    /// Keeps an epoch's writes until its checkpoint is decided, if the sink needs it.
    pub deferred: Option<Deferred>,
    /// The table, for messages.
    pub table: String,
    /// Columns as the writer takes them.
    pub schema: SchemaRef,
    /// What they must hold.
    pub constraints: SinkConstraints,
    /// The last ticket.
    pub ticket: u64,
}

impl TaskSink {
    async fn write(&mut self, batch: ChangeBatch, metrics: &NodeMetrics) -> Result<()> {
        let table = short_table_name(&self.table);
        let reason = || format!("table \"{table}\" to take rows");
        self.ticket = metrics.connector.waits.during(reason, self.writer.write(batch)).await?;
        Ok(())
    }

    /// Rows under the columns' names.
    fn named(&self, batch: &ChangeBatch) -> Result<ChangeBatch> {
        let rows = RecordBatch::try_new(Arc::clone(&self.schema), batch.rows().columns().to_vec())?;
        Ok(batch.with_rows(rows))
    }
}

/// What a task is made of.
pub struct TaskParts {
    /// Name of the job.
    pub job: String,
    /// Nodes, each after those whose rows it takes.
    pub nodes: Vec<TaskNode>,
    /// Channels from other tasks.
    pub inputs: Inputs,
    /// Whether the coordinator gives it splits, or may give it more.
    pub reads: bool,
    /// What becomes of rows that cannot be evaluated.
    pub bad_rows: Arc<BadRows>,
    /// How long results may be held back while input keeps coming.
    pub hold_back_max: Option<Duration>,
    /// Whether what operators hold back becomes state of others in the job.
    pub feeds_state: bool,
    /// Holds records back behind the writers of what the job looks up.
    pub read_behind: ReadBehind,
    /// Nothing is read while too much of the job's state waits for the next checkpoint.
    pub budget: MemoryBudget,
    /// Shows acknowledged positions, if the job is one task.
    pub ledger: Option<Arc<Ledger>>,
    /// The job's counters.
    pub metrics: Arc<JobMetrics>,
    /// Grows whenever something was read, so that an idle job writes no checkpoints.
    pub activity: Arc<AtomicU64>,
    /// From the coordinator.
    pub commands: mpsc::Receiver<Command>,
    /// To the coordinator.
    pub reports: mpsc::Sender<Report>,
}

/// What the readers of one source have ready, and how far that is.
type ReadRows = (Vec<ReadBatch>, Vec<(Split, Position)>);

/// What came of a batch in an operator.
enum Applied {
    /// These rows.
    Gives(ChangeBatch),
    /// It cannot be evaluated as a whole: these halves of it are to be tried.
    Halved(ChangeBatch, ChangeBatch),
    /// Its only row is left out, and counted.
    LeftOut,
}

/// What is done about a batch whose evaluation failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AfterError {
    /// Each half is tried by itself.
    Halve,
    /// It is an error of its only row.
    BlameTheRow,
    /// The job fails.
    Fail,
}

/// A reader and what it read.
struct ReaderTurn {
    node: usize,
    split: Split,
    reader: Box<dyn SplitReader>,
    read: Result<Option<SourceBatch>>,
}

struct Task {
    parts: TaskParts,
    readers: FuturesUnordered<BoxFuture<'static, ReaderTurn>>,
    /// A turn that came while a barrier was waited for.
    carried: Option<ReaderTurn>,
    /// By place of the source and split id: what was passed on.
    positions: BTreeMap<(usize, String), (Split, Position)>,
    /// Passed on since everything held back was given out.
    unnoted: Vec<SourcePositions>,
    /// Whether operators may hold results back.
    holds_back: bool,
    /// When the oldest result that is held back must go out.
    flush_at: Option<tokio::time::Instant>,
    /// The barrier that the coordinator asked for.
    epoch: Option<u64>,
    has_said_end: bool,
    /// What was last shown of each node's state.
    state_sizes: Vec<StateSize>,
    /// Gives the place of a sink whose writer has failed for good.
    failures: FuturesUnordered<BoxFuture<'static, usize>>,
}

/// Runs a task until the coordinator ends it, or something fails.
///
/// # Errors
/// Whatever fails; its kind says whether a restart can help.
pub async fn run(parts: TaskParts) -> Result<()> {
    let holds_back = parts.nodes.iter().any(|node| match &node.work {
        Work::Operator(operator) => operator.holds_back(),
        _ => false,
    });
    let state_sizes = vec![StateSize::default(); parts.nodes.len()];
    let failures = parts
        .nodes
        .iter()
        .enumerate()
        .filter_map(|(place, node)| match &node.work {
            Work::Sink(sink) => Some(failed(place, sink.writer.acknowledged())),
            _ => None,
        })
        .collect();
    let mut task = Task {
        parts,
        readers: FuturesUnordered::new(),
        carried: None,
        positions: BTreeMap::new(),
        unnoted: Vec::new(),
        holds_back,
        flush_at: None,
        epoch: None,
        has_said_end: false,
        state_sizes,
        failures,
    };
    task.show_state_sizes();
    task.run().await
}

impl Task {
    async fn run(&mut self) -> Result<()> {
        self.send_deferred().await?;
        // Said while its sources wait for room in the budget.
        let mut waiting_for_room: Option<Waiting> = None;
        loop {
            if let Some(epoch) = self.epoch
                && self.parts.inputs.are_aligned(epoch)
            {
                self.barrier(epoch).await?;
                continue;
            }
            if !self.has_said_end && self.has_ended() {
                self.flush().await?;
                for output in self.outputs() {
                    output.broadcast(|| Message::End).await?;
                }
                self.has_said_end = true;
                self.report(Report::Ended).await?;
            }
            // Whatever was asked comes before the next rows; a source waits while a barrier is on its way.
            let is_full = self.parts.budget.is_full();
            let reads = self.epoch.is_none() && !is_full;
            if !is_full {
                waiting_for_room = None;
            } else if waiting_for_room.is_none() && self.parts.reads {
                waiting_for_room = Some(self.parts.metrics.waits.begin(BUDGET_FULL.to_owned()));
            }
            if reads && let Some(turn) = self.carried.take() {
                match self.parts.commands.try_recv() {
                    Ok(command) => {
                        self.carried = Some(turn);
                        if !self.obey(command).await? {
                            return Ok(());
                        }
                    }
                    Err(mpsc::error::TryRecvError::Disconnected) => return Ok(()),
                    Err(mpsc::error::TryRecvError::Empty) => self.take_turns(turn).await?,
                }
                continue;
            }
            let (flush_at, budget) = (self.flush_at, self.parts.budget.clone());
            let flush_time = async {
                match flush_at {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                command = self.parts.commands.recv() => match command {
                    Some(command) => if !self.obey(command).await? { return Ok(()) },
                    None => return Ok(()),
                },
                Some(turn) = self.readers.next(), if reads => self.take_turns(turn).await?,
                () = budget.room(), if is_full => {}
                received = self.parts.inputs.next() => self.take_received(received?).await?,
                Some(place) = self.failures.next() => {
                    if let Work::Sink(sink) = &mut self.parts.nodes[place].work {
                        sink.writer.flush().await?;
                    }
                    return Err(Error::unavailable("the sink's writer has ended"));
                }
                () = flush_time => self.flush().await?,
            }
        }
    }

    /// Does what the coordinator says; false at the end.
    async fn obey(&mut self, command: Command) -> Result<bool> {
        match command {
            Command::Read { node, split, reader } => {
                self.positions.insert((node, split.id.clone()), (split.clone(), reader.position()));
                self.read_next(node, split, reader);
            }
            Command::NoMoreSplits => self.parts.reads = false,
            Command::Barrier(epoch) => self.epoch = Some(epoch),
            Command::Decided(_) => self.send_deferred().await?,
            Command::End => return Ok(false),
        }
        Ok(true)
    }

    async fn report(&mut self, report: Report) -> Result<()> {
        self.parts.reports.send(report).await.map_err(|_| Error::unavailable("the job's coordinator has ended"))
    }

    /// The edges to other tasks, of all nodes.
    fn outputs(&self) -> Vec<Output> {
        self.parts.nodes.iter().flat_map(|node| node.outputs.iter().cloned()).collect()
    }

    /// Whether no more rows will come.
    fn has_ended(&self) -> bool {
        !self.parts.reads && self.readers.is_empty() && self.carried.is_none() && self.parts.inputs.have_ended()
    }

    /// Puts a reader's next turn among the futures; the turn ends when its rows may pass the gate of read-behind.
    fn read_next(&self, node: usize, split: Split, mut reader: Box<dyn SplitReader>) {
        let gate = self.parts.read_behind.clone();
        let waits = self.parts.metrics.waits.clone();
        self.readers.push(Box::pin(async move {
            let read = reader.next().await;
            if let Ok(Some(batch)) = &read {
                gate.wait(&split, batch.position, &waits).await;
            }
            ReaderTurn { node, split, reader, read }
        }));
    }

    /// Takes what a reader has read, and what more of them have ready, and passes it on.
    async fn take_turns(&mut self, turn: ReaderTurn) -> Result<()> {
        let mut ready: BTreeMap<usize, ReadRows> = BTreeMap::new();
        let (mut rows, mut bytes) = (0, 0);
        let mut failure = None;
        let mut next = Some(turn);
        while let Some(turn) = next.take() {
            let ReaderTurn { node, split, reader, read } = turn;
            match read {
                Ok(Some(batch)) => {
                    fault::rows_of(&self.parts.job);
                    rows += batch.changes.len();
                    bytes += batch.bytes;
                    if let Some(progress) = self.parts.metrics.splits.lock().get_mut(&split.id) {
                        progress.read = batch.position;
                    }
                    let (batches, positions) = ready.entry(node).or_default();
                    batches.push(ReadBatch { split: split.clone(), changes: batch.changes, offsets: batch.offsets });
                    positions.push((split.clone(), batch.position));
                    self.read_next(node, split, reader);
                }
                Ok(None) => {} // a bounded split has ended
                Err(error) => {
                    // What was read before is passed on first, so that less is repeated.
                    failure = Some(error.context(format!("source {}", split.id)));
                    break;
                }
            }
            let has_room = rows < EVALUATED_ROWS_MAX && bytes < EVALUATED_BYTES_MAX;
            next = if has_room { self.readers.next().now_or_never().flatten() } else { None };
        }
        for (place, (batches, positions)) in ready {
            let node = &self.parts.nodes[place];
            let changes = match batches.as_slice() {
                [one] => one.changes.clone(),
                several => {
                    let several: Vec<_> = several.iter().map(|part| part.changes.clone()).collect();
                    ChangeBatch::concat(&several[0].rows().schema(), &several)?
                }
            };
            node.metrics.rows_out.fetch_add(changes.len() as u64, Ordering::Relaxed);
            let source = node.id.clone();
            if let Err(error) = self.pass_on(place, vec![changes]).await {
                return Err(self.with_record(place, &batches, error).await);
            }
            for (split, position) in &positions {
                self.positions.insert((place, split.id.clone()), (split.clone(), *position));
            }
            self.unnoted.push((source, positions));
        }
        self.parts.activity.fetch_add(1, Ordering::Relaxed);
        if let Some(failure) = failure {
            return Err(failure);
        }
        if self.holds_back && self.carried.is_none() {
            self.carried = self.readers.next().now_or_never().flatten();
        }
        self.settle().await
    }

    /// Takes rows from other tasks, and what more of them have sent.
    async fn take_received(&mut self, received: Received) -> Result<()> {
        let mut next = Some(received);
        let mut taken = 0;
        while let Some(received) = next.take() {
            if let Received::Rows(place, batch) = received {
                self.parts.activity.fetch_add(1, Ordering::Relaxed);
                self.enter(vec![(place, batch)]).await?;
            }
            taken += 1;
            let waits = self.epoch.is_some_and(|epoch| self.parts.inputs.are_aligned(epoch));
            if taken < TAKEN_IN_A_ROW_MAX && !waits {
                next = self.parts.inputs.next().now_or_never().transpose()?;
            }
        }
        if taken < TAKEN_IN_A_ROW_MAX || self.wants_results() { self.settle().await } else { Ok(()) }
    }

    /// Whether results are not to be held back though more input is ready.
    fn wants_results(&self) -> bool {
        self.holds_back && self.parts.feeds_state && self.parts.budget.wants_results()
    }

    /// After rows were passed on: gives out what is held back when no more input is ready, else notes until when it may wait.
    async fn settle(&mut self) -> Result<()> {
        if self.holds_back && self.carried.is_some() && !self.wants_results() {
            if self.flush_at.is_none() {
                self.flush_at = self.parts.hold_back_max.map(|most| tokio::time::Instant::now() + most);
            }
            if self.flush_at.is_none_or(|at| tokio::time::Instant::now() < at) {
                return Ok(());
            }
        }
        self.flush().await
    }

    /// Gives out everything that is held back; then all rows that were read are with the writers or with other tasks.
    async fn flush(&mut self) -> Result<()> {
        self.flush_at = None;
        if self.holds_back {
            for place in 0..self.parts.nodes.len() {
                while let Some(part) = self.flush_part(place)? {
                    self.pass_on(place, vec![part]).await?;
                }
            }
        }
        let positions = std::mem::take(&mut self.unnoted);
        if let Some(ledger) = &self.parts.ledger
            && !positions.is_empty()
        {
            let tickets = self.parts.nodes.iter().filter_map(|node| match &node.work {
                Work::Sink(sink) => Some(sink.ticket),
                _ => None,
            });
            ledger.note(tickets.collect(), positions);
        }
        Ok(())
    }

    /// The next part of what a node holds back.
    fn flush_part(&mut self, place: usize) -> Result<Option<ChangeBatch>> {
        let node = &mut self.parts.nodes[place];
        let Work::Operator(operator) = &mut node.work else { return Ok(None) };
        let begun = Instant::now();
        let part = operator.flush().map_err(|error| error.context(&node.id))?;
        node.metrics.add_busy(begun.elapsed());
        let rows = part.as_ref().map_or(0, ChangeBatch::len);
        node.metrics.rows_out.fetch_add(rows as u64, Ordering::Relaxed);
        Ok(part)
    }

    /// Gives a node's rows to those that take them.
    async fn pass_on(&mut self, place: usize, batches: Vec<ChangeBatch>) -> Result<()> {
        self.send(place, &batches).await?;
        let mut entries = Vec::new();
        for local in &self.parts.nodes[place].locals {
            entries.extend(batches.iter().map(|batch| (*local, batch.clone())));
        }
        self.enter(entries).await
    }

    /// Sends a node's rows to other tasks.
    async fn send(&mut self, place: usize, batches: &[ChangeBatch]) -> Result<()> {
        let node = &self.parts.nodes[place];
        let (outputs, metrics) = (Arc::clone(&node.outputs), Arc::clone(&node.metrics));
        for output in outputs.iter() {
            let begun = Instant::now();
            for batch in batches {
                output.send(batch).await?;
            }
            metrics.add_backpressured(begun.elapsed());
        }
        Ok(())
    }

    /// Passes rows into nodes, and what comes of them on, until all of it is with operators that hold it back, writers, or other tasks.
    /// What comes of a batch goes all the way before the next one is evaluated, so that no more is in memory than need be.
    async fn enter(&mut self, entries: Vec<(usize, ChangeBatch)>) -> Result<()> {
        for (place, batch) in &entries {
            self.count_in(*place, batch);
        }
        let mut queue = VecDeque::from(entries);
        while let Some((place, batch)) = queue.pop_front() {
            if batch.is_empty() {
                continue;
            }
            let given = match &self.parts.nodes[place].work {
                Work::Source => batch,
                Work::Operator(_) => match self.apply(place, batch).await? {
                    Applied::Gives(given) if given.is_empty() => continue,
                    Applied::Gives(given) => given,
                    Applied::Halved(first, second) => {
                        queue.push_front((place, second));
                        queue.push_front((place, first));
                        continue;
                    }
                    Applied::LeftOut => continue,
                },
                Work::Sink(_) => {
                    self.write(place, batch).await?;
                    continue;
                }
            };
            self.send(place, std::slice::from_ref(&given)).await?;
            let locals = &self.parts.nodes[place].locals;
            for local in locals.iter().rev() {
                self.count_in(*local, &given);
                queue.push_front((*local, given.clone()));
            }
        }
        Ok(())
    }

    fn count_in(&self, place: usize, batch: &ChangeBatch) {
        self.parts.nodes[place].metrics.rows_in.fetch_add(batch.len() as u64, Ordering::Relaxed);
    }

    /// Lets an operator work on rows.
    async fn apply(&mut self, place: usize, batch: ChangeBatch) -> Result<Applied> {
        let node = &mut self.parts.nodes[place];
        let Work::Operator(operator) = &mut node.work else { return Ok(Applied::Gives(batch)) };
        let begun = Instant::now();
        let output = operator.process(batch.clone()).await;
        node.metrics.add_busy(begun.elapsed());
        let error = match output {
            Ok(output) => {
                node.metrics.rows_out.fetch_add(output.len() as u64, Ordering::Relaxed);
                return Ok(Applied::Gives(output));
            }
            Err(error) => error,
        };
        match after_error(&error, batch.len()) {
            AfterError::Fail => Err(error),
            AfterError::Halve => {
                let half = batch.len() / 2;
                Ok(Applied::Halved(batch.slice(0, half), batch.slice(half, batch.len() - half)))
            }
            AfterError::BlameTheRow => {
                self.parts.bad_rows.take(named(error, &batch))?;
                Ok(Applied::LeftOut)
            }
        }
    }

    async fn write(&mut self, place: usize, batch: ChangeBatch) -> Result<()> {
        let node = &mut self.parts.nodes[place];
        let Work::Sink(sink) = &mut node.work else { return Ok(()) };
        let batch = sink.constraints.admit(sink.named(&batch)?, &self.parts.bad_rows)?;
        if batch.is_empty() {
            return Ok(());
        }
        let begun = Instant::now();
        match &mut sink.deferred {
            Some(deferred) => deferred.add(batch)?,
            None => sink.write(batch, &node.metrics).await?,
        }
        node.metrics.add_backpressured(begun.elapsed());
        Ok(())
    }

    /// Sends the writes that waited for a checkpoint which is decided now.
    async fn send_deferred(&mut self) -> Result<()> {
        for node in &mut self.parts.nodes {
            if let Work::Sink(sink) = &mut node.work
                && let Some(deferred) = &mut sink.deferred
                && let Some(batch) = deferred.take_decided()
            {
                sink.write(batch, &node.metrics).await?;
            }
        }
        Ok(())
    }

    /// Ends the epoch in this task.
    async fn barrier(&mut self, epoch: u64) -> Result<()> {
        fault::point("K0");
        let begun = Instant::now();
        self.flush().await?;
        let mut deltas = Vec::new();
        let mut tickets = Vec::new();
        for node in &mut self.parts.nodes {
            match &mut node.work {
                Work::Source => {}
                Work::Operator(operator) => {
                    let changed = operator.snapshot().map_err(|error| error.context(&node.id))?;
                    deltas.extend(changed.into_iter().map(|delta| OperatorDelta { operator: node.id.clone(), delta }));
                }
                Work::Sink(sink) => {
                    if let Some(deferred) = &mut sink.deferred
                        && let Some(delta) = deferred.seal()?
                    {
                        deltas.push(OperatorDelta { operator: node.id.clone(), delta });
                    }
                }
            }
        }
        let stall = begun.elapsed();
        for node in &mut self.parts.nodes {
            if let Work::Sink(sink) = &mut node.work {
                let (waits, table) = (&node.metrics.connector.waits, short_table_name(&sink.table));
                waits.during(|| format!("table \"{table}\" to end its epoch"), sink.writer.barrier(epoch)).await?;
                tickets.push(SinkTicket {
                    table: sink.table.clone(),
                    acknowledged: sink.writer.acknowledged(),
                    ticket: sink.ticket,
                    waits: waits.clone(),
                    failure: sink.writer.failure_teller(),
                    in_transaction: sink.in_transaction,
                });
            }
        }
        if !self.has_said_end {
            for output in self.outputs() {
                output.broadcast(|| Message::Barrier(epoch)).await?;
            }
        }
        let mut positions: BTreeMap<usize, Vec<(Split, Position)>> = BTreeMap::new();
        for ((place, _), position) in &self.positions {
            positions.entry(*place).or_default().push(position.clone());
        }
        let positions =
            positions.into_iter().map(|(place, positions)| (self.parts.nodes[place].id.clone(), positions)).collect();
        self.parts.inputs.resume();
        self.epoch = None;
        self.show_state_sizes();
        self.report(Report::Barrier(BarrierReport { epoch, positions, deltas, tickets, stall })).await
    }

    /// Brings the nodes' counters of state up to date.
    fn show_state_sizes(&mut self) {
        for (node, shown) in self.parts.nodes.iter().zip(&mut self.state_sizes) {
            if let Work::Operator(operator) = &node.work {
                let size = operator.state_size();
                node.metrics.change_state(*shown, size);
                *shown = size;
            }
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        for (node, shown) in self.parts.nodes.iter().zip(&self.state_sizes) {
            node.metrics.change_state(*shown, StateSize::default());
        }
    }
}

/// Waits until a writer has failed for good.
fn failed(place: usize, mut acknowledged: watch::Receiver<u64>) -> BoxFuture<'static, usize> {
    Box::pin(async move {
        while acknowledged.changed().await.is_ok() {}
        place
    })
}

/// Decides by the error and the rows of the batch: the row at fault is found by halving, so that it can be named whatever becomes of
/// it, and a batch that wants more memory than it may have is tried with fewer rows.
fn after_error(error: &Error, rows: usize) -> AfterError {
    match error.kind() {
        ErrorKind::Row if rows > 1 => AfterError::Halve,
        ErrorKind::Row => AfterError::BlameTheRow,
        _ => AfterError::Fail,
    }
}

/// An error of the one row of a batch, with the row.
fn named(error: Error, row: &ChangeBatch) -> Error {
    match error.detail_text() {
        None => error.detail(format!("The row is {}.", row_text(row.rows(), 0))),
        Some(_) => error,
    }
}

#[cfg(test)]
mod tests;
