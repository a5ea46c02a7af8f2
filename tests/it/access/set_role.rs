//! SET ROLE and SET SESSION AUTHORIZATION: as whom a session acts.

use super::*;

const WHO: &str = "SELECT current_user, session_user, current_setting('role'), current_setting('is_superuser')";

#[tokio::test]
async fn a_session_acts_as_roles_that_it_is_in() {
    let (server, admin) = owned_server().await;
    admin
        .batch_execute(&format!(
            "CREATE ROLE team; CREATE ROLE other; CREATE USER ann PASSWORD '{PASSWORD}' NOINHERIT IN ROLE team;
             CREATE TABLE t (id INT); GRANT SELECT ON t TO team; GRANT CREATE ON SCHEMA public TO team"
        ))
        .await
        .unwrap();
    let ann = login(&server, "ann").await.unwrap();
    assert_eq!(rows(&ann, WHO).await, ["ann|ann|none|off"]);
    let denied = "42501 permission denied for table t";
    assert_eq!(refused(&ann, "SELECT * FROM t").await, denied);
    let read = ann.prepare("SELECT 1").await.unwrap();
    ann.batch_execute("SET ROLE team; SELECT * FROM t; CREATE TABLE of_team (id INT)").await.unwrap();
    ann.query(&read, &[]).await.unwrap();
    assert_eq!(rows(&ann, WHO).await, ["team|ann|team|off"]);
    assert_eq!(rows(&ann, "SHOW role").await, ["team"]);
    assert_eq!(rows(&ann, "SELECT tableowner FROM pg_tables WHERE tablename = 'of_team'").await, ["team"]);
    ann.batch_execute("RESET ALL").await.unwrap();
    assert_eq!(rows(&ann, WHO).await, ["team|ann|team|off"], "who acts is not among them");
    for reset in [
        "RESET ROLE",
        "SET ROLE NONE",
        "SET SESSION ROLE NONE",
        "SET role = 'none'",
        "DISCARD ALL",
        "SET role TO DEFAULT",
    ] {
        ann.batch_execute("SET ROLE team").await.unwrap();
        ann.batch_execute(reset).await.unwrap();
        assert_eq!(rows(&ann, WHO).await, ["ann|ann|none|off"], "{reset}");
        assert_eq!(refused(&ann, "SELECT * FROM t").await, denied, "{reset}");
    }
    ann.batch_execute("BEGIN; SET LOCAL ROLE team; SELECT * FROM t; COMMIT").await.unwrap();
    assert_eq!(rows(&ann, WHO).await, ["ann|ann|none|off"]);
    ann.batch_execute("BEGIN; SET ROLE team; ROLLBACK").await.unwrap();
    assert_eq!(rows(&ann, WHO).await, ["ann|ann|none|off"]);
    ann.batch_execute("SELECT set_config('role', 'team', false)").await.unwrap();
    assert_eq!(rows(&ann, WHO).await, ["team|ann|team|off"]);
    ann.batch_execute("RESET ROLE").await.unwrap();
    for (statement, expected) in [
        ("SET ROLE other", "42501 permission denied to set role \"other\""),
        ("SET ROLE admin", "42501 permission denied to set role \"admin\""),
        ("SET role = 'admin'", "42501 permission denied to set role \"admin\""),
        ("SELECT set_config('role', 'admin', false)", "42501 permission denied to set role \"admin\""),
        ("SET ROLE nobody", "22023 role \"nobody\" does not exist"),
        ("SET SESSION AUTHORIZATION admin", "42501 permission denied to set session authorization"),
        ("SET session_authorization = 'admin'", "42501 permission denied to set session authorization"),
        ("SET is_superuser = on", "55P02 parameter \"is_superuser\" cannot be changed"),
    ] {
        assert_eq!(refused(&ann, statement).await, expected, "{statement}");
    }
    assert_eq!(rows(&ann, WHO).await, ["ann|ann|none|off"]);
}

#[tokio::test]
async fn a_superuser_acts_as_anybody_and_comes_back() {
    let (server, admin) = owned_server().await;
    admin
        .batch_execute(&format!("CREATE TABLE t (id INT); CREATE USER ann PASSWORD '{PASSWORD}'; CREATE ROLE team"))
        .await
        .unwrap();
    admin.batch_execute("SET ROLE ann").await.unwrap();
    assert_eq!(rows(&admin, WHO).await, ["ann|admin|ann|off"]);
    assert_eq!(refused(&admin, "SELECT * FROM t").await, "42501 permission denied for table t");
    assert_eq!(refused(&admin, "CREATE ROLE x").await, "42501 permission denied to create role");
    // The session's role decides which roles it may act as, not the one that it acts as.
    admin.batch_execute("SET ROLE team; RESET ROLE; SET SESSION AUTHORIZATION ann").await.unwrap();
    assert_eq!(rows(&admin, WHO).await, ["ann|ann|none|off"]);
    assert_eq!(refused(&admin, "SET ROLE team").await, "42501 permission denied to set role \"team\"");
    assert_eq!(refused(&admin, "DROP ROLE ann").await, "42501 permission denied to drop role");
    admin.batch_execute("SET SESSION AUTHORIZATION DEFAULT; SELECT * FROM t").await.unwrap();
    assert_eq!(rows(&admin, WHO).await, ["admin|admin|none|on"]);
    admin.batch_execute("SET SESSION AUTHORIZATION ann; RESET SESSION AUTHORIZATION; SELECT * FROM t").await.unwrap();
    admin.batch_execute("SET ROLE ann").await.unwrap();
    let ann = login(&server, "ann").await.unwrap();
    assert_eq!(refused(&ann, "SET CONSTRAINTS ALL DEFERRED").await, "nothing");
    admin.batch_execute("SET CONSTRAINTS ALL DEFERRED").await.unwrap();
    assert_eq!(rows(&admin, WHO).await, ["ann|admin|ann|off"], "SET CONSTRAINTS does not set the role");
}
