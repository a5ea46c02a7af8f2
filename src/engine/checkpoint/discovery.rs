//! Finds the splits of a job's sources, opens those that `splits` names, gives them to the tasks, and lets go of those that have ended.
//! Part of the coordinator, because positions belong to checkpoints.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::coordinator::Coordinator;
use super::durable::Epoch;
use super::log_watch::{self, Verdict, Watched};
use super::sources::{OpenSplit, Opened, SourceState, SplitPositions};
use super::splits::{self, Facts, Opening, Plan, Recomputed};
use super::{Enumerators, Positions};
use crate::connectors::{
    Decision, Discovery, Position, SkippedRecords, Split, SplitReader, SplitRequest, Start, short_table_name,
};
use crate::engine::metrics::{AWAITED, SplitProgress};
use crate::engine::task::Command;
use crate::error::Result;

/// What a look at all sources has found.
#[derive(Default)]
struct Found {
    opened: Vec<Opened>,
    /// What is not there yet, as users know it.
    awaited: BTreeSet<String>,
    /// Resource names of splits that are there and over.
    over: Vec<String>,
    /// How many splits wait for the end of others.
    waiting: usize,
}

impl Coordinator {
    /// Opens splits that are not open yet, at their stored position or where the options say: all that there are, or none, so that
    /// none is taken for open whose reader was lost with another one's error.
    pub(super) async fn discover(&mut self) -> Result<Vec<Opened>> {
        let mut found = Found::default();
        for index in 0..self.sources.len() {
            let discovery = self.look_for_splits(index).await?;
            for awaited in &discovery.awaited {
                self.progress.expect(&awaited.resource);
                found.awaited.insert(awaited.what.clone());
            }
            let state = &self.sources[index];
            let over = discovery.splits.iter().map(|found| &found.split).filter(|split| self.is_done(state, split));
            found.over.extend(over.map(|split| split.resource.clone()));
            let Plan { openings, waiting } =
                facts(state, &self.positions, self.rebuild.as_ref(), &discovery, splits::plan);
            found.waiting += waiting;
            self.verify_logs(index, &openings).await?;
            for opening in openings {
                let (open, reader) = self.open(index, opening).await?;
                found.opened.push(Opened { source: index, open, reader });
            }
        }
        for state in &self.sources {
            // A source without splits yet has begun too: what comes later is new.
            self.positions.entry(state.id.clone()).or_default();
        }
        for Opened { source, open, .. } in &found.opened {
            self.note_opened(*source, open)?;
        }
        self.progress.have_ended(found.over);
        self.show_awaited(found.awaited.into_iter().collect());
        self.discovery.waiting = found.waiting;
        self.discovery.owes_look = false;
        Ok(found.opened)
    }

    /// Whether a split is over and nothing of it is on its way to a sink any more.
    fn is_done(&self, state: &SourceState, split: &Split) -> bool {
        let retires = self.discovery.retiring.get(&state.id).is_some_and(|splits| splits.contains(split));
        state.enumerator.is_over(&split.id) && !state.reads(&state.id, &split.id) && !retires
    }

    /// Shows the splits that are open, and no others: some may have ended when the job was last stopped.
    pub(super) fn show_open_splits(&self) {
        let open = self.sources.iter().flat_map(|state| state.splits.all());
        let open: BTreeSet<&str> = open.map(|open| open.split.id.as_str()).collect();
        self.metrics.splits.lock().retain(|id, _| open.contains(id.as_str()));
        self.metrics.sources.retain(|split| open.contains(split.id.as_str()));
    }

    async fn look_for_splits(&mut self, index: usize) -> Result<Discovery> {
        let state = &mut self.sources[index];
        let expected: BTreeSet<String> =
            facts(state, &self.positions, self.rebuild.as_ref(), &Discovery::default(), |facts| {
                facts.expected().into_iter().map(str::to_owned).collect()
            });
        let has_been_read = self.positions.get(&state.id).is_some_and(|positions| !positions.is_empty());
        let table = short_table_name(&state.table);
        let reason = || format!("the partitions of table \"{table}\"");
        let looks = log_watch::splits(&mut *state.enumerator, &*state.source, has_been_read, &expected);
        state.metrics.connector.waits.during(reason, looks).await
    }

