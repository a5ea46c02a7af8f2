//! One task of a job: rows and barriers in, rows and barriers out.
//!
//! ```text
//! readers → run_loop → nodes (operators, sinks) → other tasks, writers;   event_time: watermarks and timers take the same way
//! ```
//!
//! `run_loop` owns waiting and time; what it is told and what it reports are `messages`. `culprit` finds the record behind an error.

mod culprit;
mod event_time;
mod messages;
mod nodes;
mod readers;
mod row_time;
mod run_loop;
mod sinks;
#[cfg(test)]
mod tests;

pub(crate) use messages::{BarrierReport, Command, EndedSplits, Report, SinkSequence};
pub(crate) use nodes::{Nodes, TaskNode, TaskOutput, Work};
pub(crate) use row_time::RowTime;
pub(crate) use run_loop::{TaskParts, run};
pub(crate) use sinks::TaskSink;
