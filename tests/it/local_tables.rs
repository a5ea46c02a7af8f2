//! Tables whose rows the server keeps, over the wire: what is there after a kill, parameters, and who waits for whom.

use std::time::Duration;

use tempfile::TempDir;
use tokio_postgres::error::SqlState;

use crate::server::{BackendsOfProcess, ServerProcess};

async fn server(folder: &TempDir) -> (BackendsOfProcess, ServerProcess) {
    let backends = BackendsOfProcess::shared();
    let server = ServerProcess::start(&backends, &folder.path().join("data")).await;
    (backends, server)
}

#[tokio::test]
async fn committed_rows_survive_a_kill_and_others_do_not() {
    let folder = TempDir::new().unwrap();
    let (backends, server) = server(&folder).await;
    server
        .execute(
            "CREATE TABLE t (a INT PRIMARY KEY, b TEXT DEFAULT 'x', c INT[]);
             INSERT INTO t VALUES (1, 'one', ARRAY[1, 2]), (2, 'two', NULL), (3, 'three', ARRAY[]::INT[]);
             CREATE TABLE log (line TEXT);
             CREATE TABLE gone (a INT)",
        )
        .await;
    server.execute("INSERT INTO log VALUES ('a'), ('a'); INSERT INTO gone VALUES (1)").await;
    server.execute("UPDATE t SET b = 'zwei' WHERE a = 2").await;
    server.execute("DELETE FROM t WHERE a = 3; DROP TABLE gone").await;
    let client = server.connect().await;
    client.batch_execute("BEGIN; INSERT INTO t VALUES (9, 'nine', NULL); TRUNCATE log").await.unwrap();
    server.kill();

    let server = ServerProcess::start(&backends, &folder.path().join("data")).await;
    assert_eq!(server.query("SELECT * FROM t").await, ["1|one|{1,2}", "2|zwei|NULL"]);
    assert_eq!(server.query("SELECT * FROM log").await, ["a", "a"]);
    // Numbers of rows go on, and the constraints hold.
    server.execute("INSERT INTO log VALUES ('b'); INSERT INTO t (a) VALUES (4)").await;
    assert_eq!(server.query("SELECT * FROM log").await, ["a", "a", "b"]);
    let error = server.connect().await.batch_execute("INSERT INTO t VALUES (1)").await.unwrap_err();
    assert_eq!(error.code(), Some(&SqlState::UNIQUE_VIOLATION));
    server.execute("CREATE TABLE gone (a INT)").await;
    assert_eq!(server.query("SELECT * FROM gone").await, [""; 0]);
    assert!(server.terminate().success());
}

#[tokio::test]
async fn what_was_acknowledged_before_a_kill_is_there() {
    let folder = TempDir::new().unwrap();
    let (backends, server) = server(&folder).await;
    server.execute("CREATE TABLE t (a INT PRIMARY KEY); CREATE TABLE sums (id INT PRIMARY KEY, n INT)").await;
    server.execute("INSERT INTO sums VALUES (1, 0)").await;
    let client = server.connect().await;
    let (told, mut tells) = tokio::sync::mpsc::channel(1000);
    let writer = tokio::spawn(async move {
        for a in 1.. {
            let both = format!("BEGIN; INSERT INTO t VALUES ({a}); UPDATE sums SET n = n + {a}; COMMIT");
            if client.batch_execute(&both).await.is_err() || told.send(a).await.is_err() {
                return;
            }
        }
    });
    let mut acknowledged: i64 = 0;
    while acknowledged < 20 {
        acknowledged = tells.recv().await.unwrap();
    }
    server.kill();
    while let Some(a) = tells.recv().await {
        acknowledged = a;
    }
    writer.await.unwrap();

    let server = ServerProcess::start(&backends, &folder.path().join("data")).await;
    let found = server.query("SELECT count(*), max(a), sum(a) = (SELECT n FROM sums) FROM t").await;
    // The last one may have been committed when its answer could not be told any more.
    let wanted = [acknowledged, acknowledged + 1].map(|count| format!("{count}|{count}|t"));
    assert!(wanted.contains(&found[0]), "{found:?}, acknowledged {acknowledged}");
    assert!(server.terminate().success());
}

