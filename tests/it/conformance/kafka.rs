//! Kafka through rdkafka: topics, records, timestamps, compression, groups.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, Headers, OwnedHeaders, OwnedMessage};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};

use crate::backends::{Backends, PATIENCE, unique};

pub fn admin(config: &ClientConfig) -> AdminClient<DefaultClientContext> {
    config.create().unwrap()
}

pub fn options() -> AdminOptions {
    AdminOptions::new().operation_timeout(Some(PATIENCE)).request_timeout(Some(PATIENCE))
}

pub async fn create_topic(config: &ClientConfig, name: &str, partitions: i32) {
    let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
    let results = admin(config).create_topics([&topic], &options()).await.unwrap();
    assert_eq!(results, [Ok(name.to_owned())]);
}

pub async fn topic(partitions: i32) -> (ClientConfig, String) {
    let config = Backends::get().kafka();
    let name = unique("conformance");
    create_topic(&config, &name, partitions).await;
    (config, name)
}

pub fn producer(config: &ClientConfig, settings: &[(&str, &str)]) -> FutureProducer {
    let mut config = config.clone();
    config.set("message.timeout.ms", PATIENCE.as_millis().to_string());
    settings.iter().for_each(|(name, value)| {
        config.set(*name, *value);
    });
    config.create().unwrap()
}

async fn send(producer: &FutureProducer, record: FutureRecord<'_, str, [u8]>) -> (i32, i64) {
    let delivery = producer.send(record, PATIENCE).await.map_err(|(error, _)| error).unwrap();
    (delivery.partition, delivery.offset)
}

pub fn record<'a>(topic: &'a str, partition: i32, key: &'a str, payload: &'a str) -> FutureRecord<'a, str, [u8]> {
    FutureRecord::to(topic).partition(partition).key(key).payload(payload.as_bytes())
}

pub fn consumer(config: &ClientConfig, group: &str) -> BaseConsumer {
    let mut config = config.clone();
    config
        .set("group.id", group)
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .set("session.timeout.ms", "10000")
        .set("heartbeat.interval.ms", "500");
    config.create().unwrap()
}

/// Polls until there are `count` records.
pub fn poll(consumer: &BaseConsumer, count: usize) -> Vec<OwnedMessage> {
    let deadline = Instant::now() + PATIENCE;
    let mut records = Vec::new();
    while records.len() < count {
        assert!(Instant::now() < deadline, "{} of {count} records came", records.len());
        if let Some(record) = consumer.poll(Duration::from_millis(100)) {
            records.push(record.unwrap().detach());
        }
    }
    records
}

/// Reads `count` records of a partition from an offset on, outside of any group.
pub fn read(config: &ClientConfig, topic: &str, partition: i32, from: Offset, count: usize) -> Vec<OwnedMessage> {
    let consumer = consumer(config, &unique("reader"));
    let mut assignment = TopicPartitionList::new();
    assignment.add_partition_offset(topic, partition, from).unwrap();
    consumer.assign(&assignment).unwrap();
    poll(&consumer, count)
}

pub fn text(record: &OwnedMessage) -> &str {
    std::str::from_utf8(record.payload().unwrap()).unwrap()
}

/// Asks again until the answer is the expected one: other nodes of a cluster learn of a change a little later.
pub async fn eventually<T, F: Future<Output = T>>(mut ask: impl FnMut() -> F, expected: impl Fn(&T) -> bool) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = ask().await;
        if expected(&answer) {
            return answer;
        }
        assert!(Instant::now() < deadline, "the expected answer did not come");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_topic_is_created_once_and_deleted_once() {
    let (config, name) = topic(4).await;
    let admin = admin(&config);
    let partitions = || async {
        let metadata = admin.inner().fetch_metadata(Some(&name), PATIENCE).unwrap();
        metadata.topics()[0].partitions().len()
    };
    eventually(partitions, |count| *count == 4).await;

    let again = NewTopic::new(&name, 4, TopicReplication::Fixed(1));
    let results = admin.create_topics([&again], &options()).await.unwrap();
    assert_eq!(results, [Err((name.clone(), RDKafkaErrorCode::TopicAlreadyExists))]);

    let results = admin.delete_topics(&[&name], &options()).await.unwrap();
    assert_eq!(results, [Ok(name.clone())]);
    let results = admin.delete_topics(&[&name], &options()).await.unwrap();
    assert_eq!(results, [Err((name.clone(), RDKafkaErrorCode::UnknownTopicOrPartition))]);
}

