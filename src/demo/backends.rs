//! The demo's own way to Kafka and DynamoDB: plain clients at the server's default addresses, beside the connectors.

use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use aws_smithy_http_client::tls;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::types::RDKafkaErrorCode;

use crate::connectors::ConnectorDefaults;
use crate::error::{Error, Result};

/// The topic of `sql/tables/kafka_orders.sql`.
pub const TOPIC: &str = "orders";
/// The DynamoDB table of `sql/tables/user_features.sql`.
pub const FEATURES_TABLE: &str = "user_features";

/// The table that the job over orders by user and month fills.
pub const MONTHLY_TABLE: &str = "order_sum_monthly";
/// Partitions of the topic, if the demo makes it.
const PARTITIONS: i32 = 4;

/// Client settings for the default Kafka.
///
/// # Errors
/// The server has none.
pub fn kafka(defaults: &ConnectorDefaults) -> Result<ClientConfig> {
    let servers = defaults.kafka_bootstrap_servers.as_ref().ok_or_else(|| {
        Error::invalid("the demo needs a Kafka").hint("Leave out kafka.embedded = false, or name bootstrap servers.")
    })?;
    let mut config = ClientConfig::new();
    for (name, value) in &defaults.kafka_properties {
        config.set(name, value);
    }
    config.set("bootstrap.servers", servers);
    Ok(config)
}

/// Makes the topic if it is not there.
///
/// # Errors
/// Kafka refuses or does not answer.
pub async fn create_topic(kafka: &ClientConfig) -> Result<()> {
    let admin: AdminClient<DefaultClientContext> =
        kafka.create().map_err(|error| failed("cannot open a Kafka client", &error))?;
    let topic = NewTopic::new(TOPIC, PARTITIONS, TopicReplication::Fixed(1));
    let outcomes = admin
        .create_topics([&topic], &AdminOptions::new())
        .await
        .map_err(|error| failed("cannot create the topic", &error))?;
    for outcome in outcomes {
        match outcome {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((topic, code)) => return Err(Error::unavailable(format!("cannot create topic \"{topic}\": {code}"))),
        }
    }
    Ok(())
}

/// A client of the default DynamoDB.
pub async fn dynamodb(defaults: &ConnectorDefaults) -> aws_sdk_dynamodb::Client {
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring))
        .build_https();
    let mut loader = aws_config::defaults(BehaviorVersion::latest()).http_client(http);
    if let Some(endpoint) = &defaults.dynamodb_endpoint {
        loader = loader.endpoint_url(endpoint);
    }
    if let Some(region) = &defaults.aws_region {
        loader = loader.region(Region::new(region.clone()));
    }
    if let Some((access_key, secret_key)) = &defaults.aws_credentials {
        loader = loader.credentials_provider(Credentials::new(access_key, secret_key, None, None, "configuration"));
    }
    aws_sdk_dynamodb::Client::new(&loader.load().await)
}

/// An outside system's error in our words.
pub fn failed(doing: &str, error: &dyn std::error::Error) -> Error {
    let mut text = format!("{doing}: {error}");
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    Error::unavailable(text)
}
