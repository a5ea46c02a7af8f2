//! What a job counts: rows, bytes and busy time by node, position and lag by split. Counters only grow while the server runs.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::watch;

use super::state::StateSize;
use super::watermark::Watermark;
use crate::connectors::{ConnectorMetrics, LeftOut, Position, Source, Split, Trouble};
use crate::error::Error;
use crate::waits::{Reason, Wait, Waits};

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
    /// Rows of state, over all tasks.
    pub state_keys: AtomicU64,
    /// Bytes of state in memory, over all tasks.
    pub state_bytes: AtomicU64,
    /// Bytes of state on local disk that did not fit into memory, over all tasks.
    pub spilled_bytes: AtomicU64,
    /// What the node's connector counts.
    pub connector: Arc<ConnectorMetrics>,
    /// How far event time is, by task.
    watermarks: Mutex<BTreeMap<usize, Watermark>>,
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
            state_keys: AtomicU64::new(0),
            state_bytes: AtomicU64::new(0),
            spilled_bytes: AtomicU64::new(0),
            connector: Arc::default(),
            watermarks: Mutex::default(),
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

    /// Event time is so far in one of the node's tasks.
    pub(super) fn set_watermark(&self, task: usize, watermark: Watermark) {
        self.watermarks.lock().insert(task, watermark);
    }

    /// How far event time is, in milliseconds: in the slowest task that is not idle. Absent: nothing is known of it, or all rows are
    /// there.
    pub fn watermark_ms(&self) -> Option<i64> {
        let watermarks = self.watermarks.lock();
        let times = watermarks.values().filter_map(|watermark| match *watermark {
            Watermark::END | Watermark::Idle => None,
            Watermark::At(time) => Some(time),
        });
        times.min()
    }

    /// A task's part of the node's state was `before` and is `now`.
    pub fn change_state(&self, before: StateSize, now: StateSize) {
        let change = |counter: &AtomicU64, before: u64, now: u64| {
            // Wraps where it shrinks: the sum over all tasks does not.
            counter.fetch_add(now.wrapping_sub(before), Ordering::Relaxed);
        };
        change(&self.state_keys, before.keys, now.keys);
        change(&self.state_bytes, before.memory_bytes, now.memory_bytes);
        change(&self.spilled_bytes, before.spilled_bytes, now.spilled_bytes);
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SplitProgress {
    /// Read up to here (exclusive).
    pub read: Position,
    /// Everything before is durable in the sink.
    pub acknowledged: Position,
}

/// A source and its open splits.
type OpenSource = (Arc<dyn Source>, Vec<Split>);

/// The sources that a job reads and their open splits, for whoever asks how much waits in them.
#[derive(Default)]
pub struct Sources(Mutex<BTreeMap<String, OpenSource>>);

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sources").field(&self.0.lock().keys()).finish()
    }
}

impl Sources {
    /// A split of a source (by the id of its node) is open.
    pub fn opened(&self, id: &str, source: &Arc<dyn Source>, split: &Split) {
        let mut sources = self.0.lock();
        let (known, splits) = sources.entry(id.to_owned()).or_insert_with(|| (Arc::clone(source), Vec::new()));
        *known = Arc::clone(source);
        splits.retain(|other| other.id != split.id);
        splits.push(split.clone());
    }

    /// A split of a source was read to its end.
    pub fn ended(&self, id: &str, split: &Split) {
        if let Some((_, splits)) = self.0.lock().get_mut(id) {
            splits.retain(|other| other.id != split.id);
        }
    }

    /// No splits but these are open.
    pub fn retain(&self, is_open: impl Fn(&Split) -> bool) {
        for (_, splits) in self.0.lock().values_mut() {
            splits.retain(&is_open);
        }
    }

    /// All of them.
    pub fn all(&self) -> Vec<OpenSource> {
        self.0.lock().values().cloned().collect()
    }
}

/// Under which name a job says that it waits for what its sources are to read.
pub const AWAITED: &str = "awaited";

/// How many of the last checkpoints are shown.
const CHECKPOINTS_SHOWN: usize = 1000;

/// What is known of a checkpoint.
#[derive(Debug, Clone, Copy)]
pub struct CheckpointFacts {
    /// Its epoch.
    pub epoch: u64,
    /// When it was complete, milliseconds since 1970.
    pub at_ms: i64,
    /// From the barrier to the decision.
    pub duration: Duration,
    /// The longest time that one of the job's tasks stood still for it.
    pub stall: Duration,
    /// Rows of state that had changed.
    pub rows: u64,
    /// Bytes of them.
    pub bytes: u64,
}

