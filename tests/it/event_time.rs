//! WATERMARK FOR, through the front door: how far event time is in the sources of a job and in what follows them.

use rdkafka::producer::Producer;
use tempfile::TempDir;

use crate::backends::{PATIENCE, unique};
use crate::conformance::kafka::{create_topic, producer, record};
use crate::server::{BackendsOfProcess, JOB_PATIENCE, ServerProcess, until};

/// Watermarks of a job's operators, in their order.
async fn watermarks(server: &ServerProcess, job: &str) -> Vec<String> {
    let query = format!(
        "SELECT operator || ' ' || coalesce(to_char_ts, 'unknown') FROM (SELECT operator, CAST(watermark AS VARCHAR) AS to_char_ts \
         FROM streamgate.job_operators WHERE job = '{job}') AS t ORDER BY 1"
    );
    server.query(&query).await
}

async fn shows(server: &ServerProcess, job: &str, expected: &[&str]) {
    let what = format!("job {job} shows {expected:?}");
    let mut last = Vec::new();
    until(JOB_PATIENCE, &what, async || {
        let found = watermarks(server, job).await;
        if found != last {
            eprintln!("{job}: {found:?}");
            last.clone_from(&found);
        }
        (found == expected).then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_slowest_partition_tells_how_far_event_time_is_also_in_a_computed_column_and_after_a_restart() {
    let backends = BackendsOfProcess::shared();
    let topic = unique("event-time");
    create_topic(&backends.kafka(), &topic, 2).await;
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    let server = ServerProcess::start(&backends, &data).await;
    let kafka = format!(
        "'connector' = 'kafka', 'topic' = '{topic}', 'format' = 'json', 'scan.startup.mode' = 'earliest-offset'"
    );
    server
        .execute(&format!(
            "CREATE TABLE plain (k BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND) WITH ({kafka});
             CREATE TABLE computed (k BIGINT, ts TIMESTAMP(3), later AS ts + INTERVAL '1' HOUR, WATERMARK FOR later AS later) WITH ({kafka});
             CREATE TABLE counts (k BIGINT, n BIGINT) WITH ('connector' = 'blackhole');
             CREATE JOB plain AS INSERT INTO counts SELECT k, k FROM plain WHERE k > 0;
             SET parallelism.default = 2;
             CREATE JOB computed AS INSERT INTO counts (n) SELECT count(*) FROM computed GROUP BY k;"
        ))
        .await;
    let producer = producer(&backends.kafka(), &[]);
    let send = |partition: i32, time: &str| {
        let payload = format!(r#"{{"k": 1, "ts": "{time}"}}"#);
        let (producer, topic) = (producer.clone(), topic.clone());
        async move { producer.send(record(&topic, partition, "k", &payload), PATIENCE).await.unwrap() }
    };
    send(0, "2026-01-01 00:10:00").await;
    // Nothing is known of the other partition, whose first row may be of any time.
    shows(
        &server,
        "plain",
        &["filter-0 unknown", "project-0 unknown", "project-1 unknown", "sink-0 unknown", "source-0 unknown"],
    )
    .await;
    send(1, "2026-01-01 00:02:00").await;
    let at = "2026-01-01 00:01:55+00";
    let plain = |at: &str| {
        ["filter-0", "project-0", "project-1", "sink-0", "source-0"].map(|operator| format!("{operator} {at}"))
    };
    let texts = plain(at);
    shows(&server, "plain", &texts.each_ref().map(String::as_str)).await;
    // The rows of each partition are read by a task of their own, and counted in either.
    let at = "2026-01-01 01:02:00+00";
    let computed = ["aggregate-0", "project-0", "project-1", "project-2", "sink-0", "source-0"]
        .map(|operator| format!("{operator} {at}"));
    shows(&server, "computed", &computed.each_ref().map(String::as_str)).await;
    let explained =
        server.query("EXPLAIN INSERT INTO counts (n) SELECT count(*) FROM computed GROUP BY k").await.join("\n");
    assert!(explained.contains("Sink: streamgate.public.counts columns [n]"), "{explained}");
    assert!(explained.contains("watermark for later as "), "{explained}");
    // A query over the same table is what it was.
    assert_eq!(
        server.query("SELECT later FROM computed WHERE ts < TIMESTAMP '2026-01-01 00:05:00' LIMIT 1").await,
        ["2026-01-01 01:02:00"]
    );

    server.kill();
    let server = ServerProcess::start(&backends, &data).await;
    send(0, "2026-01-01 00:20:00").await;
    send(1, "2026-01-01 00:30:00").await;
    let texts = plain("2026-01-01 00:19:55+00");
    shows(&server, "plain", &texts.each_ref().map(String::as_str)).await;
    producer.flush(PATIENCE).unwrap();
}