    /// Makes sure that splits are opened in the logs in which their positions count.
    async fn verify_logs(&mut self, index: usize, openings: &[Opening]) -> Result<()> {
        let state = &self.sources[index];
        let new = openings.iter().map(|opening| opening.split.clone()).collect();
        let watched = [Watched { id: state.id.clone(), source: Arc::clone(&state.source), splits: new }];
        let certain = log_watch::certain(&watched, &self.logs, &self.positions);
        let table = short_table_name(&state.table);
        let reason = || format!("the partitions of table \"{table}\"");
        match state.metrics.connector.waits.during(reason, certain).await? {
            Verdict::Same(learned) => {
                self.learn(learned);
                Ok(())
            }
            Verdict::Gone(error) | Verdict::Other(error) => Err(error),
        }
    }

    async fn open(&mut self, index: usize, opening: Opening) -> Result<(OpenSplit, Box<dyn SplitReader>)> {
        let skips: &[SkippedRecords] = &self.skips;
        let state = &mut self.sources[index];
        let Opening { split, start, end, task } = opening;
        let stored = match &start {
            Start::At(position) => Some(position.clone()),
            Start::AsDeclared | Start::Beginning => None,
        };
        let request = SplitRequest {
            split: &split,
            start,
            end,
            skips,
            projection: &state.projection,
            metrics: Arc::clone(&state.metrics.connector),
        };
        let opens = state.source.open(request);
        let waits = &state.metrics.connector.waits;
        let reader = waits.during(|| format!("partition {} to be opened", split.id), opens).await?;
        let begun_at = reader.position();
        if let Some(stored) = stored {
            stored.compare(&begun_at).map_err(|error| error.context(&split.id))?;
        }
        let task = task.unwrap_or_else(|| {
            let next = state.splits.dealt % state.tasks.len();
            state.splits.dealt += 1;
            next
        });
        Ok((OpenSplit { split, begun_at, task }, reader))
    }

    /// A split is open: its position counts from now on.
    fn note_opened(&mut self, index: usize, open: &OpenSplit) -> Result<()> {
        let (state, OpenSplit { split, begun_at, .. }) = (&mut self.sources[index], open);
        state.splits.open.push(open.clone());
        self.positions.entry(state.id.clone()).or_default().insert(split.id.clone(), begun_at.clone());
        let progress = SplitProgress { read: begun_at.clone(), acknowledged: begun_at.clone() };
        self.metrics.splits.lock().insert(split.id.clone(), progress);
        self.metrics.sources.opened(&state.id, &state.source, split);
        match &self.ack_tracker {
            Some(ack_tracker) => ack_tracker.begin(&state.id, split, begun_at.clone()),
            None => Ok(()),
        }
    }

    fn show_awaited(&self, awaits: Vec<String>) {
        let before = std::mem::replace(&mut *self.metrics.awaits.lock(), awaits.clone());
        if !awaits.is_empty() && awaits != before {
            tracing::info!(job = self.job, "the job waits for {}", awaits.join(", "));
        }
        match awaits.is_empty() {
            true => self.metrics.waits.clear(AWAITED),
            false => self.metrics.waits.set(AWAITED, awaits.join(", ")),
        }
    }

    /// Gives opened splits to their tasks, and tells all tasks when no more will come.
    pub(super) async fn assign(&mut self, opened: Vec<Opened>) -> Result<()> {
        for Opened { source, open, reader } in opened {
            let state = &self.sources[source];
            let task = state.tasks[open.task];
            let command = Command::Read { node: state.place, split: open.split, reader };
            // A task that has ended says why when it is joined.
            let _ = self.tasks[task].send(command).await;
        }
        self.tell(|| Command::Assigned).await?;
        let discovers_nothing = self.sources.iter().all(|state| state.source.discovery_interval().is_none());
        let all_are_known = self.rebuild.is_some() || discovers_nothing && self.metrics.awaits.lock().is_empty();
        if all_are_known && self.discovery.waiting == 0 && !self.discovery.owes_look && !self.discovery.has_told_last {
            self.discovery.has_told_last = true;
            self.tell(|| Command::NoMoreSplits).await?;
        }
        Ok(())
    }

