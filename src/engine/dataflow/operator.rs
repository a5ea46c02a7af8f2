//! The operators that a job can store: each is told of by its own spec.

use serde::{Deserialize, Serialize};

use crate::engine::aggregate::GroupAggregateSpec;
use crate::engine::operators::changelog_normalize::spec::ChangelogNormalizeSpec;
use crate::engine::operators::filter::FilterSpec;
use crate::engine::operators::look_up::LookUpSpec;
use crate::engine::operators::materialize::spec::MaterializeSpec;
#[cfg(test)]
use crate::engine::operators::only_loud::OnlyLoudSpec;
use crate::engine::operators::project::ProjectSpec;
use crate::engine::operators::spec::OperatorSpec;

/// What an operator does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperatorKind {
    /// Keeps the rows for which a predicate is true.
    Filter(FilterSpec),
    /// Computes the output's columns.
    Project(ProjectSpec),
    /// Appends a column for each call of a lookup function.
    LookUp(LookUpSpec),
    /// GROUP BY.
    GroupAggregate(GroupAggregateSpec),
    /// Makes full changes of rows that come by key.
    ChangelogNormalize(ChangelogNormalizeSpec),
    /// Makes changes by a sink's key of rows that have another one.
    Materialize(MaterializeSpec),
    /// Keeps the rows that have a shouted text in a column.
    #[cfg(test)]
    OnlyLoud(OnlyLoudSpec),
}

impl OperatorKind {
    /// The operator's own account of itself.
    pub(crate) fn spec(&self) -> &dyn OperatorSpec {
        match self {
            OperatorKind::Filter(spec) => spec,
            OperatorKind::Project(spec) => spec,
            OperatorKind::LookUp(spec) => spec,
            OperatorKind::GroupAggregate(spec) => spec,
            OperatorKind::ChangelogNormalize(spec) => spec,
            OperatorKind::Materialize(spec) => spec,
            #[cfg(test)]
            OperatorKind::OnlyLoud(spec) => spec,
        }
    }
}
