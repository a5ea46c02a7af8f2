//! The connectors there are: the only file of this folder that knows all of them.

use std::sync::Arc;

use super::connector::{Connector, Table};
use super::declaration::TableDeclaration;
use super::defaults::ConnectorDefaults;
#[cfg(test)]
use super::letters;
use super::{blackhole, datagen, dynamodb, kafka, local, print, upsert_kafka};
use crate::error::{Error, Result};
use crate::options::{OptionGroups, OptionReader};

/// A line for each connector that has options which hold secrets.
const WITH_SECRETS: &[OptionGroups] = &[
    dynamodb::OPTIONS,
    kafka::OPTIONS,
    kafka::UPSERT_OPTIONS,
    #[cfg(test)]
    letters::OPTIONS,
];

/// Whether a connector declares that an option of that name holds a secret. Asked by name alone: what is to be masked may be the text
/// of a statement that cannot be read.
pub fn is_secret_option(name: &str) -> bool {
    let mut options = WITH_SECRETS.iter().copied().flatten().copied().flatten();
    options.any(|option| option.is_secret && option.covers(name))
}

/// Names of the connectors of this build, in the order of the reference page.
pub const CONNECTOR_NAMES: &[&str] =
    &["kafka", "upsert-kafka", "dynamodb", "dynamodb-v2", "datagen", "print", "blackhole", "local"];

/// The connectors there are.
#[derive(Clone)]
pub struct Registry {
    connectors: Vec<Arc<dyn Connector>>,
    defaults: ConnectorDefaults,
    local: Arc<local::LocalStore>,
}

impl Registry {
    /// All connectors of this build. Rows of local tables are in memory.
    pub fn new(defaults: &ConnectorDefaults) -> Self {
        Self::with_rows(defaults, local::LocalStore::in_memory())
    }

    /// All connectors of this build, with the rows of local tables there.
    pub fn with_rows(defaults: &ConnectorDefaults, rows: Arc<local::LocalStore>) -> Self {
        let kafka = kafka::KafkaConnector::new(defaults.clone());
        let upsert_kafka = upsert_kafka::UpsertKafkaConnector::new(defaults.clone()).beside(&kafka);
        Self {
            defaults: defaults.clone(),
            connectors: vec![
                Arc::new(kafka),
                Arc::new(upsert_kafka),
                Arc::new(dynamodb::DynamoDbConnector::new("dynamodb", defaults.clone())),
                Arc::new(dynamodb::DynamoDbConnector::new("dynamodb-v2", defaults.clone())),
                Arc::new(datagen::DatagenConnector),
                Arc::new(print::PrintConnector),
                Arc::new(blackhole::BlackholeConnector),
                Arc::new(local::LocalConnector::new(Arc::clone(&rows))),
            ],
            local: rows,
        }
    }

    /// What tables are given that name no backend.
    pub fn defaults(&self) -> &ConnectorDefaults {
        &self.defaults
    }

    /// Where the rows of local tables are.
    pub fn local(&self) -> &Arc<local::LocalStore> {
        &self.local
    }

    /// All of them, in the order of the reference page.
    pub fn connectors(&self) -> impl Iterator<Item = &dyn Connector> {
        self.connectors.iter().map(Arc::as_ref)
    }

    /// Adds a connector (of a test, say).
    #[must_use]
    pub fn with(mut self, connector: Arc<dyn Connector>) -> Self {
        self.connectors.push(connector);
        self
    }

    /// The connector that a declaration names.
    ///
    /// # Errors
    /// `'connector'` is missing or unknown.
    pub fn connector(&self, table: &TableDeclaration) -> Result<&Arc<dyn Connector>> {
        let name = table.connector().ok_or_else(|| {
            Error::invalid(format!("table \"{}\" names no connector", table.name))
                .hint("Add 'connector' = '…' to WITH.")
        })?;
        self.connectors.iter().find(|connector| connector.name().eq_ignore_ascii_case(name)).ok_or_else(|| {
            let known: Vec<_> = self.connectors.iter().map(|connector| connector.name()).collect();
            Error::invalid(format!("unknown connector \"{name}\"")).hint(format!("Known are: {}.", known.join(", ")))
        })
    }

    /// Opens a declared table. `resolve` gives the plain text of a secret's reference.
    /// With `strict` (CREATE TABLE) an option that nobody took is an error; a stored table of another version still opens.
    ///
    /// # Errors
    /// As [`Connector::open`].
    pub fn open(
        &self,
        table: &TableDeclaration,
        resolve: &dyn Fn(&str) -> Result<String>,
        strict: bool,
    ) -> Result<Table> {
        let mut options = OptionReader::new(&table.options, resolve)?;
        let opened = self.connector(table)?.open(&mut options, table)?;
        if strict {
            options.finish()?;
        }
        Ok(opened)
    }
}

#[cfg(test)]
mod tests;
