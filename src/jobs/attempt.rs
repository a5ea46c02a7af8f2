//! One run of a job's task: started in its turn, said to run when everything is open, taken out of danger when it has proven itself.

use tokio::runtime::Handle;
use tokio::sync::watch;
use tracing::Instrument;

use super::starts::{self, Starts};
use crate::engine::checkpoint::ending::{Ended, SAVEPOINT_TIMEOUT, Wanted, stopped_before_running};
use crate::engine::job::JobContext;
use crate::engine::metrics::AWAITED;
use crate::engine::run;
use crate::error::{Error, Result};
use crate::threads::panic_text;

/// Runs the job until it ends; calls `opened` when it has opened everything.
///
/// # Errors
/// Whatever fails; a panic is an error too.
pub async fn run(
    runtime: &Handle,
    context: JobContext,
    mut wanted: watch::Receiver<Wanted>,
    starts: &Starts,
    mut opened: impl FnMut(),
) -> Result<Ended> {
    let metrics = context.metrics.clone();
    let turn = metrics
        .waits
        .during(|| "other jobs to begin: it was there when the server died".to_owned(), starts.begin(&context.id));
    let mut danger = tokio::select! {
        danger = turn => Some(danger),
        ended = stopped_before_running(&mut wanted, SAVEPOINT_TIMEOUT) => return ended,
    };
    let mut is_opened = metrics.opened();
    let proven = starts::proven(&metrics);
    tokio::pin!(proven);
    // A task of its own, so that a panic ends it and nothing else.
    // Of the coarsest level: whatever is logged has it.
    let span = tracing::error_span!("job", name = context.job);
    let mut task = runtime.spawn(run::run(context, wanted).instrument(span));
    let mut is_proven = false;
    let ended = loop {
        tokio::select! {
            ended = &mut task => break ended,
            // The sender lives in `metrics`.
            Ok(()) = is_opened.changed() => opened(),
            () = &mut proven, if !is_proven => {
                is_proven = true;
                if let Some(danger) = danger.take() {
                    danger.proven().await;
                }
            }
        }
    };
    metrics.waits.clear(AWAITED);
    if let Some(danger) = danger {
        danger.ended().await;
    }
    match ended {
        Ok(outcome) => outcome,
        Err(error) => Err(Error::internal(format!("the job panicked: {}", panic_text(error)))),
    }
}
