//! Rows and records that cannot be taken, through the front door: what `error-handling.mode` does with them in jobs and in bounded
//! INSERTs, what is counted and shown, and how a job that failed at one is stopped or led over it.

mod deletes;
mod failed_jobs;
mod large;

use std::path::Path;

use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use tempfile::TempDir;

use crate::backends::unique;
use crate::faults::dynamodb_proxy::{DynamoDbProxy, REFUSED};
use crate::server::{BackendsOfProcess, JOB_PATIENCE, ServerProcess, until};

/// What the tests call their topics and tables; there they have a name of their own.
const NAME: &str = "bad_rows";

/// A server on backends of its own, and a topic with one partition.
struct World {
    server: ServerProcess,
    backends: BackendsOfProcess,
    folder: TempDir,
    name: String,
}

impl World {
    async fn start() -> Self {
        let backends = BackendsOfProcess::take().await;
        let folder = TempDir::new().unwrap();
        let server = ServerProcess::start(&backends, &folder.path().join("data")).await;
        let name = unique(NAME);
        for topic in [name.clone(), format!("{name}_out")] {
            crate::conformance::kafka::create_topic(&backends.kafka(), &topic, 1).await;
        }
        Self { server, backends, folder, name }
    }

    /// The same after a kill -9.
    async fn killed(self) -> Self {
        let Self { server, backends, folder, name } = self;
        server.kill();
        let server = ServerProcess::start(&backends, &folder.path().join("data")).await;
        Self { server, backends, folder, name }
    }

    async fn execute(&self, script: &str) {
        self.server.execute(&script.replace(NAME, &self.name)).await;
    }

    async fn query(&self, query: &str) -> Vec<String> {
        let rows = self.server.query(&query.replace(NAME, &self.name)).await;
        rows.into_iter().map(|row| row.replace(&self.name, NAME)).collect()
    }

    async fn send(&self, records: &[&str]) {
        let topic = self.name.as_str();
        let producer: ThreadedProducer<DefaultProducerContext> = self.backends.kafka().create().unwrap();
        for record in records {
            producer.send(BaseRecord::<(), _>::to(topic).payload(*record)).map_err(|(error, _)| error).unwrap();
        }
        tokio::task::spawn_blocking(move || producer.flush(JOB_PATIENCE)).await.unwrap().unwrap();
    }

    /// Waits until a query gives this.
    async fn until(&self, query: &str, expected: &[&str]) {
        let mut last = Vec::new();
        let deadline = std::time::Instant::now() + JOB_PATIENCE;
        while last != expected {
            assert!(
                std::time::Instant::now() < deadline,
                "{query}\ngives {last:?}, not {expected:?}\n{:?}\n{}",
                self.query("SELECT name, state, last_error, last_row_error FROM streamgate.jobs").await,
                self.server.log()
            );
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            last = self.query(query).await;
        }
    }

    async fn until_failed(&self, job: &str) -> String {
        let query = format!("SELECT state, last_error FROM streamgate.jobs WHERE name = '{job}'");
        until(JOB_PATIENCE, "the job has failed", async || {
            self.query(&query).await.into_iter().find_map(|row| row.strip_prefix("FAILED|").map(str::to_owned))
        })
        .await
    }

    /// What a statement tells beside its result.
    async fn told(&self, statement: &str) -> Vec<String> {
        let told = notices(self.server.port, &statement.replace(NAME, &self.name)).await;
        told.into_iter().map(|told| told.replace(&self.name, NAME)).collect()
    }

    fn data_dir(&self) -> std::path::PathBuf {
        self.folder.path().join("data")
    }
}

/// Runs a statement in a session of its own; its command tag, then its notices.
async fn notices(port: u16, statement: &str) -> Vec<String> {
    use futures::StreamExt;
    let settings = format!("host=127.0.0.1 port={port} user=test dbname=streamgate");
    let (client, mut connection) = tokio_postgres::connect(&settings, tokio_postgres::NoTls).await.unwrap();
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    let mut messages = futures::stream::poll_fn(move |context| connection.poll_message(context));
    let reading = tokio::spawn(async move {
        while let Some(Ok(message)) = messages.next().await {
            if let tokio_postgres::AsyncMessage::Notice(notice) = message {
                let detail = notice.detail().map(|detail| format!(" ({detail})")).unwrap_or_default();
                sender.send(format!("{}{detail}", notice.message())).unwrap();
            }
        }
    });
    let mut told = Vec::new();
    match client.simple_query(statement).await {
        Ok(answer) => {
            for message in answer {
                if let tokio_postgres::SimpleQueryMessage::CommandComplete(rows) = message {
                    told.push(rows.to_string());
                }
            }
        }
        Err(error) => {
            let error = error.as_db_error().unwrap();
            told.push(format!("{}: {} ({})", error.code().code(), error.message(), error.detail().unwrap_or("-")));
        }
    }
    drop(client);
    reading.await.unwrap();
    while let Some(notice) = receiver.recv().await {
        told.push(notice);
    }
    told
}

