//! The streaming engine: dataflows, their operators, the task loop, checkpoints.
//! Knows connectors and formats; knows neither the catalog nor SQL text.

mod ack_tracker;
pub mod aggregate;
mod build;
pub mod checkpoint;
pub mod dataflow;
mod deferred;
mod exchange;
mod explain;
pub mod expression;
pub(crate) mod job;
pub mod key_group;
pub(crate) mod layout;
pub(crate) mod lookup;
pub mod metrics;
mod muted;
pub mod operators;
pub(crate) mod plan;
pub mod planner;
pub mod progress;
mod resume;
pub(crate) mod run;
pub mod state;
pub(crate) mod task;
mod watermark;

#[cfg(test)]
mod oracle;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
