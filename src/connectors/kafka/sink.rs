//! Writes rows as records, through a producer of the writer's own or, with exactly-once, into the job's transaction. A batch is a
//! ticket. A full queue makes `write` wait, which is the back-pressure.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use datafusion::arrow::array::{Array, AsArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, TimeUnit, TimestampMillisecondType};
use datafusion::arrow::record_batch::RecordBatch;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{Producer as _, ProducerContext, ThreadedProducer};
use tokio::sync::watch;

use super::client::{self, Context, REQUEST_TIMEOUT};
use super::options::{ColumnSource, KafkaOptions, Metadata, Partitioner};
use super::outlet::{Outgoing, Outlet, base};
use super::tickets::{Ticket, Tickets};
use super::transactions::KafkaTransactional;
use crate::changelog::ChangeBatch;
use crate::connectors::{ConnectorMetrics, Sink, SinkContext, SinkKind, SinkWriter, Transactional};
use crate::error::{Error, Result};
use crate::formats::{EncodedRows, Encoder};

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
        Ok(SinkKind::Append)
    }

    async fn open(&self, context: SinkContext) -> Result<Box<dyn SinkWriter>> {
        let topic = self.topic()?.to_owned();
        let options = self.options.clone();
        let (mut timestamp, mut headers) = (None, None);
        for (index, column) in options.columns.iter().enumerate() {
            if let ColumnSource::Metadata { metadata, is_virtual: false } = column {
                match metadata {
                    Metadata::Timestamp => timestamp = Some(index),
                    Metadata::Headers => headers = Some(index),
                    Metadata::Topic => {
                        return Err(Error::unsupported("metadata \"topic\" cannot be written yet")
                            .hint("Declare the column VIRTUAL: then it is only read."));
                    }
                    _ => {
                        return Err(Error::invalid(format!(
                            "column \"{}\" of table \"{}\" can only be read",
                            options.schema.field(index).name(),
                            options.table
                        ))
                        .hint("Declare it VIRTUAL: METADATA FROM '…' VIRTUAL."));
                    }
                }
            }
        }
        let key = match &options.key_format {
            Some(format) => Some(format.encoder(&options.key_fields)?),
            None => None,
        };
        let value = options.value_format.encoder(&options.value_fields)?;
        let tickets = Arc::new(Tickets::default());
        let outlet = Outlet::new(&context, &options.cluster(), tickets.clone())?;
        let (way, partitions) = tokio::task::spawn_blocking({
            let (options, tickets, topic) = (options.clone(), tickets.clone(), topic.clone());
            move || start(&options, &topic, tickets, outlet)
        })
        .await
        .map_err(|error| Error::internal(format!("creating a Kafka producer: {error}")))??;
        Ok(Box::new(KafkaWriter {
            options,
            topic,
            key,
            value,
            timestamp,
            headers,
            way,
            tickets,
            partitions,
            next_partition: 0,
            ticket: 0,
            metrics: context.metrics,
        }))
    }

    fn resource(&self) -> String {
        self.options.resource(self.options.topics.first().map_or("", String::as_str))
    }

    fn transactional(&self) -> Option<Arc<dyn Transactional>> {
        KafkaTransactional::of_table(&self.options)
    }
}

/// Where a writer's records go.
enum Way {
    /// To a producer of its own; only absent while it is dropped.
    Own(Option<KafkaProducer>),
    /// Into the job's transaction.
    Transaction(Outlet),
}

type KafkaProducer = ThreadedProducer<SinkClient>;

/// Creates the producer, if the writer needs one; the partitions are asked for only where the partitioner chooses among them.
fn start(
    options: &KafkaOptions,
    topic: &str,
    tickets: Arc<Tickets>,
    outlet: Option<Outlet>,
) -> Result<(Way, Vec<i32>)> {
    let chooses = options.partitioner != Partitioner::Default;
    if let Some(outlet) = outlet {
        let partitions = if chooses { outlet.partitions(topic)? } else { Vec::new() };
        return Ok((Way::Transaction(outlet), partitions));
    }
    let config = client::producer_config(&options.bootstrap_servers, &options.properties);
    let producer: KafkaProducer = config
        .create_with_context(SinkClient { context: Context::default(), tickets })
        .map_err(|error| client::told(&error, "creating a Kafka producer"))?;
    let partitions = if chooses { partitions(&producer, topic)? } else { Vec::new() };
    Ok((Way::Own(Some(producer)), partitions))
}

/// The partitions of a topic. Blocks.
pub(super) fn partitions<C: ProducerContext>(producer: &ThreadedProducer<C>, topic: &str) -> Result<Vec<i32>> {
    let doing = format!("reading the partitions of topic \"{topic}\"");
    let metadata =
        producer.client().fetch_metadata(Some(topic), REQUEST_TIMEOUT).map_err(|error| client::told(&error, &doing))?;
    let mut partitions: Vec<i32> =
        metadata.topics().iter().flat_map(|found| found.partitions().iter().map(|partition| partition.id())).collect();
    partitions.sort_unstable();
    if partitions.is_empty() {
        return Err(Error::not_found(format!("topic \"{topic}\" does not exist")));
    }
    Ok(partitions)
}

struct SinkClient {
    context: Context,
    tickets: Arc<Tickets>,
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
            self.tickets.fail(failure);
        }
        self.tickets.done(ticket as u64);
    }
}

struct KafkaWriter {
    options: Arc<KafkaOptions>,
    topic: String,
    key: Option<Box<dyn Encoder>>,
    value: Box<dyn Encoder>,
    timestamp: Option<usize>,
    headers: Option<usize>,
    way: Way,
    tickets: Arc<Tickets>,
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

