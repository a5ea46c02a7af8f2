//! A job that waits says for what, and since when: in SHOW JOBS, streamgate.jobs, DESCRIBE JOB and EXPLAIN ANALYZE JOB.

use std::path::Path;
use std::time::Duration;

use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use tempfile::TempDir;

use crate::backends::unique;
use crate::conformance::kafka::create_topic;
use crate::faults::dynamodb_proxy::{DynamoDbProxy, Faults};
use crate::server::{BackendsOfProcess, JOB_PATIENCE, ServerProcess, until};

/// A topic and a table with names of their own, and a job `copy` from one to the other.
struct Copy {
    backends: BackendsOfProcess,
    topic: String,
    table: String,
    _folder: TempDir,
    server: ServerProcess,
}

impl Copy {
    async fn start(table_options: impl Fn(&Path) -> String) -> Self {
        let backends = BackendsOfProcess::shared();
        let (topic, table) = (unique("waits"), unique("waits"));
        create_topic(&backends.kafka(), &topic, 1).await;
        let folder = TempDir::new().unwrap();
        let server = ServerProcess::start(&backends, &folder.path().join("data")).await;
        let options = table_options(folder.path());
        server
            .execute(&format!(
                "CREATE TABLE numbers (n BIGINT) WITH ('connector' = 'kafka', 'topic' = '{topic}', 'format' = 'json', \
                 'scan.startup.mode' = 'earliest-offset');
                 CREATE TABLE kept (n BIGINT, PRIMARY KEY (n) NOT ENFORCED) WITH ('connector' = 'dynamodb', \
                 'table-name' = '{table}', 'aws.region' = 'us-east-1', 'table.create' = 'if-not-exists'{options});
                 CREATE JOB copy AS INSERT INTO kept SELECT n FROM numbers"
            ))
            .await;
        Self { backends, topic, table, _folder: folder, server }
    }

    async fn send(&self, numbers: std::ops::Range<u32>) {
        let producer: ThreadedProducer<DefaultProducerContext> = self.backends.kafka().create().unwrap();
        for number in numbers {
            let payload = format!("{{\"n\":{number}}}");
            producer.send(BaseRecord::<(), _>::to(&self.topic).payload(&payload)).map_err(|(error, _)| error).unwrap();
        }
        tokio::task::spawn_blocking(move || producer.flush(JOB_PATIENCE)).await.unwrap().unwrap();
    }

