//! Bounded scans and sources: positions, metadata, bad records.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_written_is_read_in_bounded_scans() {
    let (_cluster, servers) = cluster(3);
    write(&servers, &[("sink.partitioner", "round-robin")], rows(0..500)).await;
    let table = open(&servers, COLUMNS, &[("scan.startup.mode", "earliest-offset")]);
    let (ids, description) = scan(&table, project(&[0])).await.unwrap();
    assert_eq!(ids, (0..500).collect::<Vec<_>>());
    assert!(description.starts_with("kafka topic orders, 3 partitions, offsets 0:[0.."), "{description}");
    // Without any commit, group-offsets reads from the earliest.
    assert_eq!(scan(&open(&servers, COLUMNS, &[]), project(&[0, 1])).await.unwrap().0.len(), 500);
    assert_eq!(
        scan(&open(&servers, COLUMNS, &[("scan.startup.mode", "latest-offset")]), project(&[0])).await.unwrap().0.len(),
        0
    );
    let limited = scan(&table, ScanRequest { limit: Some(2), ..project(&[0]) }).await.unwrap().0;
    assert!((2..=6).contains(&limited.len()), "{limited:?}");
    let bounds = [
        ("scan.startup.mode", "specific-offsets"),
        ("scan.startup.specific-offsets", "partition:0,offset:10;partition:1,offset:20"),
        ("scan.bounded.mode", "specific-offsets"),
        ("scan.bounded.specific-offsets", "partition:0,offset:15;partition:1,offset:21"),
    ];
    let (ids, description) = scan(&open(&servers, COLUMNS, &bounds), project(&[0])).await.unwrap();
    assert_eq!(
        (ids.len(), description.as_str()),
        (6, "kafka topic orders, 3 partitions, offsets 0:[10..15), 1:[20..21)")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_may_run_twice() {
    let (_cluster, servers) = cluster(1);
    write(&servers, &[], rows(0..10)).await;
    let table = open(&servers, COLUMNS, &[]);
    let plan = table.scan.as_ref().unwrap().plan(project(&[0])).await.unwrap();
    for _ in 0..2 {
        let batches: Vec<RecordBatch> =
            plan.partitions[0].open(4, &Arc::default()).unwrap().try_collect().await.unwrap();
        assert!(batches.iter().all(|batch| batch.num_rows() <= 4));
        assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 10);
    }
    // Only begun: dropping the stream stops the read.
    drop(plan.partitions[0].open(1, &Arc::default()).unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metadata_columns_and_predicates_on_them() {
    let (_cluster, servers) = cluster(2);
    produce(&servers, 0, &[r#"{"id":0}"#, r#"{"id":1}"#, r#"{"id":2}"#]).await;
    produce(&servers, 1, &[r#"{"id":10}"#, r#"{"id":11}"#]).await;
    let columns = [
        ("id", "INT"),
        ("part", "INT METADATA partition VIRTUAL"),
        ("at", "BIGINT METADATA offset VIRTUAL"),
        ("time", "TIMESTAMP(3) METADATA timestamp"),
        ("topic", "STRING METADATA topic VIRTUAL"),
    ];
    let table = open(&servers, &columns, &[]);
    let plan = table.scan.as_ref().unwrap().plan(project(&[4, 2, 0, 1, 3])).await.unwrap();
    let batches: Vec<RecordBatch> = plan.partitions[1].open(100, &Arc::default()).unwrap().try_collect().await.unwrap();
    let batch = datafusion::arrow::compute::concat_batches(&batches[0].schema(), &batches).unwrap();
    assert_eq!(batch.column(0).as_string::<i32>().value(1), "orders");
    assert_eq!(batch.column(1).as_primitive::<Int64Type>().values(), &[0, 1]);
    assert_eq!(batch.column(3).as_primitive::<Int32Type>().values(), &[1, 1]);
    assert_eq!(batch.column(4).data_type(), &DataType::Timestamp(TimeUnit::Millisecond, None));
    assert_eq!(batch.column(4).null_count(), 0);
    for (filters, expected) in [
        (vec![col("part").eq(lit(1))], vec![10, 11]),
        (vec![col("at").gt(lit(0_i64))], vec![1, 2, 11]),
        (vec![lit(1_i64).gt_eq(col("at")), col("at").gt_eq(lit(1_i64))], vec![1, 11]),
        (vec![col("id").eq(lit(1))], vec![0, 1, 2, 10, 11]),
    ] {
        let request = ScanRequest { filters, ..project(&[0]) };
        assert_eq!(scan(&table, request).await.unwrap().0, expected);
    }
    // A time without a zone is left to the query.
    let none = col("time").gt(lit(ScalarValue::TimestampMillisecond(Some(0), None)));
    assert_eq!(
        table.scan.unwrap().pushdown(&[&none])[0],
        datafusion::logical_expr::TableProviderFilterPushDown::Unsupported
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_record_fails_with_its_place_or_is_counted() {
    let (_cluster, servers) = cluster(1);
    produce(&servers, 0, &[r#"{"id":1}"#, r#"{"id":"x"}"#, "", r#"{"id":3}"#]).await;
    let error = scan(&open(&servers, COLUMNS, &[]), project(&[0])).await.unwrap_err();
    assert_eq!(
        error.message(),
        "topic \"orders\", partition 0, offset 1: record field \"id\" cannot read \"x\" as INT"
    );
    let table =
        open(&servers, COLUMNS, &[("json.ignore-parse-errors", "true"), ("scan.bounded.mode", "latest-offset")]);
    let source = table.source.unwrap();
    assert!(source.is_bounded());
    let metrics = Arc::new(ConnectorMetrics::default());
    let split = splits_of(&source).await.remove(0);
    let mut reader = source.open(SplitRequest::new(&split, Start::AsDeclared, &[0], metrics.clone())).await.unwrap();
    let mut ids = Vec::new();
    while let Some(batch) = reader.next().await.unwrap() {
        ids.extend(batch.changes.rows().column(0).as_primitive::<Int32Type>().iter());
    }
    assert_eq!(ids, [Some(1), None, Some(3)]);
    assert_eq!(reader.position(), Position::Offset(4));
    assert!(reader.next().await.unwrap().is_none());
    assert_eq!(metrics.skipped.load(std::sync::atomic::Ordering::Relaxed), 1);
    assert_eq!(metrics.rows.load(std::sync::atomic::Ordering::Relaxed), 3);
}

async fn take_rows(reader: &mut dyn SplitReader, count: usize) -> Vec<i32> {
    let mut ids = Vec::new();
    while ids.len() < count {
        let next = tokio::time::timeout(Duration::from_secs(20), reader.next()).await.expect("rows come");
        let SourceBatch { changes, position, .. } = next.unwrap().expect("no end");
        assert_eq!(reader.position(), position);
        ids.extend(changes.rows().column(0).as_primitive::<Int32Type>().values());
    }
    ids
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_goes_on_from_its_position() {
    let (_cluster, servers) = cluster(2);
    produce(&servers, 0, &[r#"{"id":1}"#, r#"{"id":2}"#, r#"{"id":3}"#]).await;
    let table = open(&servers, COLUMNS, &[]);
    let source = table.source.unwrap();
    let splits = splits_of(&source).await;
    assert_eq!(splits[1].id, "orders/1");
    assert_eq!(splits[1].resource, format!("kafka://{servers}/orders/1"));
    let mut first = source.open(SplitRequest::new(&splits[0], Start::AsDeclared, &[0], Arc::default())).await.unwrap();
    let mut second = source.open(SplitRequest::new(&splits[1], Start::AsDeclared, &[0], Arc::default())).await.unwrap();
    assert_eq!(first.position(), Position::Offset(0));
    assert_eq!((take_rows(first.as_mut(), 3).await, first.position()), (vec![1, 2, 3], Position::Offset(3)));
    // A call that is given up loses nothing.
    assert!(tokio::time::timeout(Duration::from_millis(50), second.next()).await.is_err());
    produce(&servers, 1, &[r#"{"id":4}"#]).await;
    assert_eq!(take_rows(second.as_mut(), 1).await, [4]);
    assert_eq!(source.ends(&splits).await.unwrap(), [3, 1].map(Position::Offset));
    source.commit(&[(splits[0].clone(), Position::Offset(2))]).await.unwrap();
    drop(first);
    // The same split again, from an older position, on the same source.
    let mut again =
        source.open(SplitRequest::new(&splits[0], Start::At(Position::Offset(1)), &[0], Arc::default())).await.unwrap();
    assert_eq!(take_rows(again.as_mut(), 2).await, [2, 3]);
    drop((again, second));
    // Another source of the group begins where it has committed.
    let other = open(&servers, COLUMNS, &[]).source.unwrap();
    let mut committed = Position::Offset(-1);
    for _ in 0..100 {
        committed = other
            .open(SplitRequest::new(&splits[0], Start::AsDeclared, &[0], Arc::default()))
            .await
            .unwrap()
            .position();
        if committed == Position::Offset(2) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(committed, Position::Offset(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_offset_that_is_not_there_is_an_error() {
    let (_cluster, servers) = cluster(1);
    produce(&servers, 0, &[r#"{"id":1}"#]).await;
    let source = open(&servers, COLUMNS, &[]).source.unwrap();
    let split = splits_of(&source).await.remove(0);
    let mut reader =
        source.open(SplitRequest::new(&split, Start::At(Position::Offset(100)), &[0], Arc::default())).await.unwrap();
    let error = tokio::time::timeout(Duration::from_secs(20), reader.next()).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert!(error.message().contains("offset 100"), "{error}");
}
