//! Jobs: started, kept running, stopped. `facts` says what is known of one, `lifecycle` and `deaths` decide, `supervisor` acts,
//! `observe` looks, `restart` backs off. Plans are handed in by sql as stored dataflows; what is wanted of a job is read from the catalog.

mod attempt;
mod death_signs;
pub(crate) mod deaths;
mod facts;
mod facts_cell;
mod forget;
mod job;
mod lag;
pub(crate) mod lifecycle;
mod observe;
pub(crate) mod restart;
mod sampler;
mod starts;
pub(crate) mod status;
mod supervisor;
mod waits_shown;

pub(crate) use facts::JobState;
pub(crate) use facts_cell::StateChange;
pub(crate) use observe::RestingPlace;
pub(crate) use status::{JobStatus, NodeStatus, SplitStatus};
pub use supervisor::Jobs;

#[cfg(test)]
mod tests;
