//! Brings records to the topic, and knows when Kafka has them. Records of one key keep their order.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};
use rdkafka::{ClientConfig, ClientContext};

use super::backends::{TOPIC, failed};
use super::generator::Record;
use crate::error::{Error, Result};

/// How long Kafka may take for what is in the producer's queue.
const FLUSH_MAX: Duration = Duration::from_secs(60);

#[derive(Clone, Default)]
struct Deliveries {
    lost: Arc<AtomicU64>,
}

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if result.is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A producer for the orders.
#[derive(Clone)]
pub struct Publisher {
    producer: Arc<ThreadedProducer<Deliveries>>,
    deliveries: Deliveries,
}

impl Publisher {
    /// Opens the producer.
    ///
    /// # Errors
    /// The client refuses its settings.
    pub fn new(kafka: &ClientConfig) -> Result<Self> {
        let deliveries = Deliveries::default();
        let mut kafka = kafka.clone();
        kafka.set("enable.idempotence", "true").set("linger.ms", "1");
        let producer = kafka
            .create_with_context(deliveries.clone())
            .map_err(|error| failed("cannot open a Kafka producer", &error))?;
        Ok(Self { producer: Arc::new(producer), deliveries })
    }

    /// Hands a record to the producer; waits while its queue is full.
    ///
    /// # Errors
    /// The producer refuses the record.
    pub async fn publish(&self, record: &Record) -> Result<()> {
        loop {
            let mut message = BaseRecord::to(TOPIC).payload(record.payload.as_str());
            if let Some(key) = &record.key {
                message = message.key(key.as_str());
            }
            match self.producer.send(message) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                Err((error, _)) => return Err(failed("cannot produce", &error)),
            }
        }
    }

    /// Waits until Kafka has all records.
    ///
    /// # Errors
    /// It has not taken them all.
    pub async fn flush(&self) -> Result<()> {
        let producer = Arc::clone(&self.producer);
        tokio::task::spawn_blocking(move || producer.flush(FLUSH_MAX))
            .await
            .map_err(|error| Error::internal(format!("the producer panicked: {error}")))?
            .map_err(|error| failed("cannot produce", &error))?;
        match self.deliveries.lost.load(Ordering::Relaxed) {
            0 => Ok(()),
            lost => Err(Error::unavailable(format!("Kafka did not take {lost} records"))),
        }
    }
}
