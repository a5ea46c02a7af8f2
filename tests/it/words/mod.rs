//! What is said of statements that are wrong, or ask for what is not there: `wrong.txt` has some hundred of them, each with the
//! SQLSTATE of its answer. No answer speaks of how the server is made.

use crate::server::{BackendsOfProcess, ServerProcess};

/// One on a line: the SQLSTATE, a space, the statement.
const WRONG: &str = include_str!("wrong.txt");

/// What the statements are about.
const THERE: &str = "
    CREATE TABLE orders (id BIGINT, user_id STRING, amount DECIMAL(10, 2), price DOUBLE, ts TIMESTAMP(3), day DATE, tags ARRAY<STRING>,
        props MAP<STRING, STRING>, address ROW<city STRING, zip INT>, ok BOOLEAN)
        WITH ('connector' = 'kafka', 'topic' = 'words_orders', 'format' = 'json', 'scan.startup.mode' = 'earliest-offset',
            'topic.create' = 'if-not-exists');
    CREATE TABLE items (id BIGINT, total DECIMAL(10, 2), name STRING, PRIMARY KEY (id) NOT ENFORCED)
        WITH ('connector' = 'dynamodb', 'table-name' = 'words_items', 'table.create' = 'if-not-exists');
    CREATE TABLE out (id BIGINT, name STRING) WITH ('connector' = 'blackhole');
    CREATE VIEW v AS SELECT id, amount FROM orders;";

/// Words that say nothing to somebody who knows SQL.
const FOREIGN: &[&str] = &[
    "datafusion",
    "arrow",
    "utf8",
    "int64",
    "int32",
    "float64",
    "decimal128",
    "date32",
    "time32",
    "time64",
    "monthdaynano",
    "invalid comparison operation",
    "dayofweeksunday",
    "list(",
    "struct(",
    "map(",
    "timestamp(ms",
    "boolean(",
    "field {",
    "outerreference",
    "outer_ref",
    "null_aware",
    "anti join",
    "bug in",
    "rust",
    "/root",
    "/home",
    ".cargo",
    "protobuf",
    "internal error",
    "execution error",
    "schema error",
    "parser error",
    "cast error",
    "external error",
    "error during planning",
    "plan(",
    "logical plan",
    "physical plan",
    "logicalplan",
    "logical expression",
    "udf",
    "coerc",
    "signature",
    "sqlparser",
    "token",
    "some(",
    "unwrap",
    "panic",
    "optimizer",
    "feature is not implemented",
    ".rs",
    "::",
    "?column?",
    "public.",
];

#[tokio::test(flavor = "multi_thread")]
async fn wrong_statements_are_answered_in_words_of_sql() {
    let directory = tempfile::tempdir().unwrap();
    let server = ServerProcess::start(&BackendsOfProcess::take().await, &directory.path().join("data")).await;
    let client = server.connect().await;
    client.batch_execute(THERE).await.unwrap();
    let mut wrong = Vec::new();
    // By either protocol; what is wrong with it is told when it is prepared or when it runs.
    // What has parameters is refused by the client itself where they are missing.
    let statements = WRONG
        .lines()
        .flat_map(|line| [(line, false), (line, true)])
        .filter(|(line, is_extended)| !is_extended || !line.contains('$'));
    for (line, is_extended) in statements {
        let (expected, statement) = line.split_once(' ').unwrap();
        let answer = match is_extended {
            false => client.simple_query(statement).await.map(drop),
            true => client.query(statement, &[]).await.map(drop),
        };
        let Err(error) = answer else {
            wrong.push(format!("{statement}\n    is taken"));
            continue;
        };
        let Some(error) = error.as_db_error() else {
            wrong.push(format!("{statement}\n    ends the session: {error}"));
            break;
        };
        let told =
            [Some(error.message()), error.detail(), error.hint()].into_iter().flatten().collect::<Vec<_>>().join(" | ");
        // What the user wrote may come back.
        let own = told.to_lowercase().replace(&statement.to_lowercase(), "").replace("streamgate.public.", "");
        let foreign: Vec<_> = FOREIGN.iter().filter(|word| own.contains(*word)).collect();
        if error.code().code() != expected || !foreign.is_empty() {
            wrong.push(format!("{statement}\n    {}, not {expected}; {foreign:?}: {told}", error.code().code()));
        }
    }
    assert!(wrong.is_empty(), "{} of {} answers:\n{}", wrong.len(), WRONG.lines().count(), wrong.join("\n"));
}
