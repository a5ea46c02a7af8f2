//! local: tables that the server itself keeps, for small reference data, seeds and what clients put aside: rows on disk (`store`), or in
//! the memory of a session that has temporary ones. Knows keys, rows and constraints; knows nothing of SQL statements, which bring
//! values of columns and say what becomes of a conflict.
//! One transaction at a time changes rows (docs/decisions/0053); everybody reads what was committed, and nobody waits to read.

mod changes;
mod key;
mod row;
mod scan;
mod session_rows;
mod shape;
mod store;
mod values_text;
mod view;
mod writes;

use std::sync::Arc;

use super::connector::{Connector, Table};
use super::declaration::TableDeclaration;
use crate::error::Result;
use crate::options::{OptionGroups, OptionReader};
use scan::LocalScan;

pub use changes::TableChanges;
pub use session_rows::{Changes, Committing, SessionRows, TEMPORARY};
pub use shape::{LocalTable, ROW_KEY};
pub use store::{LocalStore, Writer};
pub use view::{LocalView, TableView};
pub use writes::{
    Verdict, arbitrate, check_failed, check_nulls, delete, insert, next_of_counter, rows_of, set_counter, truncate,
    update,
};

/// As in `'connector' = 'local'`; a table that names none is one.
pub const NAME: &str = "local";

/// The connector `local`.
pub struct LocalConnector {
    store: Arc<LocalStore>,
}

impl LocalConnector {
    /// With rows there.
    pub fn new(store: Arc<LocalStore>) -> Self {
        Self { store }
    }
}

impl Connector for LocalConnector {
    fn name(&self) -> &'static str {
        NAME
    }

    fn options(&self) -> OptionGroups {
        &[]
    }

    fn open(&self, _options: &mut OptionReader, table: &TableDeclaration) -> Result<Table> {
        let local = Arc::new(LocalTable::of(table)?);
        let scan = LocalScan::new(Arc::clone(&local), Arc::clone(&self.store));
        Ok(Table { scan: Some(Arc::new(scan)), ..Table::default() })
    }
}
