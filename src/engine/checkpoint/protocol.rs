//! What a job goes on from, which checkpoints are kept, and which files are compacted into one. Plain decisions; no I/O here.
//! The one thing to get right: with transactions in Kafka a checkpoint on disk decides nothing, it was only prepared.

use std::ops::Range;

use super::manifest::{Manifest, Origin, StateFile};
use crate::connectors::Decision;
use crate::error::Error;

/// How many decided checkpoints are kept unless the job says otherwise (`state.checkpoints.num-retained`).
pub const RETAINED: usize = 3;

/// Number of the first checkpoint of a job.
pub const FIRST_EPOCH: u64 = 1;

/// How many files of like size are compacted into one.
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
    /// Decided checkpoints are lost: recompute up to the positions of each with silent sinks, and write it again as rebuilt.
    RebuildMuted {
        /// The checkpoint to recompute from; absent: from the beginning.
        from: Option<u64>,
        /// What was decided, oldest first: one barrier at each.
        through: Vec<Decision>,
    },
    /// A person must decide.
    Refuse(Error),
}

/// What a job's goes-on is decided from.
#[derive(Debug, Clone, Copy, Default)]
pub struct Facts<'a> {
    /// Whether epochs are decided in Kafka; if not, a stored checkpoint is the decision.
    pub decides_in_kafka: bool,
    /// What was decided in Kafka.
    pub decided: Option<&'a Decision>,
    /// Whether a sink's writes wait for their epoch's decision, because a replay with other barriers need not repeat their keys.
    pub defers: bool,
    /// Whether the same records give the same rows at another time: no lookups, no clock, no counts of what is batched by time.
    pub is_repeatable: bool,
    /// Readable checkpoints.
    pub stored: &'a [Manifest],
    /// Checkpoints that are there and cannot be used.
    pub lost: &'a [Lost<'a>],
}

/// A checkpoint that cannot be used.
#[derive(Debug, Clone, Copy)]
pub struct Lost<'a> {
    /// Its epoch, if its name tells.
    pub epoch: Option<u64>,
    /// What it says, if that much can be read: then only a file of its state is damaged.
    pub manifest: Option<&'a Manifest>,
}

/// Decides where a job goes on. A job that decides in Kafka follows the committed record alone; for any other the newest
/// checkpoint that was stored is the decision. If that one is damaged, falling back to an older one repeats rows and loses none
/// (its state and positions are of one epoch), which is enough for sinks that are written at once: every key that was written is
/// written again. It is not enough for writes that wait for their epoch: a key that was there at a lost barrier may come and go
/// between two barriers of the replay, and its item would stay for ever. So the lost barriers themselves are gone through again.
pub fn resume_from(facts: &Facts<'_>) -> Resume {
    let newest = facts.stored.iter().map(|manifest| manifest.epoch).max();
    if !facts.decides_in_kafka {
        return match newest {
            Some(epoch) => match facts.lost.iter().filter_map(|lost| lost.epoch).max() {
                Some(lost) if facts.defers && lost > epoch => go_through(facts, Some(epoch), lost, None),
                _ => Resume::At(epoch),
            },
            None if facts.lost.is_empty() => Resume::Fresh,
            None => Resume::Refuse(
                Error::corrupt(format!("none of the job's checkpoints can be read ({} are damaged)", facts.lost.len()))
                    .hint("Restore the checkpoint folder from a copy, or drop the job and submit it anew."),
            ),
        };
    }
    let Some(decision) = facts.decided else { return undecided(facts.stored, facts.lost.len()) };
    if facts.stored.iter().any(|manifest| is_of(manifest, decision)) {
        return Resume::At(decision.epoch);
    }
    let older = facts.stored.iter().map(|manifest| manifest.epoch).filter(|epoch| *epoch < decision.epoch).max();
    if facts.defers {
        return go_through(facts, older, decision.epoch, Some(decision));
    }
    Resume::RebuildMuted { from: older, through: vec![decision.clone()] }
}

/// Goes from the checkpoint `from` through every barrier up to `last`, if all of them are known and the way gives what it gave.
fn go_through(facts: &Facts<'_>, from: Option<u64>, last: u64, decision: Option<&Decision>) -> Resume {
    let refuse = |why: String| {
        let from = from.map_or("the beginning".to_owned(), |epoch| format!("checkpoint {epoch}"));
        Resume::Refuse(
            Error::corrupt(format!("checkpoint {last} of the job is damaged, and {why}"))
                .detail(format!(
                    "Items that were written after it would stay for ever if the job went on from {from} as if nothing had been."
                ))
                .hint(
                    "Restore the checkpoint folder from a copy; or drop the job, empty its table and submit it anew; or, if items \
                     with keys that are no longer in the result do no harm, remove the damaged checkpoint and resume the job.",
                ),
        )
    };
    if !facts.is_repeatable {
        let why = "what was looked up, taken from the clock, or counted as versions is not the same when it is computed again";
        return refuse(why.to_owned());
    }
    let mut through = Vec::new();
    for epoch in from.map_or(FIRST_EPOCH, |epoch| epoch + 1)..=last {
        let lost = facts.lost.iter().find(|lost| lost.epoch == Some(epoch)).and_then(|lost| lost.manifest);
        match (decision.filter(|decision| decision.epoch == epoch), lost) {
            (Some(decision), _) => through.push(decision.clone()),
            (None, Some(manifest)) => through.push(Decision {
                epoch,
                positions: manifest.positions.clone(),
                checksum: manifest.checksum(),
                logs: manifest.logs.clone(),
                enumerators: manifest.enumerators.clone(),
            }),
            (None, None) => return refuse(format!("the positions of epoch {epoch} are not known")),
        }
    }
    Resume::RebuildMuted { from, through }
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

/// Which files of a chain (oldest first) to compact into one: only decided ones, so that no compaction outlives what it compacted.
/// Taken are the newest decided files and every older one that is not much larger than those behind it together, once they
/// are many, or reach back to the base and are more than twice its size: a row is rewritten a logarithmic number of times.
pub fn files_to_compact(files: &[StateFile], decided: u64) -> Option<Range<usize>> {
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
