//! An exactly-once Kafka sink whose commits get no answer, or a late one: what a later owner reads is what happened.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::array::{Int32Array, RecordBatch};
use streamgate::changelog::ChangeBatch;
use streamgate::clock::SystemClock;
use streamgate::connectors::{
    ColumnDeclaration, ColumnKind, ConnectorDefaults, Decision, Registry, Sink, SinkContext, SinkWriter,
    TableDeclaration, Transactions,
};
use streamgate::error::ErrorKind;
use streamgate::options::OptionValue;
use uuid::Uuid;

use super::kafka_proxy::{END_TXN, INIT_PRODUCER_ID, KafkaProxy};
use crate::backends::{Backends, unique};
use crate::conformance::kafka::{create_topic, eventually};
use crate::conformance::transactions::{COMMITTED, values};

/// A job that reaches Kafka through a proxy.
struct Job {
    proxy: KafkaProxy,
    topic: String,
    id: String,
    sink: Arc<dyn Sink>,
}

impl Job {
    async fn new(options: &[(&str, &str)]) -> Self {
        let proxy = KafkaProxy::start(&Backends::get().bootstrap_servers).await;
        let topic = unique("faults");
        create_topic(&Backends::get().kafka(), &topic, 1).await;
        let servers = proxy.bootstrap_servers();
        let mut all = vec![
            ("connector", "kafka"),
            ("topic", topic.as_str()),
            ("format", "json"),
            ("properties.bootstrap.servers", servers.as_str()),
            ("properties.reconnect.backoff.max.ms", "100"),
            ("sink.delivery-guarantee", "exactly-once"),
        ];
        all.extend(options);
        let plain = |(name, value): (&str, &str)| (name.to_owned(), OptionValue::Plain(value.to_owned()));
        let declaration = TableDeclaration {
            local: None,
            name: "db.public.out".to_owned(),
            columns: vec![ColumnDeclaration {
                name: "id".to_owned(),
                sql_type: "INT".to_owned(),
                nullable: true,
                kind: ColumnKind::Physical,
            }],
            primary_key: Vec::new(),
            partitioned_by: Vec::new(),
            options: all.into_iter().map(plain).collect(),
        };
        let registry = Registry::new(&ConnectorDefaults {
            kafka_bootstrap_servers: None,
            kafka_properties: BTreeMap::new(),
            kafka_is_embedded: false,
            dynamodb_endpoint: None,
            aws_region: None,
            aws_credentials: None,
            dynamodb_is_embedded: false,
            places: Arc::new(streamgate::places::Places::anywhere()),
            clock: Arc::new(SystemClock),
        });
        let table = registry.open(&declaration, &|_| unreachable!("no secrets here"), true).unwrap();
        Self { proxy, topic, id: Uuid::new_v4().to_string(), sink: table.sink.unwrap() }
    }

    async fn transactions(&self) -> Arc<dyn Transactions> {
        self.sink.transactional().unwrap().open(&self.id).await.unwrap()
    }

    async fn writer(&self, transactions: &Arc<dyn Transactions>, epoch: u64) -> Box<dyn SinkWriter> {
        let mut context = SinkContext::new("test", Arc::default(), chrono_tz::UTC);
        context.transactions = Some(transactions.clone());
        context.epoch = epoch;
        self.sink.open(context).await.unwrap()
    }

    fn visible(&self) -> Vec<String> {
        values(&Backends::get().kafka(), &self.topic, COMMITTED)
    }
}

/// Writes one row, whose id is the epoch, up to where only the commit is missing.
async fn prepare(transactions: &Arc<dyn Transactions>, writer: &mut Box<dyn SinkWriter>, epoch: u64) {
    let ids = Int32Array::from(vec![epoch as i32]);
    let rows = RecordBatch::try_from_iter([("id", Arc::new(ids) as _)]).unwrap();
    writer.write(ChangeBatch::inserts(rows)).await.unwrap();
    writer.barrier(epoch).await.unwrap();
    transactions.flush(epoch).await.unwrap();
}

