//! A sink in a task: what may be written goes to its writer, or waits for its epoch's decision.

use std::sync::Arc;
use std::time::Instant;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::record_batch::RecordBatch;
use futures::future::BoxFuture;
use tokio::sync::watch;

use super::messages::SinkSequence;
use crate::changelog::ChangeBatch;
use crate::connectors::{BadRows, SinkConstraints, SinkWriter, short_table_name};
use crate::engine::deferred::Deferred;
use crate::engine::metrics::NodeMetrics;
use crate::error::Result;

/// A sink as a task runs it.
pub(crate) struct TaskSink {
    /// Writes.
    pub writer: Box<dyn SinkWriter>,
    /// Whether it writes into the job's transaction.
    pub in_transaction: bool,
    /// Keeps an epoch's writes until its checkpoint is decided, if the sink needs it.
    pub deferred: Option<Deferred>,
    /// The table, for messages.
    pub table: String,
    /// Columns as the writer takes them.
    pub schema: SchemaRef,
    /// What they must hold.
    pub constraints: SinkConstraints,
    /// The last sequence number.
    pub sequence: u64,
}

impl TaskSink {
    async fn write(&mut self, batch: ChangeBatch, metrics: &NodeMetrics) -> Result<()> {
        let table = short_table_name(&self.table);
        let reason = || format!("table \"{table}\" to take rows");
        self.sequence = metrics.connector.waits.during(reason, self.writer.write(batch)).await?;
        Ok(())
    }

    /// Rows under the columns' names.
    fn named(&self, batch: &ChangeBatch) -> Result<ChangeBatch> {
        let rows = RecordBatch::try_new(Arc::clone(&self.schema), batch.rows().columns().to_vec())?;
        Ok(batch.with_rows(rows))
    }
    /// Lets the writer end the epoch; gives how far its writes of it go.
    pub async fn barrier(&mut self, epoch: u64, metrics: &NodeMetrics) -> Result<SinkSequence> {
        let (waits, table) = (&metrics.connector.waits, short_table_name(&self.table));
        waits.during(|| format!("table \"{table}\" to end its epoch"), self.writer.barrier(epoch)).await?;
        Ok(SinkSequence {
            table: self.table.clone(),
            acknowledged: self.writer.acknowledged(),
            sequence: self.sequence,
            waits: waits.clone(),
            failure: self.writer.failure_teller(),
            in_transaction: self.in_transaction,
        })
    }

    /// Finds what of a batch the sink would refuse, without writing.
    pub fn check(&mut self, batch: &ChangeBatch) -> Result<()> {
        let batch = self.constraints.admit(self.named(batch)?, &BadRows::fail())?;
        self.writer.check(&batch)
    }

    /// Takes rows: those that it admits are written, or wait for their epoch's decision.
    pub async fn take(&mut self, batch: &ChangeBatch, bad_rows: &BadRows, metrics: &NodeMetrics) -> Result<()> {
        let batch = self.constraints.admit(self.named(batch)?, bad_rows)?;
        if batch.is_empty() {
            return Ok(());
        }
        let begun = Instant::now();
        match &mut self.deferred {
            Some(deferred) => deferred.add(batch)?,
            None => self.write(batch, metrics).await?,
        }
        metrics.add_backpressured(begun.elapsed());
        Ok(())
    }

    /// Sends the writes that waited for a checkpoint which is decided now.
    pub async fn send_deferred(&mut self, metrics: &NodeMetrics) -> Result<()> {
        if let Some(deferred) = &mut self.deferred
            && let Some(batch) = deferred.take_decided()
        {
            self.write(batch, metrics).await?;
        }
        Ok(())
    }
}

/// Waits until a writer has failed for good.
pub(super) fn failed(place: usize, mut acknowledged: watch::Receiver<u64>) -> BoxFuture<'static, usize> {
    Box::pin(async move {
        while acknowledged.changed().await.is_ok() {}
        place
    })
}
