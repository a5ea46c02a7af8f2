//! Statements that could take a server down, or keep it busy for ever: large, deep, and without a pause. Each goes to a server
//! process of its own, which must be there afterwards and answer others meanwhile.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio_postgres::{Client, SimpleQueryMessage};

use crate::server::{BackendsOfProcess, ServerProcess, until};

/// Whatever a statement does, it has ended or was refused by then, also on a busy machine in an unoptimised build.
const LONG: Duration = Duration::from_secs(120);

fn repeated(count: usize, separator: &str, item: impl Fn(usize) -> String) -> String {
    let mut text = String::new();
    for index in 0..count {
        if index > 0 {
            text.push_str(separator);
        }
        text.push_str(&item(index));
    }
    text
}

fn nested(count: usize, before: &str, inner: &str, after: &str) -> String {
    format!("{}{inner}{}", before.repeat(count), after.repeat(count))
}

/// A kind of tree, and how one of a size is written.
type Kind = (&'static str, fn(usize) -> String);

/// Expressions over a column `x`, which is 1, as large as wanted.
const EXPRESSIONS: &[Kind] = &[
    ("OR", |n| format!("({}) OR x = 1", repeated(n, " OR ", |i| format!("x = {}", i + 2)))),
    ("AND", |n| repeated(n, " AND ", |i| format!("x <> {}", i + 2))),
    ("mixed AND and OR", |n| repeated(n, " ", |i| format!("{} x = {i}", ["OR", "AND"][i % 2])).replacen("OR", "", 1)),
    ("+", |n| repeated(n, " + ", |_| "x".to_owned())),
    ("-", |n| repeated(n, " - ", |_| "x".to_owned())),
    ("*", |n| repeated(n, " * ", |_| "x".to_owned())),
    ("/", |n| repeated(n, " / ", |_| "x".to_owned())),
    ("%", |n| format!("x{}", " % 2".repeat(n))),
    ("<", |n| format!("x < 2{}", " < true".repeat(n))),
    ("LIKE", |n| repeated(n, " AND ", |i| format!("CAST(x AS STRING) NOT LIKE '%a{i}%'"))),
    ("nested LIKE", |n| nested(n, "CAST(", "x", " AS STRING) LIKE '%'")),
    ("~", |n| repeated(n, " AND ", |i| format!("CAST(x AS STRING) !~ 'a{i}'"))),
    ("||", |n| repeated(n, " || ", |_| "CAST(x AS STRING)".to_owned())),
    ("::", |n| format!("x{}", "::bigint".repeat(n))),
    ("IS NULL", |n| format!("x{}", " IS NULL".repeat(n))),
    ("=", |n| format!("x = 1{}", " = true".repeat(n))),
    ("NOT", |n| format!("{} true", "NOT ".repeat(n))),
    ("minus signs", |n| format!("{} x", "- ".repeat(n))),
    ("IN", |n| format!("x IN ({})", repeated(n, ", ", |i| i.to_string()))),
    ("CASE", |n| format!("CASE {} END", repeated(n, " ", |i| format!("WHEN x = {i} THEN {i}")))),
    ("CASE x", |n| format!("CASE x {} END", repeated(n, " ", |i| format!("WHEN {i} THEN {i}")))),
    ("nested CASE", |n| nested(n, "CASE WHEN x = 1 THEN ", "x", " ELSE 2 END")),
    ("ELSE CASE", |n| nested(n, "CASE WHEN x = 2 THEN 2 ELSE ", "x", " END")),
    ("COALESCE", |n| nested(n, "coalesce(", "x", ", 2)")),
    ("BETWEEN", |n| nested(n, "(", "x", " BETWEEN 0 AND 5)::int")),
    ("BETWEEN SYMMETRIC", |n| nested(n, "(1 BETWEEN SYMMETRIC ", "x", " AND 2)::int")),
    ("ROW", |n| nested(n, "row(", "x", ")")),
    ("casts of comparisons", |n| nested(n, "(", "x", " = 1)::int")),
    ("brackets", |n| nested(n, "(", "x", ")")),
    ("functions", |n| nested(n, "abs(", "x", ")")),
    ("functions of several arguments", |n| nested(n, "replace(", "CAST(x AS STRING)", ", 'b', 'c')")),
    ("casts", |n| nested(n, "CAST(", "x", " AS BIGINT)")),
    ("arrays", |n| nested(n, "ARRAY[", "x", "]")),
    ("an array", |n| format!("ARRAY[{}]", repeated(n, ", ", |i| i.to_string()))),
    ("arguments", |n| format!("coalesce({})", repeated(n, ", ", |_| "x".to_owned()))),
    ("a mistake within functions", |n| nested(n, "floor(", "1 1", ")")),
    ("a mistake within NOT", |n| nested(n, "NOT (", "1 1", ")")),
];

/// Queries of one row and one column, as large as wanted.
const QUERIES: &[Kind] = &[
    ("UNION ALL", |n| format!("SELECT count(*) FROM ({}) u", repeated(n, " UNION ALL ", |i| format!("SELECT {i}")))),
    ("UNION", |n| format!("SELECT count(*) FROM ({}) u", repeated(n, " UNION ", |i| format!("SELECT {i}")))),
    ("EXCEPT", |n| format!("SELECT count(*) FROM ({}) u", repeated(n, " EXCEPT ", |i| format!("SELECT {}", i + 1)))),
    ("INTERSECT", |n| format!("SELECT count(*) FROM ({}) u", repeated(n, " INTERSECT ", |_| "SELECT 1".to_owned()))),
    ("VALUES", |n| {
        format!("SELECT count(*) FROM (VALUES {}) v(a, b)", repeated(n, ", ", |i| format!("({i}, 'a{i}')")))
    }),
    ("JOIN", |n| {
        let join = |i: usize| {
            if i == 0 { "(VALUES (1)) t0(a)".to_owned() } else { format!("(VALUES (1)) t{i}(a) ON t{i}.a = t0.a") }
        };
        format!("SELECT count(*) FROM {}", repeated(n, " JOIN ", join))
    }),
    ("relations", |n| format!("SELECT count(*) FROM {}", repeated(n, ", ", |i| format!("(VALUES (1)) t{i}(a)")))),
    ("queries in FROM", |n| {
        let aliases = (0..n).fold(String::new(), |mut text, i| {
            let _ = write!(text, ") t{i}");
            text
        });
        format!(
            "SELECT * FROM {}SELECT 1 AS a{aliases}",
            "(SELECT * FROM ".repeat(n).trim_end_matches("SELECT * FROM ")
        )
    }),
    ("scalar sub-queries", |n| format!("SELECT {}", nested(n, "(SELECT ", "1", ")"))),
    ("EXISTS", |n| format!("SELECT 1 WHERE {}", nested(n, "EXISTS (SELECT 1 WHERE ", "true", ")"))),
    ("IN of sub-queries", |n| format!("SELECT 1 WHERE {}", nested(n, "1 IN (SELECT 1 WHERE ", "true", ")"))),
    ("WITH that doubles", |n| {
        let query = |i: usize| match i {
            0 => "c0 AS (SELECT 1 AS a)".to_owned(),
            i => format!("c{i} AS (SELECT x.a FROM c{0} x, c{0} y)", i - 1),
        };
        format!("WITH {} SELECT count(*) FROM c{}", repeated(n, ", ", query), n - 1)
    }),
    ("WITH", |n| {
        let query = |i: usize| match i {
            0 => "c0 AS (SELECT 1 AS a)".to_owned(),
            i => format!("c{i} AS (SELECT a FROM c{})", i - 1),
        };
        format!("WITH {} SELECT * FROM c{}", repeated(n, ", ", query), n - 1)
    }),
    ("CUBE", |n| {
        let sets = repeated(n, ", ", |i| format!("x + {i}"));
        format!("SELECT count(*) FROM (SELECT 1 FROM (VALUES (1)) v(x) GROUP BY CUBE ({sets})) c")
    }),
    ("queries of WITH", |n| {
        format!("WITH {} SELECT * FROM c0", repeated(n, ", ", |i| format!("c{i} AS (SELECT 1 AS a)")))
    }),
    ("joins in brackets", |n| {
        format!(
            "SELECT count(*) FROM {}",
            nested(n, "((SELECT * FROM ", "(VALUES (1)) v(a)", ") a JOIN (VALUES (1)) b(b) ON true)")
        )
    }),
    ("columns", |n| format!("SELECT {}", repeated(n, ", ", |_| "1".to_owned()))),
    ("GROUP BY", |n| {
        format!("SELECT count(*) FROM (VALUES (1)) v(x) GROUP BY {}", repeated(n, ", ", |i| format!("x + {i}")))
    }),
    ("ORDER BY", |n| format!("SELECT x FROM (VALUES (1)) v(x) ORDER BY {}", repeated(n, ", ", |i| format!("x + {i}")))),
];

fn of(kind: &str, size: usize) -> String {
    if let Some((_, expression)) = EXPRESSIONS.iter().find(|(name, _)| *name == kind) {
        return format!("SELECT {} FROM (VALUES (CAST(1 AS BIGINT))) v(x)", expression(size));
    }
    let (_, query) = QUERIES.iter().find(|(name, _)| *name == kind).unwrap();
    query(size)
}

/// The value of a query of one row and one column, or the SQLSTATE of its error and the error.
async fn value(client: &Client, query: &str) -> Result<String, (String, String)> {
    let answer = tokio::time::timeout(LONG, client.simple_query(query)).await.expect("an answer");
    let messages = answer.map_err(|error| match error.as_db_error() {
        Some(error) => (error.code().code().to_owned(), error.message().to_owned()),
        None => panic!("the server is gone: {error} after {}", &query[..query.len().min(200)]),
    })?;
    Ok(messages
        .iter()
        .find_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or("NULL").to_owned()),
            _ => None,
        })
        .unwrap_or_default())
}

