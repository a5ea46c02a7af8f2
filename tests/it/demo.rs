//! The demo checks itself, and its check fails when something is wrong.

use std::process::Output;

use tempfile::TempDir;

use crate::server::BackEndsOfProcess;

async fn demo(arguments: &[&str]) -> (Output, String) {
    let back_ends = BackEndsOfProcess::take().await;
    let folder = TempDir::new().unwrap();
    let mut command = back_ends.command("demo", &folder.path().join("data"), 0);
    command.args(["--orders", "800", "--users", "40", "--history", "600", "--check"]).args(arguments);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let text = format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output, text)
}

#[tokio::test]
async fn the_demo_checks_every_feature_and_says_how_fast_it_was() {
    let (output, text) = demo(&[]).await;
    assert!(output.status.success(), "{text}");
    assert!(text.contains("all features and all monthly sums are equal to the independent computation"), "{text}");
    assert!(text.contains("rows/s") && text.contains("p99"), "{text}");
    assert!(text.contains("psql -h 127.0.0.1 -p "), "{text}");
    // Nothing to be alarmed by, and it ends with what comes next, on lines that fit.
    assert!(!text.contains("WARN"), "{text}");
    let next = text.split("What to try next:").nth(1).unwrap_or_default();
    assert!(next.contains("streamgate serve") && next.contains("sql/pipeline.sql"), "{text}");
    assert!(next.lines().all(|line| line.chars().count() < 80), "{next}");
}

#[tokio::test]
async fn an_altered_item_fails_the_check() {
    let (output, text) = demo(&["--tamper", "item"]).await;
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("items differ: user 10001: expected month "), "{text}");
}

#[tokio::test]
async fn a_dropped_order_fails_the_check() {
    let (output, text) = demo(&["--tamper", "order"]).await;
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("items differ: user 10001: expected month "), "{text}");
}
