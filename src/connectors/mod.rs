//! Outside systems that tables live in: what a connector is, what a table can do, and the registry.
//! Knows options, bytes and positions; knows nothing of SQL statements, jobs or operators.

pub mod bad_rows;
pub mod blackhole;
pub mod datagen;
pub mod declaration;
pub mod dynamodb;
pub mod kafka;
pub mod log_identity;
pub mod lookup_cache;
pub mod print;
pub mod sink_constraints;
pub mod skipped_records;
pub mod statement_counts;
pub mod table_provider;
pub mod upsert_kafka;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use async_trait::async_trait;
use datafusion::arrow::array::UInt32Array;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use parking_lot::Mutex;
use tokio::sync::watch;

pub use bad_rows::{BadRows, LeftOut};
pub use declaration::{ColumnDeclaration, ColumnKind, TableDeclaration, short_table_name};
pub use log_identity::{Continuity, LogIdentity, SplitLog};
pub use sink_constraints::{LengthEnforcer, SinkConstraints};
pub use skipped_records::{RowOffsets, SkippedRecords};
pub use statement_counts::StatementCounts;

use crate::changelog::{ChangeBatch, Changelog};
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::options::OptionReader;
use crate::places::Places;
use crate::waits::Waits;

/// An outside system that tables can live in. Knows options, bytes and offsets; knows nothing of SQL or operators.
pub trait Connector: Send + Sync {
    /// As in `WITH ('connector' = 'kafka')`.
    fn name(&self) -> &'static str;

    /// Opens a declared table; makes no request to the outside system.
    ///
    /// # Errors
    /// An option that is missing, malformed or not supported.
    fn open(&self, options: &mut OptionReader, table: &TableDeclaration) -> Result<Table>;

    /// What CREATE TABLE does in the outside system before the declaration is stored (`table.create`, reachability).
    /// Returns warnings and notices for the session. Never called again for a stored table.
    ///
    /// # Errors
    /// The declaration contradicts the outside system (a key that differs, say).
    fn create<'a>(
        &'a self,
        _options: &'a mut OptionReader,
        _table: &'a TableDeclaration,
    ) -> futures::future::BoxFuture<'a, Result<Vec<Advice>>> {
        Box::pin(async { Ok(Vec::new()) })
    }
}

/// Something CREATE TABLE tells the session beside its success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Advice {
    /// Worth knowing (a NOTICE).
    Notice(String),
    /// Likely to hurt later (a WARNING).
    Warning(String),
}

/// What a table can do; an absent part is an error at CREATE or at planning, never at run time.
#[derive(Clone, Default)]
pub struct Table {
    /// Unbounded reading, for jobs.
    pub source: Option<Arc<dyn Source>>,
    /// Bounded reading, for queries.
    pub scan: Option<Arc<dyn Scan>>,
    /// Rows by key.
    pub lookup: Option<Arc<dyn Lookup>>,
    /// Writing.
    pub sink: Option<Arc<dyn Sink>>,
}

/// One independently readable part of a source: a Kafka partition.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Split {
    /// Stable name within the source, the key under which a checkpoint keeps its position: `orders/0`.
    pub id: String,
    /// Name of the same part across tables and jobs, for read-behind: `kafka://host:9092/orders/0`.
    pub resource: String,
    /// Under which name the outside system keeps positions for its lag tools, if it does: Kafka's consumer group.
    pub group: Option<String>,
}

/// Where to go on in a split: the next record's offset (exclusive end of what was read).
pub type Position = i64;

/// An unbounded source, split by partition. Its readers' positions are owned by the job's checkpoint.
#[async_trait]
pub trait Source: Send + Sync {
    /// Whether the source ends by itself (`scan.bounded.mode`, datagen with `number-of-rows`).
    fn is_bounded(&self) -> bool;

    /// What the batches of the source hold: inserts only, or changes.
    fn changelog(&self) -> Changelog {
        Changelog::Append
    }

