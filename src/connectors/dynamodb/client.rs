//! Clients for DynamoDB: one per backend, credentials and runtime, shared by all tables; and how a failed call is judged and repeated.
//! The SDK's own retries are off: here they are counted, and the writer's go on without end.

use std::collections::HashMap;
use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use aws_config::provider_config::ProviderConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_config::web_identity_token::{StaticConfiguration, WebIdentityTokenCredentialsProvider};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::{
    BehaviorVersion, Credentials, ProvideCredentials, Region, SharedHttpClient, StalledStreamProtectionConfig,
};
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use parking_lot::Mutex;
use tokio::sync::OnceCell;

use super::options::{Connection, CredentialsSource};
use super::resolver::CarefulResolver;
use crate::connectors::metrics::ConnectorMetrics;
use crate::error::{Error, Result};
use crate::places;
use crate::waits::Waiting;

/// How long one read request may take.
pub const READ_TIMEOUT: Duration = Duration::from_secs(15);

/// Clients by connection. A client belongs to the runtime that it was first used on: a job's load stays off the sessions' connections.
#[derive(Default)]
pub struct ClientCache {
    clients: Mutex<HashMap<ClientKey, Arc<OnceCell<Client>>>>,
}

type ClientKey = (Connection, tokio::runtime::Id);

impl ClientCache {
    /// The client for a connection, made on first use.
    pub async fn client(&self, connection: &Connection) -> Client {
        let runtime = tokio::runtime::Handle::current().id();
        let cell = self.clients.lock().entry((connection.clone(), runtime)).or_default().clone();
        let made = cell.get_or_try_init(|| async {
            let (client, is_usable) = connect(connection).await;
            if is_usable { Ok(client) } else { Err(client) }
        });
        // What cannot have credentials now says so when it is used, and is made anew the next time.
        made.await.map_or_else(|unusable| unusable, Clone::clone)
    }
}

/// A client, and whether it may be kept: the SDK's provider of profiles tries to read its file once and never again.
async fn connect(connection: &Connection) -> (Client, bool) {
    let mut is_usable = true;
    let http = http_client(connection);
    let of_environment = || std::env::var("AWS_REGION").or_else(|_| std::env::var("AWS_DEFAULT_REGION"));
    let region = match (&connection.region, &connection.endpoint) {
        (Some(region), _) => Some(region.clone()),
        // An address needs no region, but signatures do; the chain might ask a metadata service that is not there.
        (None, Some(_)) => Some(of_environment().unwrap_or("us-east-1".to_owned())),
        (None, None) => None,
    };
    // Providers that are made here ask by HTTP too, or may: a profile can name a role.
    let provider_config = ProviderConfig::without_region()
        .with_http_client(http.clone())
        .with_region(region.clone().or_else(|| of_environment().ok()).map(Region::new));
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http)
        .retry_config(RetryConfig::disabled())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
    if let Some(region) = region {
        loader = loader.region(Region::new(region));
    }
    match &connection.credentials {
        CredentialsSource::Chain => {}
        CredentialsSource::Static { access_key_id, secret_key, session_token } => {
            loader = loader.credentials_provider(Credentials::new(
                access_key_id,
                secret_key,
                session_token.clone(),
                None,
                "streamgate",
            ));
        }
        CredentialsSource::Environment => {
            loader =
                loader.credentials_provider(aws_config::environment::EnvironmentVariableCredentialsProvider::new());
        }
        CredentialsSource::Profile { path, name } => {
            let provider = profile(path.as_deref(), name.as_deref(), &provider_config);
            is_usable = provider.provide_credentials().await.is_ok();
            loader = loader.credentials_provider(provider);
        }
        CredentialsSource::AssumeRole { arn, session_name, external_id } => {
            let base = loader.load().await;
            let mut provider = AssumeRoleProvider::builder(arn).session_name(session_name).configure(&base);
            if let Some(external_id) = external_id {
                provider = provider.external_id(external_id);
            }
            let provider = provider.build().await;
            let client = finish(
                base.into_builder()
                    .credentials_provider(aws_sdk_dynamodb::config::SharedCredentialsProvider::new(provider))
                    .build(),
                connection,
            );
            return (client, is_usable);
        }
        CredentialsSource::WebIdentity { arn, session_name, token_file } => {
            let provider = WebIdentityTokenCredentialsProvider::builder()
                .configure(&provider_config)
                .static_configuration(StaticConfiguration {
                    web_identity_token_file: token_file.into(),
                    role_arn: arn.clone(),
                    session_name: session_name.clone(),
                })
                .build();
            loader = loader.credentials_provider(provider);
        }
    }
    (finish(loader.load().await, connection), is_usable)
}

