//! Properties for librdkafka from what users write for the Java client, what its errors mean to us, and the partitions of a topic.
//! A property that touches files or programs of the server is refused: whoever may create a table may not read its disk.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::TopicPartitionList;
use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::producer::{Producer as _, ProducerContext, ThreadedProducer};

use crate::error::{Error, Result, SqlState};
use crate::nearest::nearest;

/// How long a request of planning or start-up may take.
pub(super) const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Client properties that users may set, by librdkafka's names.
const ALLOWED: &[&str] = &[
    "acks",
    "api.version.request",
    "api.version.request.timeout.ms",
    "batch.num.messages",
    "batch.size",
    "broker.address.family",
    "broker.address.ttl",
    "check.crcs",
    "client.dns.lookup",
    "client.id",
    "client.rack",
    "compression.codec",
    "compression.level",
    "compression.type",
    "connections.max.idle.ms",
    "delivery.timeout.ms",
    "enable.idempotence",
    "enable.metrics.push",
    "enable.ssl.certificate.verification",
    "fetch.error.backoff.ms",
    "fetch.max.bytes",
    "fetch.message.max.bytes",
    "fetch.min.bytes",
    "fetch.queue.backoff.ms",
    "fetch.wait.max.ms",
    "isolation.level",
    "linger.ms",
    "max.in.flight",
    "max.in.flight.requests.per.connection",
    "max.partition.fetch.bytes",
    "message.max.bytes",
    "message.send.max.retries",
    "message.timeout.ms",
    "metadata.max.age.ms",
    "queue.buffering.max.kbytes",
    "queue.buffering.max.messages",
    "queue.buffering.max.ms",
    "queued.max.messages.kbytes",
    "queued.min.messages",
    "receive.message.max.bytes",
    "reconnect.backoff.max.ms",
    "reconnect.backoff.ms",
    "request.required.acks",
    "request.timeout.ms",
    "retries",
    "retry.backoff.max.ms",
    "retry.backoff.ms",
    "sasl.mechanism",
    "sasl.mechanisms",
    "sasl.password",
    "sasl.username",
    "security.protocol",
    "session.timeout.ms",
    "socket.connection.setup.timeout.ms",
    "socket.keepalive.enable",
    "socket.nagle.disable",
    "socket.receive.buffer.bytes",
    "socket.send.buffer.bytes",
    "socket.timeout.ms",
    "ssl.ca.pem",
    "ssl.certificate.pem",
    "ssl.cipher.suites",
    "ssl.curves.list",
    "ssl.endpoint.identification.algorithm",
    "ssl.key.password",
    "ssl.key.pem",
    "ssl.sigalgs.list",
    "sticky.partitioning.linger.ms",
    "topic.metadata.refresh.interval.ms",
    "transaction.timeout.ms",
];

/// Properties only for consumers, and only for producers: librdkafka warns of the other's.
const CONSUMER_ONLY: &[&str] = &[
    "check.crcs",
    "fetch.error.backoff.ms",
    "fetch.max.bytes",
    "fetch.message.max.bytes",
    "fetch.min.bytes",
    "fetch.queue.backoff.ms",
    "fetch.wait.max.ms",
    "isolation.level",
    "max.partition.fetch.bytes",
    "queued.max.messages.kbytes",
    "queued.min.messages",
    "session.timeout.ms",
];
const PRODUCER_ONLY: &[&str] = &[
    "acks",
    "batch.num.messages",
    "batch.size",
    "compression.codec",
    "compression.level",
    "compression.type",
    "delivery.timeout.ms",
    "enable.idempotence",
    "linger.ms",
    "message.send.max.retries",
    "message.timeout.ms",
    "queue.buffering.max.kbytes",
    "queue.buffering.max.messages",
    "queue.buffering.max.ms",
    "request.required.acks",
    "request.timeout.ms",
    "retries",
    "sticky.partitioning.linger.ms",
];

/// Settings of the Java client that mean nothing here: formats and startup modes decide instead, as Flink does too.
const DECIDED_ELSEWHERE: &[&str] = &[
    "key.serializer",
    "value.serializer",
    "key.deserializer",
    "value.deserializer",
    "enable.auto.commit",
    "auto.commit.interval.ms",
    "partition.discovery.interval.ms",
    "client.id.prefix",
    "max.poll.records",
    "max.poll.interval.ms",
    "allow.auto.create.topics",
];

