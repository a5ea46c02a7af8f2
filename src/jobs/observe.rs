//! What can be seen of jobs from outside: their status, how much waits for them, where they rest. Nothing here changes what a job
//! does. Only [`Jobs::status_now`] and [`Jobs::resting_place`] ask outside systems.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use futures::StreamExt;

use super::facts::{FailedAt, JobState};
use super::job::Job;
use super::lag::{self, Reading};
use super::status::{JobStatus, NodeStatus, SplitStatus};
use super::supervisor::Jobs;
use super::waits_shown;
use crate::catalog::JobEntry;
use crate::connectors::{Position, Split};
use crate::engine::dataflow::Dataflow;
use crate::engine::metrics::JobMetrics;
use crate::engine::progress::ReadBehind;
use crate::error::{Error, RecordPlace, Result, SqlState};

/// Where a job rests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestingPlace {
    /// The record that failed it, if one did.
    pub record: Option<RecordPlace>,
    /// By split: the first record that it has not taken.
    pub positions: BTreeMap<String, Position>,
}

impl Jobs {
    /// Where a job that rests may be told to go on behind records it cannot take.
    ///
    /// # Errors
    /// It has a task (55000), or what it has decided cannot be read.
    pub async fn resting_place(&self, name: &str) -> Result<RestingPlace> {
        let job = self.shared.running.lock().get(name).cloned();
        let job = job.ok_or_else(|| Error::not_found(format!("job \"{name}\" does not exist")))?;
        let facts = job.facts.now();
        let state = facts.state;
        if state.is_active() {
            return Err(Error::invalid(format!(
                "job \"{name}\" is {}: only a job at rest can go over records",
                state.name()
            ))
            .code(SqlState::ObjectNotInPrerequisiteState)
            .hint("PAUSE JOB it first."));
        }
        let has_failed = facts.failed.is_some();
        let record = facts.failed.and_then(|FailedAt(record)| record);
        let mut positions: BTreeMap<String, Position> = BTreeMap::new();
        let entry = self.shared.catalog.snapshot().jobs.get(name).filter(|entry| entry.id == job.id).cloned();
        if let Some(dataflow) = entry.and_then(|entry| Dataflow::from_json(&entry.dataflow).ok()) {
            let stored = self.checkpoints(&job.id, &dataflow)?.newest_positions().await?.unwrap_or_default();
            positions.extend(stored.into_values().flatten());
        }
        // What has failed without a record's name may be anywhere behind the checkpoint.
        if record.is_some() || !has_failed {
            for (split, progress) in job.metrics.splits.lock().iter() {
                let read = progress.read.clone();
                let furthest = match positions.remove(split) {
                    Some(known) => known.later(read).map_err(|error| error.context(split))?,
                    None => read,
                };
                positions.insert(split.clone(), furthest);
            }
        }
        if let Some(record) = &record {
            positions.insert(record.split.clone(), Position::Offset(record.offset));
        }
        Ok(RestingPlace { record, positions })
    }

    /// What all jobs do now, by name, and how much waits for them, which outside systems are asked for. A job whose sources do not
    /// answer soon has no lag.
    pub async fn status_now(&self) -> Vec<JobStatus> {
        let measured = self.status().into_iter().map(|mut status| async move {
            self.measure_lag(&mut status).await;
            status
        });
        futures::stream::iter(measured).buffered(lag::JOBS_AT_ONCE).collect().await
    }

    async fn measure_lag(&self, status: &mut JobStatus) {
        let (job, entry) = {
            let running = self.shared.running.lock();
            let job = running.get(&status.name).filter(|job| job.id == status.id).cloned();
            (job, self.shared.catalog.snapshot().jobs.get(&status.name).cloned())
        };
        let (Some(job), Some(entry)) = (job, entry) else { return };
        if job.metrics.trouble().is_some() {
            // Whoever does not answer the job does not answer us.
            return;
        }
        let places = job.lag.measure(&status.splits, || self.reading(&entry, &job)).await;
        lag::fill(&mut status.splits, &places, status.state == JobState::Running.name());
    }

