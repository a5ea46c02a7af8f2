//! Topics that are deleted, or deleted and made again: a position goes on only in the log that it was read from.

use std::fs;
use std::path::Path;

use super::Bench;
use crate::conformance::kafka::create_topic;
use crate::server::{BackendsOfProcess, ServerProcess};

/// The text of the newest checkpoint of the only job.
fn newest_checkpoint(folder: &Path) -> String {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else if entry.path().extension().is_some_and(|extension| extension == "checkpoint") {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    fs::read_to_string(found.pop().expect("a checkpoint")).unwrap()
}

/// The name of the topic, and what tells the logs apart.
fn tells_of_another_log(topic: &str, text: &str) -> bool {
    text.contains("FAILED") && text.contains(&format!("topic \"{topic}\"")) && text.contains("another log")
}

#[tokio::test]
async fn a_topic_that_is_made_anew_under_a_job_stops_it() {
    let bench = Bench::start(1).await;
    bench.declare("").await;
    bench.submit().await;
    bench.produce(0..300);
    bench.until_rows(300).await;
    bench.until_checkpointed(300).await;
    bench.make_topic_anew(1).await;
    // The new log has records at the job's position.
    bench.produce(1000..1600);
    let topic = bench.topic.clone();
    bench.until_job("state, last_error", "the job has stopped", |text| tells_of_another_log(&topic, text)).await;
    // Nothing of the other log was decided, and the way out is no RESUME.
    bench.server().execute("RESUME JOB j").await;
    bench.until_job("state, last_error", "it has stopped again", |text| tells_of_another_log(&topic, text)).await;
    let decided: serde_json::Value = serde_json::from_str(&newest_checkpoint(&bench.data_dir())).unwrap();
    let position = decided["manifest"]["positions"]["source-0"][format!("{topic}/0")].as_i64().unwrap();
    assert!(position <= 300, "{decided}");
    bench.server().execute("DROP JOB j").await;
    bench.submit().await;
    bench.until_rows(600).await;
}

#[tokio::test]
async fn a_topic_that_is_made_anew_between_two_runs_stops_the_job_also_after_a_kill() {
    let mut bench = Bench::start(1).await;
    bench.declare("").await;
    bench.submit().await;
    bench.produce(0..300);
    bench.until_rows(300).await;
    bench.until_checkpointed(300).await;
    bench.server().execute("PAUSE JOB j").await;
    bench.until_job("state", "the job is paused", |state| state == "PAUSED").await;
    bench.make_topic_anew(1).await;
    bench.produce(1000..1600);
    bench.restart().await;
    let topic = bench.topic.clone();
    // The settled state comes with the answer, and with it the error.
    let refused = bench.server().connect().await.batch_execute("RESUME JOB j").await;
    println!("RESUME: {refused:?}");
    bench.until_job("state, last_error", "the job has stopped", |text| tells_of_another_log(&topic, text)).await;
    assert_eq!(bench.job("rows_in").await, "0");
}

#[tokio::test]
async fn a_topic_that_is_deleted_under_an_idle_job_fails_it_with_its_name() {
    let bench = Bench::start(2).await;
    bench.declare("").await;
    bench.submit().await;
    bench.produce(0..10);
    bench.until_rows(10).await;
    bench.delete_topic().await;
    let topic = bench.topic.clone();
    let is_told = |text: &str| {
        text.contains("FAILED") && text.contains(&format!("topic \"{topic}\"")) && text.contains("deleted")
    };
    bench.until_job("state, last_error", "the job has failed", is_told).await;
}

#[tokio::test]
async fn a_topic_that_has_grown_is_the_same_one() {
    let mut bench = Bench::start(1).await;
    bench.declare(", 'scan.topic-partition-discovery.interval' = '200 ms'").await;
    bench.submit().await;
    bench.produce(0..100);
    bench.until_rows(100).await;
    bench.until_checkpointed(100).await;
    let more = rdkafka::admin::NewPartitions::new(&bench.topic, 3);
    super::admin(&bench.backends.kafka()).create_partitions([&more], &super::options()).await.unwrap();
    let splits = "SELECT count(*) FROM streamgate.job_splits WHERE job = 'j'";
    super::until(super::JOB_PATIENCE, "the new partitions are read", async || {
        (bench.server().query(splits).await == ["3"]).then_some(())
    })
    .await;
    bench.restart_in_order().await;
    bench.produce(100..150);
    bench.until_job("state, rows_in", "it goes on", |now| now == "RUNNING|50").await;
}

#[tokio::test]
async fn a_data_directory_that_is_started_beside_another_cluster_stops_its_jobs() {
    let other = BackendsOfProcess::take().await;
    let mut bench = Bench::start(1).await;
    if other.bootstrap_servers == bench.backends.bootstrap_servers {
        // Real backends: there is one cluster only.
        return;
    }
    bench.declare("").await;
    bench.submit().await;
    bench.produce(0..300);
    bench.until_rows(300).await;
    bench.until_checkpointed(300).await;
    bench.server.take().unwrap().kill();
    // The other cluster has a topic of that name, with other records at the same offsets.
    bench.backends = other;
    let mut server = ServerProcess::spawn(&bench.backends, &bench.data_dir(), &[]);
    assert!(server.until_it_answers().await.is_none(), "{}", server.log());
    bench.server = Some(server);
    create_topic(&bench.backends.kafka(), &bench.topic, 1).await;
    bench.produce(1000..1600);
    let topic = bench.topic.clone();
    bench.until_job("state, last_error", "the job has stopped", |text| tells_of_another_log(&topic, text)).await;
    assert_eq!(bench.job("rows_in").await, "0");
}
