//! Which splits a source has. An enumerator asks the outside system and knows which splits need not be read any more; its state is part of
//! each checkpoint, in a form of its own. Knows nothing of jobs and opens nothing: what is opened when is decided by who runs the job.
//! The one thing to get right: the state says which splits are over, never which were merely found; those are found again.

use async_trait::async_trait;
use serde_json::Value;

use super::split::Split;
use crate::error::{Error, Result};

/// Finds the splits of a source for one run of a job.
#[async_trait]
pub trait SplitEnumerator: Send + Sync {
    /// Asks the outside system for the splits that are there now, in a stable order: also those that were found before, and those that are over
    /// and still there. One that is not over and missing was deleted. Cancel safe.
    ///
    /// # Errors
    /// The outside system does not answer (`Unavailable`), or something that was there before is gone (`NotFound`).
    async fn discover(&mut self) -> Result<Discovery>;

    /// Whether nothing is to be read of a split: it was read to its end, or is none of this source's.
    fn is_over(&self, split: &str) -> bool;

    /// A split was read to its end, beyond which nothing will ever be ([`super::SplitReader::is_over`]): it is not read again. The next
    /// state says so, in the same checkpoint that has all of its rows.
    ///
    /// # Errors
    /// The splits of this source do not end: a defect of it.
    fn end(&mut self, split: &Split) -> Result<()> {
        Err(Error::internal(format!("split {} has ended, but its source's splits do not end", split.id)))
    }

    /// What it must know after a restart besides the splits that have positions, small enough to be stored with every checkpoint; absent:
    /// nothing. The same state has the same form, now and in later versions.
    fn state(&self) -> Option<Value> {
        None
    }
}

/// What a checkpoint has of a source's splits.
#[derive(Debug, Clone, Default)]
pub struct Restored<'a> {
    /// The state of the enumerator; absent also in checkpoints of former versions.
    pub state: Option<&'a Value>,
    /// Ids of the splits that have a position.
    pub splits: Vec<&'a str>,
}

/// What was found.
#[derive(Debug, Clone, Default)]
pub struct Discovery {
    /// The splits that are there.
    pub splits: Vec<FoundSplit>,
    /// What is not there (yet): a job that never read it waits for it.
    pub awaited: Vec<Awaited>,
}

/// A split that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundSplit {
    /// The split.
    pub split: Split,
    /// Ids of the splits that it follows: it is read once they have ended. Found together with it, unless they are over or gone.
    pub parents: Vec<String>,
}

impl From<Split> for FoundSplit {
    fn from(split: Split) -> Self {
        Self { split, parents: Vec::new() }
    }
}

/// Something that a source reads and that is not there (yet): a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Awaited {
    /// `topic "orders"`
    pub what: String,
    /// What stands before the last `/` of its splits' resource names: `kafka://host:9092/orders`
    pub resource: String,
}

/// The splits of a source that has the same ones for ever.
pub struct FixedSplits(pub Vec<Split>);

#[async_trait]
impl SplitEnumerator for FixedSplits {
    async fn discover(&mut self) -> Result<Discovery> {
        Ok(Discovery { splits: self.0.iter().cloned().map(FoundSplit::from).collect(), awaited: Vec::new() })
    }

    fn is_over(&self, split: &str) -> bool {
        !self.0.iter().any(|known| known.id == split)
    }
}

#[cfg(test)]
mod tests;
