//! What a table gives: queries by key, scans, lookups, pages, items that have expired.

use super::*;

#[tokio::test]
async fn keys_are_queried_and_the_rest_is_scanned() {
    let store = Store::start().await;
    let declaration = orders(&[]);
    let advice = store.create(&declaration).await.unwrap();
    assert!(matches!(&advice[..], [Advice::Notice(text)] if text.contains("embedded")), "{advice:?}");
    let table = store.open(&declaration);
    let data: Vec<_> =
        (0..30).map(|i| (Some(i % 3), i, f64::from(i) / 10.0, if i % 2 == 0 { "paid" } else { "open" })).collect();
    insert(&table, rows(&declaration, &data)).await;

    check(
        &table,
        vec![col("user_id").eq(lit(1)), col("order_id").lt(lit(8))],
        "Query table=orders key user_id = 1 and order_id < 8, projection [order_id, status]",
        &["1 open", "4 paid", "7 open"],
    )
    .await;
    check(
        &table,
        vec![col("user_id").eq(lit(1)), col("order_id").between(lit(4), lit(10)), col("status").eq(lit("open"))],
        "Query table=orders key user_id = 1 and order_id >= 4 and order_id <= 10, filter status = Utf8(\"open\"), projection [order_id, status]",
        &["7 open"],
    )
    .await;
    check(
        &table,
        vec![col("user_id").eq(lit(1)).and(col("order_id").eq(lit(4)))],
        "GetItem table=orders key user_id = 1, order_id = 4, projection [order_id, status]",
        &["4 paid"],
    )
    .await;
    check(
        &table,
        vec![
            col("user_id").eq(lit(1)).or(col("user_id").eq(lit(2))),
            col("order_id").in_list(vec![lit(4), lit(5), lit(4)], false),
        ],
        "BatchGetItem table=orders 4 keys (user_id, order_id), projection [order_id, status]",
        &["4 paid", "5 open"],
    )
    .await;
    check(
        &table,
        vec![col("amount").gt(lit(2.75))],
        "Scan (4 segments) table=orders, then amount > Float64(2.75), projection [order_id, status]",
        &["28 paid", "29 open"],
    )
    .await;
    check(
        &table,
        vec![col("status").is_null().or(col("order_id").gt(lit(27)))],
        "Scan (4 segments) table=orders, filter status IS NULL OR order_id > Int32(27), projection [order_id, status]",
        &["28 paid", "29 open"],
    )
    .await;
    check(
        &table,
        vec![col("user_id").eq(Expr::Literal(ScalarValue::Int32(None), None))],
        "Query table=orders key user_id that no item has, projection [order_id, status]",
        &[],
    )
    .await;
    let (description, batches) = read(&table, &[0], vec![], Some(7)).await.unwrap();
    assert_eq!(description, "Scan (1 segments) table=orders, projection [user_id], limit 7");
    assert_eq!(count(&batches), 7);
    let (_, batches) = read(&table, &[], vec![col("user_id").eq(lit(1))], None).await.unwrap();
    assert_eq!(count(&batches), 10, "count(*)");
}

#[tokio::test]
async fn pages_beyond_a_megabyte_are_followed() {
    let store = Store::start().await;
    let declaration = orders(&[]);
    store.create(&declaration).await.unwrap();
    let table = store.open(&declaration);
    let long = "x".repeat(50_000);
    let data: Vec<_> = (0..60).map(|i| (Some(1), i, 0.0, long.as_str())).collect();
    insert(&table, rows(&declaration, &data)).await;
    for filters in [vec![], vec![col("user_id").eq(lit(1))]] {
        let (_, batches) = read(&table, &[1, 3], filters, None).await.unwrap();
        assert_eq!(count(&batches), 60);
    }
    let (_, batches) = read(&table, &[1, 3], vec![col("user_id").eq(lit(1))], Some(45)).await.unwrap();
    assert_eq!(count(&batches), 45);
    let (response, metrics) = lookup(&table, &declaration, &[0], &[vec![1]], &[1]).await;
    assert_eq!(response.rows.num_rows(), 60);
    assert!(metrics.requests.load(Ordering::Relaxed) >= 3, "1 MB a page");
}

