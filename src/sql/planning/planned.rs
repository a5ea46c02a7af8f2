//! A statement's plan, as whoever runs it takes it.

use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::logical_expr::LogicalPlan;
use datafusion::scalar::ScalarValue;

use super::constant_row::ConstantRow;
use super::error_map::refine;
use super::job_plan::PlannedJob;
use super::names::Target;
use crate::connectors::local::LocalTable;
use crate::error::Result;
use crate::threads::Deep;

/// A plan that may be deep and that several hold.
pub type SharedPlan = Arc<Deep<LogicalPlan>>;

/// A statement's plan.
#[derive(Clone)]
pub enum Planned {
    /// Rows for the client.
    Query {
        /// As DataFusion's SQL planner gives it: neither analysed nor optimised.
        plan: SharedPlan,
        /// The names of the result's columns, where they differ from the plan's.
        names: Option<Vec<String>>,
        /// If it reads nothing.
        constant: Option<ConstantRow>,
    },
    /// An INSERT that ends by itself.
    BoundedInsert {
        /// The write over its input.
        plan: SharedPlan,
    },
    /// An INSERT that does not.
    Job(Box<PlannedJob>),
    /// A change of rows that the server keeps.
    LocalWrite(Arc<LocalWrite>),
}

/// A change of rows of a table that the server keeps.
pub struct LocalWrite {
    /// The table.
    pub table: Arc<LocalTable>,
    /// What its name means.
    pub target: Target,
    /// What becomes of the rows.
    pub kind: WriteKind,
    /// The rows: for INSERT the table's columns; for UPDATE and DELETE the key of the row before them.
    pub rows: SharedPlan,
    /// Over given rows: for each CHECK constraint whether they fulfil it. With the names of the constraints.
    pub checks: Option<(SharedPlan, Vec<String>)>,
    /// Over given rows: RETURNING.
    pub returning: Option<Returning>,
}

/// What becomes of rows.
pub enum WriteKind {
    /// They are added.
    Insert {
        /// Columns whose values are the next numbers.
        numbered: Vec<usize>,
        /// ON CONFLICT.
        conflict: Option<Conflict>,
    },
    /// They take the places of others.
    Update,
    /// They are taken away.
    Delete,
}

impl WriteKind {
    /// As in the statement's tag.
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Insert { .. } => "INSERT",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
        }
    }
}

/// ON CONFLICT.
pub struct Conflict {
    /// Which keys of the table it is about.
    pub arbiters: Vec<usize>,
    /// DO UPDATE: over given rows, the number of each that is changed, and its new columns. Absent: DO NOTHING.
    pub update: Option<SharedPlan>,
}

/// RETURNING.
pub struct Returning {
    /// The rows.
    pub plan: SharedPlan,
    /// The columns.
    pub schema: SchemaRef,
}

impl LocalWrite {
    /// All plans of it.
    pub fn plans(&self) -> Vec<&SharedPlan> {
        let update = match &self.kind {
            WriteKind::Insert { conflict: Some(conflict), .. } => conflict.update.as_ref(),
            _ => None,
        };
        let checks = self.checks.as_ref().map(|(plan, _)| plan);
        let returning = self.returning.as_ref().map(|returning| &returning.plan);
        [Some(&self.rows), update, checks, returning].into_iter().flatten().collect()
    }
}

/// A plan with the values of its parameters.
pub fn bound(plan: &SharedPlan, parameters: Vec<ScalarValue>) -> Result<LogicalPlan> {
    let plan = LogicalPlan::clone(plan);
    if parameters.is_empty() {
        return Ok(plan);
    }
    plan.with_param_values(parameters).map_err(|error| refine(error, None))
}
