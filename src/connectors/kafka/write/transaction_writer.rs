//! One writer's way into its job's transaction. Records of the open epoch go to the producer at once; while the commit of the epoch
//! before is in flight they wait here, bounded: a full writer makes the writer wait. Where a job writes elsewhere too, all records of an
//! epoch wait here for its end, and then with the transactions until what is written elsewhere is durable: a full writer ends the epoch.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::watch;

use super::kept::{Kept, Sealed};
use super::outgoing::Outgoing;
use super::transactions::{KafkaTransactions, Open, hand_over};
use super::write_sequences::{WriteSequence, WriteSequences};
use crate::connectors::bad_rows::BadRows;
use crate::connectors::kafka::client::partitions;
use crate::connectors::sink::SinkContext;
use crate::connectors::transactions::Transactions;
use crate::error::{Error, Result};
use crate::fault;

/// What one writer may keep back.
const KEPT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// See the module.
pub(in crate::connectors) struct TransactionWriter {
    transactions: Arc<dyn Transactions>,
    opened: watch::Receiver<Open>,
    /// The epoch that is written now.
    epoch: u64,
    kept: VecDeque<Kept>,
    kept_bytes: usize,
    sequences: Arc<WriteSequences>,
    /// Whether all records of an epoch wait for its end.
    holds_back: bool,
    bad_rows: Arc<BadRows>,
}

impl TransactionWriter {
    /// The way into the transactions that a writer was given, if it was.
    ///
    /// # Errors
    /// They are those of another cluster.
    pub fn new(context: &SinkContext, cluster: &str, sequences: Arc<WriteSequences>) -> Result<Option<Self>> {
        let Some(transactions) = context.transactions.clone() else {
            return Ok(None);
        };
        let kafka = of_kafka(&*transactions)?;
        if kafka.options().cluster() != cluster {
            return Err(Error::invalid("the sinks of a job with exactly-once write to two Kafka clusters")
                .hint("One transaction cannot hold both: use two jobs, or at-least-once."));
        }
        kafka.join(context.epoch);
        let (opened, holds_back) = (kafka.opened(), kafka.holds_back());
        Ok(Some(Self {
            transactions,
            opened,
            epoch: context.epoch,
            kept: VecDeque::new(),
            kept_bytes: 0,
            sequences,
            holds_back,
            bad_rows: context.bad_rows.clone(),
        }))
    }

    fn kafka(&self) -> Result<&KafkaTransactions> {
        of_kafka(&*self.transactions)
    }

    /// Why nothing more can be written.
    pub fn failure(&self) -> Option<Error> {
        self.kafka().map_or_else(Some, KafkaTransactions::failure)
    }

    /// The partitions of a topic. Blocks.
    pub fn partitions(&self, topic: &str) -> Result<Vec<i32>> {
        let producer = self.kafka()?.producer();
        partitions(producer.client(), topic)
    }

    /// Takes a record of the present epoch.
    pub async fn send(&mut self, record: Outgoing<'_>, sequence: &Arc<WriteSequence>) -> Result<()> {
        if !self.holds_back && self.kept.is_empty() && self.may_send(self.epoch) {
            return self.hand_over(&record, sequence).await;
        }
        if let Some(failure) = self.failure().filter(|_| self.holds_back) {
            return Err(failure);
        }
        let kept = Kept {
            epoch: self.epoch,
            topic: record.topic.into(),
            partition: record.partition,
            key: record.key.map(<[u8]>::to_vec),
            payload: record.payload.map(<[u8]>::to_vec),
            timestamp: record.timestamp,
            headers: record.headers.cloned(),
            sequence: sequence.clone(),
        };
        self.kept_bytes += kept.bytes();
        self.kept.push_back(kept);
        if self.holds_back {
            if self.kept_bytes > KEPT_BYTES_MAX {
                // The epoch before ends by itself. This one ends when the task has passed on what it has at hand.
                self.wait_until_open(self.epoch).await?;
                self.kafka()?.should_end();
            }
            Ok(())
        } else if self.may_send(self.epoch) {
            self.drain().await
        } else if self.kept_bytes > KEPT_BYTES_MAX {
            self.wait_and_drain().await
        } else {
            Ok(())
        }
    }

    /// Everything before belongs to `epoch` and is with the producer, or with the transactions until it is released, when this returns;
    /// what comes next is of the next epoch.
    pub async fn barrier(&mut self, epoch: u64) -> Result<()> {
        if epoch != self.epoch {
            return Err(Error::internal(format!("the barrier of epoch {epoch} came in epoch {}", self.epoch)));
        }
        if self.holds_back {
            self.kept_bytes = 0;
            let kept = std::mem::take(&mut self.kept);
            let (sequences, bad_rows) = (self.sequences.clone(), self.bad_rows.clone());
            self.kafka()?.seal(Sealed { epoch, kept, sequences, bad_rows });
        } else if !fault::is_mutant("commit-before-flush") {
            self.wait_and_drain().await?;
        }
        self.epoch = epoch + 1;
        Ok(())
    }

    /// Waits until the present epoch is open, and hands over what was kept.
    pub async fn wait_and_drain(&mut self) -> Result<()> {
        if self.holds_back {
            return self.failure().map_or(Ok(()), Err);
        }
        while !self.kept.is_empty() {
            let epoch = self.kept.front().map_or(self.epoch, |kept| kept.epoch);
            self.wait_until_open(epoch).await?;
            self.drain().await?;
        }
        Ok(())
    }

    /// Waits until the epoch is the one that may be written, or none may be.
    async fn wait_until_open(&mut self, epoch: u64) -> Result<()> {
        self.opened
            .wait_for(|open| open.failed || may_send(*open, epoch))
            .await
            .map(|_| ())
            .map_err(|_| Error::internal("the job's Kafka transactions have ended"))
    }

    fn may_send(&self, epoch: u64) -> bool {
        may_send(*self.opened.borrow(), epoch)
    }

    async fn drain(&mut self) -> Result<()> {
        while let Some(kept) = self.kept.front() {
            if let Some(failure) = self.failure() {
                return Err(failure);
            }
            if !self.may_send(kept.epoch) {
                return Ok(());
            }
            self.hand_over(&kept.outgoing(), &kept.sequence).await?;
            if let Some(kept) = self.kept.pop_front() {
                self.kept_bytes -= kept.bytes();
            }
        }
        Ok(())
    }

    async fn hand_over(&self, record: &Outgoing<'_>, sequence: &Arc<WriteSequence>) -> Result<()> {
        hand_over(self.kafka()?, record, sequence, &self.sequences, &self.bad_rows).await
    }
}

fn of_kafka(transactions: &dyn Transactions) -> Result<&KafkaTransactions> {
    transactions
        .as_any()
        .downcast_ref::<KafkaTransactions>()
        .ok_or_else(|| Error::internal("a Kafka writer was given transactions of another connector"))
}

fn may_send(open: Open, epoch: u64) -> bool {
    if fault::is_mutant("commit-before-flush") {
        // The records come too late for their own transaction.
        return open.epoch > epoch;
    }
    open.epoch == epoch
}