    /// The splits there are now; asked again from time to time, new ones are read from their beginning.
    async fn splits(&self) -> Result<Vec<Split>>;

    /// The source as a job reads it: what it tells the outside system of the job's progress stands under a name of the job's own,
    /// unless the table gives one. Absent: it is the same for all.
    fn of_job(&self, _job: &str, _job_id: &str) -> Option<Arc<dyn Source>> {
        None
    }

    /// What the last `splits` did not find in the outside system: a job that never read it waits for it.
    fn awaited(&self) -> Vec<Awaited> {
        Vec::new()
    }

    /// Under which names, given by the table, progress is told; jobs that share one overwrite what the other has told.
    fn told_as(&self) -> Vec<ToldAs> {
        Vec::new()
    }

    /// How long to wait before `splits` is asked again; `None`: never.
    fn discovery_interval(&self) -> Option<std::time::Duration> {
        None
    }

    /// Opens one split.
    async fn open(&self, request: SplitRequest<'_>) -> Result<Box<dyn SplitReader>>;

    /// A split as users know it, for messages: `topic "orders", partition 0,`.
    fn name_of(&self, split: &Split) -> String {
        split.id.clone()
    }

    /// What the logs of the splits are now, one for each, in their order; asks the outside system. Empty: the source's positions
    /// count in the same log for ever.
    ///
    /// # Errors
    /// The outside system does not answer (`Unavailable`).
    async fn logs(&self, _splits: &[Split]) -> Result<Vec<SplitLog>> {
        Ok(Vec::new())
    }

    /// The ends of the splits now, one for each, in their order; asks the outside system. Empty: nothing ever waits there to be read.
    ///
    /// # Errors
    /// The outside system does not answer (`Unavailable`), or a split is not there any more (`NotFound`).
    async fn ends(&self, _splits: &[Split]) -> Result<Vec<Position>> {
        Ok(Vec::new())
    }

    /// Tells the outside system how far everything is done, for its lag tools. Best effort, never read back.
    async fn commit(&self, _positions: &[(Split, Position)]) -> Result<()> {
        Ok(())
    }
}

/// Where a source tells its progress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToldAs {
    /// Kafka's consumer group.
    pub group: String,
    /// Of what: `kafka://host:9092/orders`.
    pub resource: String,
    /// As users know that: `topic "orders"`.
    pub name: String,
}

/// Something that a source reads and that is not there (yet): a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Awaited {
    /// `topic "orders"`
    pub what: String,
    /// What the ids of its splits begin with: `orders/`
    pub split_prefix: String,
    /// What stands before the last `/` of its splits' resource names: `kafka://host:9092/orders`
    pub resource: String,
}

/// How a split is opened.
pub struct SplitRequest<'a> {
    /// The split.
    pub split: &'a Split,
    /// Where to go on; absent: where the options say.
    pub position: Option<Position>,
    /// Where to end, exclusive, when a job recomputes what it has already decided; absent: as the options say.
    pub end: Option<Position>,
    /// Records that are gone over, and counted.
    pub skips: &'a [SkippedRecords],
    /// Column indexes of the declared schema; batches have exactly these, in this order.
    pub projection: &'a [usize],
    /// Counters to keep.
    pub metrics: Arc<ConnectorMetrics>,
}

impl<'a> SplitRequest<'a> {
    /// From `position` on, as far as the options say.
    pub fn new(
        split: &'a Split,
        position: Option<Position>,
        projection: &'a [usize],
        metrics: Arc<ConnectorMetrics>,
    ) -> Self {
        Self { split, position, end: None, skips: &[], projection, metrics }
    }
}

/// Rows read from one split, and where to go on after them.
#[derive(Debug, Clone)]
pub struct SourceBatch {
    /// The projected rows with their kinds; may be empty when only skipped records were read.
    pub changes: ChangeBatch,
    /// The position after these rows.
    pub position: Position,
    /// Bytes read for it.
    pub bytes: u64,
    /// Where each row comes from, if the source knows.
    pub offsets: RowOffsets,
}

