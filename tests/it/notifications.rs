//! LISTEN and NOTIFY between sessions: when they are heard, in which order, how often, and what jobs tell.

#![allow(clippy::unwrap_used)] // clippy allows it in functions marked as tests only

use tokio::sync::mpsc;
use tokio_postgres::error::SqlState;
use tokio_postgres::{AsyncMessage, Client, NoTls, SimpleQueryMessage};

use crate::backends::PATIENCE;
use crate::scripts::Psql;
use crate::server::until;
use crate::wire::{Raw, Server, bind, execute, message, parse, server};

/// A session that keeps what others tell it.
struct Listener {
    client: Client,
    heard: mpsc::UnboundedReceiver<String>,
}

impl Listener {
    async fn connect(server: &Server) -> Self {
        let config = format!("host=127.0.0.1 port={} user=me dbname=streamgate", server.address.port());
        let (client, mut connection) = tokio_postgres::connect(&config, NoTls).await.unwrap();
        let (sender, heard) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Some(Ok(message)) = std::future::poll_fn(|context| connection.poll_message(context)).await {
                if let AsyncMessage::Notification(told) = message {
                    let _ = sender.send(format!("{} {} {}", told.channel(), told.payload(), told.process_id()));
                }
            }
        });
        Self { client, heard }
    }

    async fn run(&self, statements: &str) {
        self.client.batch_execute(statements).await.unwrap_or_else(|error| panic!("{statements}: {error:?}"));
    }

    async fn pid(&self) -> i32 {
        self.client.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get(0)
    }

    /// The next thing that is told; waits for it.
    async fn next(&mut self) -> String {
        tokio::time::timeout(PATIENCE, self.heard.recv()).await.expect("nothing is told").unwrap()
    }

    /// Whether nothing was told that the server knew before now: an answer comes behind it.
    async fn nothing(&mut self) -> bool {
        self.run("SELECT 1").await;
        self.heard.try_recv().is_err()
    }
}

