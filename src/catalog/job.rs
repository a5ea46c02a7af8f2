//! A job as it is stored: its statement for people, its dataflow for restarts, and what its owner wants of it.

use serde::{Deserialize, Serialize};

use super::rights::{Access, Privilege};
use crate::connectors::SkippedRecords;

/// What the owner wants; what a job does is the supervisor's to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DesiredState {
    /// Runs, restarted after failures.
    Running,
    /// Holds still, keeps its checkpoint, can be resumed.
    Paused,
    /// Ended for good, kept for its history until DROP JOB.
    Stopped,
}

/// A stored job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobEntry {
    /// Unique name, folded as SQL folds it.
    pub name: String,
    /// A UUID, never reused; names the job's folder of checkpoints.
    pub id: String,
    /// The INSERT as it was submitted, secrets blanked.
    pub statement: String,
    /// What runs: the engine's `Dataflow`, with resolved declarations, options and time zone. A restart reads nothing else.
    pub dataflow: serde_json::Value,
    /// What is wanted of it.
    pub desired: DesiredState,
    /// When it was submitted, milliseconds since 1970.
    pub created_ms: i64,
    /// Records that it goes over (RESUME JOB … SKIP).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skips: Vec<SkippedRecords>,
    /// Whose it is, and what others may do with it.
    #[serde(default, skip_serializing_if = "Access::is_default")]
    pub access: Access,
    /// What it needs to be allowed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<Need>,
}

/// A right that a job needs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Need {
    /// The role that must have it: of a view, its owner; absent: the job's owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<u32>,
    /// Oid of a table or a view.
    pub relation: u32,
    /// The right.
    pub privilege: Privilege,
}