/// Reads one split in order.
#[async_trait]
pub trait SplitReader: Send {
    /// Position before the first row that `next` will return (resolved from the options if none was given).
    fn position(&self) -> Position;

    /// The next rows as soon as there are any; `None` when a bounded split has ended. Cancel safe: a dropped call loses no rows.
    async fn next(&mut self) -> Result<Option<SourceBatch>>;
}

/// What a bounded read is asked for.
#[derive(Debug, Clone, Default)]
pub struct ScanRequest {
    /// Column indexes of the declared schema, in output order.
    pub projection: Vec<usize>,
    /// Predicates, all of which hold for every wanted row; those not answered `Exact` are applied again above.
    pub filters: Vec<Expr>,
    /// Rows wanted at most; only given when all filters are exact.
    pub limit: Option<usize>,
}

/// A bounded read, planned. EXPLAIN shows `description`.
pub struct ScanPlan {
    /// Parts that can be read at the same time.
    pub partitions: Vec<Arc<dyn ScanPartition>>,
    /// What will be asked of the outside system, e.g. `Query user_id = 7, projection [..], limit 10`.
    pub description: String,
    /// What the client should know beside the rows: that a topic is not there, say. Lower case, no full stop.
    pub notices: Vec<String>,
}

/// One part of a bounded read.
pub trait ScanPartition: Send + Sync {
    /// Starts reading; `batch_rows` is the wanted batch size. Dropping the stream stops the read.
    fn open(&self, batch_rows: usize, metrics: &Arc<ConnectorMetrics>) -> Result<SendableRecordBatchStream>;
}

/// Bounded reading, for queries.
#[async_trait]
pub trait Scan: Send + Sync {
    /// For each filter, whether the scan applies it exactly, inexactly or not at all. May not do I/O.
    fn pushdown(&self, filters: &[&Expr]) -> Vec<TableProviderFilterPushDown>;

    /// Plans the read; may ask the outside system (end offsets are pinned here, keys described).
    async fn plan(&self, request: ScanRequest) -> Result<ScanPlan>;
}

/// What a look-up is asked for: rows whose key columns equal one of the given keys.
#[derive(Debug, Clone)]
pub struct LookupRequest {
    /// Column indexes (declared schema) that the keys give: the partition key, or the full key.
    pub key_columns: Vec<usize>,
    /// Distinct keys without NULLs, one column for each of `key_columns`, typed as declared.
    pub keys: RecordBatch,
    /// Column indexes of the declared schema wanted in the answer.
    pub projection: Vec<usize>,
    /// Whether the answer must include every write acknowledged before.
    pub consistent: bool,
}

/// Rows found, each with the index of the key that it belongs to. A key without rows is simply absent.
#[derive(Debug, Clone)]
pub struct LookupResponse {
    /// The projected rows.
    pub rows: RecordBatch,
    /// For each row, the index into `LookupRequest::keys`.
    pub key_index: UInt32Array,
}

/// Rows by key: a batch of keys is fetched concurrently.
#[async_trait]
pub trait Lookup: Send + Sync {
    /// Column indexes of the table's key as the outside system has it: partition key, then sort key if any.
    async fn key(&self) -> Result<Vec<usize>>;

    /// Fetches; retries throttling and outages by itself, bounded by the options.
    async fn lookup(&self, request: LookupRequest, metrics: &ConnectorMetrics) -> Result<LookupResponse>;

    /// Name of the outside table, equal for every declaration of it, for read-behind: `dynamodb://endpoint/table`.
    fn resource(&self) -> String;
}

/// How rows land in a sink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SinkKind {
    /// Each row is added; retractions cannot be taken.
    Append,
    /// Every change is written with its kind, old rows (`-U`, `-D`) in full.
    Changelog,
    /// The last row of a key stands; deletes remove it.
    Upsert {
        /// Column indexes of the key.
        key: Vec<usize>,
    },
}

/// Writing.
#[async_trait]
pub trait Sink: Send + Sync {
    /// How rows land; may ask the outside system for its key.
    async fn kind(&self) -> Result<SinkKind>;

