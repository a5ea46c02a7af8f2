//! One librdkafka producer with a transactional id, and the calls that a job's transactions make of it. All calls block.
//! Knows nothing of epochs; what it cannot know is whether a commit that got no answer has happened.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerGroupMetadata};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};
use rdkafka::{Offset, TopicPartitionList};

use super::client::{self, Context};
use super::options::KafkaOptions;
use super::tickets::Ticket;
use crate::error::{Error, Result};

/// How long the coordinator of transactions may take for its answers.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// How long closing may take to abort what is open.
const ABORT_TIMEOUT: Duration = Duration::from_secs(5);
/// A commit that takes longer may have been asked for twice.
const COMMIT_UNDOUBTED_MAX: Duration = Duration::from_secs(1);
const FLUSH_STEP: Duration = Duration::from_millis(100);

/// Offsets by topic and partition.
pub(super) type GroupOffsets = HashMap<(String, i32), i64>;

/// What the client tells between the calls.
#[derive(Default)]
pub(super) struct TransactionClient {
    context: Context,
    /// Records handed to the client without a delivery report yet.
    undelivered: AtomicUsize,
    /// Disconnections and time-outs of requests.
    troubles: AtomicU64,
    failure: Mutex<Option<KafkaError>>,
}

impl ClientContext for TransactionClient {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        if matches!(facility, "FAIL" | "REQTMOUT") {
            self.troubles.fetch_add(1, Ordering::SeqCst);
        }
        // Everything up to `Info` comes here, because a lost connection can be told so quietly.
        if (level as i32) <= RDKafkaLogLevel::Warning as i32 {
            self.context.log(level, facility, message);
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.troubles.fetch_add(1, Ordering::SeqCst);
        self.context.error(error, reason);
    }
}

impl ProducerContext for TransactionClient {
    type DeliveryOpaque = Arc<Ticket>;

    fn delivery(&self, result: &DeliveryResult<'_>, ticket: Arc<Ticket>) {
        match result {
            Ok(_) => ticket.done(),
            Err((error, _)) => {
                self.failure.lock().get_or_insert_with(|| error.clone());
                ticket.fail(client::told(error, "a record was not delivered"));
            }
        }
        self.undelivered.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Whether a producer was shut out: by another one with its id, or by the broker because its transaction was open for too long.
pub(super) fn is_fenced(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(error.rdkafka_error_code(), Some(Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch))
}

pub(super) struct TransactionalProducer {
    /// Only absent while it is dropped.
    client: Option<ThreadedProducer<TransactionClient>>,
    groups: Mutex<HashMap<String, ConsumerGroupMetadata>>,
    options: Arc<KafkaOptions>,
    /// Whether closing may abort what is open: not when a commit got no clear answer.
    aborts: Mutex<bool>,
}

impl TransactionalProducer {
    /// Makes the producer the owner of the id: who was it before is fenced, what that one left open is ended.
    pub fn start(options: Arc<KafkaOptions>, transactional_id: &str, timeout: Duration) -> Result<Self> {
        let mut config = client::producer_config(&options.bootstrap_servers, &options.properties);
        config
            .set("transactional.id", transactional_id)
            .set("transaction.timeout.ms", timeout.as_millis().to_string())
            .set("log.connection.close", "true");
        config.set_log_level(RDKafkaLogLevel::Info);
        let doing = "opening Kafka transactions";
        let client: ThreadedProducer<TransactionClient> =
            config.create_with_context(TransactionClient::default()).map_err(|error| client::told(&error, doing))?;
        let producer = Self { client: Some(client), groups: Mutex::default(), options, aborts: Mutex::new(true) };
        producer.client().init_transactions(ANSWER_TIMEOUT).map_err(|error| producer.told(&error, doing))?;
        Ok(producer)
    }

    pub fn client(&self) -> &ThreadedProducer<TransactionClient> {
        self.client.as_ref().expect("only drop takes it")
    }

    fn context(&self) -> &TransactionClient {
        self.client().context()
    }

    /// An error with the connection's own words where they say more.
    pub fn told(&self, error: &KafkaError, doing: &str) -> Error {
        let told = match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::InvalidTransactionTimeout) => Error::invalid(format!(
                "{doing}: option \"properties.transaction.timeout.ms\" is longer than the broker permits"
            )),
            Some(RDKafkaErrorCode::TransactionalIdAuthorizationFailed) => {
                Error::invalid(format!("{doing}: the transactional id is not permitted"))
                    .code("42501")
                    .hint("Set 'sink.transactional-id-prefix' to what the cluster permits.")
            }
            _ => client::told(error, doing),
        };
        match self.context().context.last_error() {
            Some(last) => told.detail(format!("Last error of the connection: {last}.")),
            None => told,
        }
    }

