//! The checks notice a broken protocol: each mutant of it gives a wrong result, or none, in the scenario that is made for it.

use std::time::Duration;

use super::workload::{CHECKPOINT_INTERVAL, Job, Scenario, Ways};
use crate::backends::PATIENCE;
use crate::faults::dynamodb_proxy::{DynamoDbProxy, Faults};
use crate::server::{BackendsOfProcess, JOB_PATIENCE, until};

/// How long a result may take after the job says that it has done everything.
const SETTLING: Duration = Duration::from_secs(3);

fn mutant(name: &str) -> Vec<(&'static str, String)> {
    vec![("STREAMGATE_MUTANT", name.to_owned())]
}

/// Expects a wrong result.
async fn expect_wrong(scenario: &Scenario, mutant: &str) {
    scenario.flush().await;
    match scenario.verify(JOB_PATIENCE, SETTLING).await {
        Ok(()) => panic!("nobody notices {mutant}"),
        Err(wrong) => println!("{mutant}: {wrong}"),
    }
}

async fn start(job: Job) -> Scenario {
    Scenario::start(BackendsOfProcess::shared(), Ways::default(), &[job], 5).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_before_the_flush_loses_rows() {
    let mut scenario = start(Job::Filtered).await;
    scenario.kill_at("K9", 6, Some("commit-before-flush")).await;
    scenario.restart(&[]).await;
    expect_wrong(&scenario, "commit-before-flush").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_without_reading_the_progress_loses_the_epoch_that_was_only_prepared() {
    let mut scenario = start(Job::Filtered).await;
    scenario.kill_at("K5", 6, None).await;
    scenario.restart(&mutant("skip-progress-read")).await;
    expect_wrong(&scenario, "skip-progress-read").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_checkpoint_counts_wrongly() {
    let mut scenario = start(Job::PerUser).await;
    scenario.kill_at("K9", 9, None).await;
    scenario.restart(&mutant("reuse-old-checkpoint")).await;
    // What nobody orders for any more keeps its last, right result.
    scenario.write(600);
    expect_wrong(&scenario, "reuse-old-checkpoint").await;
}

/// A job into DynamoDB through a proxy.
async fn through_a_proxy() -> (Scenario, DynamoDbProxy) {
    let backends = BackendsOfProcess::shared();
    let proxy = DynamoDbProxy::start(&backends.dynamodb_endpoint, 3).await;
    let ways = Ways { dynamodb_endpoint: Some(proxy.endpoint()), ..Ways::default() };
    (Scenario::start(backends, ways, &[Job::Monthly], 6).await, proxy)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_checkpoint_before_the_acknowledgements_loses_writes() {
    let (mut scenario, proxy) = through_a_proxy().await;
    scenario.restart(&mutant("skip-sink-wait")).await;
    proxy.set(Faults { delay: JOB_PATIENCE, ..Faults::default() });
    scenario.write(300);
    scenario.flush().await;
    // Some epochs later a checkpoint says that these orders are done.
    tokio::time::sleep(CHECKPOINT_INTERVAL * 20).await;
    scenario.kill();
    proxy.heal();
    scenario.restart(&[]).await;
    expect_wrong(&scenario, "skip-sink-wait").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unprocessed_items_that_count_as_written_are_missing() {
    let (mut scenario, proxy) = through_a_proxy().await;
    scenario.restart(&mutant("swallow-unprocessed")).await;
    proxy.set(Faults { left_out: 300, ..Faults::default() });
    scenario.write_for(Duration::from_millis(500)).await;
    expect_wrong(&scenario, "swallow-unprocessed").await;
    assert!(proxy.counts().left_out > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_epochs_that_are_forgotten_leave_items_behind() {
    let mut scenario = start(Job::Spread).await;
    let id = scenario.ids().await.remove(0);
    // Which keys the lost epochs had is chance: some of several times leave one behind.
    for _ in 0..6 {
        until(PATIENCE, "three checkpoints", async || {
            scenario.write_for(Duration::from_millis(500)).await;
            (scenario.manifests(&id).await.len() >= 3).then_some(())
        })
        .await;
        scenario.kill();
        scenario.damage_the_last_two(&id).await;
        scenario.write(300);
        scenario.flush().await;
        scenario.restart(&mutant("forget-lost-epochs")).await;
        if let Err(wrong) = scenario.verify(JOB_PATIENCE, SETTLING).await {
            println!("forget-lost-epochs: {wrong}");
            return;
        }
    }
    panic!("nobody notices forget-lost-epochs");
}