async fn rows(client: &Client, query: &str) -> Vec<String> {
    let messages = client.simple_query(query).await.unwrap_or_else(|error| panic!("{query}: {error:?}"));
    let rows = messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    });
    rows.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_is_heard_at_the_commit_in_order_and_once() {
    let server = server().await;
    let (mut listener, mut teller) = (Listener::connect(&server).await, Listener::connect(&server).await);
    let pid = teller.pid().await;
    listener.run("LISTEN news; LISTEN \"Other\"; LISTEN news").await;
    assert_eq!(rows(&listener.client, "SELECT pg_listening_channels()").await, ["Other", "news"]);

    // A listener that waits hears it without asking.
    teller.run("NOTIFY News, 'one'").await;
    assert_eq!(listener.next().await, format!("news one {pid}"));
    teller.run("NOTIFY news").await;
    assert_eq!(listener.next().await, format!("news  {pid}"));

    teller.run("BEGIN; NOTIFY news, 'b'; NOTIFY \"Other\", 'a'; NOTIFY news, 'b'; SELECT pg_notify('news', 'a')").await;
    teller.run("SAVEPOINT s; NOTIFY news, 'taken back'; ROLLBACK TO s; SELECT pg_notify('news', 'c')").await;
    assert!(listener.nothing().await, "told before the commit");
    teller.run("COMMIT").await;
    for expected in ["news b", "Other a", "news a", "news c"] {
        assert_eq!(listener.next().await, format!("{expected} {pid}"));
    }
    teller.run("BEGIN; NOTIFY news, 'x'; ROLLBACK").await;
    teller.client.batch_execute("NOTIFY news, 'x'; SELECT no_such_column").await.unwrap_err();
    teller
        .client
        .batch_execute("SELECT pg_notify('news', x) FROM (VALUES ('y'), (repeat('z', 8000))) AS t(x)")
        .await
        .unwrap_err();
    assert!(listener.nothing().await, "told although it was rolled back");
    // Many from one query, in the extended protocol.
    teller
        .client
        .query("SELECT pg_notify('news', i::text) FROM generate_series(1, 3) AS t(i) ORDER BY i", &[])
        .await
        .unwrap();
    for expected in 1..=3 {
        assert_eq!(listener.next().await, format!("news {expected} {pid}"));
    }

    // Nothing is heard within a transaction; what has come meanwhile comes with its end.
    listener.run("BEGIN; SELECT 1").await;
    teller.run("NOTIFY news, 'meanwhile'").await;
    assert!(listener.nothing().await, "told within a transaction");
    listener.run("COMMIT").await;
    assert_eq!(listener.next().await, format!("news meanwhile {pid}"));

    // Who listens hears himself; a LISTEN that is rolled back hears nothing.
    teller.run("BEGIN; LISTEN news; ROLLBACK; NOTIFY news, 'not to me'").await;
    assert!(teller.nothing().await);
    assert_eq!(listener.next().await, format!("news not to me {pid}"));
    teller.run("BEGIN; LISTEN own; NOTIFY own, 'hello'; COMMIT").await;
    assert_eq!(teller.next().await, format!("own hello {pid}"));

    listener.run("UNLISTEN news").await;
    teller.run("NOTIFY news, 'x'; NOTIFY \"Other\", 'still'").await;
    assert_eq!(listener.next().await, format!("Other still {pid}"));
    listener.run("UNLISTEN *").await;
    assert!(rows(&listener.client, "SELECT pg_listening_channels()").await.is_empty());
    teller.run("DISCARD ALL; NOTIFY \"Other\"; NOTIFY own").await;
    assert!(listener.nothing().await && teller.nothing().await);

    for statement in ["SELECT pg_notify('', 'x')".to_owned(), format!("NOTIFY c, '{}'", "x".repeat(8000))] {
        let error = teller.client.batch_execute(&statement).await.unwrap_err();
        assert_eq!(error.code(), Some(&SqlState::INVALID_PARAMETER_VALUE), "{statement}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_and_its_notifications_come_in_postgres_order() {
    let server = server().await;
    let mut raw = server.raw().await;
    raw.send(&message(b'Q', b"LISTEN c\0")).await;
    raw.until_ready().await;
    // Before ReadyForQuery, behind the statement's end; never within a pipeline.
    raw.send(&message(b'Q', b"NOTIFY c\0")).await;
    assert_eq!(tags(&mut raw).await, "CAZ");
    raw.send(
        &[parse("NOTIFY c"), bind(), execute(0), parse("SELECT 1"), bind(), execute(0), message(b'S', b"")].concat(),
    )
    .await;
    assert_eq!(tags(&mut raw).await, "12C12DCAZ");
}

/// Tags of messages up to ReadyForQuery.
async fn tags(raw: &mut Raw) -> String {
    let mut tags = String::new();
    while let Some((tag, _)) = raw.next().await {
        tags.push(tag);
        if tag == 'Z' {
            break;
        }
    }
    tags
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_take_what_he_is_told_is_ended_and_holds_up_nobody() {
    let server = server().await;
    let (slow, teller) = (Listener::connect(&server).await, Listener::connect(&server).await);
    slow.run("LISTEN flood; BEGIN; SELECT 1").await;
    for round in 0..2 {
        let flood = format!("SELECT pg_notify('flood', '{round} ' || i::text) FROM generate_series(1, 9000) AS t(i)");
        teller.client.simple_query(&flood).await.unwrap();
    }
    let error = slow.client.batch_execute("COMMIT").await.unwrap_err();
    assert_eq!(error.code(), Some(&SqlState::PROGRAM_LIMIT_EXCEEDED), "{error:?}");
    until(PATIENCE, "the session is ended", async || slow.client.is_closed().then_some(())).await;
    let error = teller
        .client
        .simple_query("SELECT pg_notify('flood', i::text) FROM generate_series(1, 20000) AS t(i)")
        .await
        .unwrap_err();
    assert_eq!(error.code(), Some(&SqlState::PROGRAM_LIMIT_EXCEEDED));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_that_reads_nothing_is_ended_and_what_waits_for_it_is_bounded() {
    let server = server().await;
    let teller = Listener::connect(&server).await;
    let mut deaf = server.raw().await;
    deaf.send(&message(b'Q', b"LISTEN flood\0")).await;
    deaf.until_ready().await;
    let mut round = 0;
    until(PATIENCE, "the session that reads nothing is ended", async || {
        // Below what may wait, so that only what its socket does not take adds up.
        round += 1;
        let flood = format!(
            "SELECT pg_notify('flood', '{round} ' || i::text || repeat('x', 7000)) FROM generate_series(1, 1000) AS t(i)"
        );
        teller.client.simple_query(&flood).await.unwrap();
        (rows(&teller.client, "SELECT pid FROM pg_stat_activity").await.len() == 1).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_tell_of_their_states() {
    let server = server().await;
    let mut listener = Listener::connect(&server).await;
    listener.run("LISTEN streamgate_jobs").await;
    let other = Listener::connect(&server).await;
    other
        .run(
            "CREATE TABLE numbers (n BIGINT) WITH ('connector' = 'datagen', 'rows-per-second' = '1');
             CREATE TABLE nowhere (n BIGINT) WITH ('connector' = 'blackhole');
             CREATE JOB counted AS INSERT INTO nowhere SELECT n FROM numbers",
        )
        .await;
    other.run("PAUSE JOB counted").await;
    let mut states = Vec::new();
    while states.last().is_none_or(|last| last != "PAUSED") {
        let told = listener.next().await;
        let payload = told.strip_prefix("streamgate_jobs ").and_then(|told| told.strip_suffix(" 0")).unwrap();
        let payload: serde_json::Value = serde_json::from_str(payload).unwrap();
        assert_eq!(payload["job"], "counted");
        assert!(payload["at"].as_str().unwrap().ends_with('Z') && payload.get("error").is_none(), "{payload}");
        if let Some(last) = states.last() {
            assert_eq!(payload["from"], *last);
        }
        states.push(payload["to"].as_str().unwrap().to_owned());
    }
    assert!(states.contains(&"RUNNING".to_owned()), "{states:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn psql_prints_what_it_is_told() {
    if !Psql::is_there() {
        return;
    }
    let server = server().await;
    let output = std::process::Command::new("psql")
        .args(["-X", "-h", "127.0.0.1", "-p", &server.address.port().to_string(), "-U", "me", "-d", "streamgate"])
        .args(["-c", "LISTEN c", "-c", "NOTIFY c, 'it''s here'"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        text.contains(
            "Asynchronous notification \"c\" with payload \"it's here\" received from server process with PID "
        ),
        "{output:?}"
    );
}