#[tokio::test]
async fn lookups_count_their_requests() {
    let store = Store::start().await;
    let declaration = orders(&[]);
    store.create(&declaration).await.unwrap();
    let table = store.open(&declaration);
    let data: Vec<_> = (0..250).map(|i| (Some(i % 50), i, 0.0, "s")).collect();
    insert(&table, rows(&declaration, &data)).await;
    assert_eq!(table.lookup.as_ref().unwrap().key().await.unwrap(), [0, 1]);

    // Full keys, named in another order than the key's; (a, b) is not (b, a).
    let orders: Vec<i32> = (0..251).collect();
    let users: Vec<i32> = orders.iter().map(|order| order % 50).collect();
    let (response, metrics) = lookup(&table, &declaration, &[1, 0], &[orders, users], &[1, 0]).await;
    assert_eq!(metrics.requests.load(Ordering::Relaxed), 3, "100 keys a request");
    assert_eq!(response.rows.num_rows(), 250);
    let found = response.rows.column(0).as_primitive::<datafusion::arrow::datatypes::Int32Type>();
    for row in 0..250 {
        assert_eq!(found.value(row) as u32, response.key_index.value(row));
    }
    let (response, _) = lookup(&table, &declaration, &[0, 1], &[vec![3, 1], vec![1, 3]], &[1]).await;
    assert_eq!(response.rows.num_rows(), 0);

    let (response, metrics) = lookup(&table, &declaration, &[0], &[vec![49, 1000, 0]], &[1]).await;
    assert_eq!(metrics.requests.load(Ordering::Relaxed), 3, "one a partition key");
    assert_eq!(response.key_index.values().to_vec(), [0, 0, 0, 0, 0, 2, 2, 2, 2, 2]);
}

#[tokio::test]
async fn throttled_reads_are_repeated() {
    let calls = Arc::new(AtomicUsize::new(0));
    let seen = calls.clone();
    let store = Store::with_faults(Arc::new(move |operation, _| {
        match matches!(operation, "BatchGetItem" | "Query" | "Scan")
            && seen.fetch_add(1, Ordering::SeqCst).is_multiple_of(2)
        {
            true => throttled(),
            false => Fault::Pass,
        }
    }))
    .await;
    let declaration = orders(&[]);
    store.create(&declaration).await.unwrap();
    let table = store.open(&declaration);
    insert(&table, rows(&declaration, &[(Some(1), 1, 0.0, "s")])).await;
    let (response, metrics) = lookup(&table, &declaration, &[0, 1], &[vec![1], vec![1]], &[3]).await;
    assert_eq!(response.rows.num_rows(), 1);
    assert_eq!(metrics.retries.load(Ordering::Relaxed), 1);
    assert_eq!(count(&read(&table, &[1], vec![], None).await.unwrap().1), 1);
}

#[tokio::test]
async fn expired_items_are_never_read() {
    let store = Store::start().await;
    let declaration = declare(
        &[("user_id", "INT"), ("order_id", "INT"), ("expires_at", "TIMESTAMP(3)")],
        &["user_id", "order_id"],
        &[("table.create", "if-not-exists"), ("sink.ttl.attribute", "expires_at")],
    );
    store.create(&declaration).await.unwrap();
    let table = store.open(&declaration);
    let batch = RecordBatch::try_new(
        declaration.schema().unwrap(),
        vec![
            Arc::new(Int32Array::from(vec![1, 1, 1])),
            Arc::new(Int32Array::from(vec![1, 2, 3])),
            Arc::new(TimestampMillisecondArray::from(vec![Some(NOW_MS), Some(NOW_MS + 1000), None])),
        ],
    )
    .unwrap();
    insert(&table, batch).await;
    // Another declaration, which neither names nor reads the attribute.
    let plain = store.open(&declare(&[("user_id", "INT"), ("order_id", "INT")], &[], &[]));
    for filters in [
        vec![],
        vec![col("user_id").eq(lit(1))],
        vec![col("user_id").eq(lit(1)), col("order_id").in_list(vec![lit(1), lit(2), lit(3)], false)],
    ] {
        assert_eq!(count(&read(&plain, &[1], filters, None).await.unwrap().1), 2);
    }
    let (_, none) =
        read(&plain, &[1], vec![col("user_id").eq(lit(1)), col("order_id").eq(lit(1))], None).await.unwrap();
    assert_eq!(count(&none), 0);
    let declaration = declare(&[("user_id", "INT"), ("order_id", "INT")], &[], &[]);
    assert_eq!(lookup(&plain, &declaration, &[0], &[vec![1]], &[1]).await.0.rows.num_rows(), 2);
    assert_eq!(lookup(&plain, &declaration, &[0, 1], &[vec![1], vec![1]], &[1]).await.0.rows.num_rows(), 0);
    // The column itself reads back as it was written.
    let (_, batches) = read(&table, &[2], vec![col("order_id").eq(lit(2))], None).await.unwrap();
    let column = batches[0].column(0).as_primitive::<datafusion::arrow::datatypes::TimestampMillisecondType>();
    assert_eq!(column.value(0), NOW_MS + 1000);
}

