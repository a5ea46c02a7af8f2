//! Jobs: started, kept running, stopped. `lifecycle` and `deaths` decide, `supervisor` acts, `restart` backs off.
//! Plans are handed in by sql as stored dataflows; what is wanted of a job is read from the catalog.

mod attempt;
mod death_signs;
pub mod deaths;
mod forget;
mod lag;
pub mod lifecycle;
pub mod restart;
mod sampler;
mod starts;
mod state_cell;
pub mod status;
mod supervisor;
mod waits_shown;

pub use status::{JobStatus, NodeStatus, SplitStatus, WaitStatus};
pub use supervisor::{Jobs, RestingPlace};

#[cfg(test)]
mod tests;
