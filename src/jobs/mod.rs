//! Jobs: started, kept running, stopped. `lifecycle` decides, `supervisor` acts, `restart` backs off.
//! Plans are handed in by sql as stored dataflows; what is wanted of a job is read from the catalog.

use crate::error::Result;

/// The jobs of this server. Cheap to clone.
#[derive(Clone)]
pub struct Jobs {}

/// What a job does right now, for SHOW JOBS and `streamgate.jobs`.
#[derive(Debug, Clone)]
pub struct JobStatus {
    /// Its name.
    pub name: String,
    /// `RUNNING`, `RETRYING`, `PAUSED`, `STOPPED`, `FAILED`, `FINISHED`, `STARTING`, `STOPPING`.
    pub state: String,
    /// The last failure's text, secrets blanked.
    pub last_error: Option<String>,
}

impl Jobs {
    /// Makes what runs agree with what the catalog wants; called after every commit that touched jobs.
    pub async fn reconcile(&self) {}

    /// Waits until a job does what is wanted of it (stopped after its last checkpoint, paused, running).
    ///
    /// # Errors
    /// There is no such job, or it failed on the way.
    pub async fn settled(&self, _name: &str) -> Result<()> {
        Ok(())
    }

    /// What all jobs do now.
    pub fn status(&self) -> Vec<JobStatus> {
        Vec::new()
    }
}
