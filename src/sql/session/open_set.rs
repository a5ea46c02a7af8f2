//! A statement set whose END has not come: what it is for, what stands in it so far, and what a statement can be to it.

use super::TransactionStatus;
use crate::sql::planning::planned::Planned;

/// What becomes of a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purpose {
    /// It is submitted.
    Run,
    /// It is submitted under a name.
    CreateJob {
        /// The job's name.
        name: String,
        /// What happens when a job of that name is there.
        existing: Existing,
    },
    /// Its plan is shown.
    Explain {
        /// With the logical plans.
        verbose: bool,
    },
}

/// What happens when a job of the wanted name, or one of the same statement, is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// An error.
    Refuse,
    /// IF NOT EXISTS: it stays, and nothing is submitted.
    Keep,
    /// OR REPLACE: the job of that name ends, with its state, and the new one begins anew.
    Replace,
}

/// What a statement is to a statement set that is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InSet {
    /// It can stand in one.
    Member,
    /// It is COMMIT, which does not end one.
    Commit,
    /// It ends one, or goes back in it.
    End,
    /// It cannot stand in one.
    Refused,
}

/// A statement set whose END has not come.
pub(in crate::sql) struct OpenSet {
    pub(in crate::sql) purpose: Purpose,
    pub(in crate::sql) members: Vec<Planned>,
    pub(in crate::sql) failed: bool,
}

impl OpenSet {
    /// INSERTs so far.
    pub(in crate::sql) fn len(&self) -> usize {
        self.members.len()
    }

    /// Goes back to a savepoint.
    pub(in crate::sql) fn truncate(&mut self, len: usize) {
        self.members.truncate(len);
        self.failed = false;
    }

    /// Nothing of it runs, unless the client goes back to a savepoint in it.
    pub(in crate::sql) fn fail(&mut self) {
        self.failed = true;
    }

    pub(in crate::sql) fn status(&self) -> TransactionStatus {
        if self.failed { TransactionStatus::Failed } else { TransactionStatus::Open }
    }

    pub(in crate::sql) fn purpose(&self) -> Option<&Purpose> {
        (!self.failed).then_some(&self.purpose)
    }
}
