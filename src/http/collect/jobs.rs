//! The metrics of jobs, from the same facts as the tables of schema `streamgate`.

use crate::jobs::{JobState, JobStatus, NodeStatus};
use crate::telemetry::metrics::{Samples, list};

/// Puts what jobs do.
pub(super) fn put(status: &[JobStatus], now_ms: i64, samples: &mut Samples) {
    for job in status {
        put_job(job, now_ms, samples);
        put_checkpoints(job, samples);
        for split in &job.splits {
            if let Some(lag) = split.lag {
                samples.put_count(&list::JOB_LAG, &[&job.name, &split.id], lag);
            }
        }
        for node in &job.nodes {
            put_operator(&job.name, node, samples);
        }
    }
}

fn put_job(job: &JobStatus, now_ms: i64, samples: &mut Samples) {
    let name = [job.name.as_str()];
    for state in JobState::ALL.map(JobState::name) {
        samples.put(&list::JOB_STATE, &[&job.name, state], if state == job.state { 1.0 } else { 0.0 });
    }
    if let Some(since_ms) = job.since_ms {
        samples.put_moment(&list::JOB_STATE_SINCE, &name, since_ms);
    }
    let waiting_ms = job.waits.first().map_or(0, |wait| (now_ms - wait.since_ms).max(0));
    samples.put_moment(&list::JOB_WAITING, &name, waiting_ms);
    samples.put_count(&list::JOB_RESTARTS, &name, job.restarts);
    let total = |count: fn(&NodeStatus) -> u64| job.nodes.iter().map(count).sum::<u64>();
    let read = |count: fn(&NodeStatus) -> u64| job.sources().map(count).sum::<u64>();
    samples.put_count(&list::JOB_RECORDS_READ, &name, read(|node| node.rows_out));
    samples.put_count(&list::JOB_READ_BYTES, &name, read(|node| node.bytes));
    let written = |count: fn(&NodeStatus) -> u64| job.sinks().map(count).sum::<u64>();
    samples.put_count(&list::JOB_RECORDS_WRITTEN, &name, written(|node| node.rows_in));
    samples.put_count(&list::JOB_WRITTEN_BYTES, &name, written(|node| node.bytes));
    samples.put_count(&list::JOB_SKIPPED, &name, total(|node| node.skipped));
    samples.put_count(&list::JOB_NULL_KEYS, &name, total(|node| node.null_keys));
    samples.put_count(&list::JOB_NULLED_VALUES, &name, total(|node| node.nulled));
    samples.put_count(&list::JOB_UNMATCHED, &name, total(|node| node.unmatched));
    samples.put_count(&list::JOB_ROW_ERRORS, &name, job.row_errors);
}

fn put_checkpoints(job: &JobStatus, samples: &mut Samples) {
    let name = [job.name.as_str()];
    samples.put_count(&list::JOB_CHECKPOINTS, &name, job.checkpoints);
    samples.put_count(&list::JOB_CHECKPOINTS_FAILED, &name, job.checkpoints_failed);
    if let Some(last) = job.last_checkpoints.last() {
        samples.put_duration(&list::JOB_CHECKPOINT_DURATION, &name, last.duration);
        samples.put_duration(&list::JOB_CHECKPOINT_STALL, &name, last.stall);
        samples.put_count(&list::JOB_CHECKPOINT_SIZE, &name, last.bytes);
        samples.put_moment(&list::JOB_CHECKPOINT_TIME, &name, last.at_ms);
    }
}

fn put_operator(job: &str, node: &NodeStatus, samples: &mut Samples) {
    let name = [job, node.id.as_str()];
    samples.put_count(&list::OPERATOR_ROWS_IN, &name, node.rows_in);
    samples.put_count(&list::OPERATOR_ROWS_OUT, &name, node.rows_out);
    samples.put_duration(&list::OPERATOR_BUSY, &name, node.busy_time);
    samples.put_duration(&list::OPERATOR_BACKPRESSURED, &name, node.backpressured_time);
    samples.put_count(&list::OPERATOR_STATE_KEYS, &name, node.state_keys);
    samples.put_count(&list::OPERATOR_STATE_BYTES, &name, node.state_bytes);
    samples.put_count(&list::OPERATOR_SPILLED_BYTES, &name, node.spilled_bytes);
    if let Some(watermark_ms) = node.watermark_ms {
        samples.put_moment(&list::OPERATOR_WATERMARK, &name, watermark_ms);
    }
    samples.put_count(&list::CONNECTOR_REQUESTS, &name, node.requests);
    samples.put_count(&list::CONNECTOR_RETRIES, &name, node.retries);
    samples.put_count(&list::CONNECTOR_THROTTLED, &name, node.throttled);
}
