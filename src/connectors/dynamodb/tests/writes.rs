//! What a table takes: changes by key, requests that are refused, lost or answered in part.

use super::*;

#[tokio::test]
async fn changes_of_all_kinds_arrive_and_keyless_rows_are_skipped() {
    let store = Store::start().await;
    let declaration = orders(&[]);
    store.create(&declaration).await.unwrap();
    let table = store.open(&declaration);
    assert_eq!(table.sink.as_ref().unwrap().kind().await.unwrap(), SinkKind::Upsert { key: vec![0, 1] });
    let (mut writer, metrics) = writer(&table).await;
    let all = [
        (RowKind::Insert, (Some(1), 1, 1.0, "a")),
        (RowKind::Insert, (Some(1), 2, 1.0, "b")),
        (RowKind::Insert, (None, 3, 1.0, "no key")),
        (RowKind::UpdateBefore, (Some(1), 1, 1.0, "a")),
        (RowKind::UpdateAfter, (Some(1), 1, 1.0, "a2")),
        (RowKind::Delete, (Some(1), 2, 1.0, "b")),
        (RowKind::Insert, (Some(1), 4, 1.0, "moved")),
        (RowKind::UpdateBefore, (Some(1), 4, 1.0, "moved")),
        (RowKind::UpdateAfter, (Some(1), 5, 1.0, "here")),
    ];
    let batch = rows(&declaration, &all.map(|(_, row)| row));
    let kinds: Arc<[RowKind]> = all.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(writer.write(ChangeBatch::changes(batch, kinds)).await.unwrap(), 1);
    writer.flush().await.unwrap();
    assert_eq!(*writer.acknowledged().borrow(), 1);
    assert_eq!(metrics.skipped.load(Ordering::Relaxed), 1);
    assert_eq!(metrics.requests.load(Ordering::Relaxed), 1, "one batch, last change of each key");
    check(
        &table,
        vec![col("user_id").eq(lit(1))],
        "Query table=orders key user_id = 1, projection [order_id, status]",
        &["1 a2", "5 here"],
    )
    .await;
}

