//! How much waits for a job, in every state of it; and under which group it shows how far it is.

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset, TopicPartitionList};

use super::{Bench, JOB_PATIENCE, unique, until};
use crate::faults::dynamodb_proxy::{DynamoDbProxy, Faults};

#[tokio::test]
async fn lag_is_what_waits_in_every_state_of_a_job() {
    let mut bench = Bench::start(2).await;
    bench.declare(", 'json.ignore-parse-errors' = 'false'").await;
    bench.submit().await;
    bench.produce(0..100);
    bench.until_job("state, rows_in, lag", "it has read all", |now| now == "RUNNING|100|0").await;

    bench.server().execute("PAUSE JOB j").await;
    bench.until_job("state", "the job is paused", |state| state == "PAUSED").await;
    bench.produce(100..500);
    bench.until_job("state, lag", "400 wait", |now| now == "PAUSED|400").await;
    // Also when it has not run since the start.
    bench.restart().await;
    bench.until_job("state, lag", "400 wait after a start", |now| now == "PAUSED|400").await;

    bench.server().execute("RESUME JOB j").await;
    bench.until_job("state, rows_in, lag", "it has caught up", |now| now == "RUNNING|400|0").await;
    bench.restart_in_order().await;
    bench.until_job("state, rows_in, lag", "it is caught up after a start", |now| now == "RUNNING|0|0").await;

    bench.produce_texts(&["{broken".to_owned()]);
    bench.produce(500..510);
    bench.until_job("state", "the job has failed", |state| state == "FAILED").await;
    bench.until_job("state, lag", "11 wait", |now| now == "FAILED|11").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lag_of_a_slow_job_is_all_that_it_has_not_read() {
    const RECORDS: i64 = 60_000;
    let bench = Bench::start(1).await;
    let proxy = DynamoDbProxy::start(&bench.backends.dynamodb_endpoint, 1).await;
    let (endpoint, table) = (proxy.endpoint(), unique("slow"));
    bench.declare("").await;
    bench
        .server()
        .execute(&format!(
            "CREATE TABLE items (id BIGINT, PRIMARY KEY (id) NOT ENFORCED) WITH ('connector' = 'dynamodb', \
               'table-name' = '{table}', 'table.create' = 'if-not-exists', 'aws.endpoint' = '{endpoint}', \
               'aws.region' = 'us-east-1', 'aws.credentials.basic.accesskeyid' = 'test', \
               'aws.credentials.basic.secretkey' = 'test')"
        ))
        .await;
    proxy.set(Faults { throttled: 1000, ..Faults::default() });
    bench.server().execute("CREATE JOB j AS INSERT INTO items SELECT id FROM numbers").await;
    bench.produce(0..RECORDS);
    // What the client has fetched ahead is not read yet.
    let sum = |now: &str| -> i64 { now.split('|').map(|part| part.parse::<i64>().unwrap_or(-1)).sum() };
    let now = bench
        .until_job("rows_in, lag", "all is accounted for", |now| sum(now) == RECORDS && !now.starts_with("0|"))
        .await;
    println!("rows_in|lag: {now}");
    assert!(!now.ends_with("|0"), "{now}");
    bench.server().execute("DROP JOB j").await;
}

/// What a group has committed of partition 0.
fn committed(bench: &Bench, group: &str) -> Option<i64> {
    let mut config = bench.backends.kafka();
    let consumer: BaseConsumer = config.set("group.id", group).create().unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition(&bench.topic, 0);
    let found = consumer.committed_offsets(list, std::time::Duration::from_secs(10)).unwrap();
    match found.elements()[0].offset() {
        Offset::Offset(offset) => Some(offset),
        _ => None,
    }
}

#[tokio::test]
async fn every_job_shows_its_progress_under_a_group_of_its_own() {
    let bench = Bench::start(1).await;
    bench.declare("").await;
    bench.produce(0..50);
    bench.submit().await;
    bench.until_rows(50).await;
    let id = bench.job("id").await;
    let group = format!("streamgate-j-{}", &id[..8]);
    until(JOB_PATIENCE, "the group has the job's position", async || {
        (committed(&bench, &group) == Some(50)).then_some(())
    })
    .await;
    // A second job over the same table begins by itself, not where the first one is.
    bench.server().execute("CREATE JOB other AS INSERT INTO taken SELECT id FROM numbers /*+ OPTIONS('scan.startup.mode' = 'group-offsets') */").await;
    until(JOB_PATIENCE, "the other has read all", async || {
        (bench.server().query("SELECT rows_in FROM streamgate.jobs WHERE name = 'other'").await == ["50"]).then_some(())
    })
    .await;
    assert_eq!(committed(&bench, "KafkaSource-streamgate.public.numbers"), None);
}

#[tokio::test]
async fn two_jobs_on_one_named_group_are_told_of() {
    let bench = Bench::start(1).await;
    bench.declare(", 'properties.group.id' = 'shared'").await;
    bench.submit().await;
    let settings = format!("host=127.0.0.1 port={} user=test dbname=streamgate", bench.server().port);
    let (client, mut connection) = tokio_postgres::connect(&settings, tokio_postgres::NoTls).await.unwrap();
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some(message) = std::future::poll_fn(|context| connection.poll_message(context)).await {
            if let Ok(tokio_postgres::AsyncMessage::Notice(notice)) = message {
                tell.send(format!("{}: {}", notice.severity(), notice.message())).ok();
            }
        }
    });
    client.batch_execute("CREATE JOB other AS INSERT INTO taken SELECT id FROM numbers").await.unwrap();
    let expected = format!(
        "WARNING: job \"j\" commits its offsets of topic \"{}\" to group \"shared\" too: lag tools show whichever job was last",
        bench.topic
    );
    loop {
        let notice = tokio::time::timeout(JOB_PATIENCE, told.recv()).await.unwrap().expect("a WARNING");
        if notice == expected {
            break;
        }
    }
    bench.produce(0..30);
    until(JOB_PATIENCE, "the named group has the position", async || {
        (committed(&bench, "shared") == Some(30)).then_some(())
    })
    .await;
}
