//! What a connector is, and what a table of it can do. Knows options and declarations; knows no connector.

use std::sync::Arc;

use super::declaration::TableDeclaration;
use super::lookup::Lookup;
use super::scan::Scan;
use super::sink::Sink;
use super::source::Source;
use crate::error::Result;
use crate::options::{OptionGroups, OptionReader};

/// An outside system that tables can live in. Knows options, bytes and offsets; knows nothing of SQL or operators.
pub trait Connector: Send + Sync {
    /// As in `WITH ('connector' = 'kafka')`.
    fn name(&self) -> &'static str;

    /// All options that `open` takes, but for those of formats.
    fn options(&self) -> OptionGroups;

    /// Opens a declared table; makes no request to the outside system.
    ///
    /// # Errors
    /// An option that is missing, malformed or not supported.
    fn open(&self, options: &mut OptionReader, table: &TableDeclaration) -> Result<Table>;

    /// What CREATE TABLE does in the outside system before the declaration is stored (`table.create`, reachability).
    /// Returns warnings and notices for the session. Never called again for a stored table.
    ///
    /// # Errors
    /// The declaration contradicts the outside system (a key that differs, say).
    fn create<'a>(
        &'a self,
        _options: &'a mut OptionReader,
        _table: &'a TableDeclaration,
    ) -> futures::future::BoxFuture<'a, Result<Vec<Advice>>> {
        Box::pin(async { Ok(Vec::new()) })
    }
}

/// Something CREATE TABLE tells the session beside its success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Advice {
    /// Worth knowing (a NOTICE).
    Notice(String),
    /// Likely to hurt later (a WARNING).
    Warning(String),
}

/// What a table can do; an absent part is an error at CREATE or at planning, never at run time.
#[derive(Clone, Default)]
pub struct Table {
    /// Unbounded reading, for jobs.
    pub source: Option<Arc<dyn Source>>,
    /// Bounded reading, for queries.
    pub scan: Option<Arc<dyn Scan>>,
    /// Rows by key.
    pub lookup: Option<Arc<dyn Lookup>>,
    /// Writing.
    pub sink: Option<Arc<dyn Sink>>,
}
