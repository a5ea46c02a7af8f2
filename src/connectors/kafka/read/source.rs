//! Unbounded reading for jobs: a split for each partition, positions owned by the job's checkpoint and shown to the group.
//! An offset that is not there any more is an error, never a jump.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use rdkafka::consumer::{CommitMode, Consumer as _};
use rdkafka::{Offset, TopicPartitionList};

use super::consumer::Consumer;
use super::enumerator::KafkaEnumerator;
use super::offsets::{self, Offsets};
use super::partition::{blocking, parse_split, shared};
use super::reader::{self, Batches, Read};
use super::rows::RowReader;
use crate::changelog::Changelog;
use crate::connectors::enumerator::{Restored, SplitEnumerator};
use crate::connectors::kafka::options::KafkaOptions;
use crate::connectors::kafka::range::{Bounded, Startup};
use crate::connectors::log_identity::SplitLog;
use crate::connectors::position::Position;
use crate::connectors::source::{Source, SourceBatch, SplitReader, SplitRequest, ToldAs};
use crate::connectors::split::{Split, Start};
use crate::error::{Error, Result};

/// How long the broker may take to say which logs there are; it is asked again and again.
const LOGS_TIMEOUT: Duration = Duration::from_secs(5);

/// Rows of a batch at most.
const BATCH_ROWS_MAX: usize = 8192;

pub(crate) struct KafkaSource {
    options: Arc<KafkaOptions>,
    /// The consumer group under which progress is shown.
    group: String,
    /// The consumer that the open readers share.
    consumer: Arc<Mutex<Weak<Consumer>>>,
}

impl KafkaSource {
    pub fn new(options: Arc<KafkaOptions>) -> Self {
        Self { group: options.group_id.clone(), options, consumer: Arc::default() }
    }
}

#[async_trait]
impl Source for KafkaSource {
    fn is_bounded(&self) -> bool {
        self.options.bounded != Bounded::No
    }

    fn changelog(&self) -> Changelog {
        self.options.changelog
    }

    fn of_job(&self, job: &str, job_id: &str) -> Option<Arc<dyn Source>> {
        if self.options.names_group {
            return None;
        }
        // A job of the same name that is made later is another one.
        let short_id = job_id.get(..8).unwrap_or(job_id);
        let (options, group) = (self.options.clone(), format!("streamgate-{job}-{short_id}"));
        Some(Arc::new(Self { options, group, consumer: Arc::default() }))
    }

    fn told_as(&self) -> Vec<ToldAs> {
        if !self.options.names_group {
            return Vec::new();
        }
        let told = |topic: &String| ToldAs {
            group: self.group.clone(),
            resource: self.options.resource(topic),
            name: format!("topic \"{topic}\""),
        };
        self.options.topics.iter().map(told).collect()
    }

    fn discovery_interval(&self) -> Option<Duration> {
        // What a bounded source reads is settled when it begins.
        self.options.discovery_interval.filter(|_| !self.is_bounded())
    }

    fn enumerator(&self, restored: Restored<'_>) -> Result<Box<dyn SplitEnumerator>> {
        let (options, group, slot) = (self.options.clone(), self.group.clone(), self.consumer.clone());
        Ok(Box::new(KafkaEnumerator::restore(options, group, slot, &restored)?))
    }

    async fn open(&self, request: SplitRequest<'_>) -> Result<Box<dyn SplitReader>> {
        let SplitRequest { split, start, end: given_end, skips, projection, metrics } = request;
        let skips: Vec<_> = skips.iter().filter(|skip| skip.split == split.id).cloned().collect();
        let (topic, partition) = parse_split(&split.id)?;
        // Either an offset, or what leads to one.
        let (given_start, startup) = match start {
            Start::At(position) => (Some(position.expect_offset(&split.id)?), Startup::Earliest),
            Start::Beginning => (None, Startup::Earliest),
            Start::AsDeclared => (None, self.options.startup.clone()),
        };
        let given_end = given_end.map(|end| end.expect_offset(&split.id)).transpose()?;
        let (options, group, slot) = (self.options.clone(), self.group.clone(), self.consumer.clone());
        let rows = RowReader::new(&options, projection)?;
        blocking(move || {
            let consumer = shared(&options, &group, &slot, |consumer| consumer.can_open(&topic, partition))?;
            let ids = [partition];
            let of_partition = |offsets: Offsets| {
                let offset = offsets.get(&partition).copied();
                offset.ok_or_else(|| Error::not_found(format!("topic \"{topic}\" has no partition {partition}")))
            };
            let start = match given_start {
                Some(offset) => offset,
                None => of_partition(offsets::starts(&consumer, &topic, &ids, &startup)?)?,
            };
            let end = offsets::ends(&consumer, &topic, &ids, &options.bounded)?.map(of_partition).transpose()?;
            let end = end.into_iter().chain(given_end).min();
            let batches = if end.is_some_and(|end| start >= end) {
                reader::ended()
            } else {
                reader::start(Read {
                    queue: consumer.open(&topic, partition, start)?,
                    rows,
                    position: start,
                    end,
                    ends_with_log: false,
                    batch_rows: BATCH_ROWS_MAX,
                    skips,
                    limit: None,
                    patience: None,
                    metrics,
                })?
            };
            Ok(Box::new(KafkaReader { batches, position: Position::Offset(start) }) as Box<dyn SplitReader>)
        })
        .await
    }

