//! The one table of settings that jobs keep: name, kind, bounds, default, what it means to users, and what a job takes of it. Sessions
//! take SET by it, the reference page is written from it.

use std::time::Duration;

use super::{JobSettings, RowErrors, UpsertMaterialize};
use crate::connectors::LengthEnforcer;
use crate::engine::key_group::KEY_GROUPS;
use crate::error::{Error, Result};
use crate::options::setting::Kind;
use crate::options::{parse_duration, parse_memory_size};

/// A setting that jobs keep.
pub struct JobSetting {
    /// As users write it.
    pub name: &'static str,
    /// What values it takes.
    pub kind: Kind,
    /// Its default, as users would write it.
    pub default: &'static str,
    /// What it means, a sentence for users.
    pub description: &'static str,
    /// Takes a value, as [`normalize`](crate::options::setting::normalize) gives it.
    pub(super) take: fn(&mut JobSettings, &str) -> Result<()>,
}

/// The shortest time between two checkpoints.
const CHECKPOINT_INTERVAL_MIN: Duration = Duration::from_millis(10);

/// All settings that jobs keep, sorted by name.
pub static JOB_SETTINGS: &[JobSetting] = &[
    JobSetting {
        name: "error-handling.mode",
        kind: Kind::Choice(&["off", "log"]),
        default: "off",
        description: "Rows of a job that cannot be evaluated: off fails the job, log leaves them out.",
        take: |settings, text| {
            settings.row_errors = if text == "log" { RowErrors::Skip } else { RowErrors::Fail };
            Ok(())
        },
    },
    JobSetting {
        name: "execution.checkpointing.interval",
        kind: Kind::FlinkDuration,
        default: "1 s",
        description: "Time between two checkpoints of a job; 10 ms at least.",
        take: |settings, text| {
            settings.checkpoint_interval = parse_duration(text)?.max(CHECKPOINT_INTERVAL_MIN);
            Ok(())
        },
    },
    JobSetting {
        name: "execution.savepoint.ignore-unclaimed-state",
        kind: Kind::FlinkBool,
        default: "false",
        description: "Whether a savepoint may have state of operators that the job has not.",
        take: |settings, text| {
            settings.ignore_unclaimed_state = text == "true";
            Ok(())
        },
    },
    JobSetting {
        name: "execution.savepoint.path",
        kind: Kind::Text,
        default: "",
        description: "The savepoint from which the next job starts; used up by it.",
        take: |settings, text| {
            settings.savepoint_path = place(text);
            Ok(())
        },
    },
    JobSetting {
        name: "lookup.read-behind",
        kind: Kind::Bool,
        default: "on",
        description: "Whether lookups wait for the jobs that fill their tables.",
        take: |settings, text| {
            settings.read_behind = text == "on";
            Ok(())
        },
    },
    JobSetting {
        name: "parallelism.default",
        kind: Kind::Integer(1, KEY_GROUPS as i64),
        default: "1",
        description: "Tasks for each part of a job.",
        take: |settings, text| {
            settings.parallelism_default = count(text)?;
            Ok(())
        },
    },
    JobSetting {
        name: "state.checkpoints.dir",
        kind: Kind::Text,
        default: "",
        description: "Where checkpoints go: a path, file:///path or s3://bucket/prefix; empty: the data directory.",
        take: |settings, text| {
            settings.checkpoints_dir = place(text);
            Ok(())
        },
    },
    JobSetting {
        name: "state.checkpoints.num-retained",
        kind: Kind::Integer(1, 1000),
        default: "3",
        description: "Checkpoints of a job that are kept.",
        take: |settings, text| {
            settings.checkpoints_retained = count(text)?;
            Ok(())
        },
    },
    JobSetting {
        name: "state.memory.budget",
        kind: Kind::MemorySize,
        default: "1 gb",
        description: "A job's state in memory; what is more goes to local disk.",
        take: |settings, text| {
            settings.memory_budget = parse_memory_size(text)?;
            Ok(())
        },
    },
    JobSetting {
        name: "table.exec.mini-batch.allow-latency",
        kind: Kind::FlinkDurationOrNone,
        default: "0",
        description: "How long results are held back while input keeps coming, if mini batches are enabled; 0: until the barrier.",
        take: |settings, text| {
            let latency = parse_duration(text)?;
            settings.mini_batch_latency = (!latency.is_zero()).then(|| latency.max(Duration::from_millis(1)));
            Ok(())
        },
    },
    JobSetting {
        name: "table.exec.mini-batch.enabled",
        kind: Kind::FlinkBool,
        default: "false",
        description: "Whether allow-latency holds.",
        take: |settings, text| {
            settings.mini_batch = text == "true";
            Ok(())
        },
    },
    JobSetting {
        name: "table.exec.resource.default-parallelism",
        kind: Kind::CountOrNone(KEY_GROUPS as i64),
        default: "-1",
        description: "Tasks for each part of a job; -1: parallelism.default.",
        take: |settings, text| {
            settings.resource_parallelism = if text == "-1" { None } else { Some(count(text)?) };
            Ok(())
        },
    },
    JobSetting {
        name: "table.exec.sink.type-length-enforcer",
        kind: Kind::Choice(&["IGNORE", "TRIM_PAD", "ERROR"]),
        default: "IGNORE",
        description: "Values of another length than CHAR(n), VARCHAR(n), BINARY(n) say: written as they are, made to fit, or an error.",
        take: |settings, text| {
            settings.length_enforcer = LengthEnforcer::of(text)?;
            Ok(())
        },
    },
    JobSetting {
        name: "table.exec.sink.upsert-materialize",
        kind: Kind::Choice(&["NONE", "AUTO", "FORCE"]),
        default: "AUTO",
        description: "Whether rows are kept by the sink's key where the query has another one.",
        take: |settings, text| {
            settings.upsert_materialize = match text {
                "NONE" => UpsertMaterialize::None,
                "FORCE" => UpsertMaterialize::Force,
                _ => UpsertMaterialize::Auto,
            };
            Ok(())
        },
    },
    JobSetting {
        name: "table.exec.state.ttl",
        kind: Kind::FlinkDurationOrNone,
        default: "0",
        description: "How long a job keeps state that is not touched; 0: for ever.",
        take: |settings, text| {
            settings.state_ttl = Some(parse_duration(text)?).filter(|ttl| !ttl.is_zero());
            Ok(())
        },
    },
];

fn count(text: &str) -> Result<usize> {
    text.parse().map_err(|_| Error::invalid(format!("'{text}' is not a number of things")))
}

fn place(text: &str) -> Option<String> {
    Some(text.trim().to_owned()).filter(|place| !place.is_empty())
}
