//! One librdkafka producer with a transactional id, and the calls that a job's transactions make of it. All calls block.
//! Knows nothing of epochs; what it cannot know is whether a commit that got no answer has happened.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerGroupMetadata};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message as _};
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};
use rdkafka::{Offset, TopicPartitionList};

use super::write_sequences::WriteSequence;
use crate::connectors::kafka::client::{self, Context};
use crate::connectors::kafka::options::KafkaOptions;
use crate::error::{Error, Result};

/// How long the coordinator of transactions may take for its answers.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// How long closing may take to abort what is open.
const ABORT_TIMEOUT: Duration = Duration::from_secs(5);
/// A commit that takes longer may have been asked for twice.
const COMMIT_UNDOUBTED_MAX: Duration = Duration::from_secs(1);
/// How often the client is told again not to linger.
const FLUSH_STEP: Duration = Duration::from_millis(100);
/// How long the client takes to put away a delivery report at most, in general.
const PUT_AWAY: Duration = Duration::from_micros(200);

/// Offsets by topic and partition.
pub(super) type GroupOffsets = HashMap<(String, i32), i64>;

/// What the client tells between the calls.
#[derive(Default)]
pub(in crate::connectors) struct TransactionClient {
    context: Context,
    deliveries: Deliveries,
    /// Disconnections and time-outs of requests.
    troubles: AtomicU64,
}

/// Counted without a lock: each record comes by twice.
#[derive(Default)]
struct Deliveries {
    /// Records handed to the client without a delivery report yet.
    missing: AtomicUsize,
    /// The first report that was bad.
    failure: Mutex<Option<KafkaError>>,
    /// Wakes who waits for the last report, or for a bad one.
    ended: Condvar,
}

impl Deliveries {
    fn begin(&self) {
        self.missing.fetch_add(1, Ordering::AcqRel);
    }

    fn end(&self, failure: Option<KafkaError>) {
        let is_bad = failure.is_some();
        if let Some(failure) = failure {
            self.failure.lock().get_or_insert(failure);
        }
        if self.missing.fetch_sub(1, Ordering::AcqRel) == 1 || is_bad {
            // Under the lock: whoever has just looked waits already.
            let _failure = self.failure.lock();
            self.ended.notify_all();
        }
    }
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
    type DeliveryOpaque = Arc<WriteSequence>;

    fn delivery(&self, result: &DeliveryResult<'_>, sequence: Arc<WriteSequence>) {
        let failure = match result {
            Ok(_) => {
                sequence.done();
                None
            }
            Err((error, record)) => {
                sequence.fail(client::told(error, &client::undelivered(record.topic())));
                Some(error.clone())
            }
        };
        self.deliveries.end(failure);
    }
}

pub(in crate::connectors) struct TransactionalProducer {
    /// Only absent while it is dropped.
    client: Option<ThreadedProducer<TransactionClient>>,
    groups: Mutex<HashMap<String, ConsumerGroupMetadata>>,
    options: Arc<KafkaOptions>,
    transaction_timeout: Duration,
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
        let producer = Self {
            client: Some(client),
            groups: Mutex::default(),
            options,
            transaction_timeout: timeout,
            aborts: Mutex::new(true),
        };
        producer.client().init_transactions(ANSWER_TIMEOUT).map_err(|error| producer.told(&error, doing))?;
        Ok(producer)
    }

    pub fn client(&self) -> &ThreadedProducer<TransactionClient> {
        self.client.as_ref().expect("only drop takes it")
    }

    fn context(&self) -> &TransactionClient {
        self.client().context()
    }

    /// Whether the producer was shut out: by another one with its id, or by the broker because its transaction was open for too long.
    /// What was under way then fails with other errors, which say less than what the client knows.
    pub fn is_fenced(&self, error: &KafkaError) -> bool {
        use RDKafkaErrorCode as Code;
        let fatal = self.client().client().fatal_error().map(|(code, _)| code);
        error
            .rdkafka_error_code()
            .into_iter()
            .chain(fatal)
            .any(|code| matches!(code, Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch))
    }

    /// An error with the connection's own words where they say more.
    pub fn told(&self, error: &KafkaError, doing: &str) -> Error {
        let told = match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::InvalidTransactionTimeout) => Error::invalid(format!(
                "{doing}: option \"properties.transaction.timeout.ms\" is longer than the broker permits"
            )),
            Some(RDKafkaErrorCode::TransactionalIdAuthorizationFailed) => {
                Error::denied(format!("{doing}: the transactional id is not permitted"))
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
    pub fn send(&self, record: BaseRecord<'_, [u8], [u8], Arc<WriteSequence>>) -> Result<(), KafkaError> {
        let deliveries = &self.context().deliveries;
        deliveries.begin();
        self.client().send(record).map_err(|(error, _)| {
            deliveries.end(None);
            error
        })
    }

    /// Begins a transaction; the broker learns of it with the first record.
    pub fn begin(&self) -> Result<(), KafkaError> {
        self.client().begin_transaction()
    }

    /// Waits until everything sent is delivered. Not by the client's own flush alone: its reports go to another thread, and it would
    /// wait for one that has come already.
    pub fn flush(&self, patience: Duration) -> Result<(), KafkaError> {
        let (client, deliveries) = (self.client(), &self.context().deliveries);
        let deadline = Instant::now() + patience;
        loop {
            let flushed = client.flush(Duration::ZERO);
            let mut failure = deliveries.failure.lock();
            if let Some(failure) = &*failure {
                return Err(failure.clone());
            }
            let is_delivered = deliveries.missing.load(Ordering::Acquire) == 0;
            match flushed {
                Ok(()) if is_delivered => return Ok(()),
                Ok(()) | Err(KafkaError::Flush(RDKafkaErrorCode::OperationTimedOut)) => {}
                Err(error) => return Err(error),
            }
            if Instant::now() >= deadline {
                return Err(KafkaError::Flush(RDKafkaErrorCode::OperationTimedOut));
            }
            let step = if is_delivered { PUT_AWAY } else { FLUSH_STEP };
            deliveries.ended.wait_for(&mut failure, step);
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
        // After its time-out the broker has ended the transaction anyway.
        let patience = ANSWER_TIMEOUT.min(self.transaction_timeout);
        // The client flushes too, but more slowly.
        self.flush(patience)?;
        *self.aborts.lock() = false;
        self.client().commit_transaction(patience)?;
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
