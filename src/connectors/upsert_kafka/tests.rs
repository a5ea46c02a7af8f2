//! Upsert tables and tables of change records over librdkafka's mock broker: what goes out, comes in, and stands at the end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use datafusion::arrow::array::{Array, AsArray, Int32Array, RecordBatch, StringArray};
use datafusion::arrow::datatypes::Int32Type;
use datafusion::logical_expr::{TableProviderFilterPushDown, col, lit};
use futures::TryStreamExt;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{DefaultProducerContext, FutureProducer, FutureRecord};

use super::*;
use crate::changelog::{ChangeBatch, Changelog, RowKind};
use crate::clock::ManualClock;
use crate::connectors::declaration::{ColumnDeclaration, ColumnKind};
use crate::connectors::enumerator::Restored;
use crate::connectors::kafka::KafkaConnector;
use crate::connectors::metrics::ConnectorMetrics;
use crate::connectors::scan::ScanRequest;
use crate::connectors::sink::{SinkContext, SinkKind};
use crate::connectors::source::SplitRequest;
use crate::connectors::split::Start;
use crate::options::OptionValue;

use RowKind::{Delete as D, Insert as I, UpdateAfter as UA, UpdateBefore as UB};

fn cluster(partitions: i32) -> (MockCluster<'static, DefaultProducerContext>, String) {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("users", partitions, 1).unwrap();
    let servers = cluster.bootstrap_servers();
    (cluster, servers)
}

/// `id INT` (the key, NOT NULL as PRIMARY KEY makes it), `name STRING`.
fn declaration(servers: &str, options: &[(&str, &str)]) -> TableDeclaration {
    let column = |name: &str, sql_type: &str, nullable| ColumnDeclaration {
        name: name.to_owned(),
        sql_type: sql_type.to_owned(),
        nullable,
        kind: ColumnKind::Physical,
    };
    let all = [("topic", "users"), ("properties.bootstrap.servers", servers)];
    TableDeclaration {
        local: None,
        name: "db.public.users".to_owned(),
        columns: vec![column("id", "INT", false), column("name", "STRING", true)],
        primary_key: vec!["id".to_owned()],
        partitioned_by: Vec::new(),
        options: all
            .iter()
            .chain(options)
            .map(|(name, value)| ((*name).to_owned(), OptionValue::Plain((*value).to_owned())))
            .collect(),
    }
}

fn open_with(connector: &dyn Connector, table: &TableDeclaration) -> Result<Table> {
    let mut reader = OptionReader::new(&table.options, &|_| unreachable!("no secrets here")).unwrap();
    let opened = connector.open(&mut reader, table)?;
    reader.finish()?;
    Ok(opened)
}

fn defaults() -> ConnectorDefaults {
    ConnectorDefaults {
        kafka_bootstrap_servers: None,
        kafka_properties: BTreeMap::new(),
        kafka_is_embedded: false,
        dynamodb_endpoint: None,
        aws_region: None,
        aws_credentials: None,
        dynamodb_is_embedded: false,
        places: Arc::new(crate::places::Places::anywhere()),
        clock: Arc::new(ManualClock::at(0)),
    }
}

const FORMATS: [(&str, &str); 2] = [("key.format", "json"), ("value.format", "json")];

fn upsert(servers: &str, options: &[(&str, &str)]) -> Result<Table> {
    let all: Vec<_> = FORMATS.iter().chain(options).copied().collect();
    open_with(&UpsertKafkaConnector::new(defaults()), &declaration(servers, &all))
}

fn kafka(servers: &str, format: &str, options: &[(&str, &str)]) -> Table {
    let mut all = vec![("format", format), ("scan.startup.mode", "earliest-offset")];
    all.extend(options);
    open_with(&KafkaConnector::new(defaults()), &declaration(servers, &all)).unwrap()
}

fn changes(rows: &[(RowKind, Option<i32>, &str)]) -> ChangeBatch {
    let batch = RecordBatch::try_from_iter_with_nullable([
        ("id", Arc::new(rows.iter().map(|row| row.1).collect::<Int32Array>()) as _, true),
        ("name", Arc::new(rows.iter().map(|row| Some(row.2)).collect::<StringArray>()) as _, true),
    ])
    .unwrap();
    ChangeBatch::changes(batch, rows.iter().map(|row| row.0).collect())
}

async fn write(table: &Table, batches: &[ChangeBatch]) -> Arc<ConnectorMetrics> {
    let metrics = Arc::new(ConnectorMetrics::default());
    let context = SinkContext::new("test", metrics.clone(), chrono_tz::UTC);
    let mut writer = table.sink.as_ref().unwrap().open(context).await.unwrap();
    for batch in batches {
        writer.write(batch.clone()).await.unwrap();
    }
    writer.flush().await.unwrap();
    metrics
}

