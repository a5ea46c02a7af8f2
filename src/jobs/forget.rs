//! Removes what a dropped job has left: checkpoints, spilled state, transactions. The catalog keeps dropped jobs until nothing of them
//! is left, so that neither a death of the server nor a broker that is away leaves anything for ever.

use std::time::Duration;

use super::restart;
use crate::error::{Error, Result};

/// Between two tries at most: nobody waits for it.
const LONGEST: Duration = Duration::from_secs(600);

/// The tries so far.
#[derive(Debug, Default)]
pub struct Tries {
    failures: u32,
}

impl Tries {
    /// Waits before the next try; tells the first failure.
    pub async fn failed(&mut self, job: &str, error: &Error) {
        self.failures += 1;
        let delay = if self.failures < 10 { restart::delay(self.failures, rand::random()) } else { LONGEST };
        if self.failures == 1 {
            tracing::warn!(job, %error, "what a dropped job has left cannot be removed now; it is tried again");
        }
        tokio::time::sleep(delay).await;
    }
}

/// Removes a folder with everything in it.
///
/// # Errors
/// It stays.
pub async fn folder(path: &std::path::Path) -> Result<()> {
    match tokio::fs::remove_dir_all(path).await {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::unavailable(format!("cannot remove {}: {error}", path.display())))
        }
        _ => Ok(()),
    }
}
