//! Databases (Flink's catalogs) and schemas (Flink's databases).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::rights::Access;
use super::{FunctionEntry, TableEntry, ViewEntry};

/// A database: schemas by name.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DatabaseEntry {
    /// COMMENT ON DATABASE.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Whose it is, and what others may do with it.
    #[serde(default, skip_serializing_if = "Access::is_default")]
    pub access: Access,
    /// Its schemas.
    pub schemas: BTreeMap<String, SchemaEntry>,
}

/// A schema: tables, views and functions by name. Tables and views share one name space.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SchemaEntry {
    /// COMMENT.
    pub comment: Option<String>,
    /// Whose it is, and what others may do with it.
    #[serde(default, skip_serializing_if = "Access::is_default")]
    pub access: Access,
    /// Declared tables.
    pub tables: BTreeMap<String, TableEntry>,
    /// Views.
    pub views: BTreeMap<String, ViewEntry>,
    /// SQL functions.
    pub functions: BTreeMap<String, FunctionEntry>,
}
