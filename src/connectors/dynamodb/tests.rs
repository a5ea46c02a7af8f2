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
mod refused;

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

#[tokio::test]
async fn keys_are_queried_and_the_rest_is_scanned() {
    let store = Store::start().await;
    let declaration = orders(&[]);
    let advice = store.create(&declaration).await.unwrap();
    assert!(matches!(&advice[..], [Advice::Notice(text)] if text.contains("embedded")), "{advice:?}");
    let table = store.open(&declaration);
    let data: Vec<_> =
        (0..30).map(|i| (Some(i % 3), i, f64::from(i) / 10.0, if i % 2 == 0 { "paid" } else { "open" })).collect();
    insert(&table, rows(&declaration, &data)).await;

    check(
        &table,
        vec![col("user_id").eq(lit(1)), col("order_id").lt(lit(8))],
        "Query table=orders key user_id = 1 and order_id < 8, projection [order_id, status]",
        &["1 open", "4 paid", "7 open"],
    )
    .await;
    check(
        &table,
        vec![col("user_id").eq(lit(1)), col("order_id").between(lit(4), lit(10)), col("status").eq(lit("open"))],
        "Query table=orders key user_id = 1 and order_id >= 4 and order_id <= 10, filter status = Utf8(\"open\"), projection [order_id, status]",
        &["7 open"],
    )
    .await;
    check(
        &table,
        vec![col("user_id").eq(lit(1)).and(col("order_id").eq(lit(4)))],
        "GetItem table=orders key user_id = 1, order_id = 4, projection [order_id, status]",
        &["4 paid"],
    )
    .await;
    check(
        &table,
        vec![
            col("user_id").eq(lit(1)).or(col("user_id").eq(lit(2))),
            col("order_id").in_list(vec![lit(4), lit(5), lit(4)], false),
        ],
        "BatchGetItem table=orders 4 keys (user_id, order_id), projection [order_id, status]",
        &["4 paid", "5 open"],
    )
    .await;
    check(
        &table,
        vec![col("amount").gt(lit(2.75))],
        "Scan (4 segments) table=orders, then amount > Float64(2.75), projection [order_id, status]",
        &["28 paid", "29 open"],
    )
    .await;
    check(
        &table,
        vec![col("status").is_null().or(col("order_id").gt(lit(27)))],
        "Scan (4 segments) table=orders, filter status IS NULL OR order_id > Int32(27), projection [order_id, status]",
        &["28 paid", "29 open"],
    )
    .await;
    check(
        &table,
        vec![col("user_id").eq(Expr::Literal(ScalarValue::Int32(None), None))],
        "Query table=orders key user_id that no item has, projection [order_id, status]",
        &[],
    )
    .await;
    let (description, batches) = read(&table, &[0], vec![], Some(7)).await.unwrap();
    assert_eq!(description, "Scan (1 segments) table=orders, projection [user_id], limit 7");
    assert_eq!(count(&batches), 7);
    let (_, batches) = read(&table, &[], vec![col("user_id").eq(lit(1))], None).await.unwrap();
    assert_eq!(count(&batches), 10, "count(*)");
}