#[tokio::test]
async fn parameters_stand_in_every_change() {
    let folder = TempDir::new().unwrap();
    let (_backends, server) = server(&folder).await;
    let client = server.connect().await;
    client.batch_execute("CREATE TABLE t (a INT PRIMARY KEY, b TEXT, n BIGINT)").await.unwrap();
    let insert =
        client.prepare("INSERT INTO t (a, b, n) VALUES ($1, $2, $3) RETURNING a + 1 AS next, b").await.unwrap();
    assert_eq!(insert.params().iter().map(|param| param.name()).collect::<Vec<_>>(), ["int4", "text", "int8"]);
    assert_eq!(insert.columns().iter().map(|column| column.name()).collect::<Vec<_>>(), ["next", "b"]);
    for (a, b, n) in [(1, "one", 10_i64), (2, "two", 20), (3, "three", 30)] {
        let row = client.query_one(&insert, &[&a, &b, &n]).await.unwrap();
        assert_eq!((row.get::<_, i32>(0), row.get::<_, &str>(1)), (a + 1, b));
    }
    let error = client.query_one(&insert, &[&1, &"again", &0_i64]).await.unwrap_err();
    assert_eq!(error.code(), Some(&SqlState::UNIQUE_VIOLATION));
    assert_eq!(error.as_db_error().unwrap().detail(), Some("Key (a)=(1) already exists."));

    assert_eq!(
        client.execute("UPDATE t SET b = $1, n = n + $2 WHERE a >= $3", &[&"new", &5_i64, &2]).await.unwrap(),
        2
    );
    let upsert = "INSERT INTO t VALUES ($1, $2, $3) ON CONFLICT (a) DO UPDATE SET n = t.n + excluded.n + $4";
    assert_eq!(client.execute(upsert, &[&3, &"x", &100_i64, &1_i64]).await.unwrap(), 1);
    let rows = client.query("DELETE FROM t WHERE a = $1 OR n > $2 RETURNING n", &[&1, &100_i64]).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.get::<_, i64>(0)).collect::<Vec<_>>(), [10, 136]);
    let rows = client.query("SELECT a, b, n FROM t", &[]).await.unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!((rows[0].get::<_, i32>(0), rows[0].get::<_, &str>(1), rows[0].get::<_, i64>(2)), (2, "new", 25));

    // The same statement in a transaction of the client's, taken back.
    let transaction = "BEGIN";
    client.batch_execute(transaction).await.unwrap();
    client.query_one(&insert, &[&7, &"seven", &0_i64]).await.unwrap();
    client.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(client.query("SELECT a FROM t", &[]).await.unwrap().len(), 1);
    assert!(server.terminate().success());
}

#[tokio::test]
async fn a_table_is_shown_as_a_statement_that_makes_it_again() {
    let folder = TempDir::new().unwrap();
    let (_backends, server) = server(&folder).await;
    let shown = "CREATE TABLE `public`.`t` (
  `id` INT NOT NULL GENERATED BY DEFAULT AS IDENTITY,
  `name` VARCHAR(3) DEFAULT upper('x') || 'y',
  `n` DECIMAL(76, 38) NOT NULL,
  CONSTRAINT `the key` PRIMARY KEY (`id`),
  CONSTRAINT `t_name_key` UNIQUE (`name`),
  CONSTRAINT `t_n_check` CHECK (n > 0),
  CONSTRAINT `whole` CHECK (id < 100 OR n = 1)
)
WITH (
  'connector' = 'local'
)";
    server
        .execute(
            "CREATE TABLE t (id SERIAL CONSTRAINT \"the key\" PRIMARY KEY, \
             name VARCHAR(3) UNIQUE DEFAULT upper('x') || 'y', n NUMERIC NOT NULL CHECK (n > 0), \
             CONSTRAINT whole CHECK (id < 100 OR n = 1))",
        )
        .await;
    for _ in 0..2 {
        assert_eq!(server.query("SHOW CREATE TABLE t").await, [shown]);
        server.execute("INSERT INTO t (n) VALUES (0.5)").await;
        assert_eq!(server.query("SELECT * FROM t").await, ["1|Xy|0.5"]);
        server.execute(&format!("DROP TABLE t; {shown}")).await;
    }
    assert!(server.terminate().success());
}

