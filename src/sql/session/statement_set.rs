//! A statement set of a session. psql sends its parts one by one: they are collected until END, and an error in between drops
//! the set, so that none of its INSERTs runs alone.

use super::open_set::OpenSet;
use super::{InSet, Outcome, Purpose, Runnable, Session};
use crate::error::{Error, Result, SqlState};
use crate::sql::planning::planned::Planned;

impl OpenSet {
    /// Between the parts of a set stand INSERTs only.
    pub(in crate::sql) fn admit(&self, statement: &dyn Runnable) -> Result<()> {
        let ends = statement.ends_block();
        if self.failed && !ends {
            return Err(Error::invalid("the statement set failed, statements are ignored until its END")
                .code(SqlState::InFailedSqlTransaction));
        }
        match statement.in_set() {
            InSet::Member => Ok(()),
            InSet::Commit if !self.failed => Err(Error::invalid("a statement set is open")
                .code(SqlState::ActiveSqlTransaction)
                .hint("END submits it, ROLLBACK drops it.")),
            InSet::Commit | InSet::End => Ok(()),
            InSet::Refused => Err(Error::unsupported("only INSERT can stand in a statement set")
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
    pub(in crate::sql) fn open_failed_set(&mut self) {
        if self.set.is_none() {
            self.set = Some(OpenSet { purpose: Purpose::Run, members: Vec::new(), failed: true });
        }
    }

    /// Adds an INSERT to the open set, if there is one.
    pub(in crate::sql) fn collect(&mut self, planned: impl FnOnce() -> Planned) -> Option<Outcome> {
        let set = self.set.as_mut()?;
        set.members.push(planned());
        Some(Outcome::Done { tag: "INSERT 0 0".to_owned() })
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

    /// Forgets the open set and the savepoints in it.
    pub(in crate::sql) fn drop_set(&mut self) -> Option<OpenSet> {
        self.savepoints.retain(|savepoint| savepoint.set.is_none());
        self.set.take()
    }
}
