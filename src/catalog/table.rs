//! A declared table with every clause of Flink's CREATE TABLE, and a view.

use serde::{Deserialize, Serialize};

use super::rights::Access;
use crate::connectors::TableDeclaration;

/// A declared table. What a connector needs is in `declaration`; the rest is kept for the planner and for SHOW CREATE TABLE.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TableEntry {
    /// Stable id, never reused; pg_class.oid derives from it.
    pub oid: u32,
    /// Columns that a connector reads and writes, keys, and options with secrets by reference.
    pub declaration: TableDeclaration,
    /// All columns in declared order, for SHOW CREATE TABLE and for the computed ones.
    pub columns: Vec<TableColumn>,
    /// `WATERMARK FOR column AS expression`.
    pub watermarks: Vec<Watermark>,
    /// COMMENT of the table.
    pub comment: Option<String>,
    /// CHECK constraints.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<Check>,
    /// Whose it is, and what others may do with it.
    #[serde(default, skip_serializing_if = "Access::is_default")]
    pub access: Access,
}

/// A CHECK constraint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// Its name.
    pub name: String,
    /// Expression text.
    pub expression: String,
}

/// A column as it was declared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TableColumn {
    /// Name in its written case.
    pub name: String,
    /// Declared type; for a computed column the type of its expression.
    pub sql_type: String,
    /// Expression text of `name AS expression`.
    pub computed: Option<String>,
    /// Expression text of DEFAULT.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// COMMENT.
    pub comment: Option<String>,
}

/// A declared watermark.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Watermark {
    /// The event-time column.
    pub column: String,
    /// Expression text.
    pub expression: String,
}

/// A view.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ViewEntry {
    /// Stable id, never reused.
    pub oid: u32,
    /// The query's text.
    pub query: String,
    /// Column names and types of its result when it was created, for pg_attribute.
    pub columns: Vec<(String, String)>,
    /// COMMENT.
    pub comment: Option<String>,
    /// COMMENT ON COLUMN for each column; empty if no column has one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub column_comments: Vec<Option<String>>,
    /// Whose it is, and what others may do with it.
    #[serde(default, skip_serializing_if = "Access::is_default")]
    pub access: Access,
}
