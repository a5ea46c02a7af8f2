//! A broker that is away: the job says so at once, and goes on by itself.

use std::time::Instant;

use super::{Bench, create_topic, unique};
use crate::faults::kafka_proxy::KafkaProxy;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_whose_broker_is_away_says_so_and_goes_on() {
    let bench = Bench::start(1).await;
    let proxy = KafkaProxy::start(&bench.backends.bootstrap_servers).await;
    let servers = proxy.bootstrap_servers();
    bench
        .declare(&format!(
            ", 'properties.bootstrap.servers' = '{servers}', 'properties.reconnect.backoff.max.ms' = '200'"
        ))
        .await;
    bench.submit().await;
    bench.produce(0..10);
    bench.until_rows(10).await;
    assert_eq!(bench.job("state, last_error").await, "RUNNING|NULL");
    proxy.go_down();
    let begun = Instant::now();
    let told = bench
        .until_job("state, last_error, lag", "the job says that it waits", |now| now.starts_with("RETRYING|"))
        .await;
    println!("after {:?}: {told}", begun.elapsed());
    assert!(!told.starts_with("RETRYING|NULL") && told.ends_with("|NULL"), "{told}");
    bench.produce(10..20);
    proxy.come_up();
    bench.until_job("state, rows_in", "it goes on", |now| now == "RUNNING|20").await;
    assert_eq!(bench.job("restarts").await, "0", "the job's tasks have lived on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_whose_sink_has_no_broker_says_so_and_goes_on() {
    let bench = Bench::start(1).await;
    let proxy = KafkaProxy::start(&bench.backends.bootstrap_servers).await;
    let (servers, out) = (proxy.bootstrap_servers(), unique("out"));
    create_topic(&bench.backends.kafka(), &out, 1).await;
    bench.declare("").await;
    bench
        .server()
        .execute(&format!(
            "CREATE TABLE out (id BIGINT) WITH ('connector' = 'kafka', 'topic' = '{out}', 'format' = 'json', \
               'scan.startup.mode' = 'earliest-offset', 'properties.bootstrap.servers' = '{servers}', \
               'properties.reconnect.backoff.max.ms' = '200'); \
             CREATE JOB j AS INSERT INTO out SELECT id FROM numbers"
        ))
        .await;
    bench.produce(0..10);
    bench.until_job("state, rows_out", "it has written", |now| now == "RUNNING|10").await;
    bench.until_checkpointed(10).await;
    proxy.go_down();
    bench.produce(10..20);
    let is_told = |now: &str| now.starts_with("RETRYING|writing to Kafka");
    bench.until_job("state, last_error", "the job says that it waits", is_told).await;
    proxy.come_up();
    bench.until_checkpointed(20).await;
    assert_eq!(bench.job("state, restarts").await, "RUNNING|0");
    assert_eq!(bench.server().query("SELECT count(*), count(DISTINCT id) FROM out").await, ["20|20"]);
}
