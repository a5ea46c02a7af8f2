//! The hints of a statement, by the places where they stand.

use std::collections::BTreeMap;
use std::time::Duration;

/// The hints of a statement, by the position of the word before them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Hints {
    /// `OPTIONS('k'='v')`, by the last word of a table's name.
    pub options: BTreeMap<usize, Vec<(String, String)>>,
    /// `STATE_TTL('t'='1 d')`, by SELECT.
    pub state_ttl: BTreeMap<usize, StateTtl>,
}

/// How long the state of a query block is kept.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StateTtl {
    /// Where the hint stands.
    pub position: usize,
    /// Relations of the block, and the time for each.
    pub relations: Vec<(String, Duration)>,
}

impl Hints {
    /// Those of a part of the statement.
    #[must_use]
    pub fn between(&self, from: usize, to: usize) -> Self {
        let options = self.options.range(from..to).map(|(at, options)| (*at, options.clone())).collect();
        let state_ttl = self.state_ttl.range(from..to).map(|(at, ttl)| (*at, ttl.clone())).collect();
        Self { options, state_ttl }
    }
}
