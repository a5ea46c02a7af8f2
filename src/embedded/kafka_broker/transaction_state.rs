//! What is known of one transactional id, and what may be done with it: plain functions from the stored steps and a request to a
//! decision. `transactions` acts by them, the meta log stores the steps. The one decision that must survive a crash is `Step::Decided`:
//! it carries outcome, offsets and the epoch that fences, all in one record.

use std::collections::{BTreeMap, BTreeSet};

use kafka_protocol::ResponseError;
use serde::{Deserialize, Serialize};

use super::group_offset::GroupOffset;

/// As Kafka's transaction.max.timeout.ms.
pub const TIMEOUT_MS_MAX: i32 = 15 * 60 * 1000;
/// As Kafka's transactional.id.expiration.ms: an id that nobody uses for so long is forgotten.
const UNUSED_MS_MAX: i64 = 7 * 24 * 60 * 60 * 1000;

/// By topic and partition.
pub type Offsets = BTreeMap<(String, i32), GroupOffset>;

/// What happens to a transactional id, as the meta log keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Step {
    /// A producer owns the id from now on.
    Initialised { producer_id: i64, epoch: i16, last_epoch: i16, timeout_ms: i32, at_ms: i64 },
    /// Partitions will be written; the first step after an end begins a transaction, as does the next one.
    PartitionsAdded { partitions: Vec<(String, i32)>, at_ms: i64 },
    /// A group's offsets will be committed.
    GroupAdded { group: String, at_ms: i64 },
    /// Offsets that count when the transaction is committed.
    OffsetsAdded { group: String, offsets: Vec<(String, i32, GroupOffset)> },
    /// Commit or abort: cannot be taken back. A higher epoch than before fences the producer.
    Decided { commit: bool, epoch: i16, at_ms: i64 },
    /// All markers are written.
    Ended { at_ms: i64 },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// No transaction since the producer was initialised.
    Idle,
    Ongoing,
    /// Markers are missing, or may be.
    Decided {
        commit: bool,
    },
    Ended {
        commit: bool,
    },
}

/// The sum of an id's steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionState {
    pub producer_id: i64,
    pub epoch: i16,
    /// The epoch before, so that a repeated request for a new one is known; -1: none.
    pub last_epoch: i16,
    pub timeout_ms: i32,
    pub phase: Phase,
    /// When the transaction under way began.
    pub started_ms: i64,
    pub updated_ms: i64,
    pub partitions: BTreeSet<(String, i32)>,
    /// By group.
    pub offsets: BTreeMap<String, Offsets>,
}

impl Default for TransactionState {
    fn default() -> Self {
        Self {
            producer_id: -1,
            epoch: -1,
            last_epoch: -1,
            timeout_ms: 0,
            phase: Phase::Idle,
            started_ms: 0,
            updated_ms: 0,
            partitions: BTreeSet::new(),
            offsets: BTreeMap::new(),
        }
    }
}

/// Who a producer becomes that asks to be initialised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Initialisation {
    /// It asked before and the answer got lost.
    Repeated,
    /// The id stays, the epoch grows.
    NextEpoch(i16),
    /// The epochs of the old id are used up, or there was none.
    NewProducerId,
}

impl TransactionState {
    /// Applies a step; returns the offsets that it commits, by group.
    pub fn apply(&mut self, step: Step) -> BTreeMap<String, Offsets> {
        match step {
            Step::Initialised { producer_id, epoch, last_epoch, timeout_ms, at_ms } => {
                *self = Self { producer_id, epoch, last_epoch, timeout_ms, updated_ms: at_ms, ..Self::default() };
            }
            Step::PartitionsAdded { partitions, at_ms } => {
                self.begin(at_ms);
                self.partitions.extend(partitions);
            }
            Step::GroupAdded { group, at_ms } => {
                self.begin(at_ms);
                self.offsets.entry(group).or_default();
            }
            Step::OffsetsAdded { group, offsets } => {
                let pending = self.offsets.entry(group).or_default();
                pending.extend(offsets.into_iter().map(|(topic, partition, offset)| ((topic, partition), offset)));
            }
            Step::Decided { commit, epoch, at_ms } => {
                self.phase = Phase::Decided { commit };
                self.epoch = epoch;
                self.updated_ms = at_ms;
                let offsets = std::mem::take(&mut self.offsets);
                return if commit { offsets } else { BTreeMap::new() };
            }
            Step::Ended { at_ms } => {
                if let Phase::Decided { commit } = self.phase {
                    self.phase = Phase::Ended { commit };
                }
                self.updated_ms = at_ms;
                self.partitions.clear();
            }
        }
        BTreeMap::new()
    }

    fn begin(&mut self, at_ms: i64) {
        if self.phase != Phase::Ongoing {
            self.phase = Phase::Ongoing;
            self.started_ms = at_ms;
            self.updated_ms = at_ms;
        }
    }

