//! How much waits for a job: the ends of what it reads, which the outside systems are asked for when somebody looks, less how far it has
//! come. Answers are used again for a short time, so that many who look cost no more than one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::status::SplitStatus;
use crate::connectors::{Position, Source, Split};
use crate::error::Result;

/// Jobs whose sources are asked at the same time.
pub const JOBS_AT_ONCE: usize = 16;

/// How long an answer is used.
const FRESH: Duration = Duration::from_millis(500);

/// How long whoever looks waits for the outside systems.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long a source that has not answered is not asked again.
const SILENT: Duration = Duration::from_secs(5);

/// What a job reads of one source.
pub struct Reading {
    pub source: Arc<dyn Source>,
    pub splits: Vec<Split>,
    /// How far a checkpoint says that it has come, for splits that are not open.
    pub stored: Option<BTreeMap<String, Position>>,
}

/// What is known of a split.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// Where it ends; absent: nothing ever waits there.
    pub end: Option<Position>,
    /// How far a checkpoint says that it was read.
    pub stored: Option<Position>,
}

/// By split id.
pub type Places = BTreeMap<String, Place>;

/// What was found last for one job.
#[derive(Default)]
pub struct Lag {
    /// Held while the outside systems are asked: whoever else looks meanwhile gets that answer.
    last: tokio::sync::Mutex<Option<Found>>,
}

struct Found {
    at: Instant,
    /// Absent: no answer came.
    places: Option<Places>,
    splits: usize,
}

impl Lag {
    /// The places of the job's splits, asked for if the last answer is too old. `None`: no answer.
    pub async fn measure<R>(&self, shown: &[SplitStatus], reading: impl FnOnce() -> R) -> Option<Places>
    where
        R: Future<Output = Result<Vec<Reading>>>,
    {
        let mut last = tokio::time::timeout(PATIENCE, self.last.lock()).await.ok()?;
        if let Some(found) = &*last {
            let lasts = if found.places.is_some() { FRESH } else { SILENT };
            if found.at.elapsed() < lasts && found.splits == shown.len() {
                return found.places.clone();
            }
        }
        let asked = tokio::time::timeout(PATIENCE, async { ask(reading().await?).await }).await;
        let places = match asked {
            Ok(Ok(places)) => Some(places),
            Ok(Err(error)) => {
                tracing::debug!(%error, "the lag of a job is not known now");
                None
            }
            Err(_) => None,
        };
        *last = Some(Found { at: Instant::now(), places: places.clone(), splits: shown.len() });
        places
    }
}

async fn ask(reading: Vec<Reading>) -> Result<Places> {
    let mut places = Places::new();
    for Reading { source, splits, stored } in reading {
        let ends = source.ends(&splits).await?;
        for (index, split) in splits.into_iter().enumerate() {
            let stored = stored.as_ref().and_then(|stored| stored.get(&split.id)).cloned();
            places.insert(split.id, Place { end: ends.get(index).cloned(), stored });
        }
    }
    Ok(places)
}

/// Puts the lag of each split beside how far the job has come: one that runs will read on from where it is, any other from what is
/// durable in its sinks.
pub fn fill(splits: &mut Vec<SplitStatus>, places: &Option<Places>, is_running: bool) {
    let Some(places) = places else { return };
    if splits.is_empty() {
        let from_checkpoint = |(id, place): (&String, &Place)| {
            let stored = place.stored.clone()?;
            Some(SplitStatus { id: id.clone(), read: stored.clone(), acknowledged: stored, lag: None })
        };
        splits.extend(places.iter().filter_map(from_checkpoint));
    }
    for split in splits {
        let from = if is_running { &split.read } else { &split.acknowledged };
        split.lag = places.get(&split.id).and_then(|place| match &place.end {
            Some(end) => end.records_since(from),
            None => Some(0),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(read: i64, acknowledged: i64) -> SplitStatus {
        let (read, acknowledged) = (Position::Offset(read), Position::Offset(acknowledged));
        SplitStatus { id: "orders/0".to_owned(), read, acknowledged, lag: None }
    }

    fn places(end: Option<i64>, stored: Option<i64>) -> Option<Places> {
        let place = Place { end: end.map(Position::Offset), stored: stored.map(Position::Offset) };
        Some([("orders/0".to_owned(), place)].into())
    }

    #[test]
    fn a_job_that_runs_has_what_it_has_not_read_before_it() {
        let mut splits = vec![split(60, 40)];
        fill(&mut splits, &places(Some(100), None), true);
        assert_eq!(splits[0].lag, Some(40));
    }

    #[test]
    fn any_other_job_has_what_its_sinks_have_not() {
        let mut splits = vec![split(60, 40)];
        fill(&mut splits, &places(Some(100), None), false);
        assert_eq!(splits[0].lag, Some(60));
    }

    #[test]
    fn a_job_that_did_not_run_since_the_start_has_its_checkpoint() {
        let mut splits = Vec::new();
        fill(&mut splits, &places(Some(100), Some(70)), false);
        assert_eq!((&splits[0].acknowledged, splits[0].lag), (&Position::Offset(70), Some(30)));
    }

    #[test]
    fn what_is_not_known_is_not_zero() {
        let mut splits = vec![split(60, 40)];
        fill(&mut splits, &None, true);
        assert_eq!(splits[0].lag, None);
        // A generator has no log.
        fill(&mut splits, &places(None, None), true);
        assert_eq!(splits[0].lag, Some(0));
        // Files have an end, but nobody knows how many records lie before it.
        let end = Some(Position::in_file("b.csv", 9));
        let place = Place { end, stored: None };
        splits[0].read = Position::in_file("a.csv", 4);
        fill(&mut splits, &Some([("orders/0".to_owned(), place)].into()), true);
        assert_eq!(splits[0].lag, None);
    }
}
