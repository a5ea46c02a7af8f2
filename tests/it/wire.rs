//! The wire protocol over real sockets: simple and extended, cancel, errors in pipelines, malformed frames, limits.

#![allow(clippy::unwrap_used)] // clippy allows it in functions marked as tests only

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{StreamExt, TryStreamExt};
use streamgate::catalog::Catalog;
use streamgate::clock::{Clock, SystemClock};
use streamgate::connectors::{ConnectorDefaults, Registry};
use streamgate::jobs::Jobs;
use streamgate::pg_catalog::system_schemas;
use streamgate::sql::SqlServer;
use streamgate::wire::{WireOptions, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_postgres::{NoTls, SimpleQueryMessage};
use tokio_util::sync::CancellationToken;

/// More rows than any test waits for.
const ENDLESS: &str = "select value from generate_series(1, 1000000000000)";

/// The parts behind the protocol, over an empty catalog.
fn sql_server(directory: &std::path::Path) -> Arc<SqlServer> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let defaults = ConnectorDefaults {
        kafka_bootstrap_servers: Some("127.0.0.1:1".to_owned()),
        kafka_properties: BTreeMap::new(),
        kafka_is_embedded: true,
        dynamodb_endpoint: Some("http://127.0.0.1:1".to_owned()),
        aws_region: Some("us-east-1".to_owned()),
        aws_credentials: Some(("a".to_owned(), "b".to_owned())),
        dynamodb_is_embedded: true,
        places: Arc::new(streamgate::places::Places::anywhere()),
        clock: clock.clone(),
    };
    let catalog = Catalog::open(directory).unwrap();
    let (pg_catalog, information_schema) = system_schemas(catalog.clone(), Vec::new());
    let schemas: Vec<Arc<dyn streamgate::sql::SystemSchema>> = vec![Arc::new(pg_catalog), Arc::new(information_schema)];
    let connectors = Registry::new(&defaults);
    let folder = std::env::temp_dir().join("streamgate-wire-tests-run-no-jobs");
    let jobs = Jobs::new(tokio::runtime::Handle::current(), catalog.clone(), connectors.clone(), clock.clone(), folder);
    Arc::new(SqlServer::new(catalog, jobs, connectors, schemas, clock, BTreeMap::new()).unwrap())
}

pub struct Server {
    _directory: tempfile::TempDir,
    pub address: SocketAddr,
    shutdown: CancellationToken,
    task: tokio::task::JoinHandle<streamgate::error::Result<()>>,
}

pub async fn server_with(options: WireOptions) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    let directory = tempfile::tempdir().unwrap();
    let sql = sql_server(directory.path());
    let task = tokio::spawn(serve(listener, sql, options, shutdown.clone()));
    Server { _directory: directory, address, shutdown, task }
}

pub async fn server() -> Server {
    server_with(WireOptions::default()).await
}

impl Server {
    pub async fn try_connect(&self) -> Result<tokio_postgres::Client, tokio_postgres::Error> {
        let config = format!("host=127.0.0.1 port={} user=me dbname=streamgate", self.address.port());
        let (client, connection) = tokio_postgres::connect(&config, NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    pub async fn connect(&self) -> tokio_postgres::Client {
        self.try_connect().await.unwrap()
    }

    pub async fn raw(&self) -> Raw {
        let mut raw = Raw { stream: TcpStream::connect(self.address).await.unwrap() };
        let mut startup = b"\0\0\0\0\0\x03\0\0user\0me\0database\0streamgate\0\0".to_vec();
        startup[3] = u8::try_from(startup.len()).unwrap();
        raw.send(&startup).await;
        raw.until_ready().await;
        raw
    }
}

/// A client that says exactly what a test wants.
pub struct Raw {
    pub stream: TcpStream,
}

pub fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag];
    bytes.extend_from_slice(&u32::try_from(body.len() + 4).unwrap().to_be_bytes());
    bytes.extend_from_slice(body);
    bytes
}

