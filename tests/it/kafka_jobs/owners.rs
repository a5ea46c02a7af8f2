//! Two processes that want one job: one that stood still while another took over does not take the transactions back.

use std::fs;
use std::path::Path;

use super::{Bench, JOB_PATIENCE, create_topic, unique, until};
use crate::faults::kafka_proxy::{END_TXN, KafkaProxy};
use crate::server::ServerProcess;

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy_folder(&entry.path(), &target),
            false => drop(fs::copy(entry.path(), target).unwrap()),
        }
    }
}

async fn until_rows(server: &ServerProcess, rows: &str) {
    until(JOB_PATIENCE, &format!("{rows} rows are committed"), async || {
        (server.query("SELECT count(*), count(DISTINCT id) FROM out").await == [format!("{rows}|{rows}")]).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_stood_still_does_not_take_the_transactions_back() {
    let bench = Bench::start(1).await;
    let proxy = KafkaProxy::start(&bench.backends.bootstrap_servers).await;
    let (servers, out) = (proxy.bootstrap_servers(), unique("out"));
    create_topic(&bench.backends.kafka(), &out, 1).await;
    bench.declare("").await;
    bench
        .server()
        .execute(&format!(
            "CREATE TABLE out (id BIGINT) WITH ('connector' = 'kafka', 'topic' = '{out}', 'format' = 'json', \
               'properties.bootstrap.servers' = '{servers}', 'scan.startup.mode' = 'earliest-offset', \
               'sink.delivery-guarantee' = 'exactly-once'); \
             CREATE JOB j AS INSERT INTO out SELECT id FROM numbers"
        ))
        .await;
    bench.produce(0..10);
    until_rows(bench.server(), "10").await;
    // It stands still in the middle of a commit, which happens.
    let held = proxy.hold(END_TXN, 1);
    bench.produce(10..20);
    held.here().await;
    bench.server().signal("-STOP");
    held.release().await;
    let other_folder = bench.folder.path().join("other");
    copy_folder(&bench.data_dir(), &other_folder);
    let other = ServerProcess::start(&bench.backends, &other_folder).await;
    // A copy of a data directory holds its jobs until a person wants one there.
    other.execute("RESUME JOB j").await;
    bench.produce(20..30);
    until_rows(&other, "30").await;
    bench.server().signal("-CONT");
    let told = bench.until_job("state, last_error", "it has stopped", |now| now.starts_with("FAILED")).await;
    assert!(told.contains("another instance has taken over the transactional id"), "{told}");
    bench.produce(30..40);
    until_rows(&other, "40").await;
    let now = other.query("SELECT state, restarts FROM streamgate.jobs WHERE name = 'j'").await;
    assert_eq!(now, ["RUNNING|0"]);
    // A person may want it here after all. The other one is told so when it next commits: each new record makes it try.
    let mut rows = 40;
    let stopped = until(JOB_PATIENCE, "the other one has stopped", async || {
        bench.produce(rows..rows + 1);
        rows += 1;
        let query = "SELECT state, last_error FROM streamgate.jobs WHERE name = 'j'";
        let (now, here) = (other.query(query).await, bench.job("state, last_error").await);
        println!("there {}, here {here}", now[0]);
        // The other one may commit, and so be the owner again, while this one is about to take over: then the person says it again.
        if here.starts_with("FAILED") {
            // Its answer may be that error again.
            let _ = bench.server().connect().await.batch_execute("RESUME JOB j").await;
        }
        now[0].starts_with("FAILED").then(|| now[0].clone())
    })
    .await;
    assert!(stopped.contains("another instance has taken over the transactional id"), "{stopped}");
    until_rows(bench.server(), &rows.to_string()).await;
}
