//! Statements that compute for hours: each ends when it is told to, and holds nobody up.

use super::*;

/// Queries that compute for hours.
const ENDLESS: &[(&str, &str)] = &[
    (
        "a nested-loop join",
        "SELECT count(*) FROM generate_series(1, 1000000) a(x) JOIN generate_series(1, 100000000) b(y) ON x + y < 0",
    ),
    ("a cross join", "SELECT count(*) FROM generate_series(1, 10000000) a(x), generate_series(1, 10000000) b(y)"),
    (
        "a filter over a cross join",
        "SELECT x FROM (SELECT x, y FROM generate_series(1, 10000000) a(x), generate_series(1, 10000000) b(y)) t WHERE x * y < 0",
    ),
    (
        "a hash join of one key",
        "SELECT count(*) FROM generate_series(1, 1000000) a(x) JOIN generate_series(1, 1000000) b(y) ON x % 1 = y % 1 AND x + y < 0",
    ),
    ("a sort", "SELECT x FROM generate_series(1, 100000000000) a(x) ORDER BY -x LIMIT 1"),
    (
        "a window",
        "SELECT max(n) FROM (SELECT row_number() OVER (PARTITION BY x % 7 ORDER BY x) AS n FROM generate_series(1, 100000000000) a(x) ) t",
    ),
    ("a recursive query", "WITH RECURSIVE t AS (SELECT 1 AS a UNION ALL SELECT a FROM t) SELECT count(*) FROM t"),
    (
        "a recursive query without a row",
        "WITH RECURSIVE t AS (SELECT 1 AS a UNION ALL SELECT a FROM t) SELECT a FROM t WHERE a > 1",
    ),
    ("an aggregation", "SELECT x % 10, count(*) FROM generate_series(1, 100000000000) a(x) GROUP BY x % 10"),
    (
        "a regular expression",
        "SELECT count(*) FROM generate_series(1, 100000000000) a(x) WHERE 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa' || x ~ '(a|aa)+$'",
    ),
    (
        "EXPLAIN ANALYZE",
        "EXPLAIN ANALYZE SELECT count(*) FROM generate_series(1, 1000000) a(x) JOIN generate_series(1, 100000000) b(y) ON x + y < 0",
    ),
    (
        "a bounded INSERT",
        "INSERT INTO sink SELECT CAST(x AS STRING) FROM generate_series(1, 100000000000) a(x) WHERE x < 0",
    ),
];

#[cfg(target_os = "linux")]
fn cpu_ticks(process: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

/// Waits until the process hardly computes: for half a second it takes less than a fifth of a core.
#[cfg(target_os = "linux")]
async fn until_quiet(server: &ServerProcess, what: &str) {
    until(Duration::from_secs(20), &format!("the computation of {what} ends"), async || {
        let before = cpu_ticks(server.id());
        tokio::time::sleep(Duration::from_millis(500)).await;
        (cpu_ticks(server.id()) - before < 10).then_some(())
    })
    .await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_time_out_a_cancel_and_a_client_that_is_gone_end_every_computation() {
    let instance = Instance::start().await;
    let server = &instance.server;
    server.execute("CREATE TABLE sink (v STRING) WITH ('connector' = 'blackhole')").await;
    for (number, (what, query)) in ENDLESS.iter().enumerate() {
        let client = server.connect().await;
        match number % 3 {
            0 => {
                client.batch_execute("SET statement_timeout = '300ms'").await.unwrap();
                let (code, _) = value(&client, query).await.expect_err(what);
                assert_eq!(code, "57014", "{what}");
            }
            1 => {
                let cancel = client.cancel_token();
                let running = value(&client, query);
                let cancelled = async {
                    tokio::time::sleep(Duration::from_millis(300)).await;
                    cancel.cancel_query(tokio_postgres::NoTls).await.unwrap();
                };
                let (outcome, ()) = tokio::join!(running, cancelled);
                assert_eq!(outcome.expect_err(what).0, "57014", "{what}");
            }
            _ => {
                // Its socket closes with the task; a client that is dropped waits for its answer first.
                let settings = format!("host=127.0.0.1 port={} user=test dbname=streamgate", server.port);
                let (client, connection) = tokio_postgres::connect(&settings, tokio_postgres::NoTls).await.unwrap();
                let socket = tokio::spawn(connection);
                tokio::select! {
                    outcome = value(&client, query) => panic!("{what}: {outcome:?}"),
                    () = tokio::time::sleep(Duration::from_millis(300)) => {}
                }
                socket.abort();
            }
        }
        until_quiet(server, what).await;
    }
    let other = server.connect().await;
    assert_eq!(value(&other, "SHOW streamgate.unstoppable_queries").await.unwrap(), "0");
}

#[tokio::test]
async fn statements_that_cannot_be_stopped_hold_nobody_up_and_are_counted() {
    let instance = Instance::start().await;
    let server = &instance.server;
    // A regular expression over one value does not pause: in the planning of a query, and where EXPLAIN ANALYZE runs one.
    let held = [
        "SELECT repeat('ab', 3000000) ~ '([ab]{1,50}){40}[^ab]'",
        "EXPLAIN ANALYZE SELECT repeat('ab', 3000000 + x) ~ '([ab]{1,50}){40}[^ab]' FROM generate_series(1, 1) g(x)",
    ];
    let threads = 4 * std::thread::available_parallelism().map_or(2, usize::from).max(2);
    let mut clients = Vec::new();
    for _ in 0..threads {
        let client = server.connect().await;
        client.batch_execute("SET statement_timeout = '100ms'").await.unwrap();
        clients.push(client);
    }
    let all = clients.iter().enumerate().map(|(number, client)| value(client, held[number % held.len()]));
    for outcome in futures::future::join_all(all).await {
        assert_eq!(outcome.expect_err("it takes long").0, "57014");
    }
    // A log-in, and a query that is planned and computed.
    let other = server.connect().await;
    let query = "SELECT count(*) FROM generate_series(1, 10) g(x) WHERE abs(x) > 5";
    assert_eq!(value(&other, query).await.unwrap(), "5");
    until(Duration::from_secs(20), "they are counted", async || {
        let count = value(&other, "SHOW streamgate.unstoppable_queries").await.unwrap();
        (count != "0").then_some(())
    })
    .await;
}
