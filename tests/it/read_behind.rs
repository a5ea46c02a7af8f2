//! A feature includes the order that triggered it, however late the job comes that writes the orders; and a record that
//! nobody can read fails its own job only.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use streamgate::clock::{Clock, SystemClock};
use tempfile::TempDir;

use crate::server::{BackendsOfProcess, JOB_PATIENCE, ServerProcess, TOPIC, until};

const DETAIL: &str = "insert_into_dynamodb_orders";
const FEATURES: &str = "insert_into_user_features";

#[tokio::test]
async fn features_wait_for_a_paused_writer_also_after_a_kill_and_then_have_the_order() {
    let backends = BackendsOfProcess::take().await;
    let folder = TempDir::new().unwrap();
    let data_dir = folder.path().join("data");
    let mut server = ServerProcess::start(&backends, &data_dir).await;
    crate::conformance::kafka::create_topic(&backends.kafka(), TOPIC, 2).await;
    for script in streamgate::demo::SCRIPTS {
        server.execute(script.text).await;
    }
    produce(&backends, 1, 7).await;
    until(JOB_PATIENCE, "the first order is in the features", async || {
        (count(&backends, 7).await.as_deref() == Some("1")).then_some(())
    })
    .await;

    for (round, is_killed) in [(2, false), (3, true)] {
        server.execute(&format!("PAUSE JOB {DETAIL}")).await;
        until(JOB_PATIENCE, "the writer is paused", async || {
            server.query("SHOW JOBS").await.iter().any(|job| job.contains("PAUSED")).then_some(())
        })
        .await;
        if is_killed {
            server.kill();
            server = ServerProcess::start(&backends, &data_dir).await;
        }
        produce(&backends, round, 7).await;
        // Long enough for a feature that does not wait.
        let deadline = std::time::Instant::now() + Duration::from_secs(2);
        let before = (round - 1).to_string();
        while std::time::Instant::now() < deadline {
            assert_eq!(count(&backends, 7).await, Some(before.clone()), "round {round}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        server.execute(&format!("RESUME JOB {DETAIL}")).await;
        until(JOB_PATIENCE, "the order is in its own feature", async || {
            let now = count(&backends, 7).await;
            (now == Some(round.to_string())).then_some(())
        })
        .await;
    }
    assert!(server.query("SHOW JOBS").await.iter().any(|job| job.contains(FEATURES) && job.contains("RUNNING")));
    assert!(server.terminate().success());
}

#[tokio::test]
async fn a_record_that_cannot_be_read_fails_its_job_with_the_place_and_no_other() {
    let backends = BackendsOfProcess::take().await;
    let folder = TempDir::new().unwrap();
    let server = ServerProcess::start(&backends, &folder.path().join("data")).await;
    crate::conformance::kafka::create_topic(&backends.kafka(), TOPIC, 1).await;
    for (table, ignores) in [("strict", "false"), ("lenient", "true")] {
        server
            .execute(&format!(
                "CREATE TABLE {table} (order_id BIGINT) WITH ('connector' = 'kafka', 'topic' = '{TOPIC}', \
                 'format' = 'json', 'json.ignore-parse-errors' = '{ignores}', 'scan.startup.mode' = 'earliest-offset');
                 CREATE TABLE {table}_out (order_id BIGINT) WITH ('connector' = 'blackhole');
                 INSERT INTO {table}_out SELECT order_id FROM {table}"
            ))
            .await;
    }
    send(&backends, &[r#"{"order_id":1}"#, "{broken", r#"{"order_id":2}"#]).await;
    let errors = "SELECT state, last_error FROM streamgate.jobs WHERE name = 'insert_into_strict_out'";
    let failed = until(JOB_PATIENCE, "the strict job has failed", async || {
        server.query(errors).await.into_iter().find(|row| row.starts_with("FAILED"))
    })
    .await;
    assert!(failed.contains(&format!("topic \"{TOPIC}\", partition 0, offset 1")), "{failed}");
    send(&backends, &[r#"{"order_id":3}"#]).await;
    let written =
        "SELECT rows_in FROM streamgate.job_operators WHERE job = 'insert_into_lenient_out' AND operator = 'sink-0'";
    until(JOB_PATIENCE, "the lenient job has written the rest", async || {
        (server.query(written).await == ["3"]).then_some(())
    })
    .await;
}

async fn produce(backends: &BackendsOfProcess, order: u64, user: u64) {
    let now = chrono::DateTime::from_timestamp_millis(SystemClock.now_ms()).unwrap();
    let now = now.format("%Y-%m-%d %H:%M:%S%.3f");
    let order = format!(
        r#"{{"order_id":{order},"order_amount":1.00,"user_id":{user},"order_status":"1","created_at":"{now}"}}"#
    );
    send(backends, &[&order]).await;
}

async fn send(backends: &BackendsOfProcess, records: &[&str]) {
    let producer: ThreadedProducer<DefaultProducerContext> = backends.kafka().create().unwrap();
    for record in records {
        producer.send(BaseRecord::<(), _>::to(TOPIC).payload(*record)).map_err(|(error, _)| error).unwrap();
    }
    tokio::task::spawn_blocking(move || producer.flush(JOB_PATIENCE)).await.unwrap().unwrap();
}

/// Orders of this month, as the user's features say.
async fn count(backends: &BackendsOfProcess, user: u64) -> Option<String> {
    let request = backends.dynamodb().get_item().table_name("user_features").consistent_read(true);
    let answer = request.key("user_id", AttributeValue::N(user.to_string())).send().await.ok()?;
    answer.item?.get("total_orders_lastest_month")?.as_n().ok().cloned()
}
