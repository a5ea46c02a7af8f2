//! Whose an object is: who makes it, who is given it, what holds a role; and jobs, which run with their owner's rights.

use super::*;

#[tokio::test]
async fn whoever_makes_an_object_owns_it_and_may_give_it_away() {
    let (server, admin) = owned_server().await;
    admin
        .batch_execute(&format!(
            "CREATE ROLE team; CREATE USER ann PASSWORD '{PASSWORD}' IN ROLE team; CREATE USER bob PASSWORD '{PASSWORD}';
             GRANT CREATE ON SCHEMA public TO ann, team"
        ))
        .await
        .unwrap();
    let (ann, bob) = (login(&server, "ann").await.unwrap(), login(&server, "bob").await.unwrap());
    ann.batch_execute(
        "CREATE TABLE t (id INT); INSERT INTO t VALUES (1); GRANT SELECT ON t TO bob; COMMENT ON TABLE t IS 'x'",
    )
    .await
    .unwrap();
    bob.batch_execute("SELECT * FROM t").await.unwrap();
    assert_eq!(refused(&bob, "DROP TABLE t").await, "42501 must be owner of table t");
    assert_eq!(refused(&ann, "ALTER TABLE t OWNER TO bob").await, "42501 must be able to SET ROLE \"bob\"");
    ann.batch_execute("ALTER TABLE t OWNER TO team").await.unwrap();
    let acl = "SELECT tableowner, relacl FROM pg_tables, pg_class WHERE tablename = 't' AND relname = 't'";
    assert_eq!(rows(&admin, acl).await, ["team|{team=arwdDxt/team,bob=r/team}"]);
    // By way of the role that owns it.
    ann.batch_execute("INSERT INTO t VALUES (2); REVOKE SELECT ON t FROM bob; DROP TABLE t").await.unwrap();
    admin.batch_execute("CREATE SCHEMA AUTHORIZATION ann; CREATE SCHEMA s AUTHORIZATION bob").await.unwrap();
    ann.batch_execute("CREATE TABLE ann.t (id INT); CREATE OR REPLACE VIEW ann.v AS SELECT 1 AS a").await.unwrap();
    // Who owns the schema may drop what is in it.
    admin.batch_execute("ALTER VIEW ann.v OWNER TO bob").await.unwrap();
    assert_eq!(refused(&ann, "CREATE OR REPLACE VIEW ann.v AS SELECT 2 AS a").await, "42501 must be owner of view v");
    ann.batch_execute("DROP VIEW ann.v").await.unwrap();
    assert_eq!(refused(&ann, "DROP SCHEMA s").await, "42501 must be owner of schema s");
    bob.batch_execute("DROP SCHEMA s").await.unwrap();
}

