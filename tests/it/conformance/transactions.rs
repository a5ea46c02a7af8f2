//! Kafka's transactions through rdkafka: what readers see of them, who may end them, and offsets within them.

use std::time::Instant;

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::kafka::{consumer, eventually, producer, record, text, topic};
use crate::backends::{PATIENCE, unique};

pub const COMMITTED: &str = "read_committed";
pub const UNCOMMITTED: &str = "read_uncommitted";

pub fn transactional(config: &ClientConfig, id: &str, settings: &[(&str, &str)]) -> FutureProducer {
    let producer = producer(config, &[&[("transactional.id", id)], settings].concat());
    producer.init_transactions(PATIENCE).unwrap();
    producer
}

pub async fn send(producer: &FutureProducer, topic: &str, value: &str) {
    let delivered = producer.send(record(topic, 0, "k", value), PATIENCE).await;
    delivered.map_err(|(error, _)| error).unwrap();
}

fn reader(config: &ClientConfig, group: &str, isolation: &str) -> BaseConsumer {
    let mut config = config.clone();
    config.set("isolation.level", isolation).set("enable.partition.eof", "true");
    consumer(&config, group)
}

/// What a reader sees of partition 0 until it is told that it stands at the end.
pub fn values(config: &ClientConfig, topic: &str, isolation: &str) -> Vec<String> {
    let reader = reader(config, &unique("reader"), isolation);
    let mut assignment = TopicPartitionList::new();
    assignment.add_partition_offset(topic, 0, Offset::Beginning).unwrap();
    reader.assign(&assignment).unwrap();
    let deadline = Instant::now() + PATIENCE;
    let mut values = Vec::new();
    loop {
        assert!(Instant::now() < deadline, "the end did not come after {values:?}");
        match reader.poll(PATIENCE) {
            Some(Ok(record)) => values.push(text(&record.detach()).to_owned()),
            Some(Err(KafkaError::PartitionEOF(_))) => return values,
            Some(Err(error)) => panic!("{error}"),
            None => {}
        }
    }
}

fn fatal(error: &KafkaError) -> Option<RDKafkaErrorCode> {
    match error {
        KafkaError::Transaction(error) if error.is_fatal() => Some(error.code()),
        _ => None,
    }
}

#[tokio::test]
async fn a_transaction_is_visible_once_it_is_committed() {
    let (config, name) = topic(1).await;
    let producer = transactional(&config, &unique("id"), &[]);
    producer.begin_transaction().unwrap();
    for value in ["a", "b"] {
        send(&producer, &name, value).await;
    }
    assert!(values(&config, &name, COMMITTED).is_empty());
    assert_eq!(values(&config, &name, UNCOMMITTED), ["a", "b"]);
    producer.commit_transaction(PATIENCE).unwrap();
    assert_eq!(values(&config, &name, COMMITTED), ["a", "b"]);
}

#[tokio::test]
async fn an_aborted_transaction_is_never_visible() {
    let (config, name) = topic(1).await;
    let producer = transactional(&config, &unique("id"), &[]);
    for round in 0..3 {
        producer.begin_transaction().unwrap();
        send(&producer, &name, &format!("aborted {round}")).await;
        producer.abort_transaction(PATIENCE).unwrap();
        producer.begin_transaction().unwrap();
        send(&producer, &name, &format!("committed {round}")).await;
        producer.commit_transaction(PATIENCE).unwrap();
    }
    assert_eq!(values(&config, &name, COMMITTED), ["committed 0", "committed 1", "committed 2"]);
    assert_eq!(values(&config, &name, UNCOMMITTED).len(), 6);
}

#[tokio::test]
async fn an_open_transaction_holds_back_what_came_after_it() {
    let (config, name) = topic(1).await;
    let plain = producer(&config, &[]);
    let committing = transactional(&config, &unique("id"), &[]);
    let open = transactional(&config, &unique("id"), &[]);
    send(&plain, &name, "before").await;
    open.begin_transaction().unwrap();
    send(&open, &name, "open").await;
    send(&plain, &name, "after").await;
    committing.begin_transaction().unwrap();
    send(&committing, &name, "committed").await;
    committing.commit_transaction(PATIENCE).unwrap();
    assert_eq!(values(&config, &name, COMMITTED), ["before"]);
    let ends = [COMMITTED, UNCOMMITTED]
        .map(|isolation| reader(&config, &unique("reader"), isolation).fetch_watermarks(&name, 0, PATIENCE).unwrap().1);
    assert_eq!(ends, [1, 5]);
    open.abort_transaction(PATIENCE).unwrap();
    assert_eq!(values(&config, &name, COMMITTED), ["before", "after", "committed"]);
}

