//! A job that writes into Kafka in transactions and into DynamoDB: how long the items take does not count against the transaction.

use std::time::Duration;

use super::{Bench, JOB_PATIENCE, create_topic, unique, until};
use crate::faults::dynamodb_proxy::{DynamoDbProxy, Faults};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_dynamodb_does_not_abort_the_transaction_of_its_job() {
    const ROWS: i64 = 1000;
    let bench = Bench::start(1).await;
    let proxy = DynamoDbProxy::start(&bench.backends.dynamodb_endpoint, 7).await;
    let (endpoint, table, out) = (proxy.endpoint(), unique("slow"), unique("out"));
    create_topic(&bench.backends.kafka(), &out, 1).await;
    bench.declare("").await;
    bench
        .server()
        .execute(&format!(
            "CREATE TABLE items (id BIGINT, PRIMARY KEY (id) NOT ENFORCED) WITH ('connector' = 'dynamodb', \
               'table-name' = '{table}', 'table.create' = 'if-not-exists', 'aws.endpoint' = '{endpoint}', \
               'aws.region' = 'us-east-1', 'aws.credentials.basic.accesskeyid' = 'test', \
               'aws.credentials.basic.secretkey' = 'test'); \
             CREATE TABLE out (id BIGINT) WITH ('connector' = 'kafka', 'topic' = '{out}', 'format' = 'json', \
               'scan.startup.mode' = 'earliest-offset', 'sink.delivery-guarantee' = 'exactly-once', \
               'properties.transaction.timeout.ms' = '2000'); \
             CREATE JOB j AS EXECUTE STATEMENT SET BEGIN \
               INSERT INTO out SELECT id FROM numbers; INSERT INTO items SELECT id FROM numbers; END"
        ))
        .await;
    // The items of an epoch take far longer than a transaction may be open.
    proxy.set(Faults { delay: Duration::from_secs(6), ..Faults::default() });
    bench.produce(0..ROWS);
    let is_told = |now: &str| now.contains("acknowledgements of table \"items\"");
    bench.until_job("waits_for", "the job says what it waits for", is_told).await;
    until(JOB_PATIENCE, "all rows are committed", async || {
        (bench.server().query("SELECT count(*), count(DISTINCT id) FROM out").await == ["1000|1000"]).then_some(())
    })
    .await;
    assert_eq!(bench.job("state, restarts, last_error").await, "RUNNING|0|NULL");
    // Each item was written once: 25 in a request.
    let requests = proxy.counts().requests;
    assert!(requests < 2 * 1000 / 25, "{requests} requests");
    proxy.heal();
    bench.server().execute("DROP JOB j").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_that_wait_for_their_epoch_end_it_before_they_are_too_many() {
    const ROWS: i64 = 500;
    let bench = Bench::start(1).await;
    let (table, out) = (unique("few"), unique("out"));
    create_topic(&bench.backends.kafka(), &out, 1).await;
    bench.declare("").await;
    bench
        .server()
        .execute(&format!(
            "CREATE TABLE items (id BIGINT, PRIMARY KEY (id) NOT ENFORCED) WITH ('connector' = 'dynamodb', \
               'table-name' = '{table}', 'table.create' = 'if-not-exists'); \
             CREATE TABLE out (id BIGINT, filler STRING) WITH ('connector' = 'kafka', 'topic' = '{out}', 'format' = 'json', \
               'scan.startup.mode' = 'earliest-offset', 'sink.delivery-guarantee' = 'exactly-once'); \
             SET 'execution.checkpointing.interval' = '1 h'; \
             CREATE JOB j AS EXECUTE STATEMENT SET BEGIN \
               INSERT INTO out SELECT id, repeat('x', 100000) FROM numbers; INSERT INTO items SELECT id FROM numbers; END"
        ))
        .await;
    // Three times what a writer keeps; nothing but that ends an epoch within the hour.
    bench.produce(0..ROWS);
    let committed = async || {
        let found = bench.server().query("SELECT count(*), count(DISTINCT id) FROM out").await.concat();
        let (count, distinct) = found.split_once('|').unwrap();
        assert_eq!(count, distinct, "{found}");
        count.parse::<i64>().unwrap()
    };
    until(JOB_PATIENCE, "epochs have ended", async || (committed().await >= ROWS / 2).then_some(())).await;
    bench.until_job("rows_in", "all is read", |now| now == ROWS.to_string()).await;
    // With a savepoint it waits for its last writes, however busy the machine is.
    bench.server().execute("STOP JOB j WITH SAVEPOINT").await;
    assert_eq!(committed().await, ROWS);
    assert_eq!(bench.job("restarts, last_error").await, "0|NULL");
}
