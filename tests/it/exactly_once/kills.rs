//! Servers that are killed at each point of the protocol, and at random.

use std::time::{Duration, Instant};

use std::collections::HashMap;

use rand::Rng;

use super::long;
use super::workload::{ALL, Job, Scenario, Ways};
use crate::server::BackendsOfProcess;

/// The points of the protocol in the order in which an epoch passes them. K7, a decision whose answer is lost, is made by a proxy.
const POINTS: [&str; 9] = ["K0", "K1", "K2", "K3", "K4", "K5", "K6", "K8", "K9"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_give_what_their_queries_say() {
    let mut scenario = Scenario::start(BackendsOfProcess::take().await, Ways::default(), &ALL, 1).await;
    scenario.write_for(Duration::from_secs(2)).await;
    scenario.expect_equal("without any fault").await;
}

/// Kafka and DynamoDB outlive the server here: what it left open there is for the next one to end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_at_any_point_loses_nothing_and_doubles_nothing() {
    for seed in 0..long().unwrap_or(1) {
        let mut scenario = Scenario::start(BackendsOfProcess::shared(), Ways::default(), &ALL, 100 + seed).await;
        // Or killed in the first epochs of all.
        if seed % 2 == 0 {
            scenario.write_for(Duration::from_millis(500)).await;
        }
        for point in POINTS {
            let times = scenario.rng.random_range(6..20);
            println!("seed {seed}: killed at {point}, passed {times} times, after {} orders", scenario.orders.len());
            scenario.kill_at(point, times, None).await;
            // Every other recovery is killed as well.
            if scenario.rng.random_bool(0.5) {
                let again = POINTS[scenario.rng.random_range(0..POINTS.len())];
                println!("seed {seed}: and then at the first {again}");
                scenario.kill_at(again, 1, None).await;
            }
            if long().is_some() {
                scenario.restart(&[]).await;
                scenario.expect_equal(&format!("seed {seed}, after {point}:{times}")).await;
            }
        }
        scenario.restart(&[]).await;
        scenario.write_for(Duration::from_millis(300)).await;
        scenario.expect_equal(&format!("seed {seed}, after all points")).await;
    }
}

/// Kafka and DynamoDB are embedded, and die with the server.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_at_random_lose_nothing_and_double_nothing() {
    let (kills, time) = match long() {
        Some(_) => (u32::MAX, Duration::from_secs(600)),
        None => (4, Duration::MAX),
    };
    let begun = Instant::now();
    let mut scenario = Scenario::start(BackendsOfProcess::take().await, Ways::default(), &ALL, 11).await;
    let mut killed = 0;
    while killed < kills && begun.elapsed() < time {
        let pause = Duration::from_millis(scenario.rng.random_range(500..2000));
        scenario.write_for(pause).await;
        scenario.start_again(&[]);
        killed += 1;
        if killed % 20 == 0 {
            scenario.restart(&[]).await;
            scenario.expect_equal(&format!("after {killed} kills")).await;
        }
    }
    scenario.restart(&[]).await;
    scenario.expect_equal(&format!("after {killed} kills")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn items_with_versions_never_step_back() {
    let backends = BackendsOfProcess::shared();
    let dynamodb = backends.dynamodb();
    let mut scenario = Scenario::start(backends, Ways::default(), &[Job::Versioned], 12).await;
    let table = scenario.names.topic(Job::Versioned);
    let watching: tokio::task::JoinHandle<()> = tokio::spawn(async move {
        let mut seen: HashMap<String, u64> = HashMap::new();
        loop {
            tokio::time::sleep(Duration::from_millis(10)).await;
            let items = match dynamodb.scan().table_name(&table).consistent_read(true).send().await {
                Ok(scanned) => scanned.items.unwrap_or_default(),
                Err(error) => panic!("{error:?}"),
            };
            for item in items {
                let user = item["user_id"].as_n().unwrap().clone();
                let orders: u64 = item["orders"].as_n().unwrap().parse().unwrap();
                let before = seen.insert(user.clone(), orders).unwrap_or(0);
                assert!(orders >= before, "user {user} had {before} orders and then {orders}");
            }
        }
    });
    for (point, times) in [("K9", 4), ("K1", 3), ("K4", 3), ("K3", 4)] {
        scenario.kill_at(point, times, None).await;
    }
    scenario.restart(&[]).await;
    scenario.expect_equal("after kills").await;
    assert!(!watching.is_finished(), "{:?}", watching.await);
    watching.abort();
}
