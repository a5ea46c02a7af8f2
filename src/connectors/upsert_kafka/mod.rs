//! Kafka topics as tables of the last row of each key: PRIMARY KEY is the records' key, a record without a value deletes its
//! key. Options, reading and writing are those of `kafka`; records without a key are left out and counted.

use std::sync::Arc;

use futures::future::BoxFuture;

use super::connector::{Advice, Connector, Table};
use super::declaration::TableDeclaration;
use super::defaults::ConnectorDefaults;
use super::kafka::write::statement_producers::StatementProducers;
use super::kafka::{self, KafkaConnector, KafkaOptions};
use crate::error::Result;
use crate::options::{OptionGroups, OptionReader};

/// The connector `upsert-kafka`.
pub struct UpsertKafkaConnector {
    defaults: ConnectorDefaults,
    producers: Arc<StatementProducers>,
}

impl UpsertKafkaConnector {
    /// The connector with the server's defaults for blank bootstrap servers.
    pub fn new(defaults: ConnectorDefaults) -> Self {
        Self { defaults, producers: Arc::default() }
    }

    /// The same, whose statements share their producers with those of `kafka`.
    #[must_use]
    pub fn beside(mut self, kafka: &KafkaConnector) -> Self {
        self.producers = Arc::clone(kafka.producers());
        self
    }
}

impl Connector for UpsertKafkaConnector {
    fn name(&self) -> &'static str {
        "upsert-kafka"
    }

    fn options(&self) -> OptionGroups {
        kafka::UPSERT_OPTIONS
    }

    fn open(&self, options: &mut OptionReader, table: &TableDeclaration) -> Result<Table> {
        Ok(kafka::table_of(KafkaOptions::take_upsert(options, table, &self.defaults)?, &self.producers))
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
