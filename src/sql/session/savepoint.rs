//! A savepoint: how much of its transaction a session keeps when it goes back.

use crate::connectors::local::Changes;
use crate::sql::activity::Mark;

/// How far ROLLBACK TO goes back.
pub(in crate::sql) struct Savepoint {
    pub(super) name: String,
    pub(super) changes: usize,
    pub(super) inserts: usize,
    /// INSERTs of the statement set that was open.
    pub(super) set: Option<usize>,
    /// What it had changed in local tables.
    pub(super) rows: Changes,
    /// What it had to tell others.
    pub(super) announced: Mark,
    /// How many cursors the session had declared.
    pub(super) cursors: u64,
}
