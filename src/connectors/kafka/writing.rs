//! How a topic is written and made, as the options of its table say. Makes no request.

use std::time::Duration;

use crate::error::{Error, Result, SqlState};
use crate::options::OptionKind::{Duration as Time, Text, Whole};
use crate::options::{Named, OptionEntry, OptionReader, option_entries};

/// Which partition a record goes to (`sink.partitioner`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Partitioner {
    /// By the key's hash, as the Java client; without a key, any.
    Default,
    /// One writer, one partition.
    Fixed,
    /// One after the other.
    RoundRobin,
}

/// How CREATE TABLE makes topics that are not there (`topic.create`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TopicCreation {
    /// `topic.create.partitions`; absent: the cluster's default.
    pub partitions: Option<i32>,
}

/// How a job writes in transactions (`sink.delivery-guarantee` = exactly-once).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionOptions {
    /// `sink.transactional-id-prefix`: the job's id follows it.
    pub transactional_id_prefix: String,
    /// `properties.transaction.timeout.ms`.
    pub timeout: Duration,
}

option_entries! {
    /// Of writing, for both connectors.
    pub(super) WRITING:
    TOPIC_CREATE = OptionEntry::choice("topic.create", &["never", "if-not-exists"],
        "Whether CREATE TABLE makes topics that are not there.").or("never");
    TOPIC_PARTITIONS = OptionEntry::new("topic.create.partitions", Whole(1, i32::MAX as i64),
        "Partitions of a topic that CREATE TABLE makes. Needs `topic.create`.").or_else("the cluster's");
    GUARANTEE = OptionEntry::choice("sink.delivery-guarantee", &["none", "at-least-once", "exactly-once"],
        "Whether a job writes in transactions. `none` means `at-least-once`.")
        .also(&["sink.semantic"]).or("at-least-once");
    ID_PREFIX = OptionEntry::new("sink.transactional-id-prefix", Text,
        "What the id of a job's transactions begins with; the job's id follows.").or("streamgate");
    NAMING = OptionEntry::choice("sink.transaction-naming-strategy", &["DEFAULT", "INCREMENTING", "POOLING"],
        "Without effect: a job has one id, which it keeps.").or("DEFAULT");
    TRANSACTION_TIMEOUT = OptionEntry::new("properties.transaction.timeout.ms", Whole(1000, i32::MAX as i64),
        "Milliseconds for which a dead job's transaction may hold readers back. For `exactly-once`.").or("60000");
    SINK_PARALLELISM = OptionEntry::refused("sink.parallelism", "Number of writers.");
}

option_entries! {
    /// Of writing, for `kafka` alone.
    pub(super) PARTITIONING:
    PARTITIONER = OptionEntry::choice("sink.partitioner", &["default", "fixed", "round-robin"],
        "To which partition a record goes: by its key's hash, to one for each writer, or to one after the other.")
        .or("default");
}

option_entries! {
    /// Of writing, for `upsert-kafka` alone.
    pub(super) BUFFER_FLUSH:
    FLUSH_ROWS = OptionEntry::new("sink.buffer-flush.max-rows", Whole(0, i64::MAX),
        "With a number above 0, of rows that come together only the last of each key is sent. Nothing is held back for it.")
        .or("0");
    FLUSH_INTERVAL = OptionEntry::new("sink.buffer-flush.interval", Time,
        "Above 0 together with `sink.buffer-flush.max-rows`, or neither.").or("0 s");
}

/// The delivery guarantee and what belongs to it; the timeout stands among the client's properties.
pub(super) fn take_transaction(
    options: &mut OptionReader,
    timeout_ms: Option<String>,
) -> Result<Option<TransactionOptions>> {
    let (guarantee, timeout) = (Named::from(&GUARANTEE), Named::from(&TRANSACTION_TIMEOUT));
    let given = options.take_alias(&GUARANTEE)?;
    let prefix = options.take_non_blank(&ID_PREFIX);
    options.take_choice_or(&NAMING)?;
    let timeout_ms: u32 = timeout.whole(timeout_ms.as_deref().unwrap_or(timeout.default_value()?))?;
    if guarantee.word(given.as_deref().unwrap_or(guarantee.default_value()?))? != "exactly-once" {
        return Ok(None);
    }
    Ok(Some(TransactionOptions {
        transactional_id_prefix: prefix
            .map_or_else(|| Named::from(&ID_PREFIX).default_value().map(str::to_owned), Ok)?,
        timeout: Duration::from_millis(timeout_ms.into()),
    }))
}

pub(super) fn take_topic_creation(options: &mut OptionReader) -> Result<Option<TopicCreation>> {
    let partitions: Option<i32> = options.take_whole(&TOPIC_PARTITIONS)?;
    let creates = options.take_choice_or(&TOPIC_CREATE)? == "if-not-exists";
    if partitions.is_some() && !creates {
        return Err(Error::invalid("option \"topic.create.partitions\" needs 'topic.create' = 'if-not-exists'"));
    }
    Ok(creates.then_some(TopicCreation { partitions }))
}

pub(super) fn take_partitioner(options: &mut OptionReader) -> Result<Partitioner> {
    let partitioner = Named::from(&PARTITIONER);
    let given = options.take_non_blank(&PARTITIONER);
    // What else could stand there is a Java class.
    let word =
        given.as_deref().map(|text| partitioner.word(text).map_err(|error| error.code(SqlState::FeatureNotSupported)));
    Ok(match word.transpose()? {
        Some("fixed") => Partitioner::Fixed,
        Some("round-robin") => Partitioner::RoundRobin,
        _ => Partitioner::Default,
    })
}

/// Both bounds must be above 0, as in Flink.
pub(super) fn take_buffer_flush(options: &mut OptionReader) -> Result<bool> {
    let rows_max: u64 = options.take_whole_or(&FLUSH_ROWS)?;
    let interval = options.take_duration_or(&FLUSH_INTERVAL)?;
    if (rows_max > 0) != (interval > Duration::ZERO) {
        return Err(Error::invalid(
            "options \"sink.buffer-flush.max-rows\" and \"sink.buffer-flush.interval\" must both be greater than 0, or neither",
        ));
    }
    Ok(rows_max > 0)
}

/// What Flink has for writers and this has not.
pub(super) fn refuse_others(options: &mut OptionReader) -> Result<()> {
    options.refuse(&[&SINK_PARALLELISM])
}
