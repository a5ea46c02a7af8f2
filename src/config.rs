//! One Config: the file, over it the environment, over it the flags. Every default and its unit is stated here and nowhere else.

mod environment;
mod file;
mod memory_size;

use std::collections::BTreeMap;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;

use clap::Args;

use crate::access::{Access, Method};
use crate::audit::AuditTarget;
use crate::error::{Error, Result};
use crate::places::{self, Places};
use crate::scram::Password;
use crate::telemetry::{self, LogFormat};
use crate::wire::{TlsFiles, TlsVersion};
use file::File;
pub use memory_size::MemorySize;

/// Port for HTTP, where `http_listen` names a host alone.
pub const DEFAULT_HTTP_PORT: u16 = 5440;
/// Where clients connect.
pub const DEFAULT_LISTEN: &str = "127.0.0.1:5439";
/// Catalog, checkpoints and embedded backends, below the working directory.
pub const DEFAULT_DATA_DIR: &str = "streamgate-data";
/// tracing's filter. The embedded DynamoDB warns of every request that gives an error, which the asker is told anyway.
pub const DEFAULT_LOG: &str = "info,dynoxide=error";
/// Sessions at the same time.
pub const DEFAULT_MAX_CONNECTIONS: usize = 100;
/// Bytes of the largest message that a client may send.
pub const DEFAULT_MAX_MESSAGE_SIZE: u64 = 64 << 20;
/// What the largest message may be set to; Postgres has the upper bound, and below the lower one no driver can start.
const MAX_MESSAGE_SIZE: std::ops::RangeInclusive<u64> = 16 << 10..=0x3fff_ffff;
/// Memory of all queries together that leaves them room for one operator's least at a time.
const QUERY_MEMORY_MIN: u64 = 64 << 20;
/// As little of it as a session can have.
const SESSION_MEMORY_MIN: u64 = 16 << 20;
/// Port for Postgres clients, where `listen` names a host alone.
pub const DEFAULT_PORT: u16 = 5439;
/// Port of the embedded Kafka, or the next that is free.
pub const DEFAULT_EMBEDDED_KAFKA_PORT: u16 = 9439;
/// Port of the embedded DynamoDB, or the next that is free.
pub const DEFAULT_EMBEDDED_DYNAMODB_PORT: u16 = 8439;
/// How many ports are tried where the default one is taken.
const PORTS_AFTER_DEFAULT: u16 = 200;
/// Region that the embedded DynamoDB is asked under.
pub const EMBEDDED_REGION: &str = "us-east-1";

