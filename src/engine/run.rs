//! Runs a job from where it goes on. One whose decided checkpoint is lost first recomputes it, with its sinks muted, and then runs.

use std::path::PathBuf;

use tokio::sync::watch;

use super::build::{Start, build};
use super::checkpoint::ending::{Ended, SAVEPOINT_TIMEOUT, Wanted, stopped_before_running};
use super::job::{JobContext, Tables};
use super::resume::{GoOn, open};
use crate::error::{Error, Result, SqlState};

/// How the reason ends for which a job waits whose lost epochs are computed again.
pub(crate) const RECOMPUTED: &str = "to be computed again";

/// Runs a job until `wanted` changes, its sources end, or something fails.
///
/// # Errors
/// Whatever fails; its kind says whether a restart can help.
pub(crate) async fn run(mut context: JobContext, mut wanted: watch::Receiver<Wanted>) -> Result<Ended> {
    let spill_folder = SpillFolder::begin(&context).await;
    context.spill_folder.clone_from(&spill_folder.path);
    let tables = Tables::open(&context)?;
    let opening = open(&context, &tables);
    let (transactions, at) = tokio::select! {
        // Opening asks outside systems, which may take long to say that they are away.
        opened = opening => opened?,
        ended = stopped_before_running(&mut wanted, SAVEPOINT_TIMEOUT) => return ended,
    };
    let (mut at, rebuild) = match at {
        GoOn::At(manifest) => (manifest, Vec::new()),
        GoOn::Rebuild { from, through } => (from, through),
    };
    let mut recomputing = None;
    for decision in rebuild {
        recomputing = Some(context.metrics.waits.begin(format!("epoch {} {RECOMPUTED}", decision.epoch)));
        tracing::warn!(
            job = context.job,
            epoch = decision.epoch,
            from = at.as_ref().map_or(0, |manifest| manifest.epoch),
            "the decided checkpoint cannot be read; its state is computed again, without writing to the sinks"
        );
        let start = Start { at: at.as_ref(), rebuild: Some(&decision), transactions: None };
        let mut coordinator = build(&context, &tables, start).await?;
        // Half of it is of no use to anyone: a job that is stopped meanwhile begins it anew.
        let (_unchanged, run) = watch::channel(Wanted::Run);
        let stopped = tokio::select! {
            ended = coordinator.run(run) => ended.map(|_| None),
            ended = stopped_before_running(&mut wanted, SAVEPOINT_TIMEOUT) => ended.map(Some),
        };
        coordinator.end_tasks().await;
        if let Some(ended) = stopped? {
            return Ok(ended);
        }
        let stored = context.checkpoints.load().await?;
        let rebuilt = stored.manifests.into_iter().find(|manifest| manifest.epoch == decision.epoch);
        at = Some(rebuilt.ok_or_else(|| Error::internal("the checkpoint that was computed again is not there"))?);
    }
    let mut coordinator = build(&context, &tables, Start { at: at.as_ref(), rebuild: None, transactions }).await?;
    // Not before: from now on a stop has the writes of the last one of these epochs sent.
    drop(recomputing);
    coordinator.run(wanted).await
}

/// Where one run of a job spills to. Gone when it ends, and before the next one if it was killed.
struct SpillFolder {
    path: PathBuf,
}

impl SpillFolder {
    async fn begin(context: &JobContext) -> Self {
        let all = &context.spill_folder;
        if let Err(error) = tokio::fs::remove_dir_all(all).await
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(job = context.job, %error, "what an earlier run spilled to {} stays", all.display());
        }
        // Of its own: the last tasks of an earlier run may still be ending.
        Self { path: all.join(uuid::Uuid::new_v4().simple().to_string()) }
    }
}

impl Drop for SpillFolder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
        if let Some(all) = self.path.parent() {
            // Only when it is empty.
            let _ = std::fs::remove_dir(all);
        }
    }
}

/// Saves what is decided of a job that does not run, in a new folder under `target_dir`; gives that folder's URL.
///
/// # Errors
/// Nothing of it is decided yet, its decided state is lost, or the target takes no files.
pub(crate) async fn savepoint(context: &JobContext, target_dir: &str) -> Result<String> {
    let (_transactions, at) = open(context, &Tables::open(context)?).await?;
    match at {
        GoOn::At(Some(manifest)) => context.checkpoints.savepoint(&manifest, target_dir).await,
        GoOn::At(None) => {
            Err(Error::invalid(format!("job \"{}\" has decided nothing yet that could be saved", context.job))
                .code(SqlState::ObjectNotInPrerequisiteState)
                .hint("STOP JOB without a savepoint ends it; the same INSERT starts anew."))
        }
        GoOn::Rebuild { .. } => {
            Err(Error::invalid(format!("the decided checkpoint of job \"{}\" cannot be read", context.job))
                .code(SqlState::ObjectNotInPrerequisiteState)
                .hint("RESUME JOB computes it again; then the job can be stopped with a savepoint."))
        }
    }
}
