//! Deletes that have the key only, and records of Canal that are not rows.

use super::*;

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