pub fn parse(sql: &str) -> Vec<u8> {
    message(b'P', format!("\0{sql}\0\0\0").as_bytes())
}

pub fn bind() -> Vec<u8> {
    message(b'B', b"\0\0\0\0\0\0\0\0")
}

pub fn execute(max_rows: u32) -> Vec<u8> {
    message(b'E', &[&[0][..], &max_rows.to_be_bytes()].concat())
}

impl Raw {
    pub async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// Tag and body of the next message; `None` at the end.
    pub async fn next(&mut self) -> Option<(char, Vec<u8>)> {
        let tag = self.stream.read_u8().await.ok()?;
        let length = self.stream.read_u32().await.ok()?;
        let mut body = vec![0; usize::try_from(length).unwrap() - 4];
        self.stream.read_exact(&mut body).await.ok()?;
        Some((char::from(tag), body))
    }

    /// What comes, in short, until ReadyForQuery or the end: data rows counted, errors with their SQLSTATE.
    pub async fn until_ready(&mut self) -> String {
        self.until('Z').await
    }

    pub async fn until(&mut self, last: char) -> String {
        let mut seen = Vec::new();
        let mut rows = 0;
        while let Some((tag, body)) = self.next().await {
            if tag == 'D' {
                rows += 1;
                continue;
            }
            if tag == 'S' {
                // Settings have a test of their own.
                continue;
            }
            if rows > 0 {
                seen.push(format!("D*{rows}"));
                rows = 0;
            }
            seen.push(match tag {
                'E' => {
                    let text = String::from_utf8_lossy(&body).into_owned();
                    let field =
                        |key: char| text.split('\0').find_map(|field| field.strip_prefix(key)).unwrap_or("").to_owned();
                    format!("E {} {}", field('S'), field('C'))
                }
                'C' => format!("C {}", String::from_utf8_lossy(&body).trim_end_matches('\0')),
                other => other.to_string(),
            });
            if tag == last {
                return seen.join(", ");
            }
        }
        seen.push("end".to_owned());
        seen.join(", ")
    }
}

pub fn code(error: &tokio_postgres::Error) -> String {
    error.code().map_or_else(|| error.to_string(), |code| code.code().to_owned())
}

#[tokio::test]
async fn simple_queries_answer_statement_by_statement() {
    let server = server().await;
    let mut raw = server.raw().await;
    raw.send(&message(b'Q', b"select 1; select 2 where false; select nowhere; select 3\0")).await;
    assert_eq!(raw.until_ready().await, "T, D*1, C SELECT 1, T, C SELECT 0, E ERROR 42703, Z");
    raw.send(&message(b'Q', b" ; \0")).await;
    assert_eq!(raw.until_ready().await, "I, Z");
}

#[tokio::test]
async fn startup_tells_every_parameter() {
    let server = server().await;
    let mut raw = Raw { stream: TcpStream::connect(server.address).await.unwrap() };
    raw.send(b"\0\0\0\x08\x04\xd2\x16\x2f").await;
    assert_eq!(raw.stream.read_u8().await.unwrap(), b'N');
    raw.send(b"\0\0\0\x25\0\x03\x27\x0fuser\0me\0database\0streamgate\0\0").await;
    raw.stream.set_nodelay(true).unwrap();
    let mut parameters = Vec::new();
    let mut tags = String::new();
    while let Some((tag, body)) = raw.next().await {
        tags.push(tag);
        if tag == 'S' {
            parameters.push(String::from_utf8_lossy(&body).split('\0').next().unwrap().to_owned());
        }
        if tag == 'K' {
            // Protocol 3.2: a long secret.
            assert_eq!(body.len(), 4 + 32);
        }
        if tag == 'Z' {
            break;
        }
    }
    assert!(tags.starts_with("vRS") && tags.contains('K') && tags.ends_with('Z'), "{tags}");
    for name in [
        "server_version",
        "client_encoding",
        "TimeZone",
        "DateStyle",
        "integer_datetimes",
        "standard_conforming_strings",
    ] {
        assert!(parameters.iter().any(|parameter| parameter == name), "{name} is missing");
    }
}

