//! Statements that write a few rows each.

use std::time::{Duration, Instant};

use super::Bench;

#[tokio::test]
async fn rows_that_are_inserted_one_by_one_do_not_wait_for_a_producer_each() {
    let bench = Bench::start(1).await;
    bench.declare("").await;
    let client = bench.server().connect().await;
    client.batch_execute("INSERT INTO numbers VALUES (0)").await.unwrap();
    let begun = Instant::now();
    for id in 1..=20 {
        client.batch_execute(&format!("INSERT INTO numbers VALUES ({id})")).await.unwrap();
    }
    let one_by_one = begun.elapsed();
    // As executemany does: all of them on their way before the first answer.
    let insert = client.prepare("INSERT INTO numbers VALUES ($1)").await.unwrap();
    let begun = Instant::now();
    let ids: Vec<i64> = (21..=120).collect();
    let (client, insert) = (&client, &insert);
    let inserts = ids.iter().map(|id| async move { client.execute(insert, &[id]).await });
    for inserted in futures::future::join_all(inserts).await {
        assert_eq!(inserted.unwrap(), 1);
    }
    let in_a_row = begun.elapsed();
    println!("20 rows one by one: {one_by_one:?}; 100 in a row: {in_a_row:?}");
    // A producer each takes half a second each.
    assert!(one_by_one < Duration::from_secs(4), "{one_by_one:?}");
    assert!(in_a_row < Duration::from_secs(10), "{in_a_row:?}");
    assert_eq!(bench.server().query("SELECT count(*), sum(id) FROM numbers").await, ["121|7260"]);
}