/// Flags and environment variables of `serve` and `demo`; the help text is the documentation of both.
#[derive(Debug, Clone, Default, Args)]
pub struct Flags {
    /// TOML file with the settings below (`listen`, `data_dir`, `[kafka] bootstrap_servers`, `[aws] endpoint` …)
    #[arg(long, env = "STREAMGATE_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Address or host name for Postgres clients; beyond loopback with logins and TLS only [default: 127.0.0.1:5439]
    #[arg(long, env = "STREAMGATE_LISTEN", value_name = "HOST:PORT")]
    pub listen: Option<String>,
    /// Address or host name for HTTP (/metrics, /healthz, /readyz, /jobs), loopback only; a host alone means port 5440 [default: none]
    #[arg(long, env = "STREAMGATE_HTTP_LISTEN", value_name = "HOST:PORT")]
    pub http_listen: Option<String>,
    /// Folder for catalog, checkpoints and embedded backends [default: streamgate-data]
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
    /// Largest message of a client, at most 1 GiB; a larger one is refused [default: 64 mb]
    #[arg(long, env = "STREAMGATE_MAX_MESSAGE_SIZE", value_name = "SIZE")]
    pub max_message_size: Option<MemorySize>,
    /// Memory of all queries together; one has query.memory.limit of it [default: half of the machine's]
    #[arg(long, env = "STREAMGATE_QUERY_MEMORY", value_name = "SIZE")]
    pub query_memory: Option<MemorySize>,
    /// What one session may have of that, for all its statements, open cursors and portals [default: three quarters]
    #[arg(long, env = "STREAMGATE_SESSION_MEMORY", value_name = "SIZE")]
    pub session_memory: Option<MemorySize>,
    /// Certificate for TLS, with its chain (PEM); read again at SIGHUP
    #[arg(long, env = "STREAMGATE_TLS_CERTIFICATE", value_name = "FILE")]
    pub tls_certificate: Option<PathBuf>,
    /// Its key (PEM), which nobody else may read
    #[arg(long, env = "STREAMGATE_TLS_KEY", value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
    /// Roots of clients' certificates (PEM), for rules of [[access]] with the method cert
    #[arg(long, env = "STREAMGATE_TLS_CLIENT_CA", value_name = "FILE")]
    pub tls_client_ca: Option<PathBuf>,
    /// The oldest TLS version that is taken [default: 1.2]
    #[arg(long, env = "STREAMGATE_TLS_MIN_VERSION")]
    pub tls_min_version: Option<TlsVersion>,
    /// Let clients of other machines come without TLS: passwords stay secret, everything else can be read under way
    #[arg(long, env = "STREAMGATE_LISTEN_WITHOUT_TLS", num_args = 0..=1, default_missing_value = "true")]
    pub listen_without_tls: Option<bool>,
    /// How clients on this machine prove who they are: scram (by a password) or trust; [[access]] of the file says it for all
    /// [default: trust as long as there are no roles, then scram]
    #[arg(long, env = "STREAMGATE_AUTH")]
    pub auth: Option<Method>,
    /// Who came in and what was declared, as JSON lines: a file, which is opened again at SIGHUP, stderr, or off [default: off]
    #[arg(long, env = "STREAMGATE_AUDIT_LOG", value_name = "FILE")]
    pub audit_log: Option<String>,
    /// Threads for jobs [default: number of cores]
    #[arg(long, env = "STREAMGATE_JOB_THREADS")]
    pub job_threads: Option<usize>,
    /// Start without jobs: each is HELD until RESUME JOB
    #[arg(long, env = "STREAMGATE_HOLD_JOBS", num_args = 0..=1, default_missing_value = "true")]
    pub hold_jobs: Option<bool>,
    /// Take over a data directory that is a copy of another one, whose server is gone for good
    #[arg(long, env = "STREAMGATE_ADOPT_DATA_DIR", num_args = 0..=1, default_missing_value = "true")]
    pub adopt_data_dir: Option<bool>,
    /// Kafka for tables that name none; without it the embedded one
    #[arg(long, env = "STREAMGATE_KAFKA_BOOTSTRAP_SERVERS")]
    pub kafka_bootstrap_servers: Option<String>,
    /// false refuses the embedded Kafka
    #[arg(long, env = "STREAMGATE_KAFKA_EMBEDDED")]
    pub kafka_embedded: Option<bool>,
    /// Port of the embedded Kafka; 0 takes a free one [default: 9439, or the next that is free]
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
    /// Port of the embedded DynamoDB; 0 takes a free one [default: 8439, or the next that is free]
    #[arg(long, env = "STREAMGATE_AWS_EMBEDDED_PORT")]
    pub aws_embedded_port: Option<u16>,
    /// Access key for the default endpoint; without it the SDK's chain
    #[arg(long, env = "STREAMGATE_AWS_ACCESS_KEY_ID", hide_env_values = true)]
    pub aws_access_key_id: Option<String>,
    /// Folders, beside the data directory, that statements may name for checkpoints, savepoints and credential files: paths or
    /// s3://bucket/prefix, separated by commas
    #[arg(long, env = "STREAMGATE_ALLOWED_FOLDERS", value_delimiter = ',')]
    pub allowed_folders: Option<Vec<String>>,
    /// Hosts, beside those of the default backends, that tables may name: names, addresses or *.domain, separated by commas
    /// [default: all but link-local ones]
    #[arg(long, env = "STREAMGATE_ALLOWED_HOSTS", value_delimiter = ',')]
    pub allowed_hosts: Option<Vec<String>>,
    /// Secret key for the default endpoint (environment or file only: flags show in process lists)
    #[arg(skip)]
    pub aws_secret_access_key: Option<String>,
}