    /// Opens a writer of rows with the declared schema.
    async fn open(&self, context: SinkContext) -> Result<Box<dyn SinkWriter>>;

    /// Name of the outside table, equal for every declaration of it, for read-behind.
    fn resource(&self) -> String;

    /// With `'sink.delivery-guarantee' = 'exactly-once'`: opens the transactions that the writers take part in.
    fn transactional(&self) -> Option<Arc<dyn Transactional>> {
        None
    }

    /// Whether a write must carry a version of its key (`'sink.write-mode' = 'monotonic'`): then batches have one column
    /// (Int64, never NULL) more than declared, at the end. It grows with the input that was folded into the key.
    fn wants_version(&self) -> bool {
        false
    }
}

/// A sink whose writes become visible by transactions, one for each epoch.
#[async_trait]
pub trait Transactional: Send + Sync {
    /// Equal for sinks whose writers can share one transaction: one cluster, one set of client properties.
    fn scope(&self) -> String;

    /// Opens the transactions of a job. What an earlier owner left open is ended and the owner fenced; then `decided` is known.
    async fn open(&self, job_id: &str) -> Result<Arc<dyn Transactions>>;

    /// Removes what `open` made for a job, when the job is dropped. Best effort.
    async fn forget(&self, job_id: &str) -> Result<()>;
}

/// What was decided by a transaction: epoch, positions, and the checkpoint that holds the state.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Decision {
    /// The epoch.
    pub epoch: u64,
    /// By source id, then split id: the next position to read.
    pub positions: std::collections::BTreeMap<String, std::collections::BTreeMap<String, Position>>,
    /// Checksum of the checkpoint's manifest.
    pub checksum: u32,
    /// By source id, then split id: the log in which the position counts, as far as it is known.
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub logs: std::collections::BTreeMap<String, std::collections::BTreeMap<String, LogIdentity>>,
}

/// A job's transactions on one cluster: one is open at any time, and takes the writes of one epoch (reference: the protocol
/// "decide in Kafka"). An error of any method leaves the outcome unclear: the job must open them anew.
#[async_trait]
pub trait Transactions: Send + Sync {
    /// What the last transaction that was committed has decided; read when the transactions were opened.
    fn decided(&self) -> Option<&Decision>;

    /// From now on, before any writer is opened: the records of an epoch stay with the writers until it is [released](Self::release).
    fn hold_back(&self) {}

    /// The writes of `epoch` outside of the transactions are durable: what was held back of it goes into the open transaction. Only
    /// now the broker counts its time, however long those writes took.
    async fn release(&self, _epoch: u64) -> Result<()> {
        Ok(())
    }

    /// Waits until so much is held back that the epoch should end.
    async fn full(&self) {
        std::future::pending().await
    }

    /// Waits until all writes of `epoch`, whose barrier all writers have passed, are delivered into the open transaction.
    async fn flush(&self, epoch: u64) -> Result<()>;

    /// Puts the decision, and the positions of `committed` where source and sink share the cluster, into the open
    /// transaction, commits it, and opens the next one: writers may send the next epoch.
    async fn commit(&self, decision: &Decision, committed: &[(Split, Position)]) -> Result<()>;

    /// For the connector's writers, which know their own kind of transactions.
    fn as_any(&self) -> &dyn std::any::Any;
}

/// What a writer is given.
#[derive(Clone)]
pub struct SinkContext {
    /// Name of the job or session that writes, for client ids and output prefixes.
    pub owner: String,
    /// Identity of the job: one that is created anew under the same name has another. For writes outside of a job, the owner.
    pub job_id: String,
    /// Whether a job writes, which goes on for long and has a client of its own; else a statement does, of which many come.
    pub is_of_job: bool,
    /// The transactions to write in; given when the sink is [`Sink::transactional`] and a job writes.
    pub transactions: Option<Arc<dyn Transactions>>,
    /// The first epoch that is written.
    pub epoch: u64,
    /// Counters to keep.
    pub metrics: Arc<ConnectorMetrics>,
    /// What becomes of rows that the outside system cannot hold.
    pub bad_rows: Arc<BadRows>,
    /// Time zone of the job, for zone-less timestamps that become instants (TTL).
    pub time_zone: chrono_tz::Tz,
}

