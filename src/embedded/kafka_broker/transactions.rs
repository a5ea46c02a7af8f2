//! The coordinator of transactions: one durable record in the meta log decides, then the markers follow into the partitions; what a
//! crash cut off in between is completed at the next start. Knows nothing of messages.
//!
//! The gate keeps the two apart: produce requests pass it together, whoever changes a transaction passes it alone, so no record slips
//! in behind the marker of its transaction.

use std::io;

use kafka_protocol::ResponseError;
use parking_lot::{RwLock, RwLockReadGuard};

use super::group_offset::GroupOffset;
use super::log::{AppendError, Appended};
use super::meta::MetaChange;
use super::topics::{Topic, Topics};
use super::transaction_state::{Initialisation, Phase, Step, TIMEOUT_MS_MAX, TransactionState};

#[derive(Default)]
pub struct Transactions {
    gate: RwLock<()>,
}

/// A producer as it names itself.
#[derive(Debug, Clone, Copy)]
pub struct Owner<'a> {
    pub transactional_id: &'a str,
    pub producer_id: i64,
    pub epoch: i16,
}

impl Transactions {
    /// Completes what was decided before the process ended.
    pub fn open(topics: &Topics, now_ms: i64) -> io::Result<Self> {
        let transactions = Self::default();
        for (id, state) in snapshot(topics) {
            if matches!(state.phase, Phase::Decided { .. }) {
                complete(topics, &id, now_ms)?;
            }
        }
        Ok(transactions)
    }

    /// Makes the asker the owner of the id, under a producer id and an epoch that fence whoever was it before; the transaction that one
    /// left open is aborted.
    pub fn initialise(
        &self,
        topics: &Topics,
        id: &str,
        timeout_ms: i32,
        claimed: Option<(i64, i16)>,
        new_producer_id: impl FnOnce() -> io::Result<i64>,
        now_ms: i64,
    ) -> Result<(i64, i16), ResponseError> {
        if id.is_empty() {
            return Err(ResponseError::InvalidRequest);
        }
        if !(1..=TIMEOUT_MS_MAX).contains(&timeout_ms) {
            return Err(ResponseError::InvalidTransactionTimeout);
        }
        let _alone = self.gate.write();
        let mut state = state(topics, id).unwrap_or_default();
        let mut initialisation = state.initialisation(claimed)?;
        if initialisation == Initialisation::Repeated {
            return Ok((state.producer_id, state.epoch));
        }
        if state.phase == Phase::Ongoing {
            // The epoch grows with the decision: were it to end here, the old owner could not begin another transaction.
            end(topics, id, false, state.fencing_epoch(), now_ms).map_err(not_stored)?;
        } else if matches!(state.phase, Phase::Decided { .. }) {
            complete(topics, id, now_ms).map_err(not_stored)?;
        }
        if let Some(ended) = self::state(topics, id) {
            state = ended;
            initialisation = state.initialisation(None)?;
        }
        let (producer_id, epoch) = match initialisation {
            Initialisation::NextEpoch(epoch) => (state.producer_id, epoch),
            _ => (new_producer_id().map_err(not_stored)?, 0),
        };
        let last_epoch = if producer_id == state.producer_id { claimed.map_or(-1, |(_, epoch)| epoch) } else { -1 };
        step(topics, id, Step::Initialised { producer_id, epoch, last_epoch, timeout_ms, at_ms: now_ms })?;
        Ok((producer_id, epoch))
    }

    pub fn add_partitions(
        &self,
        topics: &Topics,
        owner: Owner<'_>,
        mut partitions: Vec<(String, i32)>,
        now_ms: i64,
    ) -> Result<(), ResponseError> {
        let _alone = self.gate.write();
        let state = owned(topics, owner)?;
        state.check_add(owner.producer_id, owner.epoch)?;
        partitions.retain(|partition| state.phase != Phase::Ongoing || !state.partitions.contains(partition));
        if partitions.is_empty() {
            return Ok(());
        }
        step(topics, owner.transactional_id, Step::PartitionsAdded { partitions, at_ms: now_ms })
    }

    pub fn add_group(&self, topics: &Topics, owner: Owner<'_>, group: &str, now_ms: i64) -> Result<(), ResponseError> {
        let _alone = self.gate.write();
        let state = owned(topics, owner)?;
        state.check_add(owner.producer_id, owner.epoch)?;
        if state.phase == Phase::Ongoing && state.offsets.contains_key(group) {
            return Ok(());
        }
        step(topics, owner.transactional_id, Step::GroupAdded { group: group.to_owned(), at_ms: now_ms })
    }

    /// Offsets of a group that was added; they count when the transaction is committed.
    pub fn add_offsets(
        &self,
        topics: &Topics,
        owner: Owner<'_>,
        group: &str,
        offsets: Vec<(String, i32, GroupOffset)>,
    ) -> Result<(), ResponseError> {
        let _alone = self.gate.write();
        let state = owned(topics, owner)?;
        state.check_add(owner.producer_id, owner.epoch)?;
        if state.phase != Phase::Ongoing || !state.offsets.contains_key(group) {
            return Err(ResponseError::InvalidTxnState);
        }
        step(topics, owner.transactional_id, Step::OffsetsAdded { group: group.to_owned(), offsets })
    }

