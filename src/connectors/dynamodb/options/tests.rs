use super::*;
use crate::clock::SystemClock;
use crate::options::OptionValue;
use std::sync::Arc;

fn defaults() -> ConnectorDefaults {
    ConnectorDefaults {
        kafka_bootstrap_servers: None,
        kafka_properties: Default::default(),
        kafka_is_embedded: true,
        dynamodb_endpoint: Some("http://127.0.0.1:8000".into()),
        aws_region: None,
        aws_credentials: Some(("local".into(), "local".into())),
        dynamodb_is_embedded: true,
        places: Arc::new(crate::places::Places::anywhere()),
        clock: Arc::new(SystemClock),
    }
}

fn take(pairs: &[(&str, &str)]) -> Result<DynamoDbOptions> {
    let options =
        pairs.iter().map(|(name, value)| ((*name).to_owned(), OptionValue::Plain((*value).to_owned()))).collect();
    let mut reader = OptionReader::new(&options, &|_| Err(Error::internal("no secrets")))?;
    let taken = DynamoDbOptions::take(&mut reader, &defaults())?;
    reader.finish()?;
    Ok(taken)
}

#[test]
fn blank_credentials_and_a_region_alone_mean_the_default() {
    let options = take(&[
        ("connector", "dynamodb"),
        ("table-name", "order_detail_latest_month"),
        ("aws.region", "us-east-1"),
        ("aws.credentials.basic.accesskeyid", ""),
        ("aws.credentials.basic.secretkey", ""),
    ])
    .unwrap();
    assert!(options.is_embedded);
    assert_eq!(options.connection.endpoint.as_deref(), Some("http://127.0.0.1:8000"));
    assert_eq!(options.sink_requests_max, 50);
    assert_eq!(take(&[("table_name", "t"), ("primary_key", "field1")]).unwrap().primary_key, ["field1"]);
}

#[test]
fn own_credentials_never_mean_the_embedded_backend() {
    let options = take(&[
        ("table-name", "t"),
        ("aws.region", "AP_SOUTHEAST_1"),
        ("aws.credentials.basic.accesskeyid", "a"),
        ("aws.credentials.basic.secretkey", "b"),
    ])
    .unwrap();
    assert!(!options.is_embedded);
    assert_eq!(options.connection.endpoint, None);
    assert_eq!(options.connection.region.as_deref(), Some("ap-southeast-1"));
}

#[test]
fn what_is_not_there_is_refused() {
    for (pairs, state) in [
        (vec![("lookup.cache", "FULL")], "0A000"),
        (vec![("sink.write-mode", "update")], "0A000"),
        (vec![("aws.credentials.provider", "CUSTOM")], "0A000"),
        (vec![("aws.credentials.custom.class", "x.Y")], "0A000"),
        (vec![("sink.flush-buffer.size", "1")], "0A000"),
        (vec![("sink.batch.max-size", "26")], "22023"),
        (vec![("sink.requests.max-inflight", "0")], "22023"),
        (vec![("aws.credentials.basic.secretkey", "x")], "22023"),
        (vec![("table.create", "always")], "22023"),
        (vec![("sink.ttl", "1 d")], "22023"),
        (vec![("table_name", "u")], "22023"),
        (vec![("sink.batch.maxsize", "2")], "22023"),
    ] {
        let mut all = vec![("table-name", "t")];
        all.extend(pairs);
        assert_eq!(take(&all).unwrap_err().sqlstate().code(), state, "{all:?}");
    }
    assert!(take(&[]).is_err());
}

#[test]
fn roles_and_profiles_are_taken() {
    let role = take(&[
        ("table-name", "t"),
        ("aws.credentials.provider", "assume-role"),
        ("aws.credentials.role.arn", "arn:x"),
    ])
    .unwrap();
    assert!(matches!(role.connection.credentials, CredentialsSource::AssumeRole { .. }));
    let profile =
        take(&[("table-name", "t"), ("aws.credentials.provider", "PROFILE"), ("aws.credentials.profile.name", "dev")])
            .unwrap();
    assert!(matches!(profile.connection.credentials, CredentialsSource::Profile { .. }));
}
