//! Backends that are away, slow, or answer wrongly, and a process that stands still: the jobs go on by themselves, and are right.

use std::time::{Duration, Instant};

use super::long;
use super::workload::{Job, Scenario, Ways};
use crate::faults::dynamodb_proxy::{DynamoDbProxy, Faults};
use crate::faults::kafka_proxy::{END_TXN, KafkaProxy};
use crate::server::BackendsOfProcess;

/// Jobs that reach Kafka through a proxy.
async fn through_a_kafka_proxy(options: &str, jobs: &[Job], seed: u64) -> (Scenario, KafkaProxy) {
    let backends = BackendsOfProcess::shared();
    let proxy = KafkaProxy::start(&backends.bootstrap_servers).await;
    let ways = Ways {
        kafka_servers: Some(proxy.bootstrap_servers()),
        kafka_options: format!(", 'properties.reconnect.backoff.max.ms' = '200'{options}"),
        ..Ways::default()
    };
    (Scenario::start(backends, ways, jobs, seed).await, proxy)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_away_is_waited_for() {
    let (mut scenario, proxy) = through_a_kafka_proxy("", &[Job::Filtered, Job::PerUser, Job::Monthly], 41).await;
    scenario.write_for(Duration::from_millis(500)).await;
    for seconds in if long().is_some() { vec![5, 60, 180] } else { vec![4] } {
        proxy.go_down();
        let until = Instant::now() + Duration::from_secs(seconds);
        while Instant::now() < until {
            scenario.burst().await;
            let asked = Instant::now();
            assert_eq!(scenario.server().query("SELECT 1").await, ["1"]);
            assert!(asked.elapsed() < Duration::from_secs(5), "SELECT 1 took {:?}", asked.elapsed());
        }
        proxy.come_up();
        scenario.expect_equal(&format!("after {seconds} s without the broker")).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_whose_answers_are_lost_count_once() {
    let (mut scenario, proxy) = through_a_kafka_proxy("", &[Job::Filtered, Job::PerUser], 42).await;
    for round in 0..long().unwrap_or(3) {
        // The process lives on.
        proxy.lose_answer(END_TXN, 2);
        scenario.write_for(Duration::from_millis(500)).await;
        // K7: it is killed before it can ask again.
        let seen = proxy.seen(END_TXN);
        proxy.lose_answer(END_TXN, 1);
        scenario.write(20);
        proxy.wait_until_seen(END_TXN, seen + 1).await;
        scenario.kill();
        println!("round {round}: killed after {} commits", proxy.seen(END_TXN));
        scenario.restart(&[]).await;
    }
    scenario.expect_equal("after lost answers").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_comes_late_does_not_end_another_epoch() {
    let (mut scenario, proxy) =
        through_a_kafka_proxy(", 'properties.socket.timeout.ms' = '1000'", &[Job::Filtered], 43).await;
    for _ in 0..long().unwrap_or(1) {
        let held = proxy.hold(END_TXN, 3);
        while tokio::time::timeout(Duration::from_millis(1), held.here()).await.is_err() {
            scenario.burst().await;
        }
        scenario.write_for(Duration::from_secs(2)).await;
        held.release().await;
        scenario.write_for(Duration::from_millis(300)).await;
    }
    scenario.expect_equal("after a late commit").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_stands_still_for_longer_than_its_transaction_repeats_the_epoch() {
    let options = ", 'properties.transaction.timeout.ms' = '2000'";
    let ways = Ways { kafka_options: options.to_owned(), ..Ways::default() };
    let jobs = [Job::Filtered, Job::PerUser, Job::Monthly];
    let mut scenario = Scenario::start(BackendsOfProcess::shared(), ways, &jobs, 44).await;
    for _ in 0..long().unwrap_or(1) {
        scenario.write_for(Duration::from_millis(700)).await;
        scenario.server().signal("-STOP");
        scenario.write_for(Duration::from_secs(5)).await;
        scenario.server().signal("-CONT");
        scenario.expect_equal("after a stop").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dynamodb_that_answers_wrongly_gets_every_write() {
    let backends = BackendsOfProcess::shared();
    let proxy = DynamoDbProxy::start(&backends.dynamodb_endpoint, 45).await;
    let ways = Ways { dynamodb_endpoint: Some(proxy.endpoint()), ..Ways::default() };
    let mut scenario = Scenario::start(backends, ways, &[Job::Monthly, Job::Spread], 45).await;
    let time = Duration::from_secs(if long().is_some() { 30 } else { 1 });
    for (what, faults) in [
        ("throttled", Faults { throttled: 700, ..Faults::default() }),
        ("unprocessed", Faults { left_out: 500, ..Faults::default() }),
        ("failed after", Faults { failed_after: 400, ..Faults::default() }),
        ("cut after", Faults { cut_after: 400, ..Faults::default() }),
    ] {
        proxy.set(faults);
        scenario.write_for(time).await;
        // In the middle of it, and killed there.
        scenario.restart(&[]).await;
        scenario.write_for(time).await;
        proxy.heal();
        scenario.expect_equal(what).await;
    }
    let counts = proxy.counts();
    assert!([counts.throttled, counts.left_out, counts.failed_after, counts.cut_after].iter().all(|count| *count > 0));
}
