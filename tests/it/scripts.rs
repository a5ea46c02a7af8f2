//! The users' four scripts of tests/seed, unchanged, through `psql -f` against a server process with nothing but defaults.
//! What they presuppose is there first: the DynamoDB tables, the source table of the first file, the functions.

use std::env;
use std::path::Path;
use std::process::{Command, Output};

use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use streamgate::clock::{Clock, SystemClock};
use tempfile::TempDir;

use crate::server::{BackendsOfProcess, JOB_PATIENCE, SOURCE_TOPIC, ServerProcess, TOPIC, until};

/// psql, unless the machine has none. CI sets STREAMGATE_TEST_PSQL=required.
pub struct Psql {
    pub port: u16,
}

impl Psql {
    pub fn is_there() -> bool {
        let there = Command::new("psql").arg("--version").output().is_ok_and(|output| output.status.success());
        assert!(there || env::var("STREAMGATE_TEST_PSQL").as_deref() != Ok("required"), "psql is required");
        if !there {
            eprintln!("skipped: there is no psql");
        }
        there
    }

    pub async fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new("psql");
        command
            .args(["-X", "-h", "127.0.0.1", "-p", &self.port.to_string(), "-U", "test", "-d", "streamgate"])
            .args(["-v", "ON_ERROR_STOP=1"])
            .args(arguments)
            .env("PGTZ", "UTC")
            .env("PGCONNECT_TIMEOUT", "10")
            .current_dir(env!("CARGO_MANIFEST_DIR"));
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
    }

    /// Runs a file; gives standard output, then standard error.
    pub async fn file(&self, path: &str) -> (String, String) {
        assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(path).exists(), "{path}");
        Self::good(path, self.run(&["-f", path]).await)
    }

    /// Values of a query, unaligned.
    pub async fn values(&self, query: &str) -> String {
        Self::good(query, self.run(&["-A", "-t", "-c", query]).await).0.trim().to_owned()
    }

    fn good(what: &str, output: Output) -> (String, String) {
        let out = String::from_utf8(output.stdout).unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{what}\n{out}\n{err}");
        (out, err)
    }
}

