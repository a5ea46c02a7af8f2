//! Tables as they were declared: case, clauses, secrets, places of mistakes.

use super::*;

#[tokio::test]
async fn tables_fold_and_columns_keep_their_case() {
    let mut h = Harness::new();
    assert_eq!(h.run(&TABLE.replace("orders", "Orders")).await, ["CREATE TABLE"]);
    assert_eq!(h.run("SHOW TABLES").await, ["table name", "orders"]);
    let error = h.error("select nope from ORDERS").await;
    assert_eq!((error.sqlstate().code(), error.position()), ("42703", Some(8)));
    let error = h.error("select usrId from orders").await;
    assert_eq!(error.hint_text(), Some("Perhaps you meant to reference the column \"userId\"."));
    let error = h.error("select * from order_s").await;
    assert_eq!((error.sqlstate().code(), error.message()), ("42P01", "relation \"order_s\" does not exist"));
    assert_eq!(error.position(), Some(15));
    assert_eq!(error.hint_text(), Some("Perhaps you mean \"orders\"."));
    assert_eq!(h.run("DROP TABLE \"Orders\"").await, ["DROP TABLE"]);
    assert_eq!(h.run("DROP TABLE orders").await, ["42P01: table \"orders\" does not exist"]);
    assert_eq!(h.run("DROP TABLE IF EXISTS orders").await, ["DROP TABLE"]);
    assert_eq!(h.session.take_notices().last().unwrap().message, "table \"orders\" does not exist, skipping");
}

#[tokio::test]
async fn secrets_are_never_shown_or_stored_in_the_clear() {
    let mut h = Harness::new();
    let create = "CREATE TABLE k (a INT) WITH ('connector' = 'memory', 'name' = 'k', \
                  'aws.credentials.basic.secretkey' = 'canary-1', 'aws.credentials.basic.accesskeyid' = '')";
    h.run(create).await;
    let shown = h.run("SHOW CREATE TABLE k").await.join("\n");
    if shown.contains("CREATE TABLE") {
        assert!(shown.contains("'aws.credentials.basic.secretkey' = '******'"), "{shown}");
        assert!(shown.contains("'aws.credentials.basic.accesskeyid' = ''"), "{shown}");
    }
    assert!(!shown.contains("canary"));
    for entry in std::fs::read_dir(h.directory.path()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(!String::from_utf8_lossy(&bytes).contains("canary"));
    }
}

#[tokio::test]
async fn the_blanked_value_points_at_the_place() {
    let mut h = Harness::new();
    let text = "CREATE TABLE t (a INT) WITH ('connector' = 'kafka', 'key' =,\n'b' = 'c')";
    let error = h.error(text).await;
    assert_eq!(error.sqlstate().code(), "42601");
    assert_eq!(error.position(), Some(text.find("=,").unwrap() + 2));
    assert!(error.hint_text().unwrap().contains("'key' = '…'"));
}

#[tokio::test]
async fn every_clause_is_shown_as_it_was_declared() {
    let mut h = Harness::new();
    let declared = "CREATE TABLE `public`.`t` (
  `a` INT NOT NULL COMMENT 'it''s a',
  `B b` VARCHAR(255),
  `m` BIGINT METADATA FROM 'offset' VIRTUAL,
  `ts` TIMESTAMP(3),
  `c` AS a * 2 COMMENT 'twice',
  `r` ROW<x INT, y ARRAY<STRING>>,
  WATERMARK FOR `ts` AS ts - INTERVAL '5' SECOND,
  PRIMARY KEY (`a`) NOT ENFORCED
)
COMMENT 'all of it'
PARTITIONED BY (`a`)
WITH (
  'connector' = 'memory',
  'name' = 't'
)";
    assert_eq!(h.run(declared).await, ["CREATE TABLE"]);
    assert_eq!(h.run("SHOW CREATE TABLE t").await[1], declared);
    h.run("INSERT INTO t (a, ts) VALUES (21, NULL)").await;
    assert_eq!(h.run("SELECT `b c` FROM t").await[0], "42703: column \"b c\" does not exist");
    assert_eq!(h.run("SELECT C, `b b`, A FROM t").await, ["c|B b|a", "42|NULL|21"]);
    assert_eq!(h.error("INSERT INTO t (c) SELECT 1").await.sqlstate().code(), "428C9");
    assert_eq!(h.run("DESCRIBE t").await.len(), 7);
    let server = h.session.server().clone();
    assert_eq!(run(&mut open(&server), "SHOW CREATE TABLE t").await[1], declared);
}
