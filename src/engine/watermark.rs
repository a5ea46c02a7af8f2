//! Event time: how far it has come in what a node takes, which is as far as in the slowest of its upstreams. Knows nothing of rows,
//! channels and clocks; `task` tells it what came.
//!
//! An upstream that has not said anything yet holds the others up: its first row may be of any time. One that is idle, or has ended,
//! holds nobody up.

use std::collections::BTreeMap;

/// How far event time is. No row of an earlier time is expected to follow; one that does is late.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watermark {
    /// Milliseconds since 1970-01-01 UTC, or of the zone-less clock for a column without time zone.
    At(i64),
    /// No rows come for the time being: whoever waits for others only need not wait for this one.
    Idle,
}

impl Watermark {
    /// Of an input that has ended: every timer of event time is due.
    pub const END: Watermark = Watermark::At(i64::MAX);
}

/// What a node takes rows from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Upstream {
    /// An output of a node of the same task: its place, and its place among the side outputs.
    Local(usize, Option<usize>),
    /// A channel from another task, by its place.
    Channel(usize),
    /// A split of a source, by its id.
    Split(String),
    /// The splits of a source that are still to be given out: they come one by one, and the first may be read before the next is there.
    Unassigned,
}

/// The watermarks of a node's upstreams, and what follows from them.
#[derive(Debug, Default)]
pub struct EventTime {
    /// Absent: it has not said anything yet.
    upstreams: BTreeMap<Upstream, Option<Watermark>>,
    /// What was passed on last.
    passed_on: Option<Watermark>,
    /// The latest time that was passed on.
    reached: Option<i64>,
}

impl EventTime {
    /// Adds an upstream, which holds event time up until it says how far it is.
    pub fn expect(&mut self, upstream: Upstream) {
        self.upstreams.entry(upstream).or_insert(None);
    }

    /// An upstream is so far: gives what the node's watermark is now, if that has changed. It never goes back.
    pub fn advance(&mut self, upstream: Upstream, watermark: Watermark) -> Option<Watermark> {
        let known = self.upstreams.entry(upstream).or_insert(None);
        *known = Some(match (*known, watermark) {
            (Some(Watermark::At(before)), Watermark::At(now)) => Watermark::At(before.max(now)),
            (_, now) => now,
        });
        self.changed()
    }

    /// An upstream has ended: nobody waits for it any longer. Gives as [`Self::advance`].
    pub fn leave(&mut self, upstream: &Upstream) -> Option<Watermark> {
        self.upstreams.remove(upstream)?;
        // What has ended leaves event time where it is; that all of it has ended is for the source to say.
        if self.upstreams.is_empty() { None } else { self.changed() }
    }

    /// Nothing is taken from anywhere, as in a task without splits: gives that nobody need wait for it, unless that is known.
    pub fn rest(&mut self) -> Option<Watermark> {
        if self.upstreams.is_empty() { self.pass_on(Watermark::Idle) } else { None }
    }

    fn changed(&mut self) -> Option<Watermark> {
        let mut slowest = Watermark::Idle;
        for upstream in self.upstreams.values() {
            slowest = match (slowest, (*upstream)?) {
                (Watermark::At(one), Watermark::At(other)) => Watermark::At(one.min(other)),
                (Watermark::Idle, other) => other,
                (one, Watermark::Idle) => one,
            };
        }
        if let Watermark::At(now) = slowest {
            self.reached = Some(self.reached.map_or(now, |before| before.max(now)));
            slowest = Watermark::At(self.reached.unwrap_or(now));
        }
        self.pass_on(slowest)
    }

    fn pass_on(&mut self, watermark: Watermark) -> Option<Watermark> {
        let is_news = self.passed_on != Some(watermark);
        self.passed_on = Some(watermark);
        is_news.then_some(watermark)
    }
}

#[cfg(test)]
mod tests;
