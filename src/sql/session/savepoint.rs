//! A savepoint: how much of its transaction a session keeps when it goes back.

/// How far ROLLBACK TO goes back.
pub(in crate::sql) struct Savepoint {
    pub(super) name: String,
    pub(super) changes: usize,
    pub(super) inserts: usize,
    /// INSERTs of the statement set that was open.
    pub(super) set: Option<usize>,
    /// How many cursors the session had declared.
    pub(super) cursors: u64,
}