    async fn until_kept(&self, count: i32) {
        let deadline = std::time::Instant::now() + JOB_PATIENCE;
        loop {
            let scanned = self.backends.dynamodb().scan().table_name(&self.table).send().await;
            if scanned.is_ok_and(|scanned| scanned.count == count) {
                return;
            }
            if std::time::Instant::now() > deadline {
                let job = self.server.query("SELECT state, waits_for, last_error FROM streamgate.jobs").await;
                panic!("not all items are there: {job:?}");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until the job says that it waits for something like this.
    async fn until_it_waits_for(&self, reason: &str) {
        until_it_waits_for(&self.server, "copy", reason).await;
    }

    async fn until_it_does_not_wait(&self) {
        until(JOB_PATIENCE, "the job waits no more", async || {
            (self.server.query("SELECT waits_for, waits_since FROM streamgate.jobs").await == ["NULL|NULL"])
                .then_some(())
        })
        .await;
    }
}

async fn until_it_waits_for(server: &ServerProcess, job: &str, reason: &str) {
    let query = format!(
        "SELECT waits_for FROM streamgate.jobs WHERE name = '{job}' AND waits_since BETWEEN created_at AND now()"
    );
    let deadline = std::time::Instant::now() + JOB_PATIENCE;
    loop {
        let waits = server.query(&query).await;
        if waits.iter().any(|text| text.contains(reason)) {
            return;
        }
        assert!(
            std::time::Instant::now() < deadline,
            "job {job} waits for {waits:?} and not for {reason}\n{}",
            server.log()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_job_behind_a_paused_writer_names_it_and_has_no_rate() {
    let backends = BackendsOfProcess::take().await;
    let folder = TempDir::new().unwrap();
    let server = ServerProcess::start(&backends, &folder.path().join("data")).await;
    create_topic(&backends.kafka(), crate::server::TOPIC, 1).await;
    for script in streamgate::demo::SCRIPTS {
        server.execute(script.text).await;
    }
    server.execute("PAUSE JOB insert_into_dynamodb_orders").await;
    let producer: ThreadedProducer<DefaultProducerContext> = backends.kafka().create().unwrap();
    let order =
        r#"{"order_id":1,"order_amount":1.00,"user_id":7,"order_status":"1","created_at":"2026-01-02 03:04:05.000"}"#;
    producer.send(BaseRecord::<(), _>::to(crate::server::TOPIC).payload(order)).map_err(|(error, _)| error).unwrap();
    tokio::task::spawn_blocking(move || producer.flush(JOB_PATIENCE)).await.unwrap().unwrap();

    let reason = "job \"insert_into_dynamodb_orders\", which is PAUSED";
    until_it_waits_for(&server, "insert_into_user_features", reason).await;
    until(JOB_PATIENCE, "the rate is that of the last second", async || {
        let rates = "SELECT rows_per_second = 0 FROM streamgate.jobs WHERE name = 'insert_into_user_features'";
        (server.query(rates).await == ["t"]).then_some(())
    })
    .await;
    let explained = server.query("EXPLAIN ANALYZE JOB insert_into_user_features").await.join("\n");
    assert!(explained.contains(&format!("Waits for {reason} since 20")), "{explained}");
    let described = server.query("DESCRIBE JOB insert_into_user_features").await;
    assert!(described.contains(&format!("waits_for|{reason}")), "{described:?}");
    // What SHOW JOBS has no room for: the statement and the id, here and in streamgate.jobs.
    let id_and_statement = "SELECT id, statement FROM streamgate.jobs WHERE name = 'insert_into_user_features'";
    let row = server.query(id_and_statement).await.remove(0);
    let (id, statement) = row.split_once('|').unwrap();
    assert!(statement.starts_with("INSERT INTO user_features"), "{statement}");
    for line in [format!("id|{id}"), format!("statement|{statement}")] {
        assert!(described.contains(&line), "{line} is not in {described:?}");
    }

    // The table of all jobs fits a terminal of 100 columns.
    let shown = server.query("SHOW JOBS").await;
    let waiting = shown.iter().find(|row| row.starts_with("insert_into_user_features|RUNNING|")).unwrap();
    let without_blanks = |text: &str| text.split_whitespace().collect::<String>();
    assert!(without_blanks(waiting).contains(&without_blanks(reason)), "{waiting}");
    let mut widths = ["name", "state", "waits for", "lag", "rows/s", "since", "last error"].map(str::len);
    for row in &shown {
        for (width, cell) in widths.iter_mut().zip(row.split('|')) {
            let cell = if cell == "NULL" { "" } else { cell };
            *width = cell.split('\n').map(|line| line.chars().count()).fold(*width, usize::max);
        }
    }
    assert!(widths.iter().map(|width| width + 3).sum::<usize>() - 1 <= 100, "{widths:?} {shown:?}");

    server.execute("RESUME JOB insert_into_dynamodb_orders").await;
    until(JOB_PATIENCE, "nobody waits any more", async || {
        (server.query("SELECT count(waits_for) FROM streamgate.jobs").await == ["0"]).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_job_whose_sink_does_not_answer_waits_for_acknowledgements() {
    let shared = BackendsOfProcess::shared();
    let proxy = DynamoDbProxy::start(&shared.dynamodb_endpoint, 61).await;
    let endpoint = proxy.endpoint();
    let copy = Copy::start(|_| {
        format!(
            ", 'aws.endpoint' = '{endpoint}', 'aws.credentials.basic.accesskeyid' = 'a', \
             'aws.credentials.basic.secretkey' = 's'"
        )
    })
    .await;
    copy.send(0..3).await;
    copy.until_kept(3).await;
    proxy.set(Faults { delay: Duration::from_secs(600), ..Faults::default() });
    copy.send(3..6).await;
    copy.until_it_waits_for("acknowledgements of table \"kept\"").await;
    proxy.set(Faults { throttled: 1000, ..Faults::default() });
    copy.server.execute("PAUSE JOB copy").await;
    copy.server.execute("RESUME JOB copy").await;
    copy.until_it_waits_for("DynamoDB, which throttles").await;
    proxy.heal();
    copy.until_kept(6).await;
    copy.until_it_does_not_wait().await;
}

#[tokio::test]
async fn a_job_waits_for_the_one_that_it_replaces_and_for_room_and_answers() {
    let shared = BackendsOfProcess::shared();
    let proxy = DynamoDbProxy::start(&shared.dynamodb_endpoint, 62).await;
    let endpoint = proxy.endpoint();
    let copy = Copy::start(|_| {
        format!(
            ", 'aws.endpoint' = '{endpoint}', 'aws.credentials.basic.accesskeyid' = 'a', \
             'aws.credentials.basic.secretkey' = 's', 'sink.requests.max-buffered' = '50'"
        )
    })
    .await;
    copy.send(0..3).await;
    copy.until_kept(3).await;
    let not_answering = Faults { delay: Duration::from_secs(600), ..Faults::default() };
    proxy.set(not_answering);
    // More than the writer takes; the old job is given some seconds to write what it has read, and the new one waits for it.
    copy.send(3..300).await;
    copy.until_it_waits_for("table \"kept\" to take rows").await;
    copy.server.execute("CREATE OR REPLACE JOB copy AS INSERT INTO kept SELECT n + 0 FROM numbers").await;
    copy.until_it_waits_for("the job that it replaces to end").await;
    assert_eq!(copy.server.query("SELECT rows_in FROM streamgate.jobs").await, ["0"]);
    proxy.heal();
    copy.until_kept(300).await;
    copy.until_it_does_not_wait().await;

    // Lookups that are not answered.
    copy.server.execute("DROP JOB copy").await;
    proxy.set(not_answering);
    copy.server
        .execute(
            "CREATE FUNCTION kept_of(i BIGINT) RETURNS BIGINT LANGUAGE SQL AS $$ SELECT count(*) FROM kept WHERE n = i $$; \
             CREATE TABLE nothing (n BIGINT) WITH ('connector' = 'blackhole'); \
             CREATE JOB copy AS INSERT INTO nothing SELECT kept_of(n) FROM numbers",
        )
        .await;
    copy.until_it_waits_for("answers of table \"kept\"").await;
    proxy.heal();
    copy.server.execute("PAUSE JOB copy; RESUME JOB copy").await;
    copy.until_it_does_not_wait().await;
}

#[tokio::test]
async fn a_job_without_credentials_waits_for_them() {
    // Statements may name files of the data directory.
    let profile = |folder: &Path| folder.join("data").join("credentials");
    let copy = Copy::start(|folder| {
        std::fs::write(profile(folder), "[default]\naws_access_key_id = a\naws_secret_access_key = s\n").unwrap();
        let endpoint = BackendsOfProcess::shared().dynamodb_endpoint;
        format!(
            ", 'aws.endpoint' = '{endpoint}', 'aws.credentials.provider' = 'PROFILE', \
             'aws.credentials.profile.path' = '{}', 'aws.credentials.profile.name' = 'default'",
            profile(folder).display()
        )
    })
    .await;
    copy.send(0..3).await;
    copy.until_kept(3).await;
    let data_dir = copy._folder.path().join("data");
    let backends = BackendsOfProcess::shared();
    let Copy { topic, table, _folder, server, .. } = copy;
    server.kill();
    let file = profile(_folder.path());
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    let server = ServerProcess::start(&backends, &data_dir).await;
    let copy = Copy { backends, topic, table, _folder, server };
    copy.until_it_waits_for("AWS credentials").await;
    let states = copy.server.query("SELECT state, last_error_at IS NOT NULL FROM streamgate.jobs").await;
    assert_eq!(states, ["RETRYING|t"]);
    std::fs::write(&file, text).unwrap();
    copy.send(3..6).await;
    copy.until_kept(6).await;
    copy.until_it_does_not_wait().await;
}
