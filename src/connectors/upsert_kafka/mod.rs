//! Kafka topics as tables of the last row of each key: PRIMARY KEY is the records' key, a record without a value deletes its
//! key. Options, reading and writing are those of `kafka`; records without a key are left out and counted.

use futures::future::BoxFuture;

use super::kafka::{self, KafkaOptions};
use super::{Advice, Connector, ConnectorDefaults, OptionReader, Table, TableDeclaration};
use crate::error::Result;

/// The connector `upsert-kafka`.
pub struct UpsertKafkaConnector {
    defaults: ConnectorDefaults,
}

impl UpsertKafkaConnector {
    /// The connector with the server's defaults for blank bootstrap servers.
    pub fn new(defaults: ConnectorDefaults) -> Self {
        Self { defaults }
    }
}

impl Connector for UpsertKafkaConnector {
    fn name(&self) -> &'static str {
        "upsert-kafka"
    }

    fn open(&self, options: &mut OptionReader, table: &TableDeclaration) -> Result<Table> {
        Ok(kafka::table_of(KafkaOptions::take_upsert(options, table, &self.defaults)?))
    }

    fn create<'a>(
        &'a self,
        options: &'a mut OptionReader,
        table: &'a TableDeclaration,
    ) -> BoxFuture<'a, Result<Vec<Advice>>> {
        kafka::advise(KafkaOptions::take_upsert(options, table, &self.defaults))
    }
}

#[cfg(test)]
mod tests;
