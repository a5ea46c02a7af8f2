//! Sinks that outlive the jobs that write to them, and keep every change. Plain ones write while the job goes on, acknowledge
//! later, and fail from time to time; what was written before a kill stays. Those in transactions show an epoch when it is committed.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::datatypes::Int64Type;
use datafusion::arrow::util::display::array_value_to_string;
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::{mpsc, watch};

use crate::changelog::{ChangeBatch, RowKind};
use crate::connectors::table_provider::ConnectorTable;
use crate::connectors::*;
use crate::error::{Error, Result};

/// Batches that a writer takes before it holds its job up.
const BATCHES_MAX: usize = 3;

/// How a sink is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Append,
    AppendOnce,
    Upsert,
    UpsertOnce,
    /// By key, where a lower version never replaces a higher one.
    Monotonic,
    /// All changes in full; at least once they could not be told apart.
    ChangelogOnce,
}

impl Mode {
    pub const ALL: [Mode; 6] =
        [Mode::Append, Mode::AppendOnce, Mode::Upsert, Mode::UpsertOnce, Mode::Monotonic, Mode::ChangelogOnce];

    pub fn is_transactional(self) -> bool {
        matches!(self, Mode::AppendOnce | Mode::UpsertOnce | Mode::ChangelogOnce)
    }
}

/// A change as a sink keeps it.
#[derive(Debug, Clone)]
pub struct SinkChange {
    pub kind: RowKind,
    pub cells: Vec<String>,
    /// In monotonic mode.
    pub version: Option<i64>,
}

/// Cells of a row as text, `-` for NULL.
pub fn cells(rows: &RecordBatch, row: usize) -> Vec<String> {
    let cell = |column: &Arc<dyn Array>| match column.is_null(row) {
        true => "-".to_owned(),
        false => array_value_to_string(column, row).unwrap(),
    };
    rows.columns().iter().map(cell).collect()
}

/// A sink.
pub struct Target {
    pub declaration: TableDeclaration,
    pub mode: Mode,
    pub changes: Mutex<Vec<SinkChange>>,
    broker: Arc<Broker>,
    random: Mutex<StdRng>,
}

impl Target {
    pub fn new(declaration: TableDeclaration, mode: Mode, broker: &Arc<Broker>, seed: u64) -> Arc<Self> {
        Arc::new(Self {
            declaration,
            mode,
            changes: Mutex::default(),
            broker: Arc::clone(broker),
            random: Mutex::new(StdRng::seed_from_u64(seed)),
        })
    }

    pub fn table(self: &Arc<Self>) -> Table {
        Table { sink: Some(Arc::new(TargetSink(Arc::clone(self)))), ..Table::default() }
    }

    pub fn provider(self: &Arc<Self>) -> Arc<ConnectorTable> {
        Arc::new(ConnectorTable::new(Arc::new(self.declaration.clone()), self.table()).unwrap())
    }

    fn changes_of(&self, batch: &ChangeBatch) -> Vec<SinkChange> {
        let change = |row: usize| {
            let mut cells = cells(batch.rows(), row);
            let version = (self.mode == Mode::Monotonic).then(|| {
                cells.pop();
                batch.rows().columns().last().unwrap().as_primitive::<Int64Type>().value(row)
            });
            SinkChange { kind: batch.kind(row), cells, version }
        };
        (0..batch.len()).map(change).collect()
    }

    fn pause(&self) -> Duration {
        let mut random = self.random.lock();
        Duration::from_millis(if random.random_bool(0.6) { 0 } else { random.random_range(1..5) })
    }
}

struct TargetSink(Arc<Target>);

#[async_trait]
impl Sink for TargetSink {
    async fn kind(&self) -> Result<SinkKind> {
        let declaration = &self.0.declaration;
        Ok(match self.0.mode {
            Mode::Append | Mode::AppendOnce => SinkKind::Append,
            Mode::ChangelogOnce => SinkKind::Changelog,
            _ => SinkKind::Upsert { key: (0..declaration.primary_key.len()).collect() },
        })
    }

