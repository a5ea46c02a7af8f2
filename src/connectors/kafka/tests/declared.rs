//! What a declaration may say: options as in Flink, and what is refused by its name.

use super::*;

#[test]
fn the_seeds_table_opens_on_the_default_broker() {
    let options = take(
        &[("order_id", "INT"), ("created_at", "TIMESTAMP(3)")],
        &[
            ("connector", "kafka"),
            ("topic", "orders"),
            ("properties.bootstrap.servers", ""),
            ("properties.group.id", "order-group"),
            ("format", "json"),
            ("json.fail-on-missing-field", "false"),
            ("json.ignore-parse-errors", "true"),
            ("scan.startup.mode", "earliest-offset"),
        ],
    )
    .unwrap();
    assert_eq!((options.bootstrap_servers.as_str(), options.is_embedded), ("default:9092", true));
    assert_eq!((options.startup, options.bounded), (Startup::Earliest, Bounded::No));
    assert_eq!(options.group_id, "order-group");
}

#[test]
fn options_are_read_as_in_flink() {
    let options = take(
        &[("k_id", "INT"), ("v", "STRING"), ("at", "BIGINT METADATA offset VIRTUAL")],
        &[
            ("topic", "b; a"),
            ("value.format", "json"),
            ("value.json.ignore-parse-errors", "true"),
            ("key.format", "json"),
            ("key.fields", "k_id"),
            ("key.fields-prefix", "k_"),
            ("value.fields-include", "EXCEPT_KEY"),
            ("properties.bootstrap.servers", "h2:1,h1:1"),
            ("scan.startup.mode", "SPECIFIC_OFFSETS"),
            ("scan.startup.specific-offsets", "partition:0,offset:42;partition:1,offset:300"),
            ("scan.bounded.mode", "timestamp"),
            ("scan.bounded.timestamp-millis", "99"),
            ("sink.partitioner", "round_robin"),
            ("sink.delivery-guarantee", "none"),
            ("scan.topic-partition-discovery.interval", "0"),
        ],
    )
    .unwrap();
    assert_eq!(options.topics, ["a", "b"]);
    assert_eq!(options.startup, Startup::Offsets(BTreeMap::from([(0, 42), (1, 300)])));
    assert_eq!(options.bounded, Bounded::Timestamp(99));
    assert_eq!((options.partitioner, options.discovery_interval), (writing::Partitioner::RoundRobin, None));
    assert_eq!(options.columns[..2], [ColumnSource::Key(0), ColumnSource::Value(0)]);
    assert_eq!(options.columns[2], ColumnSource::Metadata { metadata: Metadata::Offset, is_virtual: true });
    assert_eq!((options.key_fields[0].name().as_str(), options.value_fields.len()), ("id", 1));
    assert_eq!(options.resource("a"), "kafka://h1:1,h2:1/a");
    assert_eq!(options.group_id, "KafkaSource-db.public.orders");
}

#[test]
fn exactly_once_has_a_prefix_and_a_timeout() {
    let base = [("topic", "t"), ("format", "json")];
    assert_eq!(take(COLUMNS, &base).unwrap().transaction, None);
    for guarantee in ["sink.delivery-guarantee", "sink.semantic"] {
        let options = take(COLUMNS, &[base[0], base[1], (guarantee, "exactly_once")]).unwrap();
        let transaction = options.transaction.unwrap();
        assert_eq!(transaction.transactional_id_prefix, "streamgate");
        assert_eq!(transaction.timeout, Duration::from_secs(60));
    }
    let own = [
        base[0],
        base[1],
        ("sink.delivery-guarantee", "EXACTLY_ONCE"),
        ("sink.transactional-id-prefix", "team"),
        ("sink.transaction-naming-strategy", "POOLING"),
        ("properties.transaction.timeout.ms", "5000"),
    ];
    let options = take(COLUMNS, &own).unwrap();
    assert!(options.properties.is_empty());
    let transaction = options.transaction.unwrap();
    assert_eq!((transaction.transactional_id_prefix.as_str(), transaction.timeout), ("team", Duration::from_secs(5)));
}

