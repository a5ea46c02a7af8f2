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
use super::offsets;
use super::reader::{self, Batches, Read};
use super::rows::RowReader;
use crate::changelog::Changelog;
use crate::connectors::kafka::client::{self, REQUEST_TIMEOUT};
use crate::connectors::kafka::options::KafkaOptions;
use crate::connectors::kafka::range::Bounded;
use crate::connectors::log_identity::SplitLog;
use crate::connectors::source::{Awaited, Source, SourceBatch, SplitReader, SplitRequest, ToldAs};
use crate::connectors::split::{Position, Split};
use crate::error::{Error, ErrorKind, Result};

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
    /// What the last look did not find.
    missing: Arc<Mutex<Missing>>,
}

/// Topics that were not there, and the consumer that looked, kept so that the next look needs no new one.
#[derive(Default)]
struct Missing {
    topics: Vec<String>,
    _looks_again: Option<Arc<Consumer>>,
}

impl KafkaSource {
    pub fn new(options: Arc<KafkaOptions>) -> Self {
        Self { group: options.group_id.clone(), options, consumer: Arc::default(), missing: Arc::default() }
    }
}

/// The consumer in use if it suits, else a new one, which is then the one in use.
fn shared(
    options: &KafkaOptions,
    group: &str,
    slot: &Mutex<Weak<Consumer>>,
    suits: impl Fn(&Consumer) -> bool,
) -> Result<Arc<Consumer>> {
    let mut slot = slot.lock();
    if let Some(consumer) = slot.upgrade().filter(|consumer| suits(consumer)) {
        return Ok(consumer);
    }
    let config = client::stream_config(&options.bootstrap_servers, &options.properties, group);
    let consumer = Consumer::start(&config)?;
    *slot = Arc::downgrade(&consumer);
    Ok(consumer)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Error::internal(format!("a request to Kafka: {error}")))?
}

fn parse_split(id: &str) -> Result<(String, i32)> {
    id.rsplit_once('/')
        .and_then(|(topic, partition)| Some((topic.to_owned(), partition.parse().ok()?)))
        .ok_or_else(|| Error::corrupt(format!("\"{id}\" is no split of a Kafka source")))
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
        Some(Arc::new(Self { options, group, consumer: Arc::default(), missing: Arc::default() }))
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

    async fn splits(&self) -> Result<Vec<Split>> {
        let (options, group, slot) = (self.options.clone(), self.group.clone(), self.consumer.clone());
        let missing = self.missing.clone();
        blocking(move || {
            let consumer = shared(&options, &group, &slot, |_| true)?;
            let (mut splits, mut absent) = (Vec::new(), Vec::new());
            for topic in &options.topics {
                let partitions = match offsets::partitions(&consumer, topic, REQUEST_TIMEOUT) {
                    Ok(partitions) => partitions,
                    // What a bounded source reads is settled when it begins: it begins when all is there.
                    Err(error) if error.kind() == ErrorKind::NotFound && options.bounded == Bounded::No => {
                        absent.push(topic.clone());
                        continue;
                    }
                    Err(error) => return Err(error),
                };
                for partition in partitions {
                    if let Bounded::Offsets(given) = &options.bounded
                        && !given.contains_key(&partition)
                    {
                        continue;
                    }
                    splits.push(Split {
                        id: format!("{topic}/{partition}"),
                        resource: format!("{}/{partition}", options.resource(topic)),
                        group: Some(group.clone()),
                    });
                }
            }
            let looks_again = (!absent.is_empty()).then_some(consumer);
            *missing.lock() = Missing { topics: absent, _looks_again: looks_again };
            Ok(splits)
        })
        .await
    }

    fn awaited(&self) -> Vec<Awaited> {
        let awaited = |topic: &String| Awaited {
            what: format!("topic \"{topic}\""),
            split_prefix: format!("{topic}/"),
            resource: self.options.resource(topic),
        };
        self.missing.lock().topics.iter().map(awaited).collect()
    }

    async fn open(&self, request: SplitRequest<'_>) -> Result<Box<dyn SplitReader>> {
        let SplitRequest { split, position, end: given_end, skips, projection, metrics } = request;
        let skips: Vec<_> = skips.iter().filter(|skip| skip.split == split.id).cloned().collect();
        let (topic, partition) = parse_split(&split.id)?;
        let (options, group, slot) = (self.options.clone(), self.group.clone(), self.consumer.clone());
        let rows = RowReader::new(&options, projection)?;
        blocking(move || {
            let consumer = shared(&options, &group, &slot, |consumer| consumer.can_open(&topic, partition))?;
            let ids = [partition];
            let start = match position {
                Some(position) => position,
                None => *offsets::starts(&consumer, &topic, &ids, &options.startup)?
                    .get(&partition)
                    .ok_or_else(|| Error::not_found(format!("topic \"{topic}\" has no partition {partition}")))?,
            };
            let end = offsets::ends(&consumer, &topic, &ids, &options.bounded)?
                .map(|ends| ends.get(&partition).copied().unwrap_or(0));
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
            Ok(Box::new(KafkaReader { batches, position: start }) as Box<dyn SplitReader>)
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
            let mut ends: HashMap<String, offsets::Offsets> = HashMap::new();
            let topics: BTreeSet<&String> = partitions.iter().map(|(topic, _)| topic).collect();
            for topic in topics {
                let ids: Vec<i32> =
                    partitions.iter().filter(|(of, _)| of == topic).map(|(_, partition)| *partition).collect();
                ends.insert(topic.clone(), offsets::latest(&consumer, topic, &ids)?);
            }
            let end = |(topic, partition): &(String, i32)| {
                ends.get(topic)
                    .and_then(|ends| ends.get(partition))
                    .copied()
                    .ok_or_else(|| Error::not_found(format!("topic \"{topic}\" has no partition {partition}")))
            };
            partitions.iter().map(end).collect()
        })
        .await
    }

    async fn commit(&self, positions: &[(Split, Position)]) -> Result<()> {
        // Nobody reads any more: then nobody looks at the lag.
        let Some(consumer) = self.consumer.lock().upgrade() else { return Ok(()) };
        let mut latest: HashMap<&str, Position> = HashMap::new();
        for (split, position) in positions {
            latest.insert(&split.id, *position);
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
        self.position
    }

    async fn next(&mut self) -> Result<Option<SourceBatch>> {
        let next = self.batches.next().await?;
        if let Some(batch) = &next {
            self.position = batch.position;
        }
        Ok(next)
    }
}
