//! What is known of a metric in one place: its name, kind, labels, what it says, and where its values come from.

/// How the values of a metric behave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    /// Only grows while the server runs.
    Counter,
    /// Goes up and down.
    Gauge,
    /// How many observations there were up to each of some bounds.
    Histogram,
}

impl MetricKind {
    /// As both formats write it.
    pub fn word(self) -> &'static str {
        match self {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
            MetricKind::Histogram => "histogram",
        }
    }
}

/// A metric.
#[derive(Debug, PartialEq, Eq)]
pub struct MetricEntry {
    /// As Prometheus names it: the unit last, and `_total` behind it for counters.
    pub name: &'static str,
    /// How its values behave.
    pub kind: MetricKind,
    /// Names of its labels, in order.
    pub labels: &'static [&'static str],
    /// What it says: a sentence without its full stop.
    pub help: &'static str,
    /// Where its values come from.
    pub source: &'static str,
}

/// Units that may end a name.
const UNITS: [&str; 2] = ["seconds", "bytes"];

impl MetricEntry {
    /// A counter.
    pub const fn counter(
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
        source: &'static str,
    ) -> Self {
        Self { name, kind: MetricKind::Counter, labels, help, source }
    }

    /// A gauge.
    pub const fn gauge(
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
        source: &'static str,
    ) -> Self {
        Self { name, kind: MetricKind::Gauge, labels, help, source }
    }

    /// A histogram.
    pub const fn histogram(
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
        source: &'static str,
    ) -> Self {
        Self { name, kind: MetricKind::Histogram, labels, help, source }
    }

    /// The name without `_total`, by which OpenMetrics knows a counter.
    pub fn family(&self) -> &'static str {
        match self.kind {
            MetricKind::Counter => self.name.strip_suffix("_total").unwrap_or(self.name),
            MetricKind::Gauge | MetricKind::Histogram => self.name,
        }
    }

    /// The unit in its name, if it has one.
    pub fn unit(&self) -> Option<&'static str> {
        UNITS.into_iter().find(|unit| self.family().strip_suffix(unit).is_some_and(|before| before.ends_with('_')))
    }
}

/// Writes entries as constants, and the list of all of them.
macro_rules! metric_entries {
    ($(#[$meta:meta])* $visibility:vis $list:ident: $($name:ident = $entry:expr;)+) => {
        $(#[doc = "See its entry's help."] $visibility static $name: $crate::telemetry::metrics::MetricEntry = $entry;)+
        $(#[$meta])*
        $visibility static $list: &[&$crate::telemetry::metrics::MetricEntry] = &[$(&$name),+];
    };
}
pub(super) use metric_entries;