#[tokio::test]
async fn a_topic_made_again_is_empty() {
    let (config, name) = topic(1).await;
    send(&producer(&config, &[]), record(&name, 0, "k", "old")).await;
    admin(&config).delete_topics(&[&name], &options()).await.unwrap();
    let again = NewTopic::new(&name, 1, TopicReplication::Fixed(1));
    let created = || async { admin(&config).create_topics([&again], &options()).await.unwrap() };
    eventually(created, |results| results[0].is_ok()).await;
    let reader = consumer(&config, &unique("reader"));
    let watermarks = || async { reader.fetch_watermarks(&name, 0, PATIENCE) };
    assert_eq!(eventually(watermarks, Result::is_ok).await.unwrap(), (0, 0));
}

#[tokio::test]
async fn names_that_are_paths_are_refused() {
    let admin = admin(&Backends::get().kafka());
    for name in ["../etc", "..", ".", "a b", "a/b"] {
        let topic = NewTopic::new(name, 1, TopicReplication::Fixed(1));
        let results = admin.create_topics([&topic], &options()).await.unwrap();
        assert_eq!(results, [Err((name.to_owned(), RDKafkaErrorCode::InvalidTopic))]);
    }
}

#[tokio::test]
async fn partitions_are_added_but_never_taken_away() {
    let (config, name) = topic(2).await;
    let admin = admin(&config);
    let results = admin.create_partitions([&NewPartitions::new(&name, 5)], &options()).await.unwrap();
    assert_eq!(results, [Ok(name.clone())]);
    let results = admin.create_partitions([&NewPartitions::new(&name, 3)], &options()).await.unwrap();
    assert_eq!(results, [Err((name.clone(), RDKafkaErrorCode::InvalidPartitions))]);
    let partitions =
        || async { admin.inner().fetch_metadata(Some(&name), PATIENCE).unwrap().topics()[0].partitions().len() };
    eventually(partitions, |count| *count == 5).await;
    assert_eq!(send(&producer(&config, &[]), record(&name, 4, "k", "v")).await, (4, 0));
}

#[tokio::test]
async fn settings_of_a_topic_are_described_and_altered() {
    let config = Backends::get().kafka();
    let name = unique("conformance");
    let admin = admin(&config);
    let topic = NewTopic::new(&name, 1, TopicReplication::Fixed(1)).set("retention.ms", "1000");
    admin.create_topics([&topic], &options()).await.unwrap()[0].as_ref().unwrap();
    let resource = ResourceSpecifier::Topic(&name);
    let values = || async {
        let described = admin.describe_configs([&resource], &options()).await.unwrap().remove(0).unwrap();
        let value = |name: &str| described.get(name).unwrap().value.clone().unwrap();
        (value("retention.ms"), value("retention.bytes"), value("cleanup.policy"))
    };
    let own = ("1000".to_owned(), "-1".to_owned(), "delete".to_owned());
    eventually(values, |values| *values == own).await;
    let change = AlterConfig::new(ResourceSpecifier::Topic(&name)).set("retention.bytes", "5000");
    assert!(admin.alter_configs([&change], &options()).await.unwrap()[0].is_ok());
    // This request replaces all of a topic's own settings.
    let altered = ("604800000".to_owned(), "5000".to_owned(), "delete".to_owned());
    eventually(values, |values| *values == altered).await;
    // rdkafka drops the error of a refused change; that it did not happen is what can be seen.
    let unknown =
        AlterConfig::new(ResourceSpecifier::Topic(&name)).set("retention.bytes", "7").set("no.such.setting", "1");
    admin.alter_configs([&unknown], &options()).await.unwrap();
    assert_eq!(values().await, altered);
}

#[tokio::test]
async fn using_a_topic_creates_it() {
    let config = Backends::get().kafka();
    let name = unique("conformance-auto");
    let sent = send(&producer(&config, &[]), FutureRecord::to(&name).key("k").payload(b"v")).await;
    assert_eq!(text(&read(&config, &name, sent.0, Offset::Beginning, 1)[0]), "v");
}

