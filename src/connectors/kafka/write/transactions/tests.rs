//! On the embedded broker, or on the one that `STREAMGATE_TEST_KAFKA` names.

use std::sync::OnceLock;
use std::time::Instant;

use datafusion::arrow::array::{Int32Array, RecordBatch, StringArray};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{Offset, TopicPartitionList};

use super::*;
use crate::changelog::ChangeBatch;
use crate::connectors::connector::Table;
use crate::connectors::kafka::tests::{COLUMNS, open, project, rows, scan};
use crate::connectors::sink::{Sink, SinkContext, SinkWriter};
use crate::embedded::{KafkaBroker, KafkaBrokerOptions};

const PATIENCE: Duration = Duration::from_secs(30);

fn servers() -> &'static str {
    static SERVERS: OnceLock<(String, Option<(tempfile::TempDir, KafkaBroker)>)> = OnceLock::new();
    let (servers, _) = SERVERS.get_or_init(|| {
        if let Ok(servers) = std::env::var("STREAMGATE_TEST_KAFKA") {
            return (servers, None);
        }
        let folder = tempfile::tempdir().unwrap();
        let broker = KafkaBroker::start(KafkaBrokerOptions::new(folder.path())).unwrap();
        (broker.address().to_string(), Some((folder, broker)))
    });
    servers
}

fn client() -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", servers());
    config
}

/// A job with one exactly-once sink over a topic of its own.
struct Job {
    id: String,
    topic: String,
    table: Table,
}

impl Job {
    async fn new(options: &[(&str, &str)]) -> Self {
        let id = Uuid::new_v4().to_string();
        let topic = format!("out-{id}");
        let admin: AdminClient<DefaultClientContext> = client().create().unwrap();
        let new = NewTopic::new(&topic, 1, TopicReplication::Fixed(1));
        admin.create_topics([&new], &AdminOptions::new()).await.unwrap()[0].as_ref().unwrap();
        let mut all = vec![
            ("topic", topic.as_str()),
            ("sink.delivery-guarantee", "exactly-once"),
            ("scan.startup.mode", "earliest-offset"),
        ];
        all.extend(options);
        let table = open(servers(), COLUMNS, &all);
        Self { id, topic, table }
    }

    fn sink(&self) -> &Arc<dyn Sink> {
        self.table.sink.as_ref().unwrap()
    }

    async fn transactions(&self) -> Arc<dyn Transactions> {
        self.sink().transactional().unwrap().open(&self.id).await.unwrap()
    }

    async fn writer(&self, transactions: &Arc<dyn Transactions>, epoch: u64) -> Box<dyn SinkWriter> {
        let mut context = SinkContext::new("test", Arc::default(), chrono_tz::UTC);
        context.transactions = Some(transactions.clone());
        context.epoch = epoch;
        self.sink().open(context).await.unwrap()
    }

    /// What readers see.
    async fn visible(&self) -> Vec<i32> {
        scan(&self.table, project(&[0])).await.unwrap().0
    }
}

fn decision(epoch: u64) -> Decision {
    let position = Position::Offset(epoch as i64 * 10);
    let positions = BTreeMap::from([("orders".to_owned(), BTreeMap::from([("orders/0".to_owned(), position)]))]);
    Decision { epoch, positions, checksum: 7, logs: Default::default(), enumerators: Default::default() }
}

