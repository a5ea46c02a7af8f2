//! A table as it was declared, resolved: what is stored in the catalog and in a job, and handed to a connector.
//! Secrets are in it by reference only.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::datatypes::{Field, Schema, SchemaRef};
use serde::{Deserialize, Serialize};

use crate::data_type::{self, NamedText};
use crate::error::Result;
use crate::options::OptionValue;

/// Where a column's values come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColumnKind {
    /// Stored in the outside system.
    Physical,
    /// `METADATA [FROM 'key'] [VIRTUAL]`: given by the connector, e.g. a Kafka offset.
    Metadata {
        /// The connector's name for it.
        key: String,
        /// Read only.
        is_virtual: bool,
    },
}

/// One column that a connector reads or writes. Computed columns are not here: the planner adds them above the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnDeclaration {
    /// In the case in which it was written: JSON fields and DynamoDB attributes depend on it.
    pub name: String,
    /// The declared type, as [`data_type::parse`] reads it: `VARCHAR(255)`.
    pub sql_type: String,
    /// False for NOT NULL and for columns of the primary key.
    pub nullable: bool,
    /// Where its values come from.
    pub kind: ColumnKind,
}

/// What the declaration of a table says that the server itself keeps.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocalDeclaration {
    /// Under which its rows are stored; never given again.
    pub id: String,
    /// The table's name, for messages about its rows.
    pub relation: String,
    /// Whether its rows are in the memory of the session that declared it.
    #[serde(default)]
    pub is_temporary: bool,
    /// Name of the constraint PRIMARY KEY.
    pub key_name: String,
    /// UNIQUE constraints.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unique: Vec<UniqueDeclaration>,
    /// Names of the columns that number the rows (SERIAL, GENERATED … AS IDENTITY).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub numbered: Vec<String>,
}

/// A UNIQUE constraint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UniqueDeclaration {
    /// Its name.
    pub name: String,
    /// Names of its columns.
    pub columns: Vec<String>,
}

/// A declared table, resolved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableDeclaration {
    /// `database.schema.table`, for messages.
    pub name: String,
    /// Columns in order.
    pub columns: Vec<ColumnDeclaration>,
    /// Names of the columns of `PRIMARY KEY (…) NOT ENFORCED`.
    pub primary_key: Vec<String>,
    /// Names of the columns of `PARTITIONED BY (…)`.
    pub partitioned_by: Vec<String>,
    /// Options of WITH, overlaid by `/*+ OPTIONS(…) */` where a hint was given.
    pub options: BTreeMap<String, OptionValue>,
    /// What the server keeps of it, if it keeps its rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local: Option<LocalDeclaration>,
}

/// A table's name as most people write it: without the database and the schema that are always there.
pub fn short_table_name(name: &str) -> &str {
    name.strip_prefix("streamgate.public.").unwrap_or(name)
}

impl TableDeclaration {
    /// The value of `'connector'`.
    pub fn connector(&self) -> Option<&str> {
        self.option("connector")
    }

    /// The value of an option that is no secret, by its full name.
    pub fn option(&self, name: &str) -> Option<&str> {
        match self.options.get(name) {
            Some(OptionValue::Plain(value)) => Some(value),
            _ => None,
        }
    }

    /// The Arrow schema: one field for each column, in order.
    ///
    /// # Errors
    /// A type that cannot be read (of another version, say).
    pub fn schema(&self) -> Result<SchemaRef> {
        let fields = self
            .columns
            .iter()
            .map(|column| {
                let field = Field::new(&column.name, data_type::parse(&column.sql_type)?, column.nullable);
                Ok(match NamedText::of_words(&column.sql_type) {
                    Some(named) => named.mark(field),
                    None => field,
                })
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(Arc::new(Schema::new(fields)))
    }

    /// Index of a column by name: an exact match first, else one without regard to case.
    pub fn column_index(&self, name: &str) -> Option<usize> {
        self.columns
            .iter()
            .position(|column| column.name == name)
            .or_else(|| self.columns.iter().position(|column| column.name.eq_ignore_ascii_case(name)))
    }
}