    /// Hands splits over that were discovered while the job runs.
    pub(super) async fn take_up(&mut self, opened: Result<Vec<Opened>>) -> Result<()> {
        match opened {
            Ok(opened) => {
                if !opened.is_empty() {
                    self.activity.fetch_add(1, Ordering::Relaxed);
                }
                self.assign(opened).await
            }
            // The splits that are open go on; new ones are found when the source answers again.
            Err(error) if error.is_retryable() => {
                tracing::warn!(job = self.job, %error, "cannot look for new splits now");
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Positions of all open splits, as last known.
    pub(super) fn split_positions(&self) -> SplitPositions {
        self.sources.iter().map(|state| (state.id.clone(), state.positions_in(&self.positions))).collect()
    }

    /// Where the splits of `splits` were by `positions`; one that is new since then is where it was opened.
    pub(super) fn at_positions(&self, splits: &SplitPositions, positions: &Positions) -> SplitPositions {
        let mut at = SplitPositions::new();
        for (source, splits) in splits {
            let known = positions.get(source);
            let opened = self.sources.iter().filter(|state| state.id == *source).flat_map(|state| state.splits.all());
            let begun: BTreeMap<&str, &Position> =
                opened.map(|open| (open.split.id.as_str(), &open.begun_at)).collect();
            let place = |split: &Split| {
                let position =
                    known.and_then(|known| known.get(&split.id)).or(begun.get(split.id.as_str()).copied())?;
                Some((split.clone(), position.clone()))
            };
            at.insert(source.clone(), splits.iter().filter_map(|(split, _)| place(split)).collect());
        }
        at
    }

    /// Takes note of splits that tasks have read to their end: what follows them is looked for.
    pub(super) fn take_ended(&mut self) {
        for (source, split) in self.ended.take() {
            for state in self.sources.iter_mut().filter(|state| state.id == source) {
                state.splits.note_end(&split);
            }
            self.discovery.owes_look |= !self.discovery.has_told_last;
        }
    }

    /// What finds the splits, as it is when `epoch` is decided.
    pub(super) fn enumerators_behind(&mut self, epoch: &Epoch) -> Result<Enumerators> {
        self.take_ended();
        let mut enumerators = Enumerators::new();
        for state in &mut self.sources {
            for split in epoch.ended().get(&state.id).into_iter().flatten() {
                state.enumerator.end(split)?;
            }
            if let Some(stored) = state.enumerator.state() {
                enumerators.insert(state.id.clone(), stored);
            }
        }
        Ok(enumerators)
    }

    /// The ends of splits are decided: what follows them may be read by any task. Where writes wait for the decision, those of the splits
    /// that ended an epoch before are acknowledged now.
    pub(super) fn let_go_of(&mut self, ended: BTreeMap<String, Vec<Split>>) -> Result<()> {
        for state in &mut self.sources {
            if let Some(splits) = ended.get(&state.id) {
                state.splits.ended.retain(|open| !splits.contains(&open.split));
                self.discovery.owes_look |= self.discovery.waiting > 0;
            }
        }
        let done = match self.has_deferred {
            true => std::mem::replace(&mut self.discovery.retiring, ended),
            false => ended,
        };
        self.retire(&done)
    }

    /// Lets go of splits that are read, decided and acknowledged.
    fn retire(&mut self, ended: &BTreeMap<String, Vec<Split>>) -> Result<()> {
        for (source, split) in ended.iter().flat_map(|(source, splits)| splits.iter().map(move |split| (source, split)))
        {
            self.metrics.sources.ended(source, split);
            if let Some(logs) = self.logs.get_mut(source) {
                logs.remove(&split.id);
            }
            let is_read = |by: fn(&Split) -> &String| {
                self.sources.iter().flat_map(|state| state.splits.all()).any(|open| by(&open.split) == by(split))
            };
            if !is_read(|split| &split.id) {
                self.metrics.splits.lock().remove(&split.id);
            }
            match &self.ack_tracker {
                Some(ack_tracker) => ack_tracker.end(source, split)?,
                None if !is_read(|split| &split.resource) => self.progress.end(&split.resource),
                None => {}
            }
        }
        Ok(())
    }
}

/// What is asked of a source's splits, with what is known of them.
fn facts<T>(
    state: &SourceState,
    positions: &Positions,
    rebuild: Option<&Decision>,
    discovery: &Discovery,
    ask: impl FnOnce(&Facts<'_>) -> T,
) -> T {
    let is_over = |split: &str| state.enumerator.is_over(split);
    let was_over = |split: &str| state.decided.as_ref().is_some_and(|decided| decided.is_over(split));
    ask(&Facts {
        found: &discovery.splits,
        positions: positions.get(&state.id),
        open: state.splits.open.iter().map(|open| open.split.id.as_str()).collect(),
        ended: state.splits.ended.iter().map(|open| (open.split.id.as_str(), open.task)).collect(),
        is_over: &is_over,
        recomputed: rebuild.map(|decision| Recomputed { ends: decision.positions.get(&state.id), is_over: &was_over }),
    })
}

#[cfg(test)]
mod tests;
