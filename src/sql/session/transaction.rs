//! The session's transaction: changes wait until COMMIT, savepoints mark how far a rollback goes.

use super::open_set::OpenSet;
use super::savepoint::Savepoint;
use super::{Session, TransactionStatus, local_rows};
use crate::catalog::{Change, DesiredState};
use crate::error::{Error, Result, SqlState};
use crate::sql::planning::job_plan::PlannedJob;
use crate::sql::session::settings::{DEFAULT_READ_ONLY, READ_ONLY};

impl Session {
    /// Begins a block. What the message did before it is committed first.
    ///
    /// # Errors
    /// That commit fails.
    pub async fn begin(&mut self) -> Result<()> {
        self.commit_pending().await?;
        self.block = TransactionStatus::Open;
        self.settings_before = Some(Box::new(self.settings.clone()));
        Ok(())
    }

    /// Ends the block; gives its INSERTs that do not end. What it changed waits for [`Self::commit`].
    pub fn end_block(&mut self) -> Vec<PlannedJob> {
        self.block = TransactionStatus::Idle;
        self.savepoints.clear();
        std::mem::take(&mut self.inserts)
    }

    /// Commits what the block changed, if its INSERTs could be submitted.
    ///
    /// # Errors
    /// They could not, the changes do not fit what others committed, or the disk refuses; then everything is rolled back.
    pub async fn commit(&mut self, submitted: Result<()>) -> Result<()> {
        self.settings.end_local();
        let result = match submitted {
            Ok(()) => self.commit_pending().await,
            Err(error) => {
                self.to_settle.clear();
                self.drop_pending(0);
                self.roll_back_rows();
                self.take_back_announcements();
                Err(error)
            }
        };
        match &result {
            Ok(()) => self.commit_cursors(),
            Err(_) => self.roll_back_cursors(),
        }
        if let (Err(_), Some(before)) = (&result, self.settings_before.take()) {
            self.settings.restore(&before);
        }
        self.settings_before = None;
        result
    }

    /// Rolls the block back.
    pub fn roll_back(&mut self) {
        self.block = TransactionStatus::Idle;
        self.roll_back_cursors();
        self.drop_set();
        self.savepoints.clear();
        self.inserts.clear();
        self.to_settle.clear();
        self.drop_pending(0);
        self.roll_back_rows();
        self.take_back_announcements();
        if let Some(before) = self.settings_before.take() {
            self.settings.restore(&before);
        }
    }

    pub(in crate::sql) fn drop_pending(&mut self, keep: usize) {
        let dropped: Vec<Change> = self.pending.drain(keep.min(self.pending.len())..).collect();
        self.server.catalog.discard(&dropped);
        self.overlay = None;
    }

    pub(super) async fn commit_pending(&mut self) -> Result<()> {
        let to_settle = std::mem::take(&mut self.to_settle);
        let (rows, temporary) = self.take_rows();
        if self.pending.is_empty() && rows.is_nothing() {
            self.rows_are_committed(temporary);
            self.announce();
            return Ok(());
        }
        let changes = std::mem::take(&mut self.pending);
        self.overlay = None;
        let concerns_jobs = changes.iter().any(Change::is_about_jobs);
        let catalog = self.server.catalog.clone();
        let committed = tokio::task::spawn_blocking(move || match local_rows::commit(&catalog, &changes, rows) {
            Ok(()) => Ok(changes),
            Err(error) => {
                catalog.discard(&changes);
                Err(error)
            }
        })
        .await
        .map_err(|error| Error::internal(format!("the commit ended without an answer: {error}")))?;
        let committed = committed.inspect_err(|_| self.take_back_announcements())?;
        for change in committed {
            tracing::info!("{change}");
        }
        self.rows_are_committed(temporary);
        self.announce();
        if concerns_jobs {
            self.server.jobs.reconcile(&to_settle);
            for name in to_settle {
                self.server.jobs.settled(&name).await?;
            }
        }
        Ok(())
    }

    /// Commits what the message did so far, for a statement that acts at once.
    ///
    /// # Errors
    /// The commit fails.
    pub async fn commit_message(&mut self) -> Result<()> {
        self.commit_pending().await
    }