#[tokio::test]
async fn temporary_rows_are_of_their_session_alone() {
    let folder = TempDir::new().unwrap();
    let (_backends, server) = server(&folder).await;
    let (one, other) = (server.connect().await, server.connect().await);
    one.batch_execute("CREATE TEMP TABLE t (a INT PRIMARY KEY); INSERT INTO t VALUES (1), (2)").await.unwrap();
    let error = other.query("SELECT * FROM t", &[]).await.unwrap_err();
    assert_eq!(error.code(), Some(&SqlState::UNDEFINED_TABLE));
    other.batch_execute("CREATE TEMP TABLE t (z TEXT); INSERT INTO t VALUES ('x')").await.unwrap();
    // They hold up nobody either.
    other.batch_execute("CREATE TABLE stored (a INT); BEGIN; INSERT INTO stored VALUES (1)").await.unwrap();
    assert_eq!(one.execute("UPDATE t SET a = a + 10", &[]).await.unwrap(), 2);
    assert_eq!(other.query_one("SELECT z FROM t", &[]).await.unwrap().get::<_, &str>(0), "x");
    let rows = one.query("SELECT a FROM t", &[]).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.get::<_, i32>(0)).collect::<Vec<_>>(), [11, 12]);
    assert!(server.terminate().success());
}

#[tokio::test]
async fn a_second_writer_waits_for_the_first_and_then_sees_its_rows() {
    let folder = TempDir::new().unwrap();
    let (_backends, server) = server(&folder).await;
    server.execute("CREATE TABLE t (id INT PRIMARY KEY, n INT); INSERT INTO t VALUES (1, 0)").await;
    let (first, second, third) = (server.connect().await, server.connect().await, server.connect().await);
    first.batch_execute("BEGIN; UPDATE t SET n = n + 1").await.unwrap();
    let waiting = tokio::spawn(async move { second.execute("UPDATE t SET n = n + 10", &[]).await });
    // Nobody waits to read, and a time-out ends the wait.
    third.batch_execute("SET statement_timeout = '300ms'").await.unwrap();
    assert_eq!(third.query_one("SELECT n FROM t", &[]).await.unwrap().get::<_, i32>(0), 0);
    let error = third.execute("DELETE FROM t", &[]).await.unwrap_err();
    assert_eq!(error.code(), Some(&SqlState::QUERY_CANCELED));
    assert!(!waiting.is_finished());
    third.batch_execute("SET statement_timeout = 0; SET lock_timeout = '10ms'").await.unwrap();
    for change in ["TRUNCATE t", "DROP TABLE t"] {
        let error = third.batch_execute(change).await.unwrap_err();
        assert_eq!(error.code(), Some(&SqlState::LOCK_NOT_AVAILABLE), "{change}");
    }
    first.batch_execute("COMMIT").await.unwrap();
    assert_eq!(tokio::time::timeout(Duration::from_secs(60), waiting).await.unwrap().unwrap().unwrap(), 1);
    assert_eq!(third.query_one("SELECT n FROM t", &[]).await.unwrap().get::<_, i32>(0), 11);

    // A client that goes away in the middle holds up nobody.
    first.batch_execute("BEGIN; UPDATE t SET n = 0").await.unwrap();
    drop(first);
    third.batch_execute("SET lock_timeout = '60s'; UPDATE t SET n = n + 100").await.unwrap();
    assert_eq!(third.query_one("SELECT n FROM t", &[]).await.unwrap().get::<_, i32>(0), 111);
    assert!(server.terminate().success());
}
