//! Every function of the reference page can be called as the page says, every internal one by no statement at all, and pg_proc shows the
//! ones and not the others.

use streamgate::functions::aggregations::aggregations;
use streamgate::functions::entry::{About, Call};
use streamgate::functions::registry::scalars;
use streamgate::functions::windows::windows;
use streamgate::pg_catalog;
use tempfile::TempDir;
use tokio_postgres::{Client, SimpleQueryMessage};

use crate::server::{BackendsOfProcess, ServerProcess};

async fn server(directory: &TempDir) -> ServerProcess {
    ServerProcess::start(&BackendsOfProcess::take().await, &directory.path().join("data")).await
}

/// The text of a query's one value, or its error.
async fn value(client: &Client, query: &str) -> String {
    match client.simple_query(query).await {
        Ok(messages) => {
            let row = messages.iter().find_map(|message| match message {
                SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or("NULL").to_owned()),
                _ => None,
            });
            row.unwrap_or_else(|| "no row".to_owned())
        }
        Err(error) => error.as_db_error().map_or_else(|| error.to_string(), ToString::to_string),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_example_gives_what_the_page_says() {
    let directory = TempDir::new().unwrap();
    let server = server(&directory).await;
    let client = server.connect().await;
    let mut wrong = Vec::new();
    for entry in scalars().entries() {
        let Some((call, expected)) = entry.example else { continue };
        let found = value(&client, &format!("SELECT {call}")).await;
        if found != expected {
            wrong.push(format!("{call} is {found}, not {expected}"));
        }
    }
    for entry in aggregations().entries() {
        let Some((call, expected)) = entry.example else { continue };
        let found = value(&client, &format!("SELECT {call} FROM (VALUES (1), (2)) AS t (x)")).await;
        if found != expected {
            wrong.push(format!("{call} is {found}, not {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{} examples:\n{}", wrong.len(), wrong.join("\n"));
}

/// An argument of a type: a parameter, but for what must be a literal.
fn argument(name: &str, word: &str, place: usize) -> String {
    let of_type = |name: &str| format!("${place}::{name}");
    match (name, place) {
        ("date_part" | "datepart", 1) => return "'year'".to_owned(),
        ("named_struct", 1) | ("get_field", 2) => return "'a'".to_owned(),
        _ => {}
    }
    match word {
        "boolean" => "TRUE".to_owned(),
        "any" | "anyelement" => of_type("integer"),
        "anyarray" => of_type("integer[]"),
        "map" => format!("MAP(ARRAY['a'], ARRAY[{}])", of_type("integer")),
        "row" => format!("NAMED_STRUCT('a', {})", of_type("integer")),
        "double precision[]" => format!("ARRAY[{}]", of_type("double precision")),
        other => of_type(other),
    }
}

/// Arguments for a call, and the names by which its result's type may go.
fn written(name: &str, call: &Call) -> (String, Vec<&'static str>) {
    let mut words = call.arguments.clone();
    words.extend(words.last().copied().filter(|_| call.is_variadic));
    let arguments: Vec<String> = (1..).zip(&words).map(|(place, word)| argument(name, word, place)).collect();
    // Words of the language have no brackets.
    let is_word = ["current_catalog", "current_user", "session_user", "user"].contains(&name);
    let text = if is_word { name.to_owned() } else { format!("{name}({})", arguments.join(", ")) };
    let types: &[&str] = match call.returns {
        "any" | "map" | "row" => &[],
        "anyarray" if call.arguments.contains(&"map") => &[],
        // As the list of a SELECT shows them.
        "regclass" | "regproc" | "regtype" => return (text, vec!["text", call.returns]),
        "oid" => &["oid", "text", "name"],
        "anyelement" => &["int4"],
        "anyarray" => &["_int4"],
        "integer" => &["int4"],
        "bigint" => &["int8"],
        "real" => &["float4"],
        "double precision" => &["float8"],
        "double precision[]" => &["_float8"],
        "bigint[]" => &["_int8"],
        "text[]" => &["_text"],
        "boolean" => &["bool"],
        "text" => &["text", "varchar"],
        other => return (text, vec![other]),
    };
    (text, types.to_vec())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_of_the_page_is_planned_and_gives_its_type() {
    let directory = TempDir::new().unwrap();
    let server = server(&directory).await;
    let client = server.connect().await;
    let scalar = scalars().entries().filter(|entry| entry.is_public()).map(|entry| (entry.about, ""));
    let aggregate = aggregations().entries().map(|entry| (entry.about, ""));
    let window = windows().entries().map(|entry| (entry.about, " OVER (ORDER BY 1)"));
    let of_catalog = pg_catalog::functions().map(|about| (about, ""));
    let all: Vec<(About, &str)> = scalar.chain(aggregate).chain(window).chain(of_catalog).collect();
    let mut wrong = Vec::new();
    for (about, over) in &all {
        for name in about.names() {
            for call in about.calls() {
                let (text, types) = written(name, &call);
                let within = match about.name {
                    // WITHIN GROUP and GROUP BY: their examples, and the one below.
                    "approx_percentile_cont" | "approx_percentile_cont_with_weight" | "percentile_cont" => continue,
                    // A row for each item of what it gives; tests/it/notifications.rs has it.
                    "pg_listening_channels" => continue,
                    "grouping" => format!("SELECT {name}(x) FROM (VALUES (1)) AS t (x) GROUP BY x"),
                    _ => format!("SELECT {text}{over}"),
                };
                match client.prepare(&within).await {
                    Ok(prepared) => {
                        let found = prepared.columns()[0].type_().name().to_owned();
                        if !types.is_empty() && !types.contains(&found.as_str()) {
                            wrong.push(format!("{within} is {found}, not {}", call.returns));
                        }
                    }
                    Err(error) => {
                        let error = error.as_db_error().map_or_else(|| error.to_string(), ToString::to_string);
                        wrong.push(format!("{within}: {error}"));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} calls:\n{}", wrong.len(), wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn distinct_is_heeded_or_refused_as_the_page_says() {
    let directory = TempDir::new().unwrap();
    let server = server(&directory).await;
    let client = server.connect().await;
    let rows = "FROM (VALUES (1), (1), (2)) AS t (x)";
    let mut wrong = Vec::new();
    for entry in aggregations().entries() {
        // The examples are over 1 and 2, and what is asked here over 1, 1 and 2.
        let Some((call, expected)) = entry.example.filter(|(call, _)| !call.contains("DISTINCT")) else { continue };
        // An order must be that of an argument.
        let call = call.replace("'-' ORDER BY x", "'-'");
        let found = value(&client, &format!("SELECT {} {rows}", call.replacen('(', "(DISTINCT ", 1))).await;
        let is_right = match (entry.maker.takes_distinct, entry.maker.heeds_distinct) {
            (false, _) => found.contains("DISTINCT in") && found.contains("is not supported"),
            // In jobs only.
            (true, true) if entry.name.starts_with("stddev") => found.contains("not available"),
            (true, true) => found == expected,
            (true, false) => {
                found == value(&client, &format!("SELECT {call} {rows}")).await || entry.name == "any_value"
            }
        };
        if !is_right {
            wrong.push(format!("{call} with DISTINCT is {found}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Statements that call a function, each in another place.
const CALLS: [&str; 6] = [
    "SELECT f(1, 2)",
    "SELECT \"f\"(1, 2)",
    "SELECT pg_catalog.f(1, 2)",
    "CREATE VIEW v AS SELECT f(1, 2) AS x",
    "CREATE FUNCTION g() RETURNS INT LANGUAGE SQL AS 'SELECT f(1, 2)'",
    "INSERT INTO calls_out SELECT f(id, id) FROM calls_in",
];

#[tokio::test(flavor = "multi_thread")]
async fn no_statement_calls_an_internal_function() {
    let directory = TempDir::new().unwrap();
    let server = server(&directory).await;
    server
        .execute(
            "CREATE TABLE calls_in (id BIGINT) WITH ('connector' = 'kafka', 'topic' = 'functions_calls', 'format' = 'json',
                'scan.startup.mode' = 'earliest-offset', 'topic.create' = 'if-not-exists');
            CREATE TABLE calls_out (id BIGINT) WITH ('connector' = 'blackhole')",
        )
        .await;
    let client = server.connect().await;
    let mut wrong = Vec::new();
    let internal: Vec<&str> = scalars().entries().filter(|entry| !entry.is_public()).map(|entry| entry.name).collect();
    assert!(internal.contains(&"numeric_multiply") && internal.contains(&"operator_chain"), "{internal:?}");
    for name in internal.iter().copied().chain(["arrow_typeof", "no_such_function"]) {
        for statement in CALLS {
            let statement = statement.replace("f(", &format!("{name}(")).replace("\"f\"", &format!("\"{name}\""));
            let answer = client.simple_query(&statement).await;
            let error = answer.as_ref().err().and_then(|error| error.as_db_error());
            let is_right = error.is_some_and(|error| {
                error.code().code() == "42883" && error.message().contains("does not exist") && error.hint().is_some()
            });
            if !is_right {
                wrong.push(format!("{statement}: {error:?}"));
            }
        }
    }
    // A function of that name would be taken for the internal one by what rewrites plans.
    let taken = "CREATE FUNCTION any_equal(a INT) RETURNS INT LANGUAGE SQL AS 'SELECT a'";
    let refused = client.simple_query(taken).await.unwrap_err();
    assert_eq!(refused.as_db_error().map(|error| error.code().code()), Some("42723"));
    assert!(wrong.is_empty(), "{} answers:\n{}", wrong.len(), wrong.join("\n"));
    // What stands behind operators is there as before.
    for (query, expected) in [
        ("SELECT 2 = ANY (ARRAY[1, 2])", "t"),
        ("SELECT 'abc' SIMILAR TO 'a%'", "t"),
        ("SELECT 'a%' LIKE 'a#%' ESCAPE '#'", "t"),
        ("SELECT DATE '2024-01-05' + INTERVAL '1' DAY", "2024-01-06"),
        ("SELECT CAST('1.50' AS NUMERIC) * 2", "3"),
        (
            "SELECT COUNT(*) FROM (SELECT x, CAST(x AS BIGINT) FROM (VALUES (1)) AS t (x) GROUP BY x, CAST(x AS BIGINT)) AS s",
            "1",
        ),
    ] {
        assert_eq!(value(&client, query).await, expected, "{query}");
    }
    let chain = format!("SELECT 1{}", " + 1".repeat(400));
    assert_eq!(value(&client, &chain).await, "401");
}

#[tokio::test(flavor = "multi_thread")]
async fn pg_proc_lists_what_statements_can_call() {
    let directory = TempDir::new().unwrap();
    let server = server(&directory).await;
    let client = server.connect().await;
    let rows = client.query("SELECT DISTINCT proname::text FROM pg_proc", &[]).await.unwrap();
    let listed: std::collections::BTreeSet<String> = rows.iter().map(|row| row.get(0)).collect();
    let public = scalars().public_names().chain(aggregations().public_names()).chain(windows().public_names());
    let missing: Vec<&str> = public.filter(|name| !listed.contains(*name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    let internal: Vec<&str> = scalars()
        .entries()
        .filter(|entry| !entry.is_public() && listed.contains(entry.name))
        .map(|entry| entry.name)
        .collect();
    assert!(internal.is_empty(), "{internal:?}");
    let rows = client.query("SELECT oid FROM pg_proc GROUP BY oid HAVING COUNT(*) > 1", &[]).await.unwrap();
    assert!(rows.is_empty(), "{} oids stand twice", rows.len());
    // As `\df` and `\df+` of psql ask.
    let shown = "SELECT pg_get_function_result(p.oid) || ' ' || p.proname || '(' || pg_get_function_arguments(p.oid) || ') ' || p.prokind \
                 || p.provolatile FROM pg_proc p WHERE p.proname = ";
    assert_eq!(value(&client, &format!("{shown}'split_part'")).await, "text split_part(text, text, bigint) fi");
    assert_eq!(value(&client, &format!("{shown}'listagg' AND p.pronargs = 2")).await, "text listagg(text, text) ai");
    assert_eq!(value(&client, &format!("{shown}'row_number'")).await, "bigint row_number() wi");
    assert_eq!(
        value(&client, "SELECT obj_description('upper'::regproc::oid, 'pg_proc')").await,
        "The text in capital letters."
    );
    assert_eq!(value(&client, "SELECT 'upper'::regproc::text").await, "upper");
    let listed = server.query("SHOW FUNCTIONS").await;
    assert!(["upper", "listagg", "row_number", "unnest"].iter().all(|name| listed.iter().any(|line| line == name)));
}
