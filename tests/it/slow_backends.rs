//! Statements whose backend does not answer: a time-out, a cancel request and a client that is gone end them soon, with the requests
//! that they have under way, and nobody else waits for them.

use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio_postgres::{Client, NoTls};

use crate::backends::unique;
use crate::conformance::kafka::create_topic;
use crate::faults::dynamodb_proxy::{DynamoDbProxy, Faults};
use crate::faults::kafka_proxy::KafkaProxy;
use crate::server::{BackendsOfProcess, ServerProcess, until};
use crate::wire::code;

/// What the promised second may become on a busy machine; the backends do not answer for much longer.
const SOON: Duration = Duration::from_secs(5);
const NEVER: Duration = Duration::from_secs(600);

/// Statements over tables in a DynamoDB that does not answer: each kind of request.
const SLOW: [(&str, &str); 6] = [
    ("GetItem", "SELECT total FROM items WHERE user_id = 1 AND order_id = 2"),
    ("Query", "SELECT sum(total) FROM items WHERE user_id = 1"),
    ("Scan", "SELECT count(*) FROM items"),
    ("a lookup function", "SELECT total_of(u) FROM (VALUES (1), (2), (3)) v(u)"),
    ("BatchWriteItem", "INSERT INTO items VALUES (1, 2, 3)"),
    ("an INSERT that reads", "INSERT INTO nothing SELECT total FROM items"),
];

/// How a statement is ended from outside.
#[derive(Debug, Clone, Copy)]
enum End {
    TimeOut,
    Cancel,
    Vanish,
}

