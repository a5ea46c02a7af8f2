//! Whole tables against the embedded store over HTTP, with faults put in by a proxy between.

use super::*;
use crate::changelog::{ChangeBatch, RowKind};
use crate::clock::ManualClock;
use crate::connectors::declaration::ColumnDeclaration;
use crate::connectors::lookup::LookupRequest;
use crate::connectors::metrics::ConnectorMetrics;
use crate::connectors::scan::ScanRequest;
use crate::connectors::sink::{SinkContext, SinkKind, SinkWriter};
use crate::options::OptionValue;
use datafusion::arrow::array::*;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::arrow::util::pretty::pretty_format_batches;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, col, lit};
use futures::StreamExt;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

mod monotonic;
mod reads;
mod refused;
mod writes;

const NOW_MS: i64 = 1_704_103_200_000;

/// What the proxy does with a request, by operation and body.
enum Fault {
    Pass,
    Answer(u16, String),
    /// Is applied, but answered with an error.
    Lose,
    /// Never answers.
    Hang,
}

type Faults = Arc<dyn Fn(&str, &str) -> Fault + Send + Sync>;

/// The embedded store behind a proxy; the address is the proxy's.
struct Store {
    endpoint: String,
    clock: Arc<ManualClock>,
}

impl Store {
    async fn start() -> Self {
        Self::with_faults(Arc::new(|_, _| Fault::Pass)).await
    }

    async fn with_faults(faults: Faults) -> Self {
        let db = dynoxide::Database::memory().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let behind = listener.local_addr().unwrap();
        tokio::spawn(dynoxide::server::serve_with_shutdown(listener, db, std::future::pending()));
        let proxy = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", proxy.local_addr().unwrap());
        tokio::spawn(async move {
            loop {
                let (client, _) = proxy.accept().await.unwrap();
                let faults = faults.clone();
                tokio::spawn(async move {
                    let server = TcpStream::connect(behind).await.unwrap();
                    let _ = relay(BufReader::new(client), BufReader::new(server), faults).await;
                });
            }
        });
        Self { endpoint, clock: Arc::new(ManualClock::at(NOW_MS)) }
    }

    fn connector(&self) -> DynamoDbConnector {
        DynamoDbConnector::new(
            "dynamodb",
            ConnectorDefaults {
                kafka_bootstrap_servers: None,
                kafka_properties: BTreeMap::new(),
                kafka_is_embedded: true,
                dynamodb_endpoint: Some(self.endpoint.clone()),
                aws_region: Some("us-east-1".into()),
                aws_credentials: Some(("local".into(), "local".into())),
                dynamodb_is_embedded: true,
                places: Arc::new(crate::places::Places::anywhere()),
                clock: self.clock.clone(),
            },
        )
    }

    async fn create(&self, table: &TableDeclaration) -> Result<Vec<Advice>> {
        let mut options = OptionReader::new(&table.options, &|_| Err(Error::internal("no secrets")))?;
        self.connector().create(&mut options, table).await
    }

    fn open(&self, table: &TableDeclaration) -> Table {
        let mut options = OptionReader::new(&table.options, &|_| Err(Error::internal("no secrets"))).unwrap();
        let opened = self.connector().open(&mut options, table).unwrap();
        options.finish().unwrap();
        opened
    }
}

async fn message(stream: &mut BufReader<TcpStream>) -> std::io::Result<Option<(String, String)>> {
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(None);
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap();
        }
        head.push_str(&line);
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(Some((head, String::from_utf8(body).unwrap())))
}

