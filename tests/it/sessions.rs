//! What sessions see of one another: pg_stat_activity and its like, and how one ends what another does.

#![allow(clippy::unwrap_used)] // clippy allows it in functions marked as tests only

use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

use crate::backends::PATIENCE;
use crate::server::until;
use crate::wire::{ENDLESS, Server, server};

/// Rows as texts, columns joined by `|`.
async fn rows(client: &Client, query: &str) -> Vec<String> {
    let messages = client.simple_query(query).await.unwrap_or_else(|error| panic!("{query}: {error:?}"));
    let rows = messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    rows.map(|row| (0..row.len()).map(|at| row.get(at).unwrap_or("NULL")).collect::<Vec<_>>().join("|")).collect()
}

async fn named(server: &Server, name: &str) -> (Client, i32) {
    let config =
        format!("host=127.0.0.1 port={} user=me dbname=streamgate application_name={name}", server.address.port());
    let (client, connection) = tokio_postgres::connect(&config, NoTls).await.unwrap();
    tokio::spawn(connection);
    let pid = rows(&client, "SELECT pg_backend_pid()").await[0].parse().unwrap();
    (client, pid)
}

async fn activity(watcher: &Client, columns: &str, pid: i32) -> String {
    rows(watcher, &format!("SELECT {columns} FROM pg_stat_activity WHERE pid = {pid}")).await.join("\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_session_is_shown_with_what_it_does_and_secrets_are_blanked() {
    let server = server().await;
    let (worker, pid) = named(&server, "worker").await;
    let (watcher, own) = named(&server, "watcher").await;
    let who = "datname, usename, application_name, client_addr, client_port > 0, backend_type, datid = d.oid \
               FROM pg_stat_activity JOIN pg_database AS d USING (datname) ORDER BY pid --";
    let expected = |name: &str| format!("streamgate|me|{name}|127.0.0.1|t|client backend|t");
    assert_eq!(activity(&watcher, who, 0).await, [expected("worker"), expected("watcher")].join("\n"));
    assert_eq!(
        activity(&watcher, "state, query_start >= backend_start, xact_start = query_start, wait_event, query", own)
            .await,
        format!(
            "active|t|t|NULL|SELECT state, query_start >= backend_start, xact_start = query_start, wait_event, query FROM pg_stat_activity WHERE pid = {own}"
        )
    );
    let state = "state, wait_event, xact_start IS NULL, state_change >= query_start, query";
    assert_eq!(activity(&watcher, state, pid).await, "idle|ClientRead|t|t|SELECT pg_backend_pid()");

    worker.batch_execute("SET application_name = 'renamed'; BEGIN").await.unwrap();
    assert_eq!(
        activity(&watcher, "application_name, state, xact_start IS NULL, query", pid).await,
        "renamed|idle in transaction|f|BEGIN"
    );
    worker.batch_execute("SELECT no_such_column").await.unwrap_err();
    assert_eq!(activity(&watcher, "state", pid).await, "idle in transaction (aborted)");
    worker.batch_execute("ROLLBACK").await.unwrap();

    let declared = "CREATE TABLE t (a INT) WITH ('connector' = 'kafka', 'topic' = 't', 'format' = 'json', \
                    'properties.sasl.jaas.config' = 'canary')";
    worker.batch_execute(declared).await.ok();
    let shown = activity(&watcher, "query", pid).await;
    assert_eq!(shown, declared.replace("canary", "******"));
    // In the extended protocol, the prepared statement is shown whenever it runs.
    let statement = worker.prepare("SELECT $1::int + 1").await.unwrap();
    worker.query_one("SELECT 2::int", &[]).await.unwrap();
    worker.query_one(&statement, &[&1_i32]).await.unwrap();
    assert_eq!(activity(&watcher, "state, query", pid).await, "idle|SELECT $1::int + 1");

    let databases =
        "SELECT datname, numbackends, sessions, xact_commit FROM pg_stat_database WHERE datname = 'streamgate'";
    assert_eq!(rows(&watcher, databases).await, ["streamgate|2|2|NULL"]);
    drop(worker);
    until(PATIENCE, "a session that has ended is shown no longer", async || {
        activity(&watcher, "pid", pid).await.is_empty().then_some(())
    })
    .await;
    assert_eq!(rows(&watcher, "SELECT count(*) FROM pg_locks").await, ["0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_cancels_what_another_does_and_ends_it() {
    let server = server().await;
    let (watcher, own) = named(&server, "watcher").await;
    let until_active = async |pid: i32| {
        until(PATIENCE, "it works", async || {
            (activity(&watcher, "state, query", pid).await == format!("active|{ENDLESS}")).then_some(())
        })
        .await;
    };
    let (worker, pid) = named(&server, "worker").await;
    let running = tokio::spawn(async move { (worker.simple_query(ENDLESS).await.unwrap_err(), worker) });
    until_active(pid).await;
    assert_eq!(rows(&watcher, &format!("SELECT pg_cancel_backend({pid})")).await, ["t"]);
    let (error, worker) = running.await.unwrap();
    assert_eq!(error.code(), Some(&SqlState::QUERY_CANCELED));
    assert_eq!(rows(&worker, "SELECT 1").await, ["1"]);
    // What does nothing is not hurt by it later.
    assert_eq!(rows(&watcher, &format!("SELECT pg_cancel_backend({pid})")).await, ["t"]);
    assert_eq!(rows(&worker, "SELECT 1").await, ["1"]);

    // While it waits, and while it works.
    assert_eq!(
        rows(&watcher, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'worker'")
            .await,
        ["t"]
    );
    until(PATIENCE, "it has ended", async || worker.is_closed().then_some(())).await;
    let (worker, pid) = named(&server, "worker").await;
    let running = tokio::spawn(async move { worker.simple_query(ENDLESS).await.unwrap_err() });
    until_active(pid).await;
    assert_eq!(rows(&watcher, &format!("SELECT pg_terminate_backend({pid})")).await, ["t"]);
    assert_eq!(running.await.unwrap().code(), Some(&SqlState::ADMIN_SHUTDOWN));

    assert_eq!(rows(&watcher, "SELECT pg_cancel_backend(123456), pg_terminate_backend(NULL)").await, ["f|NULL"]);
    let refused = watcher.simple_query(&format!("SELECT pg_terminate_backend({pid}, 100)")).await.unwrap_err();
    assert_eq!(refused.code(), Some(&SqlState::FEATURE_NOT_SUPPORTED));
    // Itself.
    let ended = watcher.simple_query(&format!("SELECT pg_terminate_backend({own})")).await;
    until(PATIENCE, "it has ended itself", async || watcher.is_closed().then_some(())).await;
    assert!(ended.is_err() || watcher.simple_query("SELECT 1").await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_sees_its_prepared_statements_and_cursors_and_no_others() {
    let server = server().await;
    let (client, _) = named(&server, "one").await;
    let (other, _) = named(&server, "other").await;
    let prepared = "SELECT name, statement, parameter_types::text, from_sql, prepare_time <= now() FROM pg_prepared_statements ORDER BY 1";
    client.batch_execute("PREPARE p (INT, TEXT) AS SELECT $1 + 1, $2").await.unwrap();
    let statement = client.prepare("SELECT $1::bigint").await.unwrap();
    let shown = rows(&client, prepared).await;
    assert_eq!(shown.len(), 2, "{shown:?}");
    assert_eq!(shown[0], "p|PREPARE p (INT, TEXT) AS SELECT $1 + 1, $2|{23,25}|t|t");
    assert!(shown[1].ends_with("|SELECT $1::bigint|{20}|f|t"), "{shown:?}");
    drop(statement);
    until(PATIENCE, "the driver has closed its statement", async || {
        (rows(&client, prepared).await.len() == 1).then_some(())
    })
    .await;
    client.batch_execute("DEALLOCATE ALL").await.unwrap();
    assert!(rows(&client, prepared).await.is_empty());

    let cursors = "SELECT name, statement, is_holdable, is_binary, is_scrollable, creation_time <= now() FROM pg_cursors ORDER BY 1";
    client
        .batch_execute("BEGIN; DECLARE a CURSOR FOR SELECT 1; DECLARE b SCROLL CURSOR WITH HOLD FOR SELECT 2")
        .await
        .unwrap();
    let held = "b|DECLARE b SCROLL CURSOR WITH HOLD FOR SELECT 2|t|f|t|t";
    assert_eq!(rows(&client, cursors).await, ["a|DECLARE a CURSOR FOR SELECT 1|f|f|f|t", held]);
    client.batch_execute("COMMIT").await.unwrap();
    assert_eq!(rows(&client, cursors).await, [held]);
    assert!(rows(&other, cursors).await.is_empty() && rows(&other, prepared).await.is_empty());
    client.batch_execute("CLOSE b").await.unwrap();
    assert!(rows(&client, cursors).await.is_empty());
}