#[tokio::test]
async fn a_role_on_which_something_depends_is_not_dropped() {
    let (server, admin) = owned_server().await;
    admin
        .batch_execute(&format!(
            "CREATE USER ann PASSWORD '{PASSWORD}'; CREATE ROLE heir; GRANT CREATE ON SCHEMA public TO ann;
             CREATE TABLE of_admin (id INT); GRANT SELECT ON of_admin TO ann"
        ))
        .await
        .unwrap();
    let ann = login(&server, "ann").await.unwrap();
    ann.batch_execute("CREATE TABLE t (id INT); CREATE VIEW v AS SELECT id FROM t").await.unwrap();
    let error = admin.batch_execute("DROP ROLE ann").await.err().unwrap();
    let error = error.as_db_error().unwrap();
    assert_eq!(error.code().code(), "2BP01");
    assert_eq!(error.message(), "role \"ann\" cannot be dropped because some objects depend on it");
    assert_eq!(
        error.detail().unwrap(),
        "privileges for schema public\nprivileges for table of_admin\nowner of table t\nowner of view v"
    );
    assert_eq!(refused(&ann, "REASSIGN OWNED BY ann TO heir").await, "42501 permission denied to reassign objects");
    admin.batch_execute("REASSIGN OWNED BY ann TO heir").await.unwrap();
    assert_eq!(rows(&admin, "SELECT tableowner FROM pg_tables WHERE tablename = 't'").await, ["heir"]);
    assert_eq!(refused(&ann, "SELECT * FROM t").await, "42501 permission denied for table t");
    admin.batch_execute("DROP OWNED BY ann; DROP ROLE ann; DROP OWNED BY heir; DROP ROLE heir").await.unwrap();
    assert_eq!(rows(&admin, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'").await, ["of_admin"]);
}

#[tokio::test]
async fn a_job_runs_with_its_owners_rights() {
    let (server, admin) = owned_server().await;
    admin
        .batch_execute(&format!(
            "CREATE TABLE endless (id INT) WITH ('connector' = 'datagen', 'rows-per-second' = '1');
             CREATE TABLE sink (id INT) WITH ('connector' = 'blackhole');
             CREATE USER ann PASSWORD '{PASSWORD}'; CREATE USER bob PASSWORD '{PASSWORD}';
             GRANT SELECT ON endless TO ann; GRANT INSERT ON sink TO ann"
        ))
        .await
        .unwrap();
    let (ann, bob) = (login(&server, "ann").await.unwrap(), login(&server, "bob").await.unwrap());
    let create = "CREATE JOB j AS INSERT INTO sink SELECT id FROM endless";
    for statement in [create, "INSERT INTO sink SELECT id FROM endless"] {
        assert_eq!(refused(&ann, statement).await, "42501 permission denied for database streamgate", "{statement}");
    }
    admin.batch_execute("GRANT CREATE ON DATABASE streamgate TO ann").await.unwrap();
    ann.batch_execute(create).await.unwrap();
    assert!(rows(&bob, "DESCRIBE JOB j").await.contains(&"owner|ann".to_owned()));
    for (statement, told) in [
        ("PAUSE JOB j", "permission denied for job j"),
        ("RESUME JOB j", "permission denied for job j"),
        ("STOP JOB j", "permission denied for job j"),
        ("STOP JOB j WITH SAVEPOINT", "permission denied for job j"),
        ("DROP JOB j", "must be owner of job j"),
        ("ALTER JOB j OWNER TO bob", "must be owner of job j"),
    ] {
        assert_eq!(refused(&bob, statement).await, format!("42501 {told}"), "{statement}");
    }
    ann.batch_execute("GRANT OPERATE ON JOB j TO bob").await.unwrap();
    bob.batch_execute("PAUSE JOB j; RESUME JOB j; PAUSE JOB j").await.unwrap();
    assert_eq!(refused(&bob, "DROP JOB j").await, "42501 must be owner of job j");
    // What its owner may no longer do, the job does not go on with, whoever resumes it.
    admin.batch_execute("REVOKE SELECT ON endless FROM ann").await.unwrap();
    for client in [&ann, &bob, &admin] {
        assert_eq!(refused(client, "RESUME JOB j").await, "42501 permission denied for table endless");
    }
    assert_eq!(
        refused(&admin, "DROP ROLE ann").await,
        "2BP01 role \"ann\" cannot be dropped because some objects depend on it"
    );
    admin.batch_execute("ALTER JOB j OWNER TO admin; RESUME JOB j; DROP JOB j").await.unwrap();
}

#[tokio::test]
async fn a_job_over_a_view_needs_what_the_view_needs() {
    let (server, admin) = owned_server().await;
    admin
        .batch_execute(&format!(
            "CREATE TABLE endless (id INT) WITH ('connector' = 'datagen', 'rows-per-second' = '1');
             CREATE TABLE sink (id INT) WITH ('connector' = 'blackhole');
             CREATE VIEW v AS SELECT id FROM endless;
             CREATE USER ann PASSWORD '{PASSWORD}'; GRANT CREATE ON DATABASE streamgate TO ann;
             GRANT SELECT ON v TO ann; GRANT INSERT ON sink TO ann"
        ))
        .await
        .unwrap();
    let ann = login(&server, "ann").await.unwrap();
    ann.batch_execute("CREATE JOB j AS INSERT INTO sink SELECT id FROM v; PAUSE JOB j; RESUME JOB j; PAUSE JOB j")
        .await
        .unwrap();
    admin.batch_execute("REVOKE SELECT ON v FROM ann").await.unwrap();
    assert_eq!(refused(&ann, "RESUME JOB j").await, "42501 permission denied for view v");
    // What is there no longer needs no right: a job keeps its declarations.
    admin.batch_execute("DROP VIEW v").await.unwrap();
    ann.batch_execute("RESUME JOB j; DROP JOB j").await.unwrap();
}
