//! What tables are given by the server that say nothing of it themselves.

use std::sync::Arc;

use crate::clock::Clock;
use crate::places::Places;

/// What connectors need of the server: its defaults for blank options, and the time.
#[derive(Clone, Debug)]
pub struct ConnectorDefaults {
    /// `bootstrap.servers` for tables that name none.
    pub kafka_bootstrap_servers: Option<String>,
    /// Further client properties for the default cluster (security), used only with it.
    pub kafka_properties: std::collections::BTreeMap<String, String>,
    /// Whether the default Kafka is the embedded one.
    pub kafka_is_embedded: bool,
    /// Endpoint for DynamoDB tables that name none; absent: AWS itself.
    pub dynamodb_endpoint: Option<String>,
    /// Region for tables that name none; absent: the SDK's chain.
    pub aws_region: Option<String>,
    /// Credentials of the default endpoint (the embedded store takes any); absent: the SDK's chain.
    pub aws_credentials: Option<(String, String)>,
    /// Whether the default DynamoDB is the embedded one.
    pub dynamodb_is_embedded: bool,
    /// The time, for TTL.
    pub clock: Arc<dyn Clock>,
    /// Files and hosts that tables may name.
    pub places: Arc<Places>,
}
