//! Writing: how rows land, and the writers that jobs and statements are given. What a write may wait for is `transactions`' matter.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::watch;

use super::bad_rows::BadRows;
use super::metrics::ConnectorMetrics;
use super::transactions::{Transactional, Transactions};
use crate::changelog::ChangeBatch;
use crate::error::{Error, Result};

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

/// Writes batches in order. Every `write` has a sequence number, counted from 1; `acknowledged` shows the highest one
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

    /// Takes a batch and begins to write it at once when there is capacity; waits only for back-pressure. Returns its sequence number.
    /// A row that the outside system cannot hold is for [`SinkContext::bad_rows`] to judge; what is written of its key before stays.
    async fn write(&mut self, batch: ChangeBatch) -> Result<u64>;

    /// Highest sequence number all of whose rows are durable. A writer that failed for good drops the sender; `flush` tells why.
    fn acknowledged(&self) -> watch::Receiver<u64>;

    /// Tells why it has failed for good, also while the writer itself is busy. `None`: it has not, or does not know.
    fn failure_teller(&self) -> FailureTeller {
        Arc::new(|| None)
    }

    /// Sends what is buffered and waits until every write is acknowledged.
    async fn flush(&mut self) -> Result<()>;

    /// Everything written before belongs to `epoch`, everything after it to the next one. Writers in transactions hand over
    /// the epoch's records here; what comes next waits, bounded, until the epoch is committed.
    async fn barrier(&mut self, _epoch: u64) -> Result<()> {
        Ok(())
    }
}
