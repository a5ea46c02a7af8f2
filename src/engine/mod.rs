//! The streaming engine: dataflows, their operators, the task loop, checkpoints.
//! Knows connectors and formats; knows neither the catalog nor SQL text.

pub mod dataflow;
pub mod lookup_function;
pub mod planner;
