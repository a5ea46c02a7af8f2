//! A query's rows, computed on the runtime of queries: a cancel or a time-out is answered at once even while an operator
//! computes without a pause. Dropping the stream ends the computation at its next pause.

use std::sync::Arc;

use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::stream::RecordBatchReceiverStream;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use futures::StreamExt;
use tokio::runtime::Handle;

/// Batches that may wait for the client.
const BATCHES_AHEAD: usize = 2;

/// Starts a plan on the runtime `queries`; what it raises comes through the stream.
pub fn start(plan: Arc<dyn ExecutionPlan>, context: Arc<TaskContext>, queries: &Handle) -> SendableRecordBatchStream {
    let plan: Arc<dyn ExecutionPlan> = match plan.output_partitioning().partition_count() {
        1 => plan,
        _ => Arc::new(CoalescePartitionsExec::new(plan)),
    };
    let mut builder = RecordBatchReceiverStream::builder(plan.schema(), BATCHES_AHEAD);
    let batches = builder.tx();
    let task = async move {
        let mut rows = plan.execute(0, context)?;
        while let Some(batch) = rows.next().await {
            // Nobody listens any more: the query was given up.
            if batches.send(batch).await.is_err() {
                break;
            }
        }
        Ok(())
    };
    builder.spawn_on(task, queries);
    builder.build()
}