#[test]
fn a_progress_record_of_a_former_version_is_read_and_written_as_it_was() {
    let before = r#"{"owner":"o","decision":{"epoch":4,"positions":{"source-0":{"orders/0":40}},"checksum":7}}"#;
    let record: ProgressRecord = serde_json::from_str(before).unwrap();
    let decision = record.decision.as_ref().unwrap();
    assert_eq!(decision.positions["source-0"]["orders/0"], Position::Offset(40));
    assert!(decision.enumerators.is_empty());
    assert_eq!(serde_json::to_string(&record).unwrap(), before);
    // One of a source whose positions are no integers.
    let text = before.replace("40}}", r#"{"sequence":"0012345678901234567890123456789012345678"}}}"#);
    let text = text.replace("\"checksum\":7", r#""checksum":7,"enumerators":{"source-0":{"over":["a"]}}"#);
    let record: ProgressRecord = serde_json::from_str(&text).unwrap();
    assert_eq!(serde_json::to_string(&record).unwrap(), text);
}

async fn write(writer: &mut Box<dyn SinkWriter>, ids: std::ops::Range<i32>) -> u64 {
    writer.write(ChangeBatch::inserts(rows(ids))).await.unwrap()
}

async fn end_epoch(transactions: &Arc<dyn Transactions>, writer: &mut Box<dyn SinkWriter>, epoch: u64) {
    writer.barrier(epoch).await.unwrap();
    transactions.flush(epoch).await.unwrap();
    transactions.commit(&decision(epoch), &[]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn output_is_visible_after_the_commit_of_its_epoch() {
    let job = Job::new(&[]).await;
    let transactions = job.transactions().await;
    assert_eq!(transactions.decided(), None);
    let mut writer = job.writer(&transactions, 1).await;
    let sequence = write(&mut writer, 0..10).await;
    writer.barrier(1).await.unwrap();
    transactions.flush(1).await.unwrap();
    assert_eq!(*writer.acknowledged().borrow(), sequence, "delivered into the transaction");
    assert!(job.visible().await.is_empty());
    transactions.commit(&decision(1), &[]).await.unwrap();
    assert_eq!(job.visible().await, (0..10).collect::<Vec<_>>());
    // An epoch without rows is a decision too.
    end_epoch(&transactions, &mut writer, 2).await;
    drop((writer, transactions));
    assert_eq!(job.transactions().await.decided(), Some(&decision(2)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn opening_anew_drops_what_was_not_decided_and_tells_what_was() {
    let job = Job::new(&[]).await;
    let transactions = job.transactions().await;
    let mut writer = job.writer(&transactions, 1).await;
    for epoch in 1..=120 {
        write(&mut writer, epoch as i32..epoch as i32 + 1).await;
        end_epoch(&transactions, &mut writer, epoch).await;
    }
    write(&mut writer, 500..510).await;
    writer.barrier(121).await.unwrap();
    transactions.flush(121).await.unwrap();
    // Kept alive, as a killed process's connections would be: the new owner ends what is open.
    let again = job.transactions().await;
    assert_eq!(again.decided(), Some(&decision(120)));
    assert_eq!(job.visible().await, (1..=120).collect::<Vec<_>>());
    let mut writer = job.writer(&again, 121).await;
    write(&mut writer, 600..601).await;
    end_epoch(&again, &mut writer, 121).await;
    assert_eq!(job.visible().await.len(), 121);
    // Opened several times without a decision in between: it is found behind what the owners wrote.
    for _ in 0..3 {
        assert_eq!(job.transactions().await.decided(), Some(&decision(121)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_owner_fences_the_first() {
    let job = Job::new(&[]).await;
    let first = job.transactions().await;
    let mut writer = job.writer(&first, 1).await;
    write(&mut writer, 0..10).await;
    writer.barrier(1).await.unwrap();
    first.flush(1).await.unwrap();
    let _second = job.transactions().await;
    let error = first.commit(&decision(1), &[]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    assert!(error.message().contains("another instance has taken over"), "{error}");
    assert!(writer.write(ChangeBatch::inserts(rows(0..1))).await.is_err());
    assert!(first.flush(1).await.is_err());
    assert!(job.visible().await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_was_open_for_too_long_is_no_new_owner() {
    let job = Job::new(&[("properties.transaction.timeout.ms", "1000")]).await;
    let transactions = job.transactions().await;
    let mut writer = job.writer(&transactions, 1).await;
    write(&mut writer, 0..10).await;
    writer.barrier(1).await.unwrap();
    transactions.flush(1).await.unwrap();
    // What comes behind the open transaction is visible once the broker has aborted it.
    let plain: FutureProducer = client().create().unwrap();
    let record = FutureRecord::<str, str>::to(&job.topic).payload("{\"id\":99}");
    plain.send(record, PATIENCE).await.map_err(|(error, _)| error).unwrap();
    let deadline = Instant::now() + PATIENCE;
    while job.visible().await != [99] {
        assert!(Instant::now() < deadline, "the broker does not abort the transaction");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let error = transactions.commit(&decision(1), &[]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    let transactions = job.transactions().await;
    assert_eq!(transactions.decided(), None);
    let mut writer = job.writer(&transactions, 1).await;
    write(&mut writer, 0..10).await;
    end_epoch(&transactions, &mut writer, 1).await;
    assert_eq!(job.visible().await.len(), 11);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_keep_back_the_next_epoch_until_the_last_is_committed() {
    let job = Job::new(&[]).await;
    let transactions = job.transactions().await;
    let (mut one, mut two) = (job.writer(&transactions, 1).await, job.writer(&transactions, 1).await);
    write(&mut one, 0..10).await;
    one.barrier(1).await.unwrap();
    // The other writer is still in epoch 1.
    let kept = write(&mut one, 100..110).await;
    write(&mut two, 10..20).await;
    two.barrier(1).await.unwrap();
    write(&mut two, 110..120).await;
    transactions.flush(1).await.unwrap();
    assert!(*one.acknowledged().borrow() < kept, "not in the transaction of epoch 1");
    transactions.commit(&decision(1), &[]).await.unwrap();
    assert_eq!(job.visible().await, (0..20).collect::<Vec<_>>());
    // Written behind what was kept.
    write(&mut one, 120..121).await;
    one.barrier(2).await.unwrap();
    two.flush().await.unwrap();
    two.barrier(2).await.unwrap();
    transactions.flush(2).await.unwrap();
    transactions.commit(&decision(2), &[]).await.unwrap();
    assert_eq!(job.visible().await, (0..20).chain(100..121).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_that_keeps_back_too_much_waits() {
    let job = Job::new(&[]).await;
    let transactions = job.transactions().await;
    let mut writer = job.writer(&transactions, 1).await;
    writer.barrier(1).await.unwrap();
    let ids = Int32Array::from_iter_values(0..40);
    let names = StringArray::from_iter_values((0..40).map(|_| "x".repeat(500_000)));
    let large = RecordBatch::try_from_iter([("id", Arc::new(ids) as _), ("name", Arc::new(names) as _)]).unwrap();
    let mut writing = Box::pin(writer.write(ChangeBatch::inserts(large)));
    assert!(futures::poll!(writing.as_mut()).is_pending(), "20 MB are kept back");
    transactions.flush(1).await.unwrap();
    transactions.commit(&decision(1), &[]).await.unwrap();
    assert!(job.visible().await.is_empty());
    writing.await.unwrap();
    end_epoch(&transactions, &mut writer, 2).await;
    assert_eq!(job.visible().await, (0..40).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn offsets_of_the_same_cluster_are_committed_with_the_epoch() {
    let job = Job::new(&[]).await;
    let group = format!("group-{}", job.id);
    let split = |cluster: &str, partition: i32, group: Option<&str>| Split {
        id: format!("{}/{partition}", job.topic),
        resource: format!("{cluster}/{}/{partition}", job.topic),
        group: group.map(str::to_owned),
    };
    let cluster = format!("kafka://{}", servers());
    let transactions = job.transactions().await;
    let mut writer = job.writer(&transactions, 1).await;
    write(&mut writer, 0..1).await;
    writer.barrier(1).await.unwrap();
    transactions.flush(1).await.unwrap();
    let committed = [
        (split(&cluster, 0, Some(&group)), Position::Offset(5)),
        (split("kafka://elsewhere:9092", 0, Some(&group)), Position::Offset(6)),
        (split("datagen://d", 0, None), Position::Offset(7)),
    ];
    transactions.commit(&decision(1), &committed).await.unwrap();
    let reader: BaseConsumer = client().set("group.id", &group).create().unwrap();
    let mut asked = TopicPartitionList::new();
    asked.add_partition(&job.topic, 0);
    let found = reader.committed_offsets(asked, PATIENCE).unwrap();
    assert_eq!(found.elements()[0].offset(), Offset::Offset(5));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_cannot_be_delivered_fails_its_epoch() {
    let job = Job::new(&[("properties.message.max.bytes", "4000000")]).await;
    let transactions = job.transactions().await;
    let mut writer = job.writer(&transactions, 1).await;
    let names = StringArray::from_iter_values(["x".repeat(3_000_000)]);
    let large = [("id", Arc::new(Int32Array::from(vec![1])) as _), ("name", Arc::new(names) as _)];
    let large = RecordBatch::try_from_iter(large).unwrap();
    writer.write(ChangeBatch::inserts(large)).await.unwrap();
    writer.barrier(1).await.unwrap();
    let error = transactions.flush(1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    assert!(transactions.commit(&decision(1), &[]).await.is_err());
    assert!(writer.write(ChangeBatch::inserts(rows(0..1))).await.is_err());
    drop((writer, transactions));
    assert_eq!(job.transactions().await.decided(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_job_takes_its_topic_along() {
    let job = Job::new(&[]).await;
    let transactions = job.transactions().await;
    let mut writer = job.writer(&transactions, 1).await;
    end_epoch(&transactions, &mut writer, 1).await;
    drop((writer, transactions));
    let transactional = job.sink().transactional().unwrap();
    transactional.forget(&job.id).await.unwrap();
    transactional.forget(&job.id).await.unwrap();
    let metadata = client().create::<BaseConsumer>().unwrap();
    let deadline = Instant::now() + PATIENCE;
    let name = format!("streamgate-progress-{}", job.id);
    while metadata.fetch_metadata(None, PATIENCE).unwrap().topics().iter().any(|topic| topic.name() == name) {
        assert!(Instant::now() < deadline, "the topic is still there");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[test]
fn sinks_of_one_cluster_and_its_properties_share_a_scope_that_shows_no_secret() {
    let scope = |password: &str, servers: &str| {
        let options = [
            ("sink.delivery-guarantee", "exactly-once"),
            ("properties.sasl.username", "user"),
            ("properties.sasl.password", password),
        ];
        open(servers, COLUMNS, &options).sink.unwrap().transactional().unwrap().scope()
    };
    assert_eq!(scope("hunter2", "b:1,a:1"), scope("hunter2", "a:1,b:1"));
    assert_ne!(scope("hunter2", "a:1"), scope("hunter3", "a:1"));
    let prefixed = |prefix: &str| {
        let options = [("sink.delivery-guarantee", "exactly-once"), ("sink.transactional-id-prefix", prefix)];
        open("a:1", COLUMNS, &options).sink.unwrap().transactional().unwrap().scope()
    };
    assert_eq!(prefixed("one"), prefixed("two"));
    assert!(scope("hunter2", "a:1").starts_with("kafka://a:1#"));
    assert!(!scope("hunter2", "a:1").contains("hunter"));
    assert!(open("a:1", COLUMNS, &[]).sink.unwrap().transactional().is_none());
}