const ORDERS: &str = "CREATE TABLE orders (id STRING, amount DOUBLE, note STRING, day DATE) WITH ('connector' = 'kafka', \
    'topic' = 'bad_rows', 'format' = 'json', 'scan.startup.mode' = 'earliest-offset', \
    'properties.message.max.bytes' = '4000000');
    CREATE TABLE items (id STRING, amount DOUBLE, note STRING, PRIMARY KEY (id) NOT ENFORCED) WITH ('connector' = 'dynamodb', \
    'table-name' = 'bad_rows_items', 'table.create' = 'if-not-exists');
    CREATE TABLE records (id STRING, amount DOUBLE, day DATE, note STRING NOT NULL) WITH ('connector' = 'kafka', \
    'topic' = 'bad_rows_out', 'format' = 'json', 'scan.startup.mode' = 'earliest-offset');";

/// Good ones, one above 400 KB, one whose key is above 2 KB, one that DynamoDB has no number for.
fn orders() -> Vec<String> {
    let order = |id: &str, amount: &str, note: &str| {
        format!(r#"{{"id":"{id}","amount":{amount},"note":"{note}","day":"2024-02-03"}}"#)
    };
    vec![
        order("a", "1", "x"),
        order("large", "2", &"n".repeat(410_000)),
        order(&"k".repeat(2100), "3", "x"),
        order("nan", "\"NaN\"", "x"),
        order("b", "5", "x"),
    ]
}

#[tokio::test]
async fn log_leaves_out_counts_and_names_what_a_sink_cannot_hold() {
    let world = World::start().await;
    let orders = orders();
    world.send(&orders.iter().map(String::as_str).collect::<Vec<_>>()).await;
    world.execute(ORDERS).await;
    world
        .execute(
            "SET 'error-handling.mode' = 'log';
             CREATE JOB to_items AS INSERT INTO items SELECT id, amount, note FROM orders;
             CREATE JOB to_records AS INSERT INTO records SELECT id, amount, day, \
             CASE WHEN id <> 'nan' THEN note END FROM orders",
        )
        .await;
    world.until("SELECT row_errors FROM streamgate.jobs ORDER BY name", &["3", "1"]).await;
    world.until("SELECT id FROM items ORDER BY id", &["a", "b"]).await;
    world.until("SELECT substring(id, 1, 5) FROM records", &["a", "large", "kkkkk", "b"]).await;
    let last = world.query("SELECT state, last_row_error FROM streamgate.jobs ORDER BY name").await;
    assert!(
        last[0].starts_with("RUNNING|table \"streamgate.public.items\"") && last[0].contains("id = 'nan'"),
        "{last:?}"
    );
    assert!(
        last[1].starts_with("RUNNING|null value in column \"note\" of table \"streamgate.public.records\"")
            && last[1].contains("id = nan"),
        "{last:?}"
    );
    let log = world.server.log();
    for named in ["the item with id = 'large' has 41", "2048 bytes", "id = 'nan'", "null value in column \"note\""] {
        assert!(log.contains(named), "{named}\n{log}");
    }

    // What a job leaves out, an INSERT that ends leaves out as well, and says so.
    let bounded = "INSERT INTO records SELECT id, amount, DATE '2024-02-03', 'y' FROM items UNION ALL \
         SELECT 'bad', 1e0, DATE '2024-02-03', NULLIF('y', 'y')";
    let told = world.told(&format!("SET 'error-handling.mode' = 'log'; {bounded}")).await;
    assert_eq!(told[1], "2");
    assert!(told[2].starts_with("1 row left out that cannot be written") && told[2].contains("id = bad"), "{told:?}");
    let told = world.told(bounded).await;
    assert!(
        told[0].starts_with("23502: null value in column \"note\" of table \"streamgate.public.records\""),
        "{told:?}"
    );
    assert!(told[0].contains("id = bad"), "{told:?}");
}

#[tokio::test]
async fn configuration_errors_end_a_job_whatever_the_mode_and_rows_do_not() {
    let world = World::start().await;
    world.execute(ORDERS).await;
    world.send(&[r#"{"id":"7","day":"2024-02-03"}"#, r#"{"id":"x","day":"2024-02-03"}"#]).await;
    world
        .execute(
            "CREATE TABLE out (n BIGINT, t STRING) WITH ('connector' = 'blackhole');
             SET 'error-handling.mode' = 'log';
             CREATE JOB of_rows AS INSERT INTO out SELECT CAST(id AS BIGINT), id FROM orders;
             CREATE JOB of_all AS INSERT INTO out SELECT 1, DATE_FORMAT(CAST(day AS TIMESTAMP), 'yyyy ''') FROM orders;
             CREATE JOB of_regex AS INSERT INTO out SELECT 1, regexp_replace(id, '(', 'x') FROM orders",
        )
        .await;
    world.until("SELECT state, row_errors FROM streamgate.jobs WHERE name = 'of_rows'", &["RUNNING|1"]).await;
    // The row is named.
    let last = world.query("SELECT last_row_error FROM streamgate.jobs WHERE name = 'of_rows'").await.concat();
    assert!(last.contains("The row is (id = x)"), "{last}");
    let failed = world.until_failed("of_all").await;
    assert!(failed.contains("unterminated quote"), "{failed}");
    world.until_failed("of_regex").await;
    // The constant is what is told, also where a row has a fault of its own.
    world
        .execute(
            "CREATE JOB of_both AS INSERT INTO out SELECT 1, DATE_FORMAT(CAST(id AS TIMESTAMP), 'yyyy ''') FROM orders",
        )
        .await;
    let failed = world.until_failed("of_both").await;
    assert!(failed.contains("unterminated quote"), "{failed}");
    let counts = "SELECT row_errors FROM streamgate.jobs WHERE name LIKE 'of_all' OR name LIKE 'of_regex'";
    assert_eq!(world.query(counts).await, ["0", "0"]);
}

#[tokio::test]
async fn what_only_dynamodb_knows_to_be_no_item_is_found_among_its_neighbours() {
    let world = World::start().await;
    let proxy = DynamoDbProxy::start(&world.backends.dynamodb_endpoint, 9).await;
    let own = format!(
        "'table.create' = 'if-not-exists', 'aws.endpoint' = '{}', 'aws.region' = 'us-east-1', \
         'aws.credentials.basic.accesskeyid' = 'a', 'aws.credentials.basic.secretkey' = 's'",
        proxy.endpoint()
    );
    world.execute(&ORDERS.replace("'table.create' = 'if-not-exists'", &own)).await;
    let record = |number: usize| {
        let note = if number == 17 { REFUSED } else { "x" };
        format!(r#"{{"id":"{number}","amount":1,"note":"{note}"}}"#)
    };
    let records: Vec<String> = (0..40).map(record).collect();
    world.send(&records.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let job = "CREATE JOB j AS INSERT INTO items SELECT id, amount, note FROM orders";
    world.execute(&format!("SET 'error-handling.mode' = 'log'; {job}")).await;
    world.until("SELECT count(*) FROM items", &["39"]).await;
    world.until("SELECT state, row_errors FROM streamgate.jobs", &["RUNNING|1"]).await;
    let last = world.query("SELECT last_row_error FROM streamgate.jobs").await.concat();
    assert!(last.contains("ValidationException") && last.contains("The row's key is id = '17'"), "{last}");
    // Where rows are not left out, that one is the job's error.
    world.execute(&format!("DROP JOB j; SET 'error-handling.mode' = 'off'; {job}")).await;
    let failed = world.until_failed("j").await;
    assert!(failed.contains("The row's key is id = '17'"), "{failed}");
}

#[tokio::test]
async fn a_sum_that_does_not_fit_leaves_out_its_group_alone_until_it_fits_again() {
    let world = World::start().await;
    world.execute(ORDERS).await;
    world
        .execute(
            "CREATE TABLE sums (id STRING, total DECIMAL(38, 0), PRIMARY KEY (id) NOT ENFORCED) WITH ('connector' = 'dynamodb', \
             'table-name' = 'bad_rows_sums', 'table.create' = 'if-not-exists');
             SET 'error-handling.mode' = 'log';
             CREATE JOB j AS INSERT INTO sums SELECT id, SUM(CAST(note AS DECIMAL(38, 0))) FROM orders GROUP BY id",
        )
        .await;
    let record = |id: &str, note: &str| format!(r#"{{"id":"{id}","note":"{note}"}}"#);
    let nines = "9".repeat(38);
    for (records, expected) in [
        (vec![record("a", &nines), record("b", "1")], vec![format!("a|{nines}"), "b|1".to_owned()]),
        (vec![record("a", "5"), record("b", "2")], vec!["b|3".to_owned()]),
        (vec![record("a", "-6"), record("b", "3")], vec![format!("a|{}8", "9".repeat(37)), "b|6".to_owned()]),
    ] {
        world.send(&records.iter().map(String::as_str).collect::<Vec<_>>()).await;
        let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
        world.until("SELECT id, total FROM sums ORDER BY id", &expected).await;
    }
    assert_eq!(world.query("SELECT state, row_errors > 0 FROM streamgate.jobs").await, ["RUNNING|t"]);
}

#[tokio::test]
async fn a_table_that_is_another_one_now_is_no_fault_of_the_rows() {
    let world = World::start().await;
    world.execute(ORDERS).await;
    world
        .execute(
            "SET 'error-handling.mode' = 'log'; CREATE JOB j AS INSERT INTO items SELECT id, amount, note FROM orders",
        )
        .await;
    world.send(&[r#"{"id":"a","amount":1}"#]).await;
    world.until("SELECT acknowledged FROM streamgate.job_splits", &["1"]).await;
    let (dynamodb, table) = (world.backends.dynamodb(), format!("{}_items", world.name));
    dynamodb.delete_table().table_name(&table).send().await.unwrap();
    crate::scripts::create_table(&dynamodb, &table, &[("another", "S")]).await;
    world.send(&[r#"{"id":"b","amount":2}"#, r#"{"id":"c","amount":3}"#]).await;
    let failed = world.until_failed("j").await;
    assert!(failed.contains("The table's key is") && failed.contains("and was (id)"), "{failed}");
    assert_eq!(world.query("SELECT row_errors FROM streamgate.jobs").await, ["0"]);
}

#[tokio::test]
async fn what_becomes_null_and_what_has_no_key_is_counted_and_told() {
    let world = World::start().await;
    let mut records: Vec<String> = (0..50).map(|n| format!(r#"{{"id":"{n}","amount":{n}}}"#)).collect();
    records.extend((0..7).map(|n| format!(r#"{{"id":"bad{n}","amount":"many"}}"#)));
    records.extend((0..3).map(|n| format!(r#"{{"amount":{n}}}"#)));
    records.push("{broken".to_owned());
    world.send(&records.iter().map(String::as_str).collect::<Vec<_>>()).await;
    for (name, bounded) in [("orders", ""), ("bounded", ", 'scan.bounded.mode' = 'latest-offset'")] {
        world
            .execute(&format!(
                "CREATE TABLE {name} (id STRING, amount DOUBLE) WITH ('connector' = 'kafka', 'topic' = 'bad_rows', \
                 'format' = 'json', 'json.ignore-parse-errors' = 'true', 'scan.startup.mode' = 'earliest-offset'{bounded})"
            ))
            .await;
    }
    world
        .execute(
            "CREATE TABLE items (id STRING, amount DOUBLE, PRIMARY KEY (id) NOT ENFORCED) WITH ('connector' = 'dynamodb', \
             'table-name' = 'bad_rows_items', 'table.create' = 'if-not-exists');
             CREATE JOB j AS INSERT INTO items SELECT id, amount FROM orders WHERE amount >= 0",
        )
        .await;
    let shown = "SELECT rows_in, skipped, null_keys, nulled_values, row_errors FROM streamgate.jobs";
    world.until(shown, &["60|4|3|7|0"]).await;
    let line = world.query("SHOW JOBS").await.join(" ").replace('\n', " ");
    assert!(line.contains("left out: records 1, NULL keys 3, values read as NULL 7"), "{line}");
    let expected = [
        "50",
        "1 record of table \"streamgate.public.bounded\" left out: unreadable or empty",
        "7 values of table \"streamgate.public.bounded\" cannot be read: NULL instead (Option ignore-parse-errors of the table's format says so.)",
        "3 rows left out of table \"streamgate.public.items\": the key is NULL or empty",
    ];
    let mut told = world.told("INSERT INTO items SELECT id, amount FROM bounded WHERE amount >= 0").await;
    told[1..].sort();
    let mut sorted = expected;
    sorted[1..].sort_unstable();
    assert_eq!(told, sorted);
    // A query tells it too.
    let told = world.told("SELECT count(amount) FROM bounded").await;
    assert!(told.iter().any(|notice| notice.starts_with("7 values of table")), "{told:?}");
    // So does a cursor, whatever runs between its statements.
    let cursor = "BEGIN; DECLARE c CURSOR FOR SELECT count(amount) FROM bounded; SELECT count(*) FROM bounded LIMIT 0; FETCH c; COMMIT";
    let told = world.told(cursor).await;
    assert!(told.iter().any(|notice| notice.starts_with("7 values of table")), "{told:?}");
}
