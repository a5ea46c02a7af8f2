//! GRANT and REVOKE of rights on objects, what they let in, and what the catalog says of them.

use super::*;

async fn with_roles(names: &[&str]) -> (Server, tokio_postgres::Client, Vec<tokio_postgres::Client>) {
    let (server, admin) = owned_server().await;
    let mut clients = Vec::new();
    for name in names {
        admin.batch_execute(&format!("CREATE USER {name} PASSWORD '{PASSWORD}'")).await.unwrap();
        clients.push(login(&server, name).await.unwrap());
    }
    (server, admin, clients)
}

const DENIED: &str = "42501 permission denied for table t";

#[tokio::test]
async fn each_right_lets_in_what_it_is_for() {
    let (_server, admin, clients) = with_roles(&["ann"]).await;
    let ann = &clients[0];
    admin.batch_execute("CREATE TABLE t (id INT PRIMARY KEY, n INT); INSERT INTO t VALUES (1, 1)").await.unwrap();
    for (right, statement) in [
        ("SELECT", "SELECT * FROM t"),
        ("INSERT", "INSERT INTO t VALUES (2, 2)"),
        ("UPDATE", "UPDATE t SET n = 5"),
        ("DELETE", "DELETE FROM t"),
        ("TRUNCATE", "TRUNCATE t"),
    ] {
        assert_eq!(refused(ann, statement).await, DENIED, "{statement}");
        admin.batch_execute(&format!("GRANT {right} ON TABLE t TO ann")).await.unwrap();
        assert_eq!(refused(ann, statement).await, "nothing", "{statement}");
        admin.batch_execute(&format!("REVOKE {right} ON t FROM ann")).await.unwrap();
        assert_eq!(refused(ann, statement).await, DENIED, "{statement}");
    }
    // What reads the rows that it changes needs to read.
    admin.batch_execute("GRANT INSERT, UPDATE, DELETE ON t TO ann").await.unwrap();
    for statement in [
        "UPDATE t SET n = 1 WHERE id = 1",
        "UPDATE t SET n = n + 1",
        "DELETE FROM t WHERE id = 1",
        "INSERT INTO t VALUES (3, 3) RETURNING id",
        "INSERT INTO t VALUES (3, 3) ON CONFLICT (id) DO UPDATE SET n = 4",
        "DELETE FROM t RETURNING id",
    ] {
        assert_eq!(refused(ann, statement).await, DENIED, "{statement}");
    }
    admin.batch_execute("GRANT ALL PRIVILEGES ON t TO ann").await.unwrap();
    ann.batch_execute("INSERT INTO t VALUES (3, 3) ON CONFLICT (id) DO UPDATE SET n = 4; DELETE FROM t WHERE id = 3")
        .await
        .unwrap();
}

#[tokio::test]
async fn what_is_prepared_is_let_in_by_the_rights_of_its_execution() {
    let (_server, admin, clients) = with_roles(&["ann"]).await;
    let ann = &clients[0];
    admin.batch_execute("CREATE TABLE t (id INT); GRANT SELECT, INSERT ON t TO ann").await.unwrap();
    let (read, write) =
        (ann.prepare("SELECT id FROM t").await.unwrap(), ann.prepare("INSERT INTO t VALUES ($1)").await.unwrap());
    ann.batch_execute("PREPARE r AS SELECT id FROM t").await.unwrap();
    ann.execute(&write, &[&1_i32]).await.unwrap();
    assert_eq!(ann.query(&read, &[]).await.unwrap().len(), 1);
    admin.batch_execute("REVOKE ALL ON t FROM ann").await.unwrap();
    assert_eq!(crate::wire::code(&ann.query(&read, &[]).await.err().unwrap()), "42501");
    assert_eq!(crate::wire::code(&ann.execute(&write, &[&2_i32]).await.err().unwrap()), "42501");
    assert_eq!(refused(ann, "EXECUTE r").await, DENIED);
    admin.batch_execute("GRANT SELECT ON t TO PUBLIC").await.unwrap();
    assert_eq!(ann.query(&read, &[]).await.unwrap().len(), 1);
}

