//! print

use super::{Connector, OptionReader, Table, TableDeclaration};
use crate::error::Result;

/// print
pub struct PrintConnector;

impl Connector for PrintConnector {
    fn name(&self) -> &'static str {
        "print"
    }

    fn open(&self, _options: &mut OptionReader, _table: &TableDeclaration) -> Result<Table> {
        Ok(Table::default())
    }
}
