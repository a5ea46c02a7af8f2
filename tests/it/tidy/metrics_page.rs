//! docs/reference/metrics.md is what the list of metrics says. `UPDATE_EXPECT=1 cargo test --test it -- tidy` writes it.

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
