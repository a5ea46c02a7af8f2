//! The settings that a job keeps from the session that submitted it, read into what the engine works with.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::connectors::LengthEnforcer;
use crate::engine::key_group::KEY_GROUPS;
use crate::engine::state::budget::DEFAULT_BYTES;
use crate::error::{Error, Result};
use crate::options::{parse_duration, parse_memory_size};

/// Settings that a job keeps from the session that submitted it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobSettings {
    /// IANA name; zone-less timestamps that become instants and "the current month" are in it.
    pub time_zone: String,
    /// Options set by SET that concern jobs, by their SQL names (`execution.checkpointing.interval` …).
    pub options: BTreeMap<String, String>,
}

/// What happens to a row whose expressions cannot be evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowErrors {
    /// The job fails (`off`, the default).
    Fail,
    /// The row is left out, counted and logged (`log`).
    Skip,
}

impl JobSettings {
    /// `execution.checkpointing.interval`, 1 s by default.
    ///
    /// # Errors
    /// It is no duration.
    pub fn checkpoint_interval(&self) -> Result<Duration> {
        match self.options.get("execution.checkpointing.interval") {
            Some(text) => Ok(parse_duration(text)?.max(Duration::from_millis(10))),
            None => Ok(Duration::from_secs(1)),
        }
    }

    /// Reads all options that concern the engine, so that a wrong one is an error at submission.
    ///
    /// # Errors
    /// The first one that cannot be read.
    pub fn check(&self) -> Result<()> {
        self.checkpoint_interval()?;
        self.row_errors()?;
        self.length_enforcer()?;
        self.read_behind()?;
        self.zone()?;
        self.parallelism()?;
        self.mini_batch_latency()?;
        self.state_ttl()?;
        self.memory_budget()?;
        self.checkpoints_retained().map(drop)
    }

    /// `state.memory.budget`: bytes of state in memory, over all tasks, beyond which cold state goes to local disk; 1 GiB by default.
    ///
    /// # Errors
    /// It is no size.
    pub fn memory_budget(&self) -> Result<u64> {
        self.options.get("state.memory.budget").map_or(Ok(DEFAULT_BYTES), |text| parse_memory_size(text))
    }

    /// `state.checkpoints.num-retained`: checkpoints that are kept; 3 by default.
    ///
    /// # Errors
    /// It is no number from 1 on.
    pub fn checkpoints_retained(&self) -> Result<usize> {
        let Some(text) = self.options.get("state.checkpoints.num-retained") else { return Ok(3) };
        text.trim().parse().ok().filter(|count| *count >= 1).ok_or_else(|| {
            Error::invalid(format!("state.checkpoints.num-retained is a number from 1 on, not '{text}'"))
        })
    }

    /// `state.checkpoints.dir`: where checkpoints go; absent: the data directory.
    pub fn checkpoints_dir(&self) -> Option<&str> {
        self.options.get("state.checkpoints.dir").map(|dir| dir.trim()).filter(|dir| !dir.is_empty())
    }

    /// `table.exec.sink.type-length-enforcer`.
    ///
    /// # Errors
    /// Another value.
    pub fn length_enforcer(&self) -> Result<LengthEnforcer> {
        LengthEnforcer::of(self.options.get("table.exec.sink.type-length-enforcer").map(String::as_str))
    }

    /// `error-handling.mode`: `off` (rows that cannot be evaluated fail the job) or `log` (they are left out).
    ///
    /// # Errors
    /// Another mode.
    pub fn row_errors(&self) -> Result<RowErrors> {
        match self.options.get("error-handling.mode").map(String::as_str) {
            None | Some("off") => Ok(RowErrors::Fail),
            Some("log") => Ok(RowErrors::Skip),
            Some(other) => Err(Error::unsupported(format!("error-handling.mode '{other}' is not supported yet"))
                .hint("Use 'off' (fail) or 'log' (skip and count).")),
        }
    }

    /// Whether look-ups wait for the jobs that fill their tables (`lookup.read-behind`, on by default).
    ///
    /// # Errors
    /// Neither `on` nor `off`.
    pub fn read_behind(&self) -> Result<bool> {
        match self.options.get("lookup.read-behind").map(String::as_str) {
            None | Some("on" | "true") => Ok(true),
            Some("off" | "false") => Ok(false),
            Some(other) => Err(Error::invalid(format!("lookup.read-behind is 'on' or 'off', not '{other}'"))),
        }
    }

    /// `table.exec.resource.default-parallelism` if it is set, else `parallelism.default` (1).
    ///
    /// # Errors
    /// It is no number from 1 to the number of key groups.
    pub fn parallelism(&self) -> Result<usize> {
        let number = |name: &str| -> Result<Option<i64>> {
            let Some(text) = self.options.get(name) else { return Ok(None) };
            match text.trim().parse::<i64>() {
                Ok(-1) => Ok(None),
                Ok(number) if (1..=KEY_GROUPS as i64).contains(&number) => Ok(Some(number)),
                _ => Err(Error::invalid(format!("{name} is a number from 1 to {KEY_GROUPS}, not '{text}'"))),
            }
        };
        let chosen = number("table.exec.resource.default-parallelism")?.or(number("parallelism.default")?);
        Ok(usize::try_from(chosen.unwrap_or(1)).unwrap_or(1))
    }

    /// How long results may be held back while input keeps coming: `table.exec.mini-batch.allow-latency` if
    /// `table.exec.mini-batch.enabled`. Absent: until the next barrier.
    ///
    /// # Errors
    /// It is no duration.
    pub fn mini_batch_latency(&self) -> Result<Option<Duration>> {
        let enabled = self.options.get("table.exec.mini-batch.enabled").is_some_and(|text| text == "true");
        match self.options.get("table.exec.mini-batch.allow-latency") {
            Some(text) if enabled => {
                let latency = parse_duration(text)?;
                Ok((!latency.is_zero()).then(|| latency.max(Duration::from_millis(1))))
            }
            _ => Ok(None),
        }
    }

    /// `table.exec.state.ttl`; absent: state is kept for ever.
    ///
    /// # Errors
    /// It is no duration.
    pub fn state_ttl(&self) -> Result<Option<Duration>> {
        match self.options.get("table.exec.state.ttl") {
            Some(text) => Ok(Some(parse_duration(text)?).filter(|ttl| !ttl.is_zero())),
            None => Ok(None),
        }
    }

    /// The time zone.
    ///
    /// # Errors
    /// Its name is unknown.
    pub fn zone(&self) -> Result<chrono_tz::Tz> {
        self.time_zone.parse().map_err(|_| Error::invalid(format!("time zone \"{}\" not recognized", self.time_zone)))
    }
}
