//! The operators that a job can store: each is told of by its own spec.

use serde::{Deserialize, Serialize};

use crate::engine::aggregate::GroupAggregateSpec;
use crate::engine::operators::changelog_normalize::spec::ChangelogNormalizeSpec;
use crate::engine::operators::filter::FilterSpec;
use crate::engine::operators::lookup::LookupSpec;
use crate::engine::operators::project::ProjectSpec;
use crate::engine::operators::sink_materializer::spec::SinkMaterializerSpec;
use crate::engine::operators::spec::OperatorSpec;
use crate::engine::operators::unnest::UnnestSpec;

/// What an operator does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperatorKind {
    /// Keeps the rows for which a predicate is true.
    Filter(FilterSpec),
    /// Computes the output's columns.
    Project(ProjectSpec),
    /// Appends a column for each call of a lookup function.
    Lookup(LookupSpec),
    /// GROUP BY.
    GroupAggregate(GroupAggregateSpec),
    /// Makes full changes of rows that come by key.
    ChangelogNormalize(ChangelogNormalizeSpec),
    /// Makes changes by a sink's key of rows that have another one.
    SinkMaterializer(SinkMaterializerSpec),
    /// Makes rows of the items of arrays.
    Unnest(UnnestSpec),
}

impl OperatorKind {
    /// The operator's own account of itself.
    pub(crate) fn spec(&self) -> &dyn OperatorSpec {
        match self {
            OperatorKind::Filter(spec) => spec,
            OperatorKind::Project(spec) => spec,
            OperatorKind::Lookup(spec) => spec,
            OperatorKind::GroupAggregate(spec) => spec,
            OperatorKind::ChangelogNormalize(spec) => spec,
            OperatorKind::SinkMaterializer(spec) => spec,
            OperatorKind::Unnest(spec) => spec,
        }
    }
}
