//! The step from an optimised plan to a physical one: what the plan says for jobs only is left out, and lookup functions take the form
//! in which a query awaits them.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::error::Result;
use datafusion::execution::context::QueryPlanner;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{DefaultPhysicalPlanner, PhysicalPlanner};

use crate::engine::{lookup, plan};

/// DataFusion's physical planner behind [`lookup::for_query`].
#[derive(Debug)]
pub struct LookupQueryPlanner;

#[async_trait]
impl QueryPlanner for LookupQueryPlanner {
    async fn create_physical_plan(
        &self,
        logical_plan: &LogicalPlan,
        session_state: &dyn Session,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let plan = lookup::for_query(plan::for_query(logical_plan.clone())?)?;
        DefaultPhysicalPlanner::default().create_physical_plan(&plan, session_state).await
    }
}
