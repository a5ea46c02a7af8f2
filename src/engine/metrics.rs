//! What a job counts: rows, bytes and busy time by node, position and lag by split. Counters only grow while the server runs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::connectors::{ConnectorMetrics, Position};

/// Counters of one node of a dataflow.
#[derive(Debug)]
pub struct NodeMetrics {
    /// Stable id of the node.
    pub id: String,
    /// What it does, as EXPLAIN says.
    pub description: String,
    /// Rows taken in.
    pub rows_in: AtomicU64,
    /// Rows given out.
    pub rows_out: AtomicU64,
    /// Time at work, nanoseconds.
    pub busy_ns: AtomicU64,
    /// Time held up by what follows, nanoseconds.
    pub backpressured_ns: AtomicU64,
    /// What the node's connector counts.
    pub connector: Arc<ConnectorMetrics>,
    sample: Mutex<Sample>,
}

#[derive(Debug)]
struct Sample {
    at: Instant,
    rows: u64,
    busy_ns: u64,
    backpressured_ns: u64,
    rates: Rates,
}

/// Rates over the last sampling interval.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Rates {
    /// Rows out (in, for a sink) a second.
    pub rows_per_second: f64,
    /// Share of the time at work, 0 to 1.
    pub busy: f64,
    /// Share of the time held up, 0 to 1.
    pub backpressured: f64,
}

impl NodeMetrics {
    fn new(id: String, description: String) -> Self {
        let sample = Sample { at: Instant::now(), rows: 0, busy_ns: 0, backpressured_ns: 0, rates: Rates::default() };
        Self {
            id,
            description,
            rows_in: AtomicU64::new(0),
            rows_out: AtomicU64::new(0),
            busy_ns: AtomicU64::new(0),
            backpressured_ns: AtomicU64::new(0),
            connector: Arc::default(),
            sample: Mutex::new(sample),
        }
    }

    /// Adds time at work.
    pub fn add_busy(&self, time: Duration) {
        self.busy_ns.fetch_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Adds time held up.
    pub fn add_backpressured(&self, time: Duration) {
        self.backpressured_ns.fetch_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Rates over the last second or so; a new interval begins when the last one is a second old.
    pub fn rates(&self) -> Rates {
        let mut sample = self.sample.lock();
        let elapsed = sample.at.elapsed();
        if elapsed >= Duration::from_secs(1) {
            let rows = self.rows_in.load(Ordering::Relaxed).max(self.rows_out.load(Ordering::Relaxed));
            let busy_ns = self.busy_ns.load(Ordering::Relaxed);
            let backpressured_ns = self.backpressured_ns.load(Ordering::Relaxed);
            let nanos = elapsed.as_nanos() as f64;
            sample.rates = Rates {
                rows_per_second: (rows - sample.rows) as f64 / elapsed.as_secs_f64(),
                busy: ((busy_ns - sample.busy_ns) as f64 / nanos).min(1.0),
                backpressured: ((backpressured_ns - sample.backpressured_ns) as f64 / nanos).min(1.0),
            };
            sample.at = Instant::now();
            sample.rows = rows;
            sample.busy_ns = busy_ns;
            sample.backpressured_ns = backpressured_ns;
        }
        sample.rates
    }
}

/// How far a split is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SplitProgress {
    /// Read up to here (exclusive).
    pub read: Position,
    /// Everything before is durable in the sink.
    pub acknowledged: Position,
    /// Records from `read` to the split's end, as far as known.
    pub lag: Option<u64>,
}

/// Counters of a job; they outlive its restarts within one server.
#[derive(Debug)]
pub struct JobMetrics {
    /// In the order of [`super::dataflow::Dataflow::nodes`].
    pub nodes: Vec<Arc<NodeMetrics>>,
    /// Progress by split id.
    pub splits: Mutex<BTreeMap<String, SplitProgress>>,
    /// Rows left out because they could not be evaluated.
    pub row_errors: AtomicU64,
    /// Checkpoints written.
    pub checkpoints: AtomicU64,
    /// Duration of the last checkpoint, microseconds.
    pub checkpoint_us: AtomicU64,
}

impl JobMetrics {
    /// Counters for the nodes (id, description).
    pub fn new(nodes: Vec<(String, String)>) -> Self {
        Self {
            nodes: nodes.into_iter().map(|(id, description)| Arc::new(NodeMetrics::new(id, description))).collect(),
            splits: Mutex::default(),
            row_errors: AtomicU64::new(0),
            checkpoints: AtomicU64::new(0),
            checkpoint_us: AtomicU64::new(0),
        }
    }

    /// The node with an id.
    pub fn node(&self, id: &str) -> Option<&Arc<NodeMetrics>> {
        self.nodes.iter().find(|node| node.id == id)
    }
}
