//! The manifest of a checkpoint: epoch, positions, and the names of the files that hold the state, oldest first.
//! JSON with a checksum over its exact text, which is also what a decision in Kafka refers to. Version 1 held positions only.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::connectors::{LogIdentity, Position};
use crate::engine::key_group::HASH_VERSION;
use crate::error::{Error, Result};

/// The version of the stored form that this build writes.
pub const FORMAT_VERSION: u32 = 2;

/// By source id, then split id: the next position to read.
pub type Positions = BTreeMap<String, BTreeMap<String, Position>>;

/// By source id, then split id: the log in which the position counts. Splits whose source has but one log for ever are not in it, nor
/// are those of checkpoints from before it was known.
pub type Logs = BTreeMap<String, BTreeMap<String, LogIdentity>>;

/// By source id: the state of what finds its splits. Sources that need none are not in it, nor are those of former versions.
pub type Enumerators = BTreeMap<String, serde_json::Value>;

/// How far everything was read, and of which logs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// The next positions to read.
    pub positions: Positions,
    /// The logs in which they count.
    pub logs: Logs,
    /// What is known of splits that have no position (any more).
    pub enumerators: Enumerators,
}

impl From<Positions> for Place {
    fn from(positions: Positions) -> Self {
        Self { positions, ..Self::default() }
    }
}

/// How a checkpoint came to be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Written at a barrier.
    #[default]
    Barrier,
    /// Recomputed with muted sinks in place of a decided one that was lost: its checksum is not the decided one.
    Rebuilt,
    /// Copied from a savepoint: nothing was decided, it is where the job begins.
    Adopted,
}

/// A file with rows of state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateFile {
    /// Its name in the job's folder; never used twice.
    pub name: String,
    /// The newest epoch whose changes it holds.
    pub epoch: u64,
    /// Its length.
    pub bytes: u64,
    /// Rows in it.
    pub rows: u64,
    /// Length of the index at its end.
    pub index_bytes: u64,
    /// Checksum of that index, which in turn has those of the parts.
    pub index_crc32c: u32,
}

/// A checkpoint: state and positions at one barrier.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Id of the job.
    pub job: String,
    /// Counted from 1.
    pub epoch: u64,
    /// Everything before these positions is in the state.
    pub positions: Positions,
    /// The logs of the positions.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub logs: Logs,
    /// What is known of splits that have no position (any more).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub enumerators: Enumerators,
    /// Version of the hash that gave the rows their key groups.
    pub hash_version: u32,
    /// Where the state is: a later file's row replaces an earlier one's of the same key.
    pub files: Vec<StateFile>,
    /// How it came to be.
    pub origin: Origin,
    /// Which store wrote it: one that finds another's manifest in its place is not the only owner of the job.
    pub writer: String,
    /// Of the stored text; known once it is written or read.
    #[serde(skip)]
    checksum: u32,
}

#[derive(Serialize, Deserialize)]
struct Stored<'a> {
    version: u32,
    checksum: u32,
    #[serde(borrow)]
    manifest: &'a RawValue,
}

impl Manifest {
    /// A checkpoint of `epoch` that is to be written.
    pub fn new(job: &str, epoch: u64, place: impl Into<Place>, files: Vec<StateFile>) -> Self {
        let Place { positions, logs, enumerators } = place.into();
        Self {
            job: job.to_owned(),
            epoch,
            positions,
            logs,
            enumerators,
            hash_version: HASH_VERSION,
            files,
            origin: Origin::Barrier,
            writer: String::new(),
            checksum: 0,
        }
    }

    /// Checksum of what is stored, for the decision that refers to it.
    pub fn checksum(&self) -> u32 {
        self.checksum
    }

    /// Bytes of all its state files.
    pub fn state_bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// The stored form; `self` then knows its checksum.
    pub(super) fn encode(&mut self) -> Result<Vec<u8>> {
        let failed = |error: serde_json::Error| Error::internal(format!("checkpoint has no stored form: {error}"));
        let text = serde_json::to_string(self).map_err(failed)?;
        self.checksum = crc32c::crc32c(text.as_bytes());
        let manifest = RawValue::from_string(text).map_err(failed)?;
        let stored = Stored { version: FORMAT_VERSION, checksum: self.checksum, manifest: &manifest };
        serde_json::to_vec(&stored).map_err(failed)
    }

    /// Reads the stored form of epoch `epoch`, of `job` or (a savepoint) of any.
    pub(super) fn decode(job: Option<&str>, epoch: u64, bytes: &[u8]) -> Result<Self> {
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        let unreadable = |error: serde_json::Error| Error::corrupt(format!("checkpoint cannot be read: {error}"));
        let Version { version } = serde_json::from_slice(bytes).map_err(unreadable)?;
        let manifest = match version {
            1 => version_1::decode(bytes)?,
            FORMAT_VERSION => {
                let stored: Stored<'_> = serde_json::from_slice(bytes).map_err(unreadable)?;
                let text = stored.manifest.get();
                if crc32c::crc32c(text.as_bytes()) != stored.checksum {
                    return Err(wrong_checksum());
                }
                let mut manifest: Manifest = serde_json::from_str(text).map_err(unreadable)?;
                manifest.checksum = stored.checksum;
                manifest
            }
            _ => {
                return Err(Error::corrupt(format!(
                    "checkpoint is of version {version}, which this build cannot read"
                )));
            }
        };
        if job.is_some_and(|job| job != manifest.job) {
            return Err(Error::corrupt(format!("checkpoint belongs to job {}", manifest.job)));
        }
        if manifest.epoch != epoch {
            return Err(Error::corrupt(format!("checkpoint is of epoch {}, its name says {epoch}", manifest.epoch)));
        }
        if manifest.hash_version != HASH_VERSION && !manifest.files.is_empty() {
            return Err(Error::corrupt(format!(
                "state was distributed by key hash {}, this build has {HASH_VERSION}",
                manifest.hash_version
            )));
        }
        Ok(manifest)
    }
}

fn wrong_checksum() -> Error {
    Error::corrupt("checkpoint has a wrong checksum")
}

/// The first form: positions, no state.
mod version_1 {
    use super::{Deserialize, HASH_VERSION, Manifest, Positions, Result, Serialize, wrong_checksum};
    use crate::error::Error;

    #[derive(Serialize, Deserialize)]
    pub(super) struct Checkpoint {
        pub(super) epoch: u64,
        pub(super) positions: Positions,
    }

    #[derive(Serialize, Deserialize)]
    pub(super) struct File {
        pub(super) version: u32,
        pub(super) job: String,
        pub(super) checkpoint: Checkpoint,
        pub(super) checksum: u32,
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Manifest> {
        let unreadable = |error: serde_json::Error| Error::corrupt(format!("checkpoint cannot be read: {error}"));
        let file: File = serde_json::from_slice(bytes).map_err(unreadable)?;
        let checked = serde_json::to_vec(&(&file.job, &file.checkpoint)).map_err(unreadable)?;
        if crc32c::crc32c(&checked) != file.checksum {
            return Err(wrong_checksum());
        }
        let mut manifest = Manifest::new(&file.job, file.checkpoint.epoch, file.checkpoint.positions, Vec::new());
        manifest.hash_version = HASH_VERSION;
        manifest.checksum = file.checksum;
        Ok(manifest)
    }
}

#[cfg(test)]
mod tests;
