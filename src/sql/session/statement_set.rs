//! A statement set of a session. psql sends its parts one by one: they are collected until END, and an error in between drops
//! the set, so that none of its INSERTs runs alone.

use super::existing_jobs::Existing;
use super::{Outcome, Session, TransactionStatus};
use crate::error::{Error, Result};
use crate::sql::planning::planned::Planned;
use crate::sql::statements::statement_set::Purpose;
use crate::sql::statements::transaction::Transaction;
use crate::sql::statements::{Statement, done, explain};

/// A statement set whose END has not come.
pub(super) struct OpenSet {
    purpose: Purpose,
    members: Vec<Planned>,
    failed: bool,
}

impl OpenSet {
    /// INSERTs so far.
    pub(super) fn len(&self) -> usize {
        self.members.len()
    }

    /// Goes back to a savepoint.
    pub(super) fn truncate(&mut self, len: usize) {
        self.members.truncate(len);
        self.failed = false;
    }

    /// Nothing of it runs, unless the client goes back to a savepoint in it.
    pub(super) fn fail(&mut self) {
        self.failed = true;
    }

    pub(super) fn status(&self) -> TransactionStatus {
        if self.failed { TransactionStatus::Failed } else { TransactionStatus::Open }
    }

    pub(super) fn purpose(&self) -> Option<&Purpose> {
        (!self.failed).then_some(&self.purpose)
    }

    /// Between the parts of a set stand INSERTs only.
    pub(super) fn admit(&self, statement: &Statement) -> Result<()> {
        let ends = statement.ends_block();
        if self.failed && !ends {
            return Err(Error::invalid("the statement set failed, statements are ignored until its END").code("25P02"));
        }
        match statement {
            Statement::Insert(_) | Statement::Empty => Ok(()),
            Statement::Transaction(Transaction::Commit) if !self.failed => {
                Err(Error::invalid("a statement set is open").code("25001").hint("END submits it, ROLLBACK drops it."))
            }
            Statement::Transaction(Transaction::Savepoint(_) | Transaction::Release(_)) => Ok(()),
            _ if ends => Ok(()),
            _ => Err(Error::unsupported("only INSERT can stand in a statement set")
                .hint("END submits the set, ROLLBACK drops it.")),
        }
    }
}

impl Session {
    /// Begins to collect a set.
    ///
    /// # Errors
    /// There is one already.
    pub fn open_set(&mut self, purpose: Purpose) -> Result<()> {
        if self.set.is_some() {
            return Err(Error::unsupported("a statement set cannot stand in another one"));
        }
        self.set = Some(OpenSet { purpose, members: Vec::new(), failed: false });
        Ok(())
    }

    /// A set that could not even be opened is open and failed: its INSERTs, which come next, must not run alone.
    pub(super) fn open_failed_set(&mut self) {
        if self.set.is_none() {
            self.set = Some(OpenSet { purpose: Purpose::Run, members: Vec::new(), failed: true });
        }
    }

    /// Adds an INSERT to the open set, if there is one.
    pub(super) fn collect(&mut self, planned: impl FnOnce() -> Planned) -> Option<Outcome> {
        let set = self.set.as_mut()?;
        set.members.push(planned());
        Some(done("INSERT 0 0"))
    }

    /// Adds an INSERT that was planned.
    pub fn add_to_set(&mut self, planned: Planned) {
        self.collect(|| planned);
    }

    /// What the open set is for; `None` without one, or if it failed.
    pub fn set_purpose(&self) -> Option<&Purpose> {
        self.set.as_ref()?.purpose()
    }

    /// Whether a set is open.
    pub fn is_in_set(&self) -> bool {
        self.set.is_some()
    }

    /// Ends the open set; tells whether it had failed.
    ///
    /// # Errors
    /// Its INSERTs cannot be one job.
    pub async fn end_set(&mut self) -> Result<Outcome> {
        let Some(set) = self.drop_set() else { return Err(Error::internal("no statement set is open")) };
        if set.failed {
            return Ok(done("ROLLBACK"));
        }
        self.run_set(&set.purpose, set.members).await
    }

    /// Forgets the open set and the savepoints in it.
    pub(super) fn drop_set(&mut self) -> Option<OpenSet> {
        self.savepoints.retain(|savepoint| savepoint.set.is_none());
        self.set.take()
    }

    /// Runs a whole set: one job, or bounded INSERTs one after the other.
    ///
    /// # Errors
    /// Some are bounded and some are not, they cannot be one job, or one fails.
    pub async fn run_set(&mut self, purpose: &Purpose, members: Vec<Planned>) -> Result<Outcome> {
        let mut jobs = Vec::new();
        let mut bounded = Vec::new();
        for member in members {
            match member {
                Planned::Job(job) => jobs.push(*job),
                Planned::BoundedInsert { plan } => bounded.push(plan),
                Planned::Query { .. } => return Err(Error::internal("a query in a statement set")),
            }
        }
        if jobs.is_empty() && bounded.is_empty() {
            return Err(Error::invalid("the statement set has no INSERT").code("42601"));
        }
        if !jobs.is_empty() && !bounded.is_empty() {
            return Err(Error::unsupported("a statement set holds INSERTs that end and INSERTs that do not")
                .detail("An INSERT ends if all its sources are bounded.")
                .hint("Submit those that end by themselves."));
        }
        match purpose {
            Purpose::Explain { verbose } => {
                let mut lines = Vec::new();
                if !jobs.is_empty() {
                    let job = Planned::Job(Box::new(self.join(jobs).await?));
                    lines = explain::lines(self, &job, false, *verbose).await?;
                }
                for plan in bounded {
                    let planned = Planned::BoundedInsert { plan };
                    lines.extend(explain::lines(self, &planned, false, *verbose).await?);
                }
                explain::rows(lines)
            }
            Purpose::CreateJob { name, existing } => {
                if !bounded.is_empty() {
                    return Err(crate::sql::statements::create_job::needs_unbounded());
                }
                if self.may_create_job(name, *existing)? {
                    let job = self.join(jobs).await?;
                    self.submit(&job, Some(name.clone()), *existing)?;
                }
                Ok(done("CREATE JOB"))
            }
            Purpose::Run if jobs.is_empty() => {
                let mut count = 0;
                for plan in bounded {
                    count += self.run_bounded(&plan).await?;
                }
                Ok(done(format!("INSERT 0 {count}")))
            }
            Purpose::Run => {
                let job = self.join(jobs).await?;
                self.submit(&job, None, Existing::Refuse)?;
                Ok(done("INSERT 0 0"))
            }
        }
    }
}
