//! Operators as a job stores them.

use serde::{Deserialize, Serialize};

use crate::changelog::Changelog;
use crate::engine::aggregate::GroupAggregateSpec;
use crate::engine::expression::StoredExpression;
use crate::engine::lookup::StoredLookupFunction;

/// What an operator does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperatorKind {
    /// Keeps the rows for which the predicate is true.
    Filter {
        /// Over the input's columns.
        predicate: StoredExpression,
    },
    /// Computes the output's columns.
    Project {
        /// Over the input's columns.
        expressions: Vec<StoredExpression>,
    },
    /// Appends a column for each call of a look-up function; equal calls were folded into one.
    LookUp {
        /// The calls.
        calls: Vec<LookUpCall>,
    },
    /// GROUP BY.
    GroupAggregate(GroupAggregateSpec),
    /// Makes full changes of rows that come by key.
    ChangelogNormalize {
        /// Columns of the key.
        key: Vec<usize>,
        /// A row that was not touched for so long is forgotten.
        #[serde(default)]
        state_ttl_ms: Option<u64>,
    },
    /// Makes changes by a sink's key of rows that have another one: of all live rows of a key the last one stands.
    Materialize {
        /// Columns of the sink's key.
        key: Vec<usize>,
        /// What comes in.
        input: Changelog,
        /// Appends a column that counts the changes folded into the key.
        #[serde(default)]
        version: bool,
        /// A key that was not touched for so long is forgotten.
        #[serde(default)]
        state_ttl_ms: Option<u64>,
    },
}

impl OperatorKind {
    /// As ids begin.
    pub fn name(&self) -> &'static str {
        match self {
            OperatorKind::Filter { .. } => "filter",
            OperatorKind::Project { .. } => "project",
            OperatorKind::LookUp { .. } => "look-up",
            OperatorKind::GroupAggregate(_) => "aggregate",
            OperatorKind::ChangelogNormalize { .. } => "normalize",
            OperatorKind::Materialize { .. } => "materialize",
        }
    }

    /// As EXPLAIN and messages name it.
    pub fn title(&self) -> &'static str {
        match self {
            OperatorKind::Filter { .. } => "Filter",
            OperatorKind::Project { .. } => "Projection",
            OperatorKind::LookUp { .. } => "LookUp",
            OperatorKind::GroupAggregate(_) => "GroupAggregate",
            OperatorKind::ChangelogNormalize { .. } => "ChangelogNormalize",
            OperatorKind::Materialize { .. } => "Materialize",
        }
    }

    /// Whether it keeps state.
    pub fn is_stateful(&self) -> bool {
        matches!(
            self,
            OperatorKind::GroupAggregate(_)
                | OperatorKind::ChangelogNormalize { .. }
                | OperatorKind::Materialize { .. }
        )
    }
}

/// One call of a look-up function.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LookUpCall {
    /// The function.
    pub function: StoredLookupFunction,
    /// Over the input's columns.
    pub arguments: Vec<StoredExpression>,
}
