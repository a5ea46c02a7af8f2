//! The durable model of databases, schemas, tables, views, functions and jobs. Knows no SQL text beyond keeping it.
//!
//! Readers take an immutable [`Snapshot`]; writers hand in a list of [`Change`]s that are applied all or not at all.
//! Secrets of WITH are not in it: `secrets` keeps them apart, encrypted, by reference.

mod checked_file;
pub mod database;
pub mod directory;
pub mod function;
pub mod job;
pub mod secrets;
mod snapshot;
pub mod store;
pub mod table;

pub use directory::Marker;
pub use function::FunctionEntry;
pub use job::{DesiredState, JobEntry};
pub use snapshot::{Change, DEFAULT_DATABASE, DEFAULT_SCHEMA, Snapshot};
pub use store::Catalog;
pub use table::{TableEntry, ViewEntry};
