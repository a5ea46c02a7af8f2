//! Kafka topics as tables: `options` reads what was declared, `client` makes librdkafka's settings of it, `read` serves queries and
//! jobs, `write` makes records of rows.

mod client;
mod options;
mod range;
mod read;
mod topic_creation;
pub(in crate::connectors) mod write;
mod writing;

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use rdkafka::consumer::Consumer as _;

pub use options::{KafkaOptions, OPTIONS, UPSERT_OPTIONS};
use write::statement_producers::StatementProducers;

use super::connector::{Advice, Connector, Table};
use super::declaration::TableDeclaration;
use super::defaults::ConnectorDefaults;
use crate::changelog::Changelog;
use crate::error::{Error, ErrorKind, Result};
use crate::options::{OptionGroups, OptionReader};

/// How long CREATE TABLE waits for the brokers.
const CREATE_TIMEOUT: Duration = Duration::from_secs(3);

/// The connector `kafka`.
pub struct KafkaConnector {
    defaults: ConnectorDefaults,
    producers: Arc<StatementProducers>,
}

impl KafkaConnector {
    /// The connector with the server's defaults for blank bootstrap servers.
    pub fn new(defaults: ConnectorDefaults) -> Self {
        Self { defaults, producers: Arc::default() }
    }

    /// The producers that statements share, for the connector beside this one.
    pub(super) fn producers(&self) -> &Arc<StatementProducers> {
        &self.producers
    }
}

impl Connector for KafkaConnector {
    fn name(&self) -> &'static str {
        "kafka"
    }

    fn options(&self) -> OptionGroups {
        OPTIONS
    }

    fn open(&self, options: &mut OptionReader, table: &TableDeclaration) -> Result<Table> {
        Ok(table_of(KafkaOptions::take(options, table, &self.defaults)?, &self.producers))
    }

    fn create<'a>(
        &'a self,
        options: &'a mut OptionReader,
        table: &'a TableDeclaration,
    ) -> BoxFuture<'a, Result<Vec<Advice>>> {
        let read = KafkaOptions::take(options, table, &self.defaults);
        advise(read.and_then(|read| may_have_key(&read, table).map(|()| read)))
    }
}

/// A PRIMARY KEY of a table whose records hold rows says what nobody sees to: each record is a row, whatever its key.
fn may_have_key(options: &KafkaOptions, table: &TableDeclaration) -> Result<()> {
    if table.primary_key.is_empty() || options.changelog != Changelog::Append {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "table \"{}\": connector \"kafka\" with format \"{}\" cannot have a PRIMARY KEY, whose semantics it does not guarantee",
        table.name,
        options.value_format.name()
    ))
    .hint("Use connector \"upsert-kafka\", a format of changes such as debezium-json, or no PRIMARY KEY."))
}

/// What a table can do.
pub(super) fn table_of(options: KafkaOptions, producers: &Arc<StatementProducers>) -> Table {
    let options = Arc::new(options);
    Table {
        source: Some(Arc::new(read::source::KafkaSource::new(options.clone()))),
        scan: Some(Arc::new(read::scan::KafkaScan::new(options.clone()))),
        lookup: None,
        sink: Some(Arc::new(write::sink::KafkaSink::new(options, producers.clone()))),
    }
}

/// What CREATE TABLE tells about a table.
pub(super) fn advise(options: Result<KafkaOptions>) -> BoxFuture<'static, Result<Vec<Advice>>> {
    Box::pin(async move {
        let options = options?;
        let mut advice = Vec::new();
        if options.is_embedded {
            advice.push(Advice::Notice(format!(
                "table \"{}\" lives in the embedded Kafka of this server (for development)",
                options.table
            )));
        }
        topic_creation::create_if_absent(&options).await?;
        let asked = tokio::task::spawn_blocking(move || ask(&options))
            .await
            .map_err(|error| Error::internal(format!("asking Kafka: {error}")))?;
        advice.extend(asked?);
        Ok(advice)
    })
}

/// Whether the topics are there. A broker that does not answer does not hinder CREATE TABLE.
fn ask(options: &KafkaOptions) -> Result<Vec<Advice>> {
    let config = client::consumer_config(&options.bootstrap_servers, &options.properties, &options.group_id, "error");
    let consumer = read::consumer::Consumer::start(&config)?;
    let mut advice = Vec::new();
    for topic in &options.topics {
        match read::offsets::partitions(&consumer, topic, CREATE_TIMEOUT) {
            Ok(found) => {
                let wanted = options.topic_creation.and_then(|creation| creation.partitions);
                if let Some(wanted) = wanted.filter(|wanted| usize::try_from(*wanted) != Ok(found.len())) {
                    advice.push(Advice::Warning(format!(
                        "topic \"{topic}\" is there with {} partitions, not with {wanted}; it stays as it is",
                        found.len()
                    )));
                }
            }
            Err(error) if error.kind() == ErrorKind::NotFound => advice.push(Advice::Notice(format!(
                "topic \"{topic}\" does not exist yet; Kafka creates it with the first record, if its settings permit, and a job that \
                 reads it waits"
            ))),
            Err(error) => {
                advice.push(Advice::Warning(format!("Kafka at {}: {error}", options.bootstrap_servers)));
                break;
            }
        }
    }
    Ok(advice)
}

/// Whether the client takes the properties of the default cluster; names the nearest known one otherwise.
///
/// # Errors
/// One of them is unknown, or has a value that the client does not take.
pub fn check_properties(defaults: &ConnectorDefaults) -> Result<()> {
    for (name, value) in &defaults.kafka_properties {
        client::check_property(name, value).map_err(|error| error.context("kafka.properties"))?;
    }
    let servers = defaults.kafka_bootstrap_servers.as_deref().unwrap_or_default();
    // What only shows together: a mechanism without a password, a file that is not there.
    let config = client::consumer_config(servers, &defaults.kafka_properties, "streamgate-check", "error");
    read::consumer::Consumer::start(&config).map(drop).map_err(|error| error.context("kafka.properties"))
}

/// Asks the default cluster for its brokers; gives what can be said of it.
///
/// # Errors
/// No broker answers.
pub async fn ask_default(defaults: &ConnectorDefaults) -> Result<String> {
    check_properties(defaults)?;
    let servers = defaults.kafka_bootstrap_servers.clone().unwrap_or_default();
    let config = client::consumer_config(&servers, &defaults.kafka_properties, "streamgate-check", "error");
    let asked = tokio::task::spawn_blocking(move || {
        let consumer = read::consumer::Consumer::start(&config)?;
        let metadata = consumer
            .client()
            .fetch_metadata(None, CREATE_TIMEOUT)
            .map_err(|error| consumer.told(&error, "asking for its brokers"))?;
        let count = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
        Ok(format!("{}, {}", count(metadata.brokers().len(), "broker"), count(metadata.topics().len(), "topic")))
    });
    asked.await.map_err(|error| Error::internal(format!("asking Kafka: {error}")))?
}

#[cfg(test)]
mod tests;