#[test]
fn what_cannot_be_done_is_refused_with_its_name() {
    let base = [("topic", "t"), ("format", "json")];
    for (option, code) in [
        (("topic-pattern", "a.*"), "22023"),
        (("sink.delivery-guarantee", "twice"), "22023"),
        (("sink.transaction-naming-strategy", "random"), "22023"),
        (("properties.transaction.timeout.ms", "soon"), "22023"),
        (("scan.parallelism", "4"), "0A000"),
        (("scan.startup.mode", "soon"), "22023"),
        (("scan.startup.mode", "timestamp"), "22023"),
        (("scan.startup.timestamp-millis", "5"), "22023"),
        (("key.fields", "id"), "22023"),
        (("json.ignore-parse-error", "true"), "22023"),
        (("properties.plugin.library.paths", "/x.so"), "42501"),
        (("properties.sasl.kerberos.kinit.cmd", "rm"), "42501"),
        (("properties.ssl.ca.location", "/etc/passwd"), "42501"),
        (("properties.ssl.truststore.location", "/x.jks"), "42501"),
        (("properties.sasl.oauthbearer.token.endpoint.url", "http://169.254.169.254"), "42501"),
        (("properties.debug", "all"), "0A000"),
        (("properties.transactional.id", "x"), "0A000"),
        (("error-handling.mode", "dlq"), "0A000"),
    ] {
        let error =
            take(COLUMNS, &[base[0], base[1], option]).err().unwrap_or_else(|| panic!("{option:?} is accepted"));
        assert_eq!(error.sqlstate().code(), code, "{option:?}: {error}");
    }
    assert_eq!(take(COLUMNS, &[("topic", "t"), ("format", "csv")]).err().unwrap().sqlstate().code(), "0A000");
    assert!(take(COLUMNS, &[("topic", "t")]).is_err());
    assert!(take(COLUMNS, &[("format", "json")]).is_err());
    assert!(take(&[("x", "INT METADATA colour")], &base).is_err());
    let of_format = [("topic", "t"), ("format", "debezium-json")];
    let refused = take(&[("x", "STRING METADATA value.source.table VIRTUAL")], &of_format).err().unwrap();
    assert_eq!(refused.sqlstate().code(), "0A000", "{refused}");
    assert!(
        take(COLUMNS, &[("topic", "t"), ("format", "debezium-json"), ("debezium-json.database.include", "x")]).is_err()
    );
    assert!(take(&[("x", "STRING METADATA offset")], &base).is_err());
}

#[test]
fn java_security_settings_are_translated() {
    let jaas = "org.apache.kafka.common.security.plain.PlainLoginModule required \n username=\"al\\\"ice\" password=\"s;e=c ret\";";
    let options = take(
        COLUMNS,
        &[
            ("topic", "t"),
            ("format", "json"),
            ("properties.security.protocol", "SASL_SSL"),
            ("properties.sasl.mechanism", "PLAIN"),
            ("properties.sasl.jaas.config", jaas),
            ("properties.ssl.truststore.type", "PEM"),
            ("properties.ssl.truststore.certificates", "pem"),
            ("properties.ssl.endpoint.identification.algorithm", ""),
            ("properties.fetch.max.wait.ms", "7"),
            ("properties.key.deserializer", "org.apache…"),
        ],
    )
    .unwrap();
    let expected = [
        ("fetch.wait.max.ms", "7"),
        ("sasl.mechanism", "PLAIN"),
        ("sasl.password", "s;e=c ret"),
        ("sasl.username", "al\"ice"),
        ("security.protocol", "sasl_ssl"),
        ("ssl.ca.pem", "pem"),
        ("ssl.endpoint.identification.algorithm", "none"),
    ];
    assert_eq!(options.properties, expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    let oauth = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required;";
    let refused = take(COLUMNS, &[("topic", "t"), ("format", "json"), ("properties.sasl.jaas.config", oauth)]);
    assert_eq!(refused.err().unwrap().sqlstate().code(), "0A000");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn missing_topics_and_brokers_are_told_apart() {
    let (_cluster, servers) = cluster(1);
    let table = declaration(
        COLUMNS,
        &[("topic", "orders"), ("format", "json"), ("properties.bootstrap.servers", "127.0.0.1:1")],
    );
    let mut reader = OptionReader::new(&table.options, &|_| unreachable!("no secrets here")).unwrap();
    let begun = std::time::Instant::now();
    let advice = KafkaConnector::new(defaults(None)).create(&mut reader, &table).await.unwrap();
    assert!(matches!(advice.as_slice(), [Advice::Warning(_)]), "{advice:?}");
    assert!(begun.elapsed() < Duration::from_secs(6));
    let error = scan(&open("127.0.0.1:1", COLUMNS, &[]), project(&[0])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(begun.elapsed() < Duration::from_secs(20));

    let table = declaration(COLUMNS, &[("topic", "orders"), ("format", "json")]);
    let mut reader = OptionReader::new(&table.options, &|_| unreachable!("no secrets here")).unwrap();
    let advice = KafkaConnector::new(defaults(Some(&servers))).create(&mut reader, &table).await.unwrap();
    assert!(matches!(advice.as_slice(), [Advice::Notice(text)] if text.contains("embedded")), "{advice:?}");
}