impl SinkContext {
    /// For the writes of a statement, outside of transactions.
    pub fn new(owner: impl Into<String>, metrics: Arc<ConnectorMetrics>, time_zone: chrono_tz::Tz) -> Self {
        let owner = owner.into();
        let (job_id, bad_rows) = (owner.clone(), BadRows::fail());
        Self { job_id, owner, is_of_job: false, transactions: None, epoch: 1, metrics, bad_rows, time_zone }
    }

    /// With another rule for rows that the outside system cannot hold.
    #[must_use]
    pub fn with_bad_rows(mut self, bad_rows: Arc<BadRows>) -> Self {
        self.bad_rows = bad_rows;
        self
    }
}

/// Tells why a writer has failed for good.
pub type FailureTeller = Arc<dyn Fn() -> Option<Error> + Send + Sync>;

/// Writes batches in order. Every `write` is a ticket, counted from 1; `acknowledged` shows the highest ticket
/// up to which all rows are durable in the outside system. Failures that retrying cannot mend come back from the next call.
#[async_trait]
pub trait SinkWriter: Send {
    /// Whether the rows of a batch can be written, as far as that shows before they are sent; writes nothing. Asked only to find out
    /// which row it was that could not.
    ///
    /// # Errors
    /// One of them cannot.
    fn check(&mut self, _batch: &ChangeBatch) -> Result<()> {
        Ok(())
    }

    /// Takes a batch and begins to write it at once when there is capacity; waits only for back-pressure. Returns its ticket.
    /// A row that the outside system cannot hold is for [`SinkContext::bad_rows`] to judge; what is written of its key before stays.
    async fn write(&mut self, batch: ChangeBatch) -> Result<u64>;

    /// Highest ticket all of whose rows are durable. A writer that failed for good drops the sender; `flush` tells why.
    fn acknowledged(&self) -> watch::Receiver<u64>;

    /// Tells why it has failed for good, also while the writer itself is busy. `None`: it has not, or does not know.
    fn failure_teller(&self) -> FailureTeller {
        Arc::new(|| None)
    }

    /// Sends what is buffered and waits until every ticket is acknowledged.
    async fn flush(&mut self) -> Result<()>;

    /// Everything written before belongs to `epoch`, everything after it to the next one. Writers in transactions hand over
    /// the epoch's records here; what comes next waits, bounded, until the epoch is committed.
    async fn barrier(&mut self, _epoch: u64) -> Result<()> {
        Ok(())
    }
}

/// What hinders somebody right now, until it is over.
#[derive(Debug, Default)]
pub struct Trouble {
    is_there: AtomicBool,
    error: Mutex<Option<(Error, Instant)>>,
}

impl Trouble {
    /// Something is in the way. True if nothing was before.
    pub fn begin(&self, error: Error) -> bool {
        let mut known = self.error.lock();
        let since = known.as_ref().map_or_else(Instant::now, |(_, since)| *since);
        *known = Some((error, since));
        !self.is_there.swap(true, Ordering::AcqRel)
    }

    /// Nothing is in the way (any more). Costs a look when nothing was. True if something was.
    pub fn end(&self) -> bool {
        if !self.is_there.load(Ordering::Relaxed) {
            return false;
        }
        self.error.lock().take();
        self.is_there.swap(false, Ordering::AcqRel)
    }

    /// What is in the way now, and since when.
    pub fn wait(&self) -> Option<(Error, Instant)> {
        if self.is_there.load(Ordering::Relaxed) { self.error.lock().clone() } else { None }
    }

    /// What is in the way now.
    pub fn now(&self) -> Option<Error> {
        self.wait().map(|(error, _)| error)
    }
}