#[tokio::test]
async fn rights_are_given_on_and_hold_what_they_came_from() {
    let (_server, admin, clients) = with_roles(&["ann", "bob", "cyd"]).await;
    let (ann, bob, cyd) = (&clients[0], &clients[1], &clients[2]);
    admin.batch_execute("CREATE TABLE t (id INT); GRANT SELECT ON t TO ann WITH GRANT OPTION").await.unwrap();
    ann.batch_execute("GRANT SELECT ON t TO bob").await.unwrap();
    bob.batch_execute("SELECT * FROM t").await.unwrap();
    // Who has a right and may not give it on is warned, as in PostgreSQL; who has none is refused.
    bob.batch_execute("GRANT SELECT ON t TO cyd").await.unwrap();
    assert_eq!(refused(cyd, "SELECT * FROM t").await, DENIED);
    assert_eq!(refused(cyd, "GRANT SELECT ON t TO cyd").await, DENIED);
    let acl = "SELECT relacl FROM pg_class WHERE relname = 't'";
    assert_eq!(rows(&admin, acl).await, ["{admin=arwdDxt/admin,ann=r*/admin,bob=r/ann}"]);
    assert_eq!(refused(&admin, "REVOKE SELECT ON t FROM ann").await, "2BP01 dependent privileges exist");
    admin.batch_execute("REVOKE SELECT ON t FROM ann CASCADE").await.unwrap();
    assert_eq!(rows(&admin, acl).await, ["{admin=arwdDxt/admin}"]);
    assert_eq!(refused(bob, "SELECT * FROM t").await, DENIED);
}

#[tokio::test]
async fn schemas_functions_and_everything_in_a_schema() {
    let (_server, admin, clients) = with_roles(&["ann"]).await;
    let ann = &clients[0];
    admin
        .batch_execute(
            "CREATE SCHEMA s; CREATE TABLE s.t (id INT); CREATE TABLE s.u (id INT); CREATE VIEW s.v AS SELECT id FROM s.t;
             CREATE FUNCTION s.f(a INT) RETURNS INT LANGUAGE SQL AS 'SELECT a + 1';
             GRANT ALL ON ALL TABLES IN SCHEMA s TO ann",
        )
        .await
        .unwrap();
    for statement in ["SELECT * FROM s.t", "SELECT s.f(1)"] {
        assert_eq!(refused(ann, statement).await, "42501 permission denied for schema s", "{statement}");
    }
    admin.batch_execute("GRANT USAGE ON SCHEMA s TO ann").await.unwrap();
    ann.batch_execute("SELECT * FROM s.t; SELECT * FROM s.u; SELECT * FROM s.v; SELECT s.f(1)").await.unwrap();
    admin.batch_execute("REVOKE EXECUTE ON FUNCTION s.f(int) FROM PUBLIC").await.unwrap();
    assert_eq!(refused(ann, "SELECT s.f(1)").await, "42501 permission denied for function f");
    admin.batch_execute("GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA s TO ann").await.unwrap();
    ann.batch_execute("SELECT s.f(1)").await.unwrap();
    assert_eq!(refused(ann, "CREATE TABLE s.x (id INT)").await, "42501 permission denied for schema s");
    admin.batch_execute("GRANT CREATE ON SCHEMA s TO ann").await.unwrap();
    ann.batch_execute("CREATE TABLE s.x (id INT); INSERT INTO s.x VALUES (1); DROP TABLE s.x").await.unwrap();
    admin.batch_execute("GRANT CREATE ON DATABASE streamgate TO ann").await.unwrap();
    ann.batch_execute("CREATE SCHEMA of_ann; CREATE TABLE of_ann.t (id INT); DROP SCHEMA of_ann CASCADE")
        .await
        .unwrap();
    admin.batch_execute("GRANT USAGE ON FOREIGN DATA WRAPPER blackhole, upsert-kafka TO ann").await.unwrap();
    ann.batch_execute("CREATE TABLE s.b (id INT) WITH ('connector' = 'blackhole')").await.unwrap();
}