    async fn open(&self, context: SinkContext) -> Result<Box<dyn SinkWriter>> {
        let target = Arc::clone(&self.0);
        let transactions = context.transactions.as_ref().map(|transactions| {
            let transactions: &MemoryTransactions = transactions.as_any().downcast_ref().unwrap();
            transactions.clone()
        });
        match transactions {
            Some(transactions) => Ok(Box::new(TransactionWriter {
                target,
                transactions,
                buffered: Vec::new(),
                acknowledged: watch::Sender::new(0),
            })),
            None => Ok(Box::new(PlainWriter::new(target))),
        }
    }

    fn resource(&self) -> String {
        format!("target://{}", self.0.declaration.name)
    }

    fn transactional(&self) -> Option<Arc<dyn Transactional>> {
        let transactional: Arc<dyn Transactional> = Arc::new(BrokerTransactional(Arc::clone(&self.0.broker)));
        self.0.mode.is_transactional().then_some(transactional)
    }

    fn wants_version(&self) -> bool {
        self.0.mode == Mode::Monotonic
    }
}

/// Writes behind the job's back.
struct PlainWriter {
    target: Arc<Target>,
    sequences: u64,
    batches: mpsc::Sender<(u64, Vec<SinkChange>)>,
    acknowledged: watch::Receiver<u64>,
}

impl PlainWriter {
    fn new(target: Arc<Target>) -> Self {
        let (batches, mut taken) = mpsc::channel::<(u64, Vec<SinkChange>)>(BATCHES_MAX);
        let (acknowledge, acknowledged) = watch::channel(0);
        let written = Arc::clone(&target);
        tokio::spawn(async move {
            while let Some((sequence, changes)) = taken.recv().await {
                tokio::time::sleep(written.pause()).await;
                for change in changes {
                    if written.random.lock().random_bool(0.05) {
                        tokio::time::sleep(written.pause()).await;
                    }
                    written.changes.lock().push(change);
                }
                tokio::time::sleep(written.pause()).await;
                if written.broker.fails(0.02) {
                    return; // the sender goes: the writer has failed for good
                }
                acknowledge.send_replace(sequence);
            }
        });
        Self { target, sequences: 0, batches, acknowledged }
    }
}

#[async_trait]
impl SinkWriter for PlainWriter {
    async fn write(&mut self, batch: ChangeBatch) -> Result<u64> {
        self.sequences += 1;
        let changes = self.target.changes_of(&batch);
        self.batches.send((self.sequences, changes)).await.map_err(|_| Error::unavailable("the sink failed"))?;
        Ok(self.sequences)
    }

    fn acknowledged(&self) -> watch::Receiver<u64> {
        self.acknowledged.clone()
    }

    async fn flush(&mut self) -> Result<()> {
        let sequences = self.sequences;
        let done = self.acknowledged.wait_for(|sequence| *sequence >= sequences).await;
        done.map(drop).map_err(|_| Error::unavailable("the sink failed"))
    }
}

/// Where transactions are: outlives jobs, and decides what happened. Has a number of faults to give.
pub struct Broker {
    state: Mutex<BrokerState>,
}

struct BrokerState {
    generation: u64,
    /// Writes in the open transaction.
    open: Vec<(Arc<Target>, SinkChange)>,
    /// By job.
    decided: BTreeMap<String, Decision>,
    faults: usize,
    random: StdRng,
}

impl Broker {
    pub fn new(faults: usize, seed: u64) -> Arc<Self> {
        let random = StdRng::seed_from_u64(seed);
        let state = BrokerState { generation: 0, open: Vec::new(), decided: BTreeMap::new(), faults, random };
        Arc::new(Self { state: Mutex::new(state) })
    }

    /// Whether something fails now.
    fn fails(&self, chance: f64) -> bool {
        let mut state = self.state.lock();
        let fails = state.faults > 0 && state.random.random_bool(chance);
        state.faults -= usize::from(fails);
        fails
    }

