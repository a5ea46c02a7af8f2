//! What roles may do without any grant, and what superusers may.

use super::*;

/// What a role may not do without a grant.
const DENIED: &[(&str, &str)] = &[
    ("SELECT * FROM t", "permission denied for table t"),
    ("SELECT (SELECT count(*) FROM t)", "permission denied for table t"),
    ("SELECT 1 WHERE 1 IN (SELECT id FROM t)", "permission denied for table t"),
    ("WITH c AS (SELECT * FROM t) SELECT * FROM c", "permission denied for table t"),
    ("SELECT 1 UNION SELECT id FROM t", "permission denied for table t"),
    ("SELECT * FROM v", "permission denied for view v"),
    ("TABLE t", "permission denied for table t"),
    ("COPY t TO STDOUT", "permission denied for table t"),
    ("COPY (SELECT * FROM t) TO STDOUT", "permission denied for table t"),
    ("COPY kept FROM STDIN", "permission denied for table kept"),
    ("EXPLAIN SELECT * FROM t", "permission denied for table t"),
    ("EXPLAIN ANALYZE SELECT * FROM t", "permission denied for table t"),
    ("BEGIN; DECLARE c CURSOR FOR SELECT * FROM t", "permission denied for table t"),
    ("PREPARE i AS SELECT * FROM t", "permission denied for table t"),
    ("INSERT INTO kept VALUES (1)", "permission denied for table kept"),
    ("INSERT INTO sink SELECT 1", "permission denied for table sink"),
    ("EXPLAIN INSERT INTO sink SELECT 1", "permission denied for table sink"),
    ("PREPARE i AS INSERT INTO sink SELECT 1", "permission denied for table sink"),
    ("CREATE JOB j AS INSERT INTO sink SELECT id FROM t", "permission denied for table sink"),
    ("BEGIN STATEMENT SET; INSERT INTO sink SELECT id FROM t; END", "permission denied for table sink"),
    ("UPDATE kept SET id = 1", "permission denied for table kept"),
    ("DELETE FROM kept", "permission denied for table kept"),
    ("TRUNCATE kept", "permission denied for table kept"),
    (
        "CREATE TABLE x (id INT) WITH ('connector' = 'kafka', 'topic' = 'x')",
        "permission denied for foreign-data wrapper kafka",
    ),
    (
        "CREATE TEMPORARY TABLE x (id INT) WITH ('connector' = 'BlackHole')",
        "permission denied for foreign-data wrapper blackhole",
    ),
    ("CREATE TABLE x (id INT)", "permission denied for schema public"),
    ("CREATE VIEW x AS SELECT 1", "permission denied for schema public"),
    ("CREATE SCHEMA x", "permission denied for database streamgate"),
    ("CREATE TABLE fresh.x (id INT)", "permission denied for database streamgate"),
    ("CREATE FUNCTION g(a INT) RETURNS INT LANGUAGE SQL AS 'SELECT a'", "permission denied for schema public"),
    (
        "CREATE OR REPLACE FUNCTION f(a INT) RETURNS INT LANGUAGE SQL AS 'SELECT 1'",
        "permission denied for schema public",
    ),
    ("DROP TABLE t", "must be owner of table t"),
    ("DROP VIEW v", "must be owner of view v"),
    ("DROP FUNCTION f", "must be owner of function f"),
    ("ALTER TABLE t OWNER TO stranger", "must be owner of table t"),
    ("COMMENT ON TABLE t IS 'mine'", "must be owner of table t"),
    ("COMMENT ON COLUMN t.id IS 'mine'", "must be owner of table t"),
    ("COMMENT ON DATABASE streamgate IS 'mine'", "must be owner of database streamgate"),
    ("GRANT SELECT ON t TO stranger", "permission denied for table t"),
    ("SELECT * FROM t /*+ OPTIONS('number-of-rows' = '9') */", "permission denied for table t"),
];

#[tokio::test]
async fn without_a_grant_a_role_reaches_nothing_of_others() {
    let (server, admin) = owned_server().await;
    admin
        .batch_execute(&format!(
            "CREATE TABLE t (id INT) WITH ('connector' = 'datagen', 'number-of-rows' = '3', 'fields.id.kind' = 'sequence',
                 'fields.id.start' = '1', 'fields.id.end' = '3');
             CREATE TABLE sink (id INT) WITH ('connector' = 'blackhole');
             CREATE TABLE kept (id INT);
             CREATE VIEW v AS SELECT id FROM t;
             CREATE FUNCTION f(a INT) RETURNS INT LANGUAGE SQL AS 'SELECT a';
             CREATE USER stranger PASSWORD '{PASSWORD}'"
        ))
        .await
        .unwrap();
    let stranger = login(&server, "stranger").await.unwrap();
    for (client, expected) in [(&admin, "on"), (&stranger, "off")] {
        let shown = client.query_one("SHOW is_superuser", &[]).await.unwrap();
        assert_eq!(shown.get::<_, String>(0), expected);
    }
    for statement in [
        "SELECT 1, f(2)",
        "SELECT relname FROM pg_class",
        "BEGIN; DECLARE c CURSOR FOR SELECT 1; FETCH c; COMMIT",
        "PREPARE p AS SELECT 1; EXECUTE p; DEALLOCATE p",
        "SET statement_timeout = 1000",
        "SHOW TABLES",
        "SHOW CREATE TABLE t",
        "CREATE TEMPORARY TABLE mine (id INT); INSERT INTO mine VALUES (1); SELECT * FROM mine; DROP TABLE mine",
        "DISCARD ALL",
    ] {
        assert_eq!(refused(&stranger, statement).await, "nothing", "{statement}");
    }
    for (statement, what) in DENIED {
        assert_eq!(refused(&stranger, statement).await, format!("42501 {what}"), "{statement}");
        stranger.batch_execute("ROLLBACK").await.unwrap();
    }
    let error = stranger.prepare("INSERT INTO sink SELECT 1").await.err().unwrap();
    assert_eq!(crate::wire::code(&error), "42501");
    admin.batch_execute("INSERT INTO sink SELECT id FROM t; SELECT * FROM v").await.unwrap();
}

#[tokio::test]
async fn a_hint_that_points_elsewhere_is_the_owners_who_may_use_the_connector() {
    let (server, admin) = owned_server().await;
    admin
        .batch_execute(&format!(
            "CREATE TABLE t (id INT) WITH ('connector' = 'datagen', 'number-of-rows' = '3');
             CREATE USER reader PASSWORD '{PASSWORD}'; GRANT SELECT ON t TO reader"
        ))
        .await
        .unwrap();
    let reader = login(&server, "reader").await.unwrap();
    let hinted = "SELECT count(*) FROM t /*+ OPTIONS('number-of-rows' = '9') */";
    reader.batch_execute("SELECT * FROM t").await.unwrap();
    let told = "42501 permission denied for foreign-data wrapper datagen";
    for statement in [hinted, &format!("EXPLAIN {hinted}"), &format!("COPY ({hinted}) TO STDOUT")] {
        assert_eq!(refused(&reader, statement).await, told, "{statement}");
    }
    admin.batch_execute("GRANT USAGE ON FOREIGN DATA WRAPPER datagen TO reader").await.unwrap();
    assert_eq!(refused(&reader, hinted).await, "42501 must be owner of table t");
    admin.batch_execute("ALTER TABLE t OWNER TO reader").await.unwrap();
    assert_eq!(rows(&reader, hinted).await, ["9"]);
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
    admin.batch_execute("ALTER SCHEMA s OWNER TO admin; DROP ROLE second").await.unwrap();
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
