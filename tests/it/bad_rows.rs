//! Rows and records that cannot be taken, through the front door: what `error-handling.mode` does with them in jobs and in bounded
//! INSERTs, what is counted and shown, and how a job that failed at one is stopped or led over it.

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
async fn a_job_that_fails_at_a_record_names_it_and_is_led_over_it_or_stopped_with_a_savepoint() {
    let world = World::start().await;
    world.execute(ORDERS).await;
    world.execute("CREATE JOB j AS INSERT INTO items SELECT id, amount, note FROM orders WHERE id <> 'x'").await;
    let orders = orders();
    let (first, rest) = orders.split_first().unwrap();
    world.send(&[first]).await;
    world.until("SELECT acknowledged FROM streamgate.job_splits", &["1"]).await;
    world.send(&["{broken"]).await;
    world.send(&rest.iter().map(String::as_str).collect::<Vec<_>>()).await;

    let skip = "RESUME JOB j SKIP RECORD";
    let failed = world.until_failed("j").await;
    assert!(failed.contains("topic \"bad_rows\", partition 0, offset 1: record is no JSON object"), "{failed}");
    // SHOW JOBS has it with its time.
    let shown = world.query("SHOW JOBS").await.concat();
    let time = shown.rsplit('|').next().unwrap().split(' ').next().unwrap();
    assert!(time.split(':').count() == 3 && time.split(':').all(|part| part.len() == 2), "{shown}");
    assert_eq!(world.told(skip).await[1], "job \"j\" goes over the record at offset 1 of bad_rows/0");
    // The sink's row errors are of a record too: the next one, whose item is too large.
    let failed = world.until_failed("j").await;
    assert!(failed.contains("record 2 of bad_rows/0") && failed.contains("id = 'large'"), "{failed}");
    // An offset that does not lead over it is refused; the state does not change by that.
    let told = world.told("RESUME JOB j SKIP TO (PARTITION 0 OFFSET 2)").await;
    assert!(told[0].starts_with("22023: offset 2 of bad_rows/0 is not behind offset 2"), "{told:?}");
    // A job that is paused then still knows it.
    world.execute("PAUSE JOB j").await;
    let told = world.told("RESUME JOB j SKIP TO (PARTITION 0 OFFSET 2)").await;
    assert!(told[0].starts_with("22023: offset 2 of bad_rows/0 is not behind offset 2"), "{told:?}");
    let told = world.told("RESUME JOB j SKIP TO (TOPIC 'bad_rows' PARTITION 0 OFFSET 4)").await;
    assert_eq!(told[1], "job \"j\" goes over 2 offsets of bad_rows/0, 2 to 3");
    let failed = world.until_failed("j").await;
    assert!(failed.contains("record 4 of bad_rows/0") && failed.contains("id = 'nan'"), "{failed}");

    // A server that starts anew fails at the same record, not at one it was led over.
    let world = world.killed().await;
    let again = world.until_failed("j").await;
    assert_eq!(again, failed);
    assert!(world.query("DESCRIBE JOB j").await.contains(&"skips|bad_rows/0 1 to 3".to_owned()));

    // FAILED is no dead end: a savepoint of what was decided, and then another job from it, under another mode.
    let told = world.query("STOP JOB j WITH SAVEPOINT").await;
    let savepoint = told.first().unwrap().clone();
    assert!(savepoint.contains(&world.data_dir().display().to_string()), "{savepoint}");
    assert_eq!(world.query("SELECT state FROM streamgate.jobs").await, ["STOPPED"]);
    world.execute("DROP JOB j").await;
    world
        .execute(&format!(
            "SET 'execution.savepoint.path' = '{savepoint}'; SET 'error-handling.mode' = 'log';
             CREATE JOB j AS INSERT INTO items SELECT id, amount, note FROM orders WHERE id <> 'x'"
        ))
        .await;
    // The savepoint is behind the first record; the broken one is still what the format's own option says.
    world.until_failed("j").await;
    world.execute(skip).await;
    world.until("SELECT id FROM items ORDER BY id", &["a", "b"]).await;
    world.until("SELECT row_errors, skipped FROM streamgate.jobs", &["3|1"]).await;
}

