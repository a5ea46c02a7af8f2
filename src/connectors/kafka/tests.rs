//! Whole tables against the broker of librdkafka's tests.

mod declared;
mod reads;
mod real_broker;
mod writes;

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
        local: None,
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

/// The splits that are there now.
pub(in crate::connectors) async fn splits_of(source: &Arc<dyn Source>) -> Vec<Split> {
    let found = source.enumerator(Restored::default()).unwrap().discover().await.unwrap();
    found.splits.into_iter().map(|found| found.split).collect()
}
