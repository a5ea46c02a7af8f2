//! What only embedded backends can be asked in a test: what is left after a restart and after kill -9.

use std::collections::{BTreeSet, HashMap};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::types::{AttributeValue, TimeToLiveSpecification};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};
use rdkafka::{ClientConfig, ClientContext, Message, Offset, TopicPartitionList};
use streamgate::embedded::{DynamoDbOptions, EmbeddedDynamoDb, KafkaBroker, KafkaBrokerOptions};
use tempfile::TempDir;

use super::{dynamodb, kafka, transactions};
use crate::backends::{PATIENCE, dynamodb_at, kafka_at};

const DATA_DIR: &str = "STREAMGATE_TEST_BROKER_DATA_DIR";
const PORT: &str = "STREAMGATE_TEST_BROKER_PORT";
const READY: &str = "broker listens on port ";

/// Not a test by itself: what the child process of the kill tests runs, until its standard input ends.
#[test]
#[ignore = "run by the kill tests"]
fn broker_of_the_kill_tests() {
    let mut options = KafkaBrokerOptions::new(std::env::var(DATA_DIR).unwrap());
    options.port = std::env::var(PORT).unwrap().parse().unwrap();
    let broker = KafkaBroker::start(options).unwrap();
    // Ends with the process that started it, even when that one is killed.
    println!("{READY}{}", broker.address().port());
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

struct BrokerProcess {
    child: Child,
    port: u16,
}

impl BrokerProcess {
    fn start(data_dir: &Path, port: u16) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "--nocapture", "conformance::recovery::broker_of_the_kill_tests"])
            .env(DATA_DIR, data_dir)
            .env(PORT, port.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
        let port =
            lines.map(Result::unwrap).find_map(|line| line.split_once(READY).map(|(_, port)| port.parse().unwrap()));
        Self { port: port.expect("the broker did not start"), child }
    }

    fn config(&self) -> ClientConfig {
        kafka_at(&format!("127.0.0.1:{}", self.port))
    }

    /// SIGKILL.
    fn kill(mut self) -> u16 {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.port
    }
}

#[derive(Clone, Default)]
struct Deliveries {
    good: Arc<AtomicUsize>,
    bad: Arc<AtomicUsize>,
}

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let count = if result.is_ok() { &self.good } else { &self.bad };
        count.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn a_kill_during_an_idempotent_produce_loses_and_doubles_nothing() {
    const RECORDS: usize = 60_000;
    let data_dir = TempDir::new().unwrap();
    let broker = BrokerProcess::start(data_dir.path(), 0);
    let mut config = broker.config();
    config.set("reconnect.backoff.max.ms", "200");
    kafka::create_topic(&config, "orders", 4).await;

    let deliveries = Deliveries::default();
    let mut settings = config.clone();
    settings
        .set("enable.idempotence", "true")
        .set("message.timeout.ms", "60000")
        .set("batch.num.messages", "100")
        .set("queue.buffering.max.messages", RECORDS.to_string());
    let producer: ThreadedProducer<Deliveries> = settings.create_with_context(deliveries.clone()).unwrap();
    let filler = "x".repeat(200);
    for index in 0..RECORDS {
        let payload = format!("{index} {filler}");
        let key = index.to_string();
        producer.send(BaseRecord::to("orders").key(&key).payload(&payload)).map_err(|(error, _)| error).unwrap();
    }
    let deadline = Instant::now() + PATIENCE;
    while deliveries.good.load(Ordering::SeqCst) < RECORDS / 10 {
        assert!(Instant::now() < deadline, "nothing was delivered");
        std::thread::yield_now();
    }
    let port = broker.kill();
    let before = deliveries.good.load(Ordering::SeqCst);
    assert!(before < RECORDS, "all records were delivered before the kill");
    let broker = BrokerProcess::start(data_dir.path(), port);
    producer.flush(2 * PATIENCE).unwrap();
    assert_eq!((deliveries.good.load(Ordering::SeqCst), deliveries.bad.load(Ordering::SeqCst)), (RECORDS, 0));

    let reader = kafka::consumer(&config, "reader");
    let stored: i64 = (0..4).map(|partition| reader.fetch_watermarks("orders", partition, PATIENCE).unwrap().1).sum();
    assert_eq!(stored, RECORDS as i64);
    let mut assignment = TopicPartitionList::new();
    for partition in 0..4 {
        assignment.add_partition_offset("orders", partition, Offset::Beginning).unwrap();
    }
    reader.assign(&assignment).unwrap();
    let numbers: BTreeSet<usize> = kafka::poll(&reader, RECORDS)
        .iter()
        .map(|record| std::str::from_utf8(record.key().unwrap()).unwrap().parse().unwrap())
        .collect();
    assert_eq!(numbers.len(), RECORDS);
    broker.kill();
}

