//! What drivers count on beside statements: cursors that are portals, statements that DEALLOCATE names, names in errors, look-ups of types
//! and keys.

use super::*;

#[tokio::test]
async fn cursors_of_declare_are_portals_to_describe_and_close() {
    let server = server().await;
    let mut raw = server.raw().await;
    raw.send(&message(b'Q', b"BEGIN; DECLARE c CURSOR FOR SELECT 1 AS a, 'x' AS b\0")).await;
    assert_eq!(raw.until_ready().await, "C BEGIN, C DECLARE CURSOR, Z");
    let (describe, sync) = (message(b'D', b"Pc\0"), message(b'S', b""));
    raw.send(&[describe.clone(), sync.clone()].concat()).await;
    let (tag, body) = raw.next().await.unwrap();
    assert_eq!((tag, &body[..4]), ('T', &b"\0\x02a\0"[..]));
    assert_eq!(raw.until_ready().await, "Z");
    raw.send(&message(b'Q', b"FETCH ALL FROM c\0")).await;
    assert_eq!(raw.until_ready().await, "T, D*1, C FETCH 1, Z");
    raw.send(&[message(b'C', b"Pc\0"), sync.clone()].concat()).await;
    assert_eq!(raw.until_ready().await, "3, Z");
    raw.send(&[describe, sync].concat()).await;
    assert_eq!(raw.until_ready().await, "E ERROR 34000, Z");
}

#[tokio::test]
async fn deallocate_and_discard_forget_statements_of_the_protocol() {
    let server = server().await;
    let mut raw = server.raw().await;
    let named = |name: &str| message(b'P', format!("{name}\0SELECT 1\0\0\0").as_bytes());
    let sync = message(b'S', b"");
    for forget in ["DEALLOCATE p", "DEALLOCATE ALL", "DISCARD ALL"] {
        raw.send(&[named("p"), sync.clone()].concat()).await;
        assert_eq!(raw.until_ready().await, "1, Z", "{forget}");
        raw.send(&message(b'Q', format!("{forget}\0").as_bytes())).await;
        let tag = if forget.ends_with('p') { "DEALLOCATE" } else { forget };
        assert_eq!(raw.until_ready().await, format!("C {tag}, Z"));
        raw.send(&[message(b'D', b"Sp\0"), sync.clone()].concat()).await;
        assert_eq!(raw.until_ready().await, "E ERROR 26000, Z", "{forget}");
    }
    // Before the end of the pipeline, too.
    let deallocate = [parse("DEALLOCATE ALL"), bind(), execute(0)].concat();
    raw.send(&[named("p"), deallocate, named("p"), sync].concat()).await;
    assert_eq!(raw.until_ready().await, "1, 1, 2, C DEALLOCATE ALL, 1, Z");
}

#[tokio::test]
async fn errors_name_table_column_and_constraint() {
    let server = server().await;
    let client = server.connect().await;
    let declare = "CREATE TEMP TABLE strict (id int PRIMARY KEY, n int NOT NULL, p int CHECK (p > 0), u text UNIQUE)";
    client.batch_execute(&format!("{declare}; INSERT INTO strict VALUES (1, 1, 1, 'a')")).await.unwrap();
    for (values, column, constraint) in [
        ("(1, 1, 1, 'b')", None, Some("strict_pkey")),
        ("(2, 1, 1, 'a')", None, Some("strict_u_key")),
        ("(3, 1, -1, 'c')", None, Some("strict_p_check")),
        ("(4, NULL, 1, 'd')", Some("n"), None),
    ] {
        let error = client.batch_execute(&format!("INSERT INTO strict VALUES {values}")).await.unwrap_err();
        let error = error.as_db_error().unwrap();
        assert_eq!(
            (error.table(), error.column(), error.constraint()),
            (Some("strict"), column, constraint),
            "{values}"
        );
    }
}