#[tokio::test]
async fn everything_in_a_record_comes_back() {
    let (config, name) = topic(1).await;
    let producer = producer(&config, &[]);
    let headers = OwnedHeaders::new()
        .insert(Header { key: "text", value: Some("value") })
        .insert(Header { key: "empty", value: Some("") })
        .insert(Header { key: "null", value: None::<&str> });
    send(&producer, record(&name, 0, "key", "payload").timestamp(1_700_000_000_123).headers(headers)).await;
    send(&producer, FutureRecord::to(&name).partition(0).key("tombstone")).await;
    send(&producer, FutureRecord::to(&name).partition(0).payload(b"without key")).await;

    let records = read(&config, &name, 0, Offset::Beginning, 3);
    assert_eq!(records[0].key(), Some(&b"key"[..]));
    assert_eq!(text(&records[0]), "payload");
    assert_eq!(records[0].timestamp(), rdkafka::Timestamp::CreateTime(1_700_000_000_123));
    let headers: Vec<_> = records[0].headers().unwrap().iter().map(|header| (header.key, header.value)).collect();
    assert_eq!(headers, [("text", Some(&b"value"[..])), ("empty", Some(&b""[..])), ("null", None)]);
    assert_eq!((records[1].key(), records[1].payload()), (Some(&b"tombstone"[..]), None));
    assert_eq!((records[2].key(), text(&records[2])), (None, "without key"));
    assert_eq!(records.iter().map(Message::offset).collect::<Vec<_>>(), [0, 1, 2]);
}

#[tokio::test]
async fn a_reader_seeks_by_offset_and_by_timestamp() {
    let (config, name) = topic(1).await;
    let producer = producer(&config, &[]);
    for index in 0..10 {
        let value = format!("v{index}");
        send(&producer, record(&name, 0, "k", &value).timestamp(1_700_000_000_000 + index * 1000)).await;
    }
    let reader = consumer(&config, &unique("reader"));
    assert_eq!(reader.fetch_watermarks(&name, 0, PATIENCE).unwrap(), (0, 10));
    let at = |timestamp| {
        let mut asked = TopicPartitionList::new();
        asked.add_partition_offset(&name, 0, Offset::Offset(timestamp)).unwrap();
        reader.offsets_for_times(asked, PATIENCE).unwrap().elements()[0].offset()
    };
    assert_eq!(at(0), Offset::Offset(0));
    assert_eq!(at(1_700_000_004_500), Offset::Offset(5));
    assert_eq!(at(1_700_000_005_000), Offset::Offset(5));
    assert_eq!(at(1_700_000_009_001), Offset::End);

    let mut assignment = TopicPartitionList::new();
    assignment.add_partition_offset(&name, 0, Offset::Beginning).unwrap();
    reader.assign(&assignment).unwrap();
    assert_eq!(text(&poll(&reader, 1)[0]), "v0");
    reader.seek(&name, 0, Offset::Offset(7), PATIENCE).unwrap();
    assert_eq!(text(&poll(&reader, 1)[0]), "v7");
    assert_eq!(text(&read(&config, &name, 0, Offset::OffsetTail(2), 1)[0]), "v8");
}

#[tokio::test]
async fn a_timestamp_is_found_inside_a_batch() {
    let (config, name) = topic(1).await;
    let producer = producer(&config, &[("linger.ms", "500"), ("batch.num.messages", "10")]);
    let values: Vec<String> = (0..10).map(|index| format!("v{index}")).collect();
    let sent = values.iter().zip(0..).map(|(value, index)| {
        producer.send(record(&name, 0, "k", value).timestamp(1_700_000_000_000 + index * 1000), PATIENCE)
    });
    futures::future::try_join_all(sent).await.map_err(|(error, _)| error).unwrap();
    let mut asked = TopicPartitionList::new();
    asked.add_partition_offset(&name, 0, Offset::Offset(1_700_000_006_000)).unwrap();
    let found = consumer(&config, &unique("reader")).offsets_for_times(asked, PATIENCE).unwrap();
    assert_eq!(found.elements()[0].offset(), Offset::Offset(6));
}

#[tokio::test]
async fn every_compression_comes_back() {
    let (config, name) = topic(1).await;
    let codecs = ["none", "gzip", "snappy", "lz4", "zstd"];
    let value = "compressible ".repeat(1000);
    for codec in codecs {
        send(&producer(&config, &[("compression.type", codec)]), record(&name, 0, codec, &value)).await;
    }
    let records = read(&config, &name, 0, Offset::Beginning, codecs.len());
    assert_eq!(records.iter().map(|record| record.key().unwrap()).collect::<Vec<_>>(), codecs.map(str::as_bytes));
    assert!(records.iter().all(|record| text(record) == value));
}

#[tokio::test]
async fn a_record_of_900_kb_passes_and_one_of_3_mb_does_not() {
    let (config, name) = topic(1).await;
    let producer = producer(&config, &[("message.max.bytes", "4000000")]);
    let large = "x".repeat(900_000);
    send(&producer, record(&name, 0, "large", &large)).await;
    let larger = "x".repeat(3_000_000);
    let (error, _) = producer.send(record(&name, 0, "larger", &larger), PATIENCE).await.unwrap_err();
    assert_eq!(error, KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge));

    let mut small_fetches = config.clone();
    small_fetches.set("fetch.message.max.bytes", "1000").set("fetch.max.bytes", "4000000");
    assert_eq!(text(&read(&small_fetches, &name, 0, Offset::Beginning, 1)[0]).len(), large.len());
}