struct Instance {
    server: ServerProcess,
    backends: BackendsOfProcess,
    folder: TempDir,
}

impl Instance {
    async fn start() -> Self {
        let backends = BackendsOfProcess::shared();
        let folder = TempDir::new().unwrap();
        let server = ServerProcess::start(&backends, &folder.path().join("data")).await;
        Self { server, backends, folder }
    }

    async fn again(self) -> Self {
        let Self { server, backends, folder } = self;
        server.kill();
        let server = ServerProcess::start(&backends, &folder.path().join("data")).await;
        Self { server, backends, folder }
    }
}

#[tokio::test]
async fn what_postgresql_takes_is_taken() {
    let instance = Instance::start().await;
    let client = instance.server.connect().await;
    // DataFusion checks its plans after each step in builds like this one, so that the whole sizes take minutes.
    let whole = std::env::var("STREAMGATE_TEST_LONG").is_ok();
    for (kind, short, long, expected) in [
        ("OR", 4_000, 10_000, "t"),
        ("AND", 4_000, 10_000, "t"),
        ("+", 10_000, 10_000, ""),
        ("||", 10_000, 10_000, "1"),
        ("/", 4_000, 10_000, "1"),
        ("%", 4_000, 9_999, "1"),
        ("LIKE", 1_000, 10_000, "t"),
        ("~", 200, 1_000, "t"),
        ("IN", 10_000, 50_000, "t"),
        ("CASE", 1_000, 5_000, "1"),
        ("CASE x", 5_000, 5_000, "1"),
        ("UNION ALL", 700, 1_000, ""),
        ("VALUES", 5_000, 50_000, ""),
        ("JOIN", 150, 200, "1"),
        ("EXCEPT", 150, 900, "1"),
        ("INTERSECT", 150, 900, "1"),
        ("functions of several arguments", 40, 90, "1"),
        ("WITH", 100, 100, "1"),
        ("EXISTS", 10, 12, "1"),
    ] {
        let size = if whole { long } else { short };
        // A sum and a count give their size.
        let expected = if expected.is_empty() { size.to_string() } else { expected.to_owned() };
        let begun = Instant::now();
        let found = value(&client, &of(kind, size)).await.unwrap_or_else(|error| panic!("{size} {kind}: {error:?}"));
        println!("{size} {kind}: {:?}", begun.elapsed());
        let found = if kind == "||" { found.len().to_string() } else { found };
        let expected = if kind == "||" { size.to_string() } else { expected };
        assert_eq!(found, expected, "{size} {kind}");
    }
}

