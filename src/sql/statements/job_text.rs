//! A job as text: its dataflow with what each of its nodes did so far.

use crate::engine::dataflow::{Dataflow, Node, NodeKind};
use crate::jobs::{JobStatus, NodeStatus};

/// The dataflow of a job, with what it did so far if it is known to the server.
pub fn lines(dataflow: &Dataflow, status: Option<&JobStatus>) -> Vec<String> {
    let Some(status) = status else { return dataflow.explain() };
    let facts = |node: &Node| status.nodes.iter().find(|known| known.id == node.id).map(|known| facts_of(node, known));
    let mut lines = dataflow.explain_with(&facts);
    lines.extend(dataflow.explain_job());
    let mut state = format!("State: {}, {} restarts", status.state, status.restarts);
    if status.row_errors > 0 {
        state.push_str(&format!(", {} rows left out that could not be evaluated", status.row_errors));
    }
    lines.push(state);
    lines.extend(status.waits.iter().map(|wait| {
        let at = wait.node.as_ref().map(|node| format!(" ({node})")).unwrap_or_default();
        format!("Waits for {}{at} since {}", wait.reason, rfc3339(wait.since_ms))
    }));
    lines.push(match status.last_checkpoints.last() {
        Some(last) => format!(
            "Checkpoints: {}; the last one, of epoch {}, took {:.1} ms, stalled {:.1} ms, wrote {} rows in {} bytes",
            status.checkpoints,
            last.epoch,
            last.duration.as_secs_f64() * 1000.0,
            last.stall.as_secs_f64() * 1000.0,
            last.rows,
            last.bytes
        ),
        None => "Checkpoints: none since the server is up".to_owned(),
    });
    lines
}

/// In UTC, to the millisecond.
pub fn rfc3339(ms: i64) -> String {
    let at = chrono::DateTime::from_timestamp_millis(ms);
    at.map(|at| at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)).unwrap_or_default()
}

fn facts_of(node: &Node, status: &NodeStatus) -> String {
    let mut facts = match &node.kind {
        NodeKind::Source(_) => vec![format!("rows out {}", status.rows_out)],
        NodeKind::Sink(_) => vec![format!("rows in {}", status.rows_in)],
        NodeKind::Operator(_) => vec![format!("rows in {}, out {}", status.rows_in, status.rows_out)],
    };
    facts.push(format!("{:.0} rows/s", status.rows_per_second));
    facts.push(format!("busy {:.0} %", status.busy * 100.0));
    facts.push(format!("back-pressured {:.0} %", status.backpressured * 100.0));
    let is_stateful = matches!(&node.kind, NodeKind::Operator(kind) if kind.spec().is_stateful());
    if is_stateful || status.state_keys > 0 {
        facts.push(format!("state {} keys, {} bytes", status.state_keys, status.state_bytes));
    }
    for (count, what) in
        [(status.spilled_bytes, "bytes spilled"), (status.skipped, "skipped"), (status.retries, "retries")]
    {
        if count > 0 {
            facts.push(format!("{count} {what}"));
        }
    }
    facts.join(", ")
}
