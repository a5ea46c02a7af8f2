//! Asks the broker for partitions and offsets, and decides from the options where reading begins and ends. All calls block.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::bindings as native;
use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{Offset, TopicPartitionList};

use super::consumer::Consumer;
use super::topic_ids;
use crate::connectors::kafka::client::REQUEST_TIMEOUT;
use crate::connectors::kafka::range::{Bounded, Startup};
use crate::connectors::log_identity::{LogIdentity, SplitLog};
use crate::error::{Error, Result};

/// How long a partition may be without a leader, and how often it is asked for again.
const LEADER_PATIENCE: Duration = Duration::from_secs(5);
const LEADER_PAUSE: Duration = Duration::from_millis(100);

/// Offsets by partition.
pub(crate) type Offsets = BTreeMap<i32, i64>;

/// The partitions of a topic.
///
/// # Errors
/// The topic does not exist (`NotFound`); no broker answers (`Unavailable`).
pub(crate) fn partitions(consumer: &Consumer, topic: &str, timeout: Duration) -> Result<Vec<i32>> {
    let doing = format!("reading the partitions of topic \"{topic}\"");
    let mut attempt = 0;
    loop {
        let metadata =
            consumer.client().fetch_metadata(Some(topic), timeout).map_err(|error| consumer.told(&error, &doing))?;
        let found = metadata.topics().iter().find(|found| found.name() == topic);
        let error = match found {
            Some(found) => found.error().map(RDKafkaErrorCode::from),
            None => Some(RDKafkaErrorCode::UnknownTopicOrPartition),
        };
        match (error, found) {
            (None, Some(found)) if !found.partitions().is_empty() => {
                let mut partitions: Vec<i32> = found.partitions().iter().map(|partition| partition.id()).collect();
                partitions.sort_unstable();
                return Ok(partitions);
            }
            (Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic), _) => {
                return Err(Error::not_found(format!("topic \"{topic}\" does not exist")));
            }
            // A topic that is just being made has no leaders yet.
            (None | Some(RDKafkaErrorCode::LeaderNotAvailable), _) if attempt < 20 => {
                std::thread::sleep(Duration::from_millis(100));
                attempt += 1;
            }
            (Some(code), _) => return Err(crate::connectors::kafka::client::told_code(code, &doing)),
            (None, _) => return Err(Error::unavailable(format!("{doing}: no partitions yet"))),
        }
    }
}

/// Where reading begins, for each partition.
///
/// # Errors
/// No broker answers.
pub(super) fn starts(consumer: &Consumer, topic: &str, partitions: &[i32], startup: &Startup) -> Result<Offsets> {
    match startup {
        Startup::Earliest => list(consumer, topic, partitions, Offset::Beginning),
        Startup::Latest => list(consumer, topic, partitions, Offset::End),
        Startup::Timestamp(millis) => at_time(consumer, topic, partitions, *millis),
        Startup::Group { else_latest } => {
            let otherwise = if *else_latest { Offset::End } else { Offset::Beginning };
            group_or(consumer, topic, partitions, otherwise)
        }
        Startup::Offsets(given) => {
            let others: Vec<i32> = partitions.iter().copied().filter(|id| !given.contains_key(id)).collect();
            let mut starts = group_or(consumer, topic, &others, Offset::Beginning)?;
            starts.extend(given.iter().filter(|(id, _)| partitions.contains(id)));
            Ok(starts)
        }
    }
}

/// Where reading ends, for each partition that is read; `None` when it does not end.
///
/// # Errors
/// No broker answers; the group has committed nothing.
pub(crate) fn ends(consumer: &Consumer, topic: &str, partitions: &[i32], bounded: &Bounded) -> Result<Option<Offsets>> {
    Ok(Some(match bounded {
        Bounded::No => return Ok(None),
        Bounded::Latest => list(consumer, topic, partitions, Offset::End)?,
        Bounded::Timestamp(millis) => at_time(consumer, topic, partitions, *millis)?,
        Bounded::Offsets(given) => {
            given.iter().filter(|(id, _)| partitions.contains(id)).map(|(id, offset)| (*id, *offset)).collect()
        }
        Bounded::Group => {
            let committed = committed(consumer, topic, partitions)?;
            if let Some(id) = partitions.iter().find(|id| !committed.contains_key(id)) {
                return Err(Error::invalid(format!(
                    "'scan.bounded.mode' = 'group-offsets': the group has committed no offset for topic \"{topic}\", partition {id}"
                )));
            }
            committed
        }
    }))
}

/// The ends of all partitions now.
///
/// # Errors
/// No broker answers.
pub(crate) fn latest(consumer: &Consumer, topic: &str, partitions: &[i32]) -> Result<Offsets> {
    list(consumer, topic, partitions, Offset::End)
}