#[tokio::test]
async fn pages_beyond_a_megabyte_are_followed() {
    let store = Store::start().await;
    let declaration = orders(&[]);
    store.create(&declaration).await.unwrap();
    let table = store.open(&declaration);
    let long = "x".repeat(50_000);
    let data: Vec<_> = (0..60).map(|i| (Some(1), i, 0.0, long.as_str())).collect();
    insert(&table, rows(&declaration, &data)).await;
    for filters in [vec![], vec![col("user_id").eq(lit(1))]] {
        let (_, batches) = read(&table, &[1, 3], filters, None).await.unwrap();
        assert_eq!(count(&batches), 60);
    }
    let (_, batches) = read(&table, &[1, 3], vec![col("user_id").eq(lit(1))], Some(45)).await.unwrap();
    assert_eq!(count(&batches), 45);
    let (response, metrics) = lookup(&table, &declaration, &[0], &[vec![1]], &[1]).await;
    assert_eq!(response.rows.num_rows(), 60);
    assert!(metrics.requests.load(Ordering::Relaxed) >= 3, "1 MB a page");
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
async fn lookups_count_their_requests() {
    let store = Store::start().await;
    let declaration = orders(&[]);
    store.create(&declaration).await.unwrap();
    let table = store.open(&declaration);
    let data: Vec<_> = (0..250).map(|i| (Some(i % 50), i, 0.0, "s")).collect();
    insert(&table, rows(&declaration, &data)).await;
    assert_eq!(table.lookup.as_ref().unwrap().key().await.unwrap(), [0, 1]);

    // Full keys, named in another order than the key's; (a, b) is not (b, a).
    let orders: Vec<i32> = (0..251).collect();
    let users: Vec<i32> = orders.iter().map(|order| order % 50).collect();
    let (response, metrics) = lookup(&table, &declaration, &[1, 0], &[orders, users], &[1, 0]).await;
    assert_eq!(metrics.requests.load(Ordering::Relaxed), 3, "100 keys a request");
    assert_eq!(response.rows.num_rows(), 250);
    let found = response.rows.column(0).as_primitive::<datafusion::arrow::datatypes::Int32Type>();
    for row in 0..250 {
        assert_eq!(found.value(row) as u32, response.key_index.value(row));
    }
    let (response, _) = lookup(&table, &declaration, &[0, 1], &[vec![3, 1], vec![1, 3]], &[1]).await;
    assert_eq!(response.rows.num_rows(), 0);

    let (response, metrics) = lookup(&table, &declaration, &[0], &[vec![49, 1000, 0]], &[1]).await;
    assert_eq!(metrics.requests.load(Ordering::Relaxed), 3, "one a partition key");
    assert_eq!(response.key_index.values().to_vec(), [0, 0, 0, 0, 0, 2, 2, 2, 2, 2]);
}

#[tokio::test]
async fn changes_of_all_kinds_arrive_and_keyless_rows_are_skipped() {
    let store = Store::start().await;
    let declaration = orders(&[]);
    store.create(&declaration).await.unwrap();
    let table = store.open(&declaration);
    assert_eq!(table.sink.as_ref().unwrap().kind().await.unwrap(), SinkKind::Upsert { key: vec![0, 1] });
    let (mut writer, metrics) = writer(&table).await;
    let all = [
        (RowKind::Insert, (Some(1), 1, 1.0, "a")),
        (RowKind::Insert, (Some(1), 2, 1.0, "b")),
        (RowKind::Insert, (None, 3, 1.0, "no key")),
        (RowKind::UpdateBefore, (Some(1), 1, 1.0, "a")),
        (RowKind::UpdateAfter, (Some(1), 1, 1.0, "a2")),
        (RowKind::Delete, (Some(1), 2, 1.0, "b")),
        (RowKind::Insert, (Some(1), 4, 1.0, "moved")),
        (RowKind::UpdateBefore, (Some(1), 4, 1.0, "moved")),
        (RowKind::UpdateAfter, (Some(1), 5, 1.0, "here")),
    ];
    let batch = rows(&declaration, &all.map(|(_, row)| row));
    let kinds: Arc<[RowKind]> = all.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(writer.write(ChangeBatch::changes(batch, kinds)).await.unwrap(), 1);
    writer.flush().await.unwrap();
    assert_eq!(*writer.acknowledged().borrow(), 1);
    assert_eq!(metrics.skipped.load(Ordering::Relaxed), 1);
    assert_eq!(metrics.requests.load(Ordering::Relaxed), 1, "one batch, last change of each key");
    check(
        &table,
        vec![col("user_id").eq(lit(1))],
        "Query table=orders key user_id = 1, projection [order_id, status]",
        &["1 a2", "5 here"],
    )
    .await;
}

#[tokio::test]
async fn refused_and_unprocessed_writes_arrive_in_the_order_of_their_key() {
    let calls = Arc::new(AtomicUsize::new(0));
    let seen = calls.clone();
    let store = Store::with_faults(Arc::new(move |operation, body| {
        if operation != "BatchWriteItem" {
            return Fault::Pass;
        }
        match seen.fetch_add(1, Ordering::SeqCst) % 5 {
            0 => throttled(),
            1 => Fault::Answer(500, r#"{"__type":"InternalServerError","message":"oops"}"#.into()),
            // All of them unprocessed.
            2 => Fault::Answer(200, format!(r#"{{"UnprocessedItems":{}}}"#, request_items(body))),
            _ => Fault::Pass,
        }
    }))
    .await;
    let declaration = orders(&[("sink.requests.max-inflight", "8"), ("sink.requests.max-buffered", "100")]);
    store.create(&declaration).await.unwrap();
    let table = store.open(&declaration);
    let (mut writer, metrics) = writer(&table).await;
    let mut last = 0;
    for round in 0..8 {
        let status = format!("round {round:02}");
        let data: Vec<_> = (0..150).map(|i| (Some(i % 7), i, 0.0, status.as_str())).collect();
        last = writer.write(ChangeBatch::inserts(rows(&declaration, &data))).await.unwrap();
    }
    assert_eq!(last, 8);
    writer.flush().await.unwrap();
    assert_eq!(*writer.acknowledged().borrow(), 8);
    assert!(metrics.retries.load(Ordering::Relaxed) > 0);
    let (_, batches) = read(&table, &[1], vec![col("status").eq(lit("round 07"))], None).await.unwrap();
    assert_eq!(count(&batches), 150);
}

fn request_items(body: &str) -> String {
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    body["RequestItems"].to_string()
}

#[tokio::test]
async fn a_part_of_a_batch_left_out_is_sent_again_alone() {
    let first = Arc::new(AtomicUsize::new(0));
    let seen = first.clone();
    let bodies = Arc::new(parking_lot::Mutex::new(Vec::<usize>::new()));
    let noted = bodies.clone();
    let store = Store::with_faults(Arc::new(move |operation, body| {
        if operation == "BatchWriteItem" {
            let body: serde_json::Value = serde_json::from_str(body).unwrap();
            let items = body["RequestItems"]["orders"].as_array().unwrap().clone();
            noted.lock().push(items.len());
            if seen.fetch_add(1, Ordering::SeqCst) == 0 {
                // Says that three of ten were left out (the other seven are written by nobody: only the requests count here).
                let left = serde_json::json!({"UnprocessedItems": {"orders": &items[..3]}});
                return Fault::Answer(200, left.to_string());
            }
        }
        Fault::Pass
    }))
    .await;
    let declaration = orders(&[]);
    store.create(&declaration).await.unwrap();
    let table = store.open(&declaration);
    let data: Vec<_> = (0..10).map(|i| (Some(1), i, 0.0, "s")).collect();
    insert(&table, rows(&declaration, &data)).await;
    assert_eq!(*bodies.lock(), [10, 3]);
    let (_, batches) = read(&table, &[1], vec![], None).await.unwrap();
    assert_eq!(count(&batches), 3);
}

#[tokio::test]
async fn a_batch_whose_answer_names_another_key_is_sent_again_whole() {
    let calls = Arc::new(AtomicUsize::new(0));
    let seen = calls.clone();
    let store = Store::with_faults(Arc::new(move |operation, body| {
        if operation == "BatchWriteItem" && seen.fetch_add(1, Ordering::SeqCst) == 0 {
            let body: serde_json::Value = serde_json::from_str(body).unwrap();
            let mut left = body["RequestItems"]["orders"][0].clone();
            left["PutRequest"]["Item"]["order_id"]["N"] = "77".into();
            return Fault::Answer(200, serde_json::json!({"UnprocessedItems": {"orders": [left]}}).to_string());
        }
        Fault::Pass
    }))
    .await;
    let declaration = orders(&[]);
    store.create(&declaration).await.unwrap();
    let table = store.open(&declaration);
    let data: Vec<_> = (0..3).map(|i| (Some(1), i, 0.0, "s")).collect();
    insert(&table, rows(&declaration, &data)).await;
    assert_eq!(calls.load(Ordering::SeqCst), 2);
    let (_, batches) = read(&table, &[1], vec![], None).await.unwrap();
    assert_eq!(count(&batches), 3);
}

#[tokio::test]
async fn a_writer_that_waits_for_a_slow_store_sleeps() {
    let hanging = Arc::new(|operation: &str, _: &str| match operation {
        "BatchWriteItem" => Fault::Hang,
        _ => Fault::Pass,
    });
    let store = Store::with_faults(hanging).await;
    let table = orders(&[("sink.requests.max-buffered", "4")]);
    store.create(&table).await.unwrap();
    let opened = store.open(&table);
    let (mut writer, metrics) = writer(&opened).await;
    let many: Vec<_> = (0..8).map(|number| (Some(1), number, 1.0, "x")).collect();
    let batch = ChangeBatch::inserts(rows(&table, &many));
    let mut polls = 0;
    let write = writer.write(batch);
    tokio::pin!(write);
    let counted = std::future::poll_fn(|context| {
        polls += 1;
        write.as_mut().poll(context)
    });
    tokio::time::timeout(Duration::from_millis(300), counted).await.unwrap_err();
    assert!(metrics.requests.load(Ordering::Relaxed) > 0, "nothing was sent");
    assert!(polls < 20, "it was woken {polls} times for nothing");
}

#[tokio::test]
async fn requests_without_an_answer_are_given_up_and_repeated() {
    let calls = Arc::new(AtomicUsize::new(0));
    let seen = calls.clone();
    let store = Store::with_faults(Arc::new(move |operation, _| {
        match operation == "BatchWriteItem" && seen.fetch_add(1, Ordering::SeqCst) == 0 {
            true => Fault::Hang,
            false => Fault::Pass,
        }
    }))
    .await;
    let declaration = orders(&[("sink.http-client.read-timeout", "200 ms")]);
    store.create(&declaration).await.unwrap();
    let table = store.open(&declaration);
    insert(&table, rows(&declaration, &[(Some(1), 1, 0.0, "s")])).await;
    assert_eq!(calls.load(Ordering::SeqCst), 2);
    assert_eq!(count(&read(&table, &[1], vec![], None).await.unwrap().1), 1);

    // With sink.fail-on-error the same is an error.
    calls.store(0, Ordering::SeqCst);
    let strict = store.open(&orders(&[("sink.http-client.read-timeout", "200 ms"), ("sink.fail-on-error", "true")]));
    let (mut writer, _) = writer(&strict).await;
    writer.write(ChangeBatch::inserts(rows(&declaration, &[(Some(1), 1, 0.0, "s")]))).await.unwrap();
    assert!(writer.flush().await.unwrap_err().is_retryable());
    assert!(writer.acknowledged().changed().await.is_err(), "the sender is dropped");
}

#[tokio::test]
async fn throttled_reads_are_repeated() {
    let calls = Arc::new(AtomicUsize::new(0));
    let seen = calls.clone();
    let store = Store::with_faults(Arc::new(move |operation, _| {
        match matches!(operation, "BatchGetItem" | "Query" | "Scan")
            && seen.fetch_add(1, Ordering::SeqCst).is_multiple_of(2)
        {
            true => throttled(),
            false => Fault::Pass,
        }
    }))
    .await;
    let declaration = orders(&[]);
    store.create(&declaration).await.unwrap();
    let table = store.open(&declaration);
    insert(&table, rows(&declaration, &[(Some(1), 1, 0.0, "s")])).await;
    let (response, metrics) = lookup(&table, &declaration, &[0, 1], &[vec![1], vec![1]], &[3]).await;
    assert_eq!(response.rows.num_rows(), 1);
    assert_eq!(metrics.retries.load(Ordering::Relaxed), 1);
    assert_eq!(count(&read(&table, &[1], vec![], None).await.unwrap().1), 1);
}

#[tokio::test]
async fn expired_items_are_never_read() {
    let store = Store::start().await;
    let declaration = declare(
        &[("user_id", "INT"), ("order_id", "INT"), ("expires_at", "TIMESTAMP(3)")],
        &["user_id", "order_id"],
        &[("table.create", "if-not-exists"), ("sink.ttl.attribute", "expires_at")],
    );
    store.create(&declaration).await.unwrap();
    let table = store.open(&declaration);
    let batch = RecordBatch::try_new(
        declaration.schema().unwrap(),
        vec![
            Arc::new(Int32Array::from(vec![1, 1, 1])),
            Arc::new(Int32Array::from(vec![1, 2, 3])),
            Arc::new(TimestampMillisecondArray::from(vec![Some(NOW_MS), Some(NOW_MS + 1000), None])),
        ],
    )
    .unwrap();
    insert(&table, batch).await;
    // Another declaration, which neither names nor reads the attribute.
    let plain = store.open(&declare(&[("user_id", "INT"), ("order_id", "INT")], &[], &[]));
    for filters in [
        vec![],
        vec![col("user_id").eq(lit(1))],
        vec![col("user_id").eq(lit(1)), col("order_id").in_list(vec![lit(1), lit(2), lit(3)], false)],
    ] {
        assert_eq!(count(&read(&plain, &[1], filters, None).await.unwrap().1), 2);
    }
    let (_, none) =
        read(&plain, &[1], vec![col("user_id").eq(lit(1)), col("order_id").eq(lit(1))], None).await.unwrap();
    assert_eq!(count(&none), 0);
    let declaration = declare(&[("user_id", "INT"), ("order_id", "INT")], &[], &[]);
    assert_eq!(lookup(&plain, &declaration, &[0], &[vec![1]], &[1]).await.0.rows.num_rows(), 2);
    assert_eq!(lookup(&plain, &declaration, &[0, 1], &[vec![1], vec![1]], &[1]).await.0.rows.num_rows(), 0);
    // The column itself reads back as it was written.
    let (_, batches) = read(&table, &[2], vec![col("order_id").eq(lit(2))], None).await.unwrap();
    let column = batches[0].column(0).as_primitive::<datafusion::arrow::datatypes::TimestampMillisecondType>();
    assert_eq!(column.value(0), NOW_MS + 1000);
}

#[tokio::test]
async fn a_computed_expiry_is_added() {
    let store = Store::start().await;
    let declaration = orders(&[("sink.ttl.attribute", "ttl"), ("sink.ttl", "30 d")]);
    store.create(&declaration).await.unwrap();
    let table = store.open(&declaration);
    insert(&table, rows(&declaration, &[(Some(1), 1, 0.0, "s")])).await;
    let with_ttl = store.open(&declare(&[("ttl", "BIGINT")], &[], &[]));
    let (_, batches) = read(&with_ttl, &[0], vec![], None).await.unwrap();
    let column = batches[0].column(0).as_primitive::<datafusion::arrow::datatypes::Int64Type>();
    assert_eq!(column.value(0), NOW_MS / 1000 + 30 * 86_400);
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

#[tokio::test]
async fn a_value_of_another_type_names_table_attribute_and_key() {
    let store = Store::start().await;
    let declaration = orders(&[]);
    store.create(&declaration).await.unwrap();
    insert(&store.open(&declaration), rows(&declaration, &[(Some(1), 2, 0.0, "abc")])).await;
    let wrong = store.open(&declare(&[("user_id", "INT"), ("status", "INT")], &[], &[]));
    let error = read(&wrong, &[1], vec![], None).await.unwrap_err();
    assert_eq!(
        error.message(),
        "table \"db.public.orders\": attribute \"status\" of the item with user_id = 1, order_id = 2: the value is S 'abc', which is no INT"
    );
}

#[tokio::test]
async fn rows_that_dynamodb_cannot_hold_fail_the_writer() {
    let store = Store::start().await;
    let declaration = orders(&[]);
    store.create(&declaration).await.unwrap();
    let table = store.open(&declaration);
    for row in [(Some(1), 1, f64::NAN, "s"), (Some(1), 1, 0.0, &*"x".repeat(410_000))] {
        let (mut writer, _) = writer(&table).await;
        let error = writer.write(ChangeBatch::inserts(rows(&declaration, &[row]))).await.unwrap_err();
        assert_eq!(error.kind(), crate::error::ErrorKind::Row);
        assert!(writer.flush().await.is_err());
    }
}

#[tokio::test]
async fn sql_reaches_the_key_through_the_planner() {
    use crate::connectors::table_provider::ConnectorTable;
    use datafusion::prelude::SessionContext;
    let store = Store::start().await;
    let declaration = orders(&[]);
    store.create(&declaration).await.unwrap();
    let opened = store.open(&declaration);
    let context = SessionContext::new();
    let provider = ConnectorTable::new(Arc::new(declaration), opened).unwrap();
    context.register_table("orders", Arc::new(provider)).unwrap();
    let run = async |sql: &str| {
        let batches = context.sql(sql).await.unwrap().collect().await.unwrap();
        pretty_format_batches(&batches).unwrap().to_string()
    };
    let inserted = run("INSERT INTO orders SELECT v % 5, v, v * 0.5, 'paid' FROM generate_series(1, 50) AS t(v)").await;
    assert!(inserted.contains("50"), "{inserted}");
    for (clause, description, rows) in [
        ("user_id = 3", "Query table=orders key user_id = 3, projection [order_id]", 10),
        (
            "o.user_id IN (3, 4) AND o.order_id >= 40",
            "Query table=orders key user_id in (3, 4) and order_id >= 40, projection [order_id]",
            4,
        ),
        (
            "user_id = 3 AND order_id = 8 AND status = 'paid'",
            "GetItem table=orders key user_id = 3, order_id = 8, then",
            1,
        ),
        (
            "user_id = 3 AND amount > 10 LIMIT 2",
            "Query table=orders key user_id = 3, then amount > Float64(10), projection [order_id], limit 2",
            2,
        ),
        (
            "status = 'paid' AND upper(status) = 'PAID' LIMIT 5",
            "Scan (4 segments) table=orders, filter status = Utf8(\"paid\")",
            5,
        ),
        ("TRUE LIMIT 3", "Scan (1 segments) table=orders, projection [order_id], limit 3", 3),
    ] {
        let plan = run(&format!("EXPLAIN FORMAT INDENT SELECT order_id FROM orders o WHERE {clause}")).await;
        assert!(plan.contains(description), "{clause}: {plan}");
        let found = run(&format!("SELECT order_id FROM orders o WHERE {clause}")).await;
        assert_eq!(found.lines().count() - 4, rows, "{clause}: {found}");
    }
    let total = run("SELECT count(*), sum(amount) FROM orders").await;
    assert!(total.contains("| 50") && total.contains("637.5"), "{total}");
}