    /// The fewest steps that lead here.
    pub fn steps(&self) -> Vec<Step> {
        let (began_ms, at_ms) = (self.started_ms, self.updated_ms);
        let mut steps = vec![Step::Initialised {
            producer_id: self.producer_id,
            epoch: self.epoch,
            last_epoch: self.last_epoch,
            timeout_ms: self.timeout_ms,
            at_ms,
        }];
        if !self.partitions.is_empty() || self.phase == Phase::Ongoing {
            let partitions = self.partitions.iter().cloned().collect();
            steps.push(Step::PartitionsAdded { partitions, at_ms: began_ms });
        }
        for (group, offsets) in &self.offsets {
            steps.push(Step::GroupAdded { group: group.clone(), at_ms: began_ms });
            let offsets =
                offsets.iter().map(|((topic, partition), offset)| (topic.clone(), *partition, offset.clone()));
            steps.push(Step::OffsetsAdded { group: group.clone(), offsets: offsets.collect() });
        }
        match self.phase {
            Phase::Idle | Phase::Ongoing => {}
            Phase::Decided { commit } => steps.push(Step::Decided { commit, epoch: self.epoch, at_ms }),
            Phase::Ended { commit } => {
                steps.push(Step::Decided { commit, epoch: self.epoch, at_ms });
                steps.push(Step::Ended { at_ms });
            }
        }
        steps
    }

    /// What belonged to the topic goes with it.
    pub fn forget_topic(&mut self, name: &str) {
        self.partitions.retain(|(topic, _)| topic != name);
        for offsets in self.offsets.values_mut() {
            offsets.retain(|(topic, _), _| topic != name);
        }
    }

    /// Whether it is this producer that owns the id.
    pub fn check_owner(&self, producer_id: i64, epoch: i16) -> Result<(), ResponseError> {
        if producer_id != self.producer_id {
            return Err(ResponseError::InvalidProducerIdMapping);
        }
        if epoch != self.epoch { Err(ResponseError::ProducerFenced) } else { Ok(()) }
    }

    /// Whether the producer may add to its transaction, or begin one.
    pub fn check_add(&self, producer_id: i64, epoch: i16) -> Result<(), ResponseError> {
        self.check_owner(producer_id, epoch)?;
        if matches!(self.phase, Phase::Decided { .. }) {
            return Err(ResponseError::ConcurrentTransactions);
        }
        Ok(())
    }

    /// Whether the producer may write to the partition.
    pub fn check_produce(&self, producer_id: i64, epoch: i16, partition: &(String, i32)) -> Result<(), ResponseError> {
        if producer_id != self.producer_id || epoch != self.epoch {
            return Err(ResponseError::InvalidProducerEpoch);
        }
        let is_open = self.phase == Phase::Ongoing && self.partitions.contains(partition);
        if is_open { Ok(()) } else { Err(ResponseError::InvalidTxnState) }
    }

    /// Whether a wish to end the transaction is a decision (`true`), or was one before (`false`).
    pub fn check_end(&self, producer_id: i64, epoch: i16, commit: bool) -> Result<bool, ResponseError> {
        self.check_owner(producer_id, epoch)?;
        match self.phase {
            Phase::Ongoing => Ok(true),
            Phase::Decided { commit: decided } | Phase::Ended { commit: decided } if decided == commit => Ok(false),
            _ => Err(ResponseError::InvalidTxnState),
        }
    }

    /// What becomes of a producer that asks to be initialised; `claimed` when it says who it was. An open transaction is ended before.
    pub fn initialisation(&self, claimed: Option<(i64, i16)>) -> Result<Initialisation, ResponseError> {
        if let Some((producer_id, epoch)) = claimed {
            if producer_id != self.producer_id {
                return Err(ResponseError::ProducerFenced);
            }
            if epoch == self.last_epoch && self.phase == Phase::Idle {
                return Ok(Initialisation::Repeated);
            }
            if epoch != self.epoch {
                return Err(ResponseError::ProducerFenced);
            }
        }
        // The greatest epoch is left for fencing the owner of the one before.
        if self.producer_id < 0 || self.epoch >= i16::MAX - 1 {
            return Ok(Initialisation::NewProducerId);
        }
        Ok(Initialisation::NextEpoch(self.epoch + 1))
    }

    /// The epoch that shuts the present producer out.
    pub fn fencing_epoch(&self) -> i16 {
        self.epoch.saturating_add(1)
    }

    pub fn has_timed_out(&self, now_ms: i64) -> bool {
        self.phase == Phase::Ongoing && now_ms - self.started_ms >= i64::from(self.timeout_ms)
    }

    pub fn is_unused(&self, now_ms: i64) -> bool {
        matches!(self.phase, Phase::Idle | Phase::Ended { .. }) && now_ms - self.updated_ms > UNUSED_MS_MAX
    }
}
