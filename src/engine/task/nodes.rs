//! The nodes of a task, and how rows pass through them: on to nodes of the same task, to other tasks, or to writers. Never waits for
//! rows or time. A batch that an operator cannot evaluate is halved until the row at fault is found.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::row_time::RowTime;
use super::sinks::TaskSink;
use crate::changelog::ChangeBatch;
use crate::connectors::BadRows;
use crate::connectors::bad_rows::row_text;
use crate::engine::exchange::{Entry, Output};
use crate::engine::metrics::NodeMetrics;
use crate::engine::operators::{Emitted, Operator};
use crate::engine::watermark::{EventTime, Watermark};
use crate::error::{Error, ErrorKind, Result};

/// A node as a task runs it.
pub(crate) struct TaskNode {
    /// Stable id.
    pub id: String,
    /// Counters, shared by the node's tasks.
    pub metrics: Arc<NodeMetrics>,
    /// What it does.
    pub work: Work,
    /// Where its rows go: first its main output, then its side outputs. A sink has none.
    pub outputs: Vec<TaskOutput>,
    /// How far the event time of what it takes is.
    pub event_time: EventTime,
    /// What it is to be told when the results that it holds back are out.
    pub held_watermark: Option<Watermark>,
}

/// What takes the rows of one output of a node.
#[derive(Clone, Default)]
pub(crate) struct TaskOutput {
    /// Nodes in this task.
    pub locals: Vec<Entry>,
    /// Nodes in other tasks.
    pub exchanges: Arc<[Output]>,
}

/// What a node does in a task.
pub(crate) enum Work {
    /// Rows come from readers; by the rows of a split it tells how far event time is there, if the table declares that.
    Source(Option<RowTime>),
    /// Rows pass.
    Operator(Box<dyn Operator>),
    /// Rows leave.
    Sink(Box<TaskSink>),
}

/// The nodes of a task.
pub(crate) struct Nodes {
    /// Each after those whose rows it takes.
    pub all: Vec<TaskNode>,
    /// The task's number in its stage.
    pub task: usize,
    /// What becomes of rows that cannot be evaluated.
    pub bad_rows: Arc<BadRows>,
}

/// What came of a batch in an operator.
enum Applied {
    /// These rows.
    Gives(Emitted),
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

impl Nodes {
    /// The edges to other tasks, of all nodes.
    pub fn exchanges(&self) -> Vec<Output> {
        let outputs = self.all.iter().flat_map(|node| &node.outputs);
        outputs.flat_map(|output| output.exchanges.iter().cloned()).collect()
    }

    /// The next part of what a node holds back.
    pub fn flush_part(&mut self, place: usize) -> Result<Option<ChangeBatch>> {
        let node = &mut self.all[place];
        let Work::Operator(operator) = &mut node.work else { return Ok(None) };
        let begun = Instant::now();
        let part = operator.flush().map_err(|error| error.context(&node.id))?;
        node.metrics.add_busy(begun.elapsed());
        let rows = part.as_ref().map_or(0, ChangeBatch::len);
        node.metrics.rows_out.fetch_add(rows as u64, Ordering::Relaxed);
        Ok(part)
    }

    /// Gives what a node has emitted to those that take it.
    pub async fn pass_on(&mut self, place: usize, emitted: Emitted) -> Result<()> {
        let entries = self.send(place, emitted).await?;
        self.enter(entries).await
    }

    /// Sends what a node has emitted to other tasks, and gives where it enters in this one.
    async fn send(&mut self, place: usize, emitted: Emitted) -> Result<Vec<(Entry, ChangeBatch)>> {
        let mut entries = Vec::new();
        let side = emitted.side.into_iter().map(|(side, rows)| (side + 1, rows));
        for (output, rows) in std::iter::once((0, emitted.rows)).chain(side) {
            if rows.is_empty() {
                continue;
            }
            let node = &self.all[place];
            let Some(output) = node.outputs.get(output) else {
                return Err(Error::internal(format!("{} emits rows of an output that it has not", node.id)));
            };
            entries.extend(output.locals.iter().map(|entry| (*entry, rows.clone())));
            let (exchanges, metrics) = (Arc::clone(&output.exchanges), Arc::clone(&node.metrics));
            for exchange in exchanges.iter() {
                let begun = Instant::now();
                exchange.send(&rows).await?;
                metrics.add_backpressured(begun.elapsed());
            }
        }
        Ok(entries)
    }

    /// Passes rows into nodes, and what comes of them on, until all of it is with operators that hold it back, writers, or other tasks.
    /// What comes of a batch goes all the way before the next one is evaluated, so that no more is in memory than need be.
    pub async fn enter(&mut self, entries: Vec<(Entry, ChangeBatch)>) -> Result<()> {
        for (entry, batch) in &entries {
            self.count_in(*entry, batch);
        }
        let mut queue = VecDeque::from(entries);
        while let Some((entry, batch)) = queue.pop_front() {
            if batch.is_empty() {
                continue;
            }
            let mut emitted: Emitted = match &self.all[entry.place].work {
                Work::Source(_) => batch.into(),
                Work::Operator(_) => match self.apply(entry, batch).await? {
                    Applied::Gives(emitted) => emitted,
                    Applied::Halved(first, second) => {
                        queue.push_front((entry, second));
                        queue.push_front((entry, first));
                        continue;
                    }
                    Applied::LeftOut => continue,
                },
                Work::Sink(_) => {
                    self.write(entry.place, &batch).await?;
                    continue;
                }
            };
            if let Some(rest) = emitted.rest.take() {
                queue.push_front((entry, rest));
            }
            for (entry, rows) in self.send(entry.place, emitted).await?.into_iter().rev() {
                self.count_in(entry, &rows);
                queue.push_front((entry, rows));
            }
        }
        Ok(())
    }

    fn count_in(&self, entry: Entry, batch: &ChangeBatch) {
        self.all[entry.place].metrics.rows_in.fetch_add(batch.len() as u64, Ordering::Relaxed);
    }

    /// Lets an operator work on rows.
    async fn apply(&mut self, entry: Entry, batch: ChangeBatch) -> Result<Applied> {
        let node = &mut self.all[entry.place];
        let Work::Operator(operator) = &mut node.work else { return Ok(Applied::Gives(batch.into())) };
        let begun = Instant::now();
        let emitted = operator.process(entry.input, batch.clone()).await;
        node.metrics.add_busy(begun.elapsed());
        let error = match emitted {
            Ok(emitted) => {
                node.metrics.rows_out.fetch_add(emitted.rows.len() as u64, Ordering::Relaxed);
                return Ok(Applied::Gives(emitted));
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
                self.bad_rows.take(named(error, &batch))?;
                Ok(Applied::LeftOut)
            }
        }
    }

    async fn write(&mut self, place: usize, batch: &ChangeBatch) -> Result<()> {
        let node = &mut self.all[place];
        let Work::Sink(sink) = &mut node.work else { return Ok(()) };
        sink.take(batch, &self.bad_rows, &node.metrics).await
    }

    /// Sends the writes that waited for a checkpoint which is decided now.
    pub async fn send_deferred(&mut self) -> Result<()> {
        for node in &mut self.all {
            if let Work::Sink(sink) = &mut node.work {
                sink.send_deferred(&node.metrics).await?;
            }
        }
        Ok(())
    }
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