#[tokio::test]
async fn refused_and_unprocessed_writes_arrive_in_the_order_of_their_key() {
    let calls = Arc::new(AtomicUsize::new(0));
    let seen = calls.clone();
    let store = Store::with_faults(Arc::new(move |operation, body| {
        if operation != "BatchWriteItem" {
            return Fault::Pass;
        }
        match seen.fetch_add(1, Ordering::SeqCst) % 5 {
            0 => throttled(),
            1 => Fault::Answer(500, r#"{"__type":"InternalServerError","message":"oops"}"#.into()),
            // All of them unprocessed.
            2 => Fault::Answer(200, format!(r#"{{"UnprocessedItems":{}}}"#, request_items(body))),
            _ => Fault::Pass,
        }
    }))
    .await;
    let declaration = orders(&[("sink.requests.max-inflight", "8"), ("sink.requests.max-buffered", "100")]);
    store.create(&declaration).await.unwrap();
    let table = store.open(&declaration);
    let (mut writer, metrics) = writer(&table).await;
    let mut last = 0;
    for round in 0..8 {
        let status = format!("round {round:02}");
        let data: Vec<_> = (0..150).map(|i| (Some(i % 7), i, 0.0, status.as_str())).collect();
        last = writer.write(ChangeBatch::inserts(rows(&declaration, &data))).await.unwrap();
    }
    assert_eq!(last, 8);
    writer.flush().await.unwrap();
    assert_eq!(*writer.acknowledged().borrow(), 8);
    assert!(metrics.retries.load(Ordering::Relaxed) > 0);
    let (_, batches) = read(&table, &[1], vec![col("status").eq(lit("round 07"))], None).await.unwrap();
    assert_eq!(count(&batches), 150);
}

fn request_items(body: &str) -> String {
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    body["RequestItems"].to_string()
}

#[tokio::test]
async fn a_part_of_a_batch_left_out_is_sent_again_alone() {
    let first = Arc::new(AtomicUsize::new(0));
    let seen = first.clone();
    let bodies = Arc::new(parking_lot::Mutex::new(Vec::<usize>::new()));
    let noted = bodies.clone();
    let store = Store::with_faults(Arc::new(move |operation, body| {
        if operation == "BatchWriteItem" {
            let body: serde_json::Value = serde_json::from_str(body).unwrap();
            let items = body["RequestItems"]["orders"].as_array().unwrap().clone();
            noted.lock().push(items.len());
            if seen.fetch_add(1, Ordering::SeqCst) == 0 {
                // Says that three of ten were left out (the other seven are written by nobody: only the requests count here).
                let left = serde_json::json!({"UnprocessedItems": {"orders": &items[..3]}});
                return Fault::Answer(200, left.to_string());
            }
        }
        Fault::Pass
    }))
    .await;
    let declaration = orders(&[]);
    store.create(&declaration).await.unwrap();
    let table = store.open(&declaration);
    let data: Vec<_> = (0..10).map(|i| (Some(1), i, 0.0, "s")).collect();
    insert(&table, rows(&declaration, &data)).await;
    assert_eq!(*bodies.lock(), [10, 3]);
    let (_, batches) = read(&table, &[1], vec![], None).await.unwrap();
    assert_eq!(count(&batches), 3);
}

#[tokio::test]
async fn a_batch_whose_answer_names_another_key_is_sent_again_whole() {
    let calls = Arc::new(AtomicUsize::new(0));
    let seen = calls.clone();
    let store = Store::with_faults(Arc::new(move |operation, body| {
        if operation == "BatchWriteItem" && seen.fetch_add(1, Ordering::SeqCst) == 0 {
            let body: serde_json::Value = serde_json::from_str(body).unwrap();
            let mut left = body["RequestItems"]["orders"][0].clone();
            left["PutRequest"]["Item"]["order_id"]["N"] = "77".into();
            return Fault::Answer(200, serde_json::json!({"UnprocessedItems": {"orders": [left]}}).to_string());
        }
        Fault::Pass
    }))
    .await;
    let declaration = orders(&[]);
    store.create(&declaration).await.unwrap();
    let table = store.open(&declaration);
    let data: Vec<_> = (0..3).map(|i| (Some(1), i, 0.0, "s")).collect();
    insert(&table, rows(&declaration, &data)).await;
    assert_eq!(calls.load(Ordering::SeqCst), 2);
    let (_, batches) = read(&table, &[1], vec![], None).await.unwrap();
    assert_eq!(count(&batches), 3);
}

#[tokio::test]
async fn a_writer_that_waits_for_a_slow_store_sleeps() {
    let hanging = Arc::new(|operation: &str, _: &str| match operation {
        "BatchWriteItem" => Fault::Hang,
        _ => Fault::Pass,
    });
    let store = Store::with_faults(hanging).await;
    let table = orders(&[("sink.requests.max-buffered", "4")]);
    store.create(&table).await.unwrap();
    let opened = store.open(&table);
    let (mut writer, metrics) = writer(&opened).await;
    let many: Vec<_> = (0..8).map(|number| (Some(1), number, 1.0, "x")).collect();
    let batch = ChangeBatch::inserts(rows(&table, &many));
    let mut polls = 0;
    let write = writer.write(batch);
    tokio::pin!(write);
    let counted = std::future::poll_fn(|context| {
        polls += 1;
        write.as_mut().poll(context)
    });
    tokio::time::timeout(Duration::from_millis(300), counted).await.unwrap_err();
    assert!(metrics.requests.load(Ordering::Relaxed) > 0, "nothing was sent");
    assert!(polls < 20, "it was woken {polls} times for nothing");
}

#[tokio::test]
async fn requests_without_an_answer_are_given_up_and_repeated() {
    let calls = Arc::new(AtomicUsize::new(0));
    let seen = calls.clone();
    let store = Store::with_faults(Arc::new(move |operation, _| {
        match operation == "BatchWriteItem" && seen.fetch_add(1, Ordering::SeqCst) == 0 {
            true => Fault::Hang,
            false => Fault::Pass,
        }
    }))
    .await;
    let declaration = orders(&[("sink.http-client.read-timeout", "200 ms")]);
    store.create(&declaration).await.unwrap();
    let table = store.open(&declaration);
    insert(&table, rows(&declaration, &[(Some(1), 1, 0.0, "s")])).await;
    assert_eq!(calls.load(Ordering::SeqCst), 2);
    assert_eq!(count(&read(&table, &[1], vec![], None).await.unwrap().1), 1);

    // With sink.fail-on-error the same is an error.
    calls.store(0, Ordering::SeqCst);
    let strict = store.open(&orders(&[("sink.http-client.read-timeout", "200 ms"), ("sink.fail-on-error", "true")]));
    let (mut writer, _) = writer(&strict).await;
    writer.write(ChangeBatch::inserts(rows(&declaration, &[(Some(1), 1, 0.0, "s")]))).await.unwrap();
    assert!(writer.flush().await.unwrap_err().is_retryable());
    assert!(writer.acknowledged().changed().await.is_err(), "the sender is dropped");
}

#[tokio::test]
async fn a_computed_expiry_is_added() {
    let store = Store::start().await;
    let declaration = orders(&[("sink.ttl.attribute", "ttl"), ("sink.ttl", "30 d")]);
    store.create(&declaration).await.unwrap();
    let table = store.open(&declaration);
    insert(&table, rows(&declaration, &[(Some(1), 1, 0.0, "s")])).await;
    let with_ttl = store.open(&declare(&[("ttl", "BIGINT")], &[], &[]));
    let (_, batches) = read(&with_ttl, &[0], vec![], None).await.unwrap();
    let column = batches[0].column(0).as_primitive::<datafusion::arrow::datatypes::Int64Type>();
    assert_eq!(column.value(0), NOW_MS / 1000 + 30 * 86_400);
}

#[tokio::test]
async fn rows_that_dynamodb_cannot_hold_fail_the_writer() {
    let store = Store::start().await;
    let declaration = orders(&[]);
    store.create(&declaration).await.unwrap();
    let table = store.open(&declaration);
    for row in [(Some(1), 1, f64::NAN, "s"), (Some(1), 1, 0.0, &*"x".repeat(410_000))] {
        let (mut writer, _) = writer(&table).await;
        let error = writer.write(ChangeBatch::inserts(rows(&declaration, &[row]))).await.unwrap_err();
        assert_eq!(error.kind(), crate::error::ErrorKind::Row);
        assert!(writer.flush().await.is_err());
    }
}
