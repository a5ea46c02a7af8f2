use std::collections::BTreeMap;
use std::time::Duration;

use datafusion::arrow::array::{AsArray, Int32Array, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Int32Type, Int64Type, TimeUnit};
use datafusion::logical_expr::{col, lit};
use datafusion::scalar::ScalarValue;
use futures::TryStreamExt;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

use super::options::{ColumnSource, Metadata};
use super::range::{Bounded, Startup};
use super::*;
use crate::changelog::{ChangeBatch, RowKind};
use crate::clock::ManualClock;
use crate::connectors::declaration::{ColumnDeclaration, ColumnKind};
use crate::connectors::enumerator::Restored;
use crate::connectors::metrics::ConnectorMetrics;
use crate::connectors::position::Position;
use crate::connectors::scan::ScanRequest;
use crate::connectors::sink::SinkContext;
use crate::connectors::source::{Source, SourceBatch, SplitReader, SplitRequest};
use crate::connectors::split::{Split, Start};
use crate::options::OptionValue;

pub(super) const COLUMNS: &[(&str, &str)] = &[("id", "INT"), ("name", "STRING")];

fn declaration(columns: &[(&str, &str)], options: &[(&str, &str)]) -> TableDeclaration {
    TableDeclaration {
        name: "db.public.orders".to_owned(),
        columns: columns
            .iter()
            .map(|(name, text)| {
                // `BIGINT METADATA offset`
                let (sql_type, kind) = match text.split_once(" METADATA ") {
                    None => (*text, ColumnKind::Physical),
                    Some((sql_type, key)) => (
                        sql_type,
                        ColumnKind::Metadata {
                            key: key.trim_end_matches(" VIRTUAL").to_owned(),
                            is_virtual: key.ends_with(" VIRTUAL"),
                        },
                    ),
                };
                ColumnDeclaration { name: (*name).to_owned(), sql_type: sql_type.to_owned(), nullable: true, kind }
            })
            .collect(),
        primary_key: Vec::new(),
        partitioned_by: Vec::new(),
        options: options
            .iter()
            .map(|(name, value)| ((*name).to_owned(), OptionValue::Plain((*value).to_owned())))
            .collect(),
    }
}

fn defaults(servers: Option<&str>) -> ConnectorDefaults {
    ConnectorDefaults {
        kafka_bootstrap_servers: servers.map(str::to_owned),
        kafka_properties: BTreeMap::new(),
        kafka_is_embedded: true,
        dynamodb_endpoint: None,
        aws_region: None,
        aws_credentials: None,
        dynamodb_is_embedded: false,
        places: Arc::new(crate::places::Places::anywhere()),
        clock: Arc::new(ManualClock::at(0)),
    }
}

fn take(columns: &[(&str, &str)], options: &[(&str, &str)]) -> Result<KafkaOptions> {
    let table = declaration(columns, options);
    let mut reader = OptionReader::new(&table.options, &|_| unreachable!("no secrets here"))?;
    let options = KafkaOptions::take(&mut reader, &table, &defaults(Some("default:9092")))?;
    reader.finish()?;
    Ok(options)
}

pub(super) fn open(servers: &str, columns: &[(&str, &str)], options: &[(&str, &str)]) -> Table {
    let mut all = vec![("topic", "orders"), ("format", "json"), ("properties.bootstrap.servers", servers)];
    all.extend(options);
    let table = declaration(columns, &all);
    let mut reader = OptionReader::new(&table.options, &|_| unreachable!("no secrets here")).unwrap();
    let opened = KafkaConnector::new(defaults(None)).open(&mut reader, &table).unwrap();
    reader.finish().unwrap();
    opened
}

fn cluster(partitions: i32) -> (MockCluster<'static, DefaultProducerContext>, String) {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("orders", partitions, 1).unwrap();
    let servers = cluster.bootstrap_servers();
    (cluster, servers)
}

pub(super) fn rows(ids: std::ops::Range<i32>) -> RecordBatch {
    let names = StringArray::from_iter_values(ids.clone().map(|id| format!("n{id}")));
    RecordBatch::try_from_iter([
        ("id", Arc::new(Int32Array::from_iter_values(ids)) as _),
        ("name", Arc::new(names) as _),
    ])
    .unwrap()
}

fn context() -> SinkContext {
    SinkContext::new("test", Arc::default(), chrono_tz::UTC)
}

