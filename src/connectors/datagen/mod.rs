//! datagen

use super::{Connector, OptionReader, Table, TableDeclaration};
use crate::error::Result;

/// datagen
pub struct DatagenConnector;

impl Connector for DatagenConnector {
    fn name(&self) -> &'static str {
        "datagen"
    }

    fn open(&self, _options: &mut OptionReader, _table: &TableDeclaration) -> Result<Table> {
        Ok(Table::default())
    }
}
