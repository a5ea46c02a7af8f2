//! Rows of local tables in the session's transaction: the right to change them, statements that do, and their commit.

use std::sync::Arc;

use super::Session;
use crate::catalog::{Catalog, Change};
use crate::connectors::local::{Changes, Committing, LocalTable, TableView};
use crate::error::{Error, Result, SqlState};

impl Session {
    /// Waits until no other transaction changes rows; this one may, from now until its end.
    ///
    /// # Errors
    /// 55P03: `lock_timeout` is over.
    pub async fn lock_rows(&mut self) -> Result<()> {
        if self.rows.is_writer() {
            return Ok(());
        }
        let store = Arc::clone(self.rows.store());
        let writer = match self.settings.timeout("lock_timeout") {
            Some(limit) => tokio::time::timeout(limit, store.writer()).await.map_err(|_| {
                Error::cancelled("canceling statement due to lock timeout")
                    .code(SqlState::LockNotAvailable)
                    .detail("Another transaction changes rows of local tables.")
            })?,
            None => store.writer().await,
        };
        self.rows.set_writer(writer);
        Ok(())
    }

    /// Changes a table, off the threads that answer clients. A change that fails, or that nobody waits for any more, ends the transaction.
    ///
    /// # Errors
    /// What the work gives; 53200: the transaction has changed too much.
    pub async fn change_rows<T: Send + 'static>(
        &mut self,
        table: &Arc<LocalTable>,
        work: impl FnOnce(&LocalTable, &mut TableView) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let changes = self.rows.take(&table.id);
        let (view, of_work) = (self.rows.view(), Arc::clone(table));
        let (changes, done) = tokio::task::spawn_blocking(move || {
            let mut rows = view.table(&of_work.id)?.with_changes(changes);
            let done = work(&of_work, &mut rows)?;
            Ok::<_, Error>((rows.into_changes(), done))
        })
        .await
        .map_err(|error| Error::internal(format!("a change of rows ended without an answer: {error}")))??;
        self.rows.put(table.id.clone(), changes);
        self.hold_rows()?;
        Ok(done)
    }

    /// Keeps account of the rows that are not on disk.
    fn hold_rows(&mut self) -> Result<()> {
        let (bytes, most) = (self.rows.bytes(), self.settings.query_memory_bytes());
        if bytes > most {
            return Err(Error::invalid(
                "out of memory: the rows that this session keeps in memory are more than \"query.memory.limit\"",
            )
            .code(SqlState::OutOfMemory)
            .hint("COMMIT changes of local tables in parts."));
        }
        self.rows_memory = None;
        self.rows_memory = Some(self.memory.reserve("a change of rows", bytes)?);
        Ok(())
    }

    /// Forgets what the transaction has changed.
    pub(super) fn roll_back_rows(&mut self) {
        self.rows.roll_back();
        self.let_go_of_rows();
    }

    /// Takes what the transaction has changed, to commit it.
    pub(super) fn take_rows(&mut self) -> (Committing, Changes) {
        self.rows.commit()
    }

    /// The transaction is committed; its changes of temporary tables are given back.
    pub(super) fn rows_are_committed(&mut self, temporary: Changes) {
        self.rows.apply(temporary);
        self.let_go_of_rows();
    }

    /// Gives memory back that the end of a transaction has freed.
    fn let_go_of_rows(&mut self) {
        self.rows_memory = None;
        let bytes = self.rows.bytes();
        if bytes > 0 {
            // Rows that were let in before stay, whatever others have taken since.
            self.rows_memory = self.memory.reserve("a change of rows", bytes).ok();
        }
    }
}

/// Commits changes of the catalog and rows. Rows of tables that are gone then are forgotten. Blocking.
///
/// # Errors
/// The changes do not fit, or the disk fails.
pub(super) fn commit(catalog: &Catalog, changes: &[Change], mut rows: Committing) -> Result<()> {
    if changes.is_empty() {
        return rows.write();
    }
    let before = catalog.snapshot();
    let after = catalog.commit_with(changes, |next| {
        let known = next.local_tables();
        rows.keep_only(|table| known.contains(table));
        rows.write()
    })?;
    let known = after.local_tables();
    let gone: Vec<&str> = before.local_tables().into_iter().filter(|table| !known.contains(table)).collect();
    // The commit is decided; rows that stay behind are swept at the next start.
    if let Err(error) = rows.forget(&gone) {
        tracing::warn!(%error, "rows of tables that were dropped are still stored");
    }
    Ok(())
}
