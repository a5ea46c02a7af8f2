//! A second plan for a query that ran out of memory before its first row: hash joins, which hold one side in memory, become
//! sorts and a merge, which go on with files; batches become small. It is slower, so that it is never the first plan.

use std::sync::Arc;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::joins::HashJoinExec;
use futures::future::BoxFuture;

use crate::functions::memory;

/// Rows of a batch, so that wide ones fit.
const BATCH_ROWS: usize = 512;

/// Makes a plan, and what it is run in.
pub type PlanAgain = BoxFuture<'static, Result<(Arc<dyn ExecutionPlan>, Arc<TaskContext>)>>;

/// Whether an error says that there is no memory.
pub fn is_out_of_memory(error: &DataFusionError) -> bool {
    memory::is_too_large(error) || matches!(error.find_root(), DataFusionError::ResourcesExhausted(_))
}

/// The second plan, if there is one that needs less than `first`.
pub fn plan_again(
    first: &Arc<dyn ExecutionPlan>,
    logical: &LogicalPlan,
    state: &SessionState,
    context: &TaskContext,
) -> Option<PlanAgain> {
    if !has_hash_join(first) {
        return None;
    }
    let (logical, mut state, runtime) = (logical.clone(), state.clone(), context.runtime_env());
    let options = state.config_mut().options_mut();
    options.optimizer.prefer_hash_join = false;
    // A merge is only planned over parts.
    options.execution.target_partitions = options.execution.target_partitions.max(2);
    let config = state.config().clone().with_batch_size(BATCH_ROWS);
    *state.config_mut() = config;
    Some(Box::pin(async move {
        let plan = state.create_physical_plan(&logical).await?;
        Ok((plan, Arc::new(TaskContext::from(&state).with_runtime(runtime))))
    }))
}

fn has_hash_join(plan: &Arc<dyn ExecutionPlan>) -> bool {
    let mut found = false;
    let walked = plan.apply(|node| {
        found |= node.is::<HashJoinExec>();
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    walked.is_ok() && found
}
