//! COPY … FROM STDIN over the wire: into tables that the server keeps and into Kafka, wrong rows, clients that give up, and psql's \copy.

use bytes::Bytes;
use futures::SinkExt;
use tempfile::TempDir;
use tokio_postgres::Client;

use crate::server::{BackendsOfProcess, ServerProcess};

async fn server(folder: &TempDir) -> ServerProcess {
    ServerProcess::start(&BackendsOfProcess::shared(), &folder.path().join("data")).await
}

/// Sends in pieces of that many bytes.
async fn copy(client: &Client, statement: &str, bytes: &[u8], piece: usize) -> Result<u64, tokio_postgres::Error> {
    let sink = client.copy_in::<_, Bytes>(statement).await?;
    let mut sink = std::pin::pin!(sink);
    for piece in bytes.chunks(piece) {
        sink.send(Bytes::copy_from_slice(piece)).await?;
    }
    sink.finish().await
}

async fn refusal(client: &Client, statement: &str, bytes: &[u8]) -> (String, String) {
    let error = copy(client, statement, bytes, 1000).await.unwrap_err();
    let error = error.as_db_error().unwrap_or_else(|| panic!("{statement}: {error}"));
    (error.code().code().to_owned(), error.message().to_owned())
}

#[tokio::test]
async fn rows_go_into_tables_that_the_server_keeps() {
    let folder = TempDir::new().unwrap();
    let server = server(&folder).await;
    server
        .execute("CREATE TABLE t (id INT PRIMARY KEY, name TEXT NOT NULL, at TIMESTAMP, amount NUMERIC(10, 2), tags INT[], doc JSONB, raw BYTEA)")
        .await;
    let client = server.connect().await;
    let text = b"1\tone\\ttab\t2024-02-29 10:00:00.5\t1.50\t{1,NULL}\t{\"b\":1,\"a\":2}\t\\\\x0aff\n2\tzwei\t\\N\t\\N\t\\N\t\\N\t\\N\n";
    assert_eq!(copy(&client, "COPY t FROM STDIN", text, 7).await.unwrap(), 2);
    let csv = b"name,id\n\"three, \"\"3\"\"\",3\n,4\n";
    let csv_options = "WITH (FORMAT csv, HEADER match, FORCE_NOT_NULL (name))";
    assert_eq!(copy(&client, &format!("COPY t (name, id) FROM STDIN {csv_options}"), csv, 1000).await.unwrap(), 2);
    assert_eq!(
        server.query("SELECT * FROM t ORDER BY id").await,
        [
            "1|one\ttab|2024-02-29 10:00:00.5|1.50|{1,NULL}|{\"a\": 2, \"b\": 1}|\\x0aff",
            "2|zwei|NULL|NULL|NULL|NULL|NULL",
            "3|three, \"3\"|NULL|NULL|NULL|NULL|NULL",
            "4||NULL|NULL|NULL|NULL|NULL",
        ]
    );
    assert_eq!(copy(&client, "COPY t FROM STDIN", b"", 1).await.unwrap(), 0);
    // Many rows, in one transaction with what stands before them.
    let many: String = (100..20_100).map(|id| format!("{id}\tn{id}\n")).collect();
    client.batch_execute("BEGIN; DELETE FROM t").await.unwrap();
    assert_eq!(copy(&client, "COPY t (id, name) FROM STDIN", many.as_bytes(), 5000).await.unwrap(), 20_000);
    client.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(server.query("SELECT count(*) FROM t").await, ["4"]);
}

