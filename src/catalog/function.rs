//! A SQL function.

use serde::{Deserialize, Serialize};

use super::rights::Access;

/// `CREATE FUNCTION f(a T) RETURNS R LANGUAGE SQL AS '…'`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FunctionEntry {
    /// Stable id, never reused.
    pub oid: u32,
    /// Parameter names and types; type `ANY` takes any integer or string.
    pub parameters: Vec<(String, String)>,
    /// Declared result type.
    pub returns: String,
    /// The body's text.
    pub body: String,
    /// COMMENT.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Whose it is, and what others may do with it.
    #[serde(default, skip_serializing_if = "Access::is_default")]
    pub access: Access,
}
