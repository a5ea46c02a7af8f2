//! What a running job is: what it is given, and its tables, opened once. How it goes is elsewhere: `resume` finds where it goes on,
//! `build` makes its tasks, `run` runs them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::checkpoint::CheckpointStore;
use super::dataflow::{Dataflow, NodeKind};
use super::metrics::JobMetrics;
use super::progress::{JobProgress, ReadBehind};
use crate::clock::Clock;
use crate::connectors::{Sink, SkippedRecords, Source, Table, TableDeclaration, Transactional};
use crate::error::{Error, Result};

/// Opens a stored declaration.
pub(crate) type OpenTable = Arc<dyn Fn(&TableDeclaration) -> Result<Table> + Send + Sync>;

/// What a job is given.
#[derive(Clone)]
pub(crate) struct JobContext {
    /// Name of the job.
    pub job: String,
    /// Its id, which names its transactions.
    pub id: String,
    /// What it runs.
    pub dataflow: Arc<Dataflow>,
    /// Records that it goes over.
    pub skips: Arc<[SkippedRecords]>,
    /// Opens its tables.
    pub open_table: OpenTable,
    /// Where its checkpoints are.
    pub checkpoints: CheckpointStore,
    /// Where state that does not fit into memory may go; the job's own folder, gone when it ends.
    pub spill_folder: PathBuf,
    /// Its place in the read-behind registry.
    pub progress: Arc<JobProgress>,
    /// Holds its records back behind the writers of what it looks up.
    pub read_behind: ReadBehind,
    /// Its counters.
    pub metrics: Arc<JobMetrics>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// The job's tables, opened once: its tasks share their clients.
pub(super) struct Tables {
    /// By the index of their node.
    pub sources: BTreeMap<usize, Arc<dyn Source>>,
    /// By the index of their node.
    pub sinks: BTreeMap<usize, Arc<dyn Sink>>,
}

impl Tables {
    pub fn open(context: &JobContext) -> Result<Self> {
        let (mut sources, mut sinks) = (BTreeMap::new(), BTreeMap::new());
        for (index, node) in context.dataflow.nodes.iter().enumerate() {
            match &node.kind {
                NodeKind::Source(source) => {
                    let table = (context.open_table)(&source.table)?;
                    let opened = table.source.ok_or_else(|| {
                        Error::unsupported(format!("table \"{}\" cannot be read as a stream", source.table.name))
                    })?;
                    sources.insert(index, opened.of_job(&context.job, &context.id).unwrap_or(opened));
                }
                NodeKind::Sink(sink) => {
                    let table = (context.open_table)(&sink.table)?;
                    let sink = table.sink.ok_or_else(|| {
                        Error::unsupported(format!("table \"{}\" cannot be written", sink.table.name))
                    })?;
                    sinks.insert(index, sink);
                }
                NodeKind::Operator(_) => {}
            }
        }
        Ok(Self { sources, sinks })
    }
}

/// What opens the job's transactions, if any of its sinks is exactly-once: the first one, whose prefix names them.
///
/// # Errors
/// Sinks on different clusters: only one of them could decide (0A000).
pub(crate) fn transactional<'a>(
    sinks: impl Iterator<Item = &'a Arc<dyn Sink>>,
) -> Result<Option<Arc<dyn Transactional>>> {
    let mut found: Option<Arc<dyn Transactional>> = None;
    for sink in sinks {
        let Some(transactional) = sink.transactional() else { continue };
        match &found {
            Some(known) if known.scope() != transactional.scope() => {
                return Err(Error::unsupported(
                    "exactly-once sinks of one job must be on one Kafka cluster, with the same client properties",
                )
                .detail("A transaction decides an epoch, and there is none over two clusters.")
                .hint("Use one job for each cluster, or 'sink.delivery-guarantee' = 'at-least-once' in all but one."));
            }
            Some(_) => {}
            None => found = Some(transactional),
        }
    }
    Ok(found)
}
