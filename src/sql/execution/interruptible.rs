//! Makes a physical plan one that can be stopped and that lets others go on: between its operators stand streams that look whether
//! anybody still waits for the query and that pause now and then, and the conditions of joins look, too. DataFusion's own
//! operators pause only where their input does, and a join whose condition holds for few pairs does not ask for input for long.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use datafusion::arrow::datatypes::{DataType, FieldRef, Schema, SchemaRef};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::joins::utils::JoinFilter;
use datafusion::physical_plan::joins::{
    HashJoinExec, HashJoinExecBuilder, NestedLoopJoinExec, NestedLoopJoinExecBuilder,
};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, ReplaceChildrenOptions,
};
use futures::Stream;

use super::queries::Interrupt;

/// The name of what stands between two operators, as it is shown.
pub const NAME: &str = "Interruptible";

/// How long a stream gives batch after batch before others get their turn.
const TURN: Duration = Duration::from_millis(20);

/// What stands between two operators has the properties of the one below.
const SAME_PROPERTIES: ReplaceChildrenOptions = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Keep);

/// Puts what can be interrupted between a plan's operators.
///
/// # Errors
/// As DataFusion's, for a plan that it did not make.
pub fn interruptible(
    plan: Arc<dyn ExecutionPlan>,
    interrupt: &Arc<Interrupt>,
) -> crate::error::Result<Arc<dyn ExecutionPlan>> {
    let plan = plan.transform_up(|plan| {
        let children = plan.children();
        if children.iter().all(|child| pauses(child)) {
            return Ok(Transformed::no(plan));
        }
        let guarded = children
            .into_iter()
            .map(|child| if pauses(child) { child.clone() } else { guard(child, interrupt) })
            .collect();
        let plan = with_guarded_condition(plan, interrupt)?;
        Ok(Transformed::yes(plan.replace_children(guarded, SAME_PROPERTIES)?))
    })?;
    Ok(if pauses(&plan.data) { plan.data } else { guard(&plan.data, interrupt) })
}

/// Whether a plan comes to a pause by itself: sources do, and what looks at each of their batches once.
fn pauses(plan: &Arc<dyn ExecutionPlan>) -> bool {
    let mut plan = plan;
    loop {
        match plan.children()[..] {
            [] => return true,
            [input]
                if plan.downcast_ref::<ProjectionExec>().is_some()
                    || plan.downcast_ref::<FilterExec>().is_some()
                    || plan.downcast_ref::<CooperativeExec>().is_some() =>
            {
                plan = input;
            }
            _ => return false,
        }
    }
}

fn guard(input: &Arc<dyn ExecutionPlan>, interrupt: &Arc<Interrupt>) -> Arc<dyn ExecutionPlan> {
    Arc::new(InterruptibleExec { input: input.clone(), interrupt: interrupt.clone() })
}

/// A join whose condition looks whether anybody still waits.
fn with_guarded_condition(plan: Arc<dyn ExecutionPlan>, interrupt: &Arc<Interrupt>) -> Result<Arc<dyn ExecutionPlan>> {
    let guarded = |filter: &JoinFilter| {
        let inner = filter.expression().clone();
        let expression = Arc::new(Guarded { inner, interrupt: interrupt.clone() });
        JoinFilter::new(expression, filter.column_indices().to_vec(), filter.schema().clone())
    };
    if let Some(join) = plan.downcast_ref::<NestedLoopJoinExec>() {
        if let Some(filter) = join.filter() {
            let filter = guarded(filter);
            return Ok(Arc::new(NestedLoopJoinExecBuilder::from(join).with_filter(Some(filter)).build()?));
        }
    } else if let Some(join) = plan.downcast_ref::<HashJoinExec>()
        && let Some(filter) = join.filter()
    {
        let filter = guarded(filter);
        return HashJoinExecBuilder::from(join).with_filter(Some(filter)).build_exec();
    }
    Ok(plan)
}

/// Gives the rows of its input, pauses now and then, and ends with the query.
#[derive(Debug)]
struct InterruptibleExec {
    input: Arc<dyn ExecutionPlan>,
    interrupt: Arc<Interrupt>,
}

impl DisplayAs for InterruptibleExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NAME)
    }
}

impl ExecutionPlan for InterruptibleExec {
    fn name(&self) -> &'static str {
        NAME
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        _options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match children.pop() {
            Some(child) => Ok(guard(&child, &self.interrupt)),
            None => Ok(self),
        }
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, SAME_PROPERTIES)
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let rows = self.input.execute(partition, context)?;
        Ok(Box::pin(InterruptibleStream { rows, interrupt: self.interrupt.clone(), turn: None }))
    }
}

struct InterruptibleStream {
    rows: SendableRecordBatchStream,
    interrupt: Arc<Interrupt>,
    /// When the first batch since the last pause was asked for.
    turn: Option<Instant>,
}

impl Stream for InterruptibleStream {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Err(given_up) = self.interrupt.check() {
            return Poll::Ready(Some(Err(given_up.into())));
        }
        // Not taken from before the rows below are asked for: a plan deeper than the budget would never come to its lowest rows.
        if !tokio::task::coop::has_budget_remaining() {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let begun = *self.turn.get_or_insert_with(Instant::now);
        if begun.elapsed() >= TURN {
            self.turn = None;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let next = self.rows.as_mut().poll_next(context);
        if next.is_pending() {
            self.turn = None;
        } else if let Poll::Ready(cooperation) = tokio::task::coop::poll_proceed(context) {
            cooperation.made_progress();
        }
        next
    }
}

impl RecordBatchStream for InterruptibleStream {
    fn schema(&self) -> SchemaRef {
        self.rows.schema()
    }
}

/// A condition that looks whether anybody still waits for it.
#[derive(Debug)]
struct Guarded {
    inner: Arc<dyn PhysicalExpr>,
    interrupt: Arc<Interrupt>,
}

impl fmt::Display for Guarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl PartialEq for Guarded {
    fn eq(&self, other: &Self) -> bool {
        self.inner.eq(&other.inner)
    }
}

impl Eq for Guarded {}

impl Hash for Guarded {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.inner.hash(state);
    }
}

impl PhysicalExpr for Guarded {
    fn data_type(&self, schema: &Schema) -> Result<DataType> {
        self.inner.data_type(schema)
    }

    fn nullable(&self, schema: &Schema) -> Result<bool> {
        self.inner.nullable(schema)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        self.interrupt.check()?;
        self.inner.evaluate(batch)
    }

    fn return_field(&self, schema: &Schema) -> Result<FieldRef> {
        self.inner.return_field(schema)
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.inner]
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn PhysicalExpr>>) -> Result<Arc<dyn PhysicalExpr>> {
        match children.pop() {
            Some(inner) => Ok(Arc::new(Self { inner, interrupt: self.interrupt.clone() })),
            None => Ok(self),
        }
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt_sql(f)
    }
}