#[tokio::test]
async fn stop_works_in_every_state_of_a_job() {
    let world = World::start().await;
    world.execute(ORDERS).await;
    let state = "SELECT state FROM streamgate.jobs WHERE name = 'j'";
    for (stop, end) in [("STOP JOB j", "STOPPED"), ("PAUSE JOB j", "PAUSED"), ("STOP JOB j WITH SAVEPOINT", "STOPPED")]
    {
        world.execute("CREATE JOB j AS INSERT INTO items SELECT id, amount, note FROM orders").await;
        if stop != "STOP JOB j" {
            world
                .until(
                    "SELECT checkpoints > 0 FROM (SELECT count(*) AS checkpoints FROM streamgate.job_checkpoints) c",
                    &["t"],
                )
                .await;
        }
        world.send(&["{broken"]).await;
        world.until_failed("j").await;
        world.execute(stop).await;
        world.until(state, &[end]).await;
        // Once more, in the state that it has now.
        world.execute("STOP JOB j").await;
        world.until(state, &["STOPPED"]).await;
        world.execute("STOP JOB j WITH SAVEPOINT; DROP JOB j").await;
    }
    assert!(folders(&world.data_dir().join("savepoints")) >= 2);
}

fn folders(path: &Path) -> usize {
    std::fs::read_dir(path).map_or(0, Iterator::count)
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
}

#[tokio::test]
async fn a_delete_that_has_the_key_only_is_counted_and_told() {
    let world = World::start().await;
    world
        .send(&[
            r#"{"before":null,"after":{"id":1,"name":"a"},"op":"c"}"#,
            r#"{"before":null,"after":{"id":2,"name":"b"},"op":"c"}"#,
            r#"{"before":{"id":1},"after":null,"op":"d"}"#,
            r#"{"before":{"id":2,"name":"b"},"after":null,"op":"d"}"#,
        ])
        .await;
    world
        .execute(
            "CREATE TABLE changes (id INT, name STRING) WITH ('connector' = 'kafka', 'topic' = 'bad_rows', \
             'format' = 'debezium-json', 'scan.startup.mode' = 'earliest-offset')",
        )
        .await;
    let told = world.told("SELECT id, name FROM changes").await;
    assert_eq!(told.len(), 2, "{told:?}");
    assert_eq!(told[0], "1");
    let expected = "1 change of table \"streamgate.public.changes\" without effect: no row is equal to the old one";
    assert!(told[1].starts_with(expected) && told[1].contains("REPLICA IDENTITY"), "{told:?}");
}