#[tokio::test]
async fn what_is_beyond_is_refused_in_a_sentence_before_it_costs() {
    let instance = Instance::start().await;
    let client = instance.server.connect().await;
    for (kind, size) in [
        ("+", 100_000),
        ("||", 100_000),
        ("::", 20_000),
        ("IS NULL", 20_000),
        ("=", 20_000),
        ("/", 100_000),
        ("%", 100_000),
        ("<", 20_000),
        ("LIKE", 100_000),
        ("nested LIKE", 5_000),
        ("~", 100_000),
        ("NOT", 5_000),
        ("minus signs", 5_000),
        ("IN", 300_000),
        ("VALUES", 100_000),
        ("nested CASE", 1_000),
        ("COALESCE", 90),
        ("BETWEEN", 60),
        ("BETWEEN SYMMETRIC", 24),
        ("casts of comparisons", 60),
        ("CUBE", 13),
        ("queries of WITH", 5_000),
        ("WITH", 900),
        ("ROW", 90),
        ("ELSE CASE", 1_000),
        ("brackets", 5_000),
        ("functions", 5_000),
        ("functions of several arguments", 5_000),
        ("casts", 5_000),
        ("arrays", 5_000),
        ("a mistake within functions", 5_000),
        ("UNION ALL", 10_000),
        ("EXCEPT", 10_000),
        ("INTERSECT", 10_000),
        ("relations", 5_000),
        ("JOIN", 5_000),
        ("queries in FROM", 1_000),
        ("scalar sub-queries", 20),
        ("EXISTS", 20),
        ("IN of sub-queries", 20),
        ("scalar sub-queries", 1_000),
        ("WITH that doubles", 30),
        ("joins in brackets", 60),
        ("columns", 20_000),
    ] {
        let begun = Instant::now();
        match value(&client, &of(kind, size)).await {
            Err((code, message)) => {
                assert!(code == "54001" || code == "54011", "{size} {kind}: {code} {message}");
                assert!(message.len() < 300 && !message.contains("DataFusion"), "{size} {kind}: {message}");
            }
            Ok(value) => panic!("{size} {kind} gave {value}"),
        }
        println!("{size} {kind}: {:?}", begun.elapsed());
    }
    // What doubles when it is written out: functions that name their parameter twice, views that name a view twice.
    client
        .batch_execute("CREATE FUNCTION twice(x BIGINT) RETURNS BIGINT LANGUAGE SQL AS 'SELECT x + x'")
        .await
        .unwrap();
    let twice = |n| format!("SELECT {} FROM (VALUES (CAST(1 AS BIGINT))) v(x)", nested(n, "twice(", "x", ")"));
    assert_eq!(value(&client, &twice(8)).await.unwrap(), "256");
    assert_eq!(value(&client, &twice(40)).await.unwrap_err().0, "54001");
    client.batch_execute("CREATE FUNCTION t0(x BIGINT) RETURNS BIGINT LANGUAGE SQL AS 'SELECT x + x'").await.unwrap();
    for level in 1..20 {
        let calls = format!("SELECT t{0}(x) + t{0}(x)", level - 1);
        let function = format!("CREATE FUNCTION t{level}(x BIGINT) RETURNS BIGINT LANGUAGE SQL AS '{calls}'");
        client.batch_execute(&function).await.unwrap();
    }
    let of = |level| format!("SELECT t{level}(x) FROM (VALUES (CAST(1 AS BIGINT))) v(x)");
    assert_eq!(value(&client, &of(5)).await.unwrap(), "64");
    assert_eq!(value(&client, &of(19)).await.unwrap_err().0, "54001");
    client.batch_execute("CREATE VIEW w0 AS SELECT 1 AS a").await.unwrap();
    let mut refused = None;
    for level in 1..=12 {
        let view = format!("CREATE VIEW w{level} AS SELECT x.a FROM w{0} x, w{0} y", level - 1);
        if let Err((code, _)) = value(&client, &view).await {
            assert_eq!(code, "54001");
            refused = Some(level);
            break;
        }
    }
    assert_eq!(refused, Some(10));
}

