//! Prepared statements: types of parameters and columns, plans that no longer fit.

use super::*;

#[tokio::test]
async fn parameters_are_described_and_bound() {
    let server = server().await;
    let client = server.connect().await;
    let statement = client.prepare("select $1::bigint + 1, $2::text, $3::oid, $4::timestamp, $5::bytea").await.unwrap();
    let types: Vec<&str> = statement.params().iter().map(tokio_postgres::types::Type::name).collect();
    assert_eq!(types, ["int8", "text", "oid", "timestamp", "bytea"]);
    let moment = chrono::NaiveDate::from_ymd_opt(2024, 2, 29).unwrap().and_hms_opt(1, 2, 3).unwrap();
    let row = client.query_one(&statement, &[&41_i64, &"x", &7_u32, &moment, &b"ab".to_vec()]).await.unwrap();
    assert_eq!(row.get::<_, i64>(0), 42);
    assert_eq!(row.get::<_, String>(1), "x");
    assert_eq!(row.get::<_, u32>(2), 7);
    assert_eq!(row.get::<_, chrono::NaiveDateTime>(3), moment);
    assert_eq!(row.get::<_, Vec<u8>>(4), b"ab");
    let error = client.query("select 1::bigint / $1::bigint", &[&0_i64]).await.unwrap_err();
    assert_eq!(code(&error), "22012");
}

#[tokio::test]
async fn whole_numbers_that_are_written_are_int4() {
    let server = server().await;
    let client = server.connect().await;
    let statement = client.prepare("select 1, $1::int + 1, -1 as x, 3000000000, array[1], $2 * 2").await.unwrap();
    let types: Vec<&str> = statement.columns().iter().map(|column| column.type_().name()).collect();
    assert_eq!(types, ["int4", "int4", "int4", "int8", "_int4", "int4"]);
    let row = client.query_one(&statement, &[&41, &4]).await.unwrap();
    assert_eq!((row.get::<_, i32>(0), row.get::<_, i32>(1), row.get::<_, i32>(2)), (1, 42, -1));
    assert_eq!((row.get::<_, i64>(3), row.get::<_, Vec<i32>>(4), row.get::<_, i32>(5)), (3_000_000_000, vec![1], 8));
}

#[tokio::test]
async fn array_parameters_have_the_type_of_what_they_are_compared_with() {
    let server = server().await;
    let client = server.connect().await;
    let values = "(values (1::int, 1::bigint, 1.50::decimal(10, 2), 'a'), (2::int, 2, 2.25, 'b')) t(i, b, d, s)";
    let query = format!(
        "select count(*) from {values} where i = any($1) and b = any($2) and d = any($3) and s = any($4) and i <> all($5)"
    );
    let statement = client.prepare(&query).await.unwrap();
    let types: Vec<&str> = statement.params().iter().map(tokio_postgres::types::Type::name).collect();
    assert_eq!(types, ["_int4", "_int8", "_numeric", "_text", "_int4"]);
    let query = format!("select s from {values} where i = any($1) and b = any($2) and i <> all($3)");
    let rows = client.query(&query, &[&vec![1, 2], &vec![2_i64, 3], &vec![1]]).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.get::<_, String>(0)).collect::<Vec<_>>(), ["b"]);
}

#[tokio::test]
async fn a_plan_that_no_longer_fits_tells_drivers_to_prepare_anew() {
    let server = server().await;
    let client = server.connect().await;
    for (one, other) in [("1::int AS a", "1::bigint AS a"), ("1::int AS a", "1::int AS a, 2::int AS b")] {
        let view = |columns: &str| format!("CREATE VIEW changed AS SELECT {columns}");
        client.batch_execute(&view(one)).await.unwrap();
        let statement = client.prepare("SELECT * FROM changed").await.unwrap();
        client.query(&statement, &[]).await.unwrap();
        client.batch_execute("DROP VIEW changed").await.unwrap();
        client.batch_execute(&view(other)).await.unwrap();
        let error = client.query(&statement, &[]).await.unwrap_err();
        let error = error.as_db_error().unwrap();
        assert_eq!((error.code().code(), error.routine()), ("0A000", Some("RevalidateCachedQuery")), "{other}");
        client.batch_execute("DROP VIEW changed").await.unwrap();
    }
}

#[tokio::test]
async fn a_prepared_statement_reads_the_clock_each_time_also_through_a_view() {
    let server = server().await;
    let client = server.connect().await;
    client
        .batch_execute("create view moment as select now() as t; create view later as select t from moment")
        .await
        .unwrap();
    for query in ["select now()::text", "select t::text from moment", "select t::text from later"] {
        let statement = client.prepare(query).await.unwrap();
        let first: String = client.query_one(&statement, &[]).await.unwrap().get(0);
        tokio::time::sleep(Duration::from_millis(5)).await;
        let second: String = client.query_one(&statement, &[]).await.unwrap().get(0);
        assert!(second > first, "{query}: {first}, {second}");
    }
}

#[tokio::test]
async fn uuids_and_documents_are_described_and_go_both_ways_as_drivers_send_them() {
    let server = server().await;
    let client = server.connect().await;
    let sql = "select $1::uuid as u, $2::jsonb as b, $3::json as j, $2::jsonb -> 'a' as a, u2 = $4 as same \
               from (values ('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid)) t (u2)";
    let statement = client.prepare(sql).await.unwrap();
    let types = |types: Vec<&tokio_postgres::types::Type>| -> Vec<String> {
        types.into_iter().map(|of| of.name().to_owned()).collect()
    };
    assert_eq!(types(statement.params().iter().collect()), ["uuid", "jsonb", "json", "uuid"]);
    let columns = statement.columns().iter().map(tokio_postgres::Column::type_).collect();
    assert_eq!(types(columns), ["uuid", "jsonb", "json", "jsonb", "bool"]);
    let id = uuid::Uuid::parse_str("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11").unwrap();
    let document = serde_json::json!({"a": [1, "x"], "b": null});
    let row = client.query_one(&statement, &[&id, &document, &document, &id]).await.unwrap();
    assert_eq!(row.get::<_, uuid::Uuid>("u"), id);
    assert_eq!(row.get::<_, serde_json::Value>("b"), document);
    assert_eq!(row.get::<_, serde_json::Value>("j"), document);
    assert_eq!(row.get::<_, serde_json::Value>("a"), document["a"]);
    assert!(row.get::<_, bool>("same"));
    let random: uuid::Uuid = client.query_one("select gen_random_uuid()", &[]).await.unwrap().get(0);
    assert_eq!(random.get_version_num(), 4);
}
