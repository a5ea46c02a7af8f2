//! kill -9 while jobs run and orders flow: after a restart on the same data folder every order is in the features.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use streamgate::clock::{Clock, SystemClock};
use tempfile::TempDir;

use crate::server::{BackendsOfProcess, JOB_PATIENCE, ServerProcess, TOPIC, until};

const ORDERS: usize = 6_000;
const USERS: usize = 37;
const KILLS: usize = 2;

/// Count and cents by user.
type Sums = BTreeMap<String, (u64, u64)>;

#[tokio::test]
async fn killed_jobs_go_on_from_their_checkpoints_and_lose_no_order() {
    let backends = BackendsOfProcess::take().await;
    let folder = TempDir::new().unwrap();
    let data_dir = folder.path().join("data");
    let mut server = ServerProcess::start(&backends, &data_dir).await;
    crate::conformance::kafka::create_topic(&backends.kafka(), TOPIC, 4).await;
    for script in streamgate::demo::SCRIPTS {
        server.execute(script.text).await;
    }

    let mut kafka = backends.kafka();
    kafka.set("enable.idempotence", "true").set("message.timeout.ms", "300000").set("reconnect.backoff.max.ms", "200");
    let producer: ThreadedProducer<DefaultProducerContext> = kafka.create().unwrap();
    let mut expected = Sums::new();
    let mut seen_before = 0;
    for order in 0..ORDERS {
        let (user, payload, cents) = order_of(order);
        let sum = expected.entry(user.clone()).or_default();
        *sum = (sum.0 + 1, sum.1 + cents);
        producer.send(BaseRecord::to(TOPIC).key(&user).payload(&payload)).map_err(|(error, _)| error).unwrap();
        if order % 20 == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        if (order + 1) % (ORDERS / (KILLS + 1)) == 0 && order + 1 < ORDERS {
            // In the middle of their work: more is there than at the last kill, and mostly not all.
            seen_before = until(JOB_PATIENCE, "the jobs are at work", async || {
                Some(total(&features(&backends).await)).filter(|seen| *seen > seen_before)
            })
            .await;
            println!("killed with {seen_before} of {} orders in the features", order + 1);
            server.kill();
            server = ServerProcess::start(&backends, &data_dir).await;
        }
    }
    tokio::task::spawn_blocking(move || producer.flush(JOB_PATIENCE)).await.unwrap().unwrap();

    let deadline = std::time::Instant::now() + JOB_PATIENCE;
    loop {
        let found = features(&backends).await;
        if found == expected {
            break;
        }
        assert!(
            std::time::Instant::now() < deadline,
            "expected {expected:?}\nfound {found:?}\n{:?}\n{}",
            server.query("SHOW JOBS").await,
            server.log()
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(server.query("SHOW JOBS").await.len(), 3);
    assert!(server.terminate().success());
}

fn order_of(order: usize) -> (String, String, u64) {
    let user = (order * 7919 % USERS + 1).to_string();
    let cents = (order * 31 % 9_973 + 1) as u64;
    let now = chrono::DateTime::from_timestamp_millis(SystemClock.now_ms()).unwrap();
    let now = now.format("%Y-%m-%d %H:%M:%S%.3f");
    let payload = format!(
        r#"{{"order_id":{order},"order_amount":{}.{:02},"user_id":{user},"order_status":"1","created_at":"{now}"}}"#,
        cents / 100,
        cents % 100
    );
    (user, payload, cents)
}

fn total(sums: &Sums) -> u64 {
    sums.values().map(|(count, _)| count).sum()
}

/// What DynamoDB has; nothing while it is down.
async fn features(backends: &BackendsOfProcess) -> Sums {
    let request = backends.dynamodb().scan().table_name("user_features").consistent_read(true);
    let Ok(answer) = request.send().await else { return Sums::new() };
    let number =
        |value: Option<&AttributeValue>| value.and_then(|value| value.as_n().ok()).cloned().unwrap_or_default();
    let sums = answer.items().iter().map(|item| {
        let count = number(item.get("total_orders_lastest_month")).parse().unwrap_or(0);
        let amount = number(item.get("total_order_amount_latest_month"));
        let (whole, fraction) = amount.split_once('.').unwrap_or((&amount, ""));
        let cents = format!("{whole}{fraction:0<2}").parse().unwrap_or(0);
        (number(item.get("user_id")), (count, cents))
    });
    sums.collect()
}