/// Counters of a job; they outlive its restarts within one server.
#[derive(Debug)]
pub struct JobMetrics {
    /// In the order of the dataflow's nodes.
    pub nodes: Vec<Arc<NodeMetrics>>,
    /// Progress by split id.
    pub splits: Mutex<BTreeMap<String, SplitProgress>>,
    /// What the job waits for before it can read all its sources, as its status shows it.
    pub awaits: Mutex<Vec<String>>,
    /// Rows left out because they could not be evaluated or written.
    pub left_out: Arc<LeftOut>,
    /// Checkpoints written.
    pub checkpoints: AtomicU64,
    /// Checkpoints that could not be completed.
    pub checkpoints_failed: AtomicU64,
    /// Duration of the last checkpoint, microseconds.
    pub checkpoint_us: AtomicU64,
    /// The last checkpoints, oldest first.
    pub last_checkpoints: Mutex<VecDeque<CheckpointFacts>>,
    /// What it reads.
    pub sources: Sources,
    /// Whether its splits are open: it does what it is there for.
    pub is_open: AtomicBool,
    /// What its sources wait for.
    pub trouble: Trouble,
    /// What the job as a whole waits for; what its nodes wait for is with their connectors.
    pub waits: Waits,
    /// How often the job has opened everything and begun to read.
    opened: watch::Sender<u64>,
}

impl JobMetrics {
    /// Counters for the nodes (id, description).
    pub fn new(nodes: Vec<(String, String)>) -> Self {
        Self {
            nodes: nodes.into_iter().map(|(id, description)| Arc::new(NodeMetrics::new(id, description))).collect(),
            splits: Mutex::default(),
            awaits: Mutex::default(),
            left_out: Arc::default(),
            checkpoints: AtomicU64::new(0),
            checkpoints_failed: AtomicU64::new(0),
            checkpoint_us: AtomicU64::new(0),
            last_checkpoints: Mutex::default(),
            waits: Waits::default(),
            opened: watch::Sender::new(0),
            sources: Sources::default(),
            is_open: AtomicBool::new(false),
            trouble: Trouble::default(),
        }
    }

    /// Everything is open, and the job reads.
    pub fn note_opened(&self) {
        self.opened.send_modify(|count| *count += 1);
    }

    /// How often that was so, as it changes.
    pub fn opened(&self) -> watch::Receiver<u64> {
        self.opened.subscribe()
    }

    /// What the job and its nodes wait for, with the node's id, oldest first.
    pub fn all_waits(&self) -> Vec<(Option<&str>, Wait)> {
        let of_nodes = self
            .nodes
            .iter()
            .flat_map(|node| node.connector.waits.now().into_iter().map(|wait| (Some(node.id.as_str()), wait)));
        let trouble = |trouble: &Trouble| {
            let (error, since) = trouble.wait()?;
            let reason = error.waits_for().unwrap_or("an outside system that does not answer");
            Some(Wait { reason: Reason::new(reason), since })
        };
        let of_nodes = of_nodes
            .chain(
                self.nodes.iter().filter_map(|node| Some((Some(node.id.as_str()), trouble(&node.connector.trouble)?))),
            )
            .chain(trouble(&self.trouble).map(|wait| (None, wait)));
        let mut all: Vec<_> = self.waits.now().into_iter().map(|wait| (None, wait)).chain(of_nodes).collect();
        all.sort_by_key(|(_, wait)| wait.since);
        all
    }

    /// What of its sources is not there yet, as an error.
    pub fn awaits(&self) -> Option<Error> {
        let awaits = self.awaits.lock();
        let (do_not, them) = if awaits.len() > 1 { ("do", "them") } else { ("does", "it") };
        (!awaits.is_empty()).then(|| {
            Error::unavailable(format!(
                "{} {do_not} not exist yet: the job waits for {them} and goes on by itself",
                awaits.join(", ")
            ))
        })
    }

    /// What the job waits for now: an outside system that does not answer its sources or its sinks.
    pub fn trouble(&self) -> Option<Error> {
        self.trouble.now().or_else(|| self.nodes.iter().find_map(|node| node.connector.trouble.now()))
    }

    /// Nothing of the last run counts any more.
    pub fn begin_run(&self) {
        self.is_open.store(false, Ordering::Release);
        self.trouble.end();
        self.awaits.lock().clear();
        self.waits.clear(AWAITED);
        self.nodes.iter().for_each(|node| {
            node.watermarks.lock().clear();
            node.connector.trouble.end();
        });
    }

    /// Notes a checkpoint.
    pub fn note_checkpoint(&self, facts: CheckpointFacts) {
        self.checkpoints.fetch_add(1, Ordering::Relaxed);
        let micros = u64::try_from(facts.duration.as_micros()).unwrap_or(u64::MAX);
        self.checkpoint_us.store(micros, Ordering::Relaxed);
        let mut last = self.last_checkpoints.lock();
        if last.len() == CHECKPOINTS_SHOWN {
            last.pop_front();
        }
        last.push_back(facts);
    }

    /// The node with an id.
    pub fn node(&self, id: &str) -> Option<&Arc<NodeMetrics>> {
        self.nodes.iter().find(|node| node.id == id)
    }
}
