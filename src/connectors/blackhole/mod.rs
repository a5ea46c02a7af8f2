//! blackhole

use super::{Connector, OptionReader, Table, TableDeclaration};
use crate::error::Result;

/// blackhole
pub struct BlackholeConnector;

impl Connector for BlackholeConnector {
    fn name(&self) -> &'static str {
        "blackhole"
    }

    fn open(&self, _options: &mut OptionReader, _table: &TableDeclaration) -> Result<Table> {
        Ok(Table::default())
    }
}