/// Writes records as they are: partition, key, value.
async fn produce(servers: &str, records: &[(i32, Option<&str>, Option<&str>)]) {
    let producer: FutureProducer = rdkafka::ClientConfig::new().set("bootstrap.servers", servers).create().unwrap();
    for (partition, key, value) in records {
        let mut record = FutureRecord::<str, str>::to("users").partition(*partition);
        (record.key, record.payload) = (*key, *value);
        producer.send(record, Duration::from_secs(10)).await.unwrap();
    }
}

fn line(kind: RowKind, rows: &RecordBatch, row: usize) -> String {
    let kind = match kind {
        I => "+",
        UB => "-U",
        UA => "+U",
        D => "-",
    };
    let name = rows.column(1).as_string::<i32>();
    let name = if name.is_null(row) { "∅" } else { name.value(row) };
    format!("{kind} {} {name}", rows.column(0).as_primitive::<Int32Type>().value(row))
}

/// What a job is given of the topic's first partition, to its end now.
async fn source_changes(table: &Table) -> (String, Arc<ConnectorMetrics>) {
    let metrics = Arc::new(ConnectorMetrics::default());
    let source = table.source.as_ref().unwrap();
    let found = source.enumerator(Restored::default()).unwrap().discover().await.unwrap();
    let split = &found.splits[0].split;
    let mut reader = source.open(SplitRequest::new(split, Start::AsDeclared, &[0, 1], metrics.clone())).await.unwrap();
    let mut lines = Vec::new();
    while let Some(batch) = reader.next().await.unwrap() {
        let changes = batch.changes;
        lines.extend((0..changes.len()).map(|row| line(changes.kind(row), changes.rows(), row)));
    }
    (lines.join(", "), metrics)
}

/// The rows that a query finds, sorted.
async fn scan(table: &Table, limit: Option<usize>) -> (Vec<String>, String) {
    let request = ScanRequest { projection: vec![0, 1], filters: Vec::new(), limit };
    let plan = table.scan.as_ref().unwrap().plan(request).await.unwrap();
    let mut lines = Vec::new();
    for part in &plan.partitions {
        let batches: Vec<RecordBatch> = part.open(3, &Arc::default()).unwrap().try_collect().await.unwrap();
        for batch in &batches {
            assert!(batch.num_rows() <= 3, "batches as asked for");
            lines.extend((0..batch.num_rows()).map(|row| line(I, batch, row)));
        }
    }
    lines.sort();
    (lines, plan.description)
}

async fn count(table: &Table) -> usize {
    let plan = table.scan.as_ref().unwrap().plan(ScanRequest::default()).await.unwrap();
    let mut count = 0;
    for part in &plan.partitions {
        let batches: Vec<RecordBatch> = part.open(100, &Arc::default()).unwrap().try_collect().await.unwrap();
        count += batches.iter().map(RecordBatch::num_rows).sum::<usize>();
    }
    count
}

const BOUNDED: (&str, &str) = ("scan.bounded.mode", "latest-offset");

