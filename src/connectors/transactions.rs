//! Sinks whose writes become visible by transactions, one for each epoch, and what such a transaction decides.
//! Knows no writer: those know the transactions that they take part in.

use std::sync::Arc;

use async_trait::async_trait;

use super::log_identity::LogIdentity;
use super::position::Position;
use super::split::Split;
use crate::error::Result;

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
    /// By source id: the state of what finds its splits, if it has one.
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub enumerators: std::collections::BTreeMap<String, serde_json::Value>,
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