    fn failure(&self) -> Option<Error> {
        self.tickets.failure().or_else(|| match &self.way {
            Way::Own(_) => None,
            Way::Transaction(outlet) => outlet.failure(),
        })
    }

    async fn send(&mut self, records: &Records, row: usize, in_transaction: &Arc<Ticket>) -> Result<()> {
        let partition = self.partition();
        let record = records.outgoing(row, &self.topic, partition);
        let producer = match &mut self.way {
            Way::Transaction(outlet) => return outlet.send(record, in_transaction).await,
            Way::Own(producer) => producer.as_ref().expect("only drop takes it"),
        };
        loop {
            if let Some(failure) = self.tickets.failure() {
                return Err(failure);
            }
            let room = self.tickets.room();
            tokio::pin!(room);
            room.as_mut().enable();
            match producer.send(base(&record, self.ticket as usize)).map_err(|(error, _)| error) {
                Ok(()) => return Ok(()),
                Err(KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull)) => {
                    // librdkafka frees the room only after the delivery report, so the last wake-up can come too early:
                    // without the time-out a full queue could be waited for without end.
                    let _ = tokio::time::timeout(ROOM_WAIT, room).await;
                }
                Err(error) => {
                    let error = client::told(&error, &format!("writing to topic \"{}\"", self.topic));
                    self.tickets.fail(error.clone());
                    return Err(error);
                }
            }
        }
    }

    fn encode(&mut self, rows: &RecordBatch) -> Result<Records> {
        let place = |error: Error| error.context(format!("table \"{}\"", self.options.table));
        let values = self.value.encode(&rows.project(&self.options.value_columns)?).map_err(place)?;
        let keys = match &mut self.key {
            Some(key) => Some(key.encode(&rows.project(&self.options.key_columns)?).map_err(place)?),
            None => None,
        };
        let timestamps = match self.timestamp {
            Some(index) => {
                let millis = cast(rows.column(index), &DataType::Timestamp(TimeUnit::Millisecond, None))?;
                Some(millis.as_primitive::<TimestampMillisecondType>().iter().collect())
            }
            None => None,
        };
        let headers = self.headers.map(|index| read_headers(rows, index));
        Ok(Records { values, keys, timestamps, headers })
    }
}

/// The records of one batch.
struct Records {
    values: EncodedRows,
    keys: Option<EncodedRows>,
    timestamps: Option<Vec<Option<i64>>>,
    headers: Option<Vec<Option<OwnedHeaders>>>,
}

fn read_headers(rows: &RecordBatch, index: usize) -> Vec<Option<OwnedHeaders>> {
    let maps = rows.column(index).as_map();
    (0..maps.len())
        .map(|row| {
            if maps.is_null(row) {
                return None;
            }
            let entries = maps.value(row);
            let (keys, values) = (entries.column(0).as_string::<i32>(), entries.column(1).as_binary::<i32>());
            let mut headers = OwnedHeaders::new_with_capacity(entries.len());
            for entry in 0..entries.len() {
                let value = (!values.is_null(entry)).then(|| values.value(entry));
                headers = headers.insert(Header { key: keys.value(entry), value });
            }
            Some(headers)
        })
        .collect()
}

#[async_trait]
impl SinkWriter for KafkaWriter {
    async fn write(&mut self, batch: ChangeBatch) -> Result<u64> {
        if let Some(failure) = self.failure() {
            return Err(failure);
        }
        if (0..batch.len()).any(|row| batch.kind(row).is_retraction()) {
            return Err(Error::unsupported(format!(
                "table \"{}\" takes only inserts: connector \"kafka\" with format \"{}\" cannot hold updates and deletes",
                self.options.table,
                self.options.value_format.name()
            )));
        }
        let records = self.encode(batch.rows())?;
        self.ticket += 1;
        self.tickets.open(records.values.len());
        let in_transaction = Ticket::new(self.tickets.clone(), self.ticket);
        for row in 0..records.values.len() {
            self.send(&records, row, &in_transaction).await?;
        }
        ConnectorMetrics::add(&self.metrics.rows, records.values.len());
        ConnectorMetrics::add(&self.metrics.bytes, records.bytes());
        Ok(self.ticket)
    }

    fn acknowledged(&self) -> watch::Receiver<u64> {
        self.tickets.acknowledged()
    }

    async fn flush(&mut self) -> Result<()> {
        if let Way::Transaction(outlet) = &mut self.way {
            outlet.wait_and_drain().await?;
        }
        self.tickets.wait_for(self.ticket).await
    }

    async fn barrier(&mut self, epoch: u64) -> Result<()> {
        match &mut self.way {
            Way::Own(_) => Ok(()),
            Way::Transaction(outlet) => outlet.barrier(epoch).await,
        }
    }
}

impl Records {
    fn outgoing<'a>(&'a self, row: usize, topic: &'a str, partition: Option<i32>) -> Outgoing<'a> {
        Outgoing {
            topic,
            partition,
            key: self.keys.as_ref().map(|keys| keys.record(row)),
            payload: Some(self.values.record(row)),
            timestamp: self.timestamps.as_ref().and_then(|times| times[row]),
            headers: self.headers.as_ref().and_then(|headers| headers[row].as_ref()),
        }
    }

    fn bytes(&self) -> usize {
        self.values.bytes() + self.keys.as_ref().map_or(0, EncodedRows::bytes)
    }
}

impl Drop for KafkaWriter {
    fn drop(&mut self) {
        if let Way::Own(producer) = &mut self.way
            && let Some(producer) = producer.take()
        {
            // Dropping waits for the client's threads, which must not hold up a runtime's thread.
            let spawned = std::thread::Builder::new().name("kafka-close".to_owned()).spawn(move || drop(producer));
            if let Err(error) = spawned {
                tracing::warn!(%error, "a Kafka producer is closed in the foreground");
            }
        }
    }
}
