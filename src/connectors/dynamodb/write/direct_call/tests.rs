use std::time::Duration;

use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use aws_smithy_runtime_api::client::identity::{IdentityFuture, ResolveIdentity};

use super::*;
use crate::connectors::dynamodb::client::{Failure, FailureKind};

fn client(session_token: Option<&str>, endpoint: Option<&str>) -> Client {
    let token = session_token.map(ToOwned::to_owned);
    let mut config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-west-3"))
        .credentials_provider(Credentials::new("AKID/EXAMPLE", "secret", token, None, "test"))
        .http_client(aws_smithy_http_client::Builder::new().build_http());
    if let Some(endpoint) = endpoint {
        config = config.endpoint_url(endpoint);
    }
    Client::from_conf(config.build())
}

/// Seconds since 1970 of `20240131T102030Z`.
fn signed_at(date: &str) -> SystemTime {
    let at = chrono::NaiveDateTime::parse_from_str(date, "%Y%m%dT%H%M%SZ").unwrap();
    SystemTime::UNIX_EPOCH + Duration::from_secs(at.and_utc().timestamp() as u64)
}

#[tokio::test]
async fn a_call_is_signed_as_the_sdk_signs_it() {
    for (token, endpoint) in [(None, None), (Some("token"), None), (None, Some("http://127.0.0.1:8000"))] {
        let client = client(token, endpoint);
        let seen = Seen::default();
        let call = client.batch_write_item().request_items("orders", Vec::new()).customize().interceptor(seen.clone());
        call.send().await.unwrap_err();
        let (_, by_sdk) = seen.0.lock().take().unwrap();

        let direct = DirectCall::new(&client, "orders").await.unwrap();
        let body = Bytes::copy_from_slice(by_sdk.body().bytes().unwrap());
        let at = signed_at(by_sdk.headers().get("x-amz-date").unwrap());
        let request = direct.request(body, &direct.identity().await.unwrap(), at).unwrap();
        assert_eq!(request.uri(), by_sdk.uri());
        assert_eq!(request.method(), by_sdk.method());
        let mut has_signature = false;
        for (name, value) in by_sdk.headers() {
            match name {
                // Different for each call, and not signed.
                "amz-sdk-invocation-id" | "amz-sdk-request" => assert_eq!(request.headers().get(name), None),
                _ => assert_eq!(request.headers().get(name), Some(value), "{name}"),
            }
            has_signature |= name == "authorization";
        }
        assert!(has_signature);
        assert_eq!(by_sdk.headers().get("x-amz-security-token"), token);
    }
}

#[test]
fn a_scope_is_read_from_a_signature() {
    let scope = Scope::of(
        "AWS4-HMAC-SHA256 Credential=a/b/20240131/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0a",
    );
    assert_eq!(scope, Some(Scope { region: "us-east-1".to_owned(), service: "dynamodb".to_owned() }));
    assert_eq!(Scope::of("AWS4-ECDSA-P256-SHA256 Credential=a/20240131/dynamodb/aws4_request"), None);
}

#[test]
fn a_refusal_has_its_code_and_message() {
    let read = |header, body: &str| {
        let refusal = refusal(header, body.as_bytes());
        (refusal.code().map(ToOwned::to_owned), refusal.message().map(ToOwned::to_owned))
    };
    let expected = (Some("ThrottlingException".to_owned()), Some("slow down".to_owned()));
    let body = r#"{"__type":"com.amazonaws.dynamodb.v20120810#ThrottlingException","message":"slow down"}"#;
    assert_eq!(read(None, body), expected);
    let body = r#"{"Message":"slow down"}"#;
    assert_eq!(read(Some("ThrottlingException:http://internal.amazon.com/"), body), expected);
    assert_eq!(read(None, "<html>"), (None, None));
}

#[tokio::test]
async fn nobody_there_is_a_passing_failure() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let client = client(None, Some(&endpoint));
    let call = DirectCall::new(&client, "orders").await.unwrap();
    let error = call.send(Bytes::from_static(b"{}")).await.unwrap_err();
    assert_eq!(Failure::of(&error, "BatchWriteItem").kind, FailureKind::Transient);
}

/// Credentials that cannot be had.
#[derive(Debug)]
struct NoCredentials;

impl ResolveIdentity for NoCredentials {
    fn resolve_identity<'a>(&'a self, _: &'a RuntimeComponents, _: &'a ConfigBag) -> IdentityFuture<'a> {
        IdentityFuture::ready(Err("the metadata service does not answer".into()))
    }
}

#[tokio::test]
async fn without_credentials_a_job_may_try_again() {
    let mut call = DirectCall::new(&client(None, None), "orders").await.unwrap();
    call.identity = SharedIdentityResolver::new(NoCredentials);
    let error = call.send(Bytes::from_static(b"{}")).await.unwrap_err();
    let failure = Failure::of(&error, "BatchWriteItem");
    assert_eq!(failure.kind, FailureKind::Final);
    assert!(failure.error.is_retryable(), "{}", failure.error);
    assert!(failure.error.message().contains("the metadata service does not answer"), "{}", failure.error);
}