async fn relay(
    mut client: BufReader<TcpStream>,
    mut server: BufReader<TcpStream>,
    faults: Faults,
) -> std::io::Result<()> {
    while let Some((head, body)) = message(&mut client).await? {
        let operation = head
            .lines()
            .find_map(|line| {
                line.to_ascii_lowercase().starts_with("x-amz-target").then(|| line.rsplit('.').next().unwrap())
            })
            .unwrap_or_default();
        let (head, body) = match faults(operation, &body) {
            Fault::Pass => {
                server.write_all(head.as_bytes()).await?;
                server.write_all(body.as_bytes()).await?;
                message(&mut server).await?.unwrap()
            }
            Fault::Lose => {
                server.write_all(head.as_bytes()).await?;
                server.write_all(body.as_bytes()).await?;
                message(&mut server).await?.unwrap();
                let body = r#"{"__type":"InternalServerError","message":"lost"}"#.to_owned();
                (format!("HTTP/1.1 500 X\r\ncontent-length: {}\r\n\r\n", body.len()), body)
            }
            Fault::Answer(status, body) => (
                format!(
                    "HTTP/1.1 {status} X\r\ncontent-type: application/x-amz-json-1.0\r\ncontent-length: {}\r\n\r\n",
                    body.len()
                ),
                body,
            ),
            Fault::Hang => std::future::pending().await,
        };
        client.write_all(head.as_bytes()).await?;
        client.write_all(body.as_bytes()).await?;
    }
    Ok(())
}

fn throttled() -> Fault {
    Fault::Answer(
        400,
        r#"{"__type":"com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException","message":"slow"}"#
            .into(),
    )
}

fn declare(columns: &[(&str, &str)], key: &[&str], options: &[(&str, &str)]) -> TableDeclaration {
    let mut all = BTreeMap::from([
        ("connector".to_owned(), OptionValue::Plain("dynamodb".into())),
        ("table-name".to_owned(), OptionValue::Plain("orders".into())),
    ]);
    all.extend(options.iter().map(|(name, value)| ((*name).to_owned(), OptionValue::Plain((*value).to_owned()))));
    TableDeclaration {
        local: None,
        name: "db.public.orders".into(),
        columns: columns
            .iter()
            .map(|(name, sql_type)| ColumnDeclaration {
                name: (*name).into(),
                sql_type: (*sql_type).into(),
                nullable: true,
                kind: ColumnKind::Physical,
            })
            .collect(),
        primary_key: key.iter().map(|name| (*name).to_owned()).collect(),
        partitioned_by: Vec::new(),
        options: all,
    }
}

fn orders(options: &[(&str, &str)]) -> TableDeclaration {
    let mut all = vec![("table.create", "if-not-exists")];
    all.extend(options);
    declare(
        &[("user_id", "INT"), ("order_id", "INT"), ("amount", "DOUBLE"), ("status", "STRING")],
        &["user_id", "order_id"],
        &all,
    )
}

fn rows(table: &TableDeclaration, rows: &[(Option<i32>, i32, f64, &str)]) -> RecordBatch {
    RecordBatch::try_new(
        table.schema().unwrap(),
        vec![
            Arc::new(rows.iter().map(|row| row.0).collect::<Int32Array>()),
            Arc::new(rows.iter().map(|row| Some(row.1)).collect::<Int32Array>()),
            Arc::new(rows.iter().map(|row| Some(row.2)).collect::<Float64Array>()),
            Arc::new(rows.iter().map(|row| Some(row.3)).collect::<StringArray>()),
        ],
    )
    .unwrap()
}

fn context() -> (SinkContext, Arc<ConnectorMetrics>) {
    let metrics = Arc::new(ConnectorMetrics::default());
    (SinkContext::new("test", metrics.clone(), chrono_tz::UTC), metrics)
}

async fn writer(table: &Table) -> (Box<dyn SinkWriter>, Arc<ConnectorMetrics>) {
    let (context, metrics) = context();
    (table.sink.as_ref().unwrap().open(context).await.unwrap(), metrics)
}

async fn insert(table: &Table, batch: RecordBatch) {
    let (mut writer, _) = writer(table).await;
    writer.write(ChangeBatch::inserts(batch)).await.unwrap();
    writer.flush().await.unwrap();
}