#[tokio::test]
async fn all_rows_or_an_error_that_names_the_line() {
    let folder = TempDir::new().unwrap();
    let server = server(&folder).await;
    server.execute("CREATE TABLE t (id INT PRIMARY KEY, at DATE, name VARCHAR(3) NOT NULL)").await;
    let client = server.connect().await;
    for (bytes, code, told) in [
        (&b"1\t2024-01-01\ta\n2\tsoon\tb\n"[..], "22007", "line 2, column at: "),
        (b"1\t2024-01-01\ta\nx\t2024-01-01\tb\n", "22P02", "line 2, column id: "),
        (b"1\t2024-01-01\n", "22P04", "line 1: missing data for column \"name\""),
        (b"1\t2024-01-01\t\\N\n", "23502", "null value in column \"name\""),
        (b"1\t2024-01-01\tabcd\n", "22001", "value too long"),
        (b"1\t2024-01-01\ta\n1\t2024-01-01\tb\n", "23505", "duplicate key value"),
        (b"1\t2024-01-01\t\xff\n", "22021", "line 1: invalid byte sequence"),
    ] {
        let (found, message) = refusal(&client, "COPY t FROM STDIN", bytes).await;
        assert_eq!((found.as_str(), message.contains(told)), (code, true), "{message}");
        assert_eq!(server.query("SELECT count(*) FROM t").await, ["0"], "{message}");
    }
    for (statement, code) in [
        ("COPY t (nope) FROM STDIN", "42703"),
        ("COPY nothing_here FROM STDIN", "42P01"),
        ("COPY t /*+ OPTIONS('a' = 'b') */ FROM STDIN", "0A000"),
        ("COPY t (id, id, name) FROM STDIN", "42701"),
        ("COPY t FROM '/etc/passwd'", "0A000"),
        ("COPY t FROM PROGRAM 'ls'", "0A000"),
        ("COPY t FROM STDIN (FORMAT binary)", "0A000"),
        ("COPY t FROM STDIN (FREEZE)", "0A000"),
        ("COPY t FROM STDIN (FORCE_NULL (a))", "0A000"),
    ] {
        // tokio-postgres mixes up what comes behind a COPY that does not begin.
        let fresh = server.connect().await;
        assert_eq!(refusal(&fresh, statement, b"").await.0, code, "{statement}");
    }
    // A client that gives up, by the protocol and by a time-out, leaves a session that goes on.
    let sink = client.copy_in::<_, Bytes>("COPY t FROM STDIN").await.unwrap();
    let mut sink = Box::pin(sink);
    sink.send(Bytes::from_static(b"1\t2024-01-01\ta\n")).await.unwrap();
    drop(sink);
    client.batch_execute("SET statement_timeout = '50ms'").await.unwrap();
    let sink = client.copy_in::<_, Bytes>("COPY t FROM STDIN").await.unwrap();
    let mut sink = Box::pin(sink);
    sink.send(Bytes::from_static(b"2\t2024-01-01\ta\n")).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    let error = sink.as_mut().finish().await.unwrap_err();
    assert_eq!(error.code().map(tokio_postgres::error::SqlState::code), Some("57014"), "{error}");
    drop(sink);
    client.batch_execute("RESET statement_timeout").await.unwrap();
    assert_eq!(copy(&client, "COPY t FROM STDIN", b"5\t\\N\te\n", 9).await.unwrap(), 1);
    assert_eq!(server.query("SELECT id FROM t").await, ["5"]);
}

#[tokio::test]
async fn rows_go_into_kafka_and_psql_copies() {
    let folder = TempDir::new().unwrap();
    let server = server(&folder).await;
    let topic = crate::backends::unique("copied");
    server
        .execute(&format!(
            "CREATE TABLE k (id INT, name STRING) WITH ('connector' = 'kafka', 'topic' = '{topic}', 'format' = 'json', \
             'scan.startup.mode' = 'earliest-offset')"
        ))
        .await;
    let client = server.connect().await;
    let rows: String = (0..30_000).map(|id| format!("{id},\"name {id}\"\n")).collect();
    assert_eq!(copy(&client, "COPY k FROM STDIN CSV", rows.as_bytes(), 60_000).await.unwrap(), 30_000);
    assert_eq!(server.query("SELECT count(*), sum(id), max(name) FROM k").await, ["30000|449985000|name 9999"]);
}