/// Counters that a connector keeps for its job or query, which only grow, and what it waits for.
#[derive(Debug, Default)]
pub struct ConnectorMetrics {
    /// What the connector waits for: an outside system that does not answer.
    pub trouble: Trouble,
    /// Records or rows taken in or given out.
    pub rows: AtomicU64,
    /// Bytes of them.
    pub bytes: AtomicU64,
    /// Records or rows left out by rule (unreadable, NULL key), each also logged with a rate limit.
    pub skipped: AtomicU64,
    /// Of the rows left out, those whose key is NULL or empty.
    pub null_keys: AtomicU64,
    /// Values that could not be read and became NULL, by rule (`ignore-parse-errors`).
    pub nulled: AtomicU64,
    /// Changes that take back a row which is not there.
    pub unmatched: AtomicU64,
    /// Requests sent to the outside system.
    pub requests: AtomicU64,
    /// Requests or items sent again.
    pub retries: AtomicU64,
    /// What it waits for, beyond the usual time of an answer.
    pub waits: Waits,
}

impl ConnectorMetrics {
    /// Adds to a counter.
    pub fn add(counter: &AtomicU64, count: usize) {
        counter.fetch_add(count as u64, Ordering::Relaxed);
    }
}

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

/// The connectors there are.
#[derive(Clone)]
pub struct Registry {
    connectors: Vec<Arc<dyn Connector>>,
    defaults: ConnectorDefaults,
}

impl Registry {
    /// All connectors of this build.
    pub fn new(defaults: &ConnectorDefaults) -> Self {
        let kafka = kafka::KafkaConnector::new(defaults.clone());
        let upsert_kafka = upsert_kafka::UpsertKafkaConnector::new(defaults.clone()).beside(&kafka);
        Self {
            defaults: defaults.clone(),
            connectors: vec![
                Arc::new(kafka),
                Arc::new(upsert_kafka),
                Arc::new(dynamodb::DynamoDbConnector::new("dynamodb", defaults.clone())),
                Arc::new(dynamodb::DynamoDbConnector::new("dynamodb-v2", defaults.clone())),
                Arc::new(datagen::DatagenConnector),
                Arc::new(print::PrintConnector),
                Arc::new(blackhole::BlackholeConnector),
            ],
        }
    }

    /// What tables are given that name no back end.
    pub fn defaults(&self) -> &ConnectorDefaults {
        &self.defaults
    }

    /// Adds a connector (of a test, say).
    #[must_use]
    pub fn with(mut self, connector: Arc<dyn Connector>) -> Self {
        self.connectors.push(connector);
        self
    }

    /// The connector that a declaration names.
    ///
    /// # Errors
    /// `'connector'` is missing or unknown.
    pub fn connector(&self, table: &TableDeclaration) -> Result<&Arc<dyn Connector>> {
        let name = table.connector().ok_or_else(|| {
            Error::invalid(format!("table \"{}\" names no connector", table.name))
                .hint("Add 'connector' = '…' to WITH.")
        })?;
        self.connectors.iter().find(|connector| connector.name().eq_ignore_ascii_case(name)).ok_or_else(|| {
            let known: Vec<_> = self.connectors.iter().map(|connector| connector.name()).collect();
            Error::invalid(format!("unknown connector \"{name}\"")).hint(format!("Known are: {}.", known.join(", ")))
        })
    }

    /// Opens a declared table. `resolve` gives the plain text of a secret's reference.
    /// With `strict` (CREATE TABLE) an option that nobody took is an error; a stored table of another version still opens.
    ///
    /// # Errors
    /// As [`Connector::open`].
    pub fn open(
        &self,
        table: &TableDeclaration,
        resolve: &dyn Fn(&str) -> Result<String>,
        strict: bool,
    ) -> Result<Table> {
        let mut options = OptionReader::new(&table.options, resolve)?;
        let opened = self.connector(table)?.open(&mut options, table)?;
        if strict {
            options.finish()?;
        }
        Ok(opened)
    }
}
