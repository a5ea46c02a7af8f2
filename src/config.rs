//! One Config: the file, over it the environment, over it the flags. Every default and its unit is stated here and nowhere else.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Deserialize;

use crate::error::{Error, Result};
use crate::telemetry::LogFormat;

/// Where clients connect: loopback only until there are logins.
pub const DEFAULT_LISTEN: &str = "127.0.0.1:5439";
/// Catalog, checkpoints and embedded back ends, below the working directory.
pub const DEFAULT_DATA_DIR: &str = "streamgate-data";
/// tracing's filter. The embedded DynamoDB warns of every request that gives an error, which the asker is told anyway.
pub const DEFAULT_LOG: &str = "info,dynoxide=error";
/// Sessions at the same time.
pub const DEFAULT_MAX_CONNECTIONS: usize = 100;
/// Port of the embedded Kafka; 0 takes a free one.
pub const DEFAULT_EMBEDDED_KAFKA_PORT: u16 = 0;
/// Port of the embedded DynamoDB; 0 takes a free one.
pub const DEFAULT_EMBEDDED_DYNAMODB_PORT: u16 = 0;
/// Region that the embedded DynamoDB is asked under.
pub const EMBEDDED_REGION: &str = "us-east-1";

/// Flags and environment variables of `serve` and `demo`; the help text is the documentation of both.
#[derive(Debug, Clone, Default, Args)]
pub struct Settings {
    /// TOML file with the settings below (`listen`, `data_dir`, `[kafka] bootstrap_servers`, `[aws] endpoint` …)
    #[arg(long, env = "STREAMGATE_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Address for Postgres clients, loopback only [default: 127.0.0.1:5439]
    #[arg(long, env = "STREAMGATE_LISTEN")]
    pub listen: Option<SocketAddr>,
    /// Folder for catalog, checkpoints and embedded back ends [default: streamgate-data]
    #[arg(long, env = "STREAMGATE_DATA_DIR")]
    pub data_dir: Option<PathBuf>,
    /// Log filter, e.g. info or streamgate=debug [default: info,dynoxide=error]
    #[arg(long, env = "STREAMGATE_LOG")]
    pub log: Option<String>,
    /// Log lines as text or json [default: text]
    #[arg(long, env = "STREAMGATE_LOG_FORMAT")]
    pub log_format: Option<LogFormat>,
    /// Sessions at the same time [default: 100]
    #[arg(long, env = "STREAMGATE_MAX_CONNECTIONS")]
    pub max_connections: Option<usize>,
    /// Threads for jobs [default: number of cores]
    #[arg(long, env = "STREAMGATE_JOB_THREADS")]
    pub job_threads: Option<usize>,
    /// Kafka for tables that name none; without it the embedded one
    #[arg(long, env = "STREAMGATE_KAFKA_BOOTSTRAP_SERVERS")]
    pub kafka_bootstrap_servers: Option<String>,
    /// false refuses the embedded Kafka
    #[arg(long, env = "STREAMGATE_KAFKA_EMBEDDED")]
    pub kafka_embedded: Option<bool>,
    /// Port of the embedded Kafka [default: a free one]
    #[arg(long, env = "STREAMGATE_KAFKA_EMBEDDED_PORT")]
    pub kafka_embedded_port: Option<u16>,
    /// DynamoDB endpoint for tables that name none
    #[arg(long, env = "STREAMGATE_AWS_ENDPOINT")]
    pub aws_endpoint: Option<String>,
    /// AWS region for tables that name none; alone it means AWS itself, with the SDK's credentials chain
    #[arg(long, env = "STREAMGATE_AWS_REGION")]
    pub aws_region: Option<String>,
    /// false refuses the embedded DynamoDB
    #[arg(long, env = "STREAMGATE_AWS_EMBEDDED")]
    pub aws_embedded: Option<bool>,
    /// Port of the embedded DynamoDB [default: a free one]
    #[arg(long, env = "STREAMGATE_AWS_EMBEDDED_PORT")]
    pub aws_embedded_port: Option<u16>,
    /// Access key for the default endpoint; without it the SDK's chain
    #[arg(long, env = "STREAMGATE_AWS_ACCESS_KEY_ID", hide_env_values = true)]
    pub aws_access_key_id: Option<String>,
    /// Secret key for the default endpoint (environment or file only: flags show in process lists)
    #[arg(skip)]
    pub aws_secret_access_key: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    listen: Option<SocketAddr>,
    data_dir: Option<PathBuf>,
    log: Option<String>,
    log_format: Option<LogFormat>,
    max_connections: Option<usize>,
    job_threads: Option<usize>,
    kafka: KafkaFile,
    aws: AwsFile,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct KafkaFile {
    embedded: Option<bool>,
    embedded_port: Option<u16>,
    bootstrap_servers: Option<String>,
    properties: BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct AwsFile {
    embedded: Option<bool>,
    embedded_port: Option<u16>,
    endpoint: Option<String>,
    region: Option<String>,
    access_key_id: Option<String>,
    secret_access_key: Option<String>,
}

/// What the server runs with.
#[derive(Debug, Clone)]
pub struct Config {
    /// Address for Postgres clients.
    pub listen: SocketAddr,
    /// Folder of everything that is kept.
    pub data_dir: PathBuf,
    /// tracing's filter.
    pub log: String,
    /// How log lines look.
    pub log_format: LogFormat,
    /// Sessions at the same time.
    pub max_connections: usize,
    /// Threads for jobs.
    pub job_threads: usize,
    /// Default Kafka.
    pub kafka: KafkaBackEnd,
    /// Default DynamoDB.
    pub dynamodb: DynamoDbBackEnd,
}

/// Where tables live that name no Kafka.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KafkaBackEnd {
    /// In this process, on a loopback port.
    Embedded {
        /// 0 takes a free one.
        port: u16,
    },
    /// A cluster.
    Cluster {
        /// `bootstrap.servers`
        bootstrap_servers: String,
        /// Client properties, security among them.
        properties: BTreeMap<String, String>,
    },
    /// None: every table must name its own.
    None,
}

/// Where tables live that name no DynamoDB.
#[derive(Clone, PartialEq, Eq)]
pub enum DynamoDbBackEnd {
    /// In this process, on a loopback port.
    Embedded {
        /// 0 takes a free one.
        port: u16,
    },
    /// AWS or an emulator.
    Aws {
        /// Absent: AWS itself.
        endpoint: Option<String>,
        /// Absent: the SDK's chain.
        region: Option<String>,
        /// Access key and secret key; absent: the SDK's chain.
        credentials: Option<(String, String)>,
    },
}

impl std::fmt::Debug for DynamoDbBackEnd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Embedded { port } => write!(f, "Embedded({port})"),
            Self::Aws { endpoint, region, .. } => write!(f, "Aws({endpoint:?}, {region:?})"),
        }
    }
}

