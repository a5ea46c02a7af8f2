//! The log: a line for each session, definition and state of a job, and on each line of which session, statement or job it is.

use serde_json::Value;
use tempfile::TempDir;
use tokio_postgres::NoTls;

use crate::backends::unique;
use crate::server::{BackendsOfProcess, JOB_PATIENCE, ServerProcess, until};

#[tokio::test]
async fn the_log_has_a_line_for_each_session_definition_and_state_of_a_job() {
    let directory = tempfile::tempdir().unwrap();
    let server = ServerProcess::start(&BackendsOfProcess::take().await, &directory.path().join("data")).await;
    let script = "SET application_name = 'teller'; CREATE TABLE numbers (n BIGINT) WITH ('connector' = 'datagen', \
         'rows-per-second' = '1'); CREATE TABLE nowhere (n BIGINT) WITH ('connector' = 'blackhole'); \
         CREATE VIEW odd AS SELECT n FROM numbers WHERE n % 2 = 1; CREATE SCHEMA side; \
         CREATE FUNCTION twice(x BIGINT) RETURNS BIGINT LANGUAGE SQL AS 'SELECT x + x'; CREATE JOB counted AS \
         INSERT INTO nowhere SELECT COUNT(*) FROM numbers";
    server.execute(script).await;
    for statement in ["PAUSE JOB counted", "RESUME JOB counted", "STOP JOB counted"] {
        server.execute(statement).await;
    }
    server.execute("DROP VIEW odd; DROP JOB counted; DROP FUNCTION twice; DROP TABLE nowhere; DROP SCHEMA side").await;
    let log = server.log();
    for line in [
        "session opened",
        "user=\"test\"",
        "session ended",
        "CREATE TABLE streamgate.public.numbers",
        "CREATE VIEW streamgate.public.odd",
        "DROP VIEW streamgate.public.odd",
        "CREATE JOB counted",
        "job was STARTING and is ",
        "and is PAUSED",
        "and is STOPPED",
        "DROP JOB counted",
        "CREATE SCHEMA streamgate.side",
        "DROP SCHEMA streamgate.side",
        "CREATE FUNCTION streamgate.public.twice",
        "DROP FUNCTION streamgate.public.twice",
        "DROP TABLE streamgate.public.nowhere",
    ] {
        assert!(log.contains(line), "{line} is missing in\n{log}");
    }
}

/// A server whose log is like this.
async fn logging(folder: &TempDir, level: &str, format: &str) -> ServerProcess {
    let settings = [("STREAMGATE_LOG", level.to_owned()), ("STREAMGATE_LOG_FORMAT", format.to_owned())];
    let mut server = ServerProcess::spawn(&BackendsOfProcess::shared(), &folder.path().join("data"), &settings);
    assert_eq!(server.until_it_answers().await, None, "{}", server.log());
    server
}

/// A table whose backend takes no NaN.
fn items() -> String {
    format!(
        "CREATE TABLE items (id STRING, amount DOUBLE, PRIMARY KEY (id) NOT ENFORCED) WITH ('connector' = 'dynamodb', \
         'table-name' = '{}', 'table.create' = 'if-not-exists'); SET 'error-handling.mode' = 'log'",
        unique("log_items")
    )
}

const NO_ITEM: &str = "INSERT INTO items SELECT 'canary', CAST('NaN' AS DOUBLE)";

/// Lines with this message: their fields, the fields of their session, the command of their statement.
fn lines(log: &[String], message: &str) -> Vec<(Value, Value, Value)> {
    let parsed = log.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let wanted = parsed.filter(|line| line["fields"]["message"] == message);
    wanted
        .map(|line| {
            let span = |name: &str| {
                let spans = line["spans"].as_array().cloned().unwrap_or_default();
                let mut found = spans.into_iter().filter(|span| span["name"] == name);
                let span = found.next().unwrap_or_default();
                assert_eq!(found.next(), None, "{line}");
                span
            };
            (line["fields"].clone(), span("session"), span("statement")["command"].clone())
        })
        .collect()
}

#[tokio::test]
async fn lines_say_of_which_session_and_statement_they_are() {
    let folder = TempDir::new().unwrap();
    let server = logging(&folder, "info,streamgate=debug", "json").await;
    let settings = format!("host=127.0.0.1 port={} user=test dbname=streamgate application_name=teller", server.port);
    let (client, connection) = tokio_postgres::connect(&settings, NoTls).await.unwrap();
    tokio::spawn(connection);
    let pid = client.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get::<_, i32>(0);
    client.batch_execute(&items()).await.unwrap();
    // Where it is planned, alone and behind another one; where its rows are computed; on the threads of queries; by both protocols.
    client.simple_query("SELECT 'canary' FROM nowhere").await.unwrap_err();
    client.simple_query("SHOW TimeZone; CREATE TABLE canary (a INT) WITH ('connector' = 'canary')").await.unwrap_err();
    let divides = "WITH n AS (SELECT x FROM generate_series(1, 9) g(x)) SELECT 'canary', 1 / (x - 5) FROM n";
    client.simple_query(divides).await.unwrap_err();
    client.simple_query(NO_ITEM).await.unwrap();
    client.query("DROP VIEW canary", &[]).await.unwrap_err();
    client.simple_query("SET application_name = 'other'").await.unwrap();
    client.simple_query("canary").await.unwrap_err();

    let log = server.whole_log();
    let told = log.join("\n");
    let failed = lines(&log, "a statement failed");
    let seen: Vec<String> = failed
        .iter()
        .map(|(fields, session, command)| {
            assert_eq!((session["pid"].as_i64(), session["user"].as_str()), (Some(pid.into()), Some("test")), "{told}");
            assert_eq!(session["database"], "streamgate", "{told}");
            assert!(session["client"].as_str().is_some_and(|client| client.starts_with("127.0.0.1:")), "{told}");
            let texts = [&fields["sqlstate"], command, &session["application_name"]];
            texts.map(|text| text.as_str().unwrap_or("-")).join(" ")
        })
        .collect();
    let expected = [
        "42P01 SELECT teller",
        "22023 CREATE TABLE teller",
        "22012 WITH teller",
        "42P01 DROP VIEW teller",
        "42601 unknown other",
    ];
    assert_eq!(seen, expected, "{told}");
    let left_out = lines(&log, "a row was left out");
    assert!(
        left_out.iter().any(|(_, session, command)| session["pid"] == pid && command == "INSERT"),
        "{left_out:?}\n{told}"
    );
    let spans = failed.iter().chain(&left_out).map(|(_, session, command)| format!("{session} {command}"));
    assert!(!spans.collect::<String>().contains("canary"), "{told}");
}

#[tokio::test]
async fn warnings_say_so_too_where_nothing_else_is_logged() {
    let folder = TempDir::new().unwrap();
    let server = logging(&folder, "warn", "text").await;
    let numbers = "CREATE TABLE numbers (n INT) WITH ('connector' = 'datagen', 'rows-per-second' = '5')";
    let job = "CREATE JOB counted AS INSERT INTO items SELECT CAST(n AS STRING), CAST('NaN' AS DOUBLE) FROM numbers";
    server.execute(&format!("{numbers}; {}; {NO_ITEM}; {job}", items())).await;
    for spans in [["session{pid=", "statement{command=\"INSERT\"}"], ["job{name=\"counted\"}", "task{number="]] {
        until(JOB_PATIENCE, "the row is told of", async || {
            let log = server.whole_log();
            let is_it =
                |line: &String| line.contains("a row was left out") && spans.iter().all(|span| line.contains(span));
            log.iter().any(is_it).then_some(())
        })
        .await;
    }
}
