//! A statement that runs without a plan: what the session must know of it before it runs, and how it runs.

use std::fmt::Debug;

use datafusion::arrow::datatypes::SchemaRef;

use crate::sql::session::{InSet, Running, Session};

/// A statement that runs without a plan. To add one: a file with its struct, its parse and this; a line that reads it.
pub trait Control: Debug + Send + Sync {
    /// The columns that it gives, if it gives rows.
    fn result(&self, _session: &Session) -> Option<SchemaRef> {
        None
    }

    /// What it changes, as a read-only transaction refuses it: `CREATE TABLE`; absent: nothing.
    fn writes(&self) -> Option<&'static str> {
        None
    }

    /// Whether it asks for rights itself, or makes only changes of the catalog, which ask for them; else it is for superusers if it writes.
    fn has_own_rules(&self) -> bool {
        false
    }

    /// Whether it is allowed in a failed transaction block.
    fn ends_block(&self) -> bool {
        false
    }

    /// What it is to a statement set that is open.
    fn in_set(&self) -> InSet {
        if self.ends_block() { InSet::End } else { InSet::Refused }
    }

    /// Runs it.
    ///
    /// # Errors
    /// Whatever the statement may raise.
    fn run<'a>(&'a self, session: &'a mut Session) -> Running<'a>;
}