/// Translates one table's `properties.*` into librdkafka's.
///
/// # Errors
/// A property that has no equivalent (SQLSTATE 0A000), or that would touch the server's files or programs (42501).
pub(super) fn translate(properties: BTreeMap<String, String>) -> Result<BTreeMap<String, String>> {
    let mut translated = BTreeMap::new();
    for (name, value) in properties {
        match name.as_str() {
            "sasl.jaas.config" => {
                let (user, password) = read_jaas(&value)?;
                translated.insert("sasl.username".to_owned(), user);
                translated.insert("sasl.password".to_owned(), password);
            }
            "security.protocol" => {
                translated.insert(name, value.trim().to_ascii_lowercase());
            }
            "ssl.endpoint.identification.algorithm" => {
                let value = if value.trim().is_empty() { "none".to_owned() } else { value.to_ascii_lowercase() };
                translated.insert(name, value);
            }
            "ssl.truststore.type" | "ssl.keystore.type" if value.eq_ignore_ascii_case("PEM") => {}
            "ssl.truststore.certificates" => drop(translated.insert("ssl.ca.pem".to_owned(), value)),
            "ssl.keystore.certificate.chain" => drop(translated.insert("ssl.certificate.pem".to_owned(), value)),
            "ssl.keystore.key" => drop(translated.insert("ssl.key.pem".to_owned(), value)),
            "fetch.max.wait.ms" => drop(translated.insert("fetch.wait.max.ms".to_owned(), value)),
            "buffer.memory" => {
                let bytes: u64 = value
                    .trim()
                    .parse()
                    .map_err(|_| Error::invalid(format!("option \"properties.{name}\": cannot read '{value}'")))?;
                translated.insert("queue.buffering.max.kbytes".to_owned(), (bytes / 1024).max(1).to_string());
            }
            known if DECIDED_ELSEWHERE.contains(&known) => {}
            allowed if ALLOWED.contains(&allowed) => drop(translated.insert(name, value)),
            other if is_dangerous(other) => {
                return Err(Error::denied(format!(
                    "option \"properties.{other}\" is not permitted: it would make the server use its own files or programs"
                ))
                .hint("Give certificates as text: properties.ssl.ca.pem, ssl.certificate.pem, ssl.key.pem."));
            }
            other => {
                let error = Error::unsupported(format!("option \"properties.{other}\" has no equivalent here"));
                return Err(match nearest(other, ALLOWED.iter().copied()) {
                    Some(near) => error.hint(format!("Did you mean \"properties.{near}\"?")),
                    None => error.hint("The client is librdkafka; its properties are named in its CONFIGURATION.md."),
                });
            }
        }
    }
    Ok(translated)
}

/// Whether the client knows a property of the operator's and takes its value.
///
/// # Errors
/// It does not.
pub(super) fn check_property(name: &str, value: &str) -> Result<()> {
    let mut config = ClientConfig::new();
    config.set(name, value);
    let error = match config.create_native_config() {
        Ok(_) => return Ok(()),
        Err(error) => error,
    };
    if let KafkaError::ClientConfig(rdkafka::types::RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN, ..) = error {
        const OF_FILES: [&str; 4] =
            ["ssl.ca.location", "ssl.certificate.location", "ssl.key.location", "ssl.keystore.location"];
        let unknown = Error::invalid(format!("unknown client property \"{name}\""));
        return Err(match nearest(name, ALLOWED.iter().chain(&OF_FILES).copied()) {
            Some(near) => unknown.hint(format!("Did you mean \"{near}\"?")),
            None => unknown.hint("The client is librdkafka; its properties are named in its CONFIGURATION.md."),
        });
    }
    Err(told(&error, "reading the client's properties"))
}

fn is_dangerous(name: &str) -> bool {
    ["location", "library.paths", "kinit.cmd", ".file", "url", "keytab", "store", "engine", "providers", "interceptor"]
        .iter()
        .any(|part| name.contains(part))
}

