//! The values of one series of a metric.

/// Values of one series.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// Of a counter or a gauge.
    Number(f64),
    /// Of a histogram: bounds in seconds with the observations up to them, all of them, and their sum in seconds.
    Histogram { buckets: Vec<(f64, u64)>, count: u64, sum: f64 },
}