#[tokio::test]
async fn a_value_of_another_type_names_table_attribute_and_key() {
    let store = Store::start().await;
    let declaration = orders(&[]);
    store.create(&declaration).await.unwrap();
    insert(&store.open(&declaration), rows(&declaration, &[(Some(1), 2, 0.0, "abc")])).await;
    let wrong = store.open(&declare(&[("user_id", "INT"), ("status", "INT")], &[], &[]));
    let error = read(&wrong, &[1], vec![], None).await.unwrap_err();
    assert_eq!(
        error.message(),
        "table \"db.public.orders\": attribute \"status\" of the item with user_id = 1, order_id = 2: the value is S 'abc', which is no INT"
    );
}

#[tokio::test]
async fn sql_reaches_the_key_through_the_planner() {
    use crate::connectors::table_provider::ConnectorTable;
    use datafusion::prelude::SessionContext;
    let store = Store::start().await;
    let declaration = orders(&[]);
    store.create(&declaration).await.unwrap();
    let opened = store.open(&declaration);
    let context = SessionContext::new();
    let provider = ConnectorTable::new(Arc::new(declaration), opened).unwrap();
    context.register_table("orders", Arc::new(provider)).unwrap();
    let run = async |sql: &str| {
        let batches = context.sql(sql).await.unwrap().collect().await.unwrap();
        pretty_format_batches(&batches).unwrap().to_string()
    };
    let inserted = run("INSERT INTO orders SELECT v % 5, v, v * 0.5, 'paid' FROM generate_series(1, 50) AS t(v)").await;
    assert!(inserted.contains("50"), "{inserted}");
    for (clause, description, rows) in [
        ("user_id = 3", "Query table=orders key user_id = 3, projection [order_id]", 10),
        (
            "o.user_id IN (3, 4) AND o.order_id >= 40",
            "Query table=orders key user_id in (3, 4) and order_id >= 40, projection [order_id]",
            4,
        ),
        (
            "user_id = 3 AND order_id = 8 AND status = 'paid'",
            "GetItem table=orders key user_id = 3, order_id = 8, then",
            1,
        ),
        (
            "user_id = 3 AND amount > 10 LIMIT 2",
            "Query table=orders key user_id = 3, then amount > Float64(10), projection [order_id], limit 2",
            2,
        ),
        (
            "status = 'paid' AND upper(status) = 'PAID' LIMIT 5",
            "Scan (4 segments) table=orders, filter status = Utf8(\"paid\")",
            5,
        ),
        ("TRUE LIMIT 3", "Scan (1 segments) table=orders, projection [order_id], limit 3", 3),
    ] {
        let plan = run(&format!("EXPLAIN FORMAT INDENT SELECT order_id FROM orders o WHERE {clause}")).await;
        assert!(plan.contains(description), "{clause}: {plan}");
        let found = run(&format!("SELECT order_id FROM orders o WHERE {clause}")).await;
        assert_eq!(found.lines().count() - 4, rows, "{clause}: {found}");
    }
    let total = run("SELECT count(*), sum(amount) FROM orders").await;
    assert!(total.contains("| 50") && total.contains("637.5"), "{total}");
}
