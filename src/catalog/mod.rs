//! The durable model of databases, schemas, tables, views, functions and jobs. Knows no SQL text beyond keeping it.
//!
//! Readers take an immutable [`Snapshot`]; writers hand in a list of [`Change`]s that are applied all or not at all.
//! Secrets of WITH are not in it: `secrets` keeps them apart, encrypted, by reference.

mod access;
mod catalog_store;
mod checked_file;
mod comment;
pub(crate) mod database;
pub(crate) mod directory;
mod file_store;
pub(crate) mod function;
pub(crate) mod job;
pub(crate) mod object;
pub(crate) mod rights;
pub(crate) mod role;
pub(crate) mod secrets;
mod snapshot;
pub(crate) mod store;
pub(crate) mod table;

pub(crate) use comment::Commented;
pub(crate) use function::FunctionEntry;
pub(crate) use job::{DesiredState, JobEntry, Need};
pub(crate) use object::Object;
pub(crate) use snapshot::{Change, DEFAULT_DATABASE, DEFAULT_SCHEMA, Snapshot};
pub use store::Catalog;
pub(crate) use table::{TableEntry, ViewEntry};