/// The role that is made where there is none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FirstSuperuser {
    /// STREAMGATE_SUPERUSER
    pub name: Option<String>,
    /// STREAMGATE_SUPERUSER_PASSWORD
    pub password: Option<Password>,
}

/// What the server runs with.
#[derive(Debug, Clone)]
pub struct Config {
    /// Address for Postgres clients.
    pub listen: SocketAddr,
    /// Address for HTTP; absent: there is no such port.
    pub http_listen: Option<SocketAddr>,
    /// Folder of everything that is kept.
    pub data_dir: PathBuf,
    /// tracing's filter.
    pub log: String,
    /// How log lines look.
    pub log_format: LogFormat,
    /// Sessions at the same time.
    pub max_connections: usize,
    /// Bytes of a client's largest message.
    pub max_message_bytes: usize,
    /// Bytes of all queries together.
    pub query_memory_bytes: usize,
    /// Bytes of it that one session may have.
    pub session_memory_bytes: usize,
    /// Where the audit log goes.
    pub audit_log: AuditTarget,
    /// Threads for jobs.
    pub job_threads: usize,
    /// Whether jobs wait for RESUME JOB.
    pub hold_jobs: bool,
    /// Whether a copied data directory becomes this server's own.
    pub adopt_data_dir: bool,
    /// What clients must do to come in.
    pub access: Access,
    /// Certificate and key; absent: no TLS.
    pub tls: Option<TlsFiles>,
    /// The role that is made where there is none.
    pub superuser: FirstSuperuser,
    /// Default Kafka.
    pub kafka: KafkaBackend,
    /// Default DynamoDB.
    pub dynamodb: DynamoDbBackend,
    /// What statements may name.
    pub places: Places,
}

/// Where an embedded backend listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EmbeddedPort {
    /// The first that is tried; 0 takes a free one.
    pub first: u16,
    /// How many more are tried when it is taken.
    pub more: u16,
}

impl EmbeddedPort {
    fn of(given: Option<u16>, default: u16) -> Self {
        match given {
            Some(port) => Self { first: port, more: 0 },
            None => Self { first: default, more: PORTS_AFTER_DEFAULT },
        }
    }
}

/// Where tables live that name no Kafka.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KafkaBackend {
    /// In this process, on a loopback port.
    Embedded {
        /// Which.
        port: EmbeddedPort,
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
pub enum DynamoDbBackend {
    /// In this process, on a loopback port.
    Embedded {
        /// Which.
        port: EmbeddedPort,
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

impl std::fmt::Debug for DynamoDbBackend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Embedded { port } => write!(f, "Embedded({port:?})"),
            Self::Aws { endpoint, region, .. } => write!(f, "Aws({endpoint:?}, {region:?})"),
        }
    }
}

