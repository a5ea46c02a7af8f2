//! Sinks: keys and their partitions, room for records, producers that statements share.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_written_and_read() {
    let (_cluster, servers) = cluster(4);
    let options = [
        ("key.format", "json"),
        ("key.fields", "id"),
        ("value.fields-include", "EXCEPT_KEY"),
        ("scan.startup.mode", "earliest-offset"),
    ];
    write(&servers, &options, rows(0..50)).await;
    write(&servers, &options, rows(0..50)).await;
    let columns = [COLUMNS[0], COLUMNS[1], ("part", "INT METADATA partition VIRTUAL")];
    let table = open(&servers, &columns, &options);
    let plan = table.scan.as_ref().unwrap().plan(project(&[0, 2])).await.unwrap();
    let mut partition_of = BTreeMap::new();
    let mut count = 0;
    for part in &plan.partitions {
        let batches: Vec<RecordBatch> = part.open(100, &Arc::default()).unwrap().try_collect().await.unwrap();
        for batch in &batches {
            count += batch.num_rows();
            let parts = batch.column(1).as_primitive::<Int32Type>();
            for (id, part) in batch.column(0).as_primitive::<Int32Type>().iter().zip(parts) {
                assert_eq!(*partition_of.entry(id).or_insert(part), part, "one key, one partition");
            }
        }
    }
    assert_eq!((count, partition_of.len()), (100, 50));
    assert!(partition_of.values().collect::<std::collections::BTreeSet<_>>().len() > 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sink_waits_for_room_and_refuses_retractions() {
    let (_cluster, servers) = cluster(1);
    let small = [("properties.queue.buffering.max.messages", "10"), ("scan.startup.mode", "earliest-offset")];
    write(&servers, &small, rows(0..200)).await;
    let table = open(&servers, COLUMNS, &small);
    assert_eq!(scan(&table, project(&[0])).await.unwrap().0, (0..200).collect::<Vec<_>>());
    let mut writer = table.sink.unwrap().open(context()).await.unwrap();
    assert_eq!(writer.write(ChangeBatch::inserts(rows(0..0))).await.unwrap(), 1);
    let delete = ChangeBatch::changes(rows(0..1), [RowKind::Delete].into());
    assert_eq!(writer.write(delete).await.unwrap_err().sqlstate().code(), "0A000");
    writer.flush().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_is_not_delivered_fails_the_writer() {
    let options = [("properties.message.timeout.ms", "300"), ("properties.enable.idempotence", "false")];
    let table = open("127.0.0.1:1", COLUMNS, &options);
    let mut writer = table.sink.unwrap().open(context()).await.unwrap();
    writer.write(ChangeBatch::inserts(rows(0..3))).await.unwrap();
    let mut acknowledged = writer.acknowledged();
    let error = writer.flush().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(acknowledged.wait_for(|sequence| *sequence > 0).await.is_err(), "nothing is acknowledged");
    assert!(writer.write(ChangeBatch::inserts(rows(0..1))).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statements_share_a_producer_until_one_is_given_up() {
    let (cluster, servers) = cluster(1);
    let connector = KafkaConnector::new(defaults(None));
    let open = |linger: &str| {
        let options = [
            ("topic", "orders"),
            ("format", "json"),
            ("properties.bootstrap.servers", servers.as_str()),
            ("properties.linger.ms", linger),
        ];
        let table = declaration(COLUMNS, &options);
        let mut reader = OptionReader::new(&table.options, &|_| unreachable!("no secrets here")).unwrap();
        connector.open(&mut reader, &table).unwrap().sink.unwrap()
    };
    // A flush sends at once; without one, nothing leaves before the linger time.
    for _ in 0..3 {
        let mut writer = open("1000").open(context()).await.unwrap();
        writer.write(ChangeBatch::inserts(rows(0..5))).await.unwrap();
        writer.flush().await.unwrap();
    }
    assert_eq!(connector.producers().count(), 1);
    // Other client properties, another producer; a job has its own.
    open("2").open(context()).await.unwrap();
    open("3").open(SinkContext { is_of_job: true, ..context() }).await.unwrap();
    assert_eq!(connector.producers().count(), 2);
    // What is handed over and waited for by nobody is not sent when the broker comes back.
    cluster.broker_down(1).unwrap();
    let mut writer = open("1000").open(context()).await.unwrap();
    writer.write(ChangeBatch::inserts(rows(5..10))).await.unwrap();
    drop(writer);
    assert_eq!(connector.producers().count(), 1);
    cluster.broker_up(1).unwrap();
    write(&servers, &[], rows(10..12)).await;
    let table = super::open(&servers, COLUMNS, &[]);
    let (ids, _) = scan(&table, ScanRequest { projection: vec![0], ..ScanRequest::default() }).await.unwrap();
    assert_eq!(ids, [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4, 10, 11]);
}
