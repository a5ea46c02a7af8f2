//! Builds the parts, hands each what it needs, and stops them in reverse order. The only module that knows them all.

mod backends;
mod doctor;
mod superuser;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use crate::audit::AuditLog;
use crate::catalog::{Catalog, DEFAULT_DATABASE};
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, DynamoDbBackend, EMBEDDED_REGION, KafkaBackend};
use crate::connectors::local::LocalStore;
use crate::connectors::{ConnectorDefaults, Registry};
use crate::embedded::{DynamoDbOptions, EmbeddedDynamoDb, KafkaBroker, KafkaBrokerOptions};
use crate::error::{Error, Result, SqlState};
use crate::http::{HttpPort, Observed, Stage};
use crate::jobs::Jobs;
use crate::sql::execution::queries::Queries;
use crate::sql::execution::query_memory::QueryMemory;
use crate::sql::job_relations::JobRelations;
use crate::sql::{SqlServer, SystemSchema};
use crate::threads::{self, Role};
use crate::{http, pg_catalog, wire};
use backends::Backend;
pub use doctor::doctor;
pub use superuser::init;

/// How long jobs may take for their last checkpoint when the server ends; with the rest it stays below 10 s.
const JOBS_STOP_MAX: Duration = Duration::from_secs(7);

/// How often a server looks whether its data directory is still there.
const DIRECTORY_LOOK: Duration = Duration::from_secs(1);

/// A running server.
pub struct Server {
    address: SocketAddr,
    observed: Observed,
    http: Option<HttpPort>,
    sql: Arc<SqlServer>,
    jobs: Jobs,
    job_runtime: Option<Runtime>,
    kafka: Option<KafkaBroker>,
    dynamodb: Option<EmbeddedDynamoDb>,
    defaults: ConnectorDefaults,
    shutdown: CancellationToken,
    sessions: tokio::task::JoinHandle<Result<()>>,
    catalog: Catalog,
    tls: Option<Arc<wire::Tls>>,
}

impl Server {
    /// Starts everything; returns when clients can connect.
    ///
    /// # Errors
    /// The data folder, an embedded backend, the catalog or the listener cannot be opened.
    pub async fn start(config: &Config) -> Result<Self> {
        // What cannot be meant is refused before anything is opened; whether there are logins, the catalog tells.
        config.access.check_listen(config.listen, config.tls.is_some(), true)?;
        let tls = load_tls(config).await?;
        let audit = open_audit(config).await?;
        config.http_listen.map_or(Ok(()), http::require_loopback)?;
        let listener = TcpListener::bind(config.listen)
            .await
            .map_err(|error| Error::invalid(format!("cannot listen on {}: {error}", config.listen)))?;
        let address =
            listener.local_addr().map_err(|error| Error::internal(format!("listener has no address: {error}")))?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let observed = Observed::new(Arc::clone(&clock));
        let http = open_http(config, &observed).await?;

        observed.set(Stage::Opening("the catalog"));
        let catalog = open_catalog(config).await?;
        config.access.check_listen(address, tls.is_some(), !catalog.snapshot().roles.is_empty())?;
        observed.set(Stage::Opening("the backends"));
        let (defaults, kafka, dynamodb) = open_backends(config, &clock).await?;
        let rows = open_rows(config, &catalog).await?;
        observed.set(Stage::Opening("the jobs"));
        let connectors = Registry::with_rows(&defaults, rows);
        if matches!(config.kafka, KafkaBackend::Cluster { .. }) {
            crate::connectors::kafka::check_properties(&defaults)?;
        }

        let job_runtime = threads::runtime("job", Some(config.job_threads), None, Role::Work)?;
        // More threads than cores: a computation without a pause holds its thread, also after a cancel.
        let queries = Queries::start((4 * crate::config::cores()).max(8))?;
        let jobs = Jobs::new(
            job_runtime.handle().clone(),
            catalog.clone(),
            connectors.clone(),
            Arc::clone(&clock),
            config.data_dir.join("jobs"),
        );
        let sql = Arc::new(sql_server(config, &catalog, &jobs, connectors, queries, clock)?.with_audit(audit));
        if let Some(reason) = reason_to_hold(config, &catalog).await? {
            tracing::warn!(%reason, "jobs are held");
            jobs.hold(reason);
        }
        jobs.watch_deaths();
        jobs.reconcile(&[]);

        let shutdown = CancellationToken::new();
        watch_backends(config, &defaults, &shutdown);
        let options = wire::WireOptions {
            max_connections: config.max_connections,
            max_message_bytes: config.max_message_bytes,
            access: config.access.clone(),
            tls: tls.clone(),
            ..wire::WireOptions::default()
        };
        let sessions = tokio::spawn(wire::serve(listener, Arc::clone(&sql), options, shutdown.clone()));
        observed.show(&sql);
        observed.set(Stage::Ready);
        tracing::info!(
            kafka = defaults.kafka_bootstrap_servers.as_deref().unwrap_or("none"),
            dynamodb = defaults.dynamodb_endpoint.as_deref().unwrap_or("AWS"),
            "accepting Postgres clients: psql -h {} -p {} {DEFAULT_DATABASE}",
            address.ip(),
            address.port(),
        );
        Ok(Self {
            address,
            observed,
            http,
            sql,
            jobs,
            job_runtime: Some(job_runtime),
            kafka,
            dynamodb,
            defaults,
            shutdown,
            sessions,
            catalog,
            tls,
        })
    }

