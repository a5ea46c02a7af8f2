//! Rights over a whole server with back ends: look-ups by function, and what a restart keeps.

use super::{refused, rows};
use crate::server::{BackendsOfProcess, ServerProcess};

const DENIED: &str = "42501 permission denied for table t";

#[tokio::test(flavor = "multi_thread")]
async fn a_function_reads_with_its_callers_rights_and_a_restart_keeps_them() {
    let backends = BackendsOfProcess::take().await;
    let folder = tempfile::tempdir().unwrap();
    let mut server = ServerProcess::spawn(&backends, &folder.path().join("data"), &[]);
    assert!(server.until_it_answers().await.is_none(), "{}", server.log());
    // It stays a superuser's session, which may act as anybody.
    let client = server.connect().await;
    client
        .batch_execute(
            "CREATE TABLE t (id INT, n INT, PRIMARY KEY (id) NOT ENFORCED)
                 WITH ('connector' = 'dynamodb', 'table-name' = 'of_rights', 'table.create' = 'if-not-exists');
             INSERT INTO t VALUES (1, 5);
             CREATE FUNCTION total(x INT) RETURNS BIGINT LANGUAGE SQL AS 'SELECT SUM(n) FROM t WHERE id = x';
             CREATE TABLE endless (id INT) WITH ('connector' = 'datagen', 'rows-per-second' = '1');
             CREATE TABLE sink (id INT, total BIGINT) WITH ('connector' = 'blackhole');
             CREATE USER admin SUPERUSER PASSWORD 'open sesame'; CREATE USER ann; CREATE USER bob;
             CREATE USER test SUPERUSER;
             GRANT SELECT ON endless TO ann; GRANT INSERT ON sink TO ann; GRANT CREATE ON DATABASE streamgate TO ann",
        )
        .await
        .unwrap();
    let call = "SELECT total(id) FROM (VALUES (1)) AS x (id)";
    let create = "CREATE JOB j AS INSERT INTO sink SELECT id, total(id) FROM endless";
    client.batch_execute("SET SESSION AUTHORIZATION ann").await.unwrap();
    for statement in [call, create, &format!("EXPLAIN {call}")] {
        let told = refused(&client, statement).await;
        assert_eq!(told, "42501 function \"total\": permission denied for table t", "{statement}");
    }
    client
        .batch_execute("RESET SESSION AUTHORIZATION; GRANT SELECT ON t TO ann; SET SESSION AUTHORIZATION ann")
        .await
        .unwrap();
    assert_eq!(rows(&client, call).await, ["5"]);
    client.batch_execute(create).await.unwrap();
    client.batch_execute("PAUSE JOB j; RESET SESSION AUTHORIZATION; REVOKE SELECT ON t FROM ann").await.unwrap();
    assert_eq!(refused(&client, "RESUME JOB j").await, DENIED, "a look-up is a right that a job needs");
    client.batch_execute("GRANT OPERATE ON JOB j TO bob").await.unwrap();
    drop(client);
    assert!(server.terminate().success());
    let mut server =
        ServerProcess::spawn(&backends, &folder.path().join("data"), &[("STREAMGATE_AUTH", "trust".to_owned())]);
    assert!(server.until_it_answers().await.is_none(), "{}", server.log());
    let admin = server.connect().await;
    assert!(rows(&admin, "DESCRIBE JOB j").await.contains(&"owner|ann".to_owned()));
    assert_eq!(refused(&admin, "RESUME JOB j").await, DENIED);
    let acl = "SELECT relacl FROM pg_class WHERE relname = 'endless'";
    assert_eq!(rows(&admin, acl).await, ["{admin=arwdDxt/admin,ann=r/admin}"]);
    admin
        .batch_execute("GRANT SELECT ON t TO ann; SET ROLE bob; RESUME JOB j; STOP JOB j; RESET ROLE; DROP JOB j")
        .await
        .unwrap();
    assert!(server.terminate().success());
}