async fn write(servers: &str, options: &[(&str, &str)], batch: RecordBatch) {
    let table = open(servers, COLUMNS, options);
    let mut writer = table.sink.unwrap().open(context()).await.unwrap();
    let sequence = writer.write(ChangeBatch::inserts(batch)).await.unwrap();
    writer.flush().await.unwrap();
    assert_eq!(*writer.acknowledged().borrow(), sequence);
}

/// Writes texts as they are.
async fn produce(servers: &str, partition: i32, records: &[&str]) {
    use rdkafka::producer::{FutureProducer, FutureRecord};
    let producer: FutureProducer = rdkafka::ClientConfig::new().set("bootstrap.servers", servers).create().unwrap();
    for record in records {
        let record = FutureRecord::<str, str>::to("orders").partition(partition).payload(record);
        producer.send(record, Duration::from_secs(10)).await.unwrap();
    }
}

pub(super) async fn scan(table: &Table, request: ScanRequest) -> Result<(Vec<i32>, String)> {
    let plan = table.scan.as_ref().unwrap().plan(request).await?;
    let mut ids = Vec::new();
    for partition in &plan.partitions {
        let batches: Vec<RecordBatch> = partition.open(100, &Arc::default())?.try_collect().await?;
        for batch in &batches {
            ids.extend(batch.column(0).as_primitive::<Int32Type>().values());
        }
    }
    ids.sort_unstable();
    Ok((ids, plan.description))
}

pub(super) fn project(columns: &[usize]) -> ScanRequest {
    ScanRequest { projection: columns.to_vec(), ..ScanRequest::default() }
}

#[test]
fn the_seeds_table_opens_on_the_default_broker() {
    let options = take(
        &[("order_id", "INT"), ("created_at", "TIMESTAMP(3)")],
        &[
            ("connector", "kafka"),
            ("topic", "orders"),
            ("properties.bootstrap.servers", ""),
            ("properties.group.id", "order-group"),
            ("format", "json"),
            ("json.fail-on-missing-field", "false"),
            ("json.ignore-parse-errors", "true"),
            ("scan.startup.mode", "earliest-offset"),
        ],
    )
    .unwrap();
    assert_eq!((options.bootstrap_servers.as_str(), options.is_embedded), ("default:9092", true));
    assert_eq!((options.startup, options.bounded), (Startup::Earliest, Bounded::No));
    assert_eq!(options.group_id, "order-group");
}

#[test]
fn options_are_read_as_in_flink() {
    let options = take(
        &[("k_id", "INT"), ("v", "STRING"), ("at", "BIGINT METADATA offset VIRTUAL")],
        &[
            ("topic", "b; a"),
            ("value.format", "json"),
            ("value.json.ignore-parse-errors", "true"),
            ("key.format", "json"),
            ("key.fields", "k_id"),
            ("key.fields-prefix", "k_"),
            ("value.fields-include", "EXCEPT_KEY"),
            ("properties.bootstrap.servers", "h2:1,h1:1"),
            ("scan.startup.mode", "SPECIFIC_OFFSETS"),
            ("scan.startup.specific-offsets", "partition:0,offset:42;partition:1,offset:300"),
            ("scan.bounded.mode", "timestamp"),
            ("scan.bounded.timestamp-millis", "99"),
            ("sink.partitioner", "round_robin"),
            ("sink.delivery-guarantee", "none"),
            ("scan.topic-partition-discovery.interval", "0"),
        ],
    )
    .unwrap();
    assert_eq!(options.topics, ["a", "b"]);
    assert_eq!(options.startup, Startup::Offsets(BTreeMap::from([(0, 42), (1, 300)])));
    assert_eq!(options.bounded, Bounded::Timestamp(99));
    assert_eq!((options.partitioner, options.discovery_interval), (writing::Partitioner::RoundRobin, None));
    assert_eq!(options.columns[..2], [ColumnSource::Key(0), ColumnSource::Value(0)]);
    assert_eq!(options.columns[2], ColumnSource::Metadata { metadata: Metadata::Offset, is_virtual: true });
    assert_eq!((options.key_fields[0].name().as_str(), options.value_fields.len()), ("id", 1));
    assert_eq!(options.resource("a"), "kafka://h1:1,h2:1/a");
    assert_eq!(options.group_id, "KafkaSource-db.public.orders");
}