impl Config {
    /// Reads the file that the settings name, and puts the settings (flags over environment) over it.
    ///
    /// # Errors
    /// The file cannot be read, or settings contradict each other.
    pub fn load(settings: &Settings) -> Result<Self> {
        let file = match &settings.config {
            Some(path) => read_file(path)?,
            None => File::default(),
        };
        let secret = std::env::var("STREAMGATE_AWS_SECRET_ACCESS_KEY").ok();
        Self::merge(settings, file, secret)
    }

    fn merge(settings: &Settings, file: File, secret_from_environment: Option<String>) -> Result<Self> {
        let s = settings.clone();
        let kafka = match s.kafka_bootstrap_servers.or(file.kafka.bootstrap_servers).filter(|text| !text.is_empty()) {
            Some(bootstrap_servers) => KafkaBackEnd::Cluster { bootstrap_servers, properties: file.kafka.properties },
            None if s.kafka_embedded.or(file.kafka.embedded).unwrap_or(true) => KafkaBackEnd::Embedded {
                port: s.kafka_embedded_port.or(file.kafka.embedded_port).unwrap_or(DEFAULT_EMBEDDED_KAFKA_PORT),
            },
            None => KafkaBackEnd::None,
        };
        let endpoint = s.aws_endpoint.or(file.aws.endpoint).filter(|text| !text.is_empty());
        let region = s.aws_region.or(file.aws.region).filter(|text| !text.is_empty());
        let access_key = s.aws_access_key_id.or(file.aws.access_key_id);
        let secret_key = s.aws_secret_access_key.or(secret_from_environment).or(file.aws.secret_access_key);
        let credentials = match (access_key, secret_key) {
            (Some(access_key), Some(secret_key)) => Some((access_key, secret_key)),
            (None, None) => None,
            _ => {
                return Err(Error::invalid("an AWS access key and its secret key belong together")
                    .hint("Set both STREAMGATE_AWS_ACCESS_KEY_ID and STREAMGATE_AWS_SECRET_ACCESS_KEY, or neither."));
            }
        };
        let named = endpoint.is_some() || region.is_some() || credentials.is_some();
        let dynamodb = if !named && s.aws_embedded.or(file.aws.embedded).unwrap_or(true) {
            DynamoDbBackEnd::Embedded {
                port: s.aws_embedded_port.or(file.aws.embedded_port).unwrap_or(DEFAULT_EMBEDDED_DYNAMODB_PORT),
            }
        } else {
            DynamoDbBackEnd::Aws { endpoint, region, credentials }
        };
        let listen = match s.listen.or(file.listen) {
            Some(listen) => listen,
            None => DEFAULT_LISTEN.parse().map_err(|_| Error::internal("the default address cannot be read"))?,
        };
        Ok(Self {
            listen,
            data_dir: s.data_dir.or(file.data_dir).unwrap_or_else(|| PathBuf::from(DEFAULT_DATA_DIR)),
            log: s.log.or(file.log).unwrap_or_else(|| DEFAULT_LOG.to_owned()),
            log_format: s.log_format.or(file.log_format).unwrap_or(LogFormat::Text),
            max_connections: s.max_connections.or(file.max_connections).unwrap_or(DEFAULT_MAX_CONNECTIONS),
            job_threads: s.job_threads.or(file.job_threads).unwrap_or_else(cores).max(1),
            kafka,
            dynamodb,
        })
    }
}

/// Threads that can run at the same time, at least 1.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

fn read_file(path: &Path) -> Result<File> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Error::invalid(format!("cannot read configuration {}: {error}", path.display())))?;
    toml::from_str(&text)
        .map_err(|error| Error::invalid(format!("configuration {}: {}", path.display(), error.message())))
}

#[cfg(test)]
mod tests;
