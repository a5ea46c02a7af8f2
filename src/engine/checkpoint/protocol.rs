//! What a checkpoint holds and which one a restart takes. No I/O here.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::connectors::Position;
use crate::error::{Error, Result};

/// The version of the file format that this build writes.
pub const FORMAT_VERSION: u32 = 1;

/// How many checkpoints are kept: the newest, and one to fall back to.
pub const KEPT: usize = 2;

/// A job's state at a barrier: everything before the positions is durable in the sink.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Counted from 1; 0 is "nothing done yet".
    pub epoch: u64,
    /// By source id, then split id: the next position to read.
    pub positions: BTreeMap<String, BTreeMap<String, Position>>,
}

#[derive(Serialize, Deserialize)]
struct File {
    version: u32,
    job: String,
    checkpoint: Checkpoint,
    checksum: u32,
}

/// The bytes of a checkpoint file.
///
/// # Errors
/// Never for a checkpoint; the signature is serde's.
pub fn encode(job: &str, checkpoint: &Checkpoint) -> Result<Vec<u8>> {
    let checksum = checksum(job, checkpoint)?;
    let file = File { version: FORMAT_VERSION, job: job.to_owned(), checkpoint: checkpoint.clone(), checksum };
    serde_json::to_vec(&file).map_err(|error| Error::internal(format!("checkpoint has no stored form: {error}")))
}

/// Reads a checkpoint file of job `job`.
///
/// # Errors
/// It is torn, damaged, of another job or of a later version.
pub fn decode(job: &str, bytes: &[u8]) -> Result<Checkpoint> {
    let file: File =
        serde_json::from_slice(bytes).map_err(|error| Error::corrupt(format!("checkpoint cannot be read: {error}")))?;
    if file.version > FORMAT_VERSION {
        return Err(Error::corrupt(format!("checkpoint is of a later version ({})", file.version)));
    }
    if file.job != job {
        return Err(Error::corrupt(format!("checkpoint belongs to job {}", file.job)));
    }
    if checksum(job, &file.checkpoint)? != file.checksum {
        return Err(Error::corrupt("checkpoint has a wrong checksum"));
    }
    Ok(file.checkpoint)
}

fn checksum(job: &str, checkpoint: &Checkpoint) -> Result<u32> {
    let bytes = serde_json::to_vec(&(job, checkpoint))
        .map_err(|error| Error::internal(format!("checkpoint has no stored form: {error}")))?;
    Ok(crc32c::crc32c(&bytes))
}

/// Where a job goes on. Positions only grow and writes are repeatable, so an older checkpoint repeats rows but loses none.
#[derive(Debug, PartialEq, Eq)]
pub enum Resume {
    /// No checkpoint was ever written.
    Fresh,
    /// From the newest readable one; `damaged` newer ones were passed over.
    At {
        /// Where.
        checkpoint: Checkpoint,
        /// How many newer files could not be read.
        damaged: usize,
    },
    /// There are files, none of them readable: starting anew would repeat or skip everything, so a person decides.
    Refuse,
}

/// Decides from the files' contents, in any order.
pub fn resume(files: Vec<Result<Checkpoint>>) -> Resume {
    if files.is_empty() {
        return Resume::Fresh;
    }
    let damaged = files.iter().filter(|file| file.is_err()).count();
    match files.into_iter().flatten().max_by_key(|checkpoint| checkpoint.epoch) {
        Some(checkpoint) => Resume::At { checkpoint, damaged },
        None => Resume::Refuse,
    }
}

#[cfg(test)]
mod tests;
