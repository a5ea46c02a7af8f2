//! CREATE, ALTER and DROP ROLE, and who is in which role.

use super::*;

const ROLES: &str =
    "SELECT rolname, rolsuper, rolcreaterole, rolinherit, rolcanlogin, rolconnlimit, rolpassword, rolvaliduntil
    FROM pg_authid WHERE oid >= 16384 OR oid = 10 ORDER BY rolname";

#[tokio::test]
async fn the_first_role_must_be_one_that_can_let_others_in() {
    let server = server().await;
    let client = server.connect().await;
    for statement in [
        "CREATE ROLE somebody",
        "CREATE ROLE somebody SUPERUSER PASSWORD 'x'",
        "CREATE ROLE somebody SUPERUSER LOGIN",
        "CREATE USER somebody PASSWORD 'x'",
    ] {
        let refused = refused(&client, statement).await;
        assert_eq!(refused, "55000 the first role must be a superuser that can log in", "{statement}");
    }
    assert_eq!(rows(&client, ROLES).await, ["me|t|t|t|t|-1|NULL|NULL"], "whoever connects");
    client.batch_execute("CREATE USER admin SUPERUSER PASSWORD 'x'").await.unwrap();
    assert_eq!(
        refused(&client, "DROP ROLE admin").await,
        "2BP01 cannot drop role admin because it is required by the database system"
    );
    assert_eq!(
        refused(&client, "ALTER ROLE admin NOSUPERUSER").await,
        "42501 permission denied to alter role \"admin\""
    );
}

#[tokio::test]
async fn roles_are_kept_with_what_is_said_of_them() {
    let (_server, admin) = owned_server().await;
    admin
        .batch_execute(
            "CREATE ROLE readers NOLOGIN;
             CREATE USER alice WITH ENCRYPTED PASSWORD 'canary' CONNECTION LIMIT 3 VALID UNTIL '2030-01-02 03:04:05+00' IN ROLE readers;
             CREATE ROLE \"Bob\" LOGIN NOINHERIT CREATEROLE NOCREATEDB NOREPLICATION NOBYPASSRLS NOSUPERUSER;
             CREATE GROUP g ROLE alice ADMIN \"Bob\"",
        )
        .await
        .unwrap();
    assert_eq!(
        rows(&admin, ROLES).await,
        [
            "Bob|f|t|f|t|-1|NULL|NULL",
            "admin|t|f|t|t|-1|********|NULL",
            "alice|f|f|t|t|3|********|2030-01-02 03:04:05+00",
            "g|f|f|t|f|-1|NULL|NULL",
            "readers|f|f|t|f|-1|NULL|NULL",
        ]
    );
    let members =
        "SELECT pg_get_userbyid(roleid), pg_get_userbyid(member), admin_option FROM pg_auth_members ORDER BY 1, 2";
    assert_eq!(rows(&admin, members).await, ["g|Bob|t", "g|alice|f", "readers|alice|f"]);
    admin
        .batch_execute(
            "ALTER ROLE alice PASSWORD NULL VALID UNTIL 'infinity' CONNECTION LIMIT -1 CREATEROLE;
             ALTER ROLE \"Bob\" RENAME TO bob;
             REVOKE ADMIN OPTION FOR g FROM bob;
             REVOKE readers FROM alice;
             DROP ROLE IF EXISTS nobody, readers",
        )
        .await
        .unwrap();
    assert_eq!(
        rows(&admin, ROLES).await,
        [
            "admin|t|f|t|t|-1|********|NULL",
            "alice|f|t|t|t|-1|NULL|NULL",
            "bob|f|t|f|t|-1|NULL|NULL",
            "g|f|f|t|f|-1|NULL|NULL"
        ]
    );
    assert_eq!(rows(&admin, members).await, ["g|alice|f", "g|bob|f"]);
    assert_eq!(
        rows(&admin, "SELECT usename, usesuper, passwd FROM pg_user ORDER BY usename").await,
        ["admin|t|********", "alice|f|********", "bob|f|********"]
    );
    let has = "SELECT pg_has_role('alice', 'g', 'USAGE'), pg_has_role('bob', 'g', 'USAGE'), pg_has_role('bob', 'g', 'MEMBER'),
        pg_has_role('g', 'bob', 'MEMBER'), pg_has_role('g', 'USAGE')";
    assert_eq!(rows(&admin, has).await, ["t|f|t|f|t"]);
}