#[tokio::test]
async fn extended_results_are_binary() {
    let client = server().await.connect().await;
    let row = client
        .query_one(
            "select true, 1::smallint, 2::int, 3::bigint, 0.5::real, 1.5::double precision, 'x', date '2024-02-29',
             timestamp '2024-02-29 01:02:03.5', [1::bigint, 2::bigint], null",
            &[],
        )
        .await
        .unwrap();
    assert!(row.get::<_, bool>(0));
    assert_eq!(row.get::<_, i16>(1), 1);
    assert_eq!(row.get::<_, i32>(2), 2);
    assert_eq!(row.get::<_, i64>(3), 3);
    assert!((row.get::<_, f32>(4) - 0.5).abs() < f32::EPSILON);
    assert!((row.get::<_, f64>(5) - 1.5).abs() < f64::EPSILON);
    assert_eq!(row.get::<_, String>(6), "x");
    assert_eq!(row.get::<_, chrono::NaiveDate>(7).to_string(), "2024-02-29");
    assert_eq!(row.get::<_, chrono::NaiveDateTime>(8).to_string(), "2024-02-29 01:02:03.500");
    assert_eq!(row.get::<_, Vec<i64>>(9), [1, 2]);
    assert_eq!(row.get::<_, Option<String>>(10), None);
}

#[tokio::test]
async fn a_portal_is_suspended_and_goes_on() {
    let server = server().await;
    let mut raw = server.raw().await;
    let flush = message(b'H', b"");
    let mut batch = [parse(ENDLESS), bind(), execute(3), flush.clone()].concat();
    raw.send(&batch).await;
    assert_eq!(raw.until('s').await, "1, 2, D*3, s");
    batch = [execute(10_000), flush].concat();
    raw.send(&batch).await;
    assert_eq!(raw.until('s').await, "D*10000, s");
    raw.send(&message(b'S', b"")).await;
    assert_eq!(raw.until_ready().await, "Z");
    // Outside of a block the portal ended with its message.
    raw.send(&[execute(0), message(b'S', b"")].concat()).await;
    assert_eq!(raw.until_ready().await, "E ERROR 34000, Z");
}

#[tokio::test]
async fn after_an_error_everything_is_skipped_until_sync() {
    let server = server().await;
    let mut raw = server.raw().await;
    let sync = message(b'S', b"");
    let bytes = [
        parse("select nowhere"),
        bind(),
        execute(0),
        parse("select 1"),
        sync.clone(),
        parse("select 1"),
        bind(),
        execute(0),
        sync,
    ];
    raw.send(&bytes.concat()).await;
    assert_eq!(raw.until_ready().await, "E ERROR 42703, Z");
    assert_eq!(raw.until_ready().await, "1, 2, D*1, C SELECT 1, Z");
    raw.send(&[parse("select 1; select 2"), message(b'S', b"")].concat()).await;
    assert_eq!(raw.until_ready().await, "E ERROR 42601, Z");
    raw.send(&[message(b'B', b"\0none\0\0\0\0\0\0\0"), message(b'S', b"")].concat()).await;
    assert_eq!(raw.until_ready().await, "E ERROR 26000, Z");
}

#[tokio::test]
async fn malformed_messages_do_not_end_the_session_and_malformed_frames_do() {
    let server = server().await;
    let mut raw = server.raw().await;
    raw.send(&[message(b'P', b"\0\0"), message(b'S', b"")].concat()).await;
    assert_eq!(raw.until_ready().await, "E ERROR 08P01, Z");
    raw.send(&message(b'Q', b"select '\xff'\0")).await;
    assert_eq!(raw.until_ready().await, "E ERROR 22021, Z");
    raw.send(&message(b'F', b"\0\0\0\x01\0\0\0\0\0\0")).await;
    assert_eq!(raw.until_ready().await, "E ERROR 0A000, Z");
    raw.send(&message(b'Q', b"select 1\0")).await;
    assert_eq!(raw.until_ready().await, "T, D*1, C SELECT 1, Z");
    raw.send(b"Q\x7f\xff\xff\xff").await;
    assert_eq!(raw.until_ready().await, "E FATAL 08P01, end");
    let mut raw = server.raw().await;
    raw.send(b"z\0\0\0\x04").await;
    assert_eq!(raw.until_ready().await, "E FATAL 08P01, end");
}

