//! What only a real broker has: markers of transactions, records of aborted ones.

use super::*;

/// Twelve records in four transactions, of which the second and the fourth are aborted.
fn write_in_transactions(servers: &str, topic: &str) {
    use rdkafka::ClientConfig;
    use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
    let producer: BaseProducer =
        ClientConfig::new().set("bootstrap.servers", servers).set("transactional.id", topic).create().unwrap();
    let wait = Duration::from_secs(30);
    producer.init_transactions(wait).unwrap();
    for (ids, commits) in [(0..5, true), (5..8, false), (8..10, true), (10..12, false)] {
        producer.begin_transaction().unwrap();
        for id in ids {
            let value = format!("{{\"id\":{id}}}");
            let record = BaseRecord::<str, str>::to(topic).partition(0).payload(&value);
            producer.send(record).map_err(|(error, _)| error).unwrap();
        }
        if commits {
            producer.commit_transaction(wait).unwrap();
        } else {
            producer.flush(wait).unwrap();
            producer.abort_transaction(wait).unwrap();
        }
    }
}

/// Against a real broker: `STREAMGATE_TEST_KAFKA=host:port cargo test --lib real_broker -- --ignored`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a real broker, named by STREAMGATE_TEST_KAFKA"]
async fn a_real_broker_with_transaction_markers_aborted_records_and_no_topic() {
    use rdkafka::ClientConfig;
    use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
    use rdkafka::client::DefaultClientContext;
    let servers = std::env::var("STREAMGATE_TEST_KAFKA").expect("host:port");
    let topic = format!("markers-{}", uuid::Uuid::new_v4());
    let options = [("topic", topic.as_str()), ("properties.group.id", topic.as_str())];
    let table = |extra: &[(&str, &str)]| {
        let mut all = vec![("format", "json"), ("properties.bootstrap.servers", servers.as_str())];
        all.extend(options);
        all.extend(extra);
        let table = declaration(COLUMNS, &all);
        let mut reader = OptionReader::new(&table.options, &|_| unreachable!("no secrets here")).unwrap();
        KafkaConnector::new(defaults(None)).open(&mut reader, &table).unwrap()
    };
    assert!(scan(&table(&[]), project(&[0])).await.unwrap().0.is_empty(), "a topic that is not there has no rows");

    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", &servers).create().unwrap();
    admin.create_topics(&[NewTopic::new(&topic, 2, TopicReplication::Fixed(1))], &AdminOptions::new()).await.unwrap();
    let (written_servers, written_topic) = (servers.clone(), topic.clone());
    tokio::task::spawn_blocking(move || write_in_transactions(&written_servers, &written_topic)).await.unwrap();
    let expected = [0, 1, 2, 3, 4, 8, 9];
    let (ids, description) = scan(&table(&[]), project(&[0])).await.unwrap();
    assert_eq!(ids, expected);
    // Twelve records and four markers.
    assert!(description.ends_with("offsets 0:[0..16), 1:[0..0)"), "{description}");
    let late = [("scan.startup.mode", "timestamp"), ("scan.startup.timestamp-millis", "99999999999999")];
    assert!(scan(&table(&late), project(&[0])).await.unwrap().0.is_empty());
    let early = [("scan.startup.mode", "timestamp"), ("scan.startup.timestamp-millis", "1")];
    assert_eq!(scan(&table(&early), project(&[0])).await.unwrap().0, expected);

    let source = table(&[("scan.bounded.mode", "latest-offset")]).source.unwrap();
    let split = splits_of(&source).await.remove(0);
    let mut reader = source.open(SplitRequest::new(&split, Start::AsDeclared, &[0], Arc::default())).await.unwrap();
    let mut ids = Vec::new();
    while let Some(batch) = reader.next().await.unwrap() {
        ids.extend(batch.changes.rows().column(0).as_primitive::<Int32Type>().values().to_vec());
    }
    assert_eq!((ids.as_slice(), reader.position()), (expected.as_slice(), Position::Offset(16)));

    let mut writer = table(&[]).sink.unwrap().open(context()).await.unwrap();
    let begun = std::time::Instant::now();
    for batch in 0..20 {
        writer.write(ChangeBatch::inserts(rows(100 + batch * 1000..100 + (batch + 1) * 1000))).await.unwrap();
    }
    writer.flush().await.unwrap();
    let written = begun.elapsed();
    let begun = std::time::Instant::now();
    assert_eq!(scan(&table(&[]), project(&[0])).await.unwrap().0.len(), 20_007);
    println!("20000 rows written in {written:?}, read in {:?}", begun.elapsed());
    // One record, from the producer to the reader.
    let source = table(&[("scan.startup.mode", "latest-offset")]).source.unwrap();
    let splits = splits_of(&source).await;
    let mut readers = Vec::new();
    for split in &splits {
        readers.push(source.open(SplitRequest::new(split, Start::AsDeclared, &[0], Arc::default())).await.unwrap());
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    for id in 0..5 {
        let begun = std::time::Instant::now();
        writer.write(ChangeBatch::inserts(rows(id..id + 1))).await.unwrap();
        let (first, second) = readers.split_at_mut(1);
        tokio::select! {
            batch = first[0].next() => { batch.unwrap(); }
            batch = second[0].next() => { batch.unwrap(); }
        }
        println!("one row through the broker in {:?}", begun.elapsed());
    }
}