#[test]
fn exactly_once_has_a_prefix_and_a_timeout() {
    let base = [("topic", "t"), ("format", "json")];
    assert_eq!(take(COLUMNS, &base).unwrap().transaction, None);
    for guarantee in ["sink.delivery-guarantee", "sink.semantic"] {
        let options = take(COLUMNS, &[base[0], base[1], (guarantee, "exactly_once")]).unwrap();
        let transaction = options.transaction.unwrap();
        assert_eq!(transaction.transactional_id_prefix, "streamgate");
        assert_eq!(transaction.timeout, Duration::from_secs(60));
    }
    let own = [
        base[0],
        base[1],
        ("sink.delivery-guarantee", "EXACTLY_ONCE"),
        ("sink.transactional-id-prefix", "team"),
        ("sink.transaction-naming-strategy", "POOLING"),
        ("properties.transaction.timeout.ms", "5000"),
    ];
    let options = take(COLUMNS, &own).unwrap();
    assert!(options.properties.is_empty());
    let transaction = options.transaction.unwrap();
    assert_eq!((transaction.transactional_id_prefix.as_str(), transaction.timeout), ("team", Duration::from_secs(5)));
}

#[test]
fn what_cannot_be_done_is_refused_with_its_name() {
    let base = [("topic", "t"), ("format", "json")];
    for (option, code) in [
        (("topic-pattern", "a.*"), "22023"),
        (("sink.delivery-guarantee", "twice"), "22023"),
        (("sink.transaction-naming-strategy", "random"), "22023"),
        (("properties.transaction.timeout.ms", "soon"), "22023"),
        (("scan.parallelism", "4"), "0A000"),
        (("scan.startup.mode", "soon"), "22023"),
        (("scan.startup.mode", "timestamp"), "22023"),
        (("scan.startup.timestamp-millis", "5"), "22023"),
        (("key.fields", "id"), "22023"),
        (("json.ignore-parse-error", "true"), "22023"),
        (("properties.plugin.library.paths", "/x.so"), "42501"),
        (("properties.sasl.kerberos.kinit.cmd", "rm"), "42501"),
        (("properties.ssl.ca.location", "/etc/passwd"), "42501"),
        (("properties.ssl.truststore.location", "/x.jks"), "42501"),
        (("properties.sasl.oauthbearer.token.endpoint.url", "http://169.254.169.254"), "42501"),
        (("properties.debug", "all"), "0A000"),
        (("properties.transactional.id", "x"), "0A000"),
        (("error-handling.mode", "dlq"), "0A000"),
    ] {
        let error =
            take(COLUMNS, &[base[0], base[1], option]).err().unwrap_or_else(|| panic!("{option:?} is accepted"));
        assert_eq!(error.sqlstate().code(), code, "{option:?}: {error}");
    }
    assert_eq!(take(COLUMNS, &[("topic", "t"), ("format", "csv")]).err().unwrap().sqlstate().code(), "0A000");
    assert!(take(COLUMNS, &[("topic", "t")]).is_err());
    assert!(take(COLUMNS, &[("format", "json")]).is_err());
    assert!(take(&[("x", "INT METADATA colour")], &base).is_err());
    let of_format = [("topic", "t"), ("format", "debezium-json")];
    let refused = take(&[("x", "STRING METADATA value.source.table VIRTUAL")], &of_format).err().unwrap();
    assert_eq!(refused.sqlstate().code(), "0A000", "{refused}");
    assert!(
        take(COLUMNS, &[("topic", "t"), ("format", "debezium-json"), ("debezium-json.database.include", "x")]).is_err()
    );
    assert!(take(&[("x", "STRING METADATA offset")], &base).is_err());
}

