//! kafka

use super::{Connector, ConnectorDefaults, OptionReader, Table, TableDeclaration};
use crate::error::Result;

/// kafka
pub struct KafkaConnector;

impl KafkaConnector {
    /// kafka
    pub fn new(_defaults: ConnectorDefaults) -> Self {
        Self
    }
}

impl Connector for KafkaConnector {
    fn name(&self) -> &'static str {
        "kafka"
    }

    fn open(&self, _options: &mut OptionReader, _table: &TableDeclaration) -> Result<Table> {
        Ok(Table::default())
    }
}
