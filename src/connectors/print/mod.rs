//! print: a sink that writes every change as a line, `name> +I[1, a]`, to standard output or standard error, as Flink's does.

use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use tokio::sync::watch;

use super::connector::{Connector, Table};
use super::declaration::TableDeclaration;
use super::metrics::ConnectorMetrics;
use super::sink::{Sink, SinkContext, SinkKind, SinkWriter};
use crate::changelog::{ChangeBatch, RowKind};
use crate::error::{Error, Result};
use crate::options::{OptionEntry, OptionGroups, OptionKind, OptionReader, option_entries};

option_entries! {
    /// All options.
    OPTIONS:
    IDENTIFIER = OptionEntry::new("print-identifier", OptionKind::Text, "What each line begins with, and `> `.");
    STANDARD_ERROR = OptionEntry::flag("standard-error", "false",
        "Whether lines go to standard error, not to standard output.");
    PARALLELISM = OptionEntry::refused("sink.parallelism", "Number of writers.");
    PARALLELISM_HINT = OptionEntry::refused("sink.parallelism-hint", "Number of writers.");
}

/// The connector `print`.
pub struct PrintConnector;

impl Connector for PrintConnector {
    fn name(&self) -> &'static str {
        "print"
    }

    fn options(&self) -> OptionGroups {
        &[OPTIONS]
    }

    fn open(&self, options: &mut OptionReader, table: &TableDeclaration) -> Result<Table> {
        let sink = Print {
            name: table.name.clone(),
            identifier: options.take(&IDENTIFIER).unwrap_or_default(),
            is_standard_error: options.take_flag_or(&STANDARD_ERROR)?,
            key: table.primary_key.iter().filter_map(|name| table.column_index(name)).collect(),
        };
        options.refuse(&[&PARALLELISM, &PARALLELISM_HINT])?;
        Ok(Table { sink: Some(Arc::new(sink)), ..Table::default() })
    }
}

struct Print {
    name: String,
    identifier: String,
    is_standard_error: bool,
    key: Vec<usize>,
}

#[async_trait]
impl Sink for Print {
    async fn kind(&self) -> Result<SinkKind> {
        // Every change is shown, of the key if one is declared.
        Ok(match self.key.is_empty() {
            true => SinkKind::Changelog,
            false => SinkKind::Upsert { key: self.key.clone() },
        })
    }

    async fn open(&self, context: SinkContext) -> Result<Box<dyn SinkWriter>> {
        Ok(Box::new(PrintWriter {
            identifier: self.identifier.clone(),
            is_standard_error: self.is_standard_error,
            sequence: 0,
            acknowledged: watch::Sender::new(0),
            context,
        }))
    }

    fn resource(&self) -> String {
        format!("print://{}", self.name)
    }
}

struct PrintWriter {
    identifier: String,
    is_standard_error: bool,
    sequence: u64,
    acknowledged: watch::Sender<u64>,
    context: SinkContext,
}

/// The lines of a batch.
fn lines(identifier: &str, batch: &ChangeBatch) -> Result<String> {
    let options = FormatOptions::default().with_null("null");
    let columns = batch
        .rows()
        .columns()
        .iter()
        .map(|column| ArrayFormatter::try_new(column.as_ref(), &options))
        .collect::<Result<Vec<_>, _>>()?;
    let mut text = String::new();
    for row in 0..batch.len() {
        if !identifier.is_empty() {
            text.push_str(identifier);
            text.push_str("> ");
        }
        text.push_str(match batch.kind(row) {
            RowKind::Insert => "+I[",
            RowKind::UpdateBefore => "-U[",
            RowKind::UpdateAfter => "+U[",
            RowKind::Delete => "-D[",
        });
        for (index, column) in columns.iter().enumerate() {
            if index > 0 {
                text.push_str(", ");
            }
            // A value that has no text is shown as such rather than ending the job.
            if write!(text, "{}", column.value(row)).is_err() {
                text.push('?');
            }
        }
        text.push_str("]\n");
    }
    Ok(text)
}

#[async_trait]
impl SinkWriter for PrintWriter {
    async fn write(&mut self, batch: ChangeBatch) -> Result<u64> {
        let text = lines(&self.identifier, &batch)?;
        let is_standard_error = self.is_standard_error;
        // A pipe that nobody empties blocks, which is the back-pressure.
        tokio::task::spawn_blocking(move || {
            if is_standard_error {
                std::io::stderr().lock().write_all(text.as_bytes())
            } else {
                let mut output = std::io::stdout().lock();
                output.write_all(text.as_bytes()).and_then(|()| output.flush())
            }
        })
        .await
        .map_err(|error| Error::internal(format!("printing: {error}")))?
        .map_err(|error| Error::unavailable(format!("printing: {error}")))?;
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

#[cfg(test)]
mod tests;