    pub(super) fn require_block(&self, what: &str) -> Result<()> {
        if self.transaction_status() == TransactionStatus::Idle {
            return Err(Error::invalid(format!("{what} can only be used in transaction blocks"))
                .code(SqlState::NoActiveSqlTransaction));
        }
        Ok(())
    }

    /// Refuses what changes anything in a transaction that only reads.
    ///
    /// # Errors
    /// 25006: it does.
    pub(in crate::sql) fn refuse_read_only(&self, what: &str) -> Result<()> {
        let setting = if self.block == TransactionStatus::Idle { DEFAULT_READ_ONLY } else { READ_ONLY };
        if self.settings.get(setting)? == "off" {
            return Ok(());
        }
        Err(Error::invalid(format!("cannot execute {what} in a read-only transaction"))
            .code(SqlState::ReadOnlySqlTransaction))
    }

    /// SAVEPOINT
    ///
    /// # Errors
    /// Outside a block.
    pub fn savepoint(&mut self, name: &str) -> Result<()> {
        self.require_block("SAVEPOINT")?;
        self.savepoints.push(Savepoint {
            name: name.to_owned(),
            changes: self.pending.len(),
            inserts: self.inserts.len(),
            set: self.set.as_ref().map(OpenSet::len),
            rows: self.rows.changes(),
            announced: self.backend().announcements.mark(),
            cursors: self.cursors.declared(),
        });
        Ok(())
    }

    pub(super) fn savepoint_index(&self, name: &str) -> Result<usize> {
        self.savepoints.iter().rposition(|savepoint| savepoint.name == name).ok_or_else(|| {
            Error::not_found(format!("savepoint \"{name}\" does not exist"))
                .code(SqlState::InvalidSavepointSpecification)
        })
    }

    /// RELEASE SAVEPOINT
    ///
    /// # Errors
    /// There is no such savepoint.
    pub fn release(&mut self, name: &str) -> Result<()> {
        self.require_block("RELEASE SAVEPOINT")?;
        let index = self.savepoint_index(name)?;
        self.savepoints.truncate(index);
        Ok(())
    }

    /// ROLLBACK TO SAVEPOINT
    ///
    /// # Errors
    /// There is no such savepoint.
    pub fn roll_back_to(&mut self, name: &str) -> Result<()> {
        self.require_block("ROLLBACK TO SAVEPOINT")?;
        let index = self.savepoint_index(name)?;
        let Savepoint { changes, inserts, set, announced, cursors, .. } = self.savepoints[index];
        self.rows.restore(self.savepoints[index].rows.clone());
        self.backend().announcements.take_back_to(announced);
        self.roll_back_cursors_to(cursors);
        self.savepoints.truncate(index + 1);
        self.drop_pending(changes);
        self.inserts.truncate(inserts);
        match (set, &mut self.set) {
            (Some(len), Some(open)) => open.truncate(len),
            _ => self.set = None,
        }
        if self.block == TransactionStatus::Failed {
            self.block = TransactionStatus::Open;
        }
        Ok(())
    }

    /// Whether a job was submitted by this very transaction.
    pub fn is_pending_job(&self, name: &str) -> bool {
        self.pending.iter().any(|change| matches!(change, Change::CreateJob { entry } if entry.name == name))
    }

    /// Waits for a job after the commit.
    pub fn settle_after_commit(&mut self, name: String) {
        self.to_settle.push(name);
    }

    /// Stops a job that is to be dropped, so that nothing of it runs on.
    ///
    /// # Errors
    /// Inside a block, where it cannot be undone.
    pub async fn stop_before_drop(&mut self, name: &str) -> Result<()> {
        if self.block != TransactionStatus::Idle {
            return Err(Error::invalid(format!("job \"{name}\" runs; stop it before dropping it in a block"))
                .code(SqlState::ObjectInUse)
                .hint("STOP JOB, then DROP JOB."));
        }
        self.change(Change::SetJobState { name: name.to_owned(), desired: DesiredState::Stopped })?;
        self.settle_after_commit(name.to_owned());
        // A job that cannot settle is dropped all the same: reconcile ends what runs of it.
        match self.commit_pending().await {
            Err(error)
                if self
                    .server
                    .catalog
                    .snapshot()
                    .jobs
                    .get(name)
                    .is_some_and(|job| job.desired != DesiredState::Stopped) =>
            {
                Err(error)
            }
            _ => Ok(()),
        }
    }
}
