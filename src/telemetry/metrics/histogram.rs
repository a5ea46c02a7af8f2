//! How long things take: observations counted by bounds, without a lock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::value::Value;

/// Upper bounds in microseconds: from what a cached answer takes to what nobody waits for.
const BOUNDS_US: [u64; 14] = [
    500,
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    5_000_000,
    30_000_000,
    300_000_000,
];

/// Counts of observations.
#[derive(Debug, Default)]
pub struct Histogram {
    /// By the first bound that is not below; the last place is for what is above all.
    counts: [AtomicU64; BOUNDS_US.len() + 1],
    sum_us: AtomicU64,
}

impl Histogram {
    /// Counts an observation.
    pub fn observe(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let place = BOUNDS_US.partition_point(|bound| *bound < micros);
        self.counts[place].fetch_add(1, Ordering::Relaxed);
        self.sum_us.fetch_add(micros, Ordering::Relaxed);
    }

    pub(super) fn value(&self) -> Value {
        let mut count = 0;
        let mut buckets = Vec::with_capacity(BOUNDS_US.len());
        for (place, counted) in self.counts.iter().enumerate() {
            count += counted.load(Ordering::Relaxed);
            if let Some(bound) = BOUNDS_US.get(place) {
                buckets.push((*bound as f64 / 1e6, count));
            }
        }
        Value::Histogram { buckets, count, sum: self.sum_us.load(Ordering::Relaxed) as f64 / 1e6 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_count_what_is_not_above_them() {
        let histogram = Histogram::default();
        for micros in [500, 501, 1_000, 400_000_000] {
            histogram.observe(Duration::from_micros(micros));
        }
        let Value::Histogram { buckets, count, sum } = histogram.value() else { panic!("no histogram") };
        assert_eq!(buckets[0], (0.0005, 1));
        assert_eq!(buckets[1], (0.001, 3));
        assert_eq!((buckets[13], count), ((300.0, 3), 4));
        assert!((sum - 400.002_001).abs() < 1e-9, "{sum}");
    }
}
