//! A job's own topic of decisions: one partition, compacted, without retention. Each transaction of the job puts its decision there,
//! so the last one that a committed read finds is what the job has decided. Beside it stands who owns the job's transactions.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
use serde::{Deserialize, Serialize};

use crate::connectors::kafka::client::{self, Context, REQUEST_TIMEOUT};
use crate::connectors::kafka::options::KafkaOptions;
use crate::connectors::transactions::Decision;
use crate::error::{Error, Result};

/// Records looked at from the end first; further back only when no decision is among them.
const TAIL_RECORDS: i64 = 100;
/// The same where only who has written is looked for.
const OWNER_TAIL_RECORDS: i64 = 10;
/// How long markers of a transaction that is decided may take to reach the partition.
const STABLE_TIMEOUT: Duration = Duration::from_secs(70);
const POLL: Duration = Duration::from_millis(100);

/// The end of a partition is no error that the log should tell.
type Reader = BaseConsumer<Context>;

/// What a record of the topic says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ProgressRecord {
    /// Who wrote it: one opening of the job's transactions.
    pub owner: String,
    /// Absent when an owner only tells that it has taken over.
    pub decision: Option<Decision>,
}

/// What the end of the topic says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct LastProgress {
    /// Who has written last.
    pub owner: Option<String>,
    /// The last decision.
    pub decision: Option<Decision>,
}

pub(super) struct ProgressTopic {
    pub name: String,
    options: Arc<KafkaOptions>,
}

impl ProgressTopic {
    pub fn new(options: Arc<KafkaOptions>, job_id: &str) -> Self {
        Self { name: format!("streamgate-progress-{job_id}"), options }
    }

    fn config(&self, isolation: &str) -> ClientConfig {
        let group = "streamgate-progress";
        let mut config =
            client::consumer_config(&self.options.bootstrap_servers, &self.options.properties, group, "error");
        config.set("isolation.level", isolation);
        config
    }

    fn admin(&self) -> Result<(AdminClient<DefaultClientContext>, AdminOptions)> {
        let config = client::admin_config(&self.options.bootstrap_servers, &self.options.properties);
        let admin = config.create().map_err(|error| client::told(&error, "creating a Kafka client"))?;
        let options =
            AdminOptions::new().request_timeout(Some(REQUEST_TIMEOUT)).operation_timeout(Some(REQUEST_TIMEOUT));
        Ok((admin, options))
    }

