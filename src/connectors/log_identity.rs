//! Which log a position counts in. A topic that is deleted and made again has the same name and other records at the same offsets: a
//! position goes on only in the log that it was read from. A plain decision; whoever asks the outside system is elsewhere.

use serde::{Deserialize, Serialize};

/// Names one log. What is absent is not known; an outside system that cannot tell its logs apart leaves all of it out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogIdentity {
    /// An id that is never given twice: a topic's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The cluster that holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// A number that only grows in one log: the partition's leader epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader_epoch: Option<i32>,
}

/// What a split's log is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SplitLog {
    /// It is there.
    Is(LogIdentity),
    /// The outside system does not know it.
    Gone,
}

/// Whether a position goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Continuity {
    /// In the same log, as far as anything can be known.
    Same,
    /// Not: what is there now is another log. Says what tells them apart.
    Other(String),
}

/// Decides whether a position that was read in log `stored` goes on in log `now`. Ids decide where both have one; otherwise the cluster,
/// and then the leader epoch, which begins anew with a new topic: one that is still smaller is of another log.
pub fn continuity(stored: &LogIdentity, now: &LogIdentity) -> Continuity {
    if let (Some(before), Some(id)) = (&stored.id, &now.id) {
        return match before == id {
            true => Continuity::Same,
            false => Continuity::Other(format!("its id is {id}, and was {before}")),
        };
    }
    if let (Some(before), Some(cluster)) = (&stored.cluster, &now.cluster)
        && before != cluster
    {
        return Continuity::Other(format!("it is on cluster {cluster}, and was on {before}"));
    }
    match (stored.leader_epoch, now.leader_epoch) {
        (Some(before), Some(epoch)) if epoch < before => {
            Continuity::Other(format!("its leader epoch is {epoch}, and was {before}"))
        }
        _ => Continuity::Same,
    }
}

#[cfg(test)]
mod tests;
