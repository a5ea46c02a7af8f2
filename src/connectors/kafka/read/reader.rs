//! Reads one partition in order on a thread of its own and hands batches over a short channel. A batch goes out as soon as
//! there is data; while the taker is busy the next ones grow. Bounded reads end by position or end-of-partition, never by the
//! last record: transaction markers and compaction leave gaps.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::consumer::{Event, PartitionQueue};
use super::rows::RowReader;
use crate::connectors::metrics::ConnectorMetrics;
use crate::connectors::position::Position;
use crate::connectors::skipped_records::SkippedRecords;
use crate::connectors::source::SourceBatch;
use crate::error::{Error, ErrorKind, Result};

/// A batch is handed over when it holds this much.
const BATCH_BYTES_MAX: u64 = 4 << 20;
/// How often a reader without data looks whether it is still wanted.
const IDLE_WAIT: Duration = Duration::from_millis(100);
/// Records taken from the queue at once.
const TAKE_MAX: usize = 1024;

/// What to read.
pub(crate) struct Read {
    pub queue: PartitionQueue,
    pub rows: RowReader,
    pub position: i64,
    /// Exclusive; absent: unbounded.
    pub end: Option<i64>,
    /// Whether the log's end is the end, wherever it is (the pinned end was within the log, so it can only have shrunk).
    pub ends_with_log: bool,
    pub batch_rows: usize,
    /// Records that are gone over.
    pub skips: Vec<SkippedRecords>,
    /// Rows wanted at most.
    pub limit: Option<usize>,
    /// How long to wait for a record that must be there.
    pub patience: Option<Duration>,
    pub metrics: Arc<ConnectorMetrics>,
}

/// The taker's side.
pub(crate) struct Batches {
    receiver: mpsc::Receiver<Result<Option<SourceBatch>>>,
    has_ended: bool,
}

impl Batches {
    /// The next batch; `None` at the end. Cancel safe.
    pub async fn next(&mut self) -> Result<Option<SourceBatch>> {
        if self.has_ended {
            return Ok(None);
        }
        match self.receiver.recv().await {
            Some(Ok(Some(batch))) => Ok(Some(batch)),
            Some(Ok(None)) => {
                self.has_ended = true;
                Ok(None)
            }
            Some(Err(error)) => Err(error),
            None => Err(Error::internal("the thread that reads a Kafka partition has stopped")),
        }
    }
}

/// Starts the thread. It stops when the taker is dropped.
pub(crate) fn start(read: Read) -> Result<Batches> {
    let (sender, receiver) = mpsc::channel(2);
    let (topic, partition) = read.queue.name();
    let span = tracing::Span::current();
    std::thread::Builder::new()
        .name(format!("kafka {topic}/{partition}"))
        .spawn(move || span.in_scope(|| run(Reading { read, pending: None, skipped: 0, given: 0 }, &sender)))
        .map_err(|error| Error::unavailable(format!("cannot start a thread: {error}")))?;
    Ok(Batches { receiver, has_ended: false })
}

/// A reader that has ended before it began.
pub(crate) fn ended() -> Batches {
    let (_, receiver) = mpsc::channel(1);
    Batches { receiver, has_ended: true }
}

struct Reading {
    read: Read,
    /// An error that waits until the rows before it are out.
    pending: Option<Error>,
    skipped: u64,
    given: usize,
}

fn run(mut reading: Reading, sender: &mpsc::Sender<Result<Option<SourceBatch>>>) {
    while !sender.is_closed() {
        let step = reading.step(sender);
        let goes_on = match step {
            Ok(Step::Batch(batch)) => sender.blocking_send(Ok(Some(batch))).is_ok(),
            Ok(Step::Nothing) => true,
            Ok(Step::End) => {
                let _ = sender.blocking_send(Ok(None));
                false
            }
            Err(error) => {
                let _ = sender.blocking_send(Err(error));
                false
            }
        };
        if !goes_on {
            break;
        }
    }
    if reading.skipped > 0 {
        let (topic, partition) = reading.read.queue.name();
        tracing::warn!(topic, partition, skipped = reading.skipped, "records were left out");
    }
}

enum Step {
    Batch(SourceBatch),
    Nothing,
    End,
}

impl Reading {
    fn is_at_end(&self) -> bool {
        self.read.end.is_some_and(|end| self.read.position >= end)
            || self.read.limit.is_some_and(|limit| self.given >= limit)
    }

