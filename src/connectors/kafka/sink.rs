//! Writes rows as records. A batch is a ticket; delivery reports count each ticket down, and the highest one up to which
//! everything is delivered is shown. A full queue makes `write` wait, which is the back-pressure.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};
use tokio::sync::{Notify, watch};

use super::client::{self, Context, REQUEST_TIMEOUT};
use super::options::{KafkaOptions, Partitioner};
use super::records::{RecordMaker, Records};
use crate::changelog::{ChangeBatch, Changelog};
use crate::connectors::{ConnectorMetrics, Sink, SinkContext, SinkKind, SinkWriter};
use crate::error::{Error, Result};

/// How long a writer waits at most before it tries a full queue again.
const ROOM_WAIT: Duration = Duration::from_millis(5);

pub(super) struct KafkaSink {
    options: Arc<KafkaOptions>,
}

impl KafkaSink {
    pub fn new(options: Arc<KafkaOptions>) -> Self {
        Self { options }
    }

    fn topic(&self) -> Result<&str> {
        match self.options.topics.as_slice() {
            [topic] => Ok(topic),
            _ => Err(Error::unsupported(format!(
                "table \"{}\" cannot be written: it has several topics",
                self.options.table
            ))),
        }
    }
}

#[async_trait]
impl Sink for KafkaSink {
    async fn kind(&self) -> Result<SinkKind> {
        self.topic()?;
        Ok(match self.options.changelog {
            Changelog::Append => SinkKind::Append,
            Changelog::Retract => SinkKind::Changelog,
            Changelog::Upsert => SinkKind::Upsert { key: self.options.key_columns.clone() },
        })
    }

    async fn open(&self, context: SinkContext) -> Result<Box<dyn SinkWriter>> {
        let topic = self.topic()?.to_owned();
        let options = self.options.clone();
        let records = RecordMaker::new(options.clone())?;
        let progress = Arc::new(Progress::default());
        let (producer, partitions) = tokio::task::spawn_blocking({
            let (options, progress, topic) = (options.clone(), progress.clone(), topic.clone());
            move || start(&options, &topic, progress)
        })
        .await
        .map_err(|error| Error::internal(format!("creating a Kafka producer: {error}")))??;
        Ok(Box::new(KafkaWriter {
            options,
            topic,
            records,
            producer: Some(producer),
            progress,
            partitions,
            next_partition: 0,
            ticket: 0,
            metrics: context.metrics,
        }))
    }

    fn resource(&self) -> String {
        self.options.resource(self.options.topics.first().map_or("", String::as_str))
    }
}

type KafkaProducer = ThreadedProducer<SinkClient>;

/// Creates the producer; the partitions are asked for only where the partitioner chooses among them.
fn start(options: &KafkaOptions, topic: &str, progress: Arc<Progress>) -> Result<(KafkaProducer, Vec<i32>)> {
    let config = client::producer_config(&options.bootstrap_servers, &options.properties);
    let producer: KafkaProducer = config
        .create_with_context(SinkClient { context: Context::default(), progress })
        .map_err(|error| client::told(&error, "creating a Kafka producer"))?;
    if options.partitioner == Partitioner::Default {
        return Ok((producer, Vec::new()));
    }
    let doing = format!("reading the partitions of topic \"{topic}\"");
    let metadata =
        producer.client().fetch_metadata(Some(topic), REQUEST_TIMEOUT).map_err(|error| client::told(&error, &doing))?;
    let mut partitions: Vec<i32> =
        metadata.topics().iter().flat_map(|found| found.partitions().iter().map(|partition| partition.id())).collect();
    partitions.sort_unstable();
    if partitions.is_empty() {
        return Err(Error::not_found(format!("topic \"{topic}\" does not exist")));
    }
    Ok((producer, partitions))
}

/// What is on its way, by ticket.
struct Progress {
    state: Mutex<State>,
    acknowledged: watch::Receiver<u64>,
    /// Wakes a writer that waits for room in the queue.
    room: Notify,
}

struct State {
    /// Ticket of the first entry of `open`.
    first: u64,
    /// For each ticket from `first` on: records that are not delivered yet.
    open: VecDeque<usize>,
    /// Dropped when the writer has failed for good.
    sender: Option<watch::Sender<u64>>,
    failure: Option<Error>,
}

impl Default for Progress {
    fn default() -> Self {
        let (sender, acknowledged) = watch::channel(0);
        let state = State { first: 1, open: VecDeque::new(), sender: Some(sender), failure: None };
        Self { state: Mutex::new(state), acknowledged, room: Notify::new() }
    }
}

impl Progress {
    fn failure(&self) -> Option<Error> {
        self.state.lock().failure.clone()
    }

    fn fail(&self, error: Error) {
        let mut state = self.state.lock();
        state.failure.get_or_insert(error);
        state.sender = None;
        drop(state);
        self.room.notify_waiters();
    }

    /// Begins a ticket of that many records.
    fn open(&self, records: usize) {
        let mut state = self.state.lock();
        state.open.push_back(records);
        state.advance();
    }

