//! Takes the values of all metrics from where they are counted. A job's sources that do not answer cost a scrape few seconds at most, and
//! its lag.

mod jobs;

use std::sync::Arc;
use std::time::Duration;

use super::stage::{Observed, Stage};
use crate::jobs::JobStatus;
use crate::sql::SqlServer;
use crate::telemetry::metrics::{Samples, list};
use crate::telemetry::process;

/// How long a scrape waits for what only outside systems know.
const LAG_PATIENCE: Duration = Duration::from_secs(5);

/// The values of all metrics now.
pub(super) async fn all(observed: &Observed) -> Samples {
    let mut samples = of_process().await;
    samples.put(&list::BUILD_INFO, &[env!("CARGO_PKG_VERSION")], 1.0);
    samples.put_moment(&list::PROCESS_START_TIME, &[], observed.started_ms());
    samples.put(&list::READY, &[], if observed.stage() == Stage::Ready { 1.0 } else { 0.0 });
    if let Some(sql) = observed.sql() {
        of_sessions(sql, &mut samples);
        of_queries(sql, &mut samples);
        jobs::put(&status(sql).await, observed.now_ms(), &mut samples);
    }
    samples
}

/// What all jobs do, with their lag if it can be had soon.
pub(super) async fn status(sql: &Arc<SqlServer>) -> Vec<JobStatus> {
    let jobs = sql.jobs.clone();
    // Not on the threads that answer clients: plans of jobs may be read for it.
    let asked = sql.queries.run(|_| async move { Ok(jobs.status_now().await) });
    match tokio::time::timeout(LAG_PATIENCE, asked).await {
        Ok(Ok(status)) => status,
        Ok(Err(_)) | Err(_) => sql.jobs.status(),
    }
}

async fn of_process() -> Samples {
    let sampled = tokio::task::spawn_blocking(|| {
        let mut samples = Samples::default();
        process::sample(&mut samples);
        samples
    });
    sampled.await.unwrap_or_default()
}

fn of_sessions(sql: &SqlServer, samples: &mut Samples) {
    let activity = &sql.activity;
    samples.put_count(&list::CONNECTIONS, &[], activity.open() as u64);
    samples.put_count(&list::CONNECTIONS_MAX, &[], activity.open_max() as u64);
    samples.put_count(&list::CONNECTIONS_OPENED, &[], activity.opened());
    samples.put_count(&list::CONNECTIONS_REFUSED, &[], activity.refused());
    for ((command, outcome), count) in activity.statements() {
        samples.put_count(&list::STATEMENTS, &[command, outcome.word()], count);
    }
    samples.put_histogram(&list::STATEMENT_DURATION, &[], activity.durations());
}

fn of_queries(sql: &SqlServer, samples: &mut Samples) {
    samples.put_count(&list::QUERIES_UNSTOPPABLE, &[], sql.queries.unstoppable() as u64);
    samples.put_count(&list::QUERY_THREADS_REPLACED, &[], sql.queries.replaced() as u64);
    samples.put_count(&list::QUERY_MEMORY_USED, &[], sql.memory.used() as u64);
    samples.put_count(&list::QUERY_MEMORY_LIMIT, &[], sql.memory.limit() as u64);
}
