//! COPY … TO STDOUT over the wire: every format, by the simple and the extended protocol, endless results and errors in the middle.

#![allow(clippy::unwrap_used)] // clippy allows it in functions marked as tests only

use bytes::Bytes;
use futures::TryStreamExt;
use tokio_postgres::Client;

use crate::wire::server;

const ROWS: &str = "SELECT * FROM (VALUES (1, 'a,b', TRUE, CAST(NULL AS STRING)), (2, 'say \"x\"', FALSE, ''), \
                    (3, 'tab\there', NULL, 'N')) AS t (id, \"Name\", ok, note) ORDER BY id";

async fn copied(client: &Client, statement: &str) -> Result<String, tokio_postgres::Error> {
    let chunks: Vec<Bytes> = client.copy_out(statement).await?.try_collect().await?;
    Ok(String::from_utf8(chunks.concat()).unwrap())
}

async fn refused(client: &Client, statement: &str) -> String {
    let error = copied(client, statement).await.unwrap_err();
    error.as_db_error().unwrap_or_else(|| panic!("{statement}: {error}")).code().code().to_owned()
}

#[tokio::test]
async fn rows_are_copied_as_text_and_as_csv() {
    let server = server().await;
    let client = server.connect().await;
    for (options, expected) in [
        ("", "1\ta,b\tt\t\\N\n2\tsay \"x\"\tf\t\n3\ttab\\there\t\\N\tN\n"),
        ("WITH (FORMAT text, DELIMITER '|', NULL 'nil')", "1|a,b|t|nil\n2|say \"x\"|f|\n3|tab\\there|nil|N\n"),
        ("(FORMAT csv, HEADER)", "id,Name,ok,note\n1,\"a,b\",t,\n2,\"say \"\"x\"\"\",f,\"\"\n3,tab\there,,N\n"),
        ("CSV NULL 'N' ESCAPE '\\'", "1,\"a,b\",t,N\n2,\"say \\\"x\\\"\",f,\n3,tab\there,N,\"N\"\n"),
        ("(FORMAT csv, FORCE_QUOTE (id))", "\"1\",\"a,b\",t,\n\"2\",\"say \"\"x\"\"\",f,\"\"\n\"3\",tab\there,,N\n"),
        ("(FORMAT csv, FORCE_QUOTE *, QUOTE '''')", "'1','a,b','t',\n'2','say \"x\"','f',''\n'3','tab\there',,'N'\n"),
    ] {
        assert_eq!(
            copied(&client, &format!("COPY ({ROWS}) TO STDOUT {options}")).await.unwrap(),
            expected,
            "{options}"
        );
    }
    client.batch_execute(&format!("CREATE VIEW v AS {ROWS}")).await.unwrap();
    assert_eq!(copied(&client, "COPY v (id, \"Name\") TO STDOUT").await.unwrap().lines().count(), 3);
    assert_eq!(
        copied(&client, "COPY public.v TO STDOUT (HEADER)").await.unwrap().lines().next(),
        Some("id\tName\tok\tnote")
    );
    assert_eq!(copied(&client, "COPY (SELECT 1 WHERE FALSE) TO STDOUT").await.unwrap(), "");
}

#[tokio::test]
async fn rows_are_copied_in_binary() {
    let server = server().await;
    let client = server.connect().await;
    let statement = "COPY (SELECT 1::int AS a, NULL::text AS b, 'xy' AS c) TO STDOUT (FORMAT binary)";
    let chunks: Vec<Bytes> = client.copy_out(statement).await.unwrap().try_collect().await.unwrap();
    let mut expected = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0".to_vec();
    expected.extend(b"\0\x03\0\0\0\x04\0\0\0\x01\xff\xff\xff\xff\0\0\0\x02xy\xff\xff");
    assert_eq!(chunks.concat(), expected);
}

#[tokio::test]
async fn a_copy_is_sent_as_its_rows_come_and_ends_with_a_cancel() {
    let server = server().await;
    let client = server.connect().await;
    let rows = client.copy_out("COPY (SELECT value FROM generate_series(1, 1000000000000)) TO STDOUT").await.unwrap();
    let mut rows = Box::pin(rows);
    assert!(rows.try_next().await.unwrap().unwrap().starts_with(b"1\n"));
    client.cancel_token().cancel_query(tokio_postgres::NoTls).await.unwrap();
    let error = loop {
        match rows.try_next().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("a cancelled copy has an end"),
            Err(error) => break error,
        }
    };
    assert_eq!(error.code().unwrap().code(), "57014");
    drop(rows);
    assert_eq!(copied(&client, "COPY (SELECT 1) TO STDOUT").await.unwrap(), "1\n", "the session goes on");
}

#[tokio::test]
async fn what_cannot_be_copied_is_refused() {
    let server = server().await;
    let client = server.connect().await;
    for (statement, code) in [
        ("COPY nosuch TO STDOUT", "42P01"),
        ("COPY nosuch /*+ OPTIONS('a' = 'b') */ TO STDOUT", "0A000"),
        ("COPY (SELECT 1 / 0) TO STDOUT", "22012"),
        ("COPY (SELECT 1) TO '/tmp/x'", "0A000"),
        ("COPY (SELECT 1) TO PROGRAM 'x'", "0A000"),
        ("COPY (SELECT 1 AS a) TO STDOUT (FORMAT csv, FORCE_QUOTE (b))", "42703"),
        ("COPY (SELECT 1) FROM STDIN", "42601"),
        ("COPY (SELECT 1) TO STDOUT (FORMAT xml)", "22023"),
    ] {
        assert_eq!(refused(&client, statement).await, code, "{statement}");
    }
    let misplaced = copied(&client, "COPY  nosuch TO STDOUT").await.unwrap_err();
    let position = misplaced.as_db_error().unwrap().position().cloned();
    assert_eq!(position, Some(tokio_postgres::error::ErrorPosition::Original(7)));
    // In the middle of the rows.
    let failing = "COPY (SELECT 1 / (value - 20000) FROM generate_series(1, 30000)) TO STDOUT";
    assert_eq!(refused(&client, failing).await, "22012");
    assert_eq!(copied(&client, "COPY (SELECT 1) TO STDOUT").await.unwrap(), "1\n");
}
