//! Checkpoints of a job: positions by source and split, numbered by epoch.
//! `protocol` decides where a job goes on, `store` reads and writes the files.

pub mod protocol;
pub mod store;

pub use protocol::Checkpoint;
pub use store::CheckpointStore;