#[test]
fn java_security_settings_are_translated() {
    let jaas = "org.apache.kafka.common.security.plain.PlainLoginModule required \n username=\"al\\\"ice\" password=\"s;e=c ret\";";
    let options = take(
        COLUMNS,
        &[
            ("topic", "t"),
            ("format", "json"),
            ("properties.security.protocol", "SASL_SSL"),
            ("properties.sasl.mechanism", "PLAIN"),
            ("properties.sasl.jaas.config", jaas),
            ("properties.ssl.truststore.type", "PEM"),
            ("properties.ssl.truststore.certificates", "pem"),
            ("properties.ssl.endpoint.identification.algorithm", ""),
            ("properties.fetch.max.wait.ms", "7"),
            ("properties.key.deserializer", "org.apache…"),
        ],
    )
    .unwrap();
    let expected = [
        ("fetch.wait.max.ms", "7"),
        ("sasl.mechanism", "PLAIN"),
        ("sasl.password", "s;e=c ret"),
        ("sasl.username", "al\"ice"),
        ("security.protocol", "sasl_ssl"),
        ("ssl.ca.pem", "pem"),
        ("ssl.endpoint.identification.algorithm", "none"),
    ];
    assert_eq!(options.properties, expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    let oauth = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required;";
    let refused = take(COLUMNS, &[("topic", "t"), ("format", "json"), ("properties.sasl.jaas.config", oauth)]);
    assert_eq!(refused.err().unwrap().sqlstate().code(), "0A000");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_written_is_read_in_bounded_scans() {
    let (_cluster, servers) = cluster(3);
    write(&servers, &[("sink.partitioner", "round-robin")], rows(0..500)).await;
    let table = open(&servers, COLUMNS, &[("scan.startup.mode", "earliest-offset")]);
    let (ids, description) = scan(&table, project(&[0])).await.unwrap();
    assert_eq!(ids, (0..500).collect::<Vec<_>>());
    assert!(description.starts_with("kafka topic orders, 3 partitions, offsets 0:[0.."), "{description}");
    // Without any commit, group-offsets reads from the earliest.
    assert_eq!(scan(&open(&servers, COLUMNS, &[]), project(&[0, 1])).await.unwrap().0.len(), 500);
    assert_eq!(
        scan(&open(&servers, COLUMNS, &[("scan.startup.mode", "latest-offset")]), project(&[0])).await.unwrap().0.len(),
        0
    );
    let limited = scan(&table, ScanRequest { limit: Some(2), ..project(&[0]) }).await.unwrap().0;
    assert!((2..=6).contains(&limited.len()), "{limited:?}");
    let bounds = [
        ("scan.startup.mode", "specific-offsets"),
        ("scan.startup.specific-offsets", "partition:0,offset:10;partition:1,offset:20"),
        ("scan.bounded.mode", "specific-offsets"),
        ("scan.bounded.specific-offsets", "partition:0,offset:15;partition:1,offset:21"),
    ];
    let (ids, description) = scan(&open(&servers, COLUMNS, &bounds), project(&[0])).await.unwrap();
    assert_eq!(
        (ids.len(), description.as_str()),
        (6, "kafka topic orders, 3 partitions, offsets 0:[10..15), 1:[20..21)")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_may_run_twice() {
    let (_cluster, servers) = cluster(1);
    write(&servers, &[], rows(0..10)).await;
    let table = open(&servers, COLUMNS, &[]);
    let plan = table.scan.as_ref().unwrap().plan(project(&[0])).await.unwrap();
    for _ in 0..2 {
        let batches: Vec<RecordBatch> =
            plan.partitions[0].open(4, &Arc::default()).unwrap().try_collect().await.unwrap();
        assert!(batches.iter().all(|batch| batch.num_rows() <= 4));
        assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 10);
    }
    // Only begun: dropping the stream stops the read.
    drop(plan.partitions[0].open(1, &Arc::default()).unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metadata_columns_and_predicates_on_them() {
    let (_cluster, servers) = cluster(2);
    produce(&servers, 0, &[r#"{"id":0}"#, r#"{"id":1}"#, r#"{"id":2}"#]).await;
    produce(&servers, 1, &[r#"{"id":10}"#, r#"{"id":11}"#]).await;
    let columns = [
        ("id", "INT"),
        ("part", "INT METADATA partition VIRTUAL"),
        ("at", "BIGINT METADATA offset VIRTUAL"),
        ("time", "TIMESTAMP(3) METADATA timestamp"),
        ("topic", "STRING METADATA topic VIRTUAL"),
    ];
    let table = open(&servers, &columns, &[]);
    let plan = table.scan.as_ref().unwrap().plan(project(&[4, 2, 0, 1, 3])).await.unwrap();
    let batches: Vec<RecordBatch> = plan.partitions[1].open(100, &Arc::default()).unwrap().try_collect().await.unwrap();
    let batch = datafusion::arrow::compute::concat_batches(&batches[0].schema(), &batches).unwrap();
    assert_eq!(batch.column(0).as_string::<i32>().value(1), "orders");
    assert_eq!(batch.column(1).as_primitive::<Int64Type>().values(), &[0, 1]);
    assert_eq!(batch.column(3).as_primitive::<Int32Type>().values(), &[1, 1]);
    assert_eq!(batch.column(4).data_type(), &DataType::Timestamp(TimeUnit::Millisecond, None));
    assert_eq!(batch.column(4).null_count(), 0);
    for (filters, expected) in [
        (vec![col("part").eq(lit(1))], vec![10, 11]),
        (vec![col("at").gt(lit(0_i64))], vec![1, 2, 11]),
        (vec![lit(1_i64).gt_eq(col("at")), col("at").gt_eq(lit(1_i64))], vec![1, 11]),
        (vec![col("id").eq(lit(1))], vec![0, 1, 2, 10, 11]),
    ] {
        let request = ScanRequest { filters, ..project(&[0]) };
        assert_eq!(scan(&table, request).await.unwrap().0, expected);
    }
    // A time without a zone is left to the query.
    let none = col("time").gt(lit(ScalarValue::TimestampMillisecond(Some(0), None)));
    assert_eq!(
        table.scan.unwrap().pushdown(&[&none])[0],
        datafusion::logical_expr::TableProviderFilterPushDown::Unsupported
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_record_fails_with_its_place_or_is_counted() {
    let (_cluster, servers) = cluster(1);
    produce(&servers, 0, &[r#"{"id":1}"#, r#"{"id":"x"}"#, "", r#"{"id":3}"#]).await;
    let error = scan(&open(&servers, COLUMNS, &[]), project(&[0])).await.unwrap_err();
    assert_eq!(
        error.message(),
        "topic \"orders\", partition 0, offset 1: record field \"id\" cannot read \"x\" as INT"
    );
    let table =
        open(&servers, COLUMNS, &[("json.ignore-parse-errors", "true"), ("scan.bounded.mode", "latest-offset")]);
    let source = table.source.unwrap();
    assert!(source.is_bounded());
    let metrics = Arc::new(ConnectorMetrics::default());
    let split = splits_of(&source).await.remove(0);
    let mut reader = source.open(SplitRequest::new(&split, Start::AsDeclared, &[0], metrics.clone())).await.unwrap();
    let mut ids = Vec::new();
    while let Some(batch) = reader.next().await.unwrap() {
        ids.extend(batch.changes.rows().column(0).as_primitive::<Int32Type>().iter());
    }
    assert_eq!(ids, [Some(1), None, Some(3)]);
    assert_eq!(reader.position(), Position::Offset(4));
    assert!(reader.next().await.unwrap().is_none());
    assert_eq!(metrics.skipped.load(std::sync::atomic::Ordering::Relaxed), 1);
    assert_eq!(metrics.rows.load(std::sync::atomic::Ordering::Relaxed), 3);
}

/// The splits that are there now.
pub(in crate::connectors) async fn splits_of(source: &Arc<dyn Source>) -> Vec<Split> {
    let found = source.enumerator(Restored::default()).unwrap().discover().await.unwrap();
    found.splits.into_iter().map(|found| found.split).collect()
}

async fn take_rows(reader: &mut dyn SplitReader, count: usize) -> Vec<i32> {
    let mut ids = Vec::new();
    while ids.len() < count {
        let next = tokio::time::timeout(Duration::from_secs(20), reader.next()).await.expect("rows come");
        let SourceBatch { changes, position, .. } = next.unwrap().expect("no end");
        assert_eq!(reader.position(), position);
        ids.extend(changes.rows().column(0).as_primitive::<Int32Type>().values());
    }
    ids
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_goes_on_from_its_position() {
    let (_cluster, servers) = cluster(2);
    produce(&servers, 0, &[r#"{"id":1}"#, r#"{"id":2}"#, r#"{"id":3}"#]).await;
    let table = open(&servers, COLUMNS, &[]);
    let source = table.source.unwrap();
    let splits = splits_of(&source).await;
    assert_eq!(splits[1].id, "orders/1");
    assert_eq!(splits[1].resource, format!("kafka://{servers}/orders/1"));
    let mut first = source.open(SplitRequest::new(&splits[0], Start::AsDeclared, &[0], Arc::default())).await.unwrap();
    let mut second = source.open(SplitRequest::new(&splits[1], Start::AsDeclared, &[0], Arc::default())).await.unwrap();
    assert_eq!(first.position(), Position::Offset(0));
    assert_eq!((take_rows(first.as_mut(), 3).await, first.position()), (vec![1, 2, 3], Position::Offset(3)));
    // A call that is given up loses nothing.
    assert!(tokio::time::timeout(Duration::from_millis(50), second.next()).await.is_err());
    produce(&servers, 1, &[r#"{"id":4}"#]).await;
    assert_eq!(take_rows(second.as_mut(), 1).await, [4]);
    assert_eq!(source.ends(&splits).await.unwrap(), [3, 1].map(Position::Offset));
    source.commit(&[(splits[0].clone(), Position::Offset(2))]).await.unwrap();
    drop(first);
    // The same split again, from an older position, on the same source.
    let mut again =
        source.open(SplitRequest::new(&splits[0], Start::At(Position::Offset(1)), &[0], Arc::default())).await.unwrap();
    assert_eq!(take_rows(again.as_mut(), 2).await, [2, 3]);
    drop((again, second));
    // Another source of the group begins where it has committed.
    let other = open(&servers, COLUMNS, &[]).source.unwrap();
    let mut committed = Position::Offset(-1);
    for _ in 0..100 {
        committed = other
            .open(SplitRequest::new(&splits[0], Start::AsDeclared, &[0], Arc::default()))
            .await
            .unwrap()
            .position();
        if committed == Position::Offset(2) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(committed, Position::Offset(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_offset_that_is_not_there_is_an_error() {
    let (_cluster, servers) = cluster(1);
    produce(&servers, 0, &[r#"{"id":1}"#]).await;
    let source = open(&servers, COLUMNS, &[]).source.unwrap();
    let split = splits_of(&source).await.remove(0);
    let mut reader =
        source.open(SplitRequest::new(&split, Start::At(Position::Offset(100)), &[0], Arc::default())).await.unwrap();
    let error = tokio::time::timeout(Duration::from_secs(20), reader.next()).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert!(error.message().contains("offset 100"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn missing_topics_and_brokers_are_told_apart() {
    let (_cluster, servers) = cluster(1);
    let table = declaration(
        COLUMNS,
        &[("topic", "orders"), ("format", "json"), ("properties.bootstrap.servers", "127.0.0.1:1")],
    );
    let mut reader = OptionReader::new(&table.options, &|_| unreachable!("no secrets here")).unwrap();
    let begun = std::time::Instant::now();
    let advice = KafkaConnector::new(defaults(None)).create(&mut reader, &table).await.unwrap();
    assert!(matches!(advice.as_slice(), [Advice::Warning(_)]), "{advice:?}");
    assert!(begun.elapsed() < Duration::from_secs(6));
    let error = scan(&open("127.0.0.1:1", COLUMNS, &[]), project(&[0])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(begun.elapsed() < Duration::from_secs(20));

    let table = declaration(COLUMNS, &[("topic", "orders"), ("format", "json")]);
    let mut reader = OptionReader::new(&table.options, &|_| unreachable!("no secrets here")).unwrap();
    let advice = KafkaConnector::new(defaults(Some(&servers))).create(&mut reader, &table).await.unwrap();
    assert!(matches!(advice.as_slice(), [Advice::Notice(text)] if text.contains("embedded")), "{advice:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_written_and_read() {
    let (_cluster, servers) = cluster(4);
    let options = [
        ("key.format", "json"),
        ("key.fields", "id"),
        ("value.fields-include", "EXCEPT_KEY"),
        ("scan.startup.mode", "earliest-offset"),
    ];
    write(&servers, &options, rows(0..50)).await;
    write(&servers, &options, rows(0..50)).await;
    let columns = [COLUMNS[0], COLUMNS[1], ("part", "INT METADATA partition VIRTUAL")];
    let table = open(&servers, &columns, &options);
    let plan = table.scan.as_ref().unwrap().plan(project(&[0, 2])).await.unwrap();
    let mut partition_of = BTreeMap::new();
    let mut count = 0;
    for part in &plan.partitions {
        let batches: Vec<RecordBatch> = part.open(100, &Arc::default()).unwrap().try_collect().await.unwrap();
        for batch in &batches {
            count += batch.num_rows();
            let parts = batch.column(1).as_primitive::<Int32Type>();
            for (id, part) in batch.column(0).as_primitive::<Int32Type>().iter().zip(parts) {
                assert_eq!(*partition_of.entry(id).or_insert(part), part, "one key, one partition");
            }
        }
    }
    assert_eq!((count, partition_of.len()), (100, 50));
    assert!(partition_of.values().collect::<std::collections::BTreeSet<_>>().len() > 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sink_waits_for_room_and_refuses_retractions() {
    let (_cluster, servers) = cluster(1);
    let small = [("properties.queue.buffering.max.messages", "10"), ("scan.startup.mode", "earliest-offset")];
    write(&servers, &small, rows(0..200)).await;
    let table = open(&servers, COLUMNS, &small);
    assert_eq!(scan(&table, project(&[0])).await.unwrap().0, (0..200).collect::<Vec<_>>());
    let mut writer = table.sink.unwrap().open(context()).await.unwrap();
    assert_eq!(writer.write(ChangeBatch::inserts(rows(0..0))).await.unwrap(), 1);
    let delete = ChangeBatch::changes(rows(0..1), [RowKind::Delete].into());
    assert_eq!(writer.write(delete).await.unwrap_err().sqlstate().code(), "0A000");
    writer.flush().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_is_not_delivered_fails_the_writer() {
    let options = [("properties.message.timeout.ms", "300"), ("properties.enable.idempotence", "false")];
    let table = open("127.0.0.1:1", COLUMNS, &options);
    let mut writer = table.sink.unwrap().open(context()).await.unwrap();
    writer.write(ChangeBatch::inserts(rows(0..3))).await.unwrap();
    let mut acknowledged = writer.acknowledged();
    let error = writer.flush().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(acknowledged.wait_for(|sequence| *sequence > 0).await.is_err(), "nothing is acknowledged");
    assert!(writer.write(ChangeBatch::inserts(rows(0..1))).await.is_err());
}

/// Twelve records in four transactions, of which the second and the fourth are aborted.
fn write_in_transactions(servers: &str, topic: &str) {
    use rdkafka::ClientConfig;
    use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
    let producer: BaseProducer =
        ClientConfig::new().set("bootstrap.servers", servers).set("transactional.id", topic).create().unwrap();
    let wait = Duration::from_secs(30);
    producer.init_transactions(wait).unwrap();
    for (ids, commits) in [(0..5, true), (5..8, false), (8..10, true), (10..12, false)] {
        producer.begin_transaction().unwrap();
        for id in ids {
            let value = format!("{{\"id\":{id}}}");
            let record = BaseRecord::<str, str>::to(topic).partition(0).payload(&value);
            producer.send(record).map_err(|(error, _)| error).unwrap();
        }
        if commits {
            producer.commit_transaction(wait).unwrap();
        } else {
            producer.flush(wait).unwrap();
            producer.abort_transaction(wait).unwrap();
        }
    }
}

/// Against a real broker: `STREAMGATE_TEST_KAFKA=host:port cargo test --lib real_broker -- --ignored`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a real broker, named by STREAMGATE_TEST_KAFKA"]
async fn a_real_broker_with_transaction_markers_aborted_records_and_no_topic() {
    use rdkafka::ClientConfig;
    use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
    use rdkafka::client::DefaultClientContext;
    let servers = std::env::var("STREAMGATE_TEST_KAFKA").expect("host:port");
    let topic = format!("markers-{}", uuid::Uuid::new_v4());
    let options = [("topic", topic.as_str()), ("properties.group.id", topic.as_str())];
    let table = |extra: &[(&str, &str)]| {
        let mut all = vec![("format", "json"), ("properties.bootstrap.servers", servers.as_str())];
        all.extend(options);
        all.extend(extra);
        let table = declaration(COLUMNS, &all);
        let mut reader = OptionReader::new(&table.options, &|_| unreachable!("no secrets here")).unwrap();
        KafkaConnector::new(defaults(None)).open(&mut reader, &table).unwrap()
    };
    assert!(scan(&table(&[]), project(&[0])).await.unwrap().0.is_empty(), "a topic that is not there has no rows");

    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", &servers).create().unwrap();
    admin.create_topics(&[NewTopic::new(&topic, 2, TopicReplication::Fixed(1))], &AdminOptions::new()).await.unwrap();
    let (written_servers, written_topic) = (servers.clone(), topic.clone());
    tokio::task::spawn_blocking(move || write_in_transactions(&written_servers, &written_topic)).await.unwrap();
    let expected = [0, 1, 2, 3, 4, 8, 9];
    let (ids, description) = scan(&table(&[]), project(&[0])).await.unwrap();
    assert_eq!(ids, expected);
    // Twelve records and four markers.
    assert!(description.ends_with("offsets 0:[0..16), 1:[0..0)"), "{description}");
    let late = [("scan.startup.mode", "timestamp"), ("scan.startup.timestamp-millis", "99999999999999")];
    assert!(scan(&table(&late), project(&[0])).await.unwrap().0.is_empty());
    let early = [("scan.startup.mode", "timestamp"), ("scan.startup.timestamp-millis", "1")];
    assert_eq!(scan(&table(&early), project(&[0])).await.unwrap().0, expected);

    let source = table(&[("scan.bounded.mode", "latest-offset")]).source.unwrap();
    let split = splits_of(&source).await.remove(0);
    let mut reader = source.open(SplitRequest::new(&split, Start::AsDeclared, &[0], Arc::default())).await.unwrap();
    let mut ids = Vec::new();
    while let Some(batch) = reader.next().await.unwrap() {
        ids.extend(batch.changes.rows().column(0).as_primitive::<Int32Type>().values().to_vec());
    }
    assert_eq!((ids.as_slice(), reader.position()), (expected.as_slice(), Position::Offset(16)));

    let mut writer = table(&[]).sink.unwrap().open(context()).await.unwrap();
    let begun = std::time::Instant::now();
    for batch in 0..20 {
        writer.write(ChangeBatch::inserts(rows(100 + batch * 1000..100 + (batch + 1) * 1000))).await.unwrap();
    }
    writer.flush().await.unwrap();
    let written = begun.elapsed();
    let begun = std::time::Instant::now();
    assert_eq!(scan(&table(&[]), project(&[0])).await.unwrap().0.len(), 20_007);
    println!("20000 rows written in {written:?}, read in {:?}", begun.elapsed());
    // One record, from the producer to the reader.
    let source = table(&[("scan.startup.mode", "latest-offset")]).source.unwrap();
    let splits = splits_of(&source).await;
    let mut readers = Vec::new();
    for split in &splits {
        readers.push(source.open(SplitRequest::new(split, Start::AsDeclared, &[0], Arc::default())).await.unwrap());
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    for id in 0..5 {
        let begun = std::time::Instant::now();
        writer.write(ChangeBatch::inserts(rows(id..id + 1))).await.unwrap();
        let (first, second) = readers.split_at_mut(1);
        tokio::select! {
            batch = first[0].next() => { batch.unwrap(); }
            batch = second[0].next() => { batch.unwrap(); }
        }
        println!("one row through the broker in {:?}", begun.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statements_share_a_producer_until_one_is_given_up() {
    let (cluster, servers) = cluster(1);
    let connector = KafkaConnector::new(defaults(None));
    let open = |linger: &str| {
        let options = [
            ("topic", "orders"),
            ("format", "json"),
            ("properties.bootstrap.servers", servers.as_str()),
            ("properties.linger.ms", linger),
        ];
        let table = declaration(COLUMNS, &options);
        let mut reader = OptionReader::new(&table.options, &|_| unreachable!("no secrets here")).unwrap();
        connector.open(&mut reader, &table).unwrap().sink.unwrap()
    };
    // A flush sends at once; without one, nothing leaves before the linger time.
    for _ in 0..3 {
        let mut writer = open("1000").open(context()).await.unwrap();
        writer.write(ChangeBatch::inserts(rows(0..5))).await.unwrap();
        writer.flush().await.unwrap();
    }
    assert_eq!(connector.producers().count(), 1);
    // Other client properties, another producer; a job has its own.
    open("2").open(context()).await.unwrap();
    open("3").open(SinkContext { is_of_job: true, ..context() }).await.unwrap();
    assert_eq!(connector.producers().count(), 2);
    // What is handed over and waited for by nobody is not sent when the broker comes back.
    cluster.broker_down(1).unwrap();
    let mut writer = open("1000").open(context()).await.unwrap();
    writer.write(ChangeBatch::inserts(rows(5..10))).await.unwrap();
    drop(writer);
    assert_eq!(connector.producers().count(), 1);
    cluster.broker_up(1).unwrap();
    write(&servers, &[], rows(10..12)).await;
    let table = super::tests::open(&servers, COLUMNS, &[]);
    let (ids, _) = scan(&table, ScanRequest { projection: vec![0], ..ScanRequest::default() }).await.unwrap();
    assert_eq!(ids, [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4, 10, 11]);
}
