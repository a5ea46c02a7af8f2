//! Whether the results are right: what the sinks hold is what the orders say, by our own computation and by the same SQL over the log.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::{Message, Offset, TopicPartitionList};
use serde_json::value::RawValue;
use tokio_postgres::SimpleQueryMessage;

use super::workload::{CHECKPOINT_INTERVAL, Job, Scenario};
use crate::backends::{PATIENCE, unique};
use crate::conformance::transactions::COMMITTED;
use crate::server::JOB_PATIENCE;

/// How long a result may take after its job says that it has done everything.
const SETTLING: Duration = Duration::from_secs(20);

impl Scenario {
    /// Waits until the jobs have done all orders, and expects the right results.
    pub async fn expect_equal(&mut self, when: &str) {
        self.flush().await;
        if let Err(wrong) = self.verify(JOB_PATIENCE, SETTLING).await {
            let jobs = self.try_query("SELECT name, state, restarts, lag, last_error FROM streamgate.jobs").await;
            let splits = self.try_query("SELECT * FROM streamgate.job_splits").await;
            panic!("{when}: {wrong}\n{jobs:#?}\n{splits:#?}\n{}", self.server().log());
        }
    }

    /// Whether the results become right: `patience` for the jobs to catch up, `settling` for what they have done to be seen.
    pub async fn verify(&self, patience: Duration, settling: Duration) -> Result<(), String> {
        let deadline = Instant::now() + patience;
        while !self.has_caught_up().await? {
            if Instant::now() >= deadline {
                return Err(match self.compare().await {
                    Ok(()) => {
                        "the results are right, but the jobs do not say that they have done everything".to_owned()
                    }
                    Err(wrong) => format!("the jobs lag, and {}", wrong.text()),
                });
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let deadline = Instant::now() + settling;
        loop {
            match self.compare().await {
                Ok(()) => break,
                Err(Wrong::Yet(_)) if Instant::now() < deadline => {}
                Err(wrong) => return Err(format!("the jobs have done everything, and {}", wrong.text())),
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        // Nothing comes after: an epoch that is open now would have been decided.
        tokio::time::sleep(CHECKPOINT_INTERVAL * 3).await;
        self.compare().await.map_err(|wrong| format!("right for a moment, and then {}", wrong.text()))?;
        self.compare_with_sql().await
    }

    /// Whether every job has all orders behind it. An error when one will not come that far.
    async fn has_caught_up(&self) -> Result<bool, String> {
        let states = "SELECT name, state, last_error FROM streamgate.jobs WHERE state IN ('FAILED', 'QUARANTINED')";
        let Some(failed) = self.try_query(states).await else { return Ok(false) };
        if !failed.is_empty() {
            return Err(format!("jobs have failed: {failed:?}"));
        }
        let splits = "SELECT job, split, acknowledged FROM streamgate.job_splits";
        let Some(splits) = self.try_query(splits).await else { return Ok(false) };
        let mut ends: BTreeMap<i32, i64> = BTreeMap::new();
        self.orders.iter().for_each(|order| *ends.entry(order.partition).or_default() += 1);
        let missing = self.jobs.iter().any(|job| {
            ends.iter().any(|(partition, end)| {
                !splits.contains(&format!("{}|{}/{partition}|{end}", job.name(), self.names.source))
            })
        });
        Ok(!missing)
    }

    /// Rows of a query, or nothing while the server does not answer it.
    pub async fn try_query(&self, query: &str) -> Option<Vec<String>> {
        let session = self.server().try_connect().await?;
        let messages = session.simple_query(query).await.ok()?;
        let rows = messages.iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        let text = |row: &tokio_postgres::SimpleQueryRow| {
            (0..row.len()).map(|place| row.get(place).unwrap_or("NULL")).collect::<Vec<_>>().join("|")
        };
        Some(rows.map(text).collect())
    }

    async fn compare(&self) -> Result<(), Wrong> {
        for job in &self.jobs {
            let expected = job.expected(&self.orders);
            let found = match job {
                Job::Filtered => self.records(*job).await.map(|records| {
                    let row = |(_, value): &Record| filtered(value);
                    records.iter().map(row).collect()
                }),
                Job::PerUser | Job::Parallel => self.records(*job).await.map(folded),
                Job::Monthly | Job::Spread | Job::Versioned => {
                    self.try_query(&format!("SELECT {} FROM {}", job.columns(), job.table())).await
                }
            };
            let Some(mut found) = found else {
                return Err(Wrong::Yet(format!("{} cannot be read", job.table())));
            };
            found.sort();
            if found == expected {
                continue;
            }
            let text = format!("{} differs: {}", job.table(), difference(&found, &expected));
            let is_doubled = *job == Job::Filtered && (found.len() > expected.len() || has_doubles(&found));
            return Err(if is_doubled { Wrong::Forever(text) } else { Wrong::Yet(text) });
        }
        Ok(())
    }

    /// The same SQL over the log, against the tables as the server reads them.
    async fn compare_with_sql(&self) -> Result<(), String> {
        for job in &self.jobs {
            let mut truth = self.try_query(job.query()).await.ok_or_else(|| format!("{} fails", job.query()))?;
            let select = format!("SELECT {} FROM {}", job.columns(), job.table());
            let mut found = self.try_query(&select).await.ok_or_else(|| format!("{select} fails"))?;
            truth.sort();
            found.sort();
            if found != truth {
                return Err(format!("{} differs from its query: {}", job.table(), difference(&found, &truth)));
            }
        }
        Ok(())
    }

    /// What a committed read sees of a job's topic: keys and values; nothing when the broker does not answer.
    async fn records(&self, job: Job) -> Option<Vec<Record>> {
        let mut config = self.backends.kafka();
        config.set("group.id", unique("check")).set("isolation.level", COMMITTED).set("enable.partition.eof", "true");
        config.set("enable.auto.commit", "false").set("fetch.wait.max.ms", "10");
        let topic = self.names.topic(job);
        tokio::task::spawn_blocking(move || read_to_the_end(&config.create().ok()?, &topic)).await.unwrap()
    }
}

/// A result that is not right.
enum Wrong {
    /// It may become right.
    Yet(String),
    /// It never will.
    Forever(String),
}

impl Wrong {
    fn text(self) -> String {
        match self {
            Wrong::Yet(text) | Wrong::Forever(text) => text,
        }
    }
}

/// Key and value.
type Record = (Option<Vec<u8>>, Vec<u8>);

fn read_to_the_end(consumer: &BaseConsumer, topic: &str) -> Option<Vec<Record>> {
    let mut assignment = TopicPartitionList::new();
    for partition in 0..2 {
        assignment.add_partition_offset(topic, partition, Offset::Beginning).ok()?;
    }
    consumer.assign(&assignment).ok()?;
    let deadline = Instant::now() + PATIENCE;
    let (mut records, mut ended) = (Vec::new(), 0);
    while ended < 2 {
        match consumer.poll(Duration::from_secs(1)) {
            Some(Ok(record)) => records
                .push((record.key().map(<[u8]>::to_vec), record.payload().map(<[u8]>::to_vec).unwrap_or_default())),
            Some(Err(KafkaError::PartitionEOF(_))) => ended += 1,
            Some(Err(_)) | None if Instant::now() >= deadline => return None,
            Some(Err(_)) | None => {}
        }
    }
    Some(records)
}

type Fields = BTreeMap<String, Box<RawValue>>;

fn fields(value: &[u8]) -> Fields {
    serde_json::from_slice(value).unwrap_or_else(|error| panic!("{}: {error}", String::from_utf8_lossy(value)))
}

fn number(fields: &Fields, name: &str) -> String {
    fields[name].get().trim_matches('"').to_owned()
}

/// A decimal of two places, whichever zeros it is written with.
fn amount(fields: &Fields, name: &str) -> String {
    let mut text = number(fields, name);
    if text.contains('E') {
        // As in Flink (2.58E+3); these are small enough to be exact.
        text = text.parse::<f64>().unwrap().to_string();
    }
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    format!("{whole}.{fraction:0<2}")
}

fn filtered(value: &[u8]) -> String {
    let fields = fields(value);
    format!("{}|{}|{}", number(&fields, "id"), number(&fields, "user_id"), amount(&fields, "amount"))
}

/// The last value of each key.
fn folded(records: Vec<Record>) -> Vec<String> {
    let mut rows: BTreeMap<Option<Vec<u8>>, Vec<u8>> = BTreeMap::new();
    for (key, value) in records {
        match value.is_empty() {
            true => rows.remove(&key),
            false => rows.insert(key, value),
        };
    }
    let row = |value: &Vec<u8>| {
        let fields = fields(value);
        let amounts = ["total", "smallest", "largest"].map(|name| amount(&fields, name)).join("|");
        format!("{}|{}|{amounts}", number(&fields, "user_id"), number(&fields, "orders"))
    };
    rows.values().map(row).collect()
}

fn has_doubles(sorted: &[String]) -> bool {
    sorted.windows(2).any(|pair| pair[0] == pair[1])
}

/// Some of the rows that are in one and not in the other, as often as they are.
fn difference(found: &[String], expected: &[String]) -> String {
    let mut counts: BTreeMap<&str, i64> = BTreeMap::new();
    found.iter().for_each(|row| *counts.entry(row).or_default() += 1);
    expected.iter().for_each(|row| *counts.entry(row).or_default() -= 1);
    let some = |of: fn(&i64) -> bool| {
        let rows = counts.iter().filter(|(_, count)| of(count)).map(|(row, count)| format!("{row} ({count:+})"));
        let rows: Vec<String> = rows.collect();
        format!("{} rows, {:?}", rows.len(), &rows[..rows.len().min(5)])
    };
    format!(
        "{} rows instead of {}; too many: {}; missing: {}",
        found.len(),
        expected.len(),
        some(|count| *count > 0),
        some(|count| *count < 0)
    )
}
