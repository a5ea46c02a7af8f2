use super::*;

fn keys() -> CredentialsSource {
    CredentialsSource::Static { access_key_id: "a".into(), secret_key: "b".into(), session_token: None }
}

#[tokio::test]
async fn an_https_client_is_built_and_says_that_nobody_answers() {
    let connection = Connection {
        endpoint: Some("https://127.0.0.1:1".into()),
        region: Some("eu-west-1".into()),
        credentials: keys(),
    };
    let client = ClientCache::default().client(&connection).await;
    let failure = send_once("asking", READ_TIMEOUT, None, client.list_tables().send()).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Transient, "{}", failure.error);
}

#[tokio::test]
async fn an_unanswered_request_ends_after_the_bounded_retries() {
    let connection = Connection { endpoint: Some("http://127.0.0.1:1".into()), region: None, credentials: keys() };
    let client = ClientCache::default().client(&connection).await;
    let metrics = ConnectorMetrics::default();
    let failure = send("asking", 2, Some(&metrics), || client.list_tables().send()).await.unwrap_err();
    assert!(failure.error.is_retryable());
    assert_eq!(metrics.requests.load(std::sync::atomic::Ordering::Relaxed), 3);
}