#[tokio::test]
async fn an_idempotent_producer_keeps_its_order() {
    let (config, name) = topic(1).await;
    let producer = producer(&config, &[("enable.idempotence", "true"), ("batch.num.messages", "7")]);
    let values: Vec<String> = (0..1000).map(|index| index.to_string()).collect();
    let sent = values.iter().map(|value| producer.send(record(&name, 0, "k", value), PATIENCE));
    futures::future::try_join_all(sent).await.map_err(|(error, _)| error).unwrap();
    let records = read(&config, &name, 0, Offset::Beginning, values.len());
    assert_eq!(records.iter().map(text).collect::<Vec<_>>(), values);
}

#[tokio::test]
async fn an_offset_outside_of_the_log_is_an_error() {
    let (config, name) = topic(1).await;
    send(&producer(&config, &[]), record(&name, 0, "k", "v")).await;
    let mut strict = config.clone();
    strict.set("group.id", unique("reader")).set("auto.offset.reset", "error");
    let reader: BaseConsumer = strict.create().unwrap();
    let mut assignment = TopicPartitionList::new();
    assignment.add_partition_offset(&name, 0, Offset::Offset(100)).unwrap();
    reader.assign(&assignment).unwrap();
    let deadline = Instant::now() + PATIENCE;
    let error = loop {
        match reader.poll(Duration::from_millis(100)) {
            Some(result) => break result.map(|record| record.offset()).unwrap_err(),
            None => assert!(Instant::now() < deadline, "no error came"),
        }
    };
    assert_eq!(error.rdkafka_error_code(), Some(RDKafkaErrorCode::AutoOffsetReset));
}

#[tokio::test]
async fn records_before_an_offset_are_deleted() {
    let (config, name) = topic(1).await;
    let producer = producer(&config, &[]);
    for index in 0..5 {
        send(&producer, record(&name, 0, "k", &format!("v{index}"))).await;
    }
    let mut before = TopicPartitionList::new();
    before.add_partition_offset(&name, 0, Offset::Offset(3)).unwrap();
    admin(&config).delete_records(&before, &options()).await.unwrap();
    let reader = consumer(&config, &unique("reader"));
    assert_eq!(reader.fetch_watermarks(&name, 0, PATIENCE).unwrap(), (3, 5));
    assert_eq!(text(&read(&config, &name, 0, Offset::Beginning, 1)[0]), "v3");
}

/// Polls both members until each has two of the four partitions.
fn share(first: &BaseConsumer, second: &BaseConsumer) -> Vec<OwnedMessage> {
    let deadline = Instant::now() + PATIENCE;
    let mut records = Vec::new();
    let partitions = |member: &BaseConsumer| member.assignment().unwrap().count();
    while partitions(first) != 2 || partitions(second) != 2 {
        assert!(
            Instant::now() < deadline,
            "the members have {} and {} partitions",
            partitions(first),
            partitions(second)
        );
        for member in [first, second] {
            records.extend(member.poll(Duration::from_millis(50)).map(|record| record.unwrap().detach()));
        }
    }
    records
}

#[tokio::test]
async fn a_group_of_two_shares_the_partitions_and_one_takes_over() {
    let (config, name) = topic(4).await;
    let group = unique("group");
    let (first, second) = (consumer(&config, &group), consumer(&config, &group));
    first.subscribe(&[&name]).unwrap();
    second.subscribe(&[&name]).unwrap();
    assert!(share(&first, &second).is_empty());

    let producer = producer(&config, &[]);
    for index in 0..40 {
        send(&producer, record(&name, index % 4, "k", &index.to_string())).await;
    }
    let (ones, twos) = (poll(&first, 20), poll(&second, 20));
    let mut read: BTreeMap<i32, usize> = BTreeMap::new();
    ones.iter().chain(&twos).for_each(|record| *read.entry(record.partition()).or_default() += 1);
    assert_eq!(read.values().copied().collect::<Vec<_>>(), [10, 10, 10, 10]);
    first.commit_consumer_state(CommitMode::Sync).unwrap();
    second.commit_consumer_state(CommitMode::Sync).unwrap();

    drop(second);
    for index in 0..4 {
        send(&producer, record(&name, index, "k", "after")).await;
    }
    // Read before the rebalance and not committed, a record comes again after it.
    let mut partitions = BTreeSet::new();
    while partitions.len() < 4 {
        let after = poll(&first, 1).remove(0);
        assert_eq!(text(&after), "after");
        partitions.insert(after.partition());
    }
}