/// How a connection's requests are sent, those for credentials among them.
fn http_client(connection: &Connection) -> SharedHttpClient {
    let is_plain = connection.endpoint.as_deref().is_some_and(|endpoint| endpoint.starts_with("http://"));
    let authority = connection.endpoint.as_deref().and_then(|endpoint| endpoint.split('/').nth(2)).unwrap_or_default();
    let host = places::host_of(authority);
    let is_address = host == "localhost" || host.parse::<IpAddr>().is_ok();
    let http = aws_smithy_http_client::Builder::new();
    match &connection.credentials {
        // Native roots are read here, which takes a while: not for an emulator, whose address needs no resolver either.
        CredentialsSource::Static { .. } if is_plain && is_address => http.build_http(),
        _ => http.tls_provider(Provider::Rustls(CryptoMode::Ring)).build_with_resolver(CarefulResolver),
    }
}

/// Credentials of a profile: of a file, else of the SDK's, and of a name, else of its default.
fn profile(
    path: Option<&str>,
    name: Option<&str>,
    config: &ProviderConfig,
) -> aws_config::profile::ProfileFileCredentialsProvider {
    let mut provider = aws_config::profile::ProfileFileCredentialsProvider::builder().configure(config);
    if let Some(path) = path {
        #[allow(deprecated, reason = "the new names are in a crate that nothing else here needs")]
        use aws_config::profile::profile_file::{ProfileFileKind, ProfileFiles};
        #[allow(deprecated, reason = "as above")]
        let files = ProfileFiles::builder().with_file(ProfileFileKind::Credentials, path).build();
        provider = provider.profile_files(files);
    }
    if let Some(name) = name {
        provider = provider.profile_name(name);
    }
    provider.build()
}

fn finish(config: aws_config::SdkConfig, connection: &Connection) -> Client {
    let mut config = aws_sdk_dynamodb::config::Builder::from(&config);
    if let Some(endpoint) = &connection.endpoint {
        config = config.endpoint_url(endpoint);
    }
    Client::from_conf(config.build())
}

/// Why a request failed, without a word of what answered: it need not be a DynamoDB.
fn cause<E: std::error::Error + 'static>(error: &SdkError<E>) -> String {
    match error {
        SdkError::ServiceError(answer) => {
            format!("the answer is not one of DynamoDB (HTTP status {})", answer.raw().status())
        }
        SdkError::ResponseError(answer) => format!("the answer cannot be read (HTTP status {})", answer.raw().status()),
        error => {
            let mut text = error.to_string();
            let mut source = std::error::Error::source(error);
            while let Some(cause) = source {
                let cause_text = cause.to_string();
                // Wrappers repeat what they wrap.
                if !text.ends_with(&cause_text) {
                    text = format!("{text}: {cause_text}");
                }
                source = cause.source();
            }
            text
        }
    }
}

/// What an answer says of itself: as much as DynamoDB has to say.
fn shortened(message: &str) -> String {
    const CHARACTERS_MAX: usize = 500;
    match message.char_indices().nth(CHARACTERS_MAX) {
        Some((end, _)) => format!("{} …", &message[..end]),
        None => message.to_owned(),
    }
}

/// What can be done about a failed request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// The backend asks for less: send again, later.
    Throttled,
    /// It did not answer, or with an error of its own: send again.
    Transient,
    /// The same request will fail again.
    Final,
}

impl FailureKind {
    /// What who sends again waits for.
    pub fn waits_for(self) -> String {
        match self {
            FailureKind::Throttled => "DynamoDB, which throttles".to_owned(),
            FailureKind::Transient | FailureKind::Final => "DynamoDB to answer".to_owned(),
        }
    }
}

/// A failed request, judged.
#[derive(Debug, Clone)]
pub struct Failure {
    /// What can be done.
    pub kind: FailureKind,
    /// Service code, such as `ValidationException`; empty if there is none.
    pub code: String,
    /// What to tell.
    pub error: Error,
}