    /// What a job reads, and how far it has come in splits that it has not opened since this server is up.
    async fn reading(&self, entry: &JobEntry, job: &Job) -> Result<Vec<Reading>> {
        let opened = job.metrics.sources.all();
        if !opened.is_empty() {
            return Ok(opened.into_iter().map(|(source, splits)| Reading { source, splits, stored: None }).collect());
        }
        let dataflow = Dataflow::from_json(&entry.dataflow)?;
        let stored = self.checkpoints(&entry.id, &dataflow)?.newest_positions().await?.unwrap_or_default();
        let open = self.opener();
        let mut reading = Vec::new();
        for (node, stored_source) in dataflow.sources() {
            if let Some(positions) = stored.get(&node.id).filter(|positions| !positions.is_empty())
                && let Some(source) = open(&stored_source.table)?.source
            {
                let split = |id: &String| Split { id: id.clone(), resource: String::new(), group: None };
                reading.push(Reading {
                    source,
                    splits: positions.keys().map(split).collect(),
                    stored: Some(positions.clone()),
                });
            }
        }
        Ok(reading)
    }

    /// What all jobs do now, by name; their lag is left out.
    pub fn status(&self) -> Vec<JobStatus> {
        let shared = &self.shared;
        let snapshot = shared.catalog.snapshot();
        let running = shared.running.lock();
        let (now, now_ms) = (Instant::now(), shared.clock.now_ms());
        let state_of = |name: &str| running.get(name).map(|job| job.facts.state());
        snapshot
            .jobs
            .values()
            .map(|entry| {
                let job = running.get(&entry.name).filter(|job| job.id == entry.id);
                let facts = job.map(|job| job.facts.now());
                let shown = job.zip(facts.as_ref()).map(|(job, facts)| job.shown(facts, now_ms));
                let (state, last_error) = shown.unwrap_or((JobState::Starting, None));
                let metrics = job.map(|job| &job.metrics);
                let waits = metrics.filter(|_| state.is_active()).map(|metrics| metrics.all_waits());
                let count = |counter: fn(&JobMetrics) -> &AtomicU64| {
                    metrics.map_or(0, |metrics| counter(metrics).load(Ordering::Relaxed))
                };
                JobStatus {
                    name: entry.name.clone(),
                    id: entry.id.clone(),
                    state: state.name(),
                    since_ms: facts.as_ref().map(|facts| facts.since_ms),
                    waits: waits_shown::shown(&waits.unwrap_or_default(), now, now_ms, &state_of),
                    statement: entry.statement.clone(),
                    created_ms: entry.created_ms,
                    last_error_ms: last_error.as_ref().map(|(at, _)| *at),
                    last_error: last_error.map(|(_, error)| error.to_string()),
                    restarts: facts.as_ref().map_or(0, |facts| facts.restarts),
                    row_errors: metrics.map_or(0, |metrics| metrics.left_out.rows()),
                    last_row_error: metrics.and_then(|metrics| metrics.left_out.last()),
                    checkpoints: count(|metrics| &metrics.checkpoints),
                    checkpoints_failed: count(|metrics| &metrics.checkpoints_failed),
                    last_checkpoints: metrics
                        .map(|metrics| metrics.last_checkpoints.lock().iter().copied().collect())
                        .unwrap_or_default(),
                    checkpoint_ms: count(|metrics| &metrics.checkpoint_us) as f64 / 1000.0,
                    reads_behind: job
                        .and_then(|job| job.read_behind.lock().as_ref().map(ReadBehind::writers))
                        .unwrap_or_default(),
                    nodes: metrics
                        .map(|metrics| metrics.nodes.iter().map(|node| NodeStatus::of(node)).collect())
                        .unwrap_or_default(),
                    splits: metrics.map(|metrics| SplitStatus::all(metrics)).unwrap_or_default(),
                }
            })
            .collect()
    }
}
