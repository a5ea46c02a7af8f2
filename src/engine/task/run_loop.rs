//! The loop of one task: takes rows from its splits and from other tasks, passes them through its nodes, answers barriers.
//! It owns waiting and time; operators are passive. At a barrier everything held back is given out, state is copied, writers
//! are told, and the task runs on: what makes the epoch durable happens elsewhere (`checkpoint::coordinator`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use tokio::sync::mpsc;

use super::messages::{BarrierReport, Command, EndedSplits, Report};
use super::nodes::{Nodes, Work};
use super::readers::{ReadBatch, ReaderTurn, Readers, Taken};
use super::sinks::failed;
use crate::changelog::ChangeBatch;
use crate::clock::Clock;
use crate::connectors::{Position, Split};
use crate::engine::ack_tracker::{AckTracker, SourcePositions};
use crate::engine::checkpoint::OperatorDelta;
use crate::engine::exchange::{Inputs, Message, Received};
use crate::engine::metrics::JobMetrics;
use crate::engine::progress::ReadBehind;
use crate::engine::state::{MemoryBudget, StateSize};
use crate::engine::watermark::{Upstream, Watermark};
use crate::error::{Error, Result};
use crate::fault;
use crate::waits::Waiting;

/// What the sources of a job wait for when so much has changed that nothing more may be read before it is in a checkpoint.
const BUDGET_FULL: &str = "a checkpoint of what has changed, which takes half of state.memory.budget";

/// Batches from other tasks that are taken before the task looks at its commands again.
const TAKEN_IN_A_ROW_MAX: usize = 16;

/// What a task is made of.
pub(crate) struct TaskParts {
    /// Name of the job.
    pub job: String,
    /// Its nodes.
    pub nodes: Nodes,
    /// Channels from other tasks.
    pub inputs: Inputs,
    /// Whether the coordinator gives it splits, or may give it more.
    pub reads: bool,
    /// How long results may be held back while input keeps coming.
    pub hold_back_max: Option<Duration>,
    /// Whether what operators hold back becomes state of others in the job.
    pub feeds_state: bool,
    /// Holds records back behind the writers of what the job looks up.
    pub read_behind: ReadBehind,
    /// Nothing is read while too much of the job's state waits for the next checkpoint.
    pub budget: MemoryBudget,
    /// Shows acknowledged positions, if the job is one task.
    pub ack_tracker: Option<Arc<AckTracker>>,
    /// The job's counters.
    pub metrics: Arc<JobMetrics>,
    /// Grows whenever something was read, so that an idle job writes no checkpoints.
    pub activity: Arc<AtomicU64>,
    /// Says which splits were read to their end.
    pub ended: Arc<EndedSplits>,
    /// From the coordinator.
    pub commands: mpsc::Receiver<Command>,
    /// To the coordinator.
    pub reports: mpsc::Sender<Report>,
    /// The time, for timers of operators.
    pub clock: Arc<dyn Clock>,
}

