//! DynamoDB tables: bounded scans, lookups by key and upserts, over AWS, an emulator or the embedded store alike.
//! The key is the one that DescribeTable gives; a declaration is held against it. Knows nothing of who embeds what:
//! it only ever talks to an address.
//! `value` has DynamoDB's values and Arrow's, `read` serves queries and lookups, `write` makes items of rows; both know a
//! declared table as a `remote_table`.

pub mod client;
pub mod key;
pub mod options;
mod own_attributes;
pub mod read;
pub mod remote_table;
mod resolver;
mod table_creation;
pub mod ttl;
pub mod value;
pub mod write;

use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::datatypes::DataType;
use futures::FutureExt;
use futures::future::BoxFuture;

use super::connector::{Advice, Connector, Table};
use super::declaration::{ColumnKind, TableDeclaration};
use super::defaults::ConnectorDefaults;
use super::lookup::Lookup;
use super::lookup_cache::CachedLookup;
use crate::error::{Error, Result};
use crate::options::{OptionGroups, OptionReader};
use client::ClientCache;
use key::KeySchema;
use options::DynamoDbOptions;
pub use options::OPTIONS;
use remote_table::RemoteTable;

/// How long the default backend may take to answer when it is asked whether it is there.
const ASK_TIMEOUT: Duration = Duration::from_secs(10);

/// The connectors `dynamodb` and `dynamodb-v2`, which are the same.
pub struct DynamoDbConnector {
    name: &'static str,
    defaults: ConnectorDefaults,
    clients: Arc<ClientCache>,
}

impl DynamoDbConnector {
    /// A connector of this name.
    pub fn new(name: &'static str, defaults: ConnectorDefaults) -> Self {
        Self { name, defaults, clients: Arc::default() }
    }

    fn remote_table(&self, options: &mut OptionReader, table: &TableDeclaration) -> Result<RemoteTable> {
        let options = DynamoDbOptions::take(options, &self.defaults)?;
        check_declaration(table, &options)?;
        RemoteTable::new(table, options, self.clients.clone(), self.defaults.clock.clone())
    }

    async fn advise(&self, table: RemoteTable) -> Result<Vec<Advice>> {
        let mut advice = Vec::new();
        let (declaration, options) = (&table.declaration, &table.options);
        if options.is_embedded {
            advice.push(Advice::Notice(format!(
                "table \"{}\" lives in the embedded DynamoDB, not in AWS",
                declaration.name
            )));
        }
        if options.creates_table {
            table_creation::create_if_absent(&table).await?;
        }
        let found = match table.describe().await {
            Ok(description) => description,
            Err(failure) if failure.code == "ResourceNotFoundException" => {
                advice.push(Advice::Warning(format!(
                    "DynamoDB table {} does not exist; what uses table \"{}\" will fail until it does",
                    options.table_name, declaration.name
                )));
                return Ok(advice);
            }
            Err(failure) => {
                advice.push(Advice::Warning(format!(
                    "DynamoDB table {} could not be checked: {}",
                    options.table_name,
                    failure.error.message()
                )));
                return Ok(advice);
            }
        };
        if let Some(warning) = KeySchema::of(&found)?.check(declaration, &options.primary_key)? {
            advice.push(Advice::Warning(warning));
        }
        Ok(advice)
    }
}

impl Connector for DynamoDbConnector {
    fn name(&self) -> &'static str {
        self.name
    }

    fn options(&self) -> OptionGroups {
        OPTIONS
    }

    fn open(&self, options: &mut OptionReader, table: &TableDeclaration) -> Result<Table> {
        let table = Arc::new(self.remote_table(options, table)?);
        let uncached: Arc<dyn Lookup> = Arc::new(read::lookup::DynamoDbLookup::new(table.clone()));
        let lookup = match &table.options.lookup_cache {
            Some(cache) => Arc::new(CachedLookup::new(uncached, cache.clone(), self.defaults.clock.clone())),
            None => uncached,
        };
        Ok(Table {
            source: None,
            scan: Some(Arc::new(read::scan::DynamoDbScan::new(table.clone()))),
            lookup: Some(lookup),
            sink: Some(Arc::new(write::sink::DynamoDbSink::new(table))),
        })
    }

    fn create<'a>(
        &'a self,
        options: &'a mut OptionReader,
        table: &'a TableDeclaration,
    ) -> BoxFuture<'a, Result<Vec<Advice>>> {
        async move { self.advise(self.remote_table(options, table)?).await }.boxed()
    }
}

/// Asks the default DynamoDB for the names of its tables; gives what can be said of it.
///
/// # Errors
/// It does not answer, or does not take the credentials.
pub async fn ask_default(defaults: &ConnectorDefaults) -> Result<String> {
    let connection = options::default_connection(defaults);
    let client = ClientCache::default().client(&connection).await;
    let asked = client::send_once("ListTables", ASK_TIMEOUT, None, client.list_tables().limit(100).send()).await;
    match asked {
        Ok(answer) => Ok(format!("answers, with {} tables or more", answer.table_names().len())),
        Err(failure) if failure.code == "AccessDeniedException" => {
            Ok("answers, and does not let these credentials list its tables".to_owned())
        }
        Err(failure) => Err(failure.error),
    }
}

/// What can be said about a declaration without asking DynamoDB.
fn check_declaration(table: &TableDeclaration, options: &DynamoDbOptions) -> Result<()> {
    let schema = table.schema()?;
    for (column, field) in table.columns.iter().zip(schema.fields()) {
        if let ColumnKind::Metadata { key, .. } = &column.kind {
            return Err(Error::unsupported(format!(
                "column \"{}\" of table \"{}\": DynamoDB tables have no metadata \"{key}\"",
                column.name, table.name
            )));
        }
        value::item::check_type(field.data_type()).map_err(|message| {
            Error::unsupported(format!("column \"{}\" of table \"{}\": {message}", column.name, table.name))
        })?;
    }
    for name in &options.primary_key {
        if !table.columns.iter().any(|column| column.name == *name) {
            return Err(Error::invalid(format!(
                "option \"primary_key\" names \"{name}\", which is no column of table \"{}\"",
                table.name
            )));
        }
    }
    if let Some(version) = &options.version_attribute {
        for name in [version.as_str(), &own_attributes::origin_attribute(version), own_attributes::DELETED_ATTRIBUTE] {
            if table.columns.iter().any(|column| column.name == name) {
                return Err(Error::invalid(format!(
                    "column \"{name}\" of table \"{}\" cannot be declared: 'sink.write-mode' = 'monotonic' keeps versions in it",
                    table.name
                ))
                .hint("Rename the column, or choose another attribute by 'sink.version-attribute'."));
            }
        }
    }
    if let Some(attribute) = &options.sink_ttl_attribute {
        match schema.field_with_name(attribute).map(|field| field.data_type().clone()) {
            Ok(DataType::Timestamp(..)) => {}
            Ok(data_type) if data_type.is_integer() => {}
            Ok(_) => {
                return Err(Error::invalid(format!(
                    "column \"{attribute}\" of table \"{}\" holds the time of expiry and must be a TIMESTAMP (or epoch seconds)",
                    table.name
                )));
            }
            Err(_) if options.sink_ttl.is_some() => {}
            Err(_) => {
                return Err(Error::invalid(format!(
                    "option \"sink.ttl.attribute\" names \"{attribute}\", which is no column of table \"{}\"",
                    table.name
                ))
                .hint("Declare the column, or give 'sink.ttl' = '30 d' to have it computed."));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
