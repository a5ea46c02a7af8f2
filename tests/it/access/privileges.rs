//! What roles may do: superusers everything, all others read.

use super::*;

#[tokio::test]
async fn who_is_no_superuser_only_reads() {
    let (server, admin) = owned_server().await;
    admin
        .batch_execute(&format!(
            "CREATE TABLE t (id INT) WITH ('connector' = 'datagen', 'number-of-rows' = '3', 'fields.id.kind' = 'sequence',
                 'fields.id.start' = '1', 'fields.id.end' = '3');
             CREATE TABLE sink (id INT) WITH ('connector' = 'blackhole');
             CREATE VIEW v AS SELECT id FROM t;
             CREATE USER reader PASSWORD '{PASSWORD}'"
        ))
        .await
        .unwrap();
    let reader = login(&server, "reader").await.unwrap();
    for (client, expected) in [(&admin, "on"), (&reader, "off")] {
        let shown = client.query_one("SHOW is_superuser", &[]).await.unwrap();
        assert_eq!(shown.get::<_, String>(0), expected);
    }
    for statement in [
        "SELECT * FROM t",
        "SELECT * FROM v",
        "EXPLAIN SELECT * FROM t",
        "BEGIN; DECLARE c CURSOR FOR SELECT 1; FETCH c; COMMIT",
        "PREPARE p AS SELECT 1; EXECUTE p; DEALLOCATE p",
        "SET statement_timeout = 1000",
        "SHOW TABLES",
        "SHOW CREATE TABLE t",
        "DESCRIBE t",
        "DISCARD ALL",
    ] {
        let told = refused(&reader, statement).await;
        assert!(!told.starts_with("42501"), "{statement}: {told}");
    }
    for (statement, what) in [
        ("INSERT INTO sink SELECT id FROM t", "INSERT"),
        ("EXPLAIN INSERT INTO sink SELECT id FROM t", "INSERT"),
        ("PREPARE i AS INSERT INTO sink SELECT id FROM t", "INSERT"),
        ("CREATE TABLE x (id INT) WITH ('connector' = 'kafka', 'topic' = 'x')", "CREATE TABLE"),
        ("CREATE TEMPORARY TABLE x (id INT) WITH ('connector' = 'blackhole')", "CREATE TABLE"),
        ("CREATE VIEW x AS SELECT 1", "CREATE VIEW"),
        ("CREATE SCHEMA x", "CREATE SCHEMA"),
        ("CREATE FUNCTION f(a INT) RETURNS INT LANGUAGE SQL AS 'SELECT a'", "CREATE FUNCTION"),
        ("DROP TABLE t", "DROP"),
        ("DROP VIEW v", "DROP"),
        ("COMMENT ON TABLE t IS 'mine'", "COMMENT"),
        ("STOP JOB j", "STOP JOB"),
        ("DROP JOB j", "DROP JOB"),
        ("SELECT * FROM t /*+ OPTIONS('number-of-rows' = '9') */", "hint OPTIONS"),
        ("EXPLAIN SELECT * FROM t /*+ OPTIONS('number-of-rows' = '9') */", "hint OPTIONS"),
        ("BEGIN; DECLARE c CURSOR FOR SELECT * FROM t /*+ OPTIONS('number-of-rows' = '9') */", "hint OPTIONS"),
    ] {
        assert_eq!(refused(&reader, statement).await, format!("42501 permission denied for {what}"), "{statement}");
        reader.batch_execute("ROLLBACK").await.unwrap();
    }
    let refused = reader.prepare("INSERT INTO sink SELECT id FROM t").await.err().unwrap();
    assert_eq!(crate::wire::code(&refused), "42501");
}

#[tokio::test]
async fn rights_are_those_of_now() {
    let (server, admin) = owned_server().await;
    admin.batch_execute(&format!("CREATE USER second SUPERUSER PASSWORD '{PASSWORD}'")).await.unwrap();
    let second = login(&server, "second").await.unwrap();
    let create = second.prepare("CREATE SCHEMA s").await.unwrap();
    admin.batch_execute("ALTER ROLE second NOSUPERUSER").await.unwrap();
    assert_eq!(crate::wire::code(&second.execute(&create, &[]).await.err().unwrap()), "42501");
    admin.batch_execute("ALTER ROLE second SUPERUSER").await.unwrap();
    second.execute(&create, &[]).await.unwrap();
    admin.batch_execute("DROP ROLE second").await.unwrap();
    assert_eq!(refused(&second, "DROP SCHEMA s").await, "42704 role \"second\" does not exist");
}

#[tokio::test]
async fn sessions_of_others_are_not_looked_into_nor_ended() {
    let (server, admin) = owned_server().await;
    admin
        .batch_execute(&format!("CREATE USER r PASSWORD '{PASSWORD}'; CREATE USER s PASSWORD '{PASSWORD}'"))
        .await
        .unwrap();
    let (r, s) = (login(&server, "r").await.unwrap(), login(&server, "s").await.unwrap());
    let pid = async |client: &tokio_postgres::Client| -> i32 {
        client.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get(0)
    };
    let (of_admin, of_r, of_s) = (pid(&admin).await, pid(&r).await, pid(&s).await);
    let seen = async |client: &tokio_postgres::Client, pid: i32| -> String {
        let query = "SELECT query FROM pg_stat_activity WHERE pid = $1";
        client.query_one(query, &[&pid]).await.unwrap().get(0)
    };
    assert_eq!(seen(&r, of_admin).await, "<insufficient privilege>");
    assert_eq!(seen(&r, of_s).await, "<insufficient privilege>");
    assert!(seen(&r, of_r).await.contains("pg_stat_activity"));
    assert!(seen(&admin, of_r).await.contains("pg_stat_activity"));
    for function in ["pg_cancel_backend", "pg_terminate_backend"] {
        for pid in [of_admin, of_s] {
            let refused = refused(&r, &format!("SELECT {function}({pid})")).await;
            assert_eq!(refused, "42501 permission denied to cancel a query or end a session");
        }
    }
    // Who is in a role may end its sessions.
    admin.batch_execute("GRANT s TO r").await.unwrap();
    r.batch_execute(&format!("SELECT pg_cancel_backend({of_s})")).await.unwrap();
    admin.batch_execute(&format!("SELECT pg_terminate_backend({of_s})")).await.unwrap();
}