    fn step(&mut self, sender: &mpsc::Sender<Result<Option<SourceBatch>>>) -> Result<Step> {
        if let Some(error) = self.pending.take() {
            return Err(error);
        }
        if self.is_at_end() {
            return Ok(Step::End);
        }
        let (before, mut bytes) = (self.read.position, 0);
        let begun = Instant::now();
        // One record is waited for; whatever else is there comes with it.
        while self.receive(1, IDLE_WAIT, &mut bytes)? == 0 {
            if sender.is_closed() {
                return Ok(Step::Nothing);
            }
            if let Some(patience) = self.read.patience
                && begun.elapsed() > patience
            {
                let (topic, partition) = self.read.queue.name();
                return Err(Error::unavailable(format!(
                    "topic \"{topic}\", partition {partition}: no record came for {} s, though offset {} is not the end",
                    patience.as_secs(),
                    self.read.position
                )));
            }
        }
        while self.pending.is_none() && !self.is_at_end() && bytes < BATCH_BYTES_MAX {
            let room = self.read.batch_rows.saturating_sub(self.read.rows.len());
            if room == 0 || self.receive(room.min(TAKE_MAX), Duration::ZERO, &mut bytes)? == 0 {
                break;
            }
        }
        if self.read.position == before && self.read.rows.len() == 0 {
            return Ok(Step::Nothing);
        }
        let (changes, offsets) = self.read.rows.take()?;
        self.given += changes.len();
        ConnectorMetrics::add(&self.read.metrics.rows, changes.len());
        self.read.metrics.bytes.fetch_add(bytes, Ordering::Relaxed);
        let position = Position::Offset(self.read.position);
        Ok(Step::Batch(SourceBatch { changes, position, bytes, offsets }))
    }

    fn receive(&mut self, max: usize, timeout: Duration, bytes: &mut u64) -> Result<usize> {
        let Self { read, pending, skipped, .. } = self;
        let (topic, partition) = read.queue.name();
        let (topic, consumer) = (topic.to_owned(), read.queue.consumer().clone());
        let (rows, position, end, metrics) = (&mut read.rows, &mut read.position, &mut read.end, &read.metrics);
        let (ends_with_log, has_patience) = (read.ends_with_log, read.patience.is_some());
        let skips = &read.skips;
        read.queue.receive(max, timeout, |event| match event {
            Event::Record(record) => {
                let offset = record.offset();
                if offset < *position {
                    return true;
                }
                if end.is_some_and(|end| offset >= end) {
                    *position = end.unwrap_or(*position);
                    return false;
                }
                if skips.iter().any(|skip| skip.from <= offset && offset < skip.to) {
                    *position = offset + 1;
                    *skipped += 1;
                    ConnectorMetrics::add(&metrics.skipped, 1);
                    consumer.tell(&format!(
                        "topic \"{topic}\", partition {partition}, offset {offset}: record left out, as RESUME JOB … SKIP says"
                    ));
                    return true;
                }
                *bytes += (record.value().map_or(0, <[u8]>::len) + record.key().map_or(0, <[u8]>::len)) as u64;
                match rows.push(&topic, partition, record) {
                    Ok(decoded) => {
                        *position = offset + 1;
                        if decoded.nulled > 0 {
                            ConnectorMetrics::add(&metrics.nulled, decoded.nulled);
                            consumer.tell(&format!(
                                "topic \"{topic}\", partition {partition}, offset {offset}: {} values cannot be read and are NULL",
                                decoded.nulled
                            ));
                        }
                        if decoded.skipped > 0 {
                            *skipped += decoded.skipped as u64;
                            ConnectorMetrics::add(&metrics.skipped, decoded.skipped);
                            consumer.tell(&format!(
                                "topic \"{topic}\", partition {partition}, offset {offset}: record left out (unreadable or empty)"
                            ));
                        }
                        true
                    }
                    Err(error) => {
                        let place = format!("topic \"{topic}\", partition {partition}, offset {offset}");
                        *pending = Some(error.context(place).of_record(format!("{topic}/{partition}"), offset));
                        false
                    }
                }
            }
            Event::End(offset) => {
                *position = offset.max(*position);
                if ends_with_log {
                    *end = Some(*position);
                }
                true
            }
            // Whether the topic was deleted, or the broker has only just started, shows who looks after it (`Source::logs`).
            Event::Failed(error) if !has_patience && error.kind() == ErrorKind::NotFound => {
                consumer.tell(&error.to_string());
                true
            }
            Event::Failed(error) => {
                *pending = Some(error);
                false
            }
        })
    }
}
