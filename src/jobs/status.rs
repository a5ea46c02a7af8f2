//! What SHOW JOBS, DESCRIBE JOB and the tables of schema `streamgate` say of jobs.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::connectors::Position;
use crate::engine::metrics::{CheckpointFacts, JobMetrics, NodeMetrics};

/// What a job does right now.
#[derive(Debug, Clone)]
pub struct JobStatus {
    /// Its name.
    pub name: String,
    /// Its id, which names its checkpoints.
    pub id: String,
    /// As [`super::facts::JobState::name`] says.
    pub state: &'static str,
    /// Since when it is in that state, milliseconds since 1970; absent before the server has looked at it.
    pub since_ms: Option<i64>,
    /// What it waits for, oldest first; nothing that is over within the usual time of an answer.
    pub waits: Vec<WaitStatus>,
    /// The INSERT, secrets blanked.
    pub statement: String,
    /// When it was submitted, milliseconds since 1970.
    pub created_ms: i64,
    /// The last failure's text, kept after a good restart.
    pub last_error: Option<String>,
    /// When that was, milliseconds since 1970.
    pub last_error_ms: Option<i64>,
    /// How often its task was started again since the server is up.
    pub restarts: u64,
    /// Rows that could not be evaluated or written and were left out.
    pub row_errors: u64,
    /// The last of them, and why.
    pub last_row_error: Option<String>,
    /// Checkpoints written since the server is up.
    pub checkpoints: u64,
    /// Checkpoints that could not be completed since the server is up.
    pub checkpoints_failed: u64,
    /// Duration of the last one, milliseconds.
    pub checkpoint_ms: f64,
    /// The last ones, oldest first.
    pub last_checkpoints: Vec<CheckpointFacts>,
    /// Jobs behind whose writes it reads.
    pub reads_behind: Vec<String>,
    /// Sources, operators, sinks.
    pub nodes: Vec<NodeStatus>,
    /// Partitions.
    pub splits: Vec<SplitStatus>,
}

/// Something that a job waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitStatus {
    /// Follows on "waits for".
    pub reason: String,
    /// The node of its dataflow that waits; absent: the job as a whole.
    pub node: Option<String>,
    /// Since when, milliseconds since 1970.
    pub since_ms: i64,
}

impl JobStatus {
    /// What it left out or took as NULL, if anything, in a few words.
    pub fn left_out(&self) -> Option<String> {
        let total = |count: fn(&NodeStatus) -> u64| self.nodes.iter().map(count).sum::<u64>();
        let null_keys = total(|node| node.null_keys);
        let told = [
            (total(|node| node.skipped).saturating_sub(null_keys), "records"),
            (null_keys, "NULL keys"),
            (self.row_errors, "rows that do not fit"),
            (total(|node| node.nulled), "values read as NULL"),
            (total(|node| node.unmatched), "changes without their row"),
        ];
        let told: Vec<String> =
            told.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{what} {count}")).collect();
        (!told.is_empty()).then(|| format!("left out: {}", told.join(", ")))
    }

    /// Everything that it waits for, as one text.
    pub fn waits_for(&self) -> Option<String> {
        let reasons: Vec<&str> = self.waits.iter().map(|wait| wait.reason.as_str()).collect();
        (!reasons.is_empty()).then(|| reasons.join("; "))
    }

    /// Rows a second that its sources give.
    pub fn rows_per_second(&self) -> f64 {
        self.sources().map(|node| node.rows_per_second).sum()
    }

    /// Its sources.
    pub fn sources(&self) -> impl Iterator<Item = &NodeStatus> {
        self.nodes.iter().filter(|node| node.id.starts_with("source"))
    }

    /// Its sinks.
    pub fn sinks(&self) -> impl Iterator<Item = &NodeStatus> {
        self.nodes.iter().filter(|node| node.id.starts_with("sink"))
    }

    /// Records that wait for it; absent when that is not known.
    pub fn lag(&self) -> Option<u64> {
        if self.splits.is_empty() { None } else { self.splits.iter().map(|split| split.lag).sum() }
    }
}

/// One node of a job's dataflow.
#[derive(Debug, Clone)]
pub struct NodeStatus {
    /// Stable id.
    pub id: String,
    /// What it does.
    pub description: String,
    /// Rows in.
    pub rows_in: u64,
    /// Rows out.
    pub rows_out: u64,
    /// Bytes read or written.
    pub bytes: u64,
    /// Records or rows left out by rule.
    pub skipped: u64,
    /// Of the rows left out, those whose key is NULL or empty.
    pub null_keys: u64,
    /// Values that could not be read and became NULL.
    pub nulled: u64,
    /// Changes that take back a row which is not there.
    pub unmatched: u64,
    /// Requests to the outside system.
    pub requests: u64,
    /// Requests or items sent again.
    pub retries: u64,
    /// Requests that the outside system refused because there were too many.
    pub throttled: u64,
    /// Rows a second, over the last second.
    pub rows_per_second: f64,
    /// Time at work.
    pub busy_time: Duration,
    /// Time held up by what follows.
    pub backpressured_time: Duration,
    /// Share of the time at work.
    pub busy: f64,
    /// Share of the time held up by what follows.
    pub backpressured: f64,
    /// Rows of state.
    pub state_keys: u64,
    /// Bytes of state in memory.
    pub state_bytes: u64,
    /// Bytes of state on local disk.
    pub spilled_bytes: u64,
    /// How far event time is, in milliseconds; absent where nothing tells.
    pub watermark_ms: Option<i64>,
}

/// One split of a job's sources.
#[derive(Debug, Clone)]
pub struct SplitStatus {
    /// `orders/0`
    pub id: String,
    /// Read up to here.
    pub read: Position,
    /// Durable in the sink up to here.
    pub acknowledged: Position,
    /// Records from there to the split's end; absent when the end is not known or positions do not count records, see [`super::Jobs::status_now`].
    pub lag: Option<u64>,
}

impl NodeStatus {
    pub(super) fn of(node: &NodeMetrics) -> Self {
        let rates = node.rates();
        let load = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        Self {
            id: node.id.clone(),
            description: node.description.clone(),
            rows_in: load(&node.rows_in),
            rows_out: load(&node.rows_out),
            bytes: load(&node.connector.bytes),
            skipped: load(&node.connector.skipped),
            null_keys: load(&node.connector.null_keys),
            nulled: load(&node.connector.nulled),
            unmatched: load(&node.connector.unmatched),
            requests: load(&node.connector.requests),
            retries: load(&node.connector.retries),
            throttled: load(&node.connector.throttled),
            busy_time: Duration::from_nanos(load(&node.busy_ns)),
            backpressured_time: Duration::from_nanos(load(&node.backpressured_ns)),
            rows_per_second: rates.rows_per_second,
            busy: rates.busy,
            backpressured: rates.backpressured,
            state_keys: load(&node.state_keys),
            state_bytes: load(&node.state_bytes),
            spilled_bytes: load(&node.spilled_bytes),
            watermark_ms: node.watermark_ms(),
        }
    }
}

impl SplitStatus {
    pub(super) fn all(metrics: &JobMetrics) -> Vec<Self> {
        metrics
            .splits
            .lock()
            .iter()
            .map(|(id, split)| Self {
                id: id.clone(),
                read: split.read.clone(),
                acknowledged: split.acknowledged.clone(),
                lag: None,
            })
            .collect()
    }
}