    /// Where Postgres clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where HTTP is served, if it is.
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.http.as_ref().map(HttpPort::address)
    }

    /// What tables are given that name no backend: addresses of the embedded ones among them.
    pub fn defaults(&self) -> &ConnectorDefaults {
        &self.defaults
    }

    /// What sessions share, for sessions that do not come over the wire.
    pub fn sql(&self) -> &Arc<SqlServer> {
        &self.sql
    }

    /// The jobs.
    pub fn jobs(&self) -> &Jobs {
        &self.jobs
    }

    fn end_threads(&mut self) {
        self.sql.queries.shutdown();
        if let Some(runtime) = self.job_runtime.take() {
            runtime.shutdown_background();
        }
    }

    /// Waits until the data directory is no longer this server's, and tells why. Nothing may be written any more then: not even the jobs'
    /// last checkpoints, which would land in whatever is there now.
    pub async fn lost(&self) -> Error {
        let mut ticks = tokio::time::interval(DIRECTORY_LOOK);
        loop {
            ticks.tick().await;
            let catalog = self.catalog.clone();
            if let Err(error) = blocking(move || catalog.check_directory()).await {
                return error;
            }
        }
    }

    /// Opens the audit log again, and reads certificate and key, for connections from now on. What cannot be used is logged, and what was
    /// there stays.
    pub async fn reload(&self) {
        self.sql.audit.reopen().await;
        let Some(tls) = self.tls.clone() else { return tracing::info!("there is no TLS to read again") };
        match blocking(move || tls.reload()).await {
            Ok(()) => tracing::info!("certificate and key are read again"),
            Err(error) => tracing::error!(%error, "certificate and key stay as they were"),
        }
    }

    /// Takes no more sessions, checkpoints and ends the jobs, ends the backends; within 10 s.
    pub async fn stop(mut self) {
        // Told as long as it lasts; the port closes with the rest.
        self.observed.set(Stage::Stopping);
        self.shutdown.cancel();
        if tokio::time::timeout(JOBS_STOP_MAX, self.jobs.shutdown()).await.is_err() {
            tracing::warn!("jobs did not end in time; they go on from their last checkpoints");
        }
        let _ = tokio::time::timeout(Duration::from_secs(1), &mut self.sessions).await;
        self.sessions.abort();
        self.end_threads();
        if let Some(dynamodb) = self.dynamodb.take() {
            dynamodb.shutdown().await;
        }
        if let Some(kafka) = self.kafka.take() {
            let _ = tokio::task::spawn_blocking(move || kafka.shutdown()).await;
        }
        tracing::info!("stopped");
    }
}

