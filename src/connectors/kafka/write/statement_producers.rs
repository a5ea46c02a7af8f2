//! Producers of statements: one for each cluster and set of client properties, kept from one statement to the next, because a new
//! idempotent producer takes half a second before its first record. A job has a producer of its own (`sink`).
//!
//! What a statement that was given up has handed over would still be sent by a producer that lives on: then the producer is not kept,
//! and ends, with what it has not sent, together with the last statement that uses it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::message::{DeliveryResult, Message as _};
use rdkafka::producer::{Producer as _, ProducerContext, ThreadedProducer};

use super::write_sequences::WriteSequence;
use crate::connectors::kafka::client::{self, Context};
use crate::connectors::kafka::options::KafkaOptions;
use crate::error::Result;

/// Producers that are kept at most; the one that was used longest ago makes room.
const KEPT_MAX: usize = 8;

/// A producer that was not used for this long is closed when another one is asked for.
const IDLE_MAX: Duration = Duration::from_secs(600);

/// See the module.
#[derive(Default)]
pub(in crate::connectors) struct StatementProducers {
    kept: Mutex<Vec<Kept>>,
}

struct Kept {
    of: ProducerSettings,
    used: Instant,
    producer: Arc<StatementProducer>,
}

/// What makes a producer: statements of the same settings share one.
#[derive(PartialEq, Eq)]
struct ProducerSettings {
    bootstrap_servers: String,
    properties: BTreeMap<String, String>,
}

impl ProducerSettings {
    fn of(options: &KafkaOptions) -> Self {
        Self { bootstrap_servers: options.bootstrap_servers.clone(), properties: options.properties.clone() }
    }
}

impl StatementProducers {
    /// The producer for a table's cluster and properties. Makes no request.
    ///
    /// # Errors
    /// A property that librdkafka refuses.
    pub fn producer(&self, options: &KafkaOptions) -> Result<Arc<StatementProducer>> {
        let (of, now) = (ProducerSettings::of(options), Instant::now());
        let mut kept = self.kept.lock();
        // A client that has failed for good sends nothing any more.
        kept.retain(|kept| now.duration_since(kept.used) < IDLE_MAX && !kept.producer.has_failed());
        if let Some(found) = kept.iter_mut().find(|kept| kept.of == of) {
            found.used = now;
            return Ok(found.producer.clone());
        }
        let producer = Arc::new(StatementProducer::start(&of)?);
        if kept.len() >= KEPT_MAX
            && let Some(oldest) = (0..kept.len()).min_by_key(|index| kept[*index].used)
        {
            kept.swap_remove(oldest);
        }
        kept.push(Kept { of, used: now, producer: producer.clone() });
        Ok(producer)
    }

    /// No later statement uses the producer.
    pub fn give_up(&self, producer: &Arc<StatementProducer>) {
        self.kept.lock().retain(|kept| !Arc::ptr_eq(&kept.producer, producer));
    }

    #[cfg(test)]
    pub fn count(&self) -> usize {
        self.kept.lock().len()
    }
}

/// A producer that statements share.
pub(in crate::connectors) struct StatementProducer {
    /// Only absent while it is dropped.
    client: Option<ThreadedProducer<StatementClient>>,
}

impl StatementProducer {
    fn start(settings: &ProducerSettings) -> Result<Self> {
        let mut config = client::producer_config(&settings.bootstrap_servers, &settings.properties);
        if !settings.properties.contains_key("linger.ms") {
            // A statement waits for its records. Those of a large one gather while earlier ones are on their way.
            config.set("linger.ms", "0");
        }
        let client = config
            .create_with_context(StatementClient::default())
            .map_err(|error| client::told(&error, "creating a Kafka producer"))?;
        Ok(Self { client: Some(client) })
    }

    pub fn client(&self) -> &ThreadedProducer<StatementClient> {
        self.client.as_ref().expect("only drop takes it")
    }

    fn has_failed(&self) -> bool {
        self.client().client().fatal_error().is_some()
    }
}

impl Drop for StatementProducer {
    fn drop(&mut self) {
        if let Some(client) = self.client.take() {
            // Dropping waits for the client's threads, which must not hold up a runtime's thread.
            let spawned = std::thread::Builder::new().name("kafka-close".to_owned()).spawn(move || drop(client));
            if let Err(error) = spawned {
                tracing::warn!(%error, "a Kafka producer is closed in the foreground");
            }
        }
    }
}

/// What the client tells; each record comes with its statement's sequence number.
#[derive(Default)]
pub(in crate::connectors) struct StatementClient {
    context: Context,
}

impl ClientContext for StatementClient {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.context.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.context.error(error, reason);
    }
}

impl ProducerContext for StatementClient {
    type DeliveryOpaque = Arc<WriteSequence>;

    fn delivery(&self, result: &DeliveryResult<'_>, sequence: Arc<WriteSequence>) {
        match result {
            Ok(_) => sequence.done(),
            Err((error, record)) => sequence.fail(self.context.undelivered(error, record.topic())),
        }
    }
}
