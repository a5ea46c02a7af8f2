//! INSERTs that run together: statement sets, whole and in pieces, and those of a block.

use super::*;

const TWO_TARGETS: &str = "CREATE TABLE other (id INT) WITH ('connector' = 'blackhole')";

const TWO_INSERTS: [&str; 2] =
    ["INSERT INTO target SELECT * FROM source WHERE id > 5", "INSERT INTO other SELECT id FROM source"];

#[tokio::test(flavor = "multi_thread")]
async fn statement_sets_are_one_job_that_reads_its_source_once() {
    let mut h = Harness::new();
    h.run(JOB_TABLES).await;
    h.run(TWO_TARGETS).await;
    let inserts = format!("{}; {};", TWO_INSERTS[0], TWO_INSERTS[1]);
    assert_eq!(h.run(&format!("EXECUTE STATEMENT SET BEGIN {inserts} END; SELECT 1")).await[0], "INSERT 0 0");
    let notice = h.session.take_notices().pop().unwrap();
    assert_eq!(notice.message, "job \"insert_into_target\" submitted");
    assert!(notice.detail.unwrap().starts_with("It holds INSERT INTO target, INSERT INTO other"));
    assert_eq!(h.run(&format!("CREATE JOB a AS BEGIN STATEMENT SET; {inserts} END;")).await, ["CREATE JOB"]);
    h.run("SET 'pipeline.name' = 'b'").await;
    assert_eq!(h.run(&format!("BEGIN STATEMENT SET; {inserts} END;")).await, ["INSERT 0 0"]);
    for job in ["insert_into_target", "a", "b"] {
        assert_eq!(h.reads_and_writes(job), (1, vec!["target".to_owned(), "other".to_owned()]), "{job}");
    }
    assert!(
        h.session.server().catalog.snapshot().jobs["a"].statement.starts_with("EXECUTE STATEMENT SET BEGIN\nINSERT")
    );
    until_states(&h, &["a RUNNING", "b RUNNING", "insert_into_target RUNNING"]).await;
    let plan = h.run(&format!("EXPLAIN STATEMENT SET BEGIN {inserts} END")).await.join("\n");
    assert_eq!((plan.matches("Sink: ").count(), plan.matches("Source: ").count()), (2, 1), "{plan}");
    assert!(h.run(&format!("CREATE JOB a AS EXECUTE STATEMENT SET BEGIN {inserts} END")).await[0].starts_with("42710"));
    h.run("STOP JOB a; STOP JOB b; STOP JOB insert_into_target").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn statement_sets_come_in_pieces_from_psql() {
    let mut h = Harness::new();
    h.run(JOB_TABLES).await;
    h.run(TWO_TARGETS).await;
    let first = TWO_INSERTS[0];
    let open = format!("EXECUTE STATEMENT SET BEGIN {first};");
    for (name, pieces, expected) in [
        ("a", vec!["BEGIN STATEMENT SET;", first, TWO_INSERTS[1], "END;"], "BEGIN,INSERT 0 0,INSERT 0 0,INSERT 0 0"),
        ("b", vec![&*open, TWO_INSERTS[1], "END"], "EXECUTE STATEMENT SET,INSERT 0 0,INSERT 0 0"),
    ] {
        h.run(&format!("SET 'pipeline.name' = '{name}'")).await;
        let mut tags = Vec::new();
        for (place, piece) in pieces.iter().enumerate() {
            let is_open = if place == 0 { TransactionStatus::Idle } else { TransactionStatus::Open };
            assert_eq!(h.session.transaction_status(), is_open);
            tags.extend(h.run(piece).await);
        }
        assert_eq!(tags.join(","), expected);
        assert_eq!(h.session.transaction_status(), TransactionStatus::Idle);
        assert_eq!(h.reads_and_writes(name), (1, vec!["target".to_owned(), "other".to_owned()]));
    }
    for piece in [format!("CREATE JOB c AS {open}"), TWO_INSERTS[1].to_owned(), "END".to_owned()] {
        h.run(&piece).await;
    }
    assert_eq!(h.reads_and_writes("c").0, 1);
    for piece in [format!("EXPLAIN {open}"), TWO_INSERTS[1].to_owned()] {
        h.run(&piece).await;
    }
    assert!(h.run("END").await.join("\n").contains("Sink: streamgate.public.target"));
    // psql's ON_ERROR_ROLLBACK puts savepoints around what it sends.
    h.run("RESET 'pipeline.name'").await;
    for piece in ["BEGIN STATEMENT SET", "SAVEPOINT s", first, "RELEASE s", "SAVEPOINT s", "SELECT 1", "ROLLBACK TO s"]
    {
        h.run(piece).await;
    }
    assert_eq!(h.run("END").await, ["INSERT 0 0"]);
    assert_eq!(h.reads_and_writes("insert_into_target").1, ["target"]);
    assert_eq!(h.job_names().len(), 4);
    h.run("DROP JOB a; DROP JOB b; DROP JOB c; DROP JOB insert_into_target").await;
}

#[tokio::test]
async fn an_error_in_a_statement_set_drops_all_of_it() {
    let mut h = Harness::new();
    h.run(JOB_TABLES).await;
    for opening in [
        "BEGIN STATEMENT SET",
        "EXECUTE STATEMENT SET BEGIN INSERT INTO nope SELECT 1",
        "EXECUTE STATEMENT SET BEGIN INSRT",
    ] {
        h.run(opening).await;
        h.run("INSERT INTO target SELECT nope FROM source").await;
        assert_eq!(h.session.transaction_status(), TransactionStatus::Failed);
        assert!(h.run(TWO_INSERTS[0]).await[0].starts_with("25P02"), "{opening}");
        assert_eq!(h.run("END").await, ["ROLLBACK"]);
        assert_eq!(h.session.transaction_status(), TransactionStatus::Idle);
    }
    h.run("BEGIN STATEMENT SET").await;
    h.run(TWO_INSERTS[0]).await;
    assert_eq!(h.run("ROLLBACK").await, ["ROLLBACK"]);
    h.run("BEGIN STATEMENT SET").await;
    h.run(TWO_INSERTS[0]).await;
    assert!(h.run("SELECT 1").await[0].starts_with("0A000: only INSERT"));
    assert_eq!(h.run("COMMIT").await, ["ROLLBACK"]);
    assert!(
        h.run(&format!("EXECUTE STATEMENT SET BEGIN {}; INSERT INTO nope SELECT 1; END", TWO_INSERTS[0])).await[0]
            .starts_with("42P01")
    );
    assert!(h.job_names().is_empty());
    // A set that fails in a block fails the block.
    h.run("BEGIN").await;
    h.run("BEGIN STATEMENT SET").await;
    h.run("SELECT 1").await;
    assert_eq!(h.run("END").await, ["ROLLBACK"]);
    assert_eq!(h.session.transaction_status(), TransactionStatus::Failed);
    assert_eq!(h.run("COMMIT").await, ["ROLLBACK"]);
    assert_eq!(h.session.transaction_status(), TransactionStatus::Idle);
    // In a failed block the set's END is not the block's.
    for statement in ["BEGIN", "SELECT nope", "BEGIN STATEMENT SET", TWO_INSERTS[0], "END"] {
        h.run(statement).await;
    }
    assert_eq!(h.session.transaction_status(), TransactionStatus::Failed);
    h.run("ROLLBACK").await;
    assert!(h.job_names().is_empty());
}

#[tokio::test]
async fn bounded_inserts_of_a_statement_set_run_one_after_the_other() {
    let mut h = Harness::new();
    h.run(TABLE).await;
    h.run(JOB_TABLES).await;
    let first = "INSERT INTO orders (order_id) VALUES (1), (2)";
    let second = "INSERT INTO orders (order_id) SELECT order_id + 10 FROM orders";
    assert_eq!(h.run(&format!("EXECUTE STATEMENT SET BEGIN {first}; {second}; END")).await, ["INSERT 0 4"]);
    assert_eq!(h.run("SELECT count(*) FROM orders").await, ["count", "4"]);
    let mixed = format!("EXECUTE STATEMENT SET BEGIN {first}; {}; END", TWO_INSERTS[0]);
    assert_eq!(h.error(&mixed).await.sqlstate().code(), "0A000");
    assert_eq!(h.run("SELECT count(*) FROM orders").await, ["count", "4"]);
    assert!(h.job_names().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn inserts_of_a_block_become_one_job_at_commit() {
    let mut h = Harness::new();
    h.run(JOB_TABLES).await;
    h.run("BEGIN").await;
    h.run(TWO_TARGETS).await;
    for insert in TWO_INSERTS {
        assert_eq!(h.run(insert).await, ["INSERT 0 0"]);
    }
    h.run("SAVEPOINT s").await;
    h.run("INSERT INTO other SELECT 1 FROM source").await;
    h.run("ROLLBACK TO s").await;
    h.run("CREATE JOB alone AS INSERT INTO other SELECT id FROM source").await;
    assert_eq!(h.run("COMMIT").await, ["COMMIT"]);
    assert_eq!(h.job_names(), ["alone", "insert_into_target"]);
    assert_eq!(h.reads_and_writes("insert_into_target"), (1, vec!["target".to_owned(), "other".to_owned()]));
    // INSERTs with other settings are another job.
    h.run("BEGIN; SET LOCAL pipeline.name = 'b'").await;
    h.run(TWO_INSERTS[0]).await;
    h.run("SET 'parallelism.default' = '2'").await;
    h.run(TWO_INSERTS[1]).await;
    h.run("COMMIT").await;
    assert_eq!(h.job_names(), ["alone", "b", "b_2", "insert_into_target"]);
    assert_eq!(h.dataflow("b_2").settings.parallelism(), 2);
    h.run("BEGIN").await;
    h.run(TWO_INSERTS[0]).await;
    h.run("ROLLBACK").await;
    // A failed block submits nothing.
    h.run("BEGIN").await;
    h.run(TWO_INSERTS[0]).await;
    h.run("SELECT nope").await;
    assert_eq!(h.run("COMMIT").await, ["ROLLBACK"]);
    assert_eq!(h.job_names().len(), 4);
    h.run("DROP JOB alone; DROP JOB b; DROP JOB b_2; DROP JOB insert_into_target").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_insert_that_looks_up_what_its_block_writes_is_a_job_of_its_own() {
    let mut h = Harness::new();
    h.run(JOB_TABLES).await;
    h.run(
        "CREATE TABLE sums (id INT, name STRING, PRIMARY KEY (id) NOT ENFORCED) \
         WITH ('connector' = 'memory', 'name' = 'sums')",
    )
    .await;
    let function =
        "CREATE FUNCTION named(i INT) RETURNS STRING LANGUAGE SQL AS 'SELECT MAX(name) FROM sums WHERE id = i'";
    assert_eq!(h.run(function).await, ["CREATE FUNCTION"]);
    let [fill, lookup] =
        ["INSERT INTO sums SELECT * FROM source", "INSERT INTO target SELECT id, named(id) FROM source"];
    let refused = h.run(&format!("EXECUTE STATEMENT SET BEGIN {fill}; {lookup}; END")).await;
    assert!(
        refused[0].starts_with("0A000: function \"named\" looks up table \"streamgate.public.sums\""),
        "{refused:?}"
    );
    h.run("BEGIN").await;
    for insert in [lookup, fill, "INSERT INTO target SELECT * FROM source"] {
        h.run(insert).await;
    }
    assert_eq!(h.run("COMMIT").await, ["COMMIT"]);
    assert_eq!(h.job_names(), ["insert_into_sums", "insert_into_target"]);
    assert_eq!(h.reads_and_writes("insert_into_sums"), (1, vec!["sums".to_owned(), "target".to_owned()]));
    assert_eq!(h.dataflow("insert_into_target").lookups().count(), 1);
    h.run("DROP JOB insert_into_sums; DROP JOB insert_into_target").await;
}