/// Sizes at which a tree is deep or a mistake doubles, and which may be taken or refused.
const DEEP: &[(&str, usize)] = &[
    ("mixed AND and OR", 600),
    ("+", 1_000),
    ("-", 100),
    ("*", 300),
    ("/", 300),
    ("%", 300),
    ("<", 150),
    ("LIKE", 300),
    ("nested LIKE", 40),
    ("~", 50),
    ("||", 500),
    ("::", 250),
    ("IS NULL", 250),
    ("=", 150),
    ("NOT", 90),
    ("minus signs", 90),
    ("CASE", 300),
    ("nested CASE", 95),
    ("ELSE CASE", 95),
    ("brackets", 95),
    ("functions", 95),
    ("functions of several arguments", 40),
    ("casts", 95),
    ("casts of comparisons", 10),
    ("CUBE", 10),
    ("queries of WITH", 200),
    ("arrays", 20),
    ("an array", 1_000),
    ("arguments", 500),
    ("a mistake within functions", 60),
    ("a mistake within NOT", 60),
    ("UNION", 100),
    ("EXCEPT", 30),
    ("INTERSECT", 30),
    ("relations", 60),
    ("queries in FROM", 60),
    ("scalar sub-queries", 9),
    ("EXISTS", 9),
    ("IN of sub-queries", 9),
    ("WITH that doubles", 7),
    ("joins in brackets", 12),
    ("columns", 300),
    ("GROUP BY", 60),
    ("ORDER BY", 60),
];

