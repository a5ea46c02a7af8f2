//! The settings that a job keeps from the session that submitted it: read once, when it is submitted, and stored as what they mean.

mod table;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::connectors::LengthEnforcer;
use crate::error::{Error, Result, SqlState};
use crate::options::setting::normalize;

pub use table::{JOB_SETTINGS, JobSetting};

/// The settings of a job. What each of them is called, takes and means by default is told by [`JOB_SETTINGS`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct JobSettings {
    /// IANA name; zone-less timestamps that become instants and "the current month" are in it.
    pub time_zone: String,
    /// `execution.checkpointing.interval`: between two checkpoints.
    pub checkpoint_interval: Duration,
    /// `state.checkpoints.dir`: where checkpoints go; absent: the data directory.
    pub checkpoints_dir: Option<String>,
    /// `state.checkpoints.num-retained`: how many checkpoints are kept.
    pub checkpoints_retained: usize,
    /// `execution.savepoint.path`: the savepoint that the job starts from.
    pub savepoint_path: Option<String>,
    /// `execution.savepoint.ignore-unclaimed-state`: whether the savepoint may have state of operators that the job lacks.
    pub ignore_unclaimed_state: bool,
    /// `state.memory.budget`: bytes of state in memory, over all tasks, beyond which cold state goes to local disk.
    pub memory_budget: u64,
    /// `table.exec.state.ttl`: state that is not touched for so long is forgotten; absent: never.
    pub state_ttl: Option<Duration>,
    /// `error-handling.mode`: what becomes of rows that cannot be evaluated.
    pub row_errors: RowErrors,
    /// `table.exec.sink.type-length-enforcer`: what becomes of values that are too long or too short for their columns.
    pub length_enforcer: LengthEnforcer,
    /// `table.exec.sink.upsert-materialize`.
    pub upsert_materialize: UpsertMaterialize,
    /// `lookup.read-behind`: whether lookups wait for the jobs that fill their tables.
    pub read_behind: bool,
    /// `parallelism.default`: tasks of each part of the job, unless the next one says so.
    parallelism_default: usize,
    /// `table.exec.resource.default-parallelism`.
    resource_parallelism: Option<usize>,
    /// `table.exec.mini-batch.enabled`.
    mini_batch: bool,
    /// `table.exec.mini-batch.allow-latency`, if mini batches are enabled; absent: until the barrier.
    mini_batch_latency: Option<Duration>,
}

/// What happens to a row whose expressions cannot be evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RowErrors {
    /// The job fails (`off`, the default).
    Fail,
    /// The row is left out, counted and logged (`log`).
    Skip,
}

/// Whether rows are kept by the sink's key where the query has another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UpsertMaterialize {
    /// Never.
    None,
    /// Where the query's changes need it.
    Auto,
    /// Always.
    Force,
}

impl Default for JobSettings {
    fn default() -> Self {
        let mut settings = Self {
            time_zone: "UTC".to_owned(),
            checkpoint_interval: Duration::ZERO,
            checkpoints_dir: None,
            checkpoints_retained: 0,
            savepoint_path: None,
            ignore_unclaimed_state: false,
            memory_budget: 0,
            state_ttl: None,
            row_errors: RowErrors::Fail,
            length_enforcer: LengthEnforcer::default(),
            upsert_materialize: UpsertMaterialize::Auto,
            read_behind: true,
            parallelism_default: 1,
            resource_parallelism: None,
            mini_batch: false,
            mini_batch_latency: None,
        };
        for setting in JOB_SETTINGS {
            // Each default is one that its setting takes, which a test holds it to.
            let _ = (setting.take)(&mut settings, setting.default);
        }
        settings
    }
}

impl JobSettings {
    /// Settings by their names; those that are not named have their defaults.
    ///
    /// # Errors
    /// There is no setting of that name for jobs (42704), or it does not take the value (22023).
    pub fn new<'a>(time_zone: &str, named: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self> {
        let zone = time_zone.parse::<chrono_tz::Tz>();
        zone.map_err(|_| Error::invalid(format!("time zone \"{time_zone}\" not recognized")))?;
        let mut settings = Self { time_zone: time_zone.to_owned(), ..Self::default() };
        for (name, value) in named {
            let setting = JOB_SETTINGS.iter().find(|setting| setting.name == name).ok_or_else(|| {
                Error::not_found(format!("unrecognized setting \"{name}\" of a job")).code(SqlState::UndefinedObject)
            })?;
            let value = normalize(name, setting.kind, setting.default, value)?;
            (setting.take)(&mut settings, &value).map_err(|error| error.context(name))?;
        }
        Ok(settings)
    }

    /// Tasks of each part of the job: `table.exec.resource.default-parallelism` if it is set, else `parallelism.default`.
    pub fn parallelism(&self) -> usize {
        self.resource_parallelism.unwrap_or(self.parallelism_default).max(1)
    }

    /// How long results may be held back while input keeps coming; absent: until the next barrier.
    pub fn mini_batch_latency(&self) -> Option<Duration> {
        self.mini_batch_latency.filter(|_| self.mini_batch)
    }

    /// The time zone.
    ///
    /// # Errors
    /// This build does not know its name.
    pub fn zone(&self) -> Result<chrono_tz::Tz> {
        self.time_zone.parse().map_err(|_| Error::invalid(format!("time zone \"{}\" not recognized", self.time_zone)))
    }
}
