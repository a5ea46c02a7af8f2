//! What queries and bounded INSERTs answer: names and types of columns, parameters, the clock, time zones.

use super::*;

#[tokio::test]
async fn constants_and_names_of_columns() {
    let mut h = Harness::new();
    assert_eq!(h.run("select 1").await, ["?column?", "1"]);
    assert_eq!(h.run("select 1, 1, 'a' as x, 2 as x").await, ["?column?|?column?|x|x", "1|1|a|2"]);
    assert_eq!(h.run("select count(*), lower('A')").await, ["count|lower", "1|a"]);
    assert_eq!(h.run("select 1 as \"Total\"; select 2").await, ["Total", "1", "?column?", "2"]);
    assert_eq!(h.run("-- nothing").await, Vec::<String>::new());
    assert_eq!(h.run("values (1, 'a'), (2, 'b')").await, ["column1|column2", "1|a", "2|b"]);
    assert_eq!(h.run("with A as (select 1 as Xy) select xY from a order by XY").await, ["Xy", "1"]);
}

#[tokio::test]
async fn functions_of_flink_read_the_clock() {
    let mut h = Harness::new();
    for (expression, expected) in
        [("CAST(now() AS STRING)", "2023-11-14 22:13:20+00"), ("UNIX_TIMESTAMP()", "1700000000")]
    {
        assert_eq!(h.run(&format!("select {expression} as v")).await, ["v", expected], "{expression}");
    }
    h.run("SET 'table.local-time-zone' = 'Asia/Shanghai'").await;
    assert_eq!(h.run("select DATE_FORMAT(now(), 'yyyy-MM-dd HH') as v").await, ["v", "2023-11-15 06"]);
    assert_eq!(h.run("show timezone").await, ["TimeZone", "Asia/Shanghai"]);
}

#[tokio::test]
async fn parameters_are_inferred_and_bound() {
    let mut h = Harness::new();
    let statement = StatementText {
        text: "select x from (values (1), (2), (3)) t(x) where x >= $1 limit $2".to_owned(),
        offset: 0,
    };
    let prepared = h.session.prepare(&statement, &[]).await.unwrap();
    assert_eq!(prepared.parameter_types, [DataType::Int32, DataType::Int64]);
    for _ in 0..2 {
        let values = vec![ScalarValue::Int32(Some(2)), ScalarValue::Int64(Some(1))];
        let outcome = h.session.execute(&prepared, values).await.unwrap();
        assert_eq!(lines(prepared.clone(), outcome).await.unwrap(), ["x", "2"]);
    }
    let statement = StatementText { text: "select $1".to_owned(), offset: 0 };
    let prepared = h.session.prepare(&statement, &[Some(DataType::Int32)]).await.unwrap();
    assert_eq!(prepared.parameter_types, [DataType::Int32]);
    assert_eq!(prepared.result.unwrap().field(0).data_type(), &DataType::Int32);
    assert_eq!(
        h.run("prepare p (int) as select $1 + 1 as y; execute p (4); deallocate p").await,
        ["PREPARE", "y", "5", "DEALLOCATE"]
    );
}

#[tokio::test]
async fn views_are_planned_where_they_are_used() {
    let mut h = Harness::new();
    assert_eq!(h.run("CREATE VIEW v (A, b) AS SELECT 1, 'x' AS y").await, ["CREATE VIEW"]);
    assert_eq!(h.run("SELECT a, B FROM V").await, ["A|b", "1|x"]);
    assert_eq!(h.run("CREATE OR REPLACE VIEW v AS SELECT 2 AS z; SELECT * FROM v").await, ["CREATE VIEW", "z", "2"]);
}

