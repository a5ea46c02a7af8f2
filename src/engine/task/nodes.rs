//! The nodes of a task, and how rows pass through them: on to nodes of the same task, to other tasks, or to writers. Never waits for
//! rows or time. A batch that an operator cannot evaluate is halved until the row at fault is found.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::sinks::TaskSink;
use crate::changelog::ChangeBatch;
use crate::connectors::BadRows;
use crate::connectors::bad_rows::row_text;
use crate::engine::exchange::Output;
use crate::engine::metrics::NodeMetrics;
use crate::engine::operators::Operator;
use crate::error::{Error, ErrorKind, Result};

/// A node as a task runs it.
pub(crate) struct TaskNode {
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
pub(crate) enum Work {
    /// Rows come from readers.
    Source,
    /// Rows pass.
    Operator(Box<dyn Operator>),
    /// Rows leave.
    Sink(Box<TaskSink>),
}

/// The nodes of a task.
pub(crate) struct Nodes {
    /// Each after those whose rows it takes.
    pub all: Vec<TaskNode>,
    /// What becomes of rows that cannot be evaluated.
    pub bad_rows: Arc<BadRows>,
}

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

impl Nodes {
    /// The edges to other tasks, of all nodes.
    pub fn outputs(&self) -> Vec<Output> {
        self.all.iter().flat_map(|node| node.outputs.iter().cloned()).collect()
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

    /// Gives a node's rows to those that take them.
    pub async fn pass_on(&mut self, place: usize, batches: Vec<ChangeBatch>) -> Result<()> {
        self.send(place, &batches).await?;
        let mut entries = Vec::new();
        for local in &self.all[place].locals {
            entries.extend(batches.iter().map(|batch| (*local, batch.clone())));
        }
        self.enter(entries).await
    }

    /// Sends a node's rows to other tasks.
    async fn send(&mut self, place: usize, batches: &[ChangeBatch]) -> Result<()> {
        let node = &self.all[place];
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
    pub async fn enter(&mut self, entries: Vec<(usize, ChangeBatch)>) -> Result<()> {
        for (place, batch) in &entries {
            self.count_in(*place, batch);
        }
        let mut queue = VecDeque::from(entries);
        while let Some((place, batch)) = queue.pop_front() {
            if batch.is_empty() {
                continue;
            }
            let given = match &self.all[place].work {
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
                    self.write(place, &batch).await?;
                    continue;
                }
            };
            self.send(place, std::slice::from_ref(&given)).await?;
            let locals = &self.all[place].locals;
            for local in locals.iter().rev() {
                self.count_in(*local, &given);
                queue.push_front((*local, given.clone()));
            }
        }
        Ok(())
    }

    fn count_in(&self, place: usize, batch: &ChangeBatch) {
        self.all[place].metrics.rows_in.fetch_add(batch.len() as u64, Ordering::Relaxed);
    }

    /// Lets an operator work on rows.
    async fn apply(&mut self, place: usize, batch: ChangeBatch) -> Result<Applied> {
        let node = &mut self.all[place];
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