impl Failure {
    /// Judges an error of the SDK.
    pub fn of<E>(error: &SdkError<E>, doing: &str) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        let code = error.code().unwrap_or_default().to_owned();
        let code = code.rsplit('#').next().unwrap_or_default().to_owned();
        let message = match error.message() {
            Some(message) => format!("{doing}: {code}: {}", shortened(message)),
            None => format!("{doing}: {}", cause(error)),
        };
        let (kind, error) = match error {
            SdkError::ServiceError(service) => {
                let status = service.raw().status().as_u16();
                match code.as_str() {
                    "ProvisionedThroughputExceededException"
                    | "ThrottlingException"
                    | "Throttling"
                    | "RequestLimitExceeded"
                    | "LimitExceededException" => (FailureKind::Throttled, Error::unavailable(message)),
                    "ResourceNotFoundException" => (FailureKind::Final, Error::not_found(message)),
                    // A clock that is off, or credentials that were just changed, mend themselves; a job may try again.
                    "ExpiredTokenException" | "RequestExpired" => (
                        FailureKind::Final,
                        Error::unavailable(message).waiting_for("AWS credentials that are valid now"),
                    ),
                    "TransactionConflictException" | "ReplicatedWriteConflictException" | "InternalServerError" => {
                        (FailureKind::Transient, Error::unavailable(message))
                    }
                    "AccessDeniedException" => (FailureKind::Final, Error::denied(message)),
                    _ if status == 429 => (FailureKind::Throttled, Error::unavailable(message)),
                    _ if status >= 500 => (FailureKind::Transient, Error::unavailable(message)),
                    _ => (FailureKind::Final, Error::invalid(message)),
                }
            }
            SdkError::ConstructionFailure(_) => (FailureKind::Final, Error::invalid(message)),
            SdkError::DispatchFailure(failure) if !failure.is_io() && !failure.is_timeout() => {
                // Credentials that could not be had come this way.
                (FailureKind::Final, Error::unavailable(message).waiting_for("AWS credentials"))
            }
            _ => (FailureKind::Transient, Error::unavailable(message)),
        };
        Self { kind, code, error }
    }

    /// An answer that is none: of a proxy, say.
    pub fn unreadable(doing: &str, why: &str) -> Self {
        Self {
            kind: FailureKind::Transient,
            code: String::new(),
            error: Error::unavailable(format!("{doing}: the answer cannot be read: {why}")),
        }
    }

    /// No answer in time.
    pub fn timed_out(doing: &str, after: Duration) -> Self {
        Self {
            kind: FailureKind::Transient,
            code: String::new(),
            error: Error::unavailable(format!("{doing}: no answer within {} s", after.as_secs_f32())),
        }
    }
}

/// Sends one request, once.
///
/// # Errors
/// Its failure, judged.
pub async fn send_once<T, E>(
    doing: &str,
    timeout: Duration,
    metrics: Option<&ConnectorMetrics>,
    request: impl Future<Output = Result<T, SdkError<E>>>,
) -> Result<T, Failure>
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    if let Some(metrics) = metrics {
        ConnectorMetrics::add(&metrics.requests, 1);
    }
    match tokio::time::timeout(timeout, request).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => {
            let failure = Failure::of(&error, doing);
            if let (Some(metrics), FailureKind::Throttled) = (metrics, failure.kind) {
                ConnectorMetrics::add(&metrics.throttled, 1);
            }
            Err(failure)
        }
        Err(_) => Err(Failure::timed_out(doing, timeout)),
    }
}

/// Sends a request, again after throttling without end and after other passing failures at most `retries_max` times.
///
/// # Errors
/// The last failure.
pub async fn send<T, E, F>(
    doing: &str,
    retries_max: u32,
    metrics: Option<&ConnectorMetrics>,
    mut request: impl FnMut() -> F,
) -> Result<T, Failure>
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    F: Future<Output = Result<T, SdkError<E>>>,
{
    let (mut failures, mut throttles) = (0, 0);
    let mut waiting: Option<(FailureKind, Waiting)> = None;
    loop {
        let failure = match send_once(doing, READ_TIMEOUT, metrics, request()).await {
            Ok(answer) => return Ok(answer),
            Err(failure) => failure,
        };
        match failure.kind {
            FailureKind::Final => return Err(failure),
            FailureKind::Throttled => throttles += 1,
            FailureKind::Transient => {
                failures += 1;
                if failures > retries_max {
                    return Err(failure);
                }
            }
        }
        if let Some(metrics) = metrics {
            ConnectorMetrics::add(&metrics.retries, 1);
            if waiting.as_ref().is_none_or(|(kind, _)| *kind != failure.kind) {
                waiting = Some((failure.kind, metrics.waits.begin(failure.kind.waits_for())));
            }
        }
        tokio::time::sleep(backoff(failures + throttles)).await;
    }
}

/// How long to wait after so many failures in a row: from 25 ms doubling up to 1.6 s, half of it by chance.
pub fn backoff(failures: u32) -> Duration {
    let ceiling = Duration::from_millis(25 << failures.saturating_sub(1).min(6));
    ceiling.mul_f64(0.5 + rand::random::<f64>() / 2.0)
}

#[cfg(test)]
mod tests;
