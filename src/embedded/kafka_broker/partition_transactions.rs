//! The transactions of one partition: which are open (nothing behind the first record of the oldest one is stable) and which were
//! aborted. A plain function of the batches so far, markers included: opening a log feeds the stored ones through `appended` again.

use std::collections::HashMap;

use super::batch::BatchHeader;

#[derive(Debug, Default)]
pub struct PartitionTransactions {
    /// By producer id: the offset of the first record.
    open: HashMap<i64, i64>,
    /// In the order of their markers.
    aborted: Vec<Aborted>,
}

/// A transaction whose records readers must leave out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Aborted {
    pub producer_id: i64,
    pub first_offset: i64,
    /// Where its marker is.
    pub last_offset: i64,
}

impl PartitionTransactions {
    /// Takes note of a batch that is in the log; of a marker, whether it commits.
    pub fn appended(&mut self, batch: &BatchHeader, commits: Option<bool>) {
        if !batch.is_transactional() {
            return;
        }
        let Some(commits) = commits else {
            self.open.entry(batch.producer_id).or_insert(batch.base_offset);
            return;
        };
        if let Some(first_offset) = self.open.remove(&batch.producer_id)
            && !commits
        {
            let last_offset = batch.last_offset();
            self.aborted.push(Aborted { producer_id: batch.producer_id, first_offset, last_offset });
        }
    }

    pub fn is_open(&self, producer_id: i64) -> bool {
        self.open.contains_key(&producer_id)
    }

    /// Offset behind the last record whose fate is known, and that of all before it.
    pub fn last_stable_offset(&self, log_start: i64, next_offset: i64) -> i64 {
        self.open.values().copied().min().map_or(next_offset, |first| first.max(log_start))
    }

    /// The aborted transactions with records in a range of offsets.
    pub fn aborted_between(&self, from: i64, until: i64) -> Vec<Aborted> {
        let start = self.aborted.partition_point(|aborted| aborted.last_offset < from);
        self.aborted[start..].iter().filter(|aborted| aborted.first_offset < until).copied().collect()
    }

    /// Forgets aborted transactions whose records are all deleted.
    pub fn forget_before(&mut self, log_start: i64) {
        let end = self.aborted.partition_point(|aborted| aborted.last_offset < log_start);
        self.aborted.drain(..end);
    }
}
