//! docs/reference/metrics.md is what the list of metrics says (`UPDATE_EXPECT=1 cargo test --test it -- tidy` writes it), and dashboard, alerts and
//! manual use only metrics of the list.

use std::fmt::Write as _;

use streamgate::telemetry::metrics::METRICS;

const HEAD: &str = "\
<!-- Written by tests/it/tidy/metrics_page.rs from the entries in src/telemetry/metrics/list.rs; not by hand. -->

# Metrics

What `/metrics` of the HTTP port (`http_listen`, off by default) gives, in Prometheus' text format 0.0.4 or, if the client asks for it, OpenMetrics
1.0. docs/operations.md says how it is switched on and what to alert on. A metric without a series now (no job, no watermark) is left out.
Counters begin at 0 when the server starts, those of a job also when a job of its name is made anew.

| metric | kind | labels | what it says | from |
|---|---|---|---|---|
";

#[test]
fn the_page_of_metrics_is_what_the_list_says() {
    let mut page = HEAD.to_owned();
    for entry in METRICS {
        let labels = entry.labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ");
        let _ = writeln!(
            page,
            "| `{}` | {} | {labels} | {}. | {} |",
            entry.name,
            entry.kind.word(),
            entry.help,
            entry.source
        );
    }
    expect_test::expect_file!["../../../docs/reference/metrics.md"].assert_eq(&page);
}

/// Names of metrics in a text: words that begin as ours do.
fn names(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|letter: char| !(letter.is_ascii_lowercase() || letter == '_'));
    words.filter(|word| word.starts_with("streamgate_") || word.starts_with("process_"))
}

#[test]
fn dashboard_alerts_and_manual_use_metrics_that_are_there() {
    let is_there = |name: &str| {
        let of_histogram = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
        METRICS
            .iter()
            .any(|entry| entry.name == name || (entry.name == of_histogram && entry.kind.word() == "histogram"))
    };
    for file in ["packaging/grafana-dashboard.json", "packaging/prometheus-rules.yaml", "docs/operations.md"] {
        let text = std::fs::read_to_string(super::root().join(file)).unwrap();
        // LISTEN streamgate_jobs is a channel, streamgate_*.deb a package.
        let used: Vec<&str> = names(&text).filter(|name| !["streamgate_jobs", "streamgate_"].contains(name)).collect();
        assert!(used.len() > 10, "{file}: {used:?}");
        let missing: Vec<&&str> = used.iter().filter(|name| !is_there(name)).collect();
        assert!(missing.is_empty(), "{file} uses {missing:?}, which are no metrics");
    }
    let dashboard = std::fs::read_to_string(super::root().join("packaging/grafana-dashboard.json")).unwrap();
    serde_json::from_str::<serde_json::Value>(&dashboard).unwrap();
}
