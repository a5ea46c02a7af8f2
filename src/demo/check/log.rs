//! Reads the whole log of the orders, from each partition's beginning to the end it has now.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::{ClientConfig, ClientContext, Message, Offset, TopicPartitionList};

use super::super::backends::{TOPIC, failed};
use crate::error::{Error, Result};

const ANSWER_MAX: Duration = Duration::from_secs(30);

/// For each partition, the offset after its last record.
pub type EndOffsets = BTreeMap<i32, i64>;

/// One record of the log.
#[derive(Debug, Clone)]
pub struct LogRecord {
    /// Its value; empty if it has none.
    pub payload: Vec<u8>,
}

/// The default context logs each partition's end as an error.
struct Quiet;

impl ClientContext for Quiet {
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "while the log was read");
    }
}

impl ConsumerContext for Quiet {}

/// Where the log ends now.
///
/// # Errors
/// Kafka does not answer.
pub async fn end_offsets(kafka: &ClientConfig) -> Result<EndOffsets> {
    let kafka = kafka.clone();
    blocking(move || ends(&consumer(&kafka)?)).await
}

/// All records up to where the log ends now; those of a partition in their order.
///
/// # Errors
/// Kafka does not answer.
pub async fn read(kafka: &ClientConfig) -> Result<Vec<LogRecord>> {
    let kafka = kafka.clone();
    blocking(move || read_all(&kafka)).await
}

fn read_all(kafka: &ClientConfig) -> Result<Vec<LogRecord>> {
    let consumer = consumer(kafka)?;
    let ends = ends(&consumer)?;
    let mut open: BTreeMap<i32, i64> = ends.into_iter().filter(|(_, end)| *end > 0).collect();
    let mut assignment = TopicPartitionList::new();
    for partition in open.keys() {
        assignment
            .add_partition_offset(TOPIC, *partition, Offset::Beginning)
            .map_err(|error| failed("cannot read the log", &error))?;
    }
    consumer.assign(&assignment).map_err(|error| failed("cannot read the log", &error))?;
    let mut records = Vec::new();
    while !open.is_empty() {
        let message = match consumer.poll(ANSWER_MAX) {
            Some(Ok(message)) => message,
            // A partition may end in offsets without records.
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                open.remove(&partition);
                continue;
            }
            Some(Err(error)) => return Err(failed("cannot read the log", &error)),
            None => return Err(Error::unavailable("Kafka stopped answering while the log was read")),
        };
        let Some(end) = open.get(&message.partition()).copied() else { continue };
        if message.offset() < end {
            records.push(LogRecord { payload: message.payload().unwrap_or_default().to_vec() });
        }
        if message.offset() + 1 >= end {
            open.remove(&message.partition());
        }
    }
    Ok(records)
}

fn consumer(kafka: &ClientConfig) -> Result<BaseConsumer<Quiet>> {
    let mut kafka = kafka.clone();
    kafka
        .set("group.id", "streamgate-demo-check")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("isolation.level", "read_committed");
    kafka.create_with_context(Quiet).map_err(|error| failed("cannot open a Kafka consumer", &error))
}

fn ends(consumer: &BaseConsumer<Quiet>) -> Result<EndOffsets> {
    let metadata = consumer
        .fetch_metadata(Some(TOPIC), ANSWER_MAX)
        .map_err(|error| failed("cannot ask Kafka for the topic", &error))?;
    let partitions = metadata.topics().iter().flat_map(|topic| topic.partitions().iter());
    partitions
        .map(|partition| {
            let (_, end) = consumer
                .fetch_watermarks(TOPIC, partition.id(), ANSWER_MAX)
                .map_err(|error| failed("cannot ask Kafka for the end of the log", &error))?;
            Ok((partition.id(), end))
        })
        .collect()
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Error::internal(format!("reading the log panicked: {error}")))?
}
