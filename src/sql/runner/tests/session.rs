//! What a session keeps: blocks, settings.

use super::*;

#[tokio::test]
async fn blocks_commit_together_or_not_at_all() {
    let mut h = Harness::new();
    h.run("begin").await;
    h.run(TABLE).await;
    assert_eq!(h.run("show tables").await, ["table name", "orders"]);
    assert!(h.session.server().catalog.snapshot().schema("streamgate", "public").unwrap().tables.is_empty());
    assert_eq!(h.run("rollback; show tables").await, ["ROLLBACK", "table name"]);
    h.run("begin").await;
    h.run(TABLE).await;
    h.run("savepoint a").await;
    h.run("create schema s").await;
    assert_eq!(h.run("select nope").await, ["42703: column \"nope\" does not exist"]);
    assert_eq!(h.session.transaction_status(), TransactionStatus::Failed);
    assert!(h.run("select 1").await[0].starts_with("25P02"));
    assert_eq!(h.run("rollback to a").await, ["ROLLBACK"]);
    assert_eq!(h.run("commit").await, ["COMMIT"]);
    assert_eq!(h.run("show databases").await, ["database name", "public"]);
    assert_eq!(h.run("show tables").await, ["table name", "orders"]);
    // A failed message leaves nothing, a failed block ends in ROLLBACK.
    assert_eq!(h.run("create schema t; select nope").await.len(), 2);
    assert_eq!(h.run("show databases").await, ["database name", "public"]);
    h.run("begin").await;
    h.run("select nope").await;
    assert_eq!(h.run("commit").await, ["ROLLBACK"]);
}

#[tokio::test]
async fn settings_of_both_worlds() {
    let mut h = Harness::new();
    assert_eq!(h.run("show transaction isolation level").await, ["transaction_isolation", "read committed"]);
    assert_eq!(
        h.run("set statement_timeout = '5min'; show statement_timeout").await[1..],
        ["statement_timeout", "5min"]
    );
    assert_eq!(h.session.statement_timeout(), Some(std::time::Duration::from_secs(300)));
    assert_eq!(h.run("set statement_timeout to 1500; show statement_timeout").await[2], "1500ms");
    assert_eq!(h.run("set execution.checkpointing.interval = '500 ms'").await, ["SET"]);
    assert_eq!(h.run("set 'pipeline.name' = 'x'; show pipeline.name").await[2], "x");
    assert!(h.run("set 'table.exec.source.idle-timeout' = '1 s'").await[0].starts_with("0A000"));
    let error = h.error("set statement_timout = 1").await;
    assert_eq!(
        (error.sqlstate().code(), error.hint_text()),
        ("42704", Some("Perhaps you mean \"statement_timeout\"."))
    );
    h.run("begin; set local timezone = 'Europe/Berlin'; commit").await;
    assert_eq!(h.run("show timezone").await[1], "UTC");
    h.session.take_parameter_changes();
    h.run("set application_name = 'a'; set extra_float_digits = 3").await;
    assert_eq!(h.session.take_parameter_changes(), [("application_name".to_owned(), "a".to_owned())]);
}

#[tokio::test]
async fn settings_without_effect_say_so() {
    let mut h = Harness::new();
    assert_eq!(h.run("SET 'table.exec.mini-batch.size' = '5000'").await, ["SET"]);
    assert!(h.session.take_notices()[0].message.starts_with("table.exec.mini-batch.size: without effect"));
}