#[tokio::test]
async fn a_rolled_back_role_is_none() {
    let (_server, admin) = owned_server().await;
    admin.batch_execute("BEGIN; CREATE ROLE r PASSWORD 'x'; ROLLBACK").await.unwrap();
    assert_eq!(refused(&admin, "DROP ROLE r").await, "42704 role \"r\" does not exist");
    admin.batch_execute("BEGIN; CREATE ROLE r PASSWORD 'x'; ALTER ROLE r PASSWORD 'y'; COMMIT").await.unwrap();
    assert_eq!(refused(&admin, "CREATE ROLE r").await, "42710 role \"r\" already exists");
}

#[tokio::test]
async fn what_is_not_understood_of_a_role_is_refused() {
    let (_server, admin) = owned_server().await;
    for (statement, expected) in [
        ("CREATE ROLE r SUPERUSR", "42601 unrecognized role option"),
        ("CREATE ROLE r LOGIN NOLOGIN", "42601 conflicting or redundant options"),
        ("CREATE ROLE r PASSWORD 'a' PASSWORD 'b'", "42601 conflicting or redundant options"),
        ("CREATE ROLE r REPLICATION", "0A000 REPLICATION is not supported"),
        ("CREATE ROLE r CONNECTION LIMIT -2", "22023 invalid connection limit"),
        ("CREATE ROLE r VALID UNTIL 'soon'", "22007 invalid input syntax for type timestamp with time zone: \"soon\""),
        ("CREATE ROLE pg_r", "42939 role name \"pg_r\" is reserved"),
        ("CREATE ROLE public", "42939 role name \"public\" is reserved"),
        ("CREATE ROLE r IN ROLE nobody", "42704 role \"nobody\" does not exist"),
        ("ALTER ROLE admin SET search_path = x", "0A000 settings of roles are not supported yet"),
        ("ALTER ROLE nobody LOGIN", "42704 role \"nobody\" does not exist"),
        ("GRANT admin TO admin", "0LP01 role \"admin\" is a member of role \"admin\""),
    ] {
        assert_eq!(refused(&admin, statement).await, expected, "{statement}");
    }
}

#[tokio::test]
async fn whoever_makes_roles_controls_those_that_he_makes() {
    let (server, admin) = owned_server().await;
    admin
        .batch_execute(&format!(
            "CREATE USER maker CREATEROLE PASSWORD '{PASSWORD}'; CREATE USER plain PASSWORD '{PASSWORD}'; CREATE ROLE other;
             CREATE ROLE root SUPERUSER"
        ))
        .await
        .unwrap();
    let (maker, plain) = (login(&server, "maker").await.unwrap(), login(&server, "plain").await.unwrap());
    maker.batch_execute("CREATE ROLE made; GRANT made TO plain; ALTER ROLE made LOGIN; DROP ROLE made").await.unwrap();
    for (client, statement, expected) in [
        (&plain, "CREATE ROLE r", "42501 permission denied to create role"),
        (&plain, "ALTER ROLE plain SUPERUSER", "42501 permission denied to alter role"),
        (&plain, "ALTER ROLE admin PASSWORD 'x'", "42501 permission denied to alter role"),
        (&plain, "DROP ROLE other", "42501 permission denied to drop role"),
        (&plain, "GRANT other TO plain", "42501 permission denied to grant role \"other\""),
        (&plain, "REVOKE other FROM admin", "42501 permission denied to revoke role \"other\""),
        (&maker, "CREATE ROLE r SUPERUSER", "42501 permission denied to create role"),
        (&maker, "CREATE ROLE r IN ROLE admin", "42501 permission denied to grant role \"admin\""),
        (&maker, "CREATE ROLE r; GRANT root TO r", "42501 permission denied to grant role \"root\""),
        (&maker, "ALTER ROLE maker SUPERUSER", "42501 permission denied to alter role"),
        (&maker, "ALTER ROLE other LOGIN", "42501 permission denied to alter role"),
        (&maker, "DROP ROLE root", "42501 permission denied to drop role"),
    ] {
        assert_eq!(refused(client, statement).await, expected, "{statement}");
    }
    // His own password is everybody's to change.
    plain.batch_execute(&format!("ALTER ROLE CURRENT_USER PASSWORD '{PASSWORD}'")).await.unwrap();
    assert_eq!(
        refused(&plain, "ALTER ROLE plain PASSWORD 'x' VALID UNTIL 'infinity'").await,
        "42501 permission denied to alter role"
    );
}
