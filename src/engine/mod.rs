//! The streaming engine: dataflows, their operators, the task loop, checkpoints.
//! Knows connectors and formats; knows neither the catalog nor SQL text.

pub mod aggregate;
pub mod checkpoint;
pub mod dataflow;
mod deferred;
mod exchange;
mod explain;
pub mod expression;
pub mod key_group;
pub mod layout;
mod ledger;
pub mod lookup;
pub mod metrics;
pub mod operators;
pub mod planner;
pub mod progress;
pub mod run;
pub mod state;
pub mod task;

#[cfg(test)]
mod oracle;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
