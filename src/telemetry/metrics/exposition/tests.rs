use std::collections::BTreeSet;
use std::time::Duration;

use super::*;
use crate::telemetry::metrics::{Histogram, list};

#[test]
fn what_is_asked_for_is_given() {
    let given = |header: &str| Exposition::accepted(Some(header));
    assert_eq!(Exposition::accepted(None), Exposition::Prometheus);
    assert_eq!(given("*/*"), Exposition::Prometheus);
    assert_eq!(given("application/openmetrics-text"), Exposition::OpenMetrics);
    assert_eq!(given("application/openmetrics-text; version=\"1.0.0\""), Exposition::OpenMetrics);
    assert_eq!(given("application/openmetrics-text;version=2.0.0,text/plain;q=0.1"), Exposition::Prometheus);
    assert_eq!(given("application/openmetrics-text;q=0"), Exposition::Prometheus);
    // What Prometheus sends, and a client that would rather have the older one.
    let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,\
        text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
    assert_eq!(given(prometheus), Exposition::OpenMetrics);
    assert_eq!(given("application/openmetrics-text;q=0.2, text/plain"), Exposition::Prometheus);
}

#[test]
fn both_formats_are_written_as_they_say() {
    let mut samples = Samples::default();
    samples.put_count(&list::JOB_RESTARTS, &["a \"b\" \\ c\nd"], 3);
    samples.put(&list::QUERY_MEMORY_USED, &[], 0.5);
    let histogram = Histogram::default();
    histogram.observe(Duration::from_secs(1));
    samples.put_histogram(&list::STATEMENT_DURATION, &[], &histogram);
    let text = Exposition::Prometheus.write(&samples);
    assert!(text.contains("# TYPE streamgate_job_restarts_total counter\n"), "{text}");
    assert!(text.contains("streamgate_job_restarts_total{job=\"a \\\"b\\\" \\\\ c\\nd\"} 3\n"), "{text}");
    assert!(text.contains("streamgate_query_memory_used_bytes 0.5\n"), "{text}");
    assert!(text.contains("streamgate_statement_duration_seconds_bucket{le=\"1.0\"} 1\n"), "{text}");
    assert!(text.contains("streamgate_statement_duration_seconds_bucket{le=\"0.5\"} 0\n"), "{text}");
    assert!(text.contains("_bucket{le=\"+Inf\"} 1\nstreamgate_statement_duration_seconds_sum 1\n"), "{text}");
    assert!(!text.contains("EOF") && !text.contains("# UNIT"), "{text}");
    let text = Exposition::OpenMetrics.write(&samples);
    assert!(text.contains("# TYPE streamgate_job_restarts counter\n"), "{text}");
    assert!(text.contains("# UNIT streamgate_query_memory_used_bytes bytes\n"), "{text}");
    assert!(text.ends_with("# EOF\n"), "{text}");
}

#[test]
fn the_list_keeps_to_the_conventions() {
    let is_name =
        |name: &str| name.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_');
    let mut names = BTreeSet::new();
    for entry in METRICS {
        assert!(names.insert(entry.family()), "{} is there twice", entry.name);
        assert!(is_name(entry.name) && entry.labels.iter().all(|label| is_name(label)), "{}", entry.name);
        assert_eq!(entry.name.ends_with("_total"), entry.kind == MetricKind::Counter, "{}", entry.name);
        assert!(!["_count", "_sum", "_bucket"].iter().any(|end| entry.name.ends_with(end)), "{}", entry.name);
        assert!(!entry.help.ends_with('.') && !entry.help.is_empty() && !entry.source.is_empty(), "{}", entry.name);
        assert!(entry.name.starts_with("streamgate_") || entry.name.starts_with("process_"), "{}", entry.name);
    }
}
