use std::time::Duration;

use datafusion::arrow::util::pretty::pretty_format_batches;

use super::*;
use crate::jobs::status::WaitStatus;

fn node(id: &str, rows: u64) -> NodeStatus {
    NodeStatus {
        id: id.to_owned(),
        description: id.to_owned(),
        rows_in: rows,
        rows_out: rows,
        bytes: 10 * rows,
        skipped: 0,
        null_keys: 0,
        nulled: 0,
        unmatched: 0,
        requests: 0,
        retries: 0,
        rows_per_second: 0.0,
        throttled: 0,
        busy_time: std::time::Duration::ZERO,
        backpressured_time: std::time::Duration::ZERO,
        busy: 0.0,
        backpressured: 0.0,
        state_keys: rows / 2,
        state_bytes: 100,
        spilled_bytes: 7,
        watermark_ms: Some(1_700_000_000_000),
    }
}

fn wait(reason: &str) -> WaitStatus {
    WaitStatus { reason: reason.to_owned(), node: None, since_ms: 1_000 }
}

fn job() -> JobStatus {
    let facts = |epoch| CheckpointFacts {
        epoch,
        at_ms: 1_700_000_000_000,
        duration: Duration::from_micros(12_500),
        stall: Duration::from_millis(3),
        rows: 40,
        bytes: 4096,
    };
    JobStatus {
        name: "j".to_owned(),
        id: "0".to_owned(),
        state: "QUARANTINED",
        since_ms: Some(0),
        waits: vec![wait("topic \"orders\""), wait("DynamoDB to answer")],
        statement: "INSERT".to_owned(),
        created_ms: 0,
        last_error: Some("the job panicked: no".to_owned()),
        last_error_ms: Some(0),
        restarts: 5,
        row_errors: 0,
        last_row_error: None,
        checkpoints: 2,
        checkpoints_failed: 0,
        checkpoint_ms: 12.5,
        last_checkpoints: vec![facts(1), facts(2)],
        reads_behind: Vec::new(),
        nodes: vec![node("source-0", 10), node("aggregate-0", 8), node("sink-0", 3), node("sink-1", 4)],
        splits: Vec::new(),
    }
}

fn printed(batch: &RecordBatch, columns: &[&str]) -> Vec<String> {
    let places: Vec<usize> = columns.iter().map(|name| batch.schema().index_of(name).unwrap()).collect();
    let text = pretty_format_batches(&[batch.project(&places).unwrap()]).unwrap().to_string();
    let rows = text.lines().filter(|line| line.starts_with('|')).skip(1);
    rows.map(|line| line.split('|').map(str::trim).filter(|cell| !cell.is_empty()).collect::<Vec<_>>().join(" "))
        .collect()
}

#[test]
fn several_sinks_of_a_job_are_summed() {
    let batch = jobs(&[job()]).unwrap();
    let found = printed(&batch, &["state", "rows_in", "rows_out", "bytes_out", "last_error"]);
    assert_eq!(found, ["QUARANTINED 10 7 70 the job panicked: no"]);
}

#[test]
fn operators_show_their_state() {
    let batch = operators(&[job()]).unwrap();
    let found = printed(&batch, &["operator", "state_keys", "state_bytes", "spilled_bytes"]);
    assert_eq!(found[1], "aggregate-0 4 100 7");
}

#[test]
fn checkpoints_are_a_history() {
    let batch = checkpoints(&[job()]).unwrap();
    let names: Vec<String> = batch.schema().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(names, ["job", "epoch", "at", "duration_ms", "stall_ms", "rows", "bytes"]);
    assert_eq!(
        printed(&batch, &["job", "epoch", "duration_ms", "stall_ms", "rows", "bytes"]),
        ["j 1 12.5 3.0 40 4096", "j 2 12.5 3.0 40 4096"]
    );
}