#[tokio::test]
async fn bounded_inserts_are_counted_and_read_back() {
    let mut h = Harness::new();
    h.run(TABLE).await;
    assert_eq!(
        h.run("INSERT INTO orders VALUES (1, 'a', 1.5, '2024-01-01 10:00:00'), ('2', 7, '2.25', NULL)").await,
        ["INSERT 0 2"]
    );
    assert_eq!(h.run("INSERT INTO Orders (AMOUNT, userid) SELECT '2' + '3', '1.50' + 2").await, ["INSERT 0 1"]);
    assert_eq!(
        h.run("SELECT ORDER_ID, o.userid, Amount, o.* FROM orders O ORDER BY 1 NULLS LAST").await,
        [
            "order_id|userId|amount|order_id|userId|amount|created_at",
            "1|a|1.5|1|a|1.5|2024-01-01T10:00:00",
            "2|7|2.25|2|7|2.25|NULL",
            "NULL|3.5|5.0|NULL|3.5|5.0|NULL",
        ]
    );
    assert_eq!(
        h.run("select userid, sum(amount) as S from orders group by USERID having sum(AMOUNT) > 2 order by s").await,
        ["userId|S", "7|2.25", "3.5|5.0"]
    );
    assert_eq!(
        h.run("INSERT INTO orders (order_id) SELECT 'x'").await,
        ["22P02: invalid input syntax for type integer: \"x\""]
    );
    assert_eq!(h.error("INSERT INTO orders SELECT 1").await.sqlstate().code(), "42601");
    assert_eq!(h.error("INSERT INTO orders (nope) SELECT 1").await.position(), Some(21));
    assert_eq!(h.error("INSERT INTO orders (created_at) SELECT true").await.sqlstate().code(), "42804");
    let insert =
        StatementText { text: "insert into orders (order_id, created_at) values ($1, $2)".to_owned(), offset: 0 };
    let prepared = h.session.prepare(&insert, &[]).await.unwrap();
    assert_eq!(prepared.parameter_types[0], DataType::Int32);
    let values = vec![ScalarValue::Int32(Some(9)), ScalarValue::TimestampMillisecond(Some(0), None)];
    let Outcome::Done { tag } = h.session.execute(&prepared, values).await.unwrap() else { panic!() };
    assert_eq!(tag, "INSERT 0 1");
    let explained = h.run("EXPLAIN SELECT order_id FROM orders WHERE order_id = 1").await.join("\n");
    assert!(explained.contains("streamgate.public.orders: projection [0]"), "{explained}");
    assert_eq!(h.run("SELECT order_id FROM orders /*+ OPTIONS('name'='other') */ AS o").await, ["order_id"]);
    assert!(h.run("SELECT * FROM orders /*+ OPTIONS('nam'='other') */").await[0].contains("did you mean \"name\""));
}

#[tokio::test]
async fn functions_of_columns_go_by_the_time_zone_as_those_of_constants() {
    let mut h = Harness::new();
    h.run("CREATE TABLE target (v STRING) WITH ('connector' = 'memory', 'name' = 'target')").await;
    let calls = [
        ("FROM_UNIXTIME(x)", "1970-01-01 09:00:00"),
        ("FROM_UNIXTIME(x, 'HH:mm')", "09:00"),
        ("DATE_FORMAT(t, 'yyyy-MM-dd HH:mm')", "2024-01-02 05:00"),
        ("CONCAT_WS('/', t)", "2024-01-02 05:00:00+09"),
        ("CAST(t AS STRING)", "2024-01-02 05:00:00+09"),
        ("t || ''", "2024-01-02 05:00:00+09"),
        ("CONCAT(t, '')", "2024-01-02 05:00:00+09"),
        ("CAST(s AS TIMESTAMP_LTZ)::string", "2024-01-02 05:00:00+09"),
    ];
    let values = "(VALUES (0, timestamptz '2024-01-01 20:00:00+00', '2024-01-02 05:00:00')) AS v(x, t, s)";
    for (call, expected) in calls {
        // First in UTC: what is kept from there must not be seen later.
        h.run("SET TimeZone = 'UTC'").await;
        let in_utc = h.run(&format!("SELECT {call} AS v FROM {values}")).await;
        h.run("SET TimeZone = 'Asia/Tokyo'").await;
        assert_eq!(h.run(&format!("SELECT {call} AS v FROM {values}")).await, ["v", expected], "{call}");
        h.run(&format!("INSERT INTO target SELECT {call} FROM {values}")).await;
        assert_eq!(h.run("SELECT v FROM target").await.last().unwrap(), expected, "INSERT of {call}");
        h.run("SET TimeZone = 'UTC'").await;
        assert_eq!(h.run(&format!("SELECT {call} AS v FROM {values}")).await, in_utc, "{call} in UTC again");
    }
    h.run("SET TimeZone = 'UTC'; PREPARE p AS SELECT FROM_UNIXTIME(x) AS v FROM (VALUES (0)) t(x)").await;
    assert_eq!(h.run("EXECUTE p").await, ["v", "1970-01-01 00:00:00"]);
    h.run("SET TimeZone = 'Asia/Tokyo'").await;
    assert_eq!(h.run("EXECUTE p").await, ["v", "1970-01-01 09:00:00"]);
}

#[tokio::test]
async fn columns_without_a_name_and_hints_in_views_are_kept() {
    let mut h = Harness::new();
    h.run(TABLE).await;
    assert_eq!(h.run("select * from (select 1, count(*)) t").await, ["?column?|count", "1|1"]);
    assert_eq!(h.run("with x as (select 1, 2) select * from x").await, ["?column?|?column?", "1|2"]);
    h.run("CREATE VIEW v AS SELECT * FROM orders /*+ OPTIONS('name' = 'orders') */").await;
    assert!(h.run("SHOW CREATE VIEW v").await.concat().contains("/*+ OPTIONS"));
    assert_eq!(h.run("USE CATALOG default_catalog").await, ["USE"]);
}

#[tokio::test]
async fn untyped_parameters_of_any_are_arrays() {
    let mut h = Harness::new();
    let text =
        StatementText { text: "select a from (values ('x'), ('y')) t(a) where a = any($1)".to_owned(), offset: 0 };
    let prepared = h.session.prepare(&text, &[None]).await.unwrap();
    assert!(matches!(prepared.parameter_types[..], [DataType::List(_)]), "{:?}", prepared.parameter_types);
}
