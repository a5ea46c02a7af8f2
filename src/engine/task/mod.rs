//! One task of a job: rows and barriers in, rows and barriers out.
//!
//! ```text
//! readers → run_loop → nodes (operators, sinks) → other tasks, writers
//! ```
//!
//! `run_loop` owns waiting and time; what it is told and what it reports are `messages`. `culprit` finds the record behind an error.

mod culprit;
mod messages;
mod nodes;
mod readers;
mod run_loop;
mod sinks;

pub(crate) use messages::{BarrierReport, Command, EndedSplits, Report, SinkTicket};
pub(crate) use nodes::{Nodes, TaskNode, Work};
pub(crate) use run_loop::{TaskParts, run};
pub(crate) use sinks::TaskSink;