/// What the scripts find when they begin: tables of DynamoDB, topics, the source table of the first file with two rows.
async fn presuppose(backends: &BackendsOfProcess, server: &ServerProcess) {
    let dynamodb = backends.dynamodb();
    create_table(&dynamodb, "order_detail_latest_month", &[("user_id", "N"), ("order_id", "N")]).await;
    create_table(&dynamodb, "order_sum_monthly", &[("user_id", "N"), ("month", "S")]).await;
    create_table(&dynamodb, "user_features", &[("user_id", "N")]).await;
    create_table(&dynamodb, "test_table", &[("field1", "S")]).await;
    crate::conformance::kafka::create_topic(&backends.kafka(), TOPIC, 2).await;
    server
        .execute(
            "CREATE DATABASE test_database; CREATE DATABASE test_database_source; \
             CREATE TABLE test_database_source.test_source_table (field1 STRING, field2 STRING, field3 STRING) \
             WITH ('connector' = 'kafka', 'topic' = 'test_source', 'format' = 'json', \
                   'scan.startup.mode' = 'earliest-offset', 'scan.bounded.mode' = 'latest-offset')",
        )
        .await;
    crate::conformance::kafka::create_topic(&backends.kafka(), SOURCE_TOPIC, 1).await;
    let source = [r#"{"field1":"a","field2":"1","field3":"x"}"#, r#"{"field1":"b","field2":"2","field3":null}"#];
    produce(backends, SOURCE_TOPIC, &source.map(|row| (None, row.to_owned()))).await;
}

/// Waits until the features are these.
async fn until_features(backends: &BackendsOfProcess, psql: &Psql, server: &ServerProcess, expected: &[&str]) {
    let dynamodb = backends.dynamodb();
    let deadline = std::time::Instant::now() + JOB_PATIENCE;
    loop {
        let found = items(&dynamodb).await;
        if found == expected {
            break;
        }
        assert!(
            std::time::Instant::now() < deadline,
            "expected {expected:?}\nfound {found:?}\n{}\n{}",
            psql.values("SHOW JOBS").await,
            server.log()
        );
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn the_users_scripts_run_unchanged() {
    if !Psql::is_there() {
        return;
    }
    let backends = BackendsOfProcess::take().await;
    let folder = TempDir::new().unwrap();
    let server = ServerProcess::start(&backends, &folder.path().join("data")).await;
    let psql = Psql { port: server.port };
    presuppose(&backends, &server).await;

    // 1: an empty table is shown, then filled from the source table.
    let (out, err) = psql.file("tests/seed/1_connector_v2.sql").await;
    assert!(out.contains("CREATE TABLE") && out.contains("(0 rows)") && out.contains("INSERT 0 2"), "{out}\n{err}");
    assert_eq!(psql.values("SELECT * FROM test_database.test_dynamodb_table ORDER BY field1").await, "a|1|x\nb|2|");

    // 2 and 3: the tables, over what is there.
    let (out, err) = psql.file("tests/seed/2_dynamodb_orders.sql").await;
    assert!(out.contains("CREATE TABLE"), "{out}\n{err}");
    let (out, err) = psql.file("tests/seed/3_kafka_orders.sql").await;
    assert!(out.contains("CREATE TABLE"), "{out}\n{err}");

    // What the feature job needs besides: functions, the monthly table, the target.
    for script in [
        "sql/tables/order_sum_monthly.sql",
        "sql/tables/user_features.sql",
        "sql/functions/latest_month_order_sum.sql",
        "sql/functions/latest_year_order_sum.sql",
    ] {
        psql.file(script).await;
    }
    let month = Months::now();
    produce(
        &backends,
        TOPIC,
        &[
            order(1, 7, "99.99", "10.00", &month.ago(3)),
            order(2, 7, "0.01", "null", &month.ago(11)),
            order(3, 7, "5000.00", "null", &month.ago(12)),
            order(4, 8, "20.05", "null", &month.ago(1)),
        ],
    )
    .await;
    let (out, err) = psql.file("sql/jobs/order_sum_monthly.sql").await;
    assert!(out.contains("INSERT 0 0") && err.contains("NOTICE"), "{out}\n{err}");
    server.execute("INSERT INTO dynamodb_orders SELECT * FROM kafka_orders").await;

    // 4: the feature job returns at once and goes on by itself.
    let (out, err) = psql.file("tests/seed/4_feature_job.sql").await;
    assert!(out.contains("INSERT 0 0") || err.contains("NOTICE"), "{out}\n{err}");
    produce(
        &backends,
        TOPIC,
        &[
            order(5, 7, "12.34", "1.05", &month.ago(0)),
            order(6, 7, "0.10", "null", &month.ago(0)),
            order(7, 9, "7.70", "0.70", &month.ago(0)),
            (None, r#"{"order_id":8,"user_id":null,"order_amount":1.00}"#.to_owned()),
            (None, "{broken".to_owned()),
        ],
    )
    .await;
    let expected = [
        "7|2|12.44|1.05|4|112.44|11.05", // the order of twelve months ago is out
        "8|0|0|0|1|20.05|0",
        "9|1|7.7|0.7|1|7.7|0.7",
    ];
    until_features(&backends, &psql, &server, &expected).await;
    // The same through SQL, one Query for one key.
    assert_eq!(psql.values("SELECT total_orders_latest_year FROM user_features WHERE user_id = 7").await, "4");
    assert_eq!(
        psql.values("SELECT latest_month_order_sum(7), latest_year_order_sum('7')").await,
        "2_12.44_1.05|2_100_10"
    );
    assert_eq!(psql.values("SELECT latest_month_order_sum(404), latest_year_order_sum(404)").await, "0_0_0|0_0_0");
}

#[tokio::test]
async fn the_scripts_of_the_pipeline_run_in_order_and_again() {
    if !Psql::is_there() {
        return;
    }
    let backends = BackendsOfProcess::take().await;
    let folder = TempDir::new().unwrap();
    let server = ServerProcess::start(&backends, &folder.path().join("data")).await;
    let psql = Psql { port: server.port };
    crate::conformance::kafka::create_topic(&backends.kafka(), TOPIC, 2).await;
    psql.file("sql/pipeline.sql").await;
    produce(&backends, TOPIC, &[order(1, 7, "12.34", "null", &Months::now().ago(0))]).await;
    let found = until(JOB_PATIENCE, "the order is in the features", async || {
        let found = items(&backends.dynamodb()).await;
        (!found.is_empty()).then_some(found)
    })
    .await;
    assert_eq!(found, ["7|1|12.34|0|1|12.34|0"]);
    // Tables and functions may be declared again.
    psql.file("sql/tables/kafka_orders.sql").await;
    psql.file("sql/functions/latest_month_order_sum.sql").await;
    // The whole script once more starts no second writers, and says so of each job.
    let again = psql.run(&["-v", "ON_ERROR_STOP=0", "-f", "sql/pipeline.sql"]).await;
    let said = String::from_utf8_lossy(&again.stderr);
    assert_eq!(said.matches("runs this statement already").count(), 3, "{said}");
    assert_eq!(said.matches("CREATE JOB IF NOT EXISTS").count(), 3, "{said}");
    assert_eq!(psql.values("SELECT count(*) FROM streamgate.jobs").await, "3");
}

#[tokio::test]
async fn psql_sends_statement_sets_in_parts() {
    if !Psql::is_there() {
        return;
    }
    let backends = BackendsOfProcess::take().await;
    let folder = TempDir::new().unwrap();
    let server = ServerProcess::start(&backends, &folder.path().join("data")).await;
    let psql = Psql { port: server.port };
    let script = folder.path().join("set.sql");
    let run = async |text: &str, stops: &str| {
        std::fs::write(&script, text).unwrap();
        psql.run(&["-v", &format!("ON_ERROR_STOP={stops}"), "-f", script.to_str().unwrap()]).await
    };
    let tables = "CREATE TABLE numbers (id INT) WITH ('connector' = 'datagen', 'rows-per-second' = '5');
CREATE TABLE a (id INT) WITH ('connector' = 'blackhole');
CREATE TABLE b (id INT) WITH ('connector' = 'blackhole');
";
    let set = "BEGIN STATEMENT SET;
INSERT INTO a SELECT id FROM numbers;
INSERT INTO b SELECT id FROM numbers WHERE id > 0;
END;
EXPLAIN STATEMENT SET BEGIN INSERT INTO a SELECT id FROM numbers; INSERT INTO b SELECT id FROM numbers; END;
";
    let (out, err) = Psql::good(set, run(&format!("{tables}{set}"), "1").await);
    assert!(out.contains("BEGIN\nINSERT 0 0\nINSERT 0 0\nINSERT 0 0\n"), "{out}\n{err}");
    assert_eq!(out.matches("Sink: ").count(), 2, "{out}\n{err}");
    // Nothing of a set with an error runs, and the session goes on after END.
    let bad = set.replacen("SELECT id", "SELECT nope", 1).replace("EXPLAIN", "SELECT 42; EXPLAIN");
    let (out, err) = Psql::good(&bad, run(&bad, "0").await);
    assert!(out.contains("ROLLBACK") && out.contains("42"), "{out}\n{err}");
    assert_eq!(psql.values("SELECT string_agg(name, ',') FROM streamgate.jobs").await, "insert_into_a");
    assert_eq!(psql.values("SELECT count(*) FROM streamgate.job_operators WHERE operator LIKE 'source%'").await, "1");
    assert!(psql.values("EXPLAIN ANALYZE JOB insert_into_a").await.contains("State: RUNNING"));
    // The default folder of savepoints is in the data directory.
    let place = psql.values("STOP JOB insert_into_a WITH SAVEPOINT").await;
    assert!(place.contains(folder.path().join("data/savepoints").to_str().unwrap()), "{place}");
    assert_eq!(psql.values("SELECT state FROM streamgate.jobs").await, "STOPPED");
    assert_ne!(psql.values("SELECT count(*) FROM streamgate.job_checkpoints WHERE epoch > 0").await, "0");
}

/// The current month of UTC, and months before it.
pub struct Months(chrono::NaiveDate);

impl Months {
    pub fn now() -> Self {
        Self(chrono::DateTime::from_timestamp_millis(SystemClock.now_ms()).unwrap().date_naive())
    }

    /// A time in the month `months` before this one; the month's first day, which is never in the future.
    pub fn ago(&self, months: u32) -> String {
        let day = self.0 - chrono::Months::new(months);
        format!("{}-01 00:00:00.000", day.format("%Y-%m"))
    }
}

pub fn order(order_id: i32, user_id: i32, amount: &str, discount: &str, created_at: &str) -> (Option<String>, String) {
    let payload = format!(
        r#"{{"order_id":{order_id},"order_amount":{amount},"coupon_code":null,"coupon_discount_amount":{discount},"user_id":{user_id},"order_status":"1","created_at":"{created_at}","updated_at":"{created_at}","product_id":1}}"#
    );
    (Some(user_id.to_string()), payload)
}

pub async fn produce(backends: &BackendsOfProcess, topic: &str, records: &[(Option<String>, String)]) {
    let producer: ThreadedProducer<DefaultProducerContext> = backends.kafka().create().unwrap();
    for (key, payload) in records {
        let mut record = BaseRecord::to(topic).payload(payload);
        if let Some(key) = key {
            record = record.key(key);
        }
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
    tokio::task::spawn_blocking(move || producer.flush(JOB_PATIENCE)).await.unwrap().unwrap();
}

/// user_features: user and six features of each item, sorted.
pub async fn items(dynamodb: &aws_sdk_dynamodb::Client) -> Vec<String> {
    let answer = dynamodb.scan().table_name("user_features").consistent_read(true).send().await.unwrap();
    let mut rows: Vec<String> = answer
        .items()
        .iter()
        .map(|item| {
            let text = |name: &str| match item.get(name) {
                Some(AttributeValue::N(text) | AttributeValue::S(text)) => text.clone(),
                other => format!("{other:?}"),
            };
            [
                "user_id",
                "total_orders_lastest_month",
                "total_order_amount_latest_month",
                "total_discount_amount_latest_month",
                "total_orders_latest_year",
                "total_order_amount_latest_year",
                "total_discount_amount_latest_year",
            ]
            .map(|name| trim_zeros(&text(name)))
            .join("|")
        })
        .collect();
    rows.sort();
    rows
}

/// DynamoDB's numbers have no trailing zeros; emulators keep them.
fn trim_zeros(number: &str) -> String {
    match number.contains('.') {
        true => number.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => number.to_owned(),
    }
}

pub async fn create_table(dynamodb: &aws_sdk_dynamodb::Client, name: &str, key: &[(&str, &str)]) {
    let mut request = dynamodb.create_table().table_name(name).billing_mode(BillingMode::PayPerRequest);
    for ((attribute, kind), role) in key.iter().zip([KeyType::Hash, KeyType::Range]) {
        let definition = AttributeDefinition::builder()
            .attribute_name(*attribute)
            .attribute_type(ScalarAttributeType::from(*kind))
            .build()
            .unwrap();
        let element = KeySchemaElement::builder().attribute_name(*attribute).key_type(role).build().unwrap();
        request = request.attribute_definitions(definition).key_schema(element);
    }
    request.send().await.unwrap();
    until(JOB_PATIENCE, "the table is there", async || {
        let answer = dynamodb.describe_table().table_name(name).send().await.unwrap();
        let status = answer.table()?.table_status()?.as_str().to_owned();
        (status == "ACTIVE").then_some(())
    })
    .await;
}