/// Errors that say what is wrong with a statement or with a value.
fn is_an_answer(code: &str) -> bool {
    ["54", "0A", "42", "22"].iter().any(|class| code.starts_with(class))
}

#[tokio::test]
async fn every_kind_of_tree_by_every_way_is_answered_and_stored_objects_do_not_kill_the_next_start() {
    let instance = Instance::start().await;
    let client = instance.server.connect().await;
    let declared = "CREATE TABLE source (x BIGINT) WITH ('connector' = 'datagen', 'rows-per-second' = '1'); \
                    CREATE TABLE sink (v STRING) WITH ('connector' = 'blackhole'); SET statement_timeout = '60s'";
    client.batch_execute(declared).await.unwrap();
    let mut views = Vec::new();
    for (number, (kind, size)) in DEEP.iter().enumerate() {
        let query = of(kind, *size);
        let begun = Instant::now();
        let mut ways = vec![
            ("simple", query.clone()),
            ("EXPLAIN", format!("EXPLAIN {query}")),
            ("CREATE VIEW", format!("CREATE VIEW v{number} AS {query}")),
            (
                "CREATE FUNCTION",
                format!(
                    "CREATE FUNCTION f{number}() RETURNS STRING LANGUAGE SQL AS $$SELECT CAST(({query}) AS STRING)$$"
                ),
            ),
        ];
        if let Some((_, expression)) = EXPRESSIONS.iter().find(|(name, _)| name == kind) {
            let expression = expression(*size);
            ways.push(("a function over its parameter", format!("CREATE FUNCTION g{number}(x BIGINT) RETURNS STRING LANGUAGE SQL AS $$SELECT CAST(({expression}) AS STRING)$$")));
            ways.push(("its use", format!("SELECT g{number}(1), g{number}(x) FROM (VALUES (CAST(2 AS BIGINT))) v(x)")));
            ways.push((
                "CREATE JOB",
                format!("CREATE JOB j{number} AS INSERT INTO sink SELECT CAST(({expression}) AS STRING) FROM source"),
            ));
        } else {
            // Jobs have no sub-queries yet; what refuses them goes through the whole tree.
            let of_rows = format!("SELECT CAST(x AS STRING) FROM source WHERE EXISTS ({query})");
            ways.push(("CREATE JOB", format!("CREATE JOB j{number} AS INSERT INTO sink {of_rows}")));
        }
        for (way, text) in &ways {
            if let Err((code, message)) = value(&client, text).await {
                assert!(is_an_answer(&code), "{size} {kind} by {way}: {code} {message}");
            } else if *way == "CREATE VIEW" {
                views.push(number);
            }
        }
        match client.query(&query, &[]).await {
            Ok(_) => {}
            Err(error) => {
                let error = error.as_db_error().unwrap_or_else(|| panic!("{size} {kind}, extended: {error}"));
                assert!(is_an_answer(error.code().code()), "{size} {kind}, extended: {error:?}");
            }
        }
        println!("{size} {kind}: {:?}", begun.elapsed());
    }
    // A job may be a union.
    let branches = |count| repeated(count, " UNION ALL ", |i| format!("SELECT CAST(x + {i} AS STRING) FROM source"));
    for (size, expected) in [(100, None), (5_000, Some("54001"))] {
        let job = format!("CREATE JOB union_of_{size} AS INSERT INTO sink {}", branches(size));
        let refused = value(&client, &job).await.err();
        assert_eq!(refused.as_ref().map(|(code, _)| code.as_str()), expected, "{size}: {refused:?}");
    }
    let other = instance.server.connect().await;
    assert_eq!(value(&other, "SELECT 1").await.unwrap(), "1");
    let instance = instance.again().await;
    let client = instance.server.connect().await;
    assert!(views.len() > DEEP.len() / 2, "{views:?}");
    for number in views.into_iter().step_by(4) {
        if let Err((code, message)) = value(&client, &format!("SELECT count(*) FROM v{number}")).await {
            assert!(is_an_answer(&code), "{:?} after a restart: {code} {message}", DEEP[number]);
        }
    }
    instance.server.execute("SHOW JOBS").await;
}

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