    fn name_of(&self, split: &Split) -> String {
        match parse_split(&split.id) {
            Ok((topic, partition)) => format!("topic \"{topic}\", partition {partition},"),
            Err(_) => split.id.clone(),
        }
    }

    async fn logs(&self, splits: &[Split]) -> Result<Vec<SplitLog>> {
        let partitions = splits.iter().map(|split| parse_split(&split.id)).collect::<Result<Vec<_>>>()?;
        let (options, group, slot) = (self.options.clone(), self.group.clone(), self.consumer.clone());
        blocking(move || {
            let consumer = shared(&options, &group, &slot, |_| true)?;
            offsets::logs(&consumer, &partitions, LOGS_TIMEOUT)
        })
        .await
    }

    async fn ends(&self, splits: &[Split]) -> Result<Vec<Position>> {
        let partitions = splits.iter().map(|split| parse_split(&split.id)).collect::<Result<Vec<_>>>()?;
        let (options, group, slot) = (self.options.clone(), self.group.clone(), self.consumer.clone());
        blocking(move || {
            let consumer = shared(&options, &group, &slot, |_| true)?;
            let mut ends: HashMap<String, Offsets> = HashMap::new();
            let topics: BTreeSet<&String> = partitions.iter().map(|(topic, _)| topic).collect();
            for topic in topics {
                let ids: Vec<i32> =
                    partitions.iter().filter(|(of, _)| of == topic).map(|(_, partition)| *partition).collect();
                ends.insert(topic.clone(), offsets::latest(&consumer, topic, &ids)?);
            }
            let end = |(topic, partition): &(String, i32)| {
                ends.get(topic)
                    .and_then(|ends| ends.get(partition))
                    .map(|end| Position::Offset(*end))
                    .ok_or_else(|| Error::not_found(format!("topic \"{topic}\" has no partition {partition}")))
            };
            partitions.iter().map(end).collect()
        })
        .await
    }

    async fn commit(&self, positions: &[(Split, Position)]) -> Result<()> {
        // Nobody reads any more: then nobody looks at the lag.
        let Some(consumer) = self.consumer.lock().upgrade() else { return Ok(()) };
        let mut latest: HashMap<&str, i64> = HashMap::new();
        for (split, position) in positions {
            latest.insert(&split.id, position.expect_offset(&split.id)?);
        }
        let mut list = TopicPartitionList::with_capacity(latest.len());
        for (id, position) in latest {
            let (topic, partition) = parse_split(id)?;
            list.add_partition_offset(&topic, partition, Offset::Offset(position))
                .map_err(|error| Error::internal(format!("position {position} of {id}: {error}")))?;
        }
        // Only queues the request; its outcome comes to the context's callback.
        consumer
            .client()
            .commit(&list, CommitMode::Async)
            .map_err(|error| consumer.told(&error, "committing offsets to the group"))
    }
}

struct KafkaReader {
    batches: Batches,
    position: Position,
}

#[async_trait]
impl SplitReader for KafkaReader {
    fn position(&self) -> Position {
        self.position.clone()
    }

    async fn next(&mut self) -> Result<Option<SourceBatch>> {
        let next = self.batches.next().await?;
        if let Some(batch) = &next {
            self.position = batch.position.clone();
        }
        Ok(next)
    }
}
