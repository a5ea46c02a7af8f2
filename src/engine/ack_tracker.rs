//! Which positions stand behind which writes: shows how far a job is done, record by record, while checkpoints only know epochs.
//! Read-behind needs it: a job that looks up what this one writes waits milliseconds, not a checkpoint's interval.
//! Only for jobs that run as one task; with several, the coordinator shows the positions of completed epochs.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;

use super::metrics::JobMetrics;
use super::progress::JobProgress;
use crate::connectors::{Position, Split};
use crate::error::Result;

/// Positions of one source: split, position after its rows.
pub type SourcePositions = (String, Vec<(Split, Position)>);

/// See the module.
pub struct AckTracker {
    inner: Mutex<State>,
    progress: Arc<JobProgress>,
    metrics: Arc<JobMetrics>,
}

struct State {
    /// Open splits by source and split id: everything before the position is acknowledged.
    done: BTreeMap<(String, String), Position>,
    /// The same by resource name: several sources may read one partition.
    by_resource: BTreeMap<String, Vec<(String, String)>>,
    /// Not yet acknowledged, in order of sequence numbers: those of all writers, and the positions behind them.
    open: VecDeque<(Vec<u64>, Vec<SourcePositions>)>,
    /// By writer.
    acknowledged: Vec<u64>,
    /// Whether all sources have opened their splits; before, nothing may be concluded from what is not there.
    is_opened: bool,
}

impl AckTracker {
    /// A ack_tracker for so many writers.
    pub fn new(writers: usize, progress: Arc<JobProgress>, metrics: Arc<JobMetrics>) -> Self {
        let state = State {
            done: BTreeMap::new(),
            by_resource: BTreeMap::new(),
            open: VecDeque::new(),
            acknowledged: vec![0; writers],
            is_opened: false,
        };
        Self { inner: Mutex::new(state), progress, metrics }
    }

    /// A split is read from here on.
    ///
    /// # Errors
    /// Another source reads it in another way (`Corrupt`).
    pub fn begin(&self, source: &str, split: &Split, position: Position) -> Result<()> {
        let mut state = self.inner.lock();
        let place = (source.to_owned(), split.id.clone());
        if state.done.insert(place.clone(), position).is_none() {
            state.by_resource.entry(split.resource.clone()).or_default().push(place);
        }
        state.position_of(&split.resource).map(drop)
    }

    /// A split is read, acknowledged and decided to its end.
    ///
    /// # Errors
    /// Sources that still read it do so in different ways (`Corrupt`).
    pub fn end(&self, source: &str, split: &Split) -> Result<()> {
        let mut state = self.inner.lock();
        let place = (source.to_owned(), split.id.clone());
        state.done.remove(&place);
        if let Some(places) = state.by_resource.get_mut(&split.resource) {
            places.retain(|other| *other != place);
        }
        match state.position_of(&split.resource)? {
            Some(position) => self.progress.advance([(split.resource.clone(), position)]),
            None => {
                state.by_resource.remove(&split.resource);
                self.progress.end(&split.resource);
            }
        }
        Ok(())
    }

    /// All splits that there are now have begun.
    ///
    /// # Errors
    /// Sources read a split in different ways (`Corrupt`).
    pub fn opened(&self) -> Result<()> {
        let mut state = self.inner.lock();
        state.is_opened = true;
        let mut resources = Vec::new();
        for resource in state.by_resource.keys() {
            resources.extend(state.position_of(resource)?.map(|position| (resource.clone(), position)));
        }
        self.progress.advance(resources);
        Ok(())
    }

    /// Everything before the positions is in the writes up to `sequences`, which may be acknowledged already,
    /// as they are when nothing of the last rows had to be written.
    ///
    /// # Errors
    /// Sources read a split in different ways (`Corrupt`).
    pub fn note(&self, sequences: Vec<u64>, positions: Vec<SourcePositions>) -> Result<()> {
        let mut state = self.inner.lock();
        state.open.push_back((sequences, positions));
        self.settle(&mut state)
    }

    /// A writer has had everything up to the sequence number acknowledged.
    ///
    /// # Errors
    /// As [`Self::note`].
    pub fn acknowledge(&self, writer: usize, sequence: u64) -> Result<()> {
        let mut state = self.inner.lock();
        let known = &mut state.acknowledged[writer];
        *known = sequence.max(*known);
        self.settle(&mut state)
    }

    fn settle(&self, state: &mut State) -> Result<()> {
        let mut settled: BTreeMap<String, String> = BTreeMap::new();
        while let Some((sequences, _)) = state.open.front()
            && sequences.iter().zip(&state.acknowledged).all(|(sequence, acknowledged)| sequence <= acknowledged)
        {
            let Some((_, positions)) = state.open.pop_front() else { break };
            for (source, positions) in positions {
                for (split, position) in positions {
                    // One that has ended is not read any more.
                    if let Some(done) = state.done.get_mut(&(source.clone(), split.id.clone())) {
                        *done = position;
                        settled.insert(split.resource, split.id);
                    }
                }
            }
        }
        if settled.is_empty() {
            return Ok(());
        }
        let mut done = Vec::new();
        for (resource, split) in settled {
            done.extend(state.position_of(&resource)?.map(|position| (resource, split, position)));
        }
        {
            let mut splits = self.metrics.splits.lock();
            for (_, split, position) in &done {
                if let Some(progress) = splits.get_mut(split) {
                    progress.acknowledged = position.clone();
                }
            }
        }
        if state.is_opened {
            self.progress.advance(done.into_iter().map(|(resource, _, position)| (resource, position)));
        }
        Ok(())
    }
}

impl State {
    /// How far a partition is done, if it is read: by the slowest of the sources that read it.
    fn position_of(&self, resource: &str) -> Result<Option<Position>> {
        let mut slowest: Option<Position> = None;
        for place in self.by_resource.get(resource).into_iter().flatten() {
            if let Some(done) = self.done.get(place) {
                let earlier = match slowest {
                    Some(known) => known.earlier(done.clone()).map_err(|error| error.context(resource))?,
                    None => done.clone(),
                };
                slowest = Some(earlier);
            }
        }
        Ok(slowest)
    }
}

#[cfg(test)]
mod tests;
