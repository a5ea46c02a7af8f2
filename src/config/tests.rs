use super::*;

fn file(text: &str) -> File {
    toml::from_str(text).unwrap()
}

#[test]
fn nothing_configured_means_the_embedded_back_ends_on_loopback() {
    let config = Config::merge(&Settings::default(), File::default(), None).unwrap();
    assert_eq!(config.listen.to_string(), DEFAULT_LISTEN);
    assert_eq!(config.kafka, KafkaBackEnd::Embedded { port: 0 });
    assert_eq!(config.dynamodb, DynamoDbBackEnd::Embedded { port: 0 });
}

#[test]
fn settings_go_over_the_file() {
    let settings = Settings { kafka_bootstrap_servers: Some("flag:1".to_owned()), ..Settings::default() };
    let config = Config::merge(
        &settings,
        file("max_connections = 7\n[kafka]\nbootstrap_servers = 'file:1'\n[kafka.properties]\n'sasl.username' = 'u'"),
        None,
    )
    .unwrap();
    assert_eq!(config.max_connections, 7);
    let properties = BTreeMap::from([("sasl.username".to_owned(), "u".to_owned())]);
    assert_eq!(config.kafka, KafkaBackEnd::Cluster { bootstrap_servers: "flag:1".to_owned(), properties });
}

#[test]
fn embedded_false_refuses_and_a_region_alone_means_aws() {
    let config =
        Config::merge(&Settings::default(), file("[kafka]\nembedded = false\n[aws]\nregion = 'eu-west-1'"), None)
            .unwrap();
    assert_eq!(config.kafka, KafkaBackEnd::None);
    let region = Some("eu-west-1".to_owned());
    assert_eq!(config.dynamodb, DynamoDbBackEnd::Aws { endpoint: None, region, credentials: None });
}

#[test]
fn an_unknown_name_in_the_file_is_an_error() {
    assert!(toml::from_str::<File>("lissten = '127.0.0.1:1'").is_err());
}
