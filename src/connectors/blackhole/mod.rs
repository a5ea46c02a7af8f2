//! blackhole: a sink that takes every change and keeps none, for measuring what comes before it.

use async_trait::async_trait;
use tokio::sync::watch;

use super::connector::{Connector, Table};
use super::declaration::TableDeclaration;
use super::metrics::ConnectorMetrics;
use super::sink::{Sink, SinkContext, SinkKind, SinkWriter};
use crate::changelog::ChangeBatch;
use crate::error::Result;
use crate::options::{OptionEntry, OptionGroups, OptionReader, option_entries};

option_entries! {
    /// All options.
    OPTIONS:
    PARALLELISM = OptionEntry::refused("sink.parallelism", "Number of writers.");
}

/// The connector `blackhole`.
pub struct BlackholeConnector;

impl Connector for BlackholeConnector {
    fn name(&self) -> &'static str {
        "blackhole"
    }

    fn options(&self) -> OptionGroups {
        &[OPTIONS]
    }

    fn open(&self, options: &mut OptionReader, table: &TableDeclaration) -> Result<Table> {
        options.refuse(&[&PARALLELISM])?;
        let key = table.primary_key.iter().filter_map(|name| table.column_index(name)).collect();
        let sink = Blackhole { name: table.name.clone(), key };
        Ok(Table { sink: Some(std::sync::Arc::new(sink)), ..Table::default() })
    }
}

struct Blackhole {
    name: String,
    key: Vec<usize>,
}

#[async_trait]
impl Sink for Blackhole {
    async fn kind(&self) -> Result<SinkKind> {
        // Takes updates too, of the key if one is declared.
        Ok(match self.key.is_empty() {
            true => SinkKind::Changelog,
            false => SinkKind::Upsert { key: self.key.clone() },
        })
    }

    async fn open(&self, context: SinkContext) -> Result<Box<dyn SinkWriter>> {
        Ok(Box::new(BlackholeWriter { sequence: 0, acknowledged: watch::Sender::new(0), context }))
    }

    fn resource(&self) -> String {
        format!("blackhole://{}", self.name)
    }
}

struct BlackholeWriter {
    sequence: u64,
    acknowledged: watch::Sender<u64>,
    context: SinkContext,
}

#[async_trait]
impl SinkWriter for BlackholeWriter {
    async fn write(&mut self, batch: ChangeBatch) -> Result<u64> {
        ConnectorMetrics::add(&self.context.metrics.rows, batch.len());
        self.sequence += 1;
        self.acknowledged.send_replace(self.sequence);
        Ok(self.sequence)
    }

    fn acknowledged(&self) -> watch::Receiver<u64> {
        self.acknowledged.subscribe()
    }

    async fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}