/// User name and password of `…PlainLoginModule required username="…" password="…";`.
fn read_jaas(text: &str) -> Result<(String, String)> {
    let bad = |why: &str| Error::invalid(format!("option \"properties.sasl.jaas.config\" {why}"));
    let module = text.split_whitespace().next().unwrap_or_default();
    if !module.ends_with("PlainLoginModule") && !module.ends_with("ScramLoginModule") {
        return Err(bad("names a login module that is not supported")
            .code(SqlState::FeatureNotSupported)
            .hint("PlainLoginModule and ScramLoginModule are."));
    }
    let value_of = |name: &str| -> Option<String> {
        let mut rest = text;
        loop {
            let at = rest.find(name)?;
            let begins_word = rest[..at].chars().next_back().is_none_or(|before| before.is_whitespace());
            let after = rest[at + name.len()..].trim_start();
            if let Some(value) = after.strip_prefix('=').filter(|_| begins_word) {
                let value = value.trim_start();
                let Some(quoted) = value.strip_prefix('"') else {
                    return value.split([' ', ';', '\n', '\t']).next().map(str::to_owned);
                };
                let mut read = String::new();
                let mut chars = quoted.chars();
                while let Some(char) = chars.next() {
                    match char {
                        '"' => return Some(read),
                        '\\' => read.extend(chars.next()),
                        other => read.push(other),
                    }
                }
                return None;
            }
            rest = &rest[at + name.len()..];
        }
    };
    match (value_of("username"), value_of("password")) {
        (Some(user), Some(password)) => Ok((user, password)),
        _ => Err(bad("has no username or password")),
    }
}

/// A configuration for a consumer: no group membership, no commits of its own, nothing skipped when an offset is gone.
pub(super) fn consumer_config(
    bootstrap: &str,
    properties: &BTreeMap<String, String>,
    group_id: &str,
    reset: &str,
) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", bootstrap)
        .set("client.id", "streamgate")
        .set("isolation.level", "read_committed")
        // Latency first: the broker answers as soon as there is a byte.
        .set("fetch.wait.max.ms", "10")
        .set("fetch.min.bytes", "1")
        .set("fetch.error.backoff.ms", "100")
        // What one partition may have fetched ahead, and how long a full one pauses.
        .set("queued.max.messages.kbytes", "4096")
        .set("fetch.queue.backoff.ms", "20")
        .set("reconnect.backoff.max.ms", "2000")
        .set("socket.nagle.disable", "true");
    for (name, value) in properties.iter().filter(|(name, _)| !PRODUCER_ONLY.contains(&name.as_str())) {
        config.set(name, value);
    }
    config
        .set("group.id", group_id)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("enable.partition.eof", "true")
        .set("allow.auto.create.topics", "false")
        .set("auto.offset.reset", reset);
    config.set_log_level(RDKafkaLogLevel::Warning);
    config
}

/// A configuration for the consumer of a job, which may have nothing to read for hours: it lets the broker hold an empty fetch
/// for longer than a bounded scan does, which costs an idle job a tenth of the requests. A record that arrives ends the wait.
pub(super) fn stream_config(bootstrap: &str, properties: &BTreeMap<String, String>, group_id: &str) -> ClientConfig {
    let mut config = consumer_config(bootstrap, properties, group_id, "error");
    if !properties.contains_key("fetch.wait.max.ms") {
        config.set("fetch.wait.max.ms", "100");
    }
    config
}

/// A configuration for a producer: every record once and in order per partition, soon.
pub(super) fn producer_config(bootstrap: &str, properties: &BTreeMap<String, String>) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", bootstrap)
        .set("client.id", "streamgate")
        .set("enable.idempotence", "true")
        .set("linger.ms", "2")
        .set("queue.buffering.max.messages", "100000")
        .set("queue.buffering.max.kbytes", "65536")
        .set("reconnect.backoff.max.ms", "2000")
        .set("socket.nagle.disable", "true")
        // As the Java client: records of one key in one partition, whoever writes them.
        .set("partitioner", "murmur2_random");
    for (name, value) in properties.iter().filter(|(name, _)| !CONSUMER_ONLY.contains(&name.as_str())) {
        config.set(name, value);
    }
    config.set_log_level(RDKafkaLogLevel::Warning);
    config
}

/// A configuration for a client that neither reads nor writes.
pub(super) fn admin_config(bootstrap: &str, properties: &BTreeMap<String, String>) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap).set("client.id", "streamgate");
    let is_of_all = |name: &str| !CONSUMER_ONLY.contains(&name) && !PRODUCER_ONLY.contains(&name);
    for (name, value) in properties.iter().filter(|(name, _)| is_of_all(name)) {
        config.set(name, value);
    }
    config.set_log_level(RDKafkaLogLevel::Warning);
    config
}

/// What failed with a record that was sent to this topic.
pub(super) fn undelivered(topic: &str) -> String {
    format!("a record for topic \"{topic}\" was not delivered")
}

