//! Statements that were read and planned, and stay: those of PREPARE, and those that the protocol keeps. What a statement is, the
//! session does not know; it knows what can be asked of one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::scalar::ScalarValue;
use futures::future::BoxFuture;

use super::{InSet, Outcome, Session};
use crate::catalog::Snapshot;
use crate::data_type::NamedText;
use crate::error::{Error, Result, SqlState};
use crate::sql::activity::KeptStatement;
use crate::sql::parser::splitter::StatementText;
use crate::sql::planning::planned::Planned;

/// What becomes of a statement that runs.
pub type Running<'a> = BoxFuture<'a, Result<Outcome>>;

/// A statement that was read.
pub trait Runnable: Send + Sync {
    /// What the statement changes, as a read-only transaction refuses it; `None`: nothing.
    fn writes(&self) -> Option<&'static str>;
    /// What it does that not every role may do; `None`: it only reads.
    fn wants(&self) -> Option<&'static str>;
    /// Whether the statement is allowed in a failed transaction block.
    fn ends_block(&self) -> bool;
    /// What it is to an open statement set.
    fn in_set(&self) -> InSet;
    /// Whether it runs through a plan.
    fn needs_plan(&self) -> bool;
    /// Runs a statement that needs no plan.
    fn execute<'a>(&'a self, session: &'a mut Session) -> Running<'a>;
    /// Runs a plan of the statement. `result`: the columns that it was described with.
    fn run<'a>(
        &'a self,
        session: &'a mut Session,
        planned: &'a Planned,
        result: Option<SchemaRef>,
        parameters: Vec<ScalarValue>,
    ) -> Running<'a>;
}

/// A statement analysed once; executed with parameters as often as wanted. Cheap to clone.
#[derive(Clone)]
pub struct Prepared {
    /// Types of `$1 …`.
    pub parameter_types: Vec<DataType>,
    /// For each of them what it is, if it is more than a text.
    pub named_parameters: Vec<Option<NamedText>>,
    /// Columns of the result; `None` for statements without rows.
    pub result: Option<SchemaRef>,
    pub(in crate::sql) inner: Arc<PreparedInner>,
}

pub(in crate::sql) struct PreparedInner {
    pub(in crate::sql) text: StatementText,
    pub(in crate::sql) statement: Arc<dyn Runnable>,
    /// What the client said of the parameters.
    pub(in crate::sql) given_types: Vec<Option<DataType>>,
    pub(in crate::sql) plan: Option<CachedPlan>,
}

pub(in crate::sql) struct CachedPlan {
    pub(in crate::sql) planned: Planned,
    pub(in crate::sql) snapshot: Arc<Snapshot>,
    pub(in crate::sql) generation: u64,
    /// Whether the plan is good for one execution only.
    pub(in crate::sql) once: bool,
    pub(in crate::sql) used: AtomicBool,
}

impl CachedPlan {
    pub(in crate::sql) fn is_good(&self, snapshot: &Arc<Snapshot>, generation: u64) -> bool {
        Arc::ptr_eq(&self.snapshot, snapshot)
            && self.generation == generation
            && !(self.used.swap(true, Ordering::Relaxed) && self.once)
    }
}

impl Session {
    /// Keeps a statement under a name (PREPARE).
    ///
    /// # Errors
    /// The name is taken, or the session holds too much.
    pub fn add_prepared(&mut self, name: String, prepared: Prepared) -> Result<()> {
        if self.prepared.contains_key(&name) {
            return Err(Error::invalid(format!("prepared statement \"{name}\" already exists"))
                .code(SqlState::DuplicatePreparedStatement));
        }
        self.hold_bytes(prepared.held_bytes())?;
        let kept = KeptStatement {
            text: self.backend().query(),
            prepared_ms: self.server.clock.now_ms(),
            parameter_types: prepared.parameter_types.clone(),
        };
        self.backend().keep((true, name.clone()), kept);
        self.prepared.insert(name, prepared);
        Ok(())
    }

    /// A statement kept by PREPARE.
    ///
    /// # Errors
    /// There is none.
    pub fn prepared(&self, name: &str) -> Result<Prepared> {
        self.prepared.get(name).cloned().ok_or_else(|| {
            Error::not_found(format!("prepared statement \"{name}\" does not exist"))
                .code(SqlState::InvalidSqlStatementName)
        })
    }

    /// Forgets a statement kept by PREPARE or by the protocol.
    ///
    /// # Errors
    /// There is none.
    pub fn remove_prepared(&mut self, name: &str) -> Result<()> {
        let of_protocol = (false, name.to_owned());
        if !self.prepared.contains_key(name) && self.backend().keeps(&of_protocol) {
            self.backend().forget(&of_protocol);
            self.forgotten.push(of_protocol.1);
            return Ok(());
        }
        let prepared = self.prepared(name)?;
        self.release_bytes(prepared.held_bytes());
        self.backend().forget(&(true, name.to_owned()));
        self.prepared.remove(name);
        Ok(())
    }

    /// Forgets all statements that have a name, those of the protocol among them.
    pub fn forget_prepared(&mut self) {
        let names = self.backend().forget_prepared();
        self.forgotten.extend(names.into_iter().filter_map(|(of_prepare, name)| (!of_prepare).then_some(name)));
        for prepared in std::mem::take(&mut self.prepared).into_values() {
            self.release_bytes(prepared.held_bytes());
        }
    }

    /// Statements of the protocol that were forgotten since this was asked last: whoever keeps them drops them.
    pub fn take_forgotten(&mut self) -> Vec<String> {
        std::mem::take(&mut self.forgotten)
    }
}