async fn read(
    table: &Table,
    projection: &[usize],
    filters: Vec<Expr>,
    limit: Option<usize>,
) -> Result<(String, Vec<RecordBatch>)> {
    let scan = table.scan.as_ref().unwrap();
    assert!(
        scan.pushdown(&filters.iter().collect::<Vec<_>>())
            .iter()
            .all(|answer| *answer == TableProviderFilterPushDown::Exact)
    );
    let plan = scan.plan(ScanRequest { projection: projection.to_vec(), filters, limit }).await?;
    let mut batches = Vec::new();
    for partition in plan.partitions {
        let mut stream = partition.open(1000, &Arc::default())?;
        while let Some(batch) = stream.next().await {
            batches.push(batch?);
        }
    }
    Ok((plan.description, batches))
}

/// The description and the sorted rows as text.
async fn check(table: &Table, filters: Vec<Expr>, description: &str, expected: &[&str]) {
    let (found, batches) = read(table, &[1, 3], filters, None).await.unwrap();
    assert_eq!(found, description);
    let text = pretty_format_batches(&batches).unwrap().to_string();
    let mut lines: Vec<String> = text
        .lines()
        .filter(|line| line.starts_with('|') && !line.contains("order_id"))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>().join(" "))
        .collect();
    lines.sort();
    assert_eq!(lines, expected);
}

fn count(batches: &[RecordBatch]) -> usize {
    batches.iter().map(RecordBatch::num_rows).sum()
}

async fn lookup(
    table: &Table,
    declaration: &TableDeclaration,
    key_columns: &[usize],
    keys: &[Vec<i32>],
    projection: &[usize],
) -> (crate::connectors::lookup::LookupResponse, ConnectorMetrics) {
    let schema = Arc::new(declaration.schema().unwrap().project(key_columns).unwrap());
    let columns = keys.iter().map(|column| Arc::new(Int32Array::from(column.clone())) as ArrayRef).collect();
    let metrics = ConnectorMetrics::default();
    let request = LookupRequest {
        key_columns: key_columns.to_vec(),
        keys: RecordBatch::try_new(schema, columns).unwrap(),
        projection: projection.to_vec(),
        consistent: true,
    };
    let response = table.lookup.as_ref().unwrap().lookup(request, &metrics).await.unwrap();
    (response, metrics)
}

#[tokio::test]
async fn a_declaration_is_held_against_the_key() {
    let store = Store::start().await;
    let absent = declare(&[("user_id", "INT")], &["user_id"], &[]);
    let advice = store.create(&absent).await.unwrap();
    assert!(matches!(&advice[1], Advice::Warning(text) if text.contains("does not exist")), "{advice:?}");
    let error = store.open(&absent).sink.unwrap().kind().await.unwrap_err();
    assert_eq!(error.kind(), crate::error::ErrorKind::NotFound);

    store.create(&orders(&[])).await.unwrap();
    let error = store.create(&absent).await.unwrap_err();
    assert!(error.message().contains("differs from the key (user_id, order_id)"), "{error}");
    let other_type = declare(&[("user_id", "STRING"), ("order_id", "INT")], &[], &[]);
    assert!(store.create(&other_type).await.unwrap_err().message().contains("of type N"));

    // PARTITIONED BY narrower than the key: the real key is used, no row is lost.
    let mut narrow = orders(&[]);
    narrow.options.remove("table.create");
    narrow.primary_key.clear();
    narrow.partitioned_by = vec!["user_id".into()];
    assert_eq!(store.create(&narrow).await.unwrap().len(), 1);
    let table = store.open(&narrow);
    let data: Vec<_> = (0..40).map(|i| (Some(1), i, 0.0, "s")).collect();
    insert(&table, rows(&narrow, &data)).await;
    assert_eq!(count(&read(&table, &[1], vec![], None).await.unwrap().1), 40);
}

#[tokio::test]
async fn an_unreachable_backend_is_a_warning_at_create() {
    let store = Store { endpoint: "http://127.0.0.1:1".into(), clock: Arc::new(ManualClock::at(NOW_MS)) };
    let advice = store.create(&declare(&[("user_id", "INT")], &["user_id"], &[])).await.unwrap();
    assert!(matches!(&advice[1], Advice::Warning(text) if text.contains("could not be checked")), "{advice:?}");
}