#[tokio::test]
async fn a_group_goes_on_where_it_committed() {
    let (config, name) = topic(1).await;
    let producer = producer(&config, &[]);
    for index in 0..10 {
        send(&producer, record(&name, 0, "k", &format!("v{index}"))).await;
    }
    let group = unique("group");
    {
        let member = consumer(&config, &group);
        member.subscribe(&[&name]).unwrap();
        poll(&member, 10);
        let mut offsets = TopicPartitionList::new();
        offsets.add_partition_offset(&name, 0, Offset::Offset(4)).unwrap();
        member.commit(&offsets, CommitMode::Sync).unwrap();
    }
    let member = consumer(&config, &group);
    member.subscribe(&[&name]).unwrap();
    assert_eq!(text(&poll(&member, 1)[0]), "v4");
}

#[tokio::test]
async fn offsets_are_committed_without_being_a_member() {
    let (config, name) = topic(2).await;
    let group = unique("group");
    let outsider = consumer(&config, &group);
    let mut offsets = TopicPartitionList::new();
    offsets.add_partition_offset(&name, 0, Offset::Offset(3)).unwrap();
    outsider.commit(&offsets, CommitMode::Sync).unwrap();
    let mut asked = TopicPartitionList::new();
    asked.add_partition_range(&name, 0, 1);
    let committed = consumer(&config, &group).committed_offsets(asked, PATIENCE).unwrap();
    assert_eq!(
        committed.elements().iter().map(|element| element.offset()).collect::<Vec<_>>(),
        [Offset::Offset(3), Offset::Invalid]
    );
}

#[tokio::test]
async fn groups_are_listed_and_deleted_when_empty() {
    let (config, name) = topic(1).await;
    let group = unique("group");
    let member = consumer(&config, &group);
    member.subscribe(&[&name]).unwrap();
    let deadline = Instant::now() + PATIENCE;
    while member.assignment().unwrap().count() == 0 {
        assert!(Instant::now() < deadline, "the member got no partition");
        assert!(member.poll(Duration::from_millis(50)).is_none());
    }
    let list = member.client().fetch_group_list(Some(&group), PATIENCE).unwrap();
    let listed = &list.groups()[0];
    assert_eq!(
        (listed.name(), listed.state(), listed.protocol_type(), listed.members().len()),
        (group.as_str(), "Stable", "consumer", 1)
    );

    let admin = admin(&config);
    let results = admin.delete_groups(&[&group], &options()).await.unwrap();
    assert_eq!(results, [Err((group.clone(), RDKafkaErrorCode::NonEmptyGroup))]);
    let mut offsets = TopicPartitionList::new();
    offsets.add_partition_offset(&name, 0, Offset::Offset(0)).unwrap();
    member.commit(&offsets, CommitMode::Sync).unwrap();
    drop(member);
    let deleted = || async { admin.delete_groups(&[&group], &options()).await.unwrap() };
    eventually(deleted, |results| results[0].is_ok()).await;
    let results = admin.delete_groups(&[&group], &options()).await.unwrap();
    assert_eq!(results, [Err((group.clone(), RDKafkaErrorCode::GroupIdNotFound))]);
}

#[tokio::test]
async fn a_waiting_reader_gets_a_new_record_at_once() {
    let (config, name) = topic(1).await;
    let mut patient = config.clone();
    patient.set("fetch.wait.max.ms", "20000").set("socket.timeout.ms", "60000");
    let reader = consumer(&patient, &unique("reader"));
    let mut assignment = TopicPartitionList::new();
    assignment.add_partition_offset(&name, 0, Offset::Beginning).unwrap();
    reader.assign(&assignment).unwrap();
    let producer = producer(&config, &[]);
    send(&producer, record(&name, 0, "k", "first")).await;
    poll(&reader, 1);
    for index in 0..5 {
        // The reader's next fetch waits by now, or comes within this time.
        assert!(reader.poll(Duration::from_millis(200)).is_none());
        let value = index.to_string();
        let start = Instant::now();
        send(&producer, record(&name, 0, "k", &value)).await;
        assert_eq!(text(&poll(&reader, 1)[0]), value);
        assert!(start.elapsed() < Duration::from_secs(5), "the record took {:?}", start.elapsed());
    }
}