#[tokio::test]
async fn explain_analyze_shows_what_each_operator_did() {
    let instance = Instance::start().await;
    let analysed = async |query: &str| instance.server.query(&format!("EXPLAIN ANALYZE {query}")).await;
    let lines = analysed(
        "SELECT x % 2, count(*) FROM generate_series(1, 1000) a(x) JOIN (VALUES (1), (2)) b(y) ON x > y GROUP BY x % 2",
    )
    .await;
    let text = lines.join("\n");
    assert!(lines[0].contains("output_rows=2,"), "{text}");
    let join = lines.iter().find(|line| line.contains("NestedLoopJoinExec")).unwrap();
    assert!(join.contains("input_rows=2,") && join.contains("build_input_rows=1.00 K"), "{text}");
    assert!(!text.contains("Interruptible"), "{text}");
    // Each operator stands two blanks to the right of the one above it, at most.
    let depths: Vec<usize> = lines.iter().map(|line| line.len() - line.trim_start().len()).collect();
    assert!(depths.windows(2).all(|pair| pair[1] <= pair[0] + 2), "{text}");

    let declared = "CREATE TABLE numbers (x BIGINT) WITH ('connector' = 'datagen', 'number-of-rows' = '321'); \
                    CREATE TABLE sink (v BIGINT) WITH ('connector' = 'blackhole')";
    instance.server.execute(declared).await;
    let text = analysed("INSERT INTO sink SELECT x FROM numbers").await.join("\n");
    assert!(text.contains("output_rows=321") && text.contains("rows_written=321"), "{text}");
}

#[tokio::test]
async fn a_plan_that_takes_long_holds_up_neither_log_ins_nor_others() {
    let instance = Instance::start().await;
    let server = &instance.server;
    let client = server.connect().await;
    client.batch_execute("SET statement_timeout = '2s'").await.unwrap();
    let large = format!(
        "SELECT count(*) FROM (VALUES (1)) v(x) WHERE {}",
        repeated(20_000, " AND ", |i| format!("x * {i} <> abs(x - {i})"))
    );
    let outcome = tokio::spawn(async move { value(&client, &large).await });
    let begun = Instant::now();
    while !outcome.is_finished() {
        let other = server.connect().await;
        assert_eq!(value(&other, "SELECT 1").await.unwrap(), "1");
    }
    println!("planning was done or given up after {:?}", begun.elapsed());
    let outcome = outcome.await.unwrap();
    assert!(outcome == Ok("1".to_owned()) || matches!(&outcome, Err((code, _)) if code == "57014"), "{outcome:?}");
}

#[tokio::test]
async fn a_cancel_ends_the_planning_of_a_statement() {
    let instance = Instance::start().await;
    let client = instance.server.connect().await;
    let cancel = client.cancel_token();
    // Terms that are taken apart and put together for minutes in a build like this one.
    let terms = repeated(9_900, " AND ", |i| format!("(x = {i} OR x > {})", i + 1));
    let long = format!("SELECT count(*) FROM (VALUES (1)) v(x) WHERE {terms}");
    let mut running = Box::pin(value(&client, &long));
    tokio::select! {
        outcome = &mut running => panic!("it was planned at once: {outcome:?}"),
        () = tokio::time::sleep(Duration::from_millis(700)) => {}
    }
    cancel.cancel_query(tokio_postgres::NoTls).await.unwrap();
    assert_eq!(running.await.expect_err("it was cancelled").0, "57014");
    assert_eq!(value(&client, "SELECT 1").await.unwrap(), "1");
}