struct Task {
    parts: TaskParts,
    readers: Readers,
    /// By place of the source and split id: what was passed on.
    positions: BTreeMap<(usize, String), (Split, Position)>,
    /// Read to their end and passed on since the last barrier: place of the source, and split.
    ended: Vec<(usize, Split)>,
    /// Read to their end, and still part of event time: place of the source, and the split's id. Their children, which may hold rows of
    /// earlier times, are among the splits that are given out next.
    leaving: Vec<(usize, String)>,
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
pub(crate) async fn run(mut parts: TaskParts) -> Result<()> {
    expect_upstreams(&mut parts);
    let holds_back = parts.nodes.all.iter().any(|node| match &node.work {
        Work::Operator(operator) => operator.holds_back(),
        _ => false,
    });
    let state_sizes = vec![StateSize::default(); parts.nodes.all.len()];
    let failures = parts
        .nodes
        .all
        .iter()
        .enumerate()
        .filter_map(|(place, node)| match &node.work {
            Work::Sink(sink) => Some(failed(place, sink.writer.acknowledged())),
            _ => None,
        })
        .collect();
    let mut task = Task {
        readers: Readers::new(&parts.job, &parts.read_behind, &parts.metrics),
        parts,
        positions: BTreeMap::new(),
        ended: Vec::new(),
        leaving: Vec::new(),
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

/// Event time waits for everything that a node takes rows from; of a source, until its splits are given out.
fn expect_upstreams(parts: &mut TaskParts) {
    for (channel, entry) in parts.inputs.entries().enumerate() {
        parts.nodes.all[entry.place].event_time.expect(Upstream::Channel(channel));
    }
    for place in 0..parts.nodes.all.len() {
        if matches!(parts.nodes.all[place].work, Work::Source(Some(_))) {
            parts.nodes.all[place].event_time.expect(Upstream::Unassigned);
        }
        let outputs = parts.nodes.all[place].outputs.clone();
        for (output, side) in outputs.into_iter().zip(std::iter::once(None).chain((0..).map(Some))) {
            for entry in output.locals {
                parts.nodes.all[entry.place].event_time.expect(Upstream::Local(place, side));
            }
        }
    }
}

impl Task {
    async fn run(&mut self) -> Result<()> {
        self.parts.nodes.send_deferred().await?;
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
                self.end_event_time().await?;
                self.flush().await?;
                for exchange in self.parts.nodes.exchanges() {
                    exchange.broadcast(|| Message::End).await?;
                }
                self.has_said_end = true;
                self.report(Report::Ended).await?;
            }
            // Before rows are taken that are there already: there may always be some.
            let due_in = self.timer_due_in();
            if due_in.is_some_and(|wait| wait.is_zero()) {
                self.parts.nodes.fire_timers(self.parts.clock.now_ms()).await?;
                self.settle().await?;
                continue;
            }
            // Whatever was asked comes before the next rows; a source waits while a barrier is on its way.
            let is_full = self.parts.budget.is_full();
            let reads = self.epoch.is_none() && !is_full;
            if !is_full {
                waiting_for_room = None;
            } else if waiting_for_room.is_none() && self.parts.reads {
                waiting_for_room = Some(self.parts.metrics.waits.begin(BUDGET_FULL.to_owned()));
            }
            if reads && let Some(turn) = self.readers.carried.take() {
                match self.parts.commands.try_recv() {
                    Ok(command) => {
                        self.readers.carried = Some(turn);
                        if !self.handle_command(command).await? {
                            return Ok(());
                        }
                    }
                    Err(mpsc::error::TryRecvError::Disconnected) => return Ok(()),
                    Err(mpsc::error::TryRecvError::Empty) => self.poll_readers(turn).await?,
                }
                continue;
            }
            let timer = async {
                match due_in {
                    Some(wait) => tokio::time::sleep(wait).await,
                    None => std::future::pending().await,
                }
            };
            let (flush_at, budget) = (self.flush_at, self.parts.budget.clone());
            let flush_time = async {
                match flush_at {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                command = self.parts.commands.recv() => match command {
                    Some(command) => if !self.handle_command(command).await? { return Ok(()) },
                    None => return Ok(()),
                },
                Some(turn) = self.readers.turns.next(), if reads => self.poll_readers(turn).await?,
                () = budget.room(), if is_full => {}
                received = self.parts.inputs.next() => self.take_received(received?).await?,
                Some(place) = self.failures.next() => {
                    if let Work::Sink(sink) = &mut self.parts.nodes.all[place].work {
                        sink.writer.flush().await?;
                    }
                    return Err(Error::unavailable("the sink's writer has ended"));
                }
                () = flush_time => self.flush().await?,
                () = timer => {}
            }
        }
    }

    /// How long it is until a timer of the machine's clock is due; absent: no operator has asked for one.
    fn timer_due_in(&self) -> Option<Duration> {
        let due = self.parts.nodes.next_timer()?;
        let wait_ms = due.saturating_sub(self.parts.clock.now_ms());
        Some(Duration::from_millis(u64::try_from(wait_ms).unwrap_or(0)))
    }

    /// Does what the coordinator says; false at the end.
    async fn handle_command(&mut self, command: Command) -> Result<bool> {
        match command {
            Command::Read { node, split, reader } => {
                self.positions.insert((node, split.id.clone()), (split.clone(), reader.position()));
                if self.has_row_time(node) {
                    self.parts.nodes.all[node].event_time.expect(Upstream::Split(split.id.clone()));
                }
                self.readers.read_next(node, split, reader);
            }
            Command::Assigned => {
                for (place, split) in std::mem::take(&mut self.leaving) {
                    self.parts.nodes.leave(place, &Upstream::Split(split)).await?;
                }
                for place in 0..self.parts.nodes.all.len() {
                    self.parts.nodes.leave(place, &Upstream::Unassigned).await?;
                }
                self.idle_without_splits().await?;
            }
            Command::NoMoreSplits => self.parts.reads = false,
            Command::Barrier(epoch) => self.epoch = Some(epoch),
            Command::Decided => self.parts.nodes.send_deferred().await?,
            Command::End => return Ok(false),
        }
        Ok(true)
    }

    async fn report(&mut self, report: Report) -> Result<()> {
        self.parts.reports.send(report).await.map_err(|_| Error::unavailable("the job's coordinator has ended"))
    }

    /// Whether no more rows will come.
    fn has_ended(&self) -> bool {
        !self.parts.reads && self.readers.have_ended() && self.parts.inputs.have_ended()
    }

    /// Takes what a reader has read, and what more of them have ready, and passes it on.
    async fn poll_readers(&mut self, turn: ReaderTurn) -> Result<()> {
        let Taken { ready, ended, failure } = self.readers.take(turn);
        for (place, (batches, positions)) in ready {
            let node = &self.parts.nodes.all[place];
            let changes = match batches.as_slice() {
                [one] => one.changes.clone(),
                several => {
                    let several: Vec<_> = several.iter().map(|part| part.changes.clone()).collect();
                    ChangeBatch::concat(&several[0].rows().schema(), &several)?
                }
            };
            node.metrics.rows_out.fetch_add(changes.len() as u64, Ordering::Relaxed);
            let source = node.id.clone();
            if let Err(error) = self.parts.nodes.pass_on(place, changes.into()).await {
                return Err(self.parts.nodes.with_record(place, &batches, error).await);
            }
            self.advance_event_time(place, &batches).await?;
            for (split, position) in &positions {
                self.positions.insert((place, split.id.clone()), (split.clone(), position.clone()));
            }
            self.unnoted.push((source, positions));
        }
        for (place, split, is_over) in ended {
            if !is_over {
                self.parts.nodes.leave(place, &Upstream::Split(split.id)).await?;
                continue;
            }
            self.positions.remove(&(place, split.id.clone()));
            self.parts.ended.note(&self.parts.nodes.all[place].id, &split.id);
            self.leaving.push((place, split.id.clone()));
            self.ended.push((place, split));
        }
        self.parts.activity.fetch_add(1, Ordering::Relaxed);
        if let Some(failure) = failure {
            return Err(failure);
        }
        if self.holds_back {
            self.readers.carry();
        }
        self.settle().await
    }

    fn has_row_time(&self, place: usize) -> bool {
        matches!(self.parts.nodes.all[place].work, Work::Source(Some(_)))
    }

    /// Tells how far event time is after rows of some splits of a source were passed on.
    async fn advance_event_time(&mut self, place: usize, read: &[ReadBatch]) -> Result<()> {
        for part in read {
            let Work::Source(Some(row_time)) = &self.parts.nodes.all[place].work else { return Ok(()) };
            if let Some(time) = row_time.of(&part.changes)? {
                let split = Upstream::Split(part.split.id.clone());
                self.parts.nodes.advance(place, split, Watermark::At(time)).await?;
            }
        }
        Ok(())
    }

    /// A source without splits in this task, as when there are fewer partitions than tasks, holds nobody's event time up.
    async fn idle_without_splits(&mut self) -> Result<()> {
        for place in 0..self.parts.nodes.all.len() {
            if self.has_row_time(place)
                && let Some(idle) = self.parts.nodes.all[place].event_time.rest()
            {
                self.parts.nodes.reach(place, idle).await?;
            }
        }
        Ok(())
    }

    /// All rows are there: nothing waits for event time any longer.
    async fn end_event_time(&mut self) -> Result<()> {
        for place in 0..self.parts.nodes.all.len() {
            if self.has_row_time(place) {
                self.parts.nodes.reach(place, Watermark::END).await?;
            }
        }
        Ok(())
    }

    /// Takes rows from other tasks, and what more of them have sent.
    async fn take_received(&mut self, received: Received) -> Result<()> {
        let mut next = Some(received);
        let mut taken = 0;
        while let Some(received) = next.take() {
            match received {
                Received::Rows(entry, batch) => {
                    self.parts.activity.fetch_add(1, Ordering::Relaxed);
                    self.parts.nodes.enter(vec![(entry, batch)]).await?;
                }
                Received::Watermark(entry, channel, watermark) => {
                    self.parts.nodes.advance(entry.place, Upstream::Channel(channel), watermark).await?;
                }
                Received::Ended(entry, channel) => {
                    self.parts.nodes.leave(entry.place, &Upstream::Channel(channel)).await?;
                }
                Received::Barrier => {}
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
        if self.holds_back && self.readers.carried.is_some() && !self.wants_results() {
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
            for place in 0..self.parts.nodes.all.len() {
                while let Some(part) = self.parts.nodes.flush_part(place)? {
                    self.parts.nodes.pass_on(place, part.into()).await?;
                }
                self.parts.nodes.tell_held(place).await?;
            }
        }
        let positions = std::mem::take(&mut self.unnoted);
        if let Some(ack_tracker) = &self.parts.ack_tracker
            && !positions.is_empty()
        {
            let sequences = self.parts.nodes.all.iter().filter_map(|node| match &node.work {
                Work::Sink(sink) => Some(sink.sequence),
                _ => None,
            });
            ack_tracker.note(sequences.collect(), positions)?;
        }
        Ok(())
    }

    /// Ends the epoch in this task.
    async fn barrier(&mut self, epoch: u64) -> Result<()> {
        fault::point("K0");
        let begun = Instant::now();
        self.flush().await?;
        let mut deltas = Vec::new();
        let mut sequences = Vec::new();
        for node in &mut self.parts.nodes.all {
            match &mut node.work {
                Work::Source(_) => {}
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
        for node in &mut self.parts.nodes.all {
            if let Work::Sink(sink) = &mut node.work {
                sequences.push(sink.barrier(epoch, &node.metrics).await?);
            }
        }
        if !self.has_said_end {
            for exchange in self.parts.nodes.exchanges() {
                exchange.broadcast(|| Message::Barrier(epoch)).await?;
            }
        }
        let mut positions: BTreeMap<usize, Vec<(Split, Position)>> = BTreeMap::new();
        for ((place, _), position) in &self.positions {
            positions.entry(*place).or_default().push(position.clone());
        }
        let positions = positions
            .into_iter()
            .map(|(place, positions)| (self.parts.nodes.all[place].id.clone(), positions))
            .collect();
        let ended = std::mem::take(&mut self.ended);
        let ended = ended.into_iter().map(|(place, split)| (self.parts.nodes.all[place].id.clone(), split)).collect();
        self.parts.inputs.resume();
        self.epoch = None;
        self.show_state_sizes();
        self.report(Report::Barrier(BarrierReport { epoch, positions, ended, deltas, sequences, stall })).await
    }

    /// Brings the nodes' counters of state up to date.
    fn show_state_sizes(&mut self) {
        for (node, shown) in self.parts.nodes.all.iter().zip(&mut self.state_sizes) {
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
        for (node, shown) in self.parts.nodes.all.iter().zip(&self.state_sizes) {
            node.metrics.change_state(*shown, StateSize::default());
        }
    }
}