    fn pause(&self) -> Duration {
        let mut state = self.state.lock();
        Duration::from_millis(if state.random.random() { 0 } else { state.random.random_range(1..6) })
    }

    /// The epoch that was last decided for a job.
    pub fn decided_epoch(&self, job_id: &str) -> Option<u64> {
        self.state.lock().decided.get(job_id).map(|decision| decision.epoch)
    }
}

struct BrokerTransactional(Arc<Broker>);

#[async_trait]
impl Transactional for BrokerTransactional {
    fn scope(&self) -> String {
        "memory".to_owned()
    }

    async fn open(&self, job_id: &str) -> Result<Arc<dyn Transactions>> {
        tokio::time::sleep(self.0.pause()).await;
        let mut state = self.0.state.lock();
        state.generation += 1;
        state.open.clear();
        Ok(Arc::new(MemoryTransactions {
            broker: Arc::clone(&self.0),
            job_id: job_id.to_owned(),
            generation: state.generation,
            decided: state.decided.get(job_id).cloned(),
            epochs: Arc::default(),
        }))
    }

    async fn forget(&self, job_id: &str) -> Result<()> {
        self.0.state.lock().decided.remove(job_id);
        Ok(())
    }
}

/// Changes of one epoch, and where they go.
type HandedOver = Vec<(Arc<Target>, SinkChange)>;

#[derive(Clone)]
struct MemoryTransactions {
    broker: Arc<Broker>,
    job_id: String,
    generation: u64,
    decided: Option<Decision>,
    /// What writers handed over, by epoch.
    epochs: Arc<Mutex<BTreeMap<u64, HandedOver>>>,
}

#[async_trait]
impl Transactions for MemoryTransactions {
    fn decided(&self) -> Option<&Decision> {
        self.decided.as_ref()
    }

    async fn flush(&self, epoch: u64) -> Result<()> {
        tokio::time::sleep(self.broker.pause()).await;
        let writes = self.epochs.lock().remove(&epoch).unwrap_or_default();
        let mut state = self.broker.state.lock();
        assert_eq!(state.generation, self.generation, "a fenced producer writes");
        state.open.extend(writes);
        Ok(())
    }

    async fn commit(&self, decision: &Decision, _committed: &[(Split, Position)]) -> Result<()> {
        tokio::time::sleep(self.broker.pause()).await;
        if self.broker.fails(0.05) {
            return Err(Error::unavailable("the commit did not arrive"));
        }
        {
            let mut state = self.broker.state.lock();
            assert_eq!(state.generation, self.generation, "a fenced producer commits");
            for (target, change) in std::mem::take(&mut state.open) {
                target.changes.lock().push(change);
            }
            let before = state.decided.insert(self.job_id.clone(), decision.clone());
            assert!(before.is_none_or(|before| before.epoch < decision.epoch), "an epoch is decided twice");
        }
        if self.broker.fails(0.05) {
            return Err(Error::unavailable("the commit's answer was lost"));
        }
        tokio::time::sleep(self.broker.pause()).await;
        Ok(())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

struct TransactionWriter {
    target: Arc<Target>,
    transactions: MemoryTransactions,
    buffered: Vec<(Arc<Target>, SinkChange)>,
    acknowledged: watch::Sender<u64>,
}

#[async_trait]
impl SinkWriter for TransactionWriter {
    async fn write(&mut self, batch: ChangeBatch) -> Result<u64> {
        let changes = self.target.changes_of(&batch);
        self.buffered.extend(changes.into_iter().map(|change| (Arc::clone(&self.target), change)));
        self.acknowledged.send_modify(|sequence| *sequence += 1);
        Ok(*self.acknowledged.borrow())
    }

    fn acknowledged(&self) -> watch::Receiver<u64> {
        self.acknowledged.subscribe()
    }

    async fn flush(&mut self) -> Result<()> {
        Ok(())
    }

    async fn barrier(&mut self, epoch: u64) -> Result<()> {
        let buffered = std::mem::take(&mut self.buffered);
        self.transactions.epochs.lock().entry(epoch).or_default().extend(buffered);
        Ok(())
    }
}