fn subscribe(config: &ClientConfig) -> BaseConsumer {
    let member = kafka::consumer(config, "group");
    member.subscribe(&["orders"]).unwrap();
    member
}

fn send(config: &ClientConfig, values: std::ops::Range<usize>) {
    let producer: ThreadedProducer<Deliveries> = config.create_with_context(Deliveries::default()).unwrap();
    for index in values {
        let value = format!("v{index}");
        producer
            .send(BaseRecord::to("orders").partition(0).key("k").payload(&value))
            .map_err(|(error, _)| error)
            .unwrap();
    }
    producer.flush(PATIENCE).unwrap();
}

#[tokio::test]
async fn records_and_group_offsets_survive_a_kill() {
    let data_dir = TempDir::new().unwrap();
    let broker = BrokerProcess::start(data_dir.path(), 0);
    kafka::create_topic(&broker.config(), "orders", 1).await;
    send(&broker.config(), 0..10);
    let member = subscribe(&broker.config());
    kafka::poll(&member, 10);
    let mut offsets = TopicPartitionList::new();
    offsets.add_partition_offset("orders", 0, Offset::Offset(6)).unwrap();
    member.commit(&offsets, CommitMode::Sync).unwrap();
    let cluster_id = member.client().fetch_cluster_id(PATIENCE).unwrap();
    let port = broker.kill();
    drop(member);

    let broker = BrokerProcess::start(data_dir.path(), port);
    send(&broker.config(), 10..12);
    let member = subscribe(&broker.config());
    let offsets: Vec<i64> = kafka::poll(&member, 6).iter().map(Message::offset).collect();
    assert_eq!(offsets, [6, 7, 8, 9, 10, 11]);
    assert_eq!(member.client().fetch_cluster_id(PATIENCE).unwrap(), cluster_id);
    broker.kill();
}

#[tokio::test]
async fn a_transaction_goes_on_over_a_kill_of_the_broker() {
    let data_dir = TempDir::new().unwrap();
    let broker = BrokerProcess::start(data_dir.path(), 0);
    let mut config = broker.config();
    config.set("reconnect.backoff.max.ms", "200");
    kafka::create_topic(&config, "orders", 1).await;
    let open = transactions::transactional(&config, "open", &[]);
    let dead = transactions::transactional(&config, "dead", &[]);
    for (producer, value) in [(&open, "before the kill"), (&dead, "of the dead")] {
        producer.begin_transaction().unwrap();
        transactions::send(producer, "orders", value).await;
    }
    let port = broker.kill();
    drop(dead);

    let broker = BrokerProcess::start(data_dir.path(), port);
    assert!(transactions::values(&config, "orders", transactions::COMMITTED).is_empty());
    transactions::send(&open, "orders", "after the kill").await;
    open.commit_transaction(PATIENCE).unwrap();
    // Whoever takes the id over ends what the dead producer left open.
    drop(transactions::transactional(&config, "dead", &[]));
    assert_eq!(transactions::values(&config, "orders", transactions::COMMITTED), ["before the kill", "after the kill"]);
    let port = broker.kill();

    let broker = BrokerProcess::start(data_dir.path(), port);
    assert_eq!(transactions::values(&config, "orders", transactions::COMMITTED), ["before the kill", "after the kill"]);
    broker.kill();
}

