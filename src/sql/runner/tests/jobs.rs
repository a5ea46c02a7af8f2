//! Jobs: their states, their plans, what is shown of them.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_submitted_paused_resumed_stopped_and_dropped() {
    let mut h = Harness::new();
    h.run(JOB_TABLES).await;
    assert_eq!(h.run("INSERT INTO target SELECT id, name FROM source").await, ["INSERT 0 0"]);
    assert_eq!(h.session.take_notices().last().unwrap().message, "job \"insert_into_target\" submitted");
    assert_eq!(h.run("CREATE JOB One AS INSERT INTO target SELECT * FROM source").await, ["CREATE JOB"]);
    let again = "CREATE JOB one AS INSERT INTO target SELECT * FROM source";
    assert_eq!(h.run(again).await, ["42710: job \"one\" already exists"]);
    assert_eq!(h.run(&again.replace("one", "IF NOT EXISTS one")).await, ["CREATE JOB"]);
    assert_eq!(h.session.take_notices().last().unwrap().message, "job \"one\" already exists, skipping");
    h.run("SET 'pipeline.name' = 'My Job'; INSERT INTO target SELECT * FROM source; RESET 'pipeline.name'").await;
    until_states(&h, &["My Job RUNNING", "insert_into_target RUNNING", "one RUNNING"]).await;
    assert_eq!(h.run("PAUSE JOB one; STOP JOB \"My Job\"").await, ["PAUSE JOB", "STOP JOB"]);
    until_states(&h, &["My Job STOPPED", "insert_into_target RUNNING", "one PAUSED"]).await;
    assert_eq!(h.run("RESUME JOB one").await, ["RESUME JOB"]);
    assert_eq!(h.run("RESUME JOB 'My Job'").await, ["55000: job \"My Job\" is stopped for good"]);
    until_states(&h, &["My Job STOPPED", "insert_into_target RUNNING", "one RUNNING"]).await;
    assert_eq!(h.run("DROP JOB one; DROP JOB 'My Job'; DROP JOB insert_into_target").await.len(), 3);
    assert_eq!(h.run("DROP JOB one").await, ["42704: job \"one\" does not exist"]);
    assert_eq!(h.run("DROP JOB IF EXISTS one").await, ["DROP JOB"]);
    assert!(h.job_states().is_empty() && h.session.server().catalog.snapshot().jobs.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_take_effect_at_commit_and_vanish_at_rollback() {
    let mut h = Harness::new();
    h.run(JOB_TABLES).await;
    let block = "CREATE TABLE other (id INT, name STRING) WITH ('connector' = 'blackhole'); \
                 CREATE JOB a AS INSERT INTO other SELECT * FROM source; INSERT INTO target SELECT * FROM source";
    h.run("BEGIN").await;
    assert_eq!(h.run(block).await, ["CREATE TABLE", "CREATE JOB", "INSERT 0 0"]);
    assert!(h.job_states().is_empty());
    assert_eq!(h.run("ROLLBACK; SHOW TABLES").await, ["ROLLBACK", "table name", "source", "target"]);
    assert!(h.job_states().is_empty() && h.session.server().catalog.snapshot().jobs.is_empty());
    h.run("BEGIN").await;
    h.run(block).await;
    assert_eq!(h.run("COMMIT").await, ["COMMIT"]);
    until_states(&h, &["a RUNNING", "insert_into_target RUNNING"]).await;
    // What stops in a block runs on when the block is rolled back, also to a savepoint.
    assert_eq!(h.run("BEGIN; STOP JOB a; ROLLBACK").await, ["BEGIN", "STOP JOB", "ROLLBACK"]);
    h.run("BEGIN; SAVEPOINT s; STOP JOB a; ROLLBACK TO s; CREATE SCHEMA x; COMMIT").await;
    until_states(&h, &["a RUNNING", "insert_into_target RUNNING"]).await;
    // A failed message submits nothing.
    assert_eq!(h.run("CREATE JOB b AS INSERT INTO target SELECT * FROM source; SELECT nope").await.len(), 2);
    assert!(!h.session.server().catalog.snapshot().jobs.contains_key("b"));
    h.run("STOP JOB a; STOP JOB insert_into_target").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_over_temporary_tables_keep_their_secrets() {
    let mut h = Harness::new();
    h.run(JOB_TABLES).await;
    let table = "CREATE TEMPORARY TABLE t (id INT, name STRING, PRIMARY KEY (id) NOT ENFORCED) WITH \
                 ('connector' = 'memory', 'name' = 't', \
                 'aws.credentials.basic.accesskeyid' = 'CANARY', 'aws.credentials.basic.secretkey' = 'CANARY')";
    assert_eq!(h.run(table).await, ["CREATE TABLE"]);
    assert_eq!(h.run("CREATE JOB j AS INSERT INTO t SELECT * FROM source").await, ["CREATE JOB"]);
    assert_eq!(h.run("PAUSE JOB j").await, ["PAUSE JOB"]);
    let server = h.session.server().clone();
    drop(h.session);
    let dataflow = serde_json::to_string(&server.catalog.snapshot().jobs["j"].dataflow).unwrap();
    let mut secrets = 0;
    for (at, _) in dataflow.match_indices("\"secret\":\"") {
        let reference = dataflow[at + 10..].split('"').next().unwrap();
        assert_eq!(server.catalog.secret(reference).unwrap(), "CANARY");
        secrets += 1;
    }
    assert_eq!(secrets, 2, "{dataflow}");
    assert!(!dataflow.contains("CANARY"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_stops_with_a_savepoint_and_another_starts_from_it() {
    let mut h = Harness::new();
    h.run(JOB_TABLES).await;
    let insert = "INSERT INTO target SELECT * FROM source";
    h.run(&format!("CREATE JOB one AS {insert}; CREATE JOB two AS {insert}")).await;
    until_states(&h, &["one RUNNING", "two RUNNING"]).await;
    assert_eq!(h.run("BEGIN; STOP JOB one WITH SAVEPOINT").await[1].split(':').next(), Some("25001"));
    h.run("ROLLBACK").await;
    let answer = h.run("STOP JOB one WITH SAVEPOINT").await;
    assert_eq!(answer[0], "savepoint path");
    let folder = h.directory.path().join("savepoints");
    assert!(answer[1].contains(&folder.display().to_string()), "{answer:?}");
    assert!(h.session.take_notices().pop().unwrap().message.ends_with(&answer[1]));
    let other = h.directory.path().join("elsewhere");
    h.run(&format!("SET 'state.savepoints.dir' = '{}'", other.display())).await;
    let elsewhere = h.run("STOP JOB two WITH SAVEPOINT WITH DRAIN").await;
    assert!(elsewhere[1].contains(&other.display().to_string()), "{elsewhere:?}");
    until_states(&h, &["one STOPPED", "two STOPPED"]).await;
    // At rest it still gives what it has decided last.
    assert!(h.run("STOP JOB two WITH SAVEPOINT").await[1].contains(&other.display().to_string()));
    assert_eq!(h.run("STOP JOB IF EXISTS nope WITH SAVEPOINT TO '/tmp'").await, ["savepoint path"]);

    h.run(&format!("SET 'execution.state-recovery.path' = '{}'", answer[1])).await;
    h.run(&format!("CREATE JOB three AS {insert}")).await;
    let notice = h.session.take_notices().pop().unwrap();
    assert_eq!(notice.message, format!("job \"three\" starts from savepoint {}", answer[1]));
    assert_eq!(h.run("SHOW execution.savepoint.path").await[1], "", "used up");
    until_states(&h, &["one STOPPED", "three RUNNING", "two STOPPED"]).await;
    assert_eq!(h.dataflow("three").settings.savepoint_path.as_deref(), Some(answer[1].as_str()));
    h.run("DROP JOB three").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prepared_statement_shows_what_jobs_do_when_it_is_executed() {
    let mut h = Harness::new();
    h.run(
        "CREATE TABLE ids (id INT) WITH ('connector' = 'datagen', 'rows-per-second' = '1000'); \
         CREATE TABLE nothing (id INT) WITH ('connector' = 'blackhole'); \
         CREATE JOB a AS INSERT INTO nothing SELECT id FROM ids",
    )
    .await;
    let statement = h.session.split("SELECT rows_in FROM streamgate.jobs").unwrap().remove(0);
    let prepared = h.session.prepare(&statement, &[]).await.unwrap();
    let mut answers = std::collections::BTreeSet::new();
    for _ in 0..500 {
        let outcome = h.session.execute(&prepared, Vec::new()).await.unwrap();
        answers.insert(lines(prepared.clone(), outcome).await.unwrap().remove(1));
        if answers.len() > 2 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert!(answers.len() > 2, "{answers:?}");
    h.run("DROP JOB a").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_shows_what_a_running_job_does() {
    let mut h = Harness::new();
    h.run(JOB_TABLES).await;
    h.run("CREATE JOB a AS INSERT INTO target SELECT id, max(name) FROM source GROUP BY id").await;
    until_states(&h, &["a RUNNING"]).await;
    let lines = h.run("EXPLAIN ANALYZE JOB a").await;
    assert_eq!(lines.len(), h.run("EXPLAIN JOB 'A'").await.len());
    let text = lines.join("\n");
    for part in [
        "Source: streamgate.public.source",
        "GroupAggregate: ",
        "rows in ",
        "busy ",
        "back-pressured ",
        "state ",
        "State: RUNNING",
        "Checkpoints: ",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    assert!(h.run("DESCRIBE JOB a").await.join("\n").contains("back-pressured"));
    assert_eq!(h.error("EXPLAIN JOB nope").await.sqlstate().code(), "42704");
    h.run("DROP JOB a").await;
}

#[tokio::test]
async fn distinct_counts_are_one_aggregate_in_jobs() {
    let mut h = Harness::new();
    h.run(JOB_TABLES).await;
    let explain = "EXPLAIN INSERT INTO target SELECT id, CAST(count(DISTINCT name) AS STRING) FROM source GROUP BY id";
    let plan = h.run(explain).await.join("\n");
    assert_eq!(plan.matches("GroupAggregate").count(), 1, "{plan}");
}

#[tokio::test]
async fn state_ttl_hints_reach_the_aggregate_of_their_query() {
    let mut h = Harness::new();
    h.run(JOB_TABLES).await;
    h.run("CREATE VIEW names AS SELECT id, name FROM source WHERE id > 3; SET 'table.exec.state.ttl' = '5 s'").await;
    for (query, expected) in [
        ("SELECT id, max(name) FROM source GROUP BY id", "5000"),
        ("SELECT /*+ STATE_TTL('source' = '1 d') */ id, max(name) FROM source GROUP BY id", "86400000"),
        ("SELECT /*+ STATE_TTL('S' = '2 s') */ s.id, max(s.name) FROM source s WHERE s.id > 7 GROUP BY s.id", "2000"),
        ("SELECT /*+ STATE_TTL('source' = '3 s') */ x.id, max(NAME) FROM source AS x (id, name) GROUP BY x.id", "3000"),
        ("SELECT /*+ STATE_TTL('names' = '4 s') */ id, max(name) FROM names GROUP BY id", "4000"),
        ("SELECT /*+ STATE_TTL('q' = '6 s') */ id, max(name) FROM (SELECT * FROM source) q GROUP BY id", "6000"),
        (
            "WITH c AS (SELECT * FROM source) SELECT /*+ STATE_TTL('c' = '7 s') */ id, max(name) FROM c GROUP BY id",
            "7000",
        ),
        ("SELECT /*+ STATE_TTL('source' = '8 s') */ DISTINCT id, name FROM source", "8000"),
        (
            "SELECT id + 1, max(m) FROM (SELECT /*+ STATE_TTL('source' = '9 s') */ id, max(name) AS m FROM source GROUP BY id) \
             GROUP BY id + 1",
            "5000,9000",
        ),
    ] {
        let plan = h.run(&format!("EXPLAIN INSERT INTO target {query}")).await.join("\n");
        let found: Vec<&str> =
            plan.split("forgotten after ").skip(1).filter_map(|rest| rest.split(' ').next()).collect();
        assert_eq!(found.join(","), expected, "{query}\n{plan}");
    }
    let plan = h
        .run("EXPLAIN INSERT INTO target SELECT /*+ STATE_TTL('source' = '0 s') */ id, max(name) FROM source GROUP BY id")
        .await
        .join("\n");
    assert!(plan.contains("GroupAggregate") && !plan.contains("forgotten"), "{plan}");
    let error = h.error("SELECT /*+ STATE_TTL('nope' = '1 d') */ count(*) FROM source").await;
    assert_eq!((error.sqlstate().code(), error.position()), ("42P01", Some(8)), "{error}");
    assert!(h.run("SELECT /*+ STATE_TTL('source' = 'soon') */ count(*) FROM source").await[0].contains("STATE_TTL"));
}
