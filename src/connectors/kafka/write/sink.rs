//! Writes rows as records: a job's writer through a producer of its own or, with exactly-once, into the job's transaction; a statement's
//! through the producer that statements share. Each batch has a sequence number. A full queue makes `write` wait, which is the back-pressure.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message as _};
use rdkafka::producer::{Producer as _, ProducerContext, ThreadedProducer};
use tokio::sync::watch;

use super::outgoing::base;
use super::records::{RecordMaker, Records};
use super::statement_producers::{StatementProducer, StatementProducers};
use super::transaction_writer::TransactionWriter;
use super::transactions::KafkaTransactional;
use super::write_sequences::{Room, WriteSequence, WriteSequences};
use crate::changelog::{ChangeBatch, Changelog};
use crate::connectors::bad_rows::BadRows;
use crate::connectors::kafka::client::{self, Context, partitions};
use crate::connectors::kafka::options::KafkaOptions;
use crate::connectors::kafka::writing::Partitioner;
use crate::connectors::metrics::ConnectorMetrics;
use crate::connectors::sink::{FailureTeller, Sink, SinkContext, SinkKind, SinkWriter};
use crate::connectors::transactions::Transactional;
use crate::error::{Error, Result};

pub(crate) struct KafkaSink {
    options: Arc<KafkaOptions>,
    shared: Arc<StatementProducers>,
}

impl KafkaSink {
    /// `shared` has the producers of statements.
    pub fn new(options: Arc<KafkaOptions>, shared: Arc<StatementProducers>) -> Self {
        Self { options, shared }
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
        let records = RecordMaker::new(options.clone(), context.bad_rows.clone())?;
        let sequences = Arc::new(WriteSequences::default());
        let writer = TransactionWriter::new(&context, &options.cluster(), sequences.clone())?;
        let (way, partitions) = tokio::task::spawn_blocking({
            let (options, sequences, topic) = (options.clone(), sequences.clone(), topic.clone());
            let (shared, metrics) = ((!context.is_of_job).then(|| self.shared.clone()), context.metrics.clone());
            move || start(&options, &topic, SinkClient::new(sequences, metrics), writer, shared)
        })
        .await
        .map_err(|error| Error::internal(format!("creating a Kafka producer: {error}")))??;
        Ok(Box::new(KafkaWriter {
            options,
            topic,
            records,
            way,
            sequences,
            partitions,
            next_partition: 0,
            sequence: 0,
            metrics: context.metrics,
            bad_rows: context.bad_rows,
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
    /// To the producer of all statements.
    Shared(Arc<StatementProducer>, Arc<StatementProducers>),
    /// Into the job's transaction.
    Transaction(TransactionWriter),
}

type KafkaProducer = ThreadedProducer<SinkClient>;

/// Creates the producer, if the writer needs one; the partitions are asked for only where the partitioner chooses among them.
fn start(
    options: &KafkaOptions,
    topic: &str,
    sink: SinkClient,
    writer: Option<TransactionWriter>,
    shared: Option<Arc<StatementProducers>>,
) -> Result<(Way, Vec<i32>)> {
    let chooses = options.partitioner != Partitioner::Default;
    if let Some(writer) = writer {
        let partitions = if chooses { writer.partitions(topic)? } else { Vec::new() };
        return Ok((Way::Transaction(writer), partitions));
    }
    if let Some(shared) = shared {
        let producer = shared.producer(options)?;
        let partitions = if chooses { partitions(producer.client(), topic)? } else { Vec::new() };
        return Ok((Way::Shared(producer, shared), partitions));
    }
    let config = client::producer_config(&options.bootstrap_servers, &options.properties);
    let producer: KafkaProducer =
        config.create_with_context(sink).map_err(|error| client::told(&error, "creating a Kafka producer"))?;
    let partitions = if chooses { partitions(&producer, topic)? } else { Vec::new() };
    Ok((Way::Own(Some(producer)), partitions))
}

struct SinkClient {
    context: Context,
    sequences: Arc<WriteSequences>,
    metrics: Arc<ConnectorMetrics>,
    /// Whether all connections were lost since the last delivery.
    is_down: AtomicBool,
}

impl SinkClient {
    fn new(sequences: Arc<WriteSequences>, metrics: Arc<ConnectorMetrics>) -> Self {
        Self { context: Context::default(), sequences, metrics, is_down: AtomicBool::new(false) }
    }

    /// Says what the job waits for if all connections are lost. Only of what is on its way the end of that shows, by its delivery.
    fn tell_trouble(&self) {
        if self.is_down.load(Ordering::Relaxed) && !self.sequences.are_settled() {
            let last = self.context.last_error().unwrap_or_default();
            self.metrics.trouble.begin(Error::unavailable(format!("writing to Kafka: {last}")));
        }
    }
}

impl ClientContext for SinkClient {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.context.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let is_down = error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown);
        self.context.error(error, reason);
        if is_down {
            self.is_down.store(true, Ordering::Relaxed);
            self.tell_trouble();
        }
    }
}

impl ProducerContext for SinkClient {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, sequence: usize) {
        if let Err((error, record)) = result {
            self.sequences.fail(self.context.undelivered(error, record.topic()));
        } else {
            self.is_down.store(false, Ordering::Relaxed);
            self.metrics.trouble.end();
        }
        self.sequences.done(sequence as u64);
    }
}

struct KafkaWriter {
    options: Arc<KafkaOptions>,
    topic: String,
    records: RecordMaker,
    way: Way,
    sequences: Arc<WriteSequences>,
    partitions: Vec<i32>,
    next_partition: usize,
    sequence: u64,
    metrics: Arc<ConnectorMetrics>,
    bad_rows: Arc<BadRows>,
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
        self.sequences.failure().or_else(|| match &self.way {
            Way::Own(_) | Way::Shared(..) => None,
            Way::Transaction(writer) => writer.failure(),
        })
    }

