//! Schema `streamgate`: what jobs do, as tables. The same facts as SHOW JOBS and DESCRIBE JOB.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::{
    ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray, UInt64Array,
};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::datasource::TableType;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::ExecutionPlan;

use super::server::{SessionView, SystemSchema};
use crate::connectors::Position;
use crate::engine::metrics::CheckpointFacts;
use crate::error::Result;
use crate::jobs::{JobStatus, Jobs, NodeStatus, SplitStatus};

/// Schema `streamgate`.
pub struct JobRelations {
    jobs: Jobs,
}

impl JobRelations {
    /// The relations of these jobs.
    pub fn new(jobs: Jobs) -> Self {
        Self { jobs }
    }
}

/// What a relation holds, made of what all jobs do now.
type Content = fn(&[JobStatus]) -> Result<RecordBatch>;

const RELATIONS: [(&str, Content); 5] = [
    ("jobs", jobs),
    ("job_operators", operators),
    ("job_splits", splits),
    ("job_checkpoints", checkpoints),
    ("job_errors", errors),
];

impl SystemSchema for JobRelations {
    fn name(&self) -> &str {
        "streamgate"
    }

    fn relation_names(&self) -> Vec<String> {
        RELATIONS.map(|(name, _)| name.to_owned()).to_vec()
    }

    fn relation(&self, name: &str, _session: &SessionView) -> Option<Arc<dyn TableProvider>> {
        let (_, content) = RELATIONS.into_iter().find(|(known, _)| *known == name)?;
        match content(&[]) {
            Ok(empty) => Some(Arc::new(JobRelation { jobs: self.jobs.clone(), content, schema: empty.schema() })),
            Err(error) => {
                tracing::error!(relation = name, %error, "cannot build a relation of schema streamgate");
                None
            }
        }
    }
}

/// A relation that is computed whenever it is read: a prepared statement shows what is so at each of its executions.
struct JobRelation {
    jobs: Jobs,
    content: Content,
    schema: SchemaRef,
}

impl fmt::Debug for JobRelation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobRelation").field("schema", &self.schema).finish_non_exhaustive()
    }
}

#[async_trait]
impl TableProvider for JobRelation {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> datafusion::error::Result<Arc<dyn ExecutionPlan>> {
        let batch = (self.content)(&self.jobs.status_now().await)?;
        let schema = batch.schema();
        Ok(MemorySourceConfig::try_new_exec(&[vec![batch]], schema, projection.cloned())?)
    }
}

/// One row a job: what SHOW JOBS prints, and more.
///
/// # Errors
/// Never: the columns have one length.
pub fn jobs(status: &[JobStatus]) -> Result<RecordBatch> {
    let from_sinks = |job: &JobStatus, count: fn(&NodeStatus) -> u64| {
        let sinks: Vec<u64> = job.sinks().map(count).collect();
        (!sinks.is_empty()).then(|| sinks.iter().sum())
    };
    let from_sources = |job: &JobStatus, count: fn(&NodeStatus) -> u64| job.sources().map(count).sum::<u64>();
    let total = |job: &JobStatus, count: fn(&NodeStatus) -> u64| job.nodes.iter().map(count).sum::<u64>();
    relation(vec![
        ("name", text(status, |job| Some(job.name.clone()))),
        ("state", text(status, |job| Some(job.state.to_owned()))),
        ("since", time(status, |job| job.since_ms)),
        ("waits_for", text(status, JobStatus::waits_for)),
        ("waits_since", time(status, |job| job.waits.first().map(|wait| wait.since_ms))),
        ("rows_in", count(status, |job| Some(from_sources(job, |node| node.rows_out)))),
        ("rows_out", count(status, |job| from_sinks(job, |node| node.rows_in))),
        ("bytes_in", count(status, |job| Some(from_sources(job, |node| node.bytes)))),
        ("bytes_out", count(status, |job| from_sinks(job, |node| node.bytes))),
        ("rows_per_second", number(status, JobStatus::rows_per_second)),
        ("lag", count(status, JobStatus::lag)),
        ("skipped", count(status, |job| Some(total(job, |node| node.skipped)))),
        ("null_keys", count(status, |job| Some(total(job, |node| node.null_keys)))),
        ("nulled_values", count(status, |job| Some(total(job, |node| node.nulled)))),
        ("unmatched_changes", count(status, |job| Some(total(job, |node| node.unmatched)))),
        ("row_errors", count(status, |job| Some(job.row_errors))),
        ("last_row_error", text(status, |job| job.last_row_error.clone())),
        ("restarts", count(status, |job| Some(job.restarts))),
        ("reads_behind", text(status, |job| (!job.reads_behind.is_empty()).then(|| job.reads_behind.join(", ")))),
        ("last_error", text(status, |job| job.last_error.clone())),
        ("last_error_at", time(status, |job| job.last_error_ms)),
        ("created_at", time(status, |job| Some(job.created_ms))),
        ("statement", text(status, |job| Some(job.statement.clone()))),
        ("id", text(status, |job| Some(job.id.clone()))),
    ])
}

