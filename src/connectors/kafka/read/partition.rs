//! What those who ask for partitions and those who read them share: the consumer, the names of splits, and requests that block.

use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::consumer::Consumer;
use crate::connectors::kafka::client;
use crate::connectors::kafka::options::KafkaOptions;
use crate::error::{Error, Result};

/// The consumer in use if it suits, else a new one, which is then the one in use.
pub(super) fn shared(
    options: &KafkaOptions,
    group: &str,
    slot: &Mutex<Weak<Consumer>>,
    suits: impl Fn(&Consumer) -> bool,
) -> Result<Arc<Consumer>> {
    let mut slot = slot.lock();
    if let Some(consumer) = slot.upgrade().filter(|consumer| suits(consumer)) {
        return Ok(consumer);
    }
    let config = client::stream_config(&options.bootstrap_servers, &options.properties, group);
    let consumer = Consumer::start(&config)?;
    *slot = Arc::downgrade(&consumer);
    Ok(consumer)
}

pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Error::internal(format!("a request to Kafka: {error}")))?
}

/// Topic and partition of a split's id.
///
/// # Errors
/// It is none of a Kafka source (`Corrupt`).
pub(super) fn parse_split(id: &str) -> Result<(String, i32)> {
    id.rsplit_once('/')
        .and_then(|(topic, partition)| Some((topic.to_owned(), partition.parse().ok()?)))
        .ok_or_else(|| Error::corrupt(format!("\"{id}\" is no split of a Kafka source")))
}