    async fn send(&mut self, records: &Records, row: usize, sequence: &Arc<WriteSequence>) -> Result<()> {
        let partition = self.partition();
        let record = records.outgoing(row, &self.topic, partition);
        let send: &(dyn Fn() -> Result<(), KafkaError> + Sync) = match &mut self.way {
            Way::Transaction(writer) => return writer.send(record, sequence).await,
            Way::Own(producer) => {
                let producer = producer.as_ref().expect("only drop takes it");
                &|| producer.send(base(&record, self.sequence as usize)).map_err(|(error, _)| error)
            }
            Way::Shared(producer, _) => {
                &|| producer.client().send(base(&record, sequence.clone())).map_err(|(error, _)| error)
            }
        };
        let mut room: Option<Room<'_>> = None;
        loop {
            if let Some(failure) = self.sequences.failure() {
                return Err(failure);
            }
            match send() {
                Ok(()) => return Ok(()),
                Err(KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull)) => {
                    self.sequences.wait_for_room(&mut room).await;
                }
                Err(KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge)) => {
                    return match self.bad_rows.take(record.too_large(&self.options.table)) {
                        Ok(()) => {
                            self.sequences.done(self.sequence);
                            Ok(())
                        }
                        Err(error) => {
                            self.sequences.fail(error.clone());
                            Err(error)
                        }
                    };
                }
                Err(error) => {
                    let error = client::told(&error, &format!("writing to topic \"{}\"", self.topic));
                    self.sequences.fail(error.clone());
                    return Err(error);
                }
            }
        }
    }
}

#[async_trait]
impl SinkWriter for KafkaWriter {
    fn check(&mut self, batch: &ChangeBatch) -> Result<()> {
        self.records.records(batch).map(|_| ())
    }

    async fn write(&mut self, batch: ChangeBatch) -> Result<u64> {
        if let Some(failure) = self.failure() {
            return Err(failure);
        }
        let records = self.records.records(&batch)?;
        ConnectorMetrics::add(&self.metrics.skipped, records.skipped);
        ConnectorMetrics::add(&self.metrics.null_keys, records.skipped);
        self.sequence += 1;
        self.sequences.open(records.len());
        if let Way::Own(Some(producer)) = &self.way {
            producer.context().tell_trouble();
        }
        let sequence = WriteSequence::new(self.sequences.clone(), self.sequence);
        for row in 0..records.len() {
            self.send(&records, row, &sequence).await?;
        }
        ConnectorMetrics::add(&self.metrics.rows, records.len());
        ConnectorMetrics::add(&self.metrics.bytes, records.bytes());
        Ok(self.sequence)
    }

    fn acknowledged(&self) -> watch::Receiver<u64> {
        self.sequences.acknowledged()
    }

    fn failure_teller(&self) -> FailureTeller {
        let sequences = Arc::clone(&self.sequences);
        Arc::new(move || sequences.failure())
    }

    async fn flush(&mut self) -> Result<()> {
        if let Way::Transaction(writer) = &mut self.way {
            writer.wait_and_drain().await?;
        }
        self.sequences.wait_for(self.sequence).await
    }

    async fn barrier(&mut self, epoch: u64) -> Result<()> {
        match &mut self.way {
            Way::Own(_) | Way::Shared(..) => Ok(()),
            Way::Transaction(writer) => writer.barrier(epoch).await,
        }
    }
}

impl Drop for KafkaWriter {
    fn drop(&mut self) {
        match &mut self.way {
            Way::Own(producer) => {
                let Some(producer) = producer.take() else { return };
                // Dropping waits for the client's threads, which must not hold up a runtime's thread.
                let spawned = std::thread::Builder::new().name("kafka-close".to_owned()).spawn(move || drop(producer));
                if let Err(error) = spawned {
                    tracing::warn!(%error, "a Kafka producer is closed in the foreground");
                }
            }
            // A statement that was given up: what it handed over and nobody waits for is not to be sent later.
            Way::Shared(producer, shared) if !self.sequences.are_settled() => {
                shared.give_up(producer);
            }
            Way::Shared(..) | Way::Transaction(_) => {}
        }
    }
}
