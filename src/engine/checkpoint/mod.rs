//! Checkpoints of a job, numbered by epoch: positions of its sources and the state of its operators at a barrier.
//! `protocol` decides what a restart goes on from, what is kept and what is compacted, `epochs` when an epoch begins and when a job has ended;
//! `splits` which splits are opened when; none of them does I/O. `coordinator` acts, `discovery` finds and opens splits (`sources`: what is known of
//! them), `durable` makes an epoch durable and decides it. `manifest` and `state_file`
//! are the forms of what is stored, `storage` is the place, `stored` what is found there, `store` writes and drops, `read` reads; `compaction` merges files, `savepoint` copies.
//!
//! ```text
//! write:    deltas → state_file ─┐                     read:  manifest → files, oldest first → parts of a table → rows
//!           positions ───────────┴→ manifest → storage        settle: drop old manifests → files nobody names → compaction
//! ```
//!
//! A state file counts only when a manifest names it, and a manifest is all or nothing. Neither is ever changed.

mod compaction;
mod contents;
pub(crate) mod coordinator;
mod discovery;
mod durable;
pub(crate) mod ending;
mod epochs;
mod log_watch;
pub mod manifest;
pub mod protocol;
mod read;
mod savepoint;
pub(crate) mod sources;
mod splits;
mod state_file;
mod storage;
pub mod store;
mod stored;
mod timers;

pub use manifest::{Enumerators, Logs, Manifest, Origin, Place, Positions};
pub use protocol::{Facts, Lost, Resume, resume_from};
pub use store::{CheckpointStore, OperatorDelta};
pub use stored::{Damaged, Stored};

#[cfg(test)]
mod tests;
