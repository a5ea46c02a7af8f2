//! Which jobs were beginning when the process died, over its restarts: one that is there at every death is set aside. What a death
//! means is decided here, without I/O; `starts` keeps the records.
//!
//! A job is in danger from its start until it has proven itself: by its first checkpoint, or by standing idle. Only a death of which the
//! process leaves a sign (no memory, an abort) counts, so that nobody's `kill -9` blames a job.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Deaths in a row after which a job is set aside.
pub const DEATHS_MAX: u32 = 3;
/// Deaths in a row after which a job starts when no other one is in danger, so that the next death tells whose it is.
pub const DEATHS_ALONE: u32 = 2;
/// A job that has read nothing for so long since it was opened is out of danger.
pub const IDLE_PROVES: Duration = Duration::from_secs(5);
/// A job that runs for so long since it was opened is out of danger, checkpoint or not.
pub const TIME_PROVES: Duration = Duration::from_secs(60);

/// What is kept of a job that is in danger, or was at the last deaths.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Deaths in a row at which it was in danger.
    pub deaths: u32,
    /// Whether it is in danger now.
    pub is_in_danger: bool,
    /// What the process left at the last of these deaths.
    pub sign: String,
}

/// What a new process makes of what the one before it left.
pub fn after_process(record: Record, sign: Option<&str>) -> Record {
    match sign {
        Some(sign) if record.is_in_danger => {
            Record { deaths: record.deaths + 1, is_in_danger: false, sign: sign.to_owned() }
        }
        _ => Record { is_in_danger: false, ..record },
    }
}

/// How a job may start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// At once.
    Now,
    /// When no other job is in danger.
    Alone,
    /// Not by itself.
    Never,
}

/// Decides by the deaths in a row.
pub fn start(deaths: u32) -> Start {
    match deaths {
        0..DEATHS_ALONE => Start::Now,
        DEATHS_ALONE..DEATHS_MAX => Start::Alone,
        DEATHS_MAX.. => Start::Never,
    }
}

/// What a job has done since it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SinceOpened {
    /// How long ago that was.
    pub time: Duration,
    /// Whether it has read anything.
    pub has_read: bool,
    /// Whether a checkpoint was written.
    pub has_checkpoint: bool,
}

/// Whether it is out of danger.
pub fn is_proven(since: SinceOpened) -> bool {
    since.has_checkpoint || since.time >= TIME_PROVES || (!since.has_read && since.time >= IDLE_PROVES)
}

/// Bytes of memory that a process takes in a second at most: pages must be zeroed.
const TAKEN_PER_SECOND: u64 = 8 << 30;

/// Shortest and longest time between two looks at the memory.
const LOOKS: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(250));

/// Memory of the process and of what it runs in, bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// Held by the process.
    pub resident: u64,
    /// What it may hold: of its container, else of the machine.
    pub limit: u64,
    /// What the machine has left.
    pub available: u64,
    /// What the machine has.
    pub total: u64,
}

/// The sign that the process leaves while it may be ended for want of memory: it holds four fifths of what it may, or a quarter of a
/// machine that has a twentieth left.
pub fn memory_sign(memory: Memory) -> Option<String> {
    let near_limit = memory.resident / 4 >= memory.limit / 5;
    let near_end = memory.resident >= memory.total / 4 && memory.available < memory.total / 20;
    let mib = |bytes: u64| bytes >> 20;
    (near_limit || near_end).then(|| format!("it held {} of {} MiB of memory", mib(memory.resident), mib(memory.limit)))
}

/// How soon memory is looked at again: before the process can come near enough to its end for a sign, if it takes no more than
/// [`TAKEN_PER_SECOND`], but neither sooner nor later than [`LOOKS`]. Without an answer (`None`) it is asked for again soon.
pub fn next_look(memory: Option<Memory>) -> Duration {
    let Some(memory) = memory else { return LOOKS.0 };
    let to_limit = (memory.limit / 5 * 4).saturating_sub(memory.resident);
    let to_quarter = (memory.total / 4).saturating_sub(memory.resident);
    let to_end = memory.available.saturating_sub(memory.total / 20).max(to_quarter);
    let left_mib = to_limit.min(to_end) >> 20;
    Duration::from_millis(left_mib * 1000 / (TAKEN_PER_SECOND >> 20)).clamp(LOOKS.0, LOOKS.1)
}

#[cfg(test)]
mod tests;
