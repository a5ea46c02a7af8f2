//! Finds the partitions of a source's topics. Partitions never end. The state names the topics that were found: one that is gone later was
//! deleted, one that never was there is waited for.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};

use async_trait::async_trait;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::consumer::Consumer;
use super::offsets;
use super::partition::{blocking, parse_split, shared};
use crate::connectors::enumerator::{Awaited, Discovery, FoundSplit, Restored, SplitEnumerator};
use crate::connectors::kafka::client::REQUEST_TIMEOUT;
use crate::connectors::kafka::options::KafkaOptions;
use crate::connectors::kafka::range::Bounded;
use crate::connectors::split::Split;
use crate::error::{Error, ErrorKind, Result};

/// What is stored.
#[derive(Serialize, Deserialize)]
struct State {
    topics: BTreeSet<String>,
}

pub(super) struct KafkaEnumerator {
    options: Arc<KafkaOptions>,
    group: String,
    /// The consumer that the source's open readers share.
    consumer: Arc<Mutex<Weak<Consumer>>>,
    /// Topics that were there.
    found: BTreeSet<String>,
    /// Kept while a topic is awaited, so that the next look needs no new one.
    _looks_again: Option<Arc<Consumer>>,
}

impl KafkaEnumerator {
    pub fn restore(
        options: Arc<KafkaOptions>,
        group: String,
        consumer: Arc<Mutex<Weak<Consumer>>>,
        restored: &Restored<'_>,
    ) -> Result<Self> {
        let mut found = match restored.state {
            Some(state) => {
                State::deserialize(state)
                    .map_err(|error| Error::corrupt(format!("the stored topics of a Kafka source: {error}")))?
                    .topics
            }
            None => BTreeSet::new(),
        };
        // Checkpoints of former versions have positions only.
        for split in &restored.splits {
            found.insert(parse_split(split)?.0);
        }
        // A savepoint may be of a job that read more topics.
        found.retain(|topic| options.topics.contains(topic));
        Ok(Self { options, group, consumer, found, _looks_again: None })
    }

    /// Whether a partition of one of the source's topics is read.
    fn reads(options: &KafkaOptions, partition: i32) -> bool {
        match &options.bounded {
            Bounded::Offsets(given) => given.contains_key(&partition),
            _ => true,
        }
    }
}

/// The partitions that are read of the topics that are there, the topics without any, and who was asked.
type Found = (Vec<(String, i32)>, Vec<String>, Arc<Consumer>);

/// Asks. Blocks.
fn ask(options: &KafkaOptions, consumer: Arc<Consumer>, known: &BTreeSet<String>) -> Result<Found> {
    let (mut found, mut absent) = (Vec::new(), Vec::new());
    for topic in &options.topics {
        match offsets::partitions(&consumer, topic, REQUEST_TIMEOUT) {
            Ok(partitions) => {
                let read = partitions.into_iter().filter(|partition| KafkaEnumerator::reads(options, *partition));
                found.extend(read.map(|partition| (topic.clone(), partition)));
            }
            // What a bounded source reads is settled when it begins: it begins when all is there.
            Err(error)
                if error.kind() == ErrorKind::NotFound && options.bounded == Bounded::No && !known.contains(topic) =>
            {
                absent.push(topic.clone());
            }
            Err(error) => return Err(error),
        }
    }
    Ok((found, absent, consumer))
}

#[async_trait]
impl SplitEnumerator for KafkaEnumerator {
    async fn discover(&mut self) -> Result<Discovery> {
        let (options, group, slot) = (self.options.clone(), self.group.clone(), self.consumer.clone());
        let known = self.found.clone();
        let (found, absent, consumer) = blocking(move || {
            let consumer = shared(&options, &group, &slot, |_| true)?;
            ask(&options, consumer, &known)
        })
        .await?;
        self._looks_again = (!absent.is_empty()).then_some(consumer);
        self.found.extend(found.iter().map(|(topic, _)| topic.clone()));
        let split = |(topic, partition): (String, i32)| Split {
            id: format!("{topic}/{partition}"),
            resource: format!("{}/{partition}", self.options.resource(&topic)),
            group: Some(self.group.clone()),
        };
        let awaited =
            |topic: String| Awaited { what: format!("topic \"{topic}\""), resource: self.options.resource(&topic) };
        Ok(Discovery {
            splits: found.into_iter().map(split).map(FoundSplit::from).collect(),
            awaited: absent.into_iter().map(awaited).collect(),
        })
    }

    fn is_over(&self, split: &str) -> bool {
        match parse_split(split) {
            Ok((topic, partition)) => !self.options.topics.contains(&topic) || !Self::reads(&self.options, partition),
            Err(_) => false,
        }
    }

    fn state(&self) -> Option<Value> {
        serde_json::to_value(State { topics: self.found.clone() }).ok()
    }
}

#[cfg(test)]
mod tests;