async fn load_tls(config: &Config) -> Result<Option<Arc<wire::Tls>>> {
    match config.tls.clone() {
        Some(files) => blocking(move || wire::Tls::load(files)).await.map(|tls| Some(Arc::new(tls))),
        None => Ok(None),
    }
}

/// What sessions share.
fn sql_server(
    config: &Config,
    catalog: &Catalog,
    jobs: &Jobs,
    connectors: Registry,
    queries: Queries,
    clock: Arc<dyn Clock>,
) -> Result<SqlServer> {
    let relations: Arc<dyn SystemSchema> = Arc::new(JobRelations::new(jobs.clone()));
    let (pg_catalog, information_schema) = pg_catalog::system_schemas(catalog.clone(), vec![Arc::clone(&relations)]);
    let sql = SqlServer::new(
        catalog.clone(),
        jobs.clone(),
        connectors,
        vec![Arc::new(pg_catalog), Arc::new(information_schema), relations],
        clock,
        std::collections::BTreeMap::new(),
    )?;
    let memory = QueryMemory::new(config.query_memory_bytes, Some(&config.data_dir.join("queries")))?
        .with_session_bytes(config.session_memory_bytes);
    Ok(sql.with_queries(queries).with_query_memory(memory))
}

/// Opens the audit log; before there are runtimes, which cannot be dropped where this would fail.
async fn open_audit(config: &Config) -> Result<AuditLog> {
    let target = config.audit_log.clone();
    blocking(move || AuditLog::open(&target, Arc::new(SystemClock))).await
}

async fn open_http(config: &Config, observed: &Observed) -> Result<Option<HttpPort>> {
    match config.http_listen {
        Some(address) => Ok(Some(HttpPort::open(address, observed.clone()).await?)),
        None => Ok(None),
    }
}

/// Opens the catalog, which has a superuser then if the environment names one.
async fn open_catalog(config: &Config) -> Result<Catalog> {
    let (folder, first) = (config.data_dir.join("catalog"), config.superuser.clone());
    blocking(move || {
        let catalog = Catalog::open(&folder)?;
        superuser::ensure(&catalog, &first)?;
        Ok(catalog)
    })
    .await
}

/// Says in the log when a backend outside of this process does not answer.
fn watch_backends(config: &Config, defaults: &ConnectorDefaults, shutdown: &CancellationToken) {
    if matches!(config.kafka, KafkaBackend::Cluster { .. }) {
        backends::watch(Backend::Kafka, defaults.clone(), shutdown.clone());
    }
    if matches!(config.dynamodb, DynamoDbBackend::Aws { .. }) {
        backends::watch(Backend::DynamoDb, defaults.clone(), shutdown.clone());
    }
}

/// Why jobs are not started by themselves, if they are not.
async fn reason_to_hold(config: &Config, catalog: &Catalog) -> Result<Option<Error>> {
    let (of_copy, adopts) = (catalog.clone(), config.adopt_data_dir);
    let is_copy = blocking(move || {
        let is_copy = of_copy.is_copy()?;
        if is_copy && adopts {
            of_copy.adopt()?;
        }
        Ok(is_copy && !adopts)
    });
    if is_copy.await? {
        let message = "the data directory is a copy of another one, whose server may be running the same jobs";
        return Ok(Some(Error::invalid(message).code(SqlState::ObjectNotInPrerequisiteState).detail(
            "If that one is gone for good, serve --adopt-data-dir takes this one over; RESUME JOB starts a single job",
        )));
    }
    let held = || Error::invalid("the server was started with its jobs held").detail("RESUME JOB starts it");
    Ok(config.hold_jobs.then(held))
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shutdown.cancel();
        self.end_threads();
    }
}