fn decision(epoch: u64) -> Decision {
    Decision { epoch, positions: BTreeMap::new(), checksum: 7, logs: BTreeMap::new(), enumerators: BTreeMap::new() }
}

const ONE: &str = r#"{"id":1}"#;
const TWO: &str = r#"{"id":2}"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_was_asked_for_twice_is_followed_by_a_new_producer() {
    let job = Job::new(&[]).await;
    let transactions = job.transactions().await;
    let mut writer = job.writer(&transactions, 1).await;
    prepare(&transactions, &mut writer, 1).await;
    let producers = job.proxy.seen(INIT_PRODUCER_ID);
    job.proxy.lose_answer(END_TXN, 1);
    transactions.commit(&decision(1), &[]).await.unwrap();
    assert!(job.proxy.seen(INIT_PRODUCER_ID) > producers, "the producer is still the old one");
    assert_eq!(job.visible(), [ONE]);
    prepare(&transactions, &mut writer, 2).await;
    let producers = job.proxy.seen(INIT_PRODUCER_ID);
    transactions.commit(&decision(2), &[]).await.unwrap();
    assert_eq!(job.proxy.seen(INIT_PRODUCER_ID), producers, "a commit beyond doubt keeps its producer");
    assert_eq!(job.visible(), [ONE, TWO]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_without_an_answer_is_found_by_the_next_owner() {
    let job = Job::new(&[("properties.transaction.timeout.ms", "5000")]).await;
    let transactions = job.transactions().await;
    let mut writer = job.writer(&transactions, 1).await;
    prepare(&transactions, &mut writer, 1).await;
    let seen = job.proxy.seen(END_TXN);
    job.proxy.lose_answer(END_TXN, 1);
    let committing = tokio::spawn({
        let transactions = transactions.clone();
        async move { transactions.commit(&decision(1), &[]).await }
    });
    job.proxy.wait_until_seen(END_TXN, seen + 1).await;
    eventually(|| async { job.visible() }, |visible| *visible == [ONE]).await;
    job.proxy.go_down();
    match committing.await.unwrap() {
        // The client had asked again before the proxy went down.
        Ok(()) => {}
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
            let rows = RecordBatch::try_from_iter([("id", Arc::new(Int32Array::from(vec![9])) as _)]).unwrap();
            assert!(
                writer.write(ChangeBatch::inserts(rows)).await.is_err(),
                "nothing is written after an unclear commit"
            );
        }
    }
    job.proxy.come_up();
    drop((writer, transactions));
    let transactions = job.transactions().await;
    assert_eq!(transactions.decided(), Some(&decision(1)));
    let mut writer = job.writer(&transactions, 2).await;
    prepare(&transactions, &mut writer, 2).await;
    transactions.commit(&decision(2), &[]).await.unwrap();
    assert_eq!(job.visible(), [ONE, TWO]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_commit_does_not_end_the_next_transaction() {
    let job = Job::new(&[("properties.socket.timeout.ms", "1000")]).await;
    let transactions = job.transactions().await;
    let mut writer = job.writer(&transactions, 1).await;
    prepare(&transactions, &mut writer, 1).await;
    // The client gives up after a second and asks again over another connection.
    let held = job.proxy.hold(END_TXN, 1);
    transactions.commit(&decision(1), &[]).await.unwrap();
    prepare(&transactions, &mut writer, 2).await;
    held.release().await;
    drop((writer, transactions));
    let transactions = job.transactions().await;
    assert_eq!(transactions.decided(), Some(&decision(1)));
    assert_eq!(job.visible(), [ONE], "the old request has committed the rows of an epoch that was never decided");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_down_for_a_moment_loses_nothing() {
    let job = Job::new(&[]).await;
    let transactions = job.transactions().await;
    let mut writer = job.writer(&transactions, 1).await;
    job.proxy.go_down();
    let preparing = tokio::spawn({
        let transactions = transactions.clone();
        async move {
            prepare(&transactions, &mut writer, 1).await;
            transactions.commit(&decision(1), &[]).await
        }
    });
    job.proxy.come_up();
    preparing.await.unwrap().unwrap();
    assert_eq!(job.visible(), [ONE]);
}