    /// Makes sure that the topic is there.
    pub async fn create(&self) -> Result<()> {
        let doing = format!("creating topic \"{}\"", self.name);
        let (admin, options) = self.admin()?;
        // -1: the cluster's default; brokers before 2.4 have none.
        for replication in [-1, 1] {
            let topic = NewTopic::new(&self.name, 1, TopicReplication::Fixed(replication))
                .set("cleanup.policy", "compact")
                .set("retention.ms", "-1");
            let results = match admin.create_topics([&topic], &options).await {
                Ok(results) => results,
                Err(KafkaError::AdminOp(RDKafkaErrorCode::UnsupportedFeature | RDKafkaErrorCode::InvalidArgument))
                    if replication == -1 =>
                {
                    continue;
                }
                Err(error) => return Err(client::told(&error, &doing)),
            };
            match results.into_iter().next() {
                Some(Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => return Ok(()),
                Some(Err((_, RDKafkaErrorCode::InvalidReplicationFactor))) if replication == -1 => {}
                Some(Err((_, code))) => return Err(client::told_code(code, &doing)),
                None => return Err(Error::unavailable(format!("{doing}: no answer"))),
            }
        }
        Err(Error::invalid(format!("{doing}: the cluster accepts neither its default replication factor nor 1"))
            .hint("Create it: one partition, cleanup.policy=compact, retention.ms=-1."))
    }

    /// Removes the topic.
    pub async fn delete(&self) -> Result<()> {
        let doing = format!("deleting topic \"{}\"", self.name);
        let (admin, options) = self.admin()?;
        let results =
            admin.delete_topics(&[&self.name], &options).await.map_err(|error| client::told(&error, &doing))?;
        match results.into_iter().next() {
            Some(Err((_, code))) if code != RDKafkaErrorCode::UnknownTopicOrPartition => {
                Err(client::told_code(code, &doing))
            }
            _ => Ok(()),
        }
    }

    /// Reads the end of the topic, everything included that was committed before the call. Blocks.
    pub fn read(&self) -> Result<LastProgress> {
        let doing = format!("reading topic \"{}\"", self.name);
        let told = |error: &KafkaError| client::told(error, &doing);
        let reader = |isolation| -> Result<Reader> {
            self.config(isolation).create_with_context(Context::default()).map_err(|error| told(&error))
        };
        let (all, committed) = (reader("read_uncommitted")?, reader("read_committed")?);
        let (start, end) =
            wait_for_topic(|| all.fetch_watermarks(&self.name, 0, REQUEST_TIMEOUT)).map_err(|e| told(&e))?;
        // What the former owner left open is ended by now, but its markers may still be on their way.
        let deadline = Instant::now() + STABLE_TIMEOUT;
        while committed.fetch_watermarks(&self.name, 0, REQUEST_TIMEOUT).map_err(|error| told(&error))?.1 < end {
            if Instant::now() >= deadline {
                return Err(Error::unavailable(format!("{doing}: a transaction there does not end")));
            }
            std::thread::sleep(POLL);
        }
        let mut tail = TAIL_RECORDS;
        loop {
            let from = start.max(end.saturating_sub(tail));
            let last = if from < end { self.read_from(&committed, from).map_err(|e| told(&e))? } else { Vec::new() };
            let mut records = last.into_iter().rev();
            let mut found = LastProgress::default();
            for bytes in &mut records {
                let record: ProgressRecord = serde_json::from_slice(&bytes).map_err(|error| {
                    Error::corrupt(format!(
                        "topic \"{}\" holds a record that streamgate did not write: {error}",
                        self.name
                    ))
                })?;
                found.owner.get_or_insert(record.owner);
                if record.decision.is_some() {
                    found.decision = record.decision;
                    break;
                }
            }
            if found.decision.is_some() || from == start {
                return Ok(found);
            }
            tail = tail.saturating_mul(10);
        }
    }

    /// Who has written last, whether that is committed or not: whoever writes has shut out all others before. Waits for no transaction.
    /// Blocks.
    pub fn read_owner(&self) -> Result<Option<String>> {
        let doing = format!("reading topic \"{}\"", self.name);
        let told = |error: &KafkaError| client::told(error, &doing);
        let all: Reader =
            self.config("read_uncommitted").create_with_context(Context::default()).map_err(|error| told(&error))?;
        let (start, end) =
            wait_for_topic(|| all.fetch_watermarks(&self.name, 0, REQUEST_TIMEOUT)).map_err(|e| told(&e))?;
        // The last records may be markers, which end transactions.
        let mut tail = OWNER_TAIL_RECORDS;
        loop {
            let from = start.max(end.saturating_sub(tail));
            let last = if from < end { self.read_from(&all, from).map_err(|e| told(&e))? } else { Vec::new() };
            let owner = last.iter().rev().find_map(|bytes| serde_json::from_slice::<ProgressRecord>(bytes).ok());
            if owner.is_some() || from == start {
                return Ok(owner.map(|record| record.owner));
            }
            tail = tail.saturating_mul(10);
        }
    }

    /// The committed records from an offset to the end.
    fn read_from(&self, consumer: &Reader, from: i64) -> Result<Vec<Vec<u8>>, KafkaError> {
        let mut assignment = TopicPartitionList::new();
        assignment.add_partition_offset(&self.name, 0, Offset::Offset(from))?;
        consumer.assign(&assignment)?;
        let mut records = Vec::new();
        let deadline = Instant::now() + STABLE_TIMEOUT;
        loop {
            match consumer.poll(POLL) {
                Some(Ok(record)) => records.extend(record.payload().map(<[u8]>::to_vec)),
                Some(Err(KafkaError::PartitionEOF(_))) => break,
                Some(Err(error)) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::AutoOffsetReset) => {
                    return Err(error);
                }
                // Connections come back by themselves.
                Some(Err(error)) if Instant::now() >= deadline => return Err(error),
                None if Instant::now() >= deadline => {
                    return Err(KafkaError::MessageConsumption(RDKafkaErrorCode::OperationTimedOut));
                }
                Some(Err(_)) | None => {}
            }
        }
        consumer.unassign()?;
        Ok(records)
    }
}

/// A topic that was just made is not known to all brokers yet.
fn wait_for_topic<T>(ask: impl Fn() -> Result<T, KafkaError>) -> Result<T, KafkaError> {
    let deadline = Instant::now() + REQUEST_TIMEOUT;
    loop {
        match ask() {
            Err(error)
                if Instant::now() < deadline
                    && matches!(
                        error.rdkafka_error_code(),
                        Some(
                            RDKafkaErrorCode::UnknownTopicOrPartition
                                | RDKafkaErrorCode::UnknownPartition
                                | RDKafkaErrorCode::UnknownTopic
                                | RDKafkaErrorCode::LeaderNotAvailable
                                | RDKafkaErrorCode::NotLeaderForPartition
                        )
                    ) =>
            {
                std::thread::sleep(POLL);
            }
            answer => return answer,
        }
    }
}
