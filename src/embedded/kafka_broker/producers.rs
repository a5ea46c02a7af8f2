//! Idempotence of one partition: decides from a batch's producer id, epoch and sequence whether it is appended, was appended
//! before, or is refused. A plain function of the batches so far: opening a log feeds the stored ones through `appended` again.

use std::collections::{HashMap, VecDeque};

use super::batch::BatchHeader;

/// A producer has at most five requests in flight, so a repeated batch is one of its last five.
const BATCHES_REMEMBERED: usize = 5;

/// What to do with a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Append,
    /// Appended before, at this offset: its acknowledgement got lost.
    Duplicate {
        base_offset: i64,
    },
    /// A newer instance of the producer has written since.
    FencedEpoch,
    /// A batch before this one is missing.
    OutOfOrder,
}

#[derive(Debug, Default)]
pub struct Producers {
    by_id: HashMap<i64, Producer>,
}

#[derive(Debug)]
struct Producer {
    epoch: i16,
    last_timestamp: i64,
    batches: VecDeque<Appended>,
}

#[derive(Debug, Clone, Copy)]
struct Appended {
    first_sequence: i32,
    last_sequence: i32,
    base_offset: i64,
}

impl Producers {
    pub fn judge(&self, batch: &BatchHeader) -> Verdict {
        // A producer that nothing is known of may start anywhere: its earlier records may have been deleted.
        let Some(known) = self.by_id.get(&batch.producer_id).filter(|_| batch.is_idempotent()) else {
            return Verdict::Append;
        };
        if batch.producer_epoch < known.epoch {
            return Verdict::FencedEpoch;
        }
        if batch.producer_epoch > known.epoch {
            return if batch.base_sequence == 0 { Verdict::Append } else { Verdict::OutOfOrder };
        }
        let repeated = known.batches.iter().find(|earlier| {
            earlier.first_sequence == batch.base_sequence && earlier.last_sequence == batch.last_sequence()
        });
        if let Some(earlier) = repeated {
            return Verdict::Duplicate { base_offset: earlier.base_offset };
        }
        match known.batches.back() {
            Some(last) if batch.base_sequence != following(last.last_sequence) => Verdict::OutOfOrder,
            _ => Verdict::Append,
        }
    }

    /// Takes note of a batch that is in the log.
    pub fn appended(&mut self, batch: &BatchHeader) {
        if !batch.is_idempotent() {
            return;
        }
        let producer = self.by_id.entry(batch.producer_id).or_insert_with(|| Producer {
            epoch: batch.producer_epoch,
            last_timestamp: batch.max_timestamp,
            batches: VecDeque::with_capacity(BATCHES_REMEMBERED),
        });
        if producer.epoch != batch.producer_epoch {
            producer.epoch = batch.producer_epoch;
            producer.batches.clear();
        }
        producer.last_timestamp = batch.max_timestamp;
        if batch.is_control() {
            return;
        }
        if producer.batches.len() == BATCHES_REMEMBERED {
            producer.batches.pop_front();
        }
        producer.batches.push_back(Appended {
            first_sequence: batch.base_sequence,
            last_sequence: batch.last_sequence(),
            base_offset: batch.base_offset,
        });
    }

    /// Forgets producers whose last record is older than `timestamp`, so that their number stays bounded.
    pub fn forget_before(&mut self, timestamp: i64) {
        self.by_id.retain(|_, producer| producer.last_timestamp >= timestamp);
    }
}

fn following(sequence: i32) -> i32 {
    if sequence == i32::MAX { 0 } else { sequence + 1 }
}