#[tokio::test]
async fn a_view_reads_with_its_owners_rights() {
    let (_server, admin, clients) = with_roles(&["ann", "bob"]).await;
    let (ann, bob) = (&clients[0], &clients[1]);
    admin
        .batch_execute(
            "CREATE TABLE t (id INT, n INT, PRIMARY KEY (id));
             GRANT SELECT ON t TO ann; GRANT CREATE ON SCHEMA public TO ann",
        )
        .await
        .unwrap();
    ann.batch_execute("CREATE VIEW v AS SELECT id FROM t; CREATE VIEW w AS SELECT id FROM v; GRANT SELECT ON w TO bob")
        .await
        .unwrap();
    bob.batch_execute("SELECT * FROM w").await.unwrap();
    assert_eq!(refused(bob, "SELECT * FROM v").await, "42501 permission denied for view v");
    // The view's owner loses his right, and with it the view.
    admin.batch_execute("REVOKE SELECT ON t FROM ann").await.unwrap();
    for client in [ann, bob] {
        let told = refused(client, "SELECT * FROM w").await;
        assert_eq!(told, "42501 view \"w\": view \"v\": permission denied for table t");
    }
}

#[tokio::test]
async fn roles_that_are_there_from_the_beginning_read_and_write_everything() {
    let (_server, admin, clients) = with_roles(&["ann", "bob"]).await;
    let (ann, bob) = (&clients[0], &clients[1]);
    admin
        .batch_execute(
            "CREATE SCHEMA s; CREATE TABLE s.t (id INT); GRANT pg_read_all_data TO ann; GRANT pg_write_all_data TO bob",
        )
        .await
        .unwrap();
    ann.batch_execute("SELECT * FROM s.t").await.unwrap();
    bob.batch_execute("INSERT INTO s.t VALUES (1); DELETE FROM s.t").await.unwrap();
    assert_eq!(refused(ann, "INSERT INTO s.t VALUES (1)").await, DENIED);
    assert_eq!(refused(bob, "SELECT * FROM s.t").await, DENIED);
    assert_eq!(refused(bob, "TRUNCATE s.t").await, DENIED);
    let members = "SELECT pg_get_userbyid(roleid), pg_get_userbyid(member) FROM pg_auth_members ORDER BY 2";
    assert_eq!(rows(&admin, members).await, ["pg_read_all_data|ann", "pg_write_all_data|bob"]);
    let seen = "SELECT count(*) FROM pg_stat_activity WHERE query = '<insufficient privilege>' AND usename IN ('admin', 'bob')";
    assert_eq!(rows(ann, seen).await, ["2"]);
    admin.batch_execute("GRANT pg_monitor TO ann").await.unwrap();
    assert_eq!(rows(ann, seen).await, ["0"]);
    let of_bob: i32 = bob.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get(0);
    let cancel = format!("SELECT pg_cancel_backend({of_bob})");
    assert_eq!(refused(ann, &cancel).await, "42501 permission denied to cancel a query or end a session");
    admin.batch_execute("GRANT pg_signal_backend TO ann").await.unwrap();
    assert_eq!(refused(ann, &cancel).await, "nothing");
}

