//! Objects that have an owner and rights: how one is named. Where that is kept, `access` knows.

use std::fmt;

/// An object that has an owner.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Object {
    /// A database.
    Database { database: String },
    /// A schema.
    Schema { database: String, schema: String },
    /// A table or a view.
    Relation { database: String, schema: String, name: String },
    /// A SQL function.
    Function { database: String, schema: String, name: String },
    /// A job.
    Job { name: String },
    /// A connector, which belongs to the first role.
    Connector { name: String },
}

impl Object {
    /// Its own name, without its schema's.
    pub fn name(&self) -> &str {
        match self {
            Self::Database { database } => database,
            Self::Schema { schema, .. } => schema,
            Self::Relation { name, .. } | Self::Function { name, .. } => name,
            Self::Job { name } | Self::Connector { name } => name,
        }
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Database { database } => write!(f, "DATABASE {database}"),
            Self::Schema { database, schema } => write!(f, "SCHEMA {database}.{schema}"),
            Self::Relation { database, schema, name } => write!(f, "RELATION {database}.{schema}.{name}"),
            Self::Function { database, schema, name } => write!(f, "FUNCTION {database}.{schema}.{name}"),
            Self::Job { name } => write!(f, "JOB {name}"),
            Self::Connector { name } => write!(f, "FOREIGN DATA WRAPPER {name}"),
        }
    }
}
