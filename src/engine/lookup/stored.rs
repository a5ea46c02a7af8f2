//! A lookup function as a job stores it: which rows it fetches by which key, and what it computes over them.

use serde::{Deserialize, Serialize};

use crate::connectors::TableDeclaration;
use crate::engine::expression::StoredExpression;

/// A lookup function as a job stores it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoredLookupFunction {
    /// Its SQL name.
    pub name: String,
    /// The table that it reads.
    pub table: TableDeclaration,
    /// Key columns (declared schema), in the order of the table's key as the body names them.
    pub(super) key_columns: Vec<usize>,
    /// For each key column, which argument gives it.
    pub(super) key_arguments: Vec<usize>,
    /// Columns fetched (declared schema).
    pub(super) projection: Vec<usize>,
    /// Predicate over the fetched columns, besides the key's.
    pub(super) predicate: Option<StoredExpression>,
    /// Aggregates over the fetched columns.
    pub(super) aggregates: Vec<StoredExpression>,
    /// The result over the aggregates' columns.
    pub(super) result: StoredExpression,
}
