//! Writes rows as records: a job's writer through a producer of its own or, with exactly-once, into the job's transaction; a statement's
//! through the producer that statements share. A batch is a ticket. A full queue makes `write` wait, which is the back-pressure.

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
use super::outlet::Outlet;
use super::records::{RecordMaker, Records};
use super::statement_producers::{StatementProducer, StatementProducers};
use super::tickets::{Room, Ticket, Tickets};
use super::transactions::KafkaTransactional;
use crate::changelog::{ChangeBatch, Changelog};
use crate::connectors::bad_rows::BadRows;
use crate::connectors::kafka::client::{self, Context, partitions};
use crate::connectors::kafka::options::{KafkaOptions, Partitioner};
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
        let tickets = Arc::new(Tickets::default());
        let outlet = Outlet::new(&context, &options.cluster(), tickets.clone())?;
        let (way, partitions) = tokio::task::spawn_blocking({
            let (options, tickets, topic) = (options.clone(), tickets.clone(), topic.clone());
            let (shared, metrics) = ((!context.is_of_job).then(|| self.shared.clone()), context.metrics.clone());
            move || start(&options, &topic, SinkClient::new(tickets, metrics), outlet, shared)
        })
        .await
        .map_err(|error| Error::internal(format!("creating a Kafka producer: {error}")))??;
        Ok(Box::new(KafkaWriter {
            options,
            topic,
            records,
            way,
            tickets,
            partitions,
            next_partition: 0,
            ticket: 0,
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
    Transaction(Outlet),
}

type KafkaProducer = ThreadedProducer<SinkClient>;

/// Creates the producer, if the writer needs one; the partitions are asked for only where the partitioner chooses among them.
fn start(
    options: &KafkaOptions,
    topic: &str,
    sink: SinkClient,
    outlet: Option<Outlet>,
    shared: Option<Arc<StatementProducers>>,
) -> Result<(Way, Vec<i32>)> {
    let chooses = options.partitioner != Partitioner::Default;
    if let Some(outlet) = outlet {
        let partitions = if chooses { outlet.partitions(topic)? } else { Vec::new() };
        return Ok((Way::Transaction(outlet), partitions));
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
    tickets: Arc<Tickets>,
    metrics: Arc<ConnectorMetrics>,
    /// Whether all connections were lost since the last delivery.
    is_down: AtomicBool,
}

impl SinkClient {
    fn new(tickets: Arc<Tickets>, metrics: Arc<ConnectorMetrics>) -> Self {
        Self { context: Context::default(), tickets, metrics, is_down: AtomicBool::new(false) }
    }

    /// Says what the job waits for if all connections are lost. Only of what is on its way the end of that shows, by its delivery.
    fn tell_trouble(&self) {
        if self.is_down.load(Ordering::Relaxed) && !self.tickets.are_settled() {
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

    fn delivery(&self, result: &DeliveryResult<'_>, ticket: usize) {
        if let Err((error, record)) = result {
            self.tickets.fail(self.context.undelivered(error, record.topic()));
        } else {
            self.is_down.store(false, Ordering::Relaxed);
            self.metrics.trouble.end();
        }
        self.tickets.done(ticket as u64);
    }
}

struct KafkaWriter {
    options: Arc<KafkaOptions>,
    topic: String,
    records: RecordMaker,
    way: Way,
    tickets: Arc<Tickets>,
    partitions: Vec<i32>,
    next_partition: usize,
    ticket: u64,
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
        self.tickets.failure().or_else(|| match &self.way {
            Way::Own(_) | Way::Shared(..) => None,
            Way::Transaction(outlet) => outlet.failure(),
        })
    }

    async fn send(&mut self, records: &Records, row: usize, ticket: &Arc<Ticket>) -> Result<()> {
        let partition = self.partition();
        let record = records.outgoing(row, &self.topic, partition);
        let send: &(dyn Fn() -> Result<(), KafkaError> + Sync) = match &mut self.way {
            Way::Transaction(outlet) => return outlet.send(record, ticket).await,
            Way::Own(producer) => {
                let producer = producer.as_ref().expect("only drop takes it");
                &|| producer.send(base(&record, self.ticket as usize)).map_err(|(error, _)| error)
            }
            Way::Shared(producer, _) => {
                &|| producer.client().send(base(&record, ticket.clone())).map_err(|(error, _)| error)
            }
        };
        let mut room: Option<Room<'_>> = None;
        loop {
            if let Some(failure) = self.tickets.failure() {
                return Err(failure);
            }
            match send() {
                Ok(()) => return Ok(()),
                Err(KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull)) => {
                    self.tickets.wait_for_room(&mut room).await;
                }
                Err(KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge)) => {
                    return match self.bad_rows.take(record.too_large(&self.options.table)) {
                        Ok(()) => {
                            self.tickets.done(self.ticket);
                            Ok(())
                        }
                        Err(error) => {
                            self.tickets.fail(error.clone());
                            Err(error)
                        }
                    };
                }
                Err(error) => {
                    let error = client::told(&error, &format!("writing to topic \"{}\"", self.topic));
                    self.tickets.fail(error.clone());
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
        self.ticket += 1;
        self.tickets.open(records.len());
        if let Way::Own(Some(producer)) = &self.way {
            producer.context().tell_trouble();
        }
        let ticket = Ticket::new(self.tickets.clone(), self.ticket);
        for row in 0..records.len() {
            self.send(&records, row, &ticket).await?;
        }
        ConnectorMetrics::add(&self.metrics.rows, records.len());
        ConnectorMetrics::add(&self.metrics.bytes, records.bytes());
        Ok(self.ticket)
    }

    fn acknowledged(&self) -> watch::Receiver<u64> {
        self.tickets.acknowledged()
    }

    fn failure_teller(&self) -> FailureTeller {
        let tickets = Arc::clone(&self.tickets);
        Arc::new(move || tickets.failure())
    }

    async fn flush(&mut self) -> Result<()> {
        if let Way::Transaction(outlet) = &mut self.way {
            outlet.wait_and_drain().await?;
        }
        self.tickets.wait_for(self.ticket).await
    }

    async fn barrier(&mut self, epoch: u64) -> Result<()> {
        match &mut self.way {
            Way::Own(_) | Way::Shared(..) => Ok(()),
            Way::Transaction(outlet) => outlet.barrier(epoch).await,
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
            Way::Shared(producer, shared) if !self.tickets.are_settled() => {
                shared.give_up(producer);
            }
            Way::Shared(..) | Way::Transaction(_) => {}
        }
    }
}