#[tokio::test]
async fn what_cannot_be_granted_is_refused() {
    let (_server, admin, _clients) = with_roles(&["ann"]).await;
    admin
        .batch_execute("CREATE TABLE t (id INT); CREATE FUNCTION f(a INT) RETURNS INT LANGUAGE SQL AS 'SELECT a'")
        .await
        .unwrap();
    for (statement, expected) in [
        ("GRANT SELECT (id) ON t TO ann", "0A000 rights on columns are not supported"),
        ("GRANT EXECUTE ON t TO ann", "0LP01 invalid privilege type EXECUTE for table"),
        ("GRANT SELECT ON FUNCTION f TO ann", "0LP01 invalid privilege type SELECT for function"),
        ("GRANT READ ON t TO ann", "42601 unrecognized privilege type \"READ\""),
        ("GRANT SELECT ON t TO nobody", "42704 role \"nobody\" does not exist"),
        ("GRANT SELECT ON x TO ann", "42P01 relation \"x\" does not exist"),
        ("GRANT USAGE ON SCHEMA x TO ann", "3F000 schema \"x\" does not exist"),
        ("GRANT USAGE ON FOREIGN DATA WRAPPER file TO ann", "42704 foreign-data wrapper \"file\" does not exist"),
        ("GRANT SELECT ON t TO PUBLIC WITH GRANT OPTION", "0LP01 grant options can only be granted to roles"),
        ("GRANT SELECT ON t TO ann GRANTED BY ann", "0A000 grantor must be current user"),
        ("GRANT SELECT ON pg_class TO ann", "42501 permission denied: \"pg_class\" is a system catalog"),
        ("GRANT USAGE ON LANGUAGE sql TO ann", "0A000 rights on LANGUAGE are not supported"),
        ("GRANT OPERATE ON JOB j TO ann", "42704 job \"j\" does not exist"),
    ] {
        assert_eq!(refused(&admin, statement).await, expected, "{statement}");
    }
    let server = server().await;
    let open = server.connect().await;
    open.batch_execute("CREATE TABLE t (id INT)").await.unwrap();
    assert_eq!(refused(&open, "GRANT SELECT ON t TO PUBLIC").await, "55000 there are no roles yet");
}

#[tokio::test]
async fn functions_about_privileges_tell_what_statements_are_let_in_by() {
    let (_server, admin, clients) = with_roles(&["ann"]).await;
    let ann = &clients[0];
    admin
        .batch_execute(
            "CREATE TABLE t (id INT); GRANT SELECT ON t TO ann WITH GRANT OPTION; CREATE SCHEMA s;
             CREATE FUNCTION f(a INT) RETURNS INT LANGUAGE SQL AS 'SELECT a'; REVOKE EXECUTE ON FUNCTION f FROM PUBLIC;
             GRANT USAGE ON FOREIGN DATA WRAPPER kafka TO ann",
        )
        .await
        .unwrap();
    for (call, expected) in [
        ("has_table_privilege('t', 'SELECT')", "t"),
        ("has_table_privilege('t', 'insert')", "f"),
        ("has_table_privilege('t', 'INSERT, SELECT')", "t"),
        ("has_table_privilege('t', 'SELECT WITH GRANT OPTION')", "t"),
        ("has_table_privilege('admin', 't', 'DELETE WITH GRANT OPTION')", "t"),
        ("has_table_privilege('public', 't', 'SELECT')", "f"),
        ("has_table_privilege('t'::regclass, 'SELECT')", "t"),
        ("has_table_privilege('ann'::regrole, 't'::regclass, 'DELETE')", "f"),
        ("has_table_privilege(1, 'SELECT')", "NULL"),
        ("has_table_privilege('pg_class', 'SELECT')", "t"),
        ("has_table_privilege('pg_class', 'INSERT')", "f"),
        ("has_any_column_privilege('t', 'SELECT')", "t"),
        ("has_column_privilege('t', 'id', 'SELECT')", "t"),
        ("has_column_privilege('ann', 't', 'id', 'INSERT')", "f"),
        ("has_column_privilege('t', 1::int2, 'SELECT')", "t"),
        ("has_schema_privilege('public', 'USAGE')", "t"),
        ("has_schema_privilege('public', 'CREATE')", "f"),
        ("has_schema_privilege('s', 'USAGE')", "f"),
        ("has_schema_privilege('admin', 's', 'CREATE')", "t"),
        ("has_database_privilege('streamgate', 'CONNECT')", "t"),
        ("has_database_privilege('streamgate', 'CREATE')", "f"),
        ("has_database_privilege(current_database(), 'TEMP')", "t"),
        ("has_function_privilege('f(int)', 'EXECUTE')", "f"),
        ("has_function_privilege('admin', 'f', 'EXECUTE')", "t"),
        ("has_function_privilege('version', 'EXECUTE')", "t"),
        ("has_foreign_data_wrapper_privilege('kafka', 'USAGE')", "t"),
        ("has_foreign_data_wrapper_privilege('dynamodb', 'USAGE')", "f"),
        ("has_tablespace_privilege('pg_default', 'CREATE')", "f"),
        ("pg_has_role('ann', 'MEMBER')", "t"),
        ("pg_has_role('admin', 'ann', 'USAGE')", "t"),
        ("pg_has_role('ann'::regrole, 'admin'::regrole, 'USAGE')", "f"),
    ] {
        assert_eq!(rows(ann, &format!("SELECT {call}")).await, [expected], "{call}");
    }
    for (call, expected) in [
        ("has_table_privilege('x', 'SELECT')", "42P01 relation \"x\" does not exist"),
        ("has_table_privilege('nobody', 't', 'SELECT')", "42704 role \"nobody\" does not exist"),
        ("has_table_privilege('t', 'EXECUTE')", "22023 unrecognized privilege type: \"EXECUTE\""),
        ("has_column_privilege('t', 'x', 'SELECT')", "42703 column \"x\" of relation \"t\" does not exist"),
        ("has_sequence_privilege('t', 'USAGE')", "42809 \"t\" is not a sequence"),
    ] {
        assert_eq!(refused(ann, &format!("SELECT {call}")).await, expected, "{call}");
    }
}