#[tokio::test]
async fn a_transaction_holds_for_all_its_partitions() {
    let (config, name) = topic(3).await;
    let producer = transactional(&config, &unique("id"), &[]);
    producer.begin_transaction().unwrap();
    for partition in 0..3 {
        let delivered = producer.send(record(&name, partition, "k", "v"), PATIENCE).await;
        delivered.map_err(|(error, _)| error).unwrap();
    }
    let stable = || {
        let reader = reader(&config, &unique("reader"), COMMITTED);
        [0, 1, 2].map(|partition| reader.fetch_watermarks(&name, partition, PATIENCE).unwrap().1)
    };
    assert_eq!(stable(), [0, 0, 0]);
    producer.commit_transaction(PATIENCE).unwrap();
    // The markers reach a partition a little later than the answer its producer.
    eventually(|| async { stable() }, |ends| *ends == [2, 2, 2]).await;
}

#[tokio::test]
async fn a_new_instance_aborts_and_fences_the_old_one() {
    let (config, name) = topic(1).await;
    let id = unique("id");
    let zombie = transactional(&config, &id, &[]);
    zombie.begin_transaction().unwrap();
    send(&zombie, &name, "of the zombie").await;
    let owner = transactional(&config, &id, &[]);
    owner.begin_transaction().unwrap();
    send(&owner, &name, "of the owner").await;
    let error = zombie.commit_transaction(PATIENCE).unwrap_err();
    assert_eq!(fatal(&error), Some(RDKafkaErrorCode::Fenced), "{error}");
    owner.commit_transaction(PATIENCE).unwrap();
    assert_eq!(values(&config, &name, COMMITTED), ["of the owner"]);
}

#[tokio::test]
async fn a_zombie_that_has_nothing_open_is_fenced_when_it_writes() {
    let (config, name) = topic(1).await;
    let id = unique("id");
    let zombie = transactional(&config, &id, &[]);
    drop(transactional(&config, &id, &[]));
    zombie.begin_transaction().unwrap();
    let sent = zombie.send(FutureRecord::to(&name).key("k").payload(b"v"), PATIENCE).await;
    assert!(sent.is_err());
    let error = zombie.commit_transaction(PATIENCE).unwrap_err();
    assert_eq!(fatal(&error), Some(RDKafkaErrorCode::Fenced), "{error}");
    assert!(values(&config, &name, UNCOMMITTED).is_empty());
}

#[tokio::test]
async fn offsets_are_committed_with_the_transaction() {
    let (config, name) = topic(1).await;
    let group = unique("group");
    let member = reader(&config, &group, UNCOMMITTED);
    let mut first = TopicPartitionList::new();
    first.add_partition_offset(&name, 0, Offset::Offset(1)).unwrap();
    member.commit(&first, CommitMode::Sync).unwrap();
    let metadata = member.group_metadata().unwrap();
    let committed = |isolation, patience| {
        let mut asked = TopicPartitionList::new();
        asked.add_partition(&name, 0);
        let committed = reader(&config, &group, isolation).committed_offsets(asked, patience)?;
        KafkaResult::Ok(committed.elements()[0].offset())
    };
    let producer = transactional(&config, &unique("id"), &[]);
    for (offset, commit) in [(5, false), (7, true)] {
        producer.begin_transaction().unwrap();
        let mut offsets = TopicPartitionList::new();
        offsets.add_partition_offset(&name, 0, Offset::Offset(offset)).unwrap();
        producer.send_offsets_to_transaction(&offsets, &metadata, PATIENCE).unwrap();
        assert_eq!(committed(UNCOMMITTED, PATIENCE), Ok(Offset::Offset(1)));
        // A reader that wants stable offsets waits for the transaction's end.
        assert!(committed(COMMITTED, PATIENCE / 60).is_err());
        match commit {
            true => producer.commit_transaction(PATIENCE).unwrap(),
            false => producer.abort_transaction(PATIENCE).unwrap(),
        }
        assert_eq!(committed(COMMITTED, PATIENCE), Ok(Offset::Offset(if commit { 7 } else { 1 })));
    }
}

type KafkaResult<T> = Result<T, KafkaError>;

#[tokio::test]
async fn a_transaction_that_is_open_for_too_long_is_aborted() {
    let (config, name) = topic(1).await;
    let settings = [("transaction.timeout.ms", "1000"), ("message.timeout.ms", "1000")];
    let slow = transactional(&config, &unique("id"), &settings);
    slow.begin_transaction().unwrap();
    send(&slow, &name, "too slow").await;
    send(&producer(&config, &[]), &name, "after").await;
    // Apache Kafka looks every ten seconds.
    eventually(|| async { values(&config, &name, COMMITTED) }, |values| *values == ["after"]).await;
    assert!(slow.commit_transaction(PATIENCE).is_err());
    assert_eq!(values(&config, &name, COMMITTED), ["after"]);
}

#[tokio::test]
async fn transactions_longer_than_a_quarter_of_an_hour_are_refused() {
    let (config, _) = topic(1).await;
    let producer = producer(&config, &[("transactional.id", &unique("id")), ("transaction.timeout.ms", "900001")]);
    let error = producer.init_transactions(PATIENCE).unwrap_err();
    assert_eq!(error.rdkafka_error_code(), Some(RDKafkaErrorCode::InvalidTransactionTimeout), "{error}");
}
