//! Samples as text: Prometheus' format 0.0.4 and OpenMetrics 1.0.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::entry::{MetricEntry, MetricKind};
use super::list::METRICS;
use super::samples::Samples;
use super::value::Value;

/// A text format of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exposition {
    /// Prometheus' own, version 0.0.4.
    Prometheus,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Exposition {
    /// What an `Accept` header asks for; what it does not say, or cannot be had, is Prometheus'.
    pub fn accepted(header: Option<&str>) -> Self {
        let (mut open, mut text) = (0.0_f64, 0.0_f64);
        for range in header.unwrap_or_default().split(',') {
            let mut parts = range.split(';').map(|part| part.trim().to_ascii_lowercase());
            let media = parts.next().unwrap_or_default();
            let (mut weight, mut version) = (1.0_f64, None);
            for parameter in parts {
                match parameter.split_once('=') {
                    Some(("q", value)) => weight = value.parse().unwrap_or(0.0),
                    Some(("version", value)) => version = Some(value.trim_matches('"').to_owned()),
                    _ => {}
                }
            }
            match media.as_str() {
                "application/openmetrics-text" if version.is_none_or(|version| version == "1.0.0") => {
                    open = open.max(weight);
                }
                "text/plain" | "text/*" | "*/*" => text = text.max(weight),
                _ => {}
            }
        }
        if open > 0.0 && open >= text { Exposition::OpenMetrics } else { Exposition::Prometheus }
    }

    /// For `Content-Type`.
    pub fn content_type(self) -> &'static str {
        match self {
            Exposition::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Exposition::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// Writes what there are samples of, in the order of the list.
    pub fn write(self, samples: &Samples) -> String {
        let mut text = String::new();
        for entry in METRICS {
            if let Some(series) = samples.series(entry) {
                self.write_family(&mut text, entry, series);
            }
        }
        if self == Exposition::OpenMetrics {
            text.push_str("# EOF\n");
        }
        text
    }

    fn write_family(self, text: &mut String, entry: &MetricEntry, series: &BTreeMap<Vec<String>, Value>) {
        let (family, escapes_quotes) = match self {
            Exposition::Prometheus => (entry.name, false),
            Exposition::OpenMetrics => (entry.family(), true),
        };
        let _ = writeln!(text, "# HELP {family} {}.", escaped(entry.help, escapes_quotes));
        let _ = writeln!(text, "# TYPE {family} {}", entry.kind.word());
        if let (Exposition::OpenMetrics, Some(unit)) = (self, entry.unit()) {
            let _ = writeln!(text, "# UNIT {family} {unit}");
        }
        for (values, value) in series {
            let labels: Vec<String> = entry
                .labels
                .iter()
                .zip(values)
                .map(|(label, value)| format!("{label}=\"{}\"", escaped(value, true)))
                .collect();
            match value {
                Value::Number(number) => sample(text, entry.name, &labels, *number),
                Value::Histogram { buckets, count, sum } => {
                    let bounded = |bound: &str| {
                        let mut labels = labels.clone();
                        labels.push(format!("le=\"{bound}\""));
                        labels
                    };
                    for (bound, counted) in buckets {
                        // With a point: OpenMetrics wants bounds to be floats, and Prometheus one text for one bound.
                        let labels = bounded(&format!("{bound:?}"));
                        sample(text, &format!("{}_bucket", entry.name), &labels, *counted as f64);
                    }
                    sample(text, &format!("{}_bucket", entry.name), &bounded("+Inf"), *count as f64);
                    sample(text, &format!("{}_sum", entry.name), &labels, *sum);
                    sample(text, &format!("{}_count", entry.name), &labels, *count as f64);
                }
            }
        }
        debug_assert!(entry.kind != MetricKind::Counter || entry.name.ends_with("_total"), "{}", entry.name);
    }
}

fn sample(text: &mut String, name: &str, labels: &[String], value: f64) {
    text.push_str(name);
    if !labels.is_empty() {
        let _ = write!(text, "{{{}}}", labels.join(","));
    }
    let _ = match value {
        _ if value.is_nan() => writeln!(text, " NaN"),
        f64::INFINITY => writeln!(text, " +Inf"),
        f64::NEG_INFINITY => writeln!(text, " -Inf"),
        _ => writeln!(text, " {value}"),
    };
}

fn escaped(text: &str, quotes: bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\\' => escaped.push_str("\\\\"),
            '\n' => escaped.push_str("\\n"),
            '"' if quotes => escaped.push_str("\\\""),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests;