    /// Hands a record to the client, which sends it soon.
    pub fn send(&self, record: BaseRecord<'_, [u8], [u8], Arc<Ticket>>) -> Result<(), KafkaError> {
        let undelivered = &self.context().undelivered;
        undelivered.fetch_add(1, Ordering::SeqCst);
        self.client().send(record).map_err(|(error, _)| {
            undelivered.fetch_sub(1, Ordering::SeqCst);
            error
        })
    }

    /// The first record that was not delivered, if any.
    pub fn failure(&self) -> Option<KafkaError> {
        self.context().failure.lock().clone()
    }

    /// Begins a transaction; the broker learns of it with the first record.
    pub fn begin(&self) -> Result<(), KafkaError> {
        self.client().begin_transaction()
    }

    /// Waits until everything sent is delivered.
    pub fn flush(&self, patience: Duration) -> Result<(), KafkaError> {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(failure) = self.failure() {
                return Err(failure);
            }
            if self.context().undelivered.load(Ordering::SeqCst) == 0 {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(KafkaError::Flush(RDKafkaErrorCode::OperationTimedOut));
            }
            match self.client().flush(FLUSH_STEP) {
                // The last reports may be under way in the client's own thread.
                Ok(()) => std::thread::sleep(Duration::from_millis(1)),
                Err(KafkaError::Flush(RDKafkaErrorCode::OperationTimedOut)) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Puts offsets of a group into the transaction.
    pub fn send_offsets(&self, group: &str, offsets: &GroupOffsets) -> Result<(), KafkaError> {
        let mut list = TopicPartitionList::with_capacity(offsets.len());
        for ((topic, partition), offset) in offsets {
            list.add_partition_offset(topic, *partition, Offset::Offset(*offset))?;
        }
        let mut groups = self.groups.lock();
        if !groups.contains_key(group) {
            let config =
                client::consumer_config(&self.options.bootstrap_servers, &self.options.properties, group, "error");
            let consumer: BaseConsumer = config.create()?;
            let metadata = consumer.group_metadata();
            groups.insert(group.to_owned(), metadata.ok_or(KafkaError::Canceled)?);
        }
        self.client().send_offsets_to_transaction(&list, &groups[group], ANSWER_TIMEOUT)
    }

    /// Commits. Returns whether the answer is beyond doubt: after a lost connection or a time-out the client has asked again by itself,
    /// and a former request may still come to the broker, where it would end the next transaction of this producer.
    pub fn commit(&self) -> Result<bool, KafkaError> {
        let (troubles, begun) = (self.troubles(), Instant::now());
        *self.aborts.lock() = false;
        self.client().commit_transaction(ANSWER_TIMEOUT)?;
        let is_sure = self.troubles() == troubles && begun.elapsed() < COMMIT_UNDOUBTED_MAX;
        *self.aborts.lock() = is_sure;
        Ok(is_sure)
    }

    fn troubles(&self) -> u64 {
        self.context().troubles.load(Ordering::SeqCst)
    }
}

impl Drop for TransactionalProducer {
    fn drop(&mut self) {
        let (Some(client), aborts) = (self.client.take(), *self.aborts.lock()) else {
            return;
        };
        // Closing waits for the client's threads, which must not hold up a runtime's thread.
        let close = move || {
            if aborts {
                // Best effort: else readers wait until the next owner or the time-out ends it.
                if let Err(error) = client.abort_transaction(ABORT_TIMEOUT) {
                    tracing::debug!(%error, "a Kafka transaction was left open");
                }
            }
        };
        if let Err(error) = std::thread::Builder::new().name("kafka-close".to_owned()).spawn(close) {
            tracing::warn!(%error, "a Kafka producer is closed in the foreground");
        }
    }
}
