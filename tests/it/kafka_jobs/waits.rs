//! What a job waits for at each of its dealings with Kafka: said while it lasts, and no longer.

use super::{Bench, JOB_PATIENCE, create_topic, unique, until};
use crate::faults::kafka_proxy::{END_TXN, INIT_PRODUCER_ID, KafkaProxy, LIST_OFFSETS, PRODUCE};

async fn until_it_waits_for(bench: &Bench, reason: &str) {
    bench.until_job("waits_for", reason, |now| now.contains(reason)).await;
}

/// Waits until the job has its transactions and has decided its first epoch.
async fn until_decided(bench: &Bench) {
    until(JOB_PATIENCE, "its first epoch is decided", async || {
        (bench.server().query("SELECT count(*) FROM streamgate.job_checkpoints").await == ["1"]).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_names_what_it_waits_for_when_it_begins_to_read() {
    let bench = Bench::start(1).await;
    let proxy = KafkaProxy::start(&bench.backends.bootstrap_servers).await;
    bench
        .declare(&format!(
            ", 'properties.bootstrap.servers' = '{}', 'properties.reconnect.backoff.max.ms' = '200'",
            proxy.bootstrap_servers()
        ))
        .await;
    bench.produce(0..10);
    proxy.go_down();
    bench.submit().await;
    until_it_waits_for(&bench, "the partitions of table \"numbers\"").await;
    until_it_waits_for(&bench, "another try after its last error").await;
    let offsets = proxy.hold(LIST_OFFSETS, 1);
    proxy.come_up();
    offsets.here().await;
    until_it_waits_for(&bench, &format!("partition {}/0 to be opened", bench.topic)).await;
    offsets.release().await;
    bench.until_job("state, rows_in, waits_for", "it runs", |now| now == "RUNNING|10|NULL").await;
    // What was read is decided only when it is known of which log it was.
    bench.produce(10..20);
    bench.until_rows(20).await;
    proxy.go_down();
    bench.produce(20..21);
    until_it_waits_for(&bench, "its sources to say that they are the same").await;
    proxy.come_up();
    bench.until_job("state, rows_in, waits_for", "it runs again", |now| now == "RUNNING|21|NULL").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_names_what_it_waits_for_in_its_transactions() {
    let bench = Bench::start(1).await;
    let proxy = KafkaProxy::start(&bench.backends.bootstrap_servers).await;
    let out = unique("out");
    create_topic(&bench.backends.kafka(), &out, 1).await;
    bench.declare("").await;
    let opening = proxy.hold(INIT_PRODUCER_ID, 1);
    bench
        .server()
        .execute(&format!(
            "CREATE TABLE out (id BIGINT) WITH ('connector' = 'kafka', 'topic' = '{out}', 'format' = 'json', \
               'properties.bootstrap.servers' = '{}', 'sink.delivery-guarantee' = 'exactly-once'); \
             CREATE JOB j AS INSERT INTO out SELECT id FROM numbers",
            proxy.bootstrap_servers()
        ))
        .await;
    until_it_waits_for(&bench, "its Kafka transactions to be taken over").await;
    opening.release().await;
    until_decided(&bench).await;
    let records = proxy.hold(PRODUCE, 1);
    bench.produce(0..10);
    records.here().await;
    until_it_waits_for(&bench, "acknowledgements of table \"out\"").await;
    let commit = proxy.hold(END_TXN, 1);
    records.release().await;
    commit.here().await;
    until_it_waits_for(&bench, "Kafka to commit epoch ").await;
    commit.release().await;
    bench.until_checkpointed(10).await;
    bench.until_job("state, waits_for, restarts", "it runs again", |now| now == "RUNNING|NULL|0").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_names_what_it_waits_for_while_its_checkpoints_are_slow() {
    let mut bench = Bench::start(1).await;
    bench.declare("").await;
    bench.submit().await;
    bench.produce(0..10);
    bench.until_checkpointed(10).await;
    let slow = bench.folder.path().join("slow");
    let faults = |operation: &str| {
        [
            ("STREAMGATE_IO_FAULT", format!("{operation}:1:WAIT")),
            ("STREAMGATE_IO_FAULT_WHILE", slow.display().to_string()),
        ]
    };
    std::fs::write(&slow, "").unwrap();
    bench.restart_with(&faults("read")).await;
    until_it_waits_for(&bench, "its checkpoints to be read").await;
    std::fs::remove_file(&slow).unwrap();
    bench.until_job("state, waits_for", "it runs", |now| now == "RUNNING|NULL").await;
    bench.restart_with(&faults("fsync")).await;
    bench.until_job("state, waits_for", "it runs", |now| now == "RUNNING|NULL").await;
    std::fs::write(&slow, "").unwrap();
    bench.produce(10..20);
    bench.until_job("waits_for", "it waits for its checkpoint", |now| now.ends_with(" to be stored")).await;
    std::fs::remove_file(&slow).unwrap();
    bench.until_checkpointed(20).await;
    bench.until_job("state, waits_for, restarts", "it runs again", |now| now == "RUNNING|NULL|0").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_names_what_it_waits_for_when_its_producer_is_full() {
    let bench = Bench::start(1).await;
    let proxy = KafkaProxy::start(&bench.backends.bootstrap_servers).await;
    let (out, table) = (unique("out"), unique("full"));
    create_topic(&bench.backends.kafka(), &out, 1).await;
    bench.declare("").await;
    bench
        .server()
        .execute(&format!(
            "CREATE TABLE out (id BIGINT) WITH ('connector' = 'kafka', 'topic' = '{out}', 'format' = 'json', \
               'scan.startup.mode' = 'earliest-offset', 'properties.bootstrap.servers' = '{}', \
               'properties.queue.buffering.max.messages' = '10', 'sink.delivery-guarantee' = 'exactly-once'); \
             CREATE TABLE items (id BIGINT, PRIMARY KEY (id) NOT ENFORCED) WITH ('connector' = 'dynamodb', \
               'table-name' = '{table}', 'table.create' = 'if-not-exists'); \
             CREATE JOB j AS INSERT INTO out SELECT id FROM numbers",
            proxy.bootstrap_servers()
        ))
        .await;
    let committed = async |rows: &str| {
        until(JOB_PATIENCE, &format!("{rows} rows are committed"), async || {
            (bench.server().query("SELECT count(*) FROM out").await == [rows]).then_some(())
        })
        .await;
    };
    until_decided(&bench).await;
    // While a transaction is committed, the rows of the next epoch are kept; then they are more than the producer takes at once.
    let commit = proxy.hold(END_TXN, 1);
    bench.produce(0..5);
    commit.here().await;
    bench.produce(5..105);
    bench.until_rows(105).await;
    let records = proxy.hold(PRODUCE, 1);
    commit.release().await;
    until_it_waits_for(&bench, "table \"out\" to end its epoch").await;
    records.release().await;
    committed("105").await;
    // Beside a sink of another kind records wait until their epoch is over.
    bench
        .server()
        .execute(
            "DROP JOB j; CREATE JOB j AS EXECUTE STATEMENT SET BEGIN \
               INSERT INTO out SELECT id FROM numbers; INSERT INTO items SELECT id FROM numbers; END",
        )
        .await;
    committed("210").await;
    let records = proxy.hold(PRODUCE, 1);
    bench.produce(105..205);
    until_it_waits_for(&bench, "Kafka to take epoch ").await;
    records.release().await;
    committed("310").await;
    bench.until_job("state, waits_for, restarts", "it runs again", |now| now == "RUNNING|NULL|0").await;
}