impl Config {
    /// Reads the file that the settings name, and puts the settings (flags over environment) over it.
    ///
    /// # Errors
    /// The file cannot be read, a setting is unknown or out of its range, or settings contradict each other.
    pub fn load(flags: &Flags) -> Result<Self> {
        environment::check(std::env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned()))?;
        let file = match &flags.config {
            Some(path) => file::read(path)?,
            None => File::default(),
        };
        let secret = std::env::var(environment::SECRET_KEY).ok();
        let given = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
        let mut config = Self::merge(flags, file, secret)?;
        config.superuser = FirstSuperuser {
            name: given(environment::SUPERUSER),
            password: given(environment::SUPERUSER_PASSWORD).map(Password::new),
        };
        Ok(config)
    }

    fn merge(flags: &Flags, file: File, secret_from_environment: Option<String>) -> Result<Self> {
        let s = flags.clone();
        let tls = tls_files(&s, &file)?;
        let access = access(&s, &file, tls.as_ref())?;
        let not_blank = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
        let embedded_kafka = s.kafka_embedded.or(file.kafka.embedded).unwrap_or(true);
        let embedded_kafka = embedded_kafka.then(|| s.kafka_embedded_port.or(file.kafka.embedded_port));
        let servers = s.kafka_bootstrap_servers.or(file.kafka.bootstrap_servers);
        let kafka = kafka_backend(servers, file.kafka.properties, embedded_kafka)?;
        let endpoint = s.aws_endpoint.or(file.aws.endpoint).filter(|text| !text.is_empty());
        let region = s.aws_region.or(file.aws.region).filter(|text| !text.is_empty());
        let access_key = not_blank(s.aws_access_key_id.or(file.aws.access_key_id));
        let secret_key = not_blank(s.aws_secret_access_key.or(secret_from_environment).or(file.aws.secret_access_key));
        if let Some(endpoint) = &endpoint {
            Places::anywhere().check_url("aws.endpoint", endpoint)?;
        }
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
            DynamoDbBackend::Embedded {
                port: EmbeddedPort::of(s.aws_embedded_port.or(file.aws.embedded_port), DEFAULT_EMBEDDED_DYNAMODB_PORT),
            }
        } else {
            DynamoDbBackend::Aws { endpoint, region, credentials }
        };
        let listen =
            address("listen", &s.listen.or(file.listen).unwrap_or_else(|| DEFAULT_LISTEN.to_owned()), DEFAULT_PORT)?;
        let http_listen = not_blank(s.http_listen.or(file.http_listen))
            .map(|text| address("http_listen", &text, DEFAULT_HTTP_PORT))
            .transpose()?;
        let log = s.log.or(file.log).unwrap_or_else(|| DEFAULT_LOG.to_owned());
        telemetry::check_filter(&log)?;
        let data_dir = s.data_dir.or(file.data_dir).unwrap_or_else(|| PathBuf::from(DEFAULT_DATA_DIR));
        let folders = s.allowed_folders.or(file.allowed_folders).unwrap_or_default();
        let hosts = s.allowed_hosts.or(file.allowed_hosts);
        let places = allowed_places(&folders, hosts.as_deref(), own_hosts(&kafka, &dynamodb))?;
        let message = message_bytes(s.max_message_size.or(file.max_message_size))?;
        let query_memory = query_memory_bytes(s.query_memory.or(file.query_memory))?;
        let session_memory = session_memory_bytes(s.session_memory.or(file.session_memory), query_memory)?;
        Ok(Self {
            listen,
            http_listen,
            data_dir,
            log,
            log_format: s.log_format.or(file.log_format).unwrap_or(LogFormat::Text),
            max_connections: at_least_one(
                "max_connections",
                s.max_connections.or(file.max_connections).unwrap_or(DEFAULT_MAX_CONNECTIONS),
            )?,
            job_threads: at_least_one("job_threads", s.job_threads.or(file.job_threads).unwrap_or_else(cores))?,
            adopt_data_dir: s.adopt_data_dir.or(file.adopt_data_dir).unwrap_or(false),
            hold_jobs: s.hold_jobs.or(file.hold_jobs).unwrap_or(false),
            max_message_bytes: usize::try_from(message).unwrap_or(usize::MAX),
            query_memory_bytes: usize::try_from(query_memory).unwrap_or(usize::MAX),
            session_memory_bytes: usize::try_from(session_memory).unwrap_or(usize::MAX),
            audit_log: not_blank(s.audit_log.or(file.audit_log))
                .map_or(AuditTarget::Off, |text| AuditTarget::of(&text)),
            access,
            tls,
            superuser: FirstSuperuser::default(),
            kafka,
            dynamodb,
            places,
        })
    }

    /// What statements may name: the data directory besides.
    ///
    /// # Errors
    /// The data directory's path cannot be one.
    pub fn places(&self) -> Result<Places> {
        let mut places = self.places.clone().with_folder(&self.data_dir.to_string_lossy())?;
        // What the operator has given the server for its own credentials.
        for variable in ["AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_SHARED_CREDENTIALS_FILE"] {
            if let Ok(file) = std::env::var(variable) {
                places = places.with_folder(&file)?;
            }
        }
        Ok(places)
    }
}

