//! A statement's plan, as whoever runs it takes it.

use std::sync::Arc;

use datafusion::logical_expr::LogicalPlan;
use datafusion::scalar::ScalarValue;

use super::constant_row::ConstantRow;
use super::error_map::refine;
use super::job_plan::PlannedJob;
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
}

/// A plan with the values of its parameters.
pub fn bound(plan: &SharedPlan, parameters: Vec<ScalarValue>) -> Result<LogicalPlan> {
    let plan = LogicalPlan::clone(plan);
    if parameters.is_empty() {
        return Ok(plan);
    }
    plan.with_param_values(parameters).map_err(|error| refine(error, None))
}
