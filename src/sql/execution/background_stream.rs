//! A query's rows, computed on the threads of queries: a cancel or a time-out is answered at once even while an operator
//! computes without a pause. Dropping the stream ends the computation.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::error::DataFusionError;
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use futures::{FutureExt, Stream, StreamExt};
use tokio::sync::{mpsc, oneshot};

use super::interruptible::interruptible;
use super::queries::{Interrupt, Queries, Running, defect};
use super::query_memory::frugal::{PlanAgain, is_out_of_memory};
use crate::error::{Error, Result, SqlState};

/// Batches that may wait for the client.
pub const BATCHES_AHEAD: usize = 2;

/// A plan, what it runs with, and how it is planned again where it runs out of memory before its first row.
pub type Runnable = (Arc<dyn ExecutionPlan>, Arc<TaskContext>, Option<PlanAgain>);

/// Makes a plan on the threads of queries, and starts it; what it raises then comes through the stream.
///
/// # Errors
/// What making the plan gives.
pub async fn start(
    queries: &Queries,
    plan: impl Future<Output = Result<Runnable>> + Send + 'static,
) -> Result<SendableRecordBatchStream> {
    let (ready, schema) = oneshot::channel();
    let (sender, batches) = mpsc::channel(BATCHES_AHEAD);
    let mut running = queries.spawn(|interrupt| async move {
        let (made, mut again) = match plan.await {
            Ok((plan, context, again)) => (open(plan, context, &interrupt), again),
            Err(error) => (Err(error), None),
        };
        let mut rows = match made {
            Ok(rows) => rows,
            Err(error) => return drop(ready.send(Err(error))),
        };
        if ready.send(Ok(rows.schema())).is_err() {
            return;
        }
        loop {
            let next = caught(rows.next()).await;
            if let Some(Err(error)) = &next
                && is_out_of_memory(error)
                && let Some(again) = again.take()
            {
                // What the first plan holds is needed.
                drop(rows);
                let made = again.await.map_err(Error::from);
                match made.and_then(|(plan, context)| open(plan, context, &interrupt)) {
                    Ok(anew) => {
                        rows = anew;
                        continue;
                    }
                    Err(error) => {
                        // Whether anybody listens makes no difference any more.
                        let _ = sender.send(Some(Err(error.into()))).await;
                        let _ = sender.send(None).await;
                        return;
                    }
                }
            }
            again = None;
            let ends = next.is_none();
            // Nobody listens any more: the query was given up.
            if sender.send(next).await.is_err() || ends {
                return;
            }
        }
    })?;
    match running.first_word(schema).await.unwrap_or_else(|| Err(defect())) {
        Ok(schema) => Ok(Box::pin(Rows { schema, batches, running })),
        Err(error) => {
            running.finish();
            Err(error)
        }
    }
}

/// Runs a plan to its end on the thread that calls, and forgets its rows.
///
/// # Errors
/// What the plan raises.
pub async fn run(plan: Arc<dyn ExecutionPlan>, context: Arc<TaskContext>) -> Result<()> {
    let mut rows = execute(plan, context)?;
    while let Some(batch) = rows.next().await {
        batch?;
    }
    Ok(())
}

fn open(
    plan: Arc<dyn ExecutionPlan>,
    context: Arc<TaskContext>,
    interrupt: &Arc<Interrupt>,
) -> Result<SendableRecordBatchStream> {
    execute(interruptible(plan, interrupt)?, context)
}

fn execute(plan: Arc<dyn ExecutionPlan>, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
    let plan: Arc<dyn ExecutionPlan> = match plan.output_partitioning().partition_count() {
        1 => plan,
        _ => Arc::new(CoalescePartitionsExec::new(plan)),
    };
    Ok(plan.execute(0, context)?)
}

/// The next rows; a panic of Arrow's that says how much there is becomes the error that it should be, any other goes on.
async fn caught(
    next: impl Future<Output = Option<datafusion::error::Result<RecordBatch>>>,
) -> Option<datafusion::error::Result<RecordBatch>> {
    match AssertUnwindSafe(next).catch_unwind().await {
        Ok(next) => next,
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or_default();
            // The bytes of a column of texts are counted in 31 bits, and there is no error where there are more.
            if !text.contains("offset overflow") {
                std::panic::resume_unwind(panic);
            }
            let error = Error::invalid("out of memory: a column of one batch would have 2 GiB or more")
                .code(SqlState::OutOfMemory);
            Some(Err(error.into()))
        }
    }
}

/// The rows on the side of whoever waits for them.
struct Rows {
    schema: SchemaRef,
    /// `None` is the end; a channel that ends without it is that of a computation that broke off.
    batches: mpsc::Receiver<Option<datafusion::error::Result<RecordBatch>>>,
    running: Running,
}

impl Stream for Rows {
    type Item = datafusion::error::Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.batches.poll_recv(context).map(|received| match received {
            Some(Some(batch)) => Some(batch),
            Some(None) => {
                self.running.finish();
                None
            }
            None if self.running.is_finished() => None,
            None => {
                self.running.finish();
                Some(Err(DataFusionError::from(defect())))
            }
        })
    }
}

impl RecordBatchStream for Rows {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }
}
