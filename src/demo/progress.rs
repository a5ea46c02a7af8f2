//! How far the demo's jobs are in the log, by their own account.

use std::time::{Duration, Instant};

use super::check::log::EndOffsets;
use crate::error::{Error, Result};
use crate::jobs::{JobStatus, Jobs};

/// The tables that the demo's jobs fill.
pub const TARGETS: [&str; 3] = ["dynamodb_orders", "order_sum_monthly", "user_features"];

const POLL: Duration = Duration::from_millis(20);
/// Jobs that move nothing for so long are stuck.
const STANDSTILL_MAX: Duration = Duration::from_secs(120);

/// The job that fills a table.
pub fn job_for(jobs: &Jobs, target: &str) -> Option<JobStatus> {
    jobs.status().into_iter().find(|job| super::scripts::insert_target(&job.statement) == Some(target))
}

/// Waits until all jobs have everything before the given ends in DynamoDB.
///
/// # Errors
/// A job failed, is missing, or stands still.
pub async fn past(jobs: &Jobs, ends: &EndOffsets) -> Result<()> {
    let (mut moved_at, mut moved_to) = (Instant::now(), Vec::new());
    loop {
        let mut positions = Vec::new();
        let mut behind = None;
        for target in TARGETS {
            let job = job_for(jobs, target)
                .ok_or_else(|| Error::not_found(format!("there is no job that fills \"{target}\"")))?;
            if matches!(job.state, "FAILED" | "QUARANTINED" | "STOPPED" | "PAUSED" | "FINISHED") {
                return Err(Error::internal(format!(
                    "job \"{}\" is {}: {}",
                    job.name,
                    job.state,
                    job.last_error.unwrap_or_default()
                )));
            }
            for (partition, end) in ends {
                let acknowledged = acknowledged(&job, *partition);
                positions.push(acknowledged);
                if acknowledged < *end {
                    behind = Some(format!(
                        "job \"{}\" ({}) is at {acknowledged} of {end} in partition {partition}: {}",
                        job.name,
                        job.state,
                        job.last_error.clone().unwrap_or_default()
                    ));
                }
            }
        }
        let Some(behind) = behind else { return Ok(()) };
        if positions != moved_to {
            (moved_at, moved_to) = (Instant::now(), positions);
        } else if moved_at.elapsed() > STANDSTILL_MAX {
            return Err(Error::unavailable(format!("the jobs stand still; {behind}")));
        }
        tokio::time::sleep(POLL).await;
    }
}

/// What each job left out by rule, for people.
pub fn left_out(jobs: &Jobs) -> Vec<String> {
    TARGETS
        .iter()
        .filter_map(|target| {
            let job = job_for(jobs, target)?;
            let nodes: Vec<String> = job
                .nodes
                .iter()
                .filter(|node| node.skipped > 0)
                .map(|node| format!("{} at {}", node.skipped, node.id))
                .collect();
            let nodes = if nodes.is_empty() { "nothing".to_owned() } else { nodes.join(", ") };
            Some(format!("job \"{}\" left out: {nodes}; {} row errors", job.name, job.row_errors))
        })
        .collect()
}

fn acknowledged(job: &JobStatus, partition: i32) -> i64 {
    let partition = partition.to_string();
    job.splits
        .iter()
        .find(|split| split.id.rsplit('/').next() == Some(partition.as_str()))
        .and_then(|split| split.acknowledged.offset())
        .unwrap_or(0)
}
