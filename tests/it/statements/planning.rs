//! Plans that take long, and what EXPLAIN ANALYZE says.

use super::trees::repeated;
use super::*;

#[tokio::test]
async fn explain_analyze_shows_what_each_operator_did() {
    let instance = Instance::start().await;
    let analysed = async |query: &str| instance.server.query(&format!("EXPLAIN ANALYZE {query}")).await;
    let lines = analysed(
        "SELECT x % 2, count(*) FROM generate_series(1, 1000) a(x) JOIN (VALUES (1), (2)) b(y) ON x > y GROUP BY x % 2",
    )
    .await;
    let text = lines.join("\n");
    assert!(lines[0].contains("output_rows=2,"), "{text}");
    let join = lines.iter().find(|line| line.contains("NestedLoopJoinExec")).unwrap();
    assert!(join.contains("input_rows=2,") && join.contains("build_input_rows=1.00 K"), "{text}");
    assert!(!text.contains("Interruptible"), "{text}");
    // Each operator stands two blanks to the right of the one above it, at most.
    let depths: Vec<usize> = lines.iter().map(|line| line.len() - line.trim_start().len()).collect();
    assert!(depths.windows(2).all(|pair| pair[1] <= pair[0] + 2), "{text}");

    let declared = "CREATE TABLE numbers (x BIGINT) WITH ('connector' = 'datagen', 'number-of-rows' = '321'); \
                    CREATE TABLE sink (v BIGINT) WITH ('connector' = 'blackhole')";
    instance.server.execute(declared).await;
    let text = analysed("INSERT INTO sink SELECT x FROM numbers").await.join("\n");
    assert!(text.contains("output_rows=321") && text.contains("rows_written=321"), "{text}");
}

#[tokio::test]
async fn a_plan_that_takes_long_holds_up_neither_log_ins_nor_others() {
    let instance = Instance::start().await;
    let server = &instance.server;
    let client = server.connect().await;
    client.batch_execute("SET statement_timeout = '2s'").await.unwrap();
    let large = format!(
        "SELECT count(*) FROM (VALUES (1)) v(x) WHERE {}",
        repeated(20_000, " AND ", |i| format!("x * {i} <> abs(x - {i})"))
    );
    let outcome = tokio::spawn(async move { value(&client, &large).await });
    let begun = Instant::now();
    while !outcome.is_finished() {
        let other = server.connect().await;
        assert_eq!(value(&other, "SELECT 1").await.unwrap(), "1");
    }
    println!("planning was done or given up after {:?}", begun.elapsed());
    let outcome = outcome.await.unwrap();
    assert!(outcome == Ok("1".to_owned()) || matches!(&outcome, Err((code, _)) if code == "57014"), "{outcome:?}");
}

#[tokio::test]
async fn a_cancel_ends_the_planning_of_a_statement() {
    let instance = Instance::start().await;
    let client = instance.server.connect().await;
    let cancel = client.cancel_token();
    // Terms that are taken apart and put together for minutes in a build like this one.
    let terms = repeated(9_900, " AND ", |i| format!("(x = {i} OR x > {})", i + 1));
    let long = format!("SELECT count(*) FROM (VALUES (1)) v(x) WHERE {terms}");
    let mut running = Box::pin(value(&client, &long));
    tokio::select! {
        outcome = &mut running => panic!("it was planned at once: {outcome:?}"),
        () = tokio::time::sleep(Duration::from_millis(700)) => {}
    }
    cancel.cancel_query(tokio_postgres::NoTls).await.unwrap();
    assert_eq!(running.await.expect_err("it was cancelled").0, "57014");
    assert_eq!(value(&client, "SELECT 1").await.unwrap(), "1");
}
