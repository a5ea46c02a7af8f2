//! Several INSERTs that do not end as one job: those of a statement set, and those of a block at its COMMIT.

use crate::error::{Error, Result};
use crate::sql::planning::job_plan::{self, PlannedJob};
use crate::sql::session::{Existing, Session};

/// Plans jobs as one.
///
/// # Errors
/// They cannot be one.
pub async fn join(session: &Session, jobs: Vec<PlannedJob>) -> Result<PlannedJob> {
    session.server.queries.run(|_| PlannedJob::join(jobs)).await
}

/// Makes jobs of a block's INSERTs.
///
/// # Errors
/// They cannot be the jobs that they must be, or one cannot be submitted.
pub async fn submit(session: &mut Session, inserts: Vec<PlannedJob>) -> Result<()> {
    let jobs = job_plan::group(inserts);
    let mut savepoints: Vec<&String> =
        jobs.iter().filter_map(|job| job[0].dataflow.settings.savepoint_path.as_ref()).collect();
    let count = savepoints.len();
    savepoints.dedup();
    if savepoints.len() < count {
        return Err(Error::unsupported(
            "a savepoint is the start of one job, and the INSERTs of this block are several",
        )
        .hint("Submit the one that starts from the savepoint by itself."));
    }
    for job in jobs {
        let job = join(session, job).await?;
        session.submit(&job, None, Existing::Refuse)?;
    }
    Ok(())
}
