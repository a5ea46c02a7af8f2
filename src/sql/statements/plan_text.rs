//! Plans as text: what EXPLAIN shows of a query, an INSERT or a statement set.

use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::execution::TaskContext;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::display::DisplayableExecutionPlan;
use datafusion::physical_plan::displayable;

use super::outcomes::{text_rows, text_schema};
use crate::error::{Error, Result};
use crate::sql::execution::background_stream;
use crate::sql::execution::interruptible::{self, interruptible};
use crate::sql::execution::queries::Interrupt;
use crate::sql::planning::planned::Planned;
use crate::sql::session::{Outcome, Session};

/// The column of a plan.
pub fn schema() -> SchemaRef {
    text_schema(&["QUERY PLAN"])
}

/// A plan as an answer.
///
/// # Errors
/// Never: all is text.
pub fn rows(lines: Vec<String>) -> Result<Outcome> {
    let rows: Vec<Vec<Option<String>>> = lines.into_iter().map(|line| vec![Some(line)]).collect();
    text_rows("EXPLAIN", schema(), &rows)
}

/// A plan as text.
///
/// # Errors
/// The plan cannot be made, or its run fails.
pub async fn lines(session: &Session, planned: &Planned, analyze: bool, verbose: bool) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    match planned {
        Planned::Query { plan, .. } | Planned::BoundedInsert { plan, .. } => {
            // With what the session's transaction has changed.
            let (plan, (state, _)) = (plan.clone(), session.telling_state());
            let context = session.task_context(&state);
            let work =
                |interrupt| async move { lines_of_query(&plan, &state, context, &interrupt, analyze, verbose).await };
            lines = session.server().queries.run(work).await?;
        }
        Planned::LocalWrite(write) => {
            if analyze {
                return Err(Error::unsupported(format!("EXPLAIN ANALYZE of {} is not supported", write.kind.verb()))
                    .hint("EXPLAIN shows how its rows are found."));
            }
            let planned = Planned::Query { plan: write.rows.clone(), names: None, constant: None };
            lines.push(format!("{} on {}", write.kind.verb(), write.table.relation));
            let of_rows = Box::pin(self::lines(session, &planned, false, verbose)).await?;
            lines.extend(of_rows.into_iter().map(|line| format!("  {line}")));
        }
        Planned::Job(job) => {
            if analyze {
                return Err(Error::unsupported("EXPLAIN ANALYZE of a job is not supported")
                    .hint("Submit it, then EXPLAIN ANALYZE JOB."));
            }
            if verbose {
                lines.push("Logical plan".to_owned());
                for insert in &job.inserts {
                    let plan = insert.query.display_indent().to_string();
                    lines.extend(plan.lines().map(|line| format!("  {line}")));
                }
                lines.push("Dataflow".to_owned());
            }
            lines.extend(job.dataflow.explain());
        }
    }
    Ok(lines)
}

async fn lines_of_query(
    plan: &LogicalPlan,
    state: &SessionState,
    context: Arc<TaskContext>,
    interrupt: &Arc<Interrupt>,
    analyze: bool,
    verbose: bool,
) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    let plan = state.optimize(plan)?;
    if verbose {
        lines.push("Logical plan".to_owned());
        lines.extend(plan.display_indent().to_string().lines().map(|line| format!("  {line}")));
        lines.push("Physical plan".to_owned());
    }
    let physical = state.query_planner().create_physical_plan(&plan, state).await?;
    if analyze {
        let physical = interruptible(physical, interrupt)?;
        background_stream::run(physical.clone(), context).await?;
        let text = DisplayableExecutionPlan::with_metrics(physical.as_ref()).indent(verbose).to_string();
        lines.extend(without_guards(&text));
    } else {
        let text = displayable(physical.as_ref()).indent(verbose).to_string();
        let indent = if verbose { "  " } else { "" };
        lines.extend(text.lines().map(|line| format!("{indent}{line}")));
    }
    Ok(lines)
}

/// A plan's lines without what stands between its operators; what is below moves up to the operator above.
fn without_guards(text: &str) -> Vec<String> {
    let depth = |line: &str| line.len() - line.trim_start().len();
    let mut guards: Vec<usize> = Vec::new();
    let mut lines = Vec::new();
    for line in text.lines() {
        guards.retain(|guard| *guard < depth(line));
        if line.trim_start().starts_with(interruptible::NAME) {
            guards.push(depth(line));
        } else {
            lines.push(line[2 * guards.len()..].to_owned());
        }
    }
    lines
}