/// What the configuration says of the backends of tables that name none; addresses of embedded ones are not known yet.
fn defaults_of(config: &Config, clock: Arc<dyn Clock>) -> Result<ConnectorDefaults> {
    let mut defaults = ConnectorDefaults {
        kafka_bootstrap_servers: None,
        kafka_properties: std::collections::BTreeMap::new(),
        kafka_is_embedded: false,
        dynamodb_endpoint: None,
        aws_region: None,
        aws_credentials: None,
        dynamodb_is_embedded: false,
        clock,
        places: Arc::new(config.places()?),
    };
    if let KafkaBackend::Cluster { bootstrap_servers, properties } = &config.kafka {
        defaults.kafka_bootstrap_servers = Some(bootstrap_servers.clone());
        defaults.kafka_properties = properties.clone();
    }
    if let DynamoDbBackend::Aws { endpoint, region, credentials } = &config.dynamodb {
        defaults.dynamodb_endpoint = endpoint.clone();
        defaults.aws_region = region.clone();
        defaults.aws_credentials = credentials.clone();
    }
    Ok(defaults)
}

/// The rows of local tables, without those of tables that are not there any more.
async fn open_rows(config: &Config, catalog: &Catalog) -> Result<Arc<LocalStore>> {
    let (path, catalog) = (config.data_dir.join("local").join("rows.redb"), catalog.clone());
    let open = move || {
        let rows = LocalStore::open(path)?;
        let snapshot = catalog.snapshot();
        let known = snapshot.local_tables();
        rows.keep_only(&|table| known.contains(table))?;
        Ok(rows)
    };
    blocking(open).await
}

async fn open_backends(
    config: &Config,
    clock: &Arc<dyn Clock>,
) -> Result<(ConnectorDefaults, Option<KafkaBroker>, Option<EmbeddedDynamoDb>)> {
    let failed =
        |what: &str, error: std::io::Error| Error::unavailable(format!("cannot start the embedded {what}: {error}"));
    let mut defaults = defaults_of(config, Arc::clone(clock))?;
    let kafka = match &config.kafka {
        KafkaBackend::Embedded { port } => {
            let mut options = KafkaBrokerOptions::new(config.data_dir.join("kafka"));
            (options.port, options.more_ports) = (port.first, port.more);
            let broker = blocking(move || KafkaBroker::start(options).map_err(|error| failed("Kafka", error))).await?;
            let address = broker.address().to_string();
            tracing::warn!(
                bootstrap_servers = address,
                "embedded Kafka is up: for development and demos, one node, no replication"
            );
            defaults.kafka_bootstrap_servers = Some(address);
            defaults.kafka_is_embedded = true;
            Some(broker)
        }
        KafkaBackend::Cluster { .. } | KafkaBackend::None => None,
    };
    let dynamodb = match &config.dynamodb {
        DynamoDbBackend::Embedded { port } => {
            let mut options = DynamoDbOptions::new(config.data_dir.join("dynamodb"));
            (options.port, options.more_ports) = (port.first, port.more);
            let store = EmbeddedDynamoDb::start(options).await.map_err(|error| failed("DynamoDB", error))?;
            tracing::warn!(
                endpoint = store.endpoint(),
                "embedded DynamoDB is up: for development and demos, nothing reaches AWS"
            );
            defaults.dynamodb_endpoint = Some(store.endpoint());
            defaults.aws_region = Some(EMBEDDED_REGION.to_owned());
            defaults.aws_credentials = Some(("embedded".to_owned(), "embedded".to_owned()));
            defaults.dynamodb_is_embedded = true;
            Some(store)
        }
        DynamoDbBackend::Aws { .. } => None,
    };
    Ok((defaults, kafka, dynamodb))
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Error::internal(format!("start-up work panicked: {error}")))?
}
