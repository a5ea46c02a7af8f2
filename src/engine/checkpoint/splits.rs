//! Which splits a job opens next, and where each begins: a plain decision from what the enumerator has found, what the checkpoint says and what
//! is open. Knows neither outside systems nor tasks; `discovery` asks and acts.
//! The one thing to get right: rows of a split must not be overtaken by those of the splits that follow it. So a split is opened when its
//! parents have ended, and by the task that read them, until their end is in a decided checkpoint, behind which no row of theirs is on its way.

use std::collections::{BTreeMap, BTreeSet};

use crate::connectors::{FoundSplit, Position, Split, Start};

/// What the next splits of one source depend on.
pub(super) struct Facts<'a> {
    /// What is there now.
    pub found: &'a [FoundSplit],
    /// Positions that the job goes on from; absent: it has never begun to read this source.
    pub positions: Option<&'a BTreeMap<String, Position>>,
    /// Ids of the splits that are being read.
    pub open: BTreeSet<&'a str>,
    /// Splits that were read to their end, which no decided checkpoint has yet: the task that read each.
    pub ended: BTreeMap<&'a str, usize>,
    /// Whether nothing is to be read of a split any more, as decided checkpoints say.
    pub is_over: &'a dyn Fn(&str) -> bool,
    /// Absent unless a lost epoch is computed again.
    pub recomputed: Option<Recomputed<'a>>,
}

/// What is read for an epoch that is computed again.
pub(super) struct Recomputed<'a> {
    /// Where its splits end.
    pub ends: Option<&'a BTreeMap<String, Position>>,
    /// Whether a split was over when the epoch was decided: then it is read to its end.
    pub is_over: &'a dyn Fn(&str) -> bool,
}

/// What comes next of a source.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// What is opened now.
    pub openings: Vec<Opening>,
    /// How many splits wait for the end of others.
    pub waiting: usize,
}

/// A split that is opened.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Opening {
    pub split: Split,
    pub start: Start,
    /// Where to end, exclusive; absent: as the split or the options say.
    pub end: Option<Position>,
    /// Which of the source's tasks must read it; absent: any.
    pub task: Option<usize>,
}

/// Decides what to open.
pub(super) fn plan(facts: &Facts<'_>) -> Plan {
    let mut plan = Plan::default();
    let there: BTreeSet<&str> = facts.found.iter().map(|found| found.split.id.as_str()).collect();
    // Without barriers between its splits nothing but one task keeps their order.
    let one_task = facts.recomputed.is_some() && facts.found.iter().any(|found| !found.parents.is_empty());
    for FoundSplit { split, parents } in facts.found {
        if facts.is_taken(&split.id) {
            continue;
        }
        let end = match facts.end_of(&split.id) {
            End::NotRead => continue,
            End::Own => None,
            End::At(position) => Some(position.clone()),
        };
        let tasks: BTreeSet<usize> =
            parents.iter().filter_map(|parent| facts.ended.get(parent.as_str()).copied()).collect();
        if parents.iter().any(|parent| facts.is_before_its_end(parent, &there)) || tasks.len() > 1 {
            plan.waiting += 1;
            continue;
        }
        let task = tasks.first().copied().or(one_task.then_some(0));
        plan.openings.push(Opening { split: split.clone(), start: facts.start_of(&split.id, parents), end, task });
    }
    plan
}

impl Facts<'_> {
    /// Whether a split is being read, or was.
    fn is_taken(&self, split: &str) -> bool {
        self.open.contains(split) || self.ended.contains_key(split) || (self.is_over)(split)
    }

    fn end_of(&self, split: &str) -> End<'_> {
        let Some(recomputed) = &self.recomputed else { return End::Own };
        match recomputed.ends.and_then(|ends| ends.get(split)) {
            Some(end) => End::At(end),
            None if (recomputed.is_over)(split) => End::Own,
            None => End::NotRead,
        }
    }

    /// Whether what follows a split must wait: it is read, or will be. One that is not there any more has nothing left to be read.
    fn is_before_its_end(&self, split: &str, there: &BTreeSet<&str>) -> bool {
        if self.open.contains(split) {
            return true;
        }
        there.contains(split) && !self.is_taken(split) && !matches!(self.end_of(split), End::NotRead)
    }

    /// Where a stored position says; one that is new since the job began, or follows what the job has read, from its beginning; else as declared.
    fn start_of(&self, split: &str, parents: &[String]) -> Start {
        let follows =
            || parents.iter().any(|parent| self.ended.contains_key(parent.as_str()) || (self.is_over)(parent));
        match self.positions {
            Some(positions) => positions.get(split).cloned().map_or(Start::Beginning, Start::At),
            None if follows() => Start::Beginning,
            None => Start::AsDeclared,
        }
    }

    /// Ids of the splits that must be there, because something of them is still to be read.
    pub fn expected(&self) -> BTreeSet<&str> {
        let ends = self.recomputed.iter().filter_map(|recomputed| recomputed.ends).flat_map(BTreeMap::keys);
        let ids = self.positions.into_iter().flat_map(BTreeMap::keys).chain(ends).map(String::as_str);
        ids.filter(|id| !self.ended.contains_key(id) && !(self.is_over)(id)).collect()
    }
}

/// Where the reading of a split ends.
enum End<'a> {
    /// It is no part of what is computed again.
    NotRead,
    Own,
    At(&'a Position),
}

#[cfg(test)]
mod tests;
