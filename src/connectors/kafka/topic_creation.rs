//! `'topic.create' = 'if-not-exists'`: CREATE TABLE makes the topics that are not there, with so many partitions as the table says.

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::client::{self, REQUEST_TIMEOUT};
use super::options::KafkaOptions;
use crate::error::{Error, Result};

/// Creates those of the table's topics that are not there; those that are stay as they are.
///
/// # Errors
/// The cluster refuses or does not answer.
pub(super) async fn create_if_absent(options: &KafkaOptions) -> Result<()> {
    let Some(creation) = options.topic_creation else { return Ok(()) };
    let config = client::admin_config(&options.bootstrap_servers, &options.properties);
    let admin: AdminClient<DefaultClientContext> =
        config.create().map_err(|error| client::told(&error, "creating a Kafka client"))?;
    let patience = AdminOptions::new().request_timeout(Some(REQUEST_TIMEOUT)).operation_timeout(Some(REQUEST_TIMEOUT));
    for topic in &options.topics {
        let doing = format!("creating topic \"{topic}\"");
        // -1: the cluster's default.
        let partitions = creation.partitions.unwrap_or(-1);
        let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(-1));
        let results = admin.create_topics([&new], &patience).await.map_err(|error| match error {
            KafkaError::AdminOp(RDKafkaErrorCode::UnsupportedFeature | RDKafkaErrorCode::InvalidArgument) => {
                Error::unsupported(format!("{doing}: brokers before 2.4 do not create topics by their own defaults"))
                    .hint("Create the topic with Kafka's tools.")
            }
            error => client::told(&error, &doing),
        })?;
        match results.into_iter().next() {
            Some(Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => {}
            Some(Err((_, code))) => return Err(client::told_code(code, &doing)),
            None => return Err(Error::unavailable(format!("{doing}: no answer"))),
        }
    }
    Ok(())
}
