//! Large statements: what PostgreSQL takes is taken, what is beyond is refused.

use super::trees::{nested, of};
use super::*;

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

/// Sizes that no statement may have.
const BEYOND: &[(&str, usize)] = &[
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
];

#[tokio::test]
async fn what_is_beyond_is_refused_in_a_sentence_before_it_costs() {
    let instance = Instance::start().await;
    let client = instance.server.connect().await;
    for (kind, size) in BEYOND {
        let begun = Instant::now();
        match value(&client, &of(kind, *size)).await {
            Err((code, message)) => {
                assert!(code == "54001" || code == "54011", "{size} {kind}: {code} {message}");
                assert!(message.len() < 300 && !message.contains("DataFusion"), "{size} {kind}: {message}");
            }
            Ok(value) => panic!("{size} {kind} gave {value}"),
        }
        println!("{size} {kind}: {:?}", begun.elapsed());
    }
}

/// Functions that name their parameter twice, views that name a view twice.
#[tokio::test]
async fn what_doubles_when_it_is_written_out_is_refused() {
    let instance = Instance::start().await;
    let client = instance.server.connect().await;
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