/// One row an operator.
///
/// # Errors
/// As [`jobs`].
pub fn operators(status: &[JobStatus]) -> Result<RecordBatch> {
    let rows: Vec<(&JobStatus, &NodeStatus)> =
        status.iter().flat_map(|job| job.nodes.iter().map(move |node| (job, node))).collect();
    let rows = rows.as_slice();
    relation(vec![
        ("job", text(rows, |(job, _)| Some(job.name.clone()))),
        ("operator", text(rows, |(_, node)| Some(node.id.clone()))),
        ("description", text(rows, |(_, node)| Some(node.description.clone()))),
        ("rows_in", count(rows, |(_, node)| Some(node.rows_in))),
        ("rows_out", count(rows, |(_, node)| Some(node.rows_out))),
        ("bytes", count(rows, |(_, node)| Some(node.bytes))),
        ("skipped", count(rows, |(_, node)| Some(node.skipped))),
        ("null_keys", count(rows, |(_, node)| Some(node.null_keys))),
        ("nulled_values", count(rows, |(_, node)| Some(node.nulled))),
        ("unmatched_changes", count(rows, |(_, node)| Some(node.unmatched))),
        ("requests", count(rows, |(_, node)| Some(node.requests))),
        ("retries", count(rows, |(_, node)| Some(node.retries))),
        ("rows_per_second", number(rows, |(_, node)| node.rows_per_second)),
        ("busy", number(rows, |(_, node)| node.busy)),
        ("backpressured", number(rows, |(_, node)| node.backpressured)),
        ("state_keys", count(rows, |(_, node)| Some(node.state_keys))),
        ("state_bytes", count(rows, |(_, node)| Some(node.state_bytes))),
        ("spilled_bytes", count(rows, |(_, node)| Some(node.spilled_bytes))),
        ("watermark", time(rows, |(_, node)| node.watermark_ms)),
    ])
}

/// One row a partition.
///
/// # Errors
/// As [`jobs`].
pub fn splits(status: &[JobStatus]) -> Result<RecordBatch> {
    let rows: Vec<(&JobStatus, &SplitStatus)> =
        status.iter().flat_map(|job| job.splits.iter().map(move |split| (job, split))).collect();
    let rows = rows.as_slice();
    relation(vec![
        ("job", text(rows, |(job, _)| Some(job.name.clone()))),
        ("split", text(rows, |(_, split)| Some(split.id.clone()))),
        ("read", offset(rows, |(_, split)| &split.read)),
        ("acknowledged", offset(rows, |(_, split)| &split.acknowledged)),
        ("lag", count(rows, |(_, split)| split.lag)),
        ("position", text(rows, |(_, split)| Some(split.acknowledged.to_string()))),
    ])
}

fn checkpoints(status: &[JobStatus]) -> Result<RecordBatch> {
    let rows: Vec<(&JobStatus, &CheckpointFacts)> =
        status.iter().flat_map(|job| job.last_checkpoints.iter().map(move |facts| (job, facts))).collect();
    let rows = rows.as_slice();
    relation(vec![
        ("job", text(rows, |(job, _)| Some(job.name.clone()))),
        ("epoch", count(rows, |(_, facts)| Some(facts.epoch))),
        ("at", time(rows, |(_, facts)| Some(facts.at_ms))),
        ("duration_ms", number(rows, |(_, facts)| facts.duration.as_secs_f64() * 1000.0)),
        ("stall_ms", number(rows, |(_, facts)| facts.stall.as_secs_f64() * 1000.0)),
        ("rows", count(rows, |(_, facts)| Some(facts.rows))),
        ("bytes", count(rows, |(_, facts)| Some(facts.bytes))),
    ])
}

fn errors(status: &[JobStatus]) -> Result<RecordBatch> {
    let failed: Vec<&JobStatus> = status.iter().filter(|job| job.last_error.is_some()).collect();
    let failed = failed.as_slice();
    relation(vec![
        ("job", text(failed, |job| Some(job.name.clone()))),
        ("at", time(failed, |job| job.last_error_ms)),
        ("error", text(failed, |job| job.last_error.clone())),
    ])
}

fn relation(columns: Vec<(&str, ArrayRef)>) -> Result<RecordBatch> {
    Ok(RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true)))?)
}

fn text<T>(rows: &[T], value: impl Fn(&T) -> Option<String>) -> ArrayRef {
    Arc::new(rows.iter().map(value).collect::<StringArray>())
}

/// Counters are BIGINT, as users of Postgres expect; none of them comes near its end.
fn count<T>(rows: &[T], value: impl Fn(&T) -> Option<u64>) -> ArrayRef {
    let counts: UInt64Array = rows.iter().map(value).collect();
    Arc::new(
        counts.iter().map(|count| count.map(|count| i64::try_from(count).unwrap_or(i64::MAX))).collect::<Int64Array>(),
    )
}

/// NULL where positions are no offsets.
fn offset<T>(rows: &[T], value: impl Fn(&T) -> &Position) -> ArrayRef {
    Arc::new(rows.iter().map(|row| value(row).offset()).collect::<Int64Array>())
}

fn number<T>(rows: &[T], value: impl Fn(&T) -> f64) -> ArrayRef {
    Arc::new(rows.iter().map(|row| Some((value(row) * 1000.0).round() / 1000.0)).collect::<Float64Array>())
}

fn time<T>(rows: &[T], value: impl Fn(&T) -> Option<i64>) -> ArrayRef {
    Arc::new(rows.iter().map(value).collect::<TimestampMillisecondArray>().with_timezone("UTC"))
}

#[cfg(test)]
mod tests;
