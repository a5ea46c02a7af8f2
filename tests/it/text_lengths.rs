//! CHAR(n) and VARCHAR(n) through the front door: what CAST does, what is kept and shown, and what sinks enforce.

use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use tempfile::TempDir;

use crate::backends::unique;
use crate::server::{BackendsOfProcess, JOB_PATIENCE, ServerProcess, until};

fn declared(name: &str, topic: &str) -> String {
    format!(
        "CREATE TABLE {name} (id VARCHAR(3) NOT NULL, code CHAR(4), note STRING, raw VARBINARY(2)) WITH ('connector' = 'kafka', \
         'topic' = '{topic}', 'format' = 'json', 'scan.startup.mode' = 'earliest-offset')"
    )
}

#[tokio::test]
async fn lengths_are_kept_and_shown() {
    let backends = BackendsOfProcess::shared();
    let folder = TempDir::new().unwrap();
    let server = ServerProcess::start(&backends, &folder.path().join("data")).await;
    server.execute(&declared("target", &unique("lengths"))).await;
    let described: Vec<String> = server.query("DESCRIBE target").await;
    assert!(described[0].starts_with("id|VARCHAR(3)") && described[1].starts_with("code|CHAR(4)"), "{described:?}");
    let shown = server.query("SHOW CREATE TABLE target").await.join("\n");
    assert!(shown.contains("VARCHAR(3)") && shown.contains("CHAR(4)") && shown.contains("VARBINARY(2)"), "{shown}");
    let attributes = "SELECT attname, atttypmod, format_type(atttypid, atttypmod) FROM pg_attribute \
        WHERE attrelid = 'target'::regclass AND attnum BETWEEN 1 AND 2 ORDER BY attnum";
    assert_eq!(server.query(attributes).await, ["id|7|character varying(3)", "code|8|character(4)"]);
}

#[tokio::test]
async fn lengths_are_enforced_if_that_is_asked_for() {
    let backends = BackendsOfProcess::take().await;
    let folder = TempDir::new().unwrap();
    let server = ServerProcess::start(&backends, &folder.path().join("data")).await;
    let topic = unique("lengths");
    for topic in [&topic, &format!("{topic}_out")] {
        crate::conformance::kafka::create_topic(&backends.kafka(), topic, 1).await;
    }

    server.execute(&format!("{}; {}", declared("source", &topic), declared("target", &format!("{topic}_out")))).await;

    let record = r#"{"id":"abcdef","code":"x","note":"whatever","raw":"AQIDBA=="}"#;
    let producer: ThreadedProducer<DefaultProducerContext> = backends.kafka().create().unwrap();
    producer.send(BaseRecord::<(), _>::to(&topic).payload(record)).map_err(|(error, _)| error).unwrap();
    tokio::task::spawn_blocking(move || producer.flush(JOB_PATIENCE)).await.unwrap().unwrap();
    let values = "INSERT INTO target VALUES ('abcdef', 'x', 'whatever', X'01020304')";
    let found = "SELECT DISTINCT '[' || id || ']', '[' || code || ']', note, encode(raw, 'hex') FROM target ORDER BY 1";
    let (raw, fitted) = ("[abcdef]|[x]|whatever|01020304", "[abc]|[x   ]|whatever|0102");

    // A column that is NOT NULL takes none, whatever the mode says of other rows.
    let none = "INSERT INTO target SELECT NULLIF(v, 'x'), v, v, X'01' FROM (VALUES ('x')) t(v)";
    let refused = server.connect().await.batch_execute(none).await.unwrap_err();
    assert_eq!(refused.code().map(|code| code.code()), Some("23502"), "{refused:?}");

    // As in Flink, lengths are not looked at unless that is asked for.
    server.execute(values).await;
    assert_eq!(server.query(found).await, [raw]);
    server.execute("CREATE JOB ignores AS INSERT INTO target SELECT * FROM source").await;
    let count = "SELECT count(*) FROM target";
    until(JOB_PATIENCE, "the job has written", async || (server.query(count).await == ["2"]).then_some(())).await;
    assert_eq!(server.query(found).await, [raw]);

    // One statement has one job: the next one begins once its predecessor is gone.
    server.execute("DROP JOB ignores").await;
    let enforced =
        |mode: &str, statement: &str| format!("SET 'table.exec.sink.type-length-enforcer' = '{mode}'; {statement}");
    server.execute(&enforced("TRIM_PAD", values)).await;
    let job = "CREATE JOB trims AS INSERT INTO target SELECT * FROM source";
    server.execute(&enforced("TRIM_PAD", job)).await;
    until(JOB_PATIENCE, "the job has written", async || (server.query(count).await == ["4"]).then_some(())).await;
    assert_eq!(server.query(found).await, [fitted, raw]);
    assert_eq!(server.query(&format!("{count} WHERE id = 'abc'")).await, ["2"]);

    server.execute("DROP JOB trims").await;
    let refused = server.connect().await.batch_execute(&enforced("ERROR", values)).await.unwrap_err();
    let refused = refused.as_db_error().unwrap();
    assert_eq!(refused.code().code(), "22001", "{refused:?}");
    assert!(refused.message().ends_with("a value of length 6 does not fit column \"id\" of length 3"), "{refused:?}");
    let job = enforced("ERROR", "CREATE JOB refuses AS INSERT INTO target SELECT * FROM source");
    server.execute(&job).await;
    let failed = "SELECT last_error FROM streamgate.jobs WHERE name = 'refuses' AND state = 'FAILED'";
    let error = until(JOB_PATIENCE, "the job has failed", async || server.query(failed).await.pop()).await;
    assert!(
        error.contains("a value of length 6 does not fit column \"id\"") && error.contains("record 0 of"),
        "{error}"
    );
    // Where rows may be left out, such a one is.
    server.execute("DROP JOB refuses").await;
    server
        .execute(&format!("SET 'error-handling.mode' = 'log'; {}", job.replace("JOB refuses", "JOB leaves_out")))
        .await;
    let counted = "SELECT state, row_errors FROM streamgate.jobs WHERE name = 'leaves_out'";
    until(JOB_PATIENCE, "the row is left out", async || (server.query(counted).await == ["RUNNING|1"]).then_some(()))
        .await;
    assert_eq!(server.query(count).await, ["4"]);
}

#[tokio::test]
async fn a_primary_key_on_plain_records_is_refused_as_in_flink() {
    let backends = BackendsOfProcess::shared();
    let folder = TempDir::new().unwrap();
    let server = ServerProcess::start(&backends, &folder.path().join("data")).await;
    let topic = unique("keyed");
    let create = |connector: &str, format: &str| {
        format!(
            "CREATE TABLE {} (id BIGINT, note STRING, PRIMARY KEY (id) NOT ENFORCED) WITH ('connector' = '{connector}', \
             'topic' = '{topic}', {format})",
            unique("t").replace('-', "_")
        )
    };
    let refused = server.connect().await.batch_execute(&create("kafka", "'format' = 'json'")).await.unwrap_err();
    let refused = refused.as_db_error().unwrap();
    assert_eq!(refused.code().code(), "22023");
    assert!(
        refused.message().contains("connector \"kafka\" with format \"json\" cannot have a PRIMARY KEY"),
        "{refused:?}"
    );
    assert!(refused.hint().is_some_and(|hint| hint.contains("upsert-kafka")));
    server.execute(&create("kafka", "'format' = 'debezium-json'")).await;
    server.execute(&create("upsert-kafka", "'key.format' = 'json', 'value.format' = 'json'")).await;
}