#[tokio::test]
async fn a_cancel_request_ends_a_streaming_query() {
    let server = server().await;
    let client = server.connect().await;
    let cancel = client.cancel_token();
    let rows = client.query_raw(ENDLESS, Vec::<i32>::new()).await.unwrap();
    let mut rows = std::pin::pin!(rows);
    assert!(rows.next().await.unwrap().is_ok());
    cancel.cancel_query(NoTls).await.unwrap();
    let error = loop {
        match rows.next().await {
            Some(Ok(_)) => {}
            Some(Err(error)) => break error,
            None => panic!("the query ended"),
        }
    };
    assert_eq!(code(&error), "57014");
    assert_eq!(client.query_one("select 1::bigint", &[]).await.unwrap().get::<_, i64>(0), 1);
}

#[tokio::test]
async fn a_cancel_request_ends_a_query_without_rows() {
    let server = server().await;
    let client = server.connect().await;
    let cancel = client.cancel_token();
    let query = tokio::spawn(async move {
        client.simple_query("select count(*) from generate_series(1, 1000000000000)").await.map(drop)
    });
    // The request may come before the statement; then it finds nothing to cancel.
    let started = Instant::now();
    while !query.is_finished() {
        assert!(started.elapsed() < Duration::from_secs(30), "the cancel has no effect");
        cancel.cancel_query(NoTls).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(code(&query.await.unwrap().unwrap_err()), "57014");
}

#[tokio::test]
async fn ten_million_rows_are_streamed() {
    let server = server().await;
    let client = server.connect().await;
    let before = resident_bytes();
    let stream = client.simple_query_raw("select value from generate_series(1, 10000000)").await.unwrap();
    let mut stream = std::pin::pin!(stream);
    let (mut count, mut largest) = (0_u64, 0);
    while let Some(message) = stream.try_next().await.unwrap() {
        match message {
            SimpleQueryMessage::Row(_) => count += 1,
            SimpleQueryMessage::CommandComplete(rows) => assert_eq!(rows, 10_000_000),
            _ => {}
        }
        if count % 100_000 == 0 {
            largest = largest.max(resident_bytes());
        }
    }
    assert_eq!(count, 10_000_000);
    assert!(largest < before + (300 << 20), "{before} bytes grew to {largest}");
}

pub fn resident_bytes() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    pages.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
}

