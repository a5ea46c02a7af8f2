//! Where the catalog is kept, as whoever commits sees it.

use super::snapshot::{Change, Snapshot};
use crate::error::Result;

/// Keeps the catalog for good: local files (`file_store`), later a compacted topic that several gateways share. Knows no secrets, and
/// nothing of what the changes mean. Its methods block.
pub(crate) trait CatalogStore: Send {
    /// What was kept last; absent: nothing ever was.
    ///
    /// # Errors
    /// It cannot be read (`Corrupt`: nothing is overwritten), or the store does not answer (`Unavailable`).
    fn load(&mut self) -> Result<Option<Snapshot>>;

    /// Keeps `next`, which `changes` made of the snapshot that was kept last: durable when it returns, all or nothing if it never does.
    ///
    /// # Errors
    /// It is not kept, and the one before stands.
    fn keep(&mut self, next: &Snapshot, changes: &[Change]) -> Result<()>;
}
