//! Values of metrics at one moment, by entry and labels. A series that is put twice has its last value: no answer has duplicates.

use std::collections::BTreeMap;
use std::time::Duration;

use super::entry::MetricEntry;
use super::histogram::Histogram;
use super::value::Value;

/// Values of metrics at one moment.
#[derive(Debug, Default)]
pub struct Samples {
    families: BTreeMap<&'static str, BTreeMap<Vec<String>, Value>>,
}

impl Samples {
    /// Puts a value; the labels' values come in the order of the entry.
    pub fn put(&mut self, entry: &'static MetricEntry, labels: &[&str], value: f64) {
        self.insert(entry, labels, Value::Number(value));
    }

    /// Puts a count. Those beyond 2⁵³ are rounded, as Prometheus does with all numbers.
    pub fn put_count(&mut self, entry: &'static MetricEntry, labels: &[&str], count: u64) {
        self.put(entry, labels, count as f64);
    }

    /// Puts a time.
    pub fn put_duration(&mut self, entry: &'static MetricEntry, labels: &[&str], time: Duration) {
        self.put(entry, labels, time.as_secs_f64());
    }

    /// Puts a moment, given in milliseconds since 1970.
    pub fn put_moment(&mut self, entry: &'static MetricEntry, labels: &[&str], at_ms: i64) {
        self.put(entry, labels, at_ms as f64 / 1000.0);
    }

    /// Puts what a histogram holds now.
    pub fn put_histogram(&mut self, entry: &'static MetricEntry, labels: &[&str], histogram: &Histogram) {
        self.insert(entry, labels, histogram.value());
    }

    fn insert(&mut self, entry: &'static MetricEntry, labels: &[&str], value: Value) {
        debug_assert_eq!(labels.len(), entry.labels.len(), "labels of {}", entry.name);
        let labels = labels.iter().map(|label| (*label).to_owned()).collect();
        self.families.entry(entry.name).or_default().insert(labels, value);
    }

    /// The series of a metric.
    pub(super) fn series(&self, entry: &MetricEntry) -> Option<&BTreeMap<Vec<String>, Value>> {
        self.families.get(entry.name)
    }
}
