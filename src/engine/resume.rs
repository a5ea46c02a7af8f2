//! Finds where a job goes on: takes its transactions over, reads what is stored, asks `checkpoint::protocol`, which decides, and drops
//! what that leaves behind.

use std::sync::Arc;

use super::checkpoint::Manifest;
use super::checkpoint::protocol::{self, Facts, Lost, Resume};
use super::dataflow::NodeKind;
use super::expression::ExpressionScope;
use super::job::{JobContext, Tables, transactional};
use crate::connectors::{Decision, Transactions};
use crate::error::{Error, Result};
use crate::fault;

/// Where a job goes on.
pub(super) enum GoOn {
    /// At a checkpoint, or fresh.
    At(Option<Manifest>),
    /// Decided checkpoints are lost: the last one that is left, and the lost ones, oldest first.
    Rebuild { from: Option<Manifest>, through: Vec<Decision> },
}

/// Where a job goes on, with what decides its epochs if that is in Kafka.
///
/// # Errors
/// A person must decide, or an outside system does not answer.
pub(super) async fn open(context: &JobContext, tables: &Tables) -> Result<(Option<Arc<dyn Transactions>>, GoOn)> {
    let transactions = match transactional(tables.sinks.values())? {
        Some(transactional) => {
            let opens = transactional.open(&context.id);
            Some(context.metrics.waits.during(|| "its Kafka transactions to be taken over".to_owned(), opens).await?)
        }
        None => None,
    };
    if let Some(transactions) = &transactions
        && tables.sinks.values().any(|sink| sink.transactional().is_none())
    {
        // How long the others take is not to count against the time that a transaction may be open.
        transactions.hold_back();
    }
    let decided = transactions.as_ref().and_then(|transactions| transactions.decided());
    let loads = context.checkpoints.load();
    let stored = context.metrics.waits.during(|| "its checkpoints to be read".to_owned(), loads).await?;
    for damaged in &stored.damaged {
        tracing::warn!(job = context.job, checkpoint = damaged.name, error = %damaged.error, "a checkpoint is damaged");
    }
    let at = |epoch: u64| stored.manifests.iter().find(|manifest| manifest.epoch == epoch).cloned();
    let decides_in_kafka = transactions.is_some() && !fault::is_mutant("skip-progress-read");
    let lost: Vec<Lost<'_>> = stored
        .damaged
        .iter()
        .map(|damaged| Lost { epoch: damaged.epoch, manifest: damaged.manifest.as_ref() })
        .collect();
    let facts = Facts {
        decides_in_kafka,
        decided,
        defers: context.dataflow.sinks().any(|(_, sink)| sink.deferred) && !fault::is_mutant("forget-lost-epochs"),
        is_repeatable: is_repeatable(context, tables)?,
        stored: &stored.manifests,
        lost: &lost,
    };
    let go_on = match protocol::resume_from(&facts) {
        Resume::Fresh => {
            context.checkpoints.discard_after(0).await?;
            match &context.dataflow.settings.savepoint_path {
                Some(path) => GoOn::At(Some(adopt(context, path).await?)),
                None => GoOn::At(None),
            }
        }
        Resume::At(epoch) => {
            context.checkpoints.discard_after(epoch).await?;
            GoOn::At(at(epoch))
        }
        Resume::RebuildMuted { from, through } => {
            // Those that are gone through stay until they are written again: if the job is killed meanwhile, they are still
            // known to be lost.
            let last = through.last().map_or(0, |decision| decision.epoch);
            context.checkpoints.discard_but_lost(from.unwrap_or(0), last).await?;
            GoOn::Rebuild { from: from.and_then(at), through }
        }
        Resume::Refuse(error) => return Err(error),
    };
    Ok((transactions, go_on))
}

/// Whether the same records give the same rows at another time.
fn is_repeatable(context: &JobContext, tables: &Tables) -> Result<bool> {
    let dataflow = &context.dataflow;
    // Versions count changes, of which there are more or fewer when rows come in other batches.
    let counts = |index: &usize| {
        let node = &dataflow.nodes[*index];
        matches!(&node.kind, NodeKind::Sink(sink) if sink.deferred) && tables.sinks[index].wants_version()
    };
    if dataflow.settings.state_ttl.is_some() || tables.sinks.keys().any(counts) {
        return Ok(false);
    }
    let scope = ExpressionScope::new(&dataflow.settings.time_zone, &context.clock);
    let mut expressions = Vec::new();
    for node in &dataflow.nodes {
        match &node.kind {
            NodeKind::Operator(kind) if kind.spec().asks_outside() => return Ok(false),
            NodeKind::Operator(kind) => expressions.extend(kind.spec().expressions()),
            NodeKind::Source(_) | NodeKind::Sink(_) => {}
        }
    }
    for expression in expressions {
        if expression.decode(&scope)?.is_volatile() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Begins with the state of a savepoint.
async fn adopt(context: &JobContext, path: &str) -> Result<Manifest> {
    let manifest = context.checkpoints.adopt(path).await?;
    let known = |id: &str| context.dataflow.nodes.iter().any(|node| node.id == id);
    let operators = context.checkpoints.operators(&manifest).await?;
    let unclaimed: Vec<&str> =
        operators.iter().chain(manifest.positions.keys()).map(String::as_str).filter(|id| !known(id)).collect();
    if !unclaimed.is_empty() && !context.dataflow.settings.ignore_unclaimed_state {
        return Err(Error::invalid(format!(
            "savepoint {path} has state of operators that this job lacks: {}",
            unclaimed.join(", ")
        ))
        .hint("SET 'execution.savepoint.ignore-unclaimed-state' = 'true' leaves that state out."));
    }
    Ok(manifest)
}