#[tokio::test]
async fn a_vanished_client_ends_its_query_and_frees_its_place() {
    let server = server_with(WireOptions { max_connections: 1, ..WireOptions::default() }).await;
    let mut raw = server.raw().await;
    raw.send(&message(b'Q', b"select count(*) from generate_series(1, 1000000000000)\0")).await;
    let refused = server.try_connect().await.expect_err("there is no place");
    assert_eq!(code(&refused), "53300");
    drop(raw);
    let started = Instant::now();
    while server.try_connect().await.is_err() {
        assert!(started.elapsed() < Duration::from_secs(30), "the place stays taken");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_stop_ends_idle_sessions_at_once_and_running_ones_after_the_grace() {
    let server =
        server_with(WireOptions { shutdown_grace: Duration::from_millis(100), ..WireOptions::default() }).await;
    let (mut idle, mut busy) = (server.raw().await, server.raw().await);
    busy.send(&message(b'Q', format!("{ENDLESS}\0").as_bytes())).await;
    assert_eq!(busy.next().await.unwrap().0, 'T');
    server.shutdown.cancel();
    assert_eq!(idle.until_ready().await, "E FATAL 57P01, end");
    assert!(busy.until_ready().await.ends_with("E FATAL 57P01, end"));
    server.task.await.unwrap().unwrap();
}

#[tokio::test]
async fn parameters_are_described_and_bound() {
    let server = server().await;
    let client = server.connect().await;
    let statement = client.prepare("select $1::bigint + 1, $2::text, $3::oid, $4::timestamp, $5::bytea").await.unwrap();
    let types: Vec<&str> = statement.params().iter().map(tokio_postgres::types::Type::name).collect();
    assert_eq!(types, ["int8", "text", "oid", "timestamp", "bytea"]);
    let moment = chrono::NaiveDate::from_ymd_opt(2024, 2, 29).unwrap().and_hms_opt(1, 2, 3).unwrap();
    let row = client.query_one(&statement, &[&41_i64, &"x", &7_u32, &moment, &b"ab".to_vec()]).await.unwrap();
    assert_eq!(row.get::<_, i64>(0), 42);
    assert_eq!(row.get::<_, String>(1), "x");
    assert_eq!(row.get::<_, u32>(2), 7);
    assert_eq!(row.get::<_, chrono::NaiveDateTime>(3), moment);
    assert_eq!(row.get::<_, Vec<u8>>(4), b"ab");
    let error = client.query("select 1::bigint / $1::bigint", &[&0_i64]).await.unwrap_err();
    assert_eq!(code(&error), "22012");
}

#[tokio::test]
async fn whole_numbers_that_are_written_are_int4() {
    let server = server().await;
    let client = server.connect().await;
    let statement = client.prepare("select 1, $1::int + 1, -1 as x, 3000000000, array[1], $2 * 2").await.unwrap();
    let types: Vec<&str> = statement.columns().iter().map(|column| column.type_().name()).collect();
    assert_eq!(types, ["int4", "int4", "int4", "int8", "_int4", "int4"]);
    let row = client.query_one(&statement, &[&41, &4]).await.unwrap();
    assert_eq!((row.get::<_, i32>(0), row.get::<_, i32>(1), row.get::<_, i32>(2)), (1, 42, -1));
    assert_eq!((row.get::<_, i64>(3), row.get::<_, Vec<i32>>(4), row.get::<_, i32>(5)), (3_000_000_000, vec![1], 8));
}

#[tokio::test]
async fn array_parameters_have_the_type_of_what_they_are_compared_with() {
    let server = server().await;
    let client = server.connect().await;
    let values = "(values (1::int, 1::bigint, 1.50::decimal(10, 2), 'a'), (2::int, 2, 2.25, 'b')) t(i, b, d, s)";
    let query = format!(
        "select count(*) from {values} where i = any($1) and b = any($2) and d = any($3) and s = any($4) and i <> all($5)"
    );
    let statement = client.prepare(&query).await.unwrap();
    let types: Vec<&str> = statement.params().iter().map(tokio_postgres::types::Type::name).collect();
    assert_eq!(types, ["_int4", "_int8", "_numeric", "_text", "_int4"]);
    let query = format!("select s from {values} where i = any($1) and b = any($2) and i <> all($3)");
    let rows = client.query(&query, &[&vec![1, 2], &vec![2_i64, 3], &vec![1]]).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.get::<_, String>(0)).collect::<Vec<_>>(), ["b"]);
}

#[tokio::test]
async fn a_plan_that_no_longer_fits_tells_drivers_to_prepare_anew() {
    let server = server().await;
    let client = server.connect().await;
    for (one, other) in [("1::int AS a", "1::bigint AS a"), ("1::int AS a", "1::int AS a, 2::int AS b")] {
        let view = |columns: &str| format!("CREATE VIEW changed AS SELECT {columns}");
        client.batch_execute(&view(one)).await.unwrap();
        let statement = client.prepare("SELECT * FROM changed").await.unwrap();
        client.query(&statement, &[]).await.unwrap();
        client.batch_execute("DROP VIEW changed").await.unwrap();
        client.batch_execute(&view(other)).await.unwrap();
        let error = client.query(&statement, &[]).await.unwrap_err();
        let error = error.as_db_error().unwrap();
        assert_eq!((error.code().code(), error.routine()), ("0A000", Some("RevalidateCachedQuery")), "{other}");
        client.batch_execute("DROP VIEW changed").await.unwrap();
    }
}