#[tokio::test]
async fn a_job_counts_deletes_that_have_the_key_only_and_goes_over_definitions_of_canal() {
    let world = World::start().await;
    world
        .send(&[
            r#"{"before":null,"after":{"id":1,"name":"a"},"op":"c"}"#,
            r#"{"before":null,"after":{"id":2,"name":"b"},"op":"c"}"#,
            r#"{"before":{"id":1},"after":null,"op":"d"}"#,
            r#"{"before":{"id":2,"name":"b"},"after":null,"op":"d"}"#,
            r#"{"before":null,"after":{"id":3,"name":"c"},"op":"c"}"#,
        ])
        .await;
    world
        .execute(
            "CREATE TABLE changes (id INT, name STRING) WITH ('connector' = 'kafka', 'topic' = 'bad_rows', \
             'format' = 'debezium-json', 'scan.startup.mode' = 'earliest-offset');
             CREATE TABLE counted (name STRING, n BIGINT, PRIMARY KEY (name) NOT ENFORCED) WITH ('connector' = 'dynamodb', \
             'table-name' = 'bad_rows_items', 'table.create' = 'if-not-exists');
             CREATE JOB j AS INSERT INTO counted SELECT COALESCE(name, '-'), COUNT(*) FROM changes GROUP BY name",
        )
        .await;
    // The delete of 1 names no row that is there: the row stays, and the delete is counted.
    world.until("SELECT name, n FROM counted ORDER BY name", &["a|1", "c|1"]).await;
    // A sink by key finds no row to delete either.
    world
        .execute(
            "CREATE TABLE names (id INT, name STRING, PRIMARY KEY (name) NOT ENFORCED) WITH ('connector' = 'dynamodb', \
             'table-name' = 'bad_rows_names', 'table.create' = 'if-not-exists');
             CREATE JOB by_name AS INSERT INTO names SELECT id, COALESCE(name, '-') FROM changes",
        )
        .await;
    let of_operators = "SELECT max(unmatched_changes) FROM streamgate.job_operators WHERE job = 'by_name'";
    world.until(of_operators, &["1"]).await;
    let shown = world.query("SHOW JOBS").await.join(" ").replace('\n', " ");
    assert!(shown.contains("changes without their row 1"), "{shown}");
    let log = world.server.log();
    let said = log.lines().find(|line| line.contains("takes back a row that is not there") && line.contains("by_name"));
    assert!(said.is_some_and(|line| line.contains(r#"job{name="by_name"}:task{number="#)), "{log}");
    world.execute("DROP JOB by_name").await;
    world.until("SELECT rows_in, skipped, unmatched_changes FROM streamgate.jobs", &["5|0|1"]).await;

    let canal = |kind: &str, data: &str, is_ddl: bool| {
        format!(r#"{{"data":{data},"old":null,"database":"shop","table":"orders","type":"{kind}","isDdl":{is_ddl}}}"#)
    };
    let records = [
        canal("CREATE", "null", true),
        canal("INSERT", r#"[{"id":"1","name":"a"},{"id":"2","name":"b"}]"#, false),
        canal("ALTER", "null", true),
        canal("DELETE", r#"[{"id":"1","name":"a"}]"#, false),
        canal("TRUNCATE", "null", true),
    ];
    let producer: ThreadedProducer<DefaultProducerContext> = world.backends.kafka().create().unwrap();
    let topic = format!("{}_out", world.name);
    for record in &records {
        producer.send(BaseRecord::<(), _>::to(&topic).payload(record)).map_err(|(error, _)| error).unwrap();
    }
    tokio::task::spawn_blocking(move || producer.flush(JOB_PATIENCE)).await.unwrap().unwrap();
    world
        .execute(
            "CREATE TABLE shop (id INT, name STRING) WITH ('connector' = 'kafka', 'topic' = 'bad_rows_out', \
             'format' = 'canal-json', 'scan.startup.mode' = 'earliest-offset');
             CREATE JOB canal AS INSERT INTO counted SELECT name || ' of canal', COUNT(*) FROM shop GROUP BY name",
        )
        .await;
    assert_eq!(world.query("SELECT id, name FROM shop").await, ["2|b"]);
    world.until("SELECT name, n FROM counted WHERE name LIKE '%canal'", &["b of canal|1"]).await;
    assert_eq!(
        world.query("SELECT state, last_error FROM streamgate.jobs WHERE name = 'canal'").await,
        ["RUNNING|NULL"]
    );
}

#[tokio::test]
async fn another_declaration_is_for_the_next_job_also_where_one_has_failed() {
    let world = World::start().await;
    world.execute(ORDERS).await;
    world.execute("CREATE JOB j AS INSERT INTO items SELECT id, amount, note FROM orders").await;
    world.send(&[r#"{"id":"a","amount":1,"note":"x"}"#]).await;
    world.until("SELECT acknowledged FROM streamgate.job_splits", &["1"]).await;
    world.send(&["{broken", r#"{"id":"b","amount":2,"note":"x"}"#]).await;
    let failed = world.until_failed("j").await;
    let told = world.told("DROP TABLE orders").await;
    assert!(told.iter().any(|told| told.contains("jobs go on with what is dropped: \"j\" (reads)")), "{told:?}");
    let lenient = ORDERS.split(';').next().unwrap().replace("'json'", "'json', 'json.ignore-parse-errors' = 'true'");
    world.execute(&lenient).await;
    // The job is what it was when it was submitted.
    world.execute("RESUME JOB j").await;
    assert_eq!(world.until_failed("j").await, failed);
    // A new one takes the declaration, and goes on where the old one rests.
    let savepoint = world.query("STOP JOB j WITH SAVEPOINT").await.remove(0);
    world
        .execute(&format!(
            "SET 'execution.savepoint.path' = '{savepoint}';
             CREATE JOB k AS INSERT INTO items SELECT id, amount, note FROM orders"
        ))
        .await;
    world.until("SELECT id FROM items ORDER BY id", &["a", "b"]).await;
    world.until("SELECT state, skipped FROM streamgate.jobs WHERE name = 'k'", &["RUNNING|1"]).await;
}

#[tokio::test]
async fn a_pattern_of_sixty_five_thousand_letters_is_a_row_in_error() {
    let world = World::start().await;
    world.execute(ORDERS).await;
    let order = |id: &str, pattern: &str| format!(r#"{{"id":"{id}","amount":1,"note":"{pattern}"}}"#);
    world.send(&[&order("a", "yyyy"), &order("wide", &"y".repeat(65_536)), &order("b", "MM")]).await;
    let rows = "SELECT id, 1, DATE_FORMAT(TIMESTAMP '2024-02-03 00:00:00', note) FROM orders";
    world
        .execute(&format!(
            "CREATE JOB strict AS INSERT INTO records SELECT id, 1, DATE '2024-02-03', DATE_FORMAT(TIMESTAMP \
             '2024-02-03 00:00:00', note) FROM orders;
             SET 'error-handling.mode' = 'log'; CREATE JOB j AS INSERT INTO items {rows}"
        ))
        .await;
    world.until("SELECT id, note FROM items ORDER BY id", &["a|2024", "b|02"]).await;
    world.until("SELECT state, row_errors FROM streamgate.jobs WHERE name = 'j'", &["RUNNING|1"]).await;
    let failed = world.until_failed("strict").await;
    assert!(failed.contains("record 1 of bad_rows/0") && failed.contains("64"), "{failed}");
    assert!(failed.len() < 2000, "{} bytes", failed.len());
}

#[tokio::test]
async fn records_of_megabytes_are_taken_some_at_a_time() {
    let world = World::start().await;
    world.execute(ORDERS).await;
    let before = world.server.peak_bytes() >> 20;
    let note = "n".repeat(900_000);
    let records: Vec<String> = (0..600).map(|id| format!(r#"{{"id":"{id}","amount":{id},"note":"{note}"}}"#)).collect();
    world.send(&records.iter().map(String::as_str).collect::<Vec<_>>()).await;
    world.execute("CREATE JOB j AS INSERT INTO items SELECT id, CHAR_LENGTH(note || note), 'x' FROM orders").await;
    world.until("SELECT count(*) FROM items WHERE amount = 1800000", &["600"]).await;
    let taken = (world.server.peak_bytes() >> 20) - before;
    println!("{taken} MB");
    assert!(taken < 500, "{taken} MB");
}

#[tokio::test]
async fn a_record_that_wants_more_memory_than_there_is_is_a_row_in_error() {
    let world = World::start().await;
    world.execute(ORDERS).await;
    world
        .execute(
            "CREATE JOB j AS INSERT INTO items SELECT id, CHAR_LENGTH(REPEAT(note, CAST(amount AS INT))), note FROM orders",
        )
        .await;
    let order = |id: &str, times: u32| format!(r#"{{"id": "{id}", "amount": {times}, "note": "x"}}"#);
    // Each of the first fits alone, together they do not.
    let fits = ["a", "b", "c"].map(|id| order(id, 150_000_000));
    world.send(&fits.iter().map(String::as_str).collect::<Vec<_>>()).await;
    world.until("SELECT count(*) FROM items WHERE amount = 150000000", &["3"]).await;
    world.send(&[&order("large", 1_500_000_000), &order("d", 7)]).await;
    let failed = world.until_failed("j").await;
    assert!(
        failed.contains("record 3 of bad_rows/0") && failed.contains("out of memory: repeat would make"),
        "{failed}"
    );
    world.execute("RESUME JOB j SKIP RECORD").await;
    world.until("SELECT amount FROM items WHERE id = 'd'", &["7"]).await;
    world
        .execute(
            "STOP JOB j; SET 'error-handling.mode' = 'log'; CREATE JOB lenient AS INSERT INTO items \
         SELECT id || '-' || note, CHAR_LENGTH(REPEAT(note, CAST(amount AS INT))), note FROM orders",
        )
        .await;
    world.until("SELECT count(*) FROM items WHERE id LIKE '%-x'", &["4"]).await;
    world.until("SELECT row_errors FROM streamgate.jobs WHERE name = 'lenient'", &["1"]).await;
    let peak = world.server.peak_bytes() >> 20;
    assert!(peak < 1000, "{peak} MB");
}