#[tokio::test]
async fn the_catalog_shows_owners_and_rights() {
    let (_server, admin, clients) = with_roles(&["ann"]).await;
    let ann = &clients[0];
    admin
        .batch_execute(
            "CREATE TABLE t (id INT); CREATE TABLE hidden (id INT); GRANT SELECT ON t TO ann; GRANT CREATE ON SCHEMA public TO ann;
             CREATE FUNCTION f(a INT) RETURNS INT LANGUAGE SQL AS 'SELECT a'; GRANT EXECUTE ON FUNCTION f TO ann",
        )
        .await
        .unwrap();
    ann.batch_execute("CREATE VIEW v AS SELECT id FROM t").await.unwrap();
    for (query, expected) in [
        (
            "SELECT tablename, tableowner FROM pg_tables WHERE schemaname = 'public' ORDER BY 1",
            &["hidden|admin", "t|admin"][..],
        ),
        ("SELECT viewowner FROM pg_views WHERE viewname = 'v'", &["ann"]),
        ("SELECT pg_get_userbyid(relowner) FROM pg_class WHERE relname = 'v'", &["ann"]),
        ("SELECT nspacl FROM pg_namespace WHERE nspname = 'public'", &["{=U/admin,admin=UC/admin,ann=C/admin}"]),
        ("SELECT proacl FROM pg_proc WHERE proname = 'f'", &["{=X/admin,admin=X/admin,ann=X/admin}"]),
        ("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1", &["t", "v"]),
        (
            "SELECT grantor, grantee, privilege_type, is_grantable FROM information_schema.table_privileges
                 WHERE table_name = 't'",
            &["admin|ann|SELECT|NO"],
        ),
        (
            "SELECT column_name, privilege_type FROM information_schema.column_privileges WHERE table_name = 't'",
            &["id|SELECT"],
        ),
        (
            "SELECT count(*) FROM information_schema.role_table_grants WHERE grantee = 'ann' AND table_name IN ('t', 'v')",
            &["8"],
        ),
        (
            "SELECT grantee FROM information_schema.routine_privileges WHERE routine_name = 'f' ORDER BY 1",
            &["PUBLIC", "ann"],
        ),
        ("SELECT count(*) FROM information_schema.role_routine_grants WHERE routine_name = 'f'", &["1"]),
    ] {
        assert_eq!(rows(ann, query).await, expected, "{query}");
    }
    assert_eq!(
        rows(&admin, "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1").await,
        ["hidden", "t", "v"]
    );
}
