//! Deep statements by every way in: none ends the server, and none that is stored ends the next one.

use super::trees::{EXPRESSIONS, of, repeated};
use super::*;

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
