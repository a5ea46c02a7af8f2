//! Looks after the logs that a job reads: positions go on only in the log that they were read from. Asked when splits are opened, before
//! an epoch is decided (what was read before the answer was of that log), and every second, so that an idle job learns of it too.
//! What is decided is plain (`judge`); the coordinator acts.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::manifest::{Logs, Positions};
use crate::connectors::log_identity::continuity;
use crate::connectors::{Continuity, Discovery, LogIdentity, Source, Split, SplitEnumerator, SplitLog};
use crate::error::{Error, ErrorKind, Result};

/// How often the logs are looked at.
pub const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// A log must be missing, or another one, this often in a row: brokers that have just started may not know all topics yet.
const CONFIRMED: usize = 3;

/// The pause between two looks that are to confirm one another.
const CONFIRM_PAUSE: Duration = Duration::from_millis(300);

/// How long nothing is asked after an outside system did not answer.
const AWAY_PAUSE: Duration = Duration::from_millis(500);

/// A source and its open splits.
#[derive(Clone)]
pub struct Watched {
    /// Id of its node.
    pub id: String,
    /// The source.
    pub source: Arc<dyn Source>,
    /// What is read of it.
    pub splits: Vec<Split>,
}

/// What a split's log is now.
pub struct Found {
    source: String,
    split: String,
    /// As users know it.
    name: String,
    log: SplitLog,
}

/// What is so with the logs of a job.
#[derive(Debug)]
pub enum Verdict {
    /// They are those that the positions count in; what was not known before is.
    Same(Vec<(String, String, LogIdentity)>),
    /// One is missing.
    Gone(Error),
    /// One is another one.
    Other(Error),
}

/// Decides. `known` are the logs in which `positions` count.
pub fn judge(known: &Logs, positions: &Positions, found: &[Found]) -> Verdict {
    let mut learned = Vec::new();
    for Found { source, split, name, log } in found {
        let position = positions.get(source).and_then(|positions| positions.get(split));
        let read =
            position.map_or_else(String::new, |position| format!(" that was read up to {}", position.described()));
        match log {
            SplitLog::Gone => {
                let read = position
                    .map_or_else(String::new, |position| format!(": it was read up to {}", position.described()));
                return Verdict::Gone(
                    Error::corrupt(format!("{name} was deleted{read}"))
                        .hint("DROP JOB; what is made again under this name is read by a job that is submitted anew."),
                );
            }
            SplitLog::Is(now) => match known.get(source).and_then(|logs| logs.get(split)) {
                None => learned.push((source.clone(), split.clone(), now.clone())),
                Some(stored) => {
                    if let Continuity::Other(why) = continuity(stored, now) {
                        return Verdict::Other(
                            Error::corrupt(format!("{name} is another log than the one{read}: {why}"))
                                .detail("It was deleted and made again, or the servers are another cluster's: other records are at these offsets.")
                                .hint("DROP JOB and submit the statement again: a new job reads what is there now from its start."),
                        );
                    }
                    if now.leader_epoch > stored.leader_epoch {
                        learned.push((source.clone(), split.clone(), now.clone()));
                    }
                }
            },
        }
    }
    Verdict::Same(learned)
}

/// Asks for the logs of all splits.
///
/// # Errors
/// An outside system does not answer.
pub async fn look(watched: &[Watched]) -> Result<Vec<Found>> {
    let mut found = Vec::new();
    for Watched { id, source, splits } in watched {
        for (split, log) in splits.iter().zip(source.logs(splits).await?) {
            found.push(Found { source: id.clone(), split: split.id.clone(), name: source.name_of(split), log });
        }
    }
    Ok(found)
}

/// What `look` and `judge` give once it is certain: what is missing or another one is so again and again.
///
/// # Errors
/// An outside system does not answer.
pub async fn certain(watched: &[Watched], known: &Logs, positions: &Positions) -> Result<Verdict> {
    for _ in 1..CONFIRMED {
        let verdict = judge(known, positions, &look(watched).await?);
        if matches!(verdict, Verdict::Same(_)) {
            return Ok(verdict);
        }
        tokio::time::sleep(CONFIRM_PAUSE).await;
    }
    Ok(judge(known, positions, &look(watched).await?))
}

/// Waits until it is known that everything which was read up to now is of the known logs. What is gone now was none other before.
///
/// # Errors
/// It is of another log.
pub async fn verify(watched: &[Watched], known: &Logs, positions: &Positions) -> Result<()> {
    loop {
        match certain(watched, known, positions).await {
            Ok(Verdict::Same(_) | Verdict::Gone(_)) => return Ok(()),
            Ok(Verdict::Other(error)) => return Err(error),
            // Nothing more can be read meanwhile either.
            Err(error) if error.is_retryable() => tokio::time::sleep(AWAY_PAUSE).await,
            Err(error) => return Err(error),
        }
    }
}

/// The splits that a source has now. What is `expected` (split ids), because it was read and has not ended, and is not there any more was
/// deleted; what has never been read is waited for: by the source, or by trying again.
///
/// # Errors
/// As [`SplitEnumerator::discover`]; `Corrupt` for what was deleted.
pub async fn splits(
    enumerator: &mut dyn SplitEnumerator,
    source: &dyn Source,
    has_been_read: bool,
    expected: &BTreeSet<String>,
) -> Result<Discovery> {
    let mut again = CONFIRMED;
    loop {
        let found = enumerator.discover().await.and_then(|found| {
            let there: BTreeSet<&String> = found.splits.iter().map(|found| &found.split.id).collect();
            match expected.iter().find(|id| !there.contains(id)) {
                Some(id) => {
                    let gone = Split { id: id.clone(), resource: String::new(), group: None };
                    Err(Error::not_found(format!("{} does not exist", source.name_of(&gone))))
                }
                None => Ok(found),
            }
        });
        match found {
            Err(error) if error.kind() == ErrorKind::NotFound && !has_been_read => {
                return Err(Error::unavailable(format!("{error} yet: the job waits for it")));
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                again -= 1;
                if again == 0 {
                    return Err(Error::corrupt(format!("{error} any more: it was deleted after this job had read it"))
                        .hint(
                            "DROP JOB; what is made again under this name is read by a job that is submitted anew.",
                        ));
                }
                tokio::time::sleep(CONFIRM_PAUSE).await;
            }
            found => return found,
        }
    }
}

/// How long a log has been missing.
#[derive(Default)]
pub struct Watch {
    missing: usize,
}

/// What the coordinator does after a look.
pub enum After {
    /// All is well; what was not known before is.
    Well(Vec<(String, String, LogIdentity)>),
    /// The job waits for this.
    Waits(Error),
    /// The job ends.
    Fails(Error),
}

impl Watch {
    /// Decides what a look means.
    pub fn after(&mut self, looked: Result<Verdict>) -> After {
        match looked {
            Ok(Verdict::Same(learned)) => {
                self.missing = 0;
                After::Well(learned)
            }
            Ok(Verdict::Gone(error)) => {
                self.missing += 1;
                if self.missing < CONFIRMED { After::Waits(error) } else { After::Fails(error) }
            }
            Ok(Verdict::Other(error)) => After::Fails(error),
            Err(error) if error.is_retryable() => After::Waits(error),
            Err(error) => After::Fails(error),
        }
    }
}

#[cfg(test)]
mod tests;
