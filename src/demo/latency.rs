//! Measures how long an order takes to show in its user's item: from handing it to the Kafka client to the first GetItem whose count of
//! orders includes it. Sampled, and polled, so that what is measured is an upper bound by one poll.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::types::AttributeValue;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::backends::FEATURES_TABLE;
use super::check::expected::Month;

/// Time between two looks at an item.
pub const POLL: Duration = Duration::from_millis(5);
/// An order that has not shown by then is counted as missed.
const SHOWS_MAX: Duration = Duration::from_secs(30);
/// Orders watched at the same time, so that watching does not load what is watched.
const WATCHED_MAX: usize = 4;

/// Samples of one run.
pub struct Latencies {
    dynamodb: aws_sdk_dynamodb::Client,
    /// For each user, how many orders of the month the log has.
    orders_of_month: HashMap<i32, i64>,
    month: Month,
    permits: Arc<Semaphore>,
    watches: JoinSet<()>,
    samples: Arc<Mutex<Samples>>,
}

/// What was measured.
#[derive(Debug, Clone, Default)]
pub struct Samples {
    seen: Vec<Duration>,
    /// Orders that did not show in time.
    pub missed: usize,
}

impl Samples {
    /// How many orders were seen.
    pub fn count(&self) -> usize {
        self.seen.len()
    }

    /// The duration that `share` of the samples do not exceed.
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let mut sorted = self.seen.clone();
        sorted.sort_unstable();
        let rank = (share * sorted.len() as f64).ceil() as usize;
        sorted.get(rank.saturating_sub(1)).copied()
    }
}

impl Latencies {
    /// Nothing measured yet; `orders_of_month`: what the log has already.
    pub fn new(dynamodb: aws_sdk_dynamodb::Client, month: Month, orders_of_month: HashMap<i32, i64>) -> Self {
        Self {
            dynamodb,
            orders_of_month,
            month,
            permits: Arc::new(Semaphore::new(WATCHED_MAX)),
            watches: JoinSet::new(),
            samples: Arc::default(),
        }
    }

    /// Says which month it is; those of a new one are counted from none.
    pub fn in_month(&mut self, month: Month) {
        if self.month != month {
            self.month = month;
            self.orders_of_month.clear();
        }
    }

    /// Notes an order handed to Kafka at `produced`; with `sample`, watches for it unless enough are watched.
    pub fn order(&mut self, user: i32, produced: Instant, sample: bool) {
        let count = self.orders_of_month.entry(user).or_default();
        *count += 1;
        if !sample {
            return;
        }
        let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() else { return };
        let (dynamodb, samples, count) = (self.dynamodb.clone(), Arc::clone(&self.samples), *count);
        while self.watches.try_join_next().is_some() {}
        self.watches.spawn(async move {
            let shown = shows(&dynamodb, user, count, produced).await;
            let mut samples = samples.lock();
            match shown {
                true => samples.seen.push(produced.elapsed()),
                false => samples.missed += 1,
            }
            drop(permit);
        });
    }

    /// Waits for the orders still watched.
    pub async fn settle(&mut self) {
        while self.watches.join_next().await.is_some() {}
    }

    /// What is being measured, for those who watch.
    pub fn shared_samples(&self) -> Arc<Mutex<Samples>> {
        Arc::clone(&self.samples)
    }

    /// What was measured so far.
    pub fn samples(&self) -> Samples {
        self.samples.lock().clone()
    }
}

/// Whether the user's item counts `count` orders before the patience ends.
async fn shows(dynamodb: &aws_sdk_dynamodb::Client, user: i32, count: i64, produced: Instant) -> bool {
    while produced.elapsed() < SHOWS_MAX {
        let answer = dynamodb
            .get_item()
            .table_name(FEATURES_TABLE)
            .key("user_id", AttributeValue::N(user.to_string()))
            .projection_expression("total_orders_lastest_month")
            .consistent_read(true)
            .send()
            .await;
        let shown = answer.ok().and_then(|answer| match answer.item?.get("total_orders_lastest_month")? {
            AttributeValue::N(text) | AttributeValue::S(text) => text.parse::<i64>().ok(),
            _ => None,
        });
        if shown.is_some_and(|shown| shown >= count) {
            return true;
        }
        tokio::time::sleep(POLL).await;
    }
    false
}
