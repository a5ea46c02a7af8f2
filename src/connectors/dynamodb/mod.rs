//! dynamodb

use super::{Connector, ConnectorDefaults, OptionReader, Table, TableDeclaration};
use crate::error::Result;

/// dynamodb
pub struct DynamoDbConnector(&'static str);

impl DynamoDbConnector {
    /// dynamodb
    pub fn new(name: &'static str, _defaults: ConnectorDefaults) -> Self {
        Self(name)
    }
}

impl Connector for DynamoDbConnector {
    fn name(&self) -> &'static str {
        self.0
    }

    fn open(&self, _options: &mut OptionReader, _table: &TableDeclaration) -> Result<Table> {
        Ok(Table::default())
    }
}
