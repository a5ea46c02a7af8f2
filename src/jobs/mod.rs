//! Jobs: started, kept running, stopped. `lifecycle` decides, `supervisor` acts, `restart` backs off.
//! Plans are handed in by sql as stored dataflows; what is wanted of a job is read from the catalog.

mod lag;
pub mod lifecycle;
pub mod restart;
pub mod status;
mod supervisor;

pub use status::{JobStatus, NodeStatus, SplitStatus};
pub use supervisor::Jobs;

#[cfg(test)]
mod tests;