    /// A record of the ticket needs no more waiting for.
    fn done(&self, ticket: u64) {
        let mut state = self.state.lock();
        let index = (ticket - state.first) as usize;
        state.open[index] -= 1;
        state.advance();
        drop(state);
        self.room.notify_waiters();
    }
}

impl State {
    fn advance(&mut self) {
        let mut done = None;
        while let Some(0) = self.open.front() {
            self.open.pop_front();
            done = Some(self.first);
            self.first += 1;
        }
        // After a failure nothing more is acknowledged: a ticket before it may have lost records.
        if let (Some(ticket), Some(sender), None) = (done, &self.sender, &self.failure) {
            sender.send_replace(ticket);
        }
    }
}

struct SinkClient {
    context: Context,
    progress: Arc<Progress>,
}

impl ClientContext for SinkClient {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.context.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.context.error(error, reason);
    }
}

impl ProducerContext for SinkClient {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, ticket: usize) {
        if let Err((error, _)) = result {
            let mut failure = client::told(error, "a record was not delivered");
            if let Some(last) = self.context.last_error() {
                failure = failure.detail(format!("Last error of the connection: {last}."));
            }
            self.progress.fail(failure);
        }
        self.progress.done(ticket as u64);
    }
}

struct KafkaWriter {
    options: Arc<KafkaOptions>,
    topic: String,
    records: RecordMaker,
    /// Only absent while it is dropped.
    producer: Option<KafkaProducer>,
    progress: Arc<Progress>,
    partitions: Vec<i32>,
    next_partition: usize,
    ticket: u64,
    metrics: Arc<ConnectorMetrics>,
}

impl KafkaWriter {
    fn partition(&mut self) -> Option<i32> {
        match self.options.partitioner {
            Partitioner::Default => None,
            Partitioner::Fixed => self.partitions.first().copied(),
            Partitioner::RoundRobin => {
                self.next_partition = (self.next_partition + 1) % self.partitions.len();
                Some(self.partitions[self.next_partition])
            }
        }
    }

    async fn send(&mut self, records: &Records, index: usize) -> Result<()> {
        let partition = self.partition();
        loop {
            if let Some(failure) = self.progress.failure() {
                return Err(failure);
            }
            let room = self.progress.room.notified();
            tokio::pin!(room);
            room.as_mut().enable();
            match self.try_send(records, index, partition) {
                Ok(()) => return Ok(()),
                Err(KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull)) => {
                    // librdkafka frees the room only after the delivery report, so the last wake-up can come too early:
                    // without the time-out a full queue could be waited for without end.
                    let _ = tokio::time::timeout(ROOM_WAIT, room).await;
                }
                Err(error) => {
                    let error = client::told(&error, &format!("writing to topic \"{}\"", self.topic));
                    self.progress.fail(error.clone());
                    return Err(error);
                }
            }
        }
    }

    fn try_send(&self, records: &Records, index: usize, partition: Option<i32>) -> Result<(), KafkaError> {
        let mut record = BaseRecord::<[u8], [u8], usize>::with_opaque_to(&self.topic, self.ticket as usize);
        if let Some(value) = records.value(index) {
            record = record.payload(value);
        }
        if let Some(key) = records.key(index) {
            record = record.key(key);
        }
        if let Some(partition) = partition {
            record = record.partition(partition);
        }
        if let Some(millis) = records.timestamp(index) {
            record = record.timestamp(millis);
        }
        if let Some(headers) = records.headers(index) {
            record = record.headers(headers.clone());
        }
        let producer = self.producer.as_ref().expect("only drop takes it");
        producer.send(record).map_err(|(error, _)| error)
    }
}

#[async_trait]
impl SinkWriter for KafkaWriter {
    async fn write(&mut self, batch: ChangeBatch) -> Result<u64> {
        if let Some(failure) = self.progress.failure() {
            return Err(failure);
        }
        let records = self.records.records(&batch)?;
        ConnectorMetrics::add(&self.metrics.skipped, records.skipped);
        self.ticket += 1;
        self.progress.open(records.len());
        for index in 0..records.len() {
            self.send(&records, index).await?;
        }
        ConnectorMetrics::add(&self.metrics.rows, records.len());
        ConnectorMetrics::add(&self.metrics.bytes, records.bytes());
        Ok(self.ticket)
    }

    fn acknowledged(&self) -> watch::Receiver<u64> {
        self.progress.acknowledged.clone()
    }

    async fn flush(&mut self) -> Result<()> {
        let mut acknowledged = self.acknowledged();
        let outcome = acknowledged.wait_for(|ticket| *ticket >= self.ticket).await.map(|_| ());
        match (outcome, self.progress.failure()) {
            (_, Some(failure)) => Err(failure),
            (Ok(()), None) => Ok(()),
            (Err(_), None) => Err(Error::internal("a Kafka writer has stopped")),
        }
    }
}

impl Drop for KafkaWriter {
    fn drop(&mut self) {
        if let Some(producer) = self.producer.take() {
            // Dropping waits for the client's threads, which must not hold up a runtime's thread.
            let spawned = std::thread::Builder::new().name("kafka-close".to_owned()).spawn(move || drop(producer));
            if let Err(error) = spawned {
                tracing::warn!(%error, "a Kafka producer is closed in the foreground");
            }
        }
    }
}
