//! What is scraped is what `streamgate.*` shows, and every metric of the list has a value.

use rdkafka::producer::Producer;
use streamgate::telemetry::metrics::METRICS;
use tempfile::TempDir;

use super::exposition::Scrape;
use super::{exchange, get, started};
use crate::backends::{PATIENCE, unique};
use crate::conformance::kafka::{create_topic, producer, record};
use crate::server::{BackendsOfProcess, JOB_PATIENCE, ServerProcess, until};

/// Records for the job; one of them cannot be read.
const RECORDS: usize = 40;

async fn scraped(port: u16) -> Scrape {
    let answer = get(port, "/metrics").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "text/plain; version=0.0.4; charset=utf-8"));
    Scrape::read(&answer.body, false)
}

/// A job from Kafka to DynamoDB that has written everything, and waits.
async fn server_with_a_job(folder: &TempDir) -> (ServerProcess, u16) {
    let backends = BackendsOfProcess::shared();
    let (topic, table) = (unique("metrics"), unique("metrics"));
    create_topic(&backends.kafka(), &topic, 2).await;
    let (server, port) = started(&backends, &folder.path().join("data")).await;
    server
        .execute(&format!(
            "CREATE TABLE orders (user_id BIGINT, amount BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts) WITH ('connector' = 'kafka', \
             'topic' = '{topic}', 'format' = 'json', 'json.ignore-parse-errors' = 'true', 'scan.startup.mode' = 'earliest-offset'); \
             CREATE TABLE sums (user_id BIGINT, total BIGINT, PRIMARY KEY (user_id) NOT ENFORCED) WITH ('connector' = 'dynamodb', \
             'table-name' = '{table}', 'table.create' = 'if-not-exists'); \
             CREATE JOB sums_of_users AS INSERT INTO sums SELECT user_id, SUM(amount) FROM orders GROUP BY user_id"
        ))
        .await;
    let producer = producer(&backends.kafka(), &[]);
    for number in 0..RECORDS {
        let payload = match number {
            7 => "no JSON".to_owned(),
            _ => format!(r#"{{"user_id": {}, "amount": 1, "ts": "2026-01-01 00:00:{number:02}"}}"#, number % 5),
        };
        let partition = i32::try_from(number % 2).unwrap();
        producer.send(record(&topic, partition, "k", &payload), PATIENCE).await.unwrap();
    }
    producer.flush(PATIENCE).unwrap();
    until(JOB_PATIENCE, "all is written and acknowledged", async || {
        let splits = "SELECT count(*) FROM streamgate.job_splits WHERE lag = 0 AND read = acknowledged AND read > 0";
        let read = format!("SELECT count(*) FROM streamgate.jobs WHERE rows_in = {} AND rows_out > 0", RECORDS - 1);
        (server.query(splits).await == ["2"] && server.query(&read).await == ["1"]).then_some(())
    })
    .await;
    (server, port)
}

/// What is said of sessions and of the process.
fn check_server(scrape: &Scrape) {
    let statements = |command: &str, outcome: &str| {
        scrape.value("streamgate_statements_total", &[("command", command), ("outcome", outcome)])
    };
    assert_eq!(statements("SELECT", "error"), Some(1.0));
    assert_eq!(statements("SELECT", "cancelled"), Some(1.0));
    assert!(statements("SELECT", "ok") >= Some(2.0) && statements("CREATE JOB", "ok") == Some(1.0));
    assert!(scrape.value("streamgate_connections", &[]) >= Some(1.0));
    assert_eq!(scrape.value("streamgate_ready", &[]), Some(1.0));
    assert!(scrape.value("process_resident_memory_bytes", &[]) > Some(1e6));
}

#[tokio::test]
async fn metrics_are_what_the_tables_say_and_none_of_the_list_is_without_a_value() {
    let folder = TempDir::new().unwrap();
    let (server, port) = server_with_a_job(&folder).await;
    // One of each outcome.
    let client = server.connect().await;
    client.batch_execute("SELECT no_such_column").await.unwrap_err();
    client.batch_execute("SET statement_timeout = '50 ms'").await.unwrap();
    client.batch_execute("SELECT count(*) FROM generate_series(1, 1000000000000)").await.unwrap_err();
    client.query_one("SELECT 1::int", &[]).await.unwrap();

    let scrape = scraped(port).await;
    let missing: Vec<&str> = METRICS
        .iter()
        .filter(|entry| match entry.kind.word() {
            "histogram" => !scrape.has(&format!("{}_count", entry.name)),
            _ => !scrape.has(entry.name),
        })
        .map(|entry| entry.name)
        .collect();
    assert!(missing.is_empty(), "metrics without a value: {missing:?}");

    let name = "sums_of_users";
    let job = |metric: &str| scrape.value(metric, &[("job", name)]).unwrap_or_else(|| panic!("{metric}"));
    let columns = [
        ("rows_in", "streamgate_job_records_read_total"),
        ("rows_out", "streamgate_job_records_written_total"),
        ("bytes_in", "streamgate_job_read_bytes_total"),
        ("bytes_out", "streamgate_job_written_bytes_total"),
        ("skipped", "streamgate_job_skipped_records_total"),
        ("restarts", "streamgate_job_restarts_total"),
        ("row_errors", "streamgate_job_row_errors_total"),
    ];
    let list = columns.map(|(column, _)| column).join(", ");
    let row = server.query(&format!("SELECT {list} FROM streamgate.jobs")).await.remove(0);
    let shown: Vec<String> = columns.iter().map(|(_, metric)| job(metric).to_string()).collect();
    assert_eq!(shown.join("|"), row);
    assert_eq!(job("streamgate_job_records_read_total"), (RECORDS - 1) as f64);
    assert!(job("streamgate_job_skipped_records_total") == 1.0 && job("streamgate_job_read_bytes_total") > 0.0);
    assert!(job("streamgate_job_checkpoints_total") >= 1.0 && job("streamgate_job_checkpoints_failed_total") == 0.0);
    assert_eq!(scrape.value("streamgate_job_state", &[("job", name), ("state", "RUNNING")]), Some(1.0));
    assert_eq!(scrape.value("streamgate_job_state", &[("job", name), ("state", "FAILED")]), Some(0.0));
    for split in server.query("SELECT split, lag FROM streamgate.job_splits").await {
        let (split, lag) = split.split_once('|').unwrap();
        let lag: f64 = lag.parse().unwrap();
        assert_eq!(scrape.value("streamgate_job_lag_records", &[("job", name), ("split", split)]), Some(lag));
    }
    let operators = "SELECT operator, rows_in, rows_out, state_keys, requests, retries FROM streamgate.job_operators";
    for row in server.query(operators).await {
        let cells: Vec<&str> = row.split('|').collect();
        let metrics = [
            "streamgate_operator_rows_in_total",
            "streamgate_operator_rows_out_total",
            "streamgate_operator_state_keys",
            "streamgate_connector_requests_total",
            "streamgate_connector_retries_total",
        ];
        for (metric, cell) in metrics.iter().zip(&cells[1..]) {
            let value = scrape.value(metric, &[("job", name), ("operator", cells[0])]);
            assert_eq!(value, Some(cell.parse().unwrap()), "{metric} of {row}");
        }
    }
    check_server(&scrape);

    let open = exchange(
        port,
        "GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept: application/openmetrics-text; version=1.0.0\r\n\r\n",
    )
    .await;
    assert_eq!(open.header("content-type"), "application/openmetrics-text; version=1.0.0; charset=utf-8");
    let open = Scrape::read(&open.body, true);
    assert_eq!(open.types["streamgate_job_restarts"], "counter");
    assert_eq!(open.value("streamgate_job_records_read_total", &[("job", name)]), Some((RECORDS - 1) as f64));
}

#[tokio::test]
async fn jobs_are_shown_as_the_tables_show_them() {
    let folder = TempDir::new().unwrap();
    let (server, port) = server_with_a_job(&folder).await;
    let answer = get(port, "/jobs").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"));
    let jobs: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    let job = &jobs[0];
    assert_eq!(job["name"], "sums_of_users");
    assert_eq!((&job["state"], job["rows_in"].as_u64()), (&"RUNNING".into(), Some(RECORDS as u64 - 1)));
    let columns = "SELECT string_agg(column_name, ',' ORDER BY ordinal_position) FROM information_schema.columns \
                   WHERE table_schema = 'streamgate' AND table_name = 'jobs'";
    let mut columns: Vec<String> = server.query(columns).await[0]
        .split(',')
        .map(str::to_owned)
        .chain(["operators", "splits"].map(str::to_owned))
        .collect();
    columns.sort();
    let mut keys: Vec<&String> = job.as_object().unwrap().keys().collect();
    keys.sort();
    assert_eq!(keys, columns.iter().collect::<Vec<_>>());
    let operators: Vec<String> = job["operators"]
        .as_array()
        .unwrap()
        .iter()
        .map(|operator| format!("{}|{}", operator["operator"].as_str().unwrap(), operator["rows_out"]))
        .collect();
    assert_eq!(operators, server.query("SELECT operator, rows_out FROM streamgate.job_operators").await);
    assert_eq!(job["splits"].as_array().unwrap().len(), 2);
    assert_eq!(job["splits"][0]["lag"], 0);
    let since = job["since"].as_str().unwrap();
    assert!(since.starts_with("20") && since.ends_with('Z'), "{since}");
}