#[tokio::test]
async fn functions_in_from_take_parameters() {
    let server = server().await;
    let client = server.connect().await;
    let rows =
        client.query("SELECT n FROM generate_series(1, $1::bigint) AS t(n) WHERE n > $2", &[&5_i64, &3_i64]).await;
    let found: Vec<i64> = rows.unwrap().iter().map(|row| row.get(0)).collect();
    assert_eq!(found, [4, 5]);
}

#[tokio::test]
async fn columns_of_keys_are_found_by_their_number() {
    let server = server().await;
    let client = server.connect().await;
    client.batch_execute("CREATE TABLE keyed (a int, b int, c int, PRIMARY KEY (c, a))").await.unwrap();
    // As pgjdbc asks for primary keys.
    let query = "SELECT r.column_name, r.key_seq FROM (
          SELECT a.attname AS column_name, (information_schema._pg_expandarray(i.indkey)).n AS key_seq, ci.relname AS pk_name,
              information_schema._pg_expandarray(i.indkey) AS keys, a.attnum AS a_attnum
          FROM pg_catalog.pg_class ct JOIN pg_catalog.pg_attribute a ON (ct.oid = a.attrelid)
              JOIN pg_catalog.pg_namespace n ON (ct.relnamespace = n.oid)
              JOIN pg_catalog.pg_index i ON (a.attrelid = i.indrelid)
              JOIN pg_catalog.pg_class ci ON (ci.oid = i.indexrelid)
          WHERE n.nspname = 'public' AND ct.relname = 'keyed' AND i.indisprimary) r
        WHERE r.a_attnum = (r.keys).x ORDER BY r.key_seq";
    let rows = client.query(query, &[]).await.unwrap();
    let found: Vec<(String, i32)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    assert_eq!(found, [("c".to_owned(), 1), ("a".to_owned(), 2)]);
}

#[tokio::test]
async fn kinds_of_types_that_are_none_are_not_looked_into() {
    let server = server().await;
    let client = server.connect().await;
    // Of asyncpg's look-up of types: nobody could plan the sub-query.
    let query = "SELECT t.typname::text, (CASE WHEN t.typtype = 'd' THEN
              (WITH RECURSIVE bases(oid, depth) AS (
                  SELECT t2.typbasetype AS oid, 0 AS depth FROM pg_type t2 WHERE t2.oid = t.oid
                  UNION ALL
                  SELECT t2.typbasetype AS oid, b.depth + 1 AS depth FROM pg_type t2, bases b WHERE b.oid = t2.oid AND t2.typbasetype != 0
              ) SELECT oid FROM bases ORDER BY depth DESC LIMIT 1) ELSE NULL END) IS NULL AS is_null
        FROM pg_catalog.pg_type AS t WHERE t.oid = 1007";
    let row = client.query_one(query, &[]).await.unwrap();
    assert_eq!((row.get::<_, &str>(0), row.get::<_, bool>(1)), ("_int4", true));
    let query = "SELECT count(*) FROM pg_type WHERE typtype IN ('c', 'd', 'e')";
    assert_eq!(client.query_one(query, &[]).await.unwrap().get::<_, i64>(0), 0);
}

#[tokio::test]
async fn defaults_are_looked_up_beside_their_flag() {
    let server = server().await;
    let client = server.connect().await;
    client.batch_execute("CREATE TABLE defaults (a int, b int DEFAULT 7)").await.unwrap();
    // As SQLAlchemy writes it: the flag comes first.
    let query = "SELECT a.attname::text, CASE WHEN a.atthasdef THEN (
              SELECT pg_catalog.pg_get_expr(d.adbin, d.adrelid) FROM pg_catalog.pg_attrdef d
              WHERE a.atthasdef AND d.adrelid = a.attrelid AND d.adnum = a.attnum) ELSE NULL END
        FROM pg_catalog.pg_attribute a WHERE a.attrelid = 'defaults'::regclass AND a.attnum > 0 ORDER BY a.attnum";
    let rows = client.query(query, &[]).await.unwrap();
    let found: Vec<(String, Option<String>)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    assert_eq!(found, [("a".to_owned(), None), ("b".to_owned(), Some("7".to_owned()))]);
}