/// Where TLS's files are, if there is to be TLS.
fn tls_files(s: &Flags, file: &File) -> Result<Option<TlsFiles>> {
    let path = |flag: &Option<PathBuf>, of_file: &Option<PathBuf>| flag.clone().or_else(|| of_file.clone());
    let client_ca = path(&s.tls_client_ca, &file.tls_client_ca);
    let min_version = s.tls_min_version.or(file.tls_min_version);
    match (path(&s.tls_certificate, &file.tls_certificate), path(&s.tls_key, &file.tls_key)) {
        (Some(certificate), Some(key)) => {
            Ok(Some(TlsFiles { certificate, key, client_ca, min_version: min_version.unwrap_or_default() }))
        }
        (None, None) if client_ca.is_none() && min_version.is_none() => Ok(None),
        (None, None) => Err(Error::invalid("tls_client_ca and tls_min_version are for TLS, and there is none")
            .hint("Set tls_certificate and tls_key.")),
        _ => Err(Error::invalid("tls_certificate and tls_key belong together")),
    }
}

/// What clients must do; a rule that nobody could ever fulfil is refused.
fn access(s: &Flags, file: &File, tls: Option<&TlsFiles>) -> Result<Access> {
    let without_tls = s.listen_without_tls.or(file.listen_without_tls).unwrap_or(false);
    let access = Access::new(s.auth.or(file.auth), file.access.clone())?.without_tls(without_tls);
    let (needs_tls, needs_certificates) = access.needs();
    if needs_tls && tls.is_none() {
        return Err(Error::invalid("a rule of [[access]] requires TLS, and there is none")
            .hint("Set tls_certificate and tls_key."));
    }
    if needs_certificates && tls.is_some_and(|tls| tls.client_ca.is_none()) {
        return Err(Error::invalid("a rule of [[access]] has the method cert, and tls_client_ca is not set"));
    }
    Ok(access)
}

/// The largest message's size; absent: the default.
fn message_bytes(size: Option<MemorySize>) -> Result<u64> {
    let message = size.map_or(DEFAULT_MAX_MESSAGE_SIZE, |size| size.0);
    if !MAX_MESSAGE_SIZE.contains(&message) {
        return Err(Error::invalid(format!("max_message_size of {message} bytes is not possible"))
            .hint("It is between 16 kb and 1 GiB less a byte, Postgres' bound."));
    }
    Ok(message)
}

/// Memory of all queries together; absent: half of what is there.
fn query_memory_bytes(size: Option<MemorySize>) -> Result<u64> {
    let available = memory_size::available();
    let query_memory = size.map_or(available / 2, |size| size.0);
    if query_memory > available {
        let message = format!("query_memory of {query_memory} bytes is more than the {available} that are there");
        return Err(Error::invalid(message).hint("Half of it is the default."));
    }
    if query_memory < QUERY_MEMORY_MIN {
        return Err(Error::invalid(format!("query_memory of {query_memory} bytes is too little"))
            .hint("Queries need 64 mb at least."));
    }
    Ok(query_memory)
}

/// What one session may have of the memory of all queries; absent: three quarters, so that others can go on.
fn session_memory_bytes(size: Option<MemorySize>, query_memory: u64) -> Result<u64> {
    let session_memory = size.map_or(query_memory / 4 * 3, |size| size.0);
    if session_memory > query_memory || session_memory < SESSION_MEMORY_MIN {
        let message = format!("session_memory of {session_memory} bytes is not possible");
        return Err(Error::invalid(message)
            .hint(format!("It is between 16 mb and query_memory, which has {query_memory} bytes.")));
    }
    Ok(session_memory)
}

