//! A projection whose functions may make large values: where a batch of them would be too large, it is computed a few rows at a
//! time, each part a batch of its own. Beside that it is DataFusion's, and looks so in EXPLAIN.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use datafusion::arrow::array::RecordBatchOptions;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::Result;
use datafusion::execution::memory_pool::MemoryLimit;
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, ReplaceChildrenOptions};
use futures::{Stream, StreamExt};

use super::value_limit;
use crate::functions::memory::{self, Scope};

/// See the head of this file.
#[derive(Debug)]
pub struct BoundedProjection {
    projection: Arc<dyn ExecutionPlan>,
    expressions: Arc<[Arc<dyn PhysicalExpr>]>,
    metrics: ExecutionPlanMetricsSet,
}

impl BoundedProjection {
    /// In place of that projection.
    pub fn new(projection: &ProjectionExec) -> Self {
        Self {
            expressions: projection.expr().iter().map(|projected| Arc::clone(&projected.expr)).collect(),
            projection: Arc::new(projection.clone()),
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }
}

impl DisplayAs for BoundedProjection {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        self.projection.fmt_as(format, f)
    }
}

impl ExecutionPlan for BoundedProjection {
    fn name(&self) -> &'static str {
        "ProjectionExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.projection.properties()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.projection.children()
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.projection.apply_expressions(f)
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let projection = Arc::clone(&self.projection).replace_children(children, options)?;
        Ok(Arc::new(Self {
            projection,
            expressions: Arc::clone(&self.expressions),
            metrics: ExecutionPlanMetricsSet::new(),
        }))
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        use datafusion::physical_plan::ChildrenPropertiesMode;
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let bytes = match context.memory_pool().memory_limit() {
            MemoryLimit::Finite(bytes) => value_limit(bytes),
            _ => usize::MAX,
        };
        let [input] = self.projection.children()[..] else {
            return Err(crate::error::Error::internal("a projection has one input").into());
        };
        Ok(Box::pin(Parts {
            input: input.execute(partition, context)?,
            expressions: Arc::clone(&self.expressions),
            schema: self.projection.schema(),
            bytes,
            left: None,
            rows: usize::MAX,
            metrics: BaselineMetrics::new(&self.metrics, partition),
        }))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

struct Parts {
    input: SendableRecordBatchStream,
    expressions: Arc<[Arc<dyn PhysicalExpr>]>,
    schema: SchemaRef,
    /// What one evaluation may make.
    bytes: usize,
    /// What is not yet computed of the input's batch.
    left: Option<RecordBatch>,
    /// So many rows went at a time last.
    rows: usize,
    metrics: BaselineMetrics,
}

impl Parts {
    fn compute(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let rows = batch.num_rows();
        let _scope = Scope::open(self.bytes);
        let mut columns = Vec::with_capacity(self.expressions.len());
        let mut spread = 0_usize;
        for expression in self.expressions.iter() {
            let value = expression.evaluate(batch)?;
            if let ColumnarValue::Scalar(scalar) = &value {
                spread = spread.saturating_add(scalar.size().saturating_mul(rows));
                if rows > 1 && spread > self.bytes {
                    return Err(memory::too_large("a constant of every row", spread, self.bytes));
                }
            }
            columns.push(value.into_array(rows)?);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?)
    }

    /// The next part of a batch, and what is left of it.
    fn part(&mut self, batch: RecordBatch) -> Result<RecordBatch> {
        let all = batch.num_rows();
        loop {
            let rows = self.rows.min(all);
            match self.compute(&batch.slice(0, rows)) {
                Ok(part) => {
                    self.left = (rows < all).then(|| batch.slice(rows, all - rows));
                    return Ok(part);
                }
                Err(error) if rows > 1 && memory::is_too_large(&error) => self.rows = rows / 2,
                Err(error) => return Err(error),
            }
        }
    }
}

impl Stream for Parts {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let batch = match self.left.take() {
            Some(batch) => batch,
            None => match ready!(self.input.poll_next_unpin(context)) {
                Some(Ok(batch)) => {
                    self.rows = self.rows.saturating_mul(2);
                    batch
                }
                other => return self.metrics.record_poll(Poll::Ready(other)),
            },
        };
        let part = {
            let elapsed = self.metrics.elapsed_compute().clone();
            let _timer = elapsed.timer();
            self.part(batch)
        };
        self.metrics.record_poll(Poll::Ready(Some(part)))
    }
}

impl RecordBatchStream for Parts {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }
}
