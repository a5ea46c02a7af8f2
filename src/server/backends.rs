//! Whether the default backends answer: asked once by `streamgate doctor`, and at every start until they do.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::connectors::{ConnectorDefaults, dynamodb, kafka};
use crate::error::Result;

/// How long between two looks at a backend that does not answer.
const AGAIN: Duration = Duration::from_secs(5);

/// One of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// Kafka.
    Kafka,
    /// DynamoDB.
    DynamoDb,
}

impl Backend {
    /// `Kafka at broker-1:9092`
    pub fn title(self, defaults: &ConnectorDefaults) -> String {
        match self {
            Backend::Kafka => {
                format!("Kafka at {}", defaults.kafka_bootstrap_servers.as_deref().unwrap_or("no address"))
            }
            Backend::DynamoDb => match (&defaults.dynamodb_endpoint, &defaults.aws_region) {
                (Some(endpoint), _) => format!("DynamoDB at {endpoint}"),
                (None, Some(region)) => format!("DynamoDB of AWS in {region}"),
                (None, None) => "DynamoDB of AWS".to_owned(),
            },
        }
    }

    /// Asks it for something small; gives what can be said of it.
    ///
    /// # Errors
    /// It does not answer, or refuses.
    pub async fn ask(self, defaults: &ConnectorDefaults) -> Result<String> {
        match self {
            Backend::Kafka => kafka::ask_default(defaults).await,
            Backend::DynamoDb => dynamodb::ask_default(defaults).await,
        }
    }
}

/// Asks until there is an answer, and tells when there is none and when there is one again.
pub fn watch(backend: Backend, defaults: ConnectorDefaults, shutdown: CancellationToken) {
    let defaults = Arc::new(defaults);
    tokio::spawn(async move {
        let title = backend.title(&defaults);
        let mut was_told = false;
        loop {
            let answer = tokio::select! {
                answer = backend.ask(&defaults) => answer,
                () = shutdown.cancelled() => return,
            };
            match answer {
                Ok(about) if was_told => return tracing::info!("{title} answers now: {about}"),
                Ok(about) => return tracing::debug!("{title} answers: {about}"),
                Err(error) if !was_told => {
                    was_told = true;
                    tracing::warn!(
                        "{title} is not usable: {error}; it is tried again until it is, and jobs wait for it"
                    );
                }
                Err(error) => tracing::debug!("{title} is still not usable: {error}"),
            }
            tokio::select! {
                () = tokio::time::sleep(AGAIN) => {}
                () = shutdown.cancelled() => return,
            }
        }
    });
}