/// What the logs of partitions (topic, number) are. Asks for leader epochs only where the broker gives topics no ids.
///
/// # Errors
/// No broker answers within `timeout`; `Unavailable` at once when all connections are lost.
pub(crate) fn logs(consumer: &Consumer, partitions: &[(String, i32)], timeout: Duration) -> Result<Vec<SplitLog>> {
    let mut topics: Vec<String> = partitions.iter().map(|(topic, _)| topic.clone()).collect();
    topics.dedup();
    let doing = format!("looking at topic \"{}\"", topics.join("\", \""));
    let cuts = consumer.client().context().cuts();
    let give_up = || consumer.client().context().cuts() != cuts;
    let described = topic_ids::describe(consumer.client().client().native_ptr(), &topics, timeout, give_up)
        .map_err(|error| consumer.told(&error, &doing))?;
    let cluster = consumer.client().client().fetch_cluster_id(timeout);
    let mut epochs: BTreeMap<&str, BTreeMap<i32, i32>> = BTreeMap::new();
    for (topic, described) in &described {
        if described.id.is_none() {
            epochs.insert(topic, leader_epochs(consumer, topic, &described.partitions)?);
        }
    }
    let log = |(topic, partition): &(String, i32)| match described.get(topic) {
        Some(described) if described.partitions.contains(partition) => SplitLog::Is(LogIdentity {
            id: described.id.clone(),
            cluster: cluster.clone(),
            leader_epoch: epochs.get(topic.as_str()).and_then(|epochs| epochs.get(partition)).copied(),
        }),
        _ => SplitLog::Gone,
    };
    Ok(partitions.iter().map(log).collect())
}

/// The leader epochs of partitions, as far as the broker tells them.
fn leader_epochs(consumer: &Consumer, topic: &str, partitions: &[i32]) -> Result<BTreeMap<i32, i32>> {
    let doing = format!("reading the leader epochs of topic \"{topic}\"");
    let list = offsets_list(topic, partitions, Offset::End)?;
    let found =
        consumer.client().offsets_for_times(list, REQUEST_TIMEOUT).map_err(|error| consumer.told(&error, &doing))?;
    // SAFETY: the list is alive, and its elements are as many as it says.
    let epochs = unsafe {
        let list = &*found.ptr();
        (0..usize::try_from(list.cnt).unwrap_or(0))
            .map(|index| {
                let element = list.elems.add(index);
                ((*element).partition, native::rd_kafka_topic_partition_get_leader_epoch(element))
            })
            .filter(|(_, epoch)| *epoch >= 0)
            .collect()
    };
    Ok(epochs)
}

fn group_or(consumer: &Consumer, topic: &str, partitions: &[i32], otherwise: Offset) -> Result<Offsets> {
    let mut offsets = committed(consumer, topic, partitions)?;
    let others: Vec<i32> = partitions.iter().copied().filter(|id| !offsets.contains_key(id)).collect();
    offsets.extend(list(consumer, topic, &others, otherwise)?);
    Ok(offsets)
}

fn committed(consumer: &Consumer, topic: &str, partitions: &[i32]) -> Result<Offsets> {
    if partitions.is_empty() {
        return Ok(Offsets::new());
    }
    let list = offsets_list(topic, partitions, Offset::Invalid)?;
    let doing = format!("reading the group's offsets in topic \"{topic}\"");
    let found =
        consumer.client().committed_offsets(list, REQUEST_TIMEOUT).map_err(|error| consumer.told(&error, &doing))?;
    let mut offsets = Offsets::new();
    for element in found.elements() {
        element.error().map_err(|error| consumer.told(&error, &doing))?;
        if let Offset::Offset(offset) = element.offset() {
            offsets.insert(element.partition(), offset);
        }
    }
    Ok(offsets)
}

/// Offsets of the first records of a time or later; the end where there are none.
fn at_time(consumer: &Consumer, topic: &str, partitions: &[i32], millis: i64) -> Result<Offsets> {
    if millis < 0 {
        return list(consumer, topic, partitions, Offset::Beginning);
    }
    let mut offsets = list(consumer, topic, partitions, Offset::Offset(millis))?;
    let missing: Vec<i32> = partitions.iter().copied().filter(|id| !offsets.contains_key(id)).collect();
    offsets.extend(list(consumer, topic, &missing, Offset::End)?);
    Ok(offsets)
}

/// One ListOffsets request a broker; `Beginning` and `End` are -2 and -1 in Kafka's protocol as in librdkafka.
fn list(consumer: &Consumer, topic: &str, partitions: &[i32], which: Offset) -> Result<Offsets> {
    if partitions.is_empty() {
        return Ok(Offsets::new());
    }
    let doing = format!("reading the offsets of topic \"{topic}\"");
    let until = Instant::now() + LEADER_PATIENCE;
    loop {
        match ask(consumer, offsets_list(topic, partitions, which)?, which) {
            Err(error) if has_no_leader_yet(&error) && Instant::now() < until => std::thread::sleep(LEADER_PAUSE),
            asked => return asked.map_err(|error| consumer.told(&error, &doing)),
        }
    }
}

fn ask(consumer: &Consumer, list: TopicPartitionList, which: Offset) -> Result<Offsets, KafkaError> {
    let found = consumer.client().offsets_for_times(list, REQUEST_TIMEOUT)?;
    let mut offsets = Offsets::new();
    for element in found.elements() {
        element.error()?;
        if let Offset::Offset(offset) = element.offset() {
            offsets.insert(element.partition(), offset);
        } else if !matches!(which, Offset::Offset(_)) {
            return Err(KafkaError::OffsetFetch(RDKafkaRespErr::RD_KAFKA_RESP_ERR__NO_OFFSET.into()));
        }
    }
    Ok(offsets)
}

/// A partition that was just made, or that moves to another broker, has no leader for a moment.
fn has_no_leader_yet(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(RDKafkaErrorCode::NotLeaderForPartition | RDKafkaErrorCode::LeaderNotAvailable)
    )
}

fn offsets_list(topic: &str, partitions: &[i32], offset: Offset) -> Result<TopicPartitionList> {
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for partition in partitions {
        list.add_partition_offset(topic, *partition, offset)
            .map_err(|error| Error::internal(format!("offset {offset:?} of topic \"{topic}\": {error}")))?;
    }
    Ok(list)
}