    /// Commits or aborts.
    pub fn end(&self, topics: &Topics, owner: Owner<'_>, commit: bool, now_ms: i64) -> Result<(), ResponseError> {
        let _alone = self.gate.write();
        let state = owned(topics, owner)?;
        if state.check_end(owner.producer_id, owner.epoch, commit)? {
            return end(topics, owner.transactional_id, commit, state.epoch, now_ms).map_err(not_stored);
        }
        match state.phase {
            Phase::Decided { .. } => complete(topics, owner.transactional_id, now_ms).map_err(not_stored),
            _ => Ok(()),
        }
    }

    /// Appends a batch of a transaction when it may belong to one.
    pub fn append(
        &self,
        topics: &Topics,
        transactional_id: &str,
        producer: (i64, i16),
        topic: &Topic,
        index: i32,
        append: impl FnOnce() -> Result<Appended, AppendError>,
    ) -> Result<Result<Appended, AppendError>, ResponseError> {
        let _together: RwLockReadGuard<'_, ()> = self.gate.read();
        let partition = (topic.name.clone(), index);
        match topics.meta().meta().transactions.get(transactional_id) {
            Some(state) => state.check_produce(producer.0, producer.1, &partition)?,
            None => return Err(ResponseError::InvalidProducerIdMapping),
        }
        Ok(append())
    }

    /// Aborts transactions that were open for too long, completes those whose markers could not be written, forgets unused ids.
    pub fn expire(&self, topics: &Topics, now_ms: i64) {
        let is_due = |state: &TransactionState| {
            state.has_timed_out(now_ms) || state.is_unused(now_ms) || matches!(state.phase, Phase::Decided { .. })
        };
        let due: Vec<String> = {
            let store = topics.meta();
            store.meta().transactions.iter().filter(|(_, state)| is_due(state)).map(|(id, _)| id.clone()).collect()
        };
        for id in due {
            let _alone = self.gate.write();
            // It may have gone on since.
            let Some(state) = state(topics, &id).filter(is_due) else {
                continue;
            };
            let done = if state.has_timed_out(now_ms) {
                tracing::info!(transactional_id = id, "embedded broker aborted a transaction that had timed out");
                end(topics, &id, false, state.fencing_epoch(), now_ms)
            } else if state.is_unused(now_ms) {
                topics.meta().commit(MetaChange::TransactionalIdForgotten { id: id.clone() })
            } else {
                complete(topics, &id, now_ms)
            };
            if let Err(error) = done {
                tracing::error!(transactional_id = id, %error, "a transaction could not be ended");
            }
        }
    }
}

fn state(topics: &Topics, id: &str) -> Option<TransactionState> {
    topics.meta().meta().transactions.get(id).cloned()
}

fn snapshot(topics: &Topics) -> Vec<(String, TransactionState)> {
    topics.meta().meta().transactions.iter().map(|(id, state)| (id.clone(), state.clone())).collect()
}

fn owned(topics: &Topics, owner: Owner<'_>) -> Result<TransactionState, ResponseError> {
    state(topics, owner.transactional_id).ok_or(ResponseError::InvalidProducerIdMapping)
}

fn step(topics: &Topics, id: &str, step: Step) -> Result<(), ResponseError> {
    topics.meta().commit(MetaChange::Transaction { id: id.to_owned(), step }).map_err(not_stored)
}

fn not_stored(error: io::Error) -> ResponseError {
    tracing::error!(%error, "a change of a transaction could not be stored");
    ResponseError::CoordinatorNotAvailable
}

fn end(topics: &Topics, id: &str, commit: bool, epoch: i16, now_ms: i64) -> io::Result<()> {
    let decided = Step::Decided { commit, epoch, at_ms: now_ms };
    topics.meta().commit(MetaChange::Transaction { id: id.to_owned(), step: decided })?;
    complete(topics, id, now_ms)
}

/// Writes the markers of a decided transaction that are not there yet.
fn complete(topics: &Topics, id: &str, now_ms: i64) -> io::Result<()> {
    let Some(state) = state(topics, id) else {
        return Ok(());
    };
    let Phase::Decided { commit } = state.phase else {
        return Ok(());
    };
    for (name, index) in &state.partitions {
        // A topic that was deleted meanwhile took its records along.
        if let Some(topic) = topics.get(name)
            && let Some(partition) = topic.partition(*index)
        {
            partition.append_marker((state.producer_id, state.epoch), commit, now_ms, &topic.settings)?;
        }
    }
    topics.meta().commit(MetaChange::Transaction { id: id.to_owned(), step: Step::Ended { at_ms: now_ms } })
}
