//! BatchWriteItem without the SDK's orchestration, which costs more than all else that a batch of writes needs: it merges the
//! configuration, resolves endpoint and authentication and runs three dozen interceptors anew for each call.
//!
//! The SDK still says what a call is. It prepares one, which is looked at when it is signed and is not sent; the address, the
//! headers, the scope of the signature, the credentials' cache and the connections are taken from there. What is left per
//! call is to sign it (`aws-sigv4`, which the SDK uses too), to send it and to read the answer.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::interceptors::BeforeTransmitInterceptorContextRef;
use aws_sdk_dynamodb::config::{ConfigBag, HttpClient, Intercept, ResolveCachedIdentity, RuntimeComponents};
use aws_sdk_dynamodb::error::{BoxError, ErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::batch_write_item::BatchWriteItemError;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::auth::{AuthScheme, AuthSchemeId};
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorSettings, SharedHttpConnector};
use aws_smithy_runtime_api::client::identity::{Identity, SharedIdentityResolver};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use bytes::Bytes;
use parking_lot::Mutex;
use serde::Deserialize;

/// How a call fails.
pub type CallError = SdkError<BatchWriteItemError, HttpResponse>;

/// The SDK's, so that its connections are shared.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(3_100);
/// Headers that each call has of its own.
const OWN_HEADERS: [&str; 6] = [
    "authorization",
    "content-length",
    "x-amz-date",
    "x-amz-security-token",
    "amz-sdk-invocation-id",
    "amz-sdk-request",
];

/// Sends BatchWriteItem to where the SDK would.
pub struct DirectCall {
    components: RuntimeComponents,
    /// Empty: who resolves credentials has what it needs from the client's configuration.
    config: ConfigBag,
    connector: SharedHttpConnector,
    identity: SharedIdentityResolver,
    address: String,
    headers: Vec<(String, String)>,
    scope: Scope,
}

/// What a signature is for.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Scope {
    region: String,
    service: String,
}

impl DirectCall {
    /// Prepares calls that write to one table.
    ///
    /// # Errors
    /// The SDK cannot prepare one: there are no credentials or no region, say.
    pub async fn new(client: &Client, table_name: &str) -> Result<Self, CallError> {
        let seen = Seen::default();
        let prepared = client
            .batch_write_item()
            .request_items(table_name, Vec::new())
            .customize()
            .interceptor(seen.clone())
            .send()
            .await;
        let seen = seen.0.lock().take();
        match (seen, prepared) {
            (Some((components, request)), _) => {
                Self::like(components, &request).map_err(SdkError::construction_failure)
            }
            (None, Err(error)) => Err(error),
            (None, Ok(_)) => Err(SdkError::construction_failure("the SDK sent a call without signing it")),
        }
    }

    fn like(components: RuntimeComponents, request: &HttpRequest) -> Result<Self, BoxError> {
        let scope =
            request.headers().get("authorization").and_then(Scope::of).ok_or("the SDK does not sign by SigV4")?;
        let scheme = components.auth_scheme(AuthSchemeId::new("sigv4")).ok_or("the SDK cannot sign by SigV4")?;
        let identity = scheme.identity_resolver(&components).ok_or("there are no credentials")?;
        let http = components.http_client().ok_or("there is no HTTP client")?;
        let settings = HttpConnectorSettings::builder().connect_timeout(CONNECT_TIMEOUT).build();
        let headers = request.headers().iter().filter(|(name, _)| !OWN_HEADERS.contains(name));
        Ok(Self {
            connector: http.http_connector(&settings, &components),
            identity,
            address: request.uri().to_owned(),
            headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            scope,
            config: ConfigBag::base(),
            components,
        })
    }