/// Runs a statement that does not end by itself, ends it once `is_under_way`, and waits until the server has let it go.
async fn end(server: &ServerProcess, what: &str, statement: &str, end: End, is_under_way: impl Fn() -> bool) {
    let under_way = async || {
        until(SOON, &format!("{what} is under way"), async || is_under_way().then_some(())).await;
        // Nobody else waits for it.
        let other = server.connect().await;
        let count = other.query_one("SELECT count(*) FROM generate_series(1, 10) g(x) WHERE x > 5", &[]).await.unwrap();
        assert_eq!(count.get::<_, i64>(0), 5);
        Instant::now()
    };
    let settings = format!("host=127.0.0.1 port={} user=test dbname=streamgate", server.port);
    let (client, connection) = tokio_postgres::connect(&settings, NoTls).await.unwrap();
    let socket = tokio::spawn(connection);
    let cancelled = |outcome: Result<_, tokio_postgres::Error>, begun: Instant| {
        let error = outcome.err().unwrap_or_else(|| panic!("{what} has ended by itself"));
        assert_eq!(code(&error), "57014", "{what}, {end:?}");
        assert!(begun.elapsed() < SOON, "{what}, {end:?}: {:?}", begun.elapsed());
    };
    match end {
        End::TimeOut => {
            client.batch_execute("SET statement_timeout = '1s'").await.unwrap();
            let (outcome, begun) = tokio::join!(client.simple_query(statement), under_way());
            cancelled(outcome.map(drop), begun);
        }
        End::Cancel => {
            let cancel = client.cancel_token();
            let begun = tokio::sync::OnceCell::new();
            let cancels = async {
                begun.set(under_way().await).unwrap();
                // One that comes before its statement finds nothing to cancel.
                loop {
                    cancel.cancel_query(NoTls).await.unwrap();
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            };
            tokio::select! {
                outcome = client.simple_query(statement) => cancelled(outcome.map(drop), *begun.get().unwrap()),
                () = cancels => {}
            }
        }
        End::Vanish => {
            tokio::select! {
                outcome = client.simple_query(statement) => panic!("{what}: {outcome:?}"),
                _ = under_way() => {}
            }
            // Its socket closes with the task.
            socket.abort();
        }
    }
}

async fn answers(client: &Client) {
    assert_eq!(client.query_one("SELECT 1::bigint", &[]).await.unwrap().get::<_, i64>(0), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_to_a_dynamodb_that_does_not_answer_end_with_their_statement() {
    let backends = BackendsOfProcess::shared();
    let proxy = DynamoDbProxy::start(&backends.dynamodb_endpoint, 5).await;
    let folder = TempDir::new().unwrap();
    let server = ServerProcess::start(&backends, &folder.path().join("data")).await;
    server
        .execute(&format!(
            "CREATE TABLE items (user_id BIGINT, order_id BIGINT, total BIGINT, PRIMARY KEY (user_id, order_id) NOT ENFORCED) \
             WITH ('connector' = 'dynamodb', 'table-name' = '{}', 'table.create' = 'if-not-exists', 'aws.endpoint' = '{}', \
             'aws.region' = 'us-east-1', 'aws.credentials.basic.accesskeyid' = 'a', 'aws.credentials.basic.secretkey' = 's'); \
             CREATE TABLE nothing (total BIGINT) WITH ('connector' = 'blackhole'); \
             CREATE FUNCTION total_of(u BIGINT) RETURNS BIGINT LANGUAGE SQL AS \
             $$ SELECT sum(total) FROM items WHERE user_id = u $$; \
             INSERT INTO items VALUES (1, 2, 3)",
            unique("slow"),
            proxy.endpoint()
        ))
        .await;
    proxy.set(Faults { delay: NEVER, ..Faults::default() });
    for (what, statement) in SLOW {
        for way in [End::TimeOut, End::Cancel, End::Vanish] {
            end(&server, what, statement, way, || proxy.waiting() > 0).await;
            until(SOON, &format!("{what}, {way:?}: nobody waits for its answer"), async || {
                (proxy.waiting() == 0).then_some(())
            })
            .await;
        }
    }
    // More of them than there are threads for queries.
    let mut waiting = Vec::new();
    for _ in 0..40 {
        let client = server.connect().await;
        waiting.push(tokio::spawn(async move { client.simple_query(SLOW[2].1).await.map(drop) }));
    }
    until(SOON, "all are under way", async || (proxy.waiting() >= 40).then_some(())).await;
    let begun = Instant::now();
    answers(&server.connect().await).await;
    assert_eq!(server.query("SELECT count(*) FROM generate_series(1, 10) g(x) WHERE x > 5").await, ["5"]);
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    assert_eq!(server.query("SHOW streamgate.unstoppable_queries").await, ["0"]);
    // Once there are answers again, those who have waited get them.
    proxy.heal();
    waiting.iter().for_each(tokio::task::JoinHandle::abort);
    assert_eq!(server.query("SELECT sum(total) FROM items").await, ["3"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statements_over_a_kafka_that_does_not_answer_end_when_they_are_told() {
    let backends = BackendsOfProcess::shared();
    let proxy = KafkaProxy::start(&backends.bootstrap_servers).await;
    let topic = unique("slow");
    create_topic(&backends.kafka(), &topic, 1).await;
    let folder = TempDir::new().unwrap();
    let server = ServerProcess::start(&backends, &folder.path().join("data")).await;
    server
        .execute(&format!(
            "CREATE TABLE numbers (n BIGINT) WITH ('connector' = 'kafka', 'topic' = '{topic}', 'format' = 'json', \
             'scan.startup.mode' = 'earliest-offset', 'properties.bootstrap.servers' = '{}')",
            proxy.bootstrap_servers()
        ))
        .await;
    server.execute("INSERT INTO numbers VALUES (1)").await;
    proxy.go_down();
    for statement in ["SELECT count(*) FROM numbers", "INSERT INTO numbers VALUES (2)"] {
        for way in [End::TimeOut, End::Cancel] {
            end(&server, statement, statement, way, || true).await;
        }
    }
    assert_eq!(server.query("SHOW streamgate.unstoppable_queries").await, ["0"]);
    proxy.come_up();
    let others = "SELECT count(*) >= 1 FROM numbers WHERE n = 1";
    assert_eq!(server.query(others).await, ["t"]);
}