#[test]
fn the_options_are_those_of_flink() {
    let servers = "h:1";
    assert!(upsert(servers, &[("sink.buffer-flush.max-rows", "10"), ("sink.buffer-flush.interval", "1 s")]).is_ok());
    assert!(upsert(servers, &[("value.fields-include", "EXCEPT_KEY"), ("key.fields-prefix", "i")]).is_ok());
    for (options, code) in [
        (vec![("scan.startup.mode", "earliest-offset")], "22023"),
        (vec![("sink.buffer-flush.max-rows", "10")], "22023"),
        (vec![("key.fields", "id")], "22023"),
        (vec![("format", "json")], "22023"),
        (vec![("sink.parallelism", "4")], "0A000"),
        (vec![("scan.parallelism", "4")], "0A000"),
        (vec![("key.fields-prefix", "i")], "22023"),
    ] {
        let error = upsert(servers, &options).err().unwrap_or_else(|| panic!("{options:?} is accepted"));
        assert_eq!(error.sqlstate().code(), code, "{options:?}: {error}");
    }
    let connector = UpsertKafkaConnector::new(defaults());
    for formats in [
        vec![FORMATS[0]],
        vec![FORMATS[1]],
        vec![FORMATS[0], ("value.format", "debezium-json")],
        vec![FORMATS[1], ("key.format", "canal-json")],
    ] {
        assert!(open_with(&connector, &declaration(servers, &formats)).is_err(), "{formats:?}");
    }
    let mut keyless = declaration(servers, &FORMATS);
    keyless.primary_key.clear();
    let error = open_with(&connector, &keyless).err().unwrap();
    assert!(error.message().contains("needs a PRIMARY KEY"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upsert_sink_writes_rows_and_tombstones() {
    let (_cluster, servers) = cluster(1);
    let table = upsert(&servers, &[BOUNDED]).unwrap();
    assert_eq!(table.sink.as_ref().unwrap().kind().await.unwrap(), SinkKind::Upsert { key: vec![0] });
    let metrics = write(
        &table,
        &[
            changes(&[(I, Some(1), "a"), (I, Some(2), "b"), (I, None, "no key")]),
            changes(&[(UB, Some(1), "a"), (UA, Some(1), "c"), (UB, Some(2), "b"), (UA, Some(3), "moved")]),
            changes(&[(D, Some(1), "c"), (UB, Some(9), "alone")]),
        ],
    )
    .await;
    assert_eq!(metrics.skipped.load(Ordering::Relaxed), 1);
    let (seen, metrics) = source_changes(&table).await;
    assert_eq!(seen, "+ 1 a, + 2 b, + 1 c, - 2 ∅, + 3 moved, - 1 ∅, - 9 ∅");
    assert_eq!(metrics.skipped.load(Ordering::Relaxed), 0);
    assert_eq!(scan(&table, None).await.0, ["+ 3 moved"]);
    // A plain table over the topic sees the records as they are.
    assert_eq!(count(&kafka(&servers, "json", &[])).await, 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_flush_buffer_only_the_last_row_of_a_key_goes_out() {
    let (_cluster, servers) = cluster(1);
    let options = [("sink.buffer-flush.max-rows", "100"), ("sink.buffer-flush.interval", "1 s"), BOUNDED];
    let table = upsert(&servers, &options).unwrap();
    let rows =
        changes(&[(I, Some(1), "a"), (I, Some(2), "b"), (UA, Some(1), "c"), (D, Some(2), "b"), (I, Some(4), "d")]);
    write(&table, &[rows]).await;
    assert_eq!(source_changes(&table).await.0, "+ 1 c, - 2 ∅, + 4 d");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upsert_source_takes_the_key_from_the_record_and_counts_keyless_ones() {
    let (_cluster, servers) = cluster(2);
    produce(
        &servers,
        &[
            (0, Some(r#"{"id":1}"#), Some(r#"{"name":"a"}"#)),
            (0, None, Some(r#"{"id":2,"name":"lost"}"#)),
            (0, Some(r#"{"id":1}"#), None),
            (0, Some(r#"{"id":4}"#), Some(r#"{"id":4,"name":"d"}"#)),
            (1, Some(r#"{"id":5}"#), Some(r#"{"id":5,"name":"e"}"#)),
            (1, Some(r#"{"id":6}"#), Some(r#"{"id":6,"name":"f"}"#)),
            (1, Some(r#"{"id":5}"#), Some(r#"{"id":5,"name":"g"}"#)),
        ],
    )
    .await;
    for include in ["ALL", "EXCEPT_KEY"] {
        let table = upsert(&servers, &[BOUNDED, ("value.fields-include", include)]).unwrap();
        assert_eq!(table.source.as_ref().unwrap().changelog(), Changelog::Upsert);
        let (seen, metrics) = source_changes(&table).await;
        assert_eq!((seen.as_str(), metrics.skipped.load(Ordering::Relaxed)), ("+ 1 a, - 1 ∅, + 4 d", 1));
        let (rows, description) = scan(&table, None).await;
        assert_eq!(rows, ["+ 4 d", "+ 5 g", "+ 6 f"]);
        assert!(description.ends_with(", last row of each key"), "{description}");
        assert_eq!(count(&table).await, 3);
        // A limit counts rows that stand, in each part.
        assert_eq!(scan(&table, Some(1)).await.0.len(), 2);
        // A predicate on a value may not hide the newer row from the older one.
        let predicate = col("name").eq(lit("e"));
        assert_eq!(table.scan.unwrap().pushdown(&[&predicate])[0], TableProviderFilterPushDown::Unsupported);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_sees_the_rows_that_stand_whatever_it_asks_for() {
    use datafusion::arrow::util::pretty::pretty_format_batches;
    use datafusion::prelude::SessionContext;

    let (_cluster, servers) = cluster(3);
    let declared = declaration(&servers, &FORMATS);
    let table = upsert(&servers, &[]).unwrap();
    let session = SessionContext::new();
    let provider = crate::connectors::table_provider::ConnectorTable::new(Arc::new(declared), table.clone()).unwrap();
    session.register_table("users", Arc::new(provider)).unwrap();
    session.sql("INSERT INTO users VALUES (1, 'a'), (2, 'b'), (3, 'c')").await.unwrap().collect().await.unwrap();
    write(&table, &[changes(&[(UB, Some(1), "a"), (UA, Some(1), "z"), (D, Some(2), "b")])]).await;
    for (sql, expected) in [
        ("SELECT name FROM users WHERE name = 'a'", ""),
        ("SELECT name FROM users WHERE id = 1", "z"),
        ("SELECT id FROM users WHERE name > 'b' ORDER BY id", "1 3"),
        ("SELECT count(*) FROM users", "2"),
        ("SELECT count(*) FROM users WHERE id = 2", "0"),
        ("SELECT name FROM users ORDER BY name LIMIT 1", "c"),
        ("SELECT count(*) FROM (SELECT 1 FROM users LIMIT 1) t", "1"),
    ] {
        let batches = session.sql(sql).await.unwrap().collect().await.unwrap();
        let text = pretty_format_batches(&batches).unwrap().to_string();
        let rows = text.lines().filter(|line| line.starts_with('|')).skip(1);
        let found: Vec<_> = rows.map(|line| line.trim_matches(['|', ' '])).collect();
        assert_eq!(found.join(" "), expected, "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn change_records_are_changes_for_a_job_and_folded_rows_for_a_query() {
    let (_cluster, servers) = cluster(2);
    produce(
        &servers,
        &[
            (0, None, Some(r#"{"before":null,"after":{"id":1,"name":"a"},"op":"c"}"#)),
            (0, None, Some(r#"{"before":{"id":1,"name":"a"},"after":{"id":1,"name":"b"},"op":"u"}"#)),
            // Comes in another partition than the insert that it takes back.
            (0, None, Some(r#"{"before":{"id":2,"name":"x"},"after":null,"op":"d"}"#)),
            (0, Some("k"), None),
            (1, None, Some(r#"{"before":null,"after":{"id":2,"name":"x"},"op":"r"}"#)),
            (1, None, Some(r#"{"before":null,"after":{"id":3,"name":"y"},"op":"c"}"#)),
            (1, None, Some(r#"{"before":null,"after":{"id":3,"name":"y"},"op":"c"}"#)),
        ],
    )
    .await;
    let table = kafka(&servers, "debezium-json", &[BOUNDED]);
    assert_eq!(table.source.as_ref().unwrap().changelog(), Changelog::Retract);
    assert_eq!(table.sink.as_ref().unwrap().kind().await.unwrap(), SinkKind::Changelog);
    let (seen, metrics) = source_changes(&table).await;
    assert_eq!(seen, "+ 1 a, -U 1 a, +U 1 b, - 2 x");
    assert_eq!(metrics.skipped.load(Ordering::Relaxed), 0, "a tombstone is part of its delete");
    let (rows, description) = scan(&table, None).await;
    assert_eq!(rows, ["+ 1 b", "+ 3 y", "+ 3 y"]);
    assert!(description.ends_with(", rows after all changes"), "{description}");
    assert_eq!((count(&table).await, scan(&table, Some(2)).await.0.len()), (3, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_written_in_a_change_format_are_read_back() {
    for format in ["debezium-json", "canal-json", "maxwell-json"] {
        let (_cluster, servers) = cluster(1);
        let table = kafka(&servers, format, &[BOUNDED]);
        let written =
            changes(&[(I, Some(1), "a"), (UB, Some(1), "a"), (UA, Some(1), "b"), (I, Some(2), "c"), (D, Some(2), "c")]);
        write(&table, &[written]).await;
        assert_eq!(source_changes(&table).await.0, "+ 1 a, - 1 a, + 1 b, + 2 c, - 2 c", "{format}");
        assert_eq!(scan(&table, None).await.0, ["+ 1 b"], "{format}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_changes_of_few_keys_are_folded_in_little_memory() {
    let (_cluster, servers) = cluster(1);
    let table = upsert(&servers, &[BOUNDED]).unwrap();
    let mut batches = Vec::new();
    for round in 0..30 {
        let names: Vec<String> = (0..5000).map(|row| format!("{round}-{row}")).collect();
        let rows: Vec<_> =
            names.iter().enumerate().map(|(row, name)| (I, Some(row as i32 % 50), name.as_str())).collect();
        batches.push(changes(&rows));
    }
    batches.push(changes(&(0..45).map(|id| (D, Some(id), "")).collect::<Vec<_>>()));
    write(&table, &batches).await;
    let expected: Vec<_> = (45..50).map(|id| format!("+ {id} 29-{}", 4950 + id)).collect();
    assert_eq!(scan(&table, None).await.0, expected);
}