#[tokio::test]
async fn portals_live_as_long_as_their_transaction() {
    let server = server().await;
    let mut client = server.connect().await;
    let transaction = client.transaction().await.unwrap();
    let portal = transaction.bind("select value from generate_series(1, 5)", &[]).await.unwrap();
    let mut seen = Vec::new();
    loop {
        let rows = transaction.query_portal(&portal, 2).await.unwrap();
        if rows.is_empty() {
            break;
        }
        seen.extend(rows.iter().map(|row| row.get::<_, i64>(0)));
    }
    assert_eq!(seen, [1, 2, 3, 4, 5]);
    let error = transaction.query("select nowhere", &[]).await.unwrap_err();
    assert_eq!(code(&error), "42703");
    let error = transaction.query("select 1", &[]).await.unwrap_err();
    assert_eq!(code(&error), "25P02");
    transaction.rollback().await.unwrap();
    client.query("select 1", &[]).await.unwrap();
}

#[tokio::test]
async fn a_statement_timeout_ends_streams_and_silent_queries() {
    let client = server().await.connect().await;
    client.batch_execute("SET statement_timeout = '200ms'").await.unwrap();
    for sql in [ENDLESS, "select count(*) from generate_series(1, 1000000000000)"] {
        let error = client.query(sql, &[]).await.unwrap_err();
        assert_eq!(code(&error), "57014");
        assert!(error.as_db_error().unwrap().message().contains("statement timeout"));
    }
    client.batch_execute("RESET statement_timeout").await.unwrap();
}

#[tokio::test]
async fn a_prepared_statement_reads_the_clock_each_time_also_through_a_view() {
    let server = server().await;
    let client = server.connect().await;
    client
        .batch_execute("create view moment as select now() as t; create view later as select t from moment")
        .await
        .unwrap();
    for query in ["select now()::text", "select t::text from moment", "select t::text from later"] {
        let statement = client.prepare(query).await.unwrap();
        let first: String = client.query_one(&statement, &[]).await.unwrap().get(0);
        tokio::time::sleep(Duration::from_millis(5)).await;
        let second: String = client.query_one(&statement, &[]).await.unwrap().get(0);
        assert!(second > first, "{query}: {first}, {second}");
    }
}

#[tokio::test]
async fn idle_sessions_end_after_their_time_outs() {
    let server = server().await;
    let query = |sql: &str| message(b'Q', format!("{sql}\0").as_bytes());
    let mut raw = server.raw().await;
    // Outside of a transaction the other setting counts.
    raw.send(&query("set idle_in_transaction_session_timeout = '50ms'")).await;
    assert_eq!(raw.until_ready().await, "C SET, Z");
    tokio::time::sleep(Duration::from_millis(300)).await;
    raw.send(&query("begin")).await;
    assert_eq!(raw.until_ready().await, "C BEGIN, Z");
    assert_eq!(raw.until_ready().await, "E FATAL 25P03, end");
    let mut raw = server.raw().await;
    raw.send(&query("set idle_session_timeout = '50ms'")).await;
    assert_eq!(raw.until_ready().await, "C SET, Z");
    assert_eq!(raw.until_ready().await, "E FATAL 57P05, end");
    // 0 is no limit, and a statement that runs is not idle.
    let mut raw = server.raw().await;
    raw.send(&query("set idle_session_timeout = 0; set idle_session_timeout = '2s'; select count(*) from generate_series(1, 3000000) g(x) where x % 7 = 1")).await;
    assert_eq!(raw.until_ready().await, "C SET, C SET, T, D*1, C SELECT 1, Z");
}

#[tokio::test]
async fn only_loopback_addresses_are_served() {
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let error = serve(listener, sql_server(directory.path()), WireOptions::default(), CancellationToken::new())
        .await
        .unwrap_err();
    assert_eq!(error.sqlstate().code(), "0A000");
}