    /// Sends a call once and gives the body of its answer.
    ///
    /// # Errors
    /// As the SDK's.
    pub async fn send(&self, body: Bytes) -> Result<Bytes, CallError> {
        let now = self.components.time_source().unwrap_or_default().now();
        // As the SDK does, so that a job tries again when credentials cannot be had for a while.
        let identity =
            self.identity().await.map_err(|error| SdkError::dispatch_failure(ConnectorError::other(error, None)))?;
        let request = self.request(body, &identity, now).map_err(SdkError::construction_failure)?;
        let mut response = self.connector.call(request).await.map_err(SdkError::dispatch_failure)?;
        let answer = match ByteStream::new(response.take_body()).collect().await {
            Ok(answer) => answer.into_bytes(),
            Err(error) => return Err(SdkError::response_error(error, response)),
        };
        if response.status().is_success() {
            return Ok(answer);
        }
        let refusal = refusal(response.headers().get("x-amzn-errortype"), &answer);
        Err(SdkError::service_error(BatchWriteItemError::generic(refusal), response))
    }

    async fn identity(&self) -> Result<Identity, BoxError> {
        let cache = self.components.identity_cache();
        cache.resolve_cached_identity(self.identity.clone(), &self.components, &self.config).await
    }

    fn request(&self, body: Bytes, identity: &Identity, at: SystemTime) -> Result<HttpRequest, BoxError> {
        let parameters = v4::SigningParams::builder()
            .identity(identity)
            .region(&self.scope.region)
            .name(&self.scope.service)
            .time(at)
            .settings(SigningSettings::default())
            .build()?
            .into();
        let length = body.len().to_string();
        let mut request = HttpRequest::new(SdkBody::empty());
        request.set_method("POST")?;
        request.set_uri(self.address.as_str())?;
        for (name, value) in &self.headers {
            request.headers_mut().try_insert(name.clone(), value.clone())?;
        }
        request.headers_mut().try_insert("content-length", length)?;
        let signable =
            SignableRequest::new("POST", request.uri(), request.headers().iter(), SignableBody::Bytes(&body))?;
        let (instructions, _) = sign(signable, &parameters)?.into_parts();
        for (name, value) in instructions.headers() {
            request.headers_mut().try_insert(name.to_owned(), value.to_owned())?;
        }
        *request.body_mut() = SdkBody::from(body);
        Ok(request)
    }
}

impl Scope {
    /// Of `AWS4-HMAC-SHA256 Credential=key/20240131/us-east-1/dynamodb/aws4_request, SignedHeaders=…, Signature=…`.
    fn of(authorization: &str) -> Option<Self> {
        let credential = authorization.strip_prefix("AWS4-HMAC-SHA256 Credential=")?.split(',').next()?;
        // From its end: nothing is said about the key.
        let mut parts = credential.rsplit('/').skip(1);
        let (service, region) = (parts.next()?.to_owned(), parts.next()?.to_owned());
        Some(Self { region, service })
    }
}

/// What DynamoDB says for a call that it refuses, as the JSON protocol has it.
fn refusal(error_type: Option<&str>, answer: &[u8]) -> ErrorMetadata {
    #[derive(Default, Deserialize)]
    struct Refusal {
        #[serde(rename = "__type")]
        error_type: Option<String>,
        #[serde(alias = "Message")]
        message: Option<String>,
    }
    let read: Refusal = serde_json::from_slice(answer).unwrap_or_default();
    let code = error_type.map(ToOwned::to_owned).or(read.error_type);
    let mut refusal = ErrorMetadata::builder();
    if let Some(code) = code {
        // As in `com.amazonaws.dynamodb.v20120810#ThrottlingException:http://…`.
        let code = code.split(':').next().unwrap_or_default();
        refusal = refusal.code(code.rsplit('#').next().unwrap_or_default());
    }
    if let Some(message) = read.message {
        refusal = refusal.message(message);
    }
    refusal.build()
}

/// Looks at a call before it is sent, and ends it.
#[derive(Debug, Clone, Default)]
struct Seen(Arc<Mutex<Option<(RuntimeComponents, HttpRequest)>>>);

impl Intercept for Seen {
    fn name(&self) -> &'static str {
        "Seen"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        components: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        *self.0.lock() = context.request().try_clone().map(|request| (components.clone(), request));
        Err("the call was only to be seen".into())
    }
}

#[cfg(test)]
mod tests;
