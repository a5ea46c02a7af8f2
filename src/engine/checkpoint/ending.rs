//! What is wanted of a running job, how it ends, and how long its end is waited for.

use std::time::Duration;

use tokio::sync::watch;

use crate::error::{Error, Result};

/// How long a stopping job waits for its sink before it leaves the rest to the next start.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a job that stops with a savepoint may take for it.
pub(crate) const SAVEPOINT_TIMEOUT: Duration = Duration::from_secs(120);

/// What is wanted of a running job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// Run.
    Run,
    /// End, with a last checkpoint if the sinks let it.
    Stop,
    /// End with a savepoint in this folder.
    StopWithSavepoint(String),
}

/// Why a job ended without an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// It was told to; where the savepoint is, if one was asked for.
    Stopped(Option<String>),
    /// All its sources have ended.
    Finished,
}

impl Wanted {
    /// How long a job that ends may take for it.
    pub(super) fn patience(&self) -> Duration {
        match self {
            Wanted::StopWithSavepoint(_) => SAVEPOINT_TIMEOUT,
            _ => DRAIN_TIMEOUT,
        }
    }
}

/// Waits until something else than running is wanted.
pub(super) async fn stopped(wanted: &mut watch::Receiver<Wanted>) -> Wanted {
    match wanted.wait_for(|wanted| *wanted != Wanted::Run).await {
        Ok(wanted) => wanted.clone(),
        // Nobody is left to want anything.
        Err(_) => Wanted::Stop,
    }
}

/// Ends a job that does not run yet: at once, but for a savepoint, which it may still give before the limit.
///
/// # Errors
/// It took too long to be asked for a savepoint.
pub(crate) async fn stopped_before_running(wanted: &mut watch::Receiver<Wanted>, limit: Duration) -> Result<Ended> {
    if let Wanted::StopWithSavepoint(_) = stopped(wanted).await {
        let other = wanted.wait_for(|wanted| matches!(wanted, Wanted::Stop));
        if tokio::time::timeout(limit, other).await.is_err() {
            let message = "the job still waits for its tables or its last state, so that there is no savepoint";
            return Err(Error::unavailable(message));
        }
    }
    Ok(Ended::Stopped(None))
}