fn at_least_one(name: &str, count: usize) -> Result<usize> {
    match count {
        0 => Err(Error::invalid(format!("{name} must be at least 1"))),
        count => Ok(count),
    }
}

/// An address, or the first of a host's; the port may be left out, or stand alone.
fn address(setting: &str, text: &str, default_port: u16) -> Result<SocketAddr> {
    let text = text.trim();
    if text.parse::<u16>().is_ok() {
        return address(setting, &format!("localhost:{text}"), default_port);
    }
    let has_port = text.parse::<SocketAddr>().is_ok()
        || text.rsplit_once(':').is_some_and(|(host, port)| !host.contains(':') && port.parse::<u16>().is_ok());
    let full = match has_port {
        true => text.to_owned(),
        false if text.parse::<std::net::Ipv6Addr>().is_ok() => format!("[{text}]:{default_port}"),
        false => format!("{text}:{default_port}"),
    };
    let cannot = |why: &dyn std::fmt::Display| {
        Error::invalid(format!("{setting}: cannot find address \"{text}\": {why}"))
            .hint(format!("Write HOST:PORT, as in localhost:{default_port}."))
    };
    let mut found: Vec<SocketAddr> = full.to_socket_addrs().map_err(|error| cannot(&error))?.collect();
    // psql's -h 127.0.0.1 is what the server tells people to type.
    found.sort_by_key(SocketAddr::is_ipv6);
    found.first().copied().ok_or_else(|| cannot(&"it has none"))
}

/// Folders and hosts that statements may name.
fn allowed_places(folders: &[String], hosts: Option<&[String]>, own_hosts: Vec<String>) -> Result<Places> {
    for host in hosts.unwrap_or_default() {
        places::require_host("allowed_hosts", host)?;
    }
    Places::new(folders, hosts, own_hosts).map_err(|error| error.context("allowed_folders"))
}

/// Hosts of the default backends, which tables may name for themselves as well.
fn own_hosts(kafka: &KafkaBackend, dynamodb: &DynamoDbBackend) -> Vec<String> {
    let mut hosts = Vec::new();
    if let KafkaBackend::Cluster { bootstrap_servers, .. } = kafka {
        hosts.extend(bootstrap_servers.split(',').map(|server| places::host_of(server.trim()).to_owned()));
    }
    if let DynamoDbBackend::Aws { endpoint: Some(endpoint), .. } = dynamodb {
        let authority = endpoint.split_once("://").map_or(endpoint.as_str(), |(_, rest)| rest);
        hosts.push(places::host_of(authority.split('/').next().unwrap_or_default()).to_owned());
    }
    let is_embedded =
        matches!(kafka, KafkaBackend::Embedded { .. }) || matches!(dynamodb, DynamoDbBackend::Embedded { .. });
    if is_embedded {
        hosts.extend(["127.0.0.1", "localhost"].map(str::to_owned));
    }
    hosts
}

/// Threads that can run at the same time, at least 1.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Which Kafka tables use that name none. `embedded`: the port of the embedded one, where it may be used.
fn kafka_backend(
    servers: Option<String>,
    properties: BTreeMap<String, String>,
    embedded: Option<Option<u16>>,
) -> Result<KafkaBackend> {
    match (servers.filter(|text| !text.is_empty()), embedded) {
        (Some(bootstrap_servers), _) => {
            places::refuse_userinfo("kafka.bootstrap_servers", &bootstrap_servers)?;
            Ok(KafkaBackend::Cluster { bootstrap_servers, properties })
        }
        (None, _) if !properties.is_empty() => {
            Err(Error::invalid("kafka.properties are those of a cluster, and kafka.bootstrap_servers is not set"))
        }
        (None, Some(port)) => Ok(KafkaBackend::Embedded { port: EmbeddedPort::of(port, DEFAULT_EMBEDDED_KAFKA_PORT) }),
        (None, None) => Ok(KafkaBackend::None),
    }
}

#[cfg(test)]
mod tests;
