//! What a job goes on from, which checkpoints are kept, and which files are folded into one. Plain decisions; no I/O here.
//! The one thing to get right: with transactions in Kafka a checkpoint on disk decides nothing, it was only prepared.

use std::ops::Range;

use super::manifest::{Manifest, Origin, StateFile};
use crate::connectors::Decision;
use crate::error::Error;

/// How many decided checkpoints are kept unless the job says otherwise (`state.checkpoints.num-retained`).
pub const RETAINED: usize = 3;

/// Number of the first checkpoint of a job.
pub const FIRST_EPOCH: u64 = 1;

/// How many files of like size are folded into one.
const FOLDED_FILES_MIN: usize = 8;

/// Below this many bytes a chain is short however many times its base it is.
const FOLDED_BYTES_MIN: u64 = 32 << 20;

/// Where a job goes on.
#[derive(Debug)]
pub enum Resume {
    /// From nothing: no checkpoint was ever decided.
    Fresh,
    /// At the checkpoint of this epoch; newer ones were prepared only and must be discarded.
    At(u64),
    /// The decided checkpoint is lost: recompute up to the decided positions with silent sinks, then write it again as rebuilt.
    RebuildMutedTo {
        /// The checkpoint to recompute from; absent: from the beginning.
        from: Option<u64>,
        /// What was decided.
        decision: Decision,
    },
    /// A person must decide.
    Refuse(Error),
}

/// Decides from what was decided in Kafka, and what is stored: readable checkpoints, and the number of damaged ones.
/// A job that `decides_in_kafka` follows the committed record alone; for any other the newest readable checkpoint is the
/// decision (falling back to an older one repeats rows but loses none: its state and positions are of one epoch).
pub fn resume_from(decided: Option<&Decision>, decides_in_kafka: bool, stored: &[Manifest], damaged: usize) -> Resume {
    if !decides_in_kafka {
        return match stored.iter().map(|manifest| manifest.epoch).max() {
            Some(epoch) => Resume::At(epoch),
            None if damaged == 0 => Resume::Fresh,
            None => Resume::Refuse(
                Error::corrupt(format!("none of the job's checkpoints can be read ({damaged} are damaged)"))
                    .hint("Restore the checkpoint folder from a copy, or drop the job and submit it anew."),
            ),
        };
    }
    match decided {
        Some(decision) => {
            if stored.iter().any(|manifest| is_of(manifest, decision)) {
                return Resume::At(decision.epoch);
            }
            let older = stored.iter().map(|manifest| manifest.epoch).filter(|epoch| *epoch < decision.epoch);
            Resume::RebuildMutedTo { from: older.max(), decision: decision.clone() }
        }
        None => undecided(stored, damaged),
    }
}

/// Whether a checkpoint is the decided one. A rebuilt one was written only after that decision, so its positions tell.
fn is_of(manifest: &Manifest, decision: &Decision) -> bool {
    manifest.epoch == decision.epoch
        && (manifest.checksum() == decision.checksum
            || manifest.origin == Origin::Rebuilt && manifest.positions == decision.positions)
}

/// Nothing is decided in Kafka. What a job prepared before its first commit is one checkpoint, the first (after the
/// adopted one where it began with a savepoint); anything more had been decided, and the record of it is gone.
fn undecided(stored: &[Manifest], damaged: usize) -> Resume {
    let adopted = stored.iter().find(|manifest| manifest.origin == Origin::Adopted).map(|manifest| manifest.epoch);
    let first = adopted.map_or(FIRST_EPOCH, |epoch| epoch + 1);
    let only_first = stored.iter().all(|manifest| Some(manifest.epoch) == adopted || manifest.epoch == first);
    match adopted {
        _ if damaged > 0 || !only_first => Resume::Refuse(
            Error::corrupt("the job has checkpoints, but nothing says which of them was committed")
                .detail("Its progress topic in Kafka is empty or was deleted: going on could give results twice.")
                .hint("Restore the topic, or drop the job and submit it anew."),
        ),
        Some(epoch) => Resume::At(epoch),
        None => Resume::Fresh,
    }
}

/// The epochs to drop once `decided` is: all but the newest `retained` decided ones. Prepared ones stay.
pub fn outdated(stored: &[u64], decided: u64, retained: usize) -> Vec<u64> {
    let mut epochs: Vec<u64> = stored.iter().copied().filter(|epoch| *epoch <= decided).collect();
    epochs.sort_unstable_by(|one, other| other.cmp(one));
    epochs.split_off(retained.max(1).min(epochs.len()))
}

/// Which files of a chain (oldest first) to fold into one: only decided ones, so that no fold outlives what it folded.
/// Taken are the newest decided files and every older one that is not much larger than those behind it together, once they
/// are many, or reach back to the base and are more than twice its size: a row is rewritten a logarithmic number of times.
pub fn files_to_fold(files: &[StateFile], decided: u64) -> Option<Range<usize>> {
    let end = files.iter().take_while(|file| file.epoch <= decided).count();
    let mut begin = end.checked_sub(1)?;
    let mut bytes = files[begin].bytes;
    while begin > 0 && files[begin - 1].bytes <= bytes.saturating_mul(2) {
        begin -= 1;
        bytes += files[begin].bytes;
    }
    let many = end - begin >= FOLDED_FILES_MIN;
    let large = begin == 0 && end > 1 && bytes >= FOLDED_BYTES_MIN && bytes / 2 > files[0].bytes;
    (many || large).then_some(begin..end)
}

#[cfg(test)]
mod tests;