/// Takes librdkafka's log lines and errors to tracing, at most one repeated kind a second.
#[derive(Debug, Default)]
pub(super) struct Context {
    last_error: Mutex<Option<String>>,
    last_told: Mutex<Option<Instant>>,
    untold: AtomicU64,
    /// How often all connections were lost.
    cuts: AtomicU64,
}

impl Context {
    /// The latest connection error, which says more than the time-out that follows from it.
    pub fn last_error(&self) -> Option<String> {
        self.last_error.lock().clone()
    }

    /// How often all connections were lost: whoever waits for an answer meanwhile need not wait for its time-out.
    pub fn cuts(&self) -> u64 {
        self.cuts.load(Ordering::Acquire)
    }

    /// What the failure of a delivery to a topic means to us, with the connection's latest trouble as its detail.
    pub fn undelivered(&self, error: &KafkaError, topic: &str) -> Error {
        let told = told(error, &undelivered(topic));
        match self.last_error() {
            Some(last) => told.detail(format!("Last error of the connection: {last}.")),
            None => told,
        }
    }

    /// Notes a line; true if it may be written now.
    fn may_tell(&self) -> bool {
        let mut last = self.last_told.lock();
        let now = Instant::now();
        if last.is_some_and(|last| now.duration_since(last) < Duration::from_secs(1)) {
            self.untold.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        *last = Some(now);
        true
    }

    pub fn tell(&self, text: &str) {
        if self.may_tell() {
            let untold = self.untold.swap(0, Ordering::Relaxed);
            tracing::warn!(target: "streamgate::kafka", untold, "{text}");
        }
    }
}

impl ClientContext for Context {
    fn log(&self, _level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.tell(&format!("librdkafka {facility}: {message}"));
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown) {
            self.cuts.fetch_add(1, Ordering::AcqRel);
        }
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::PartitionEOF) {
            *self.last_error.lock() = Some(reason.to_owned());
            self.tell(&format!("librdkafka: {error}: {reason}"));
        }
    }
}

impl ConsumerContext for Context {
    fn commit_callback(&self, result: KafkaResult<()>, _offsets: &TopicPartitionList) {
        if let Err(error) = result {
            self.tell(&format!("offsets could not be committed to the group (only lag tools need them): {error}"));
        }
    }
}

/// What an error of the client means to us.
pub(super) fn told(error: &KafkaError, doing: &str) -> Error {
    if let KafkaError::ClientConfig(_, description, name, _) = error {
        return Error::invalid(format!("option \"properties.{name}\": {description}"));
    }
    if let KafkaError::ClientCreation(text) = error {
        return Error::invalid(format!("{doing}: {text}"));
    }
    if let KafkaError::AdminOp(code) = error {
        return told_code(*code, doing);
    }
    let Some(code) = error.rdkafka_error_code() else {
        return Error::unavailable(format!("{doing}: {error}"));
    };
    told_code(code, doing)
}

/// What an error code means to us.
pub(super) fn told_code(code: RDKafkaErrorCode, doing: &str) -> Error {
    use RDKafkaErrorCode as Code;
    let text = format!("{doing}: {code}");
    match code {
        Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownPartition => Error::not_found(text),
        Code::TopicAuthorizationFailed | Code::GroupAuthorizationFailed | Code::ClusterAuthorizationFailed => {
            Error::denied(text)
        }
        Code::MessageSizeTooLarge | Code::InvalidMessageSize | Code::InvalidTopic | Code::InvalidRecord => {
            Error::invalid(text)
        }
        Code::AutoOffsetReset | Code::OffsetOutOfRange => Error::corrupt(text),
        _ => Error::unavailable(text),
    }
}

/// The partitions of a topic. Blocks.
pub(super) fn partitions<C: ProducerContext>(producer: &ThreadedProducer<C>, topic: &str) -> Result<Vec<i32>> {
    let doing = format!("reading the partitions of topic \"{topic}\"");
    let metadata =
        producer.client().fetch_metadata(Some(topic), REQUEST_TIMEOUT).map_err(|error| told(&error, &doing))?;
    let mut partitions: Vec<i32> =
        metadata.topics().iter().flat_map(|found| found.partitions().iter().map(|partition| partition.id())).collect();
    partitions.sort_unstable();
    if partitions.is_empty() {
        return Err(Error::not_found(format!("topic \"{topic}\" does not exist")));
    }
    Ok(partitions)
}