#[tokio::test]
async fn a_stopped_broker_gives_its_folder_and_port_back() {
    let data_dir = TempDir::new().unwrap();
    let mut options = KafkaBrokerOptions::new(data_dir.path());
    let broker = KafkaBroker::start(options.clone()).unwrap();
    assert!(KafkaBroker::start(options.clone()).is_err(), "two brokers share a folder");
    options.port = broker.address().port();
    let config = kafka_at(&broker.address().to_string());
    kafka::create_topic(&config, "orders", 1).await;
    send(&config, 0..3);
    // A member that waits within the broker, and a reader in a long poll, must not hold up the stop.
    let mut patient = config.clone();
    patient.set("fetch.wait.max.ms", "60000").set("socket.timeout.ms", "90000");
    let member = subscribe(&patient);
    kafka::poll(&member, 3);
    member.poll(Duration::from_millis(200)).map(Result::unwrap);
    let start = Instant::now();
    broker.shutdown();
    assert!(start.elapsed() < Duration::from_secs(5), "the stop took {:?}", start.elapsed());

    let broker = KafkaBroker::start(options).unwrap();
    let records = kafka::read(&kafka_at(&broker.address().to_string()), "orders", 0, Offset::Beginning, 3);
    assert_eq!(records.len(), 3);
}

#[tokio::test]
async fn a_malformed_frame_ends_its_own_connection_only() {
    let data_dir = TempDir::new().unwrap();
    let broker = KafkaBroker::start(KafkaBrokerOptions::new(data_dir.path())).unwrap();
    let config = kafka_at(&broker.address().to_string());
    kafka::create_topic(&config, "orders", 1).await;
    let header = |key: i16, version: i16| {
        [&key.to_be_bytes()[..], &version.to_be_bytes(), &[0, 0, 0, 1], &[0xff, 0xff]].concat()
    };
    let huge_array = [header(3, 4), vec![0x7f, 0xff, 0xff, 0xff]].concat();
    let frames: [(i32, &[u8]); 5] = [
        (i32::MAX, b""),
        (-1, b""),
        (3, b"abc"),
        (10, b"\x7f\xff\x00\x00\x00\x00\x00\x01\xff\xff"),
        (huge_array.len() as i32, &huge_array),
    ];
    for (length, bytes) in frames {
        let mut stream = TcpStream::connect(broker.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(&length.to_be_bytes()).unwrap();
        stream.write_all(bytes).unwrap();
        // Closed, with or without what the broker had not read.
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).ok();
        assert!(answer.is_empty(), "the broker answered {answer:?}");
    }
    send(&config, 0..1);
    assert_eq!(kafka::read(&config, "orders", 0, Offset::Beginning, 1).len(), 1);
}

#[tokio::test]
async fn embedded_items_and_ttl_settings_survive_a_restart_and_expired_items_go() {
    let data_dir = TempDir::new().unwrap();
    let mut options = DynamoDbOptions::new(data_dir.path());
    options.ttl_sweep_interval = Duration::from_millis(50);
    let store = EmbeddedDynamoDb::start(options.clone()).await.unwrap();
    let client = dynamodb_at(&store.endpoint());
    dynamodb::create_table(&client, "orders").await;
    let item = |order: i64, expires: i64| {
        [("user_id", 1), ("order_id", order), ("ttl", expires)]
            .map(|(name, value)| (name.to_owned(), AttributeValue::N(value.to_string())))
    };
    client.put_item().table_name("orders").set_item(Some(HashMap::from(item(1, 4_000_000_000)))).send().await.unwrap();
    let specification = TimeToLiveSpecification::builder().enabled(true).attribute_name("ttl").build().unwrap();
    client.update_time_to_live().table_name("orders").time_to_live_specification(specification).send().await.unwrap();
    store.shutdown().await;

    let store = EmbeddedDynamoDb::start(options).await.unwrap();
    let client = dynamodb_at(&store.endpoint());
    client.put_item().table_name("orders").set_item(Some(HashMap::from(item(2, 1_000_000_000)))).send().await.unwrap();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let items = client.scan().table_name("orders").send().await.unwrap().items.unwrap();
        if items.len() == 1 {
            assert_eq!(items[0]["order_id"], AttributeValue::N("1".to_owned()));
            break;
        }
        assert!(Instant::now() < deadline, "the expired item is still there");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    store.shutdown().await;
}
