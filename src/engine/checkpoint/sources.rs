//! The sources of a job as its coordinator knows them: what finds their splits, which are open, and how far each is.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Positions;
use super::log_watch::Watched;
use crate::connectors::{Position, Source, Split, SplitEnumerator, SplitReader};
use crate::engine::metrics::NodeMetrics;
use crate::error::{Error, Result};

/// By source id: splits and how far they are.
pub(super) type SplitPositions = BTreeMap<String, Vec<(Split, Position)>>;

/// A source as the coordinator knows it.
pub(crate) struct SourceState {
    /// Id of its node.
    pub id: String,
    /// The table, for messages.
    pub table: String,
    /// The source.
    pub source: Arc<dyn Source>,
    /// What finds its splits, as the checkpoint left it.
    pub enumerator: Box<dyn SplitEnumerator>,
    /// The same as it was when the epoch was decided that is computed again, if one is.
    pub decided: Option<Box<dyn SplitEnumerator>>,
    /// Columns read.
    pub projection: Vec<usize>,
    /// Counters of its node.
    pub metrics: Arc<NodeMetrics>,
    /// The tasks that can read it (indexes into the coordinator's), and the node's place in them.
    pub tasks: Vec<usize>,
    /// The node's place in those tasks.
    pub place: usize,
    /// What is read of it.
    pub splits: Splits,
}

/// The splits that are read of a source.
#[derive(Default)]
pub(crate) struct Splits {
    /// Those that are open.
    pub(super) open: Vec<OpenSplit>,
    /// Those that were read to their end, until a decided checkpoint has it.
    pub(super) ended: Vec<OpenSplit>,
    /// How many were opened that any task may read.
    pub(super) dealt: usize,
}

/// A split that is read.
#[derive(Clone)]
pub(super) struct OpenSplit {
    pub split: Split,
    /// Where its reader began.
    pub begun_at: Position,
    /// Which of the source's tasks reads it.
    pub task: usize,
}

/// A split that was just opened.
pub(super) struct Opened {
    /// Number of its source.
    pub source: usize,
    pub open: OpenSplit,
    pub reader: Box<dyn SplitReader>,
}

impl SourceState {
    /// What is open of it, to be looked after.
    pub fn watched(&self) -> Watched {
        self.watched_of(&self.splits.open)
    }

    /// Whether it is this source, and reads the split.
    pub fn reads(&self, source: &str, split: &str) -> bool {
        self.id == source && self.splits.all().any(|open| open.split.id == split)
    }

    /// Also what was read to its end and is in no checkpoint yet: its rows count as well.
    pub(super) fn watched_whole(&self) -> Watched {
        self.watched_of(self.splits.open.iter().chain(&self.splits.ended))
    }

    fn watched_of<'a>(&self, splits: impl IntoIterator<Item = &'a OpenSplit>) -> Watched {
        let splits = splits.into_iter().map(|open| open.split.clone()).collect();
        Watched { id: self.id.clone(), source: Arc::clone(&self.source), splits }
    }

    /// How far the open splits are by `positions`; one that is new there is where it was opened.
    pub(super) fn positions_in(&self, positions: &Positions) -> Vec<(Split, Position)> {
        let known = positions.get(&self.id);
        let position = |open: &OpenSplit| {
            let position = known.and_then(|known| known.get(&open.split.id)).unwrap_or(&open.begun_at);
            (open.split.clone(), position.clone())
        };
        self.splits.open.iter().map(position).collect()
    }
}

impl Splits {
    /// Those in use.
    pub(super) fn all(&self) -> impl Iterator<Item = &OpenSplit> {
        self.open.iter().chain(&self.ended)
    }

    /// Notes that a split was read to its end.
    pub(super) fn note_end(&mut self, split: &str) {
        if let Some(place) = self.open.iter().position(|open| open.split.id == split) {
            self.ended.push(self.open.remove(place));
        }
    }
}

/// How far each resource is: by the slowest of the sources that read it.
///
/// # Errors
/// Two of them read it in different ways.
pub(super) fn by_resource(splits: &SplitPositions) -> Result<BTreeMap<String, Position>> {
    let mut slowest: BTreeMap<String, Position> = BTreeMap::new();
    for (split, position) in splits.values().flatten() {
        let position = match slowest.remove(&split.resource) {
            Some(known) => known.earlier(position.clone()).map_err(|error: Error| error.context(&split.resource))?,
            None => position.clone(),
        };
        slowest.insert(split.resource.clone(), position);
    }
    Ok(slowest)
}
