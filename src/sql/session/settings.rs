//! A session's settings: Postgres' names that drivers set and Flink's that scripts set, with types, defaults and scope.
//! What has no effect yet is taken at its default only; nothing is silently ignored.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::engine::key_group::KEY_GROUPS;
use crate::error::{Error, Result};
use crate::nearest::nearest;
use crate::options::parse_memory_size;

/// Whether transactions only read unless they say otherwise.
pub const DEFAULT_READ_ONLY: &str = "default_transaction_read_only";
/// Whether the transaction only reads.
pub const READ_ONLY: &str = "transaction_read_only";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Any text.
    Text,
    /// on | off
    Bool,
    /// A whole number between bounds.
    Integer(i64, i64),
    /// One of these.
    Choice(&'static [&'static str]),
    /// A duration in milliseconds, Postgres' way; 0 means none.
    Milliseconds,
    /// A duration as Flink writes it, not 0.
    FlinkDuration,
    /// A duration as Flink writes it; 0 means none.
    FlinkDurationOrNone,
    /// true | false, as Flink writes it.
    FlinkBool,
    /// A number of tasks; -1 means none is chosen.
    Parallelism,
    /// A number from 1 on; -1 means none.
    CountOrNone,
    /// Bytes with a unit.
    MemorySize,
    /// An IANA time zone or a fixed offset.
    Zone,
    /// A list of schemas.
    Path,
    /// Known, but without effect: only the default is taken.
    DefaultOnly,
    /// Cannot be set.
    ReadOnly,
}

struct Definition {
    name: &'static str,
    kind: Kind,
    default: &'static str,
    /// Told to the client by ParameterStatus.
    reported: bool,
    /// A setting of jobs, kept in their dataflow.
    job: bool,
    description: &'static str,
}

const fn pg(name: &'static str, kind: Kind, default: &'static str, description: &'static str) -> Definition {
    Definition { name, kind, default, reported: false, job: false, description }
}

const fn reported(name: &'static str, kind: Kind, default: &'static str, description: &'static str) -> Definition {
    Definition { name, kind, default, reported: true, job: false, description }
}

const fn job(name: &'static str, kind: Kind, default: &'static str, description: &'static str) -> Definition {
    Definition { name, kind, default, reported: false, job: true, description }
}

const ISOLATION: Kind = Kind::Choice(&["read committed", "read uncommitted", "repeatable read", "serializable"]);
const LEVELS: Kind = Kind::Choice(&[
    "debug5", "debug4", "debug3", "debug2", "debug1", "debug", "log", "info", "notice", "warning", "error",
]);

/// All settings, sorted by name without regard to case.
static DEFINITIONS: &[Definition] = &[
    reported("application_name", Kind::Text, "", "Name of the application, shown in statistics and logs."),
    pg("aws.endpoint", Kind::ReadOnly, "", "DynamoDB of tables that name none; empty: AWS itself."),
    pg("backslash_quote", Kind::DefaultOnly, "safe_encoding", "Whether \\' is allowed in string literals."),
    pg("bytea_output", Kind::Choice(&["hex", "escape"]), "hex", "How bytea is printed."),
    pg("check_function_bodies", Kind::Bool, "on", "Function bodies are always checked at CREATE FUNCTION."),
    reported("client_encoding", Kind::Choice(&["UTF8"]), "UTF8", "The client's character set."),
    pg("client_min_messages", LEVELS, "notice", "Which notices are sent to the client."),
    reported("DateStyle", Kind::Text, "ISO, MDY", "How dates are printed; only ISO is."),
    pg("default_table_access_method", Kind::DefaultOnly, "heap", "Without meaning here."),
    pg("default_tablespace", Kind::DefaultOnly, "", "Without meaning here."),
    pg("default_transaction_deferrable", Kind::Bool, "off", "Without effect: DDL alone is transactional."),
    pg("default_transaction_isolation", ISOLATION, "read committed", "Isolation of new transactions."),
    reported("default_transaction_read_only", Kind::Bool, "off", "Whether transactions only read."),
    job(
        "error-handling.mode",
        Kind::Choice(&["off", "log"]),
        "off",
        "Rows of a job that cannot be evaluated: off fails the job, log leaves them out.",
    ),
    pg("escape_string_warning", Kind::Bool, "on", "Without effect."),
    job("execution.checkpointing.interval", Kind::FlinkDuration, "1 s", "Time between two checkpoints of a job."),
    pg(
        "execution.checkpointing.mode",
        Kind::Choice(&["EXACTLY_ONCE", "AT_LEAST_ONCE"]),
        "EXACTLY_ONCE",
        "Without effect: state is exact in both, and each sink's 'sink.delivery-guarantee' decides what it may repeat.",
    ),
    pg("execution.runtime-mode", Kind::DefaultOnly, "STREAMING", "Bounded or not is decided by the sources."),
    job(
        "execution.savepoint.ignore-unclaimed-state",
        Kind::FlinkBool,
        "false",
        "Whether a savepoint may have state of operators that the job has not.",
    ),
    job("execution.savepoint.path", Kind::Text, "", "The savepoint from which the next job starts; used up by it."),
    pg("extra_float_digits", Kind::Integer(-15, 3), "1", "Floats are always printed in their shortest exact form."),
    pg("force_parallel_mode", Kind::DefaultOnly, "off", "Without meaning here."),
    pg("geqo", Kind::Bool, "on", "Without effect."),
    pg("idle_in_transaction_session_timeout", Kind::Milliseconds, "0", "Ends sessions idle in a transaction."),
    pg("idle_session_timeout", Kind::Milliseconds, "0", "Ends idle sessions."),
    reported("in_hot_standby", Kind::ReadOnly, "off", "There is no standby."),
    reported("integer_datetimes", Kind::ReadOnly, "on", "Timestamps are integers on the wire."),
    reported("IntervalStyle", Kind::Choice(&["postgres"]), "postgres", "How intervals are printed."),
    reported("is_superuser", Kind::ReadOnly, "on", "There are no roles yet."),
    pg("jit", Kind::Bool, "off", "Without effect."),
    pg("kafka.bootstrap_servers", Kind::ReadOnly, "", "Kafka of tables that name none; empty: there is none."),
    pg("lc_messages", Kind::Text, "C", "Messages are in English."),
    pg("lc_monetary", Kind::Text, "C", "Without effect."),
    pg("lc_numeric", Kind::Text, "C", "Without effect."),
    pg("lc_time", Kind::Text, "C", "Without effect."),
    pg("lock_timeout", Kind::Milliseconds, "0", "There are no locks to wait for."),
    job("lookup.read-behind", Kind::Bool, "on", "Whether look-ups wait for the jobs that fill their tables."),
    pg("max_identifier_length", Kind::ReadOnly, "63", "Longest identifier in the catalogue's views."),
    pg("max_parallel_workers_per_gather", Kind::Integer(0, 1024), "2", "Without effect."),
    job("parallelism.default", Kind::Integer(1, KEY_GROUPS as i64), "1", "Tasks for each part of a job."),
    job("pipeline.name", Kind::Text, "", "Name of the next job."),
    pg("row_security", Kind::Bool, "on", "Without effect."),
    pg(
        "query.memory.limit",
        Kind::MemorySize,
        "1 gb",
        "Memory of one statement's sorts, joins and aggregates; what is more goes to disk, or is an error (53200).",
    ),
    pg("role", Kind::DefaultOnly, "none", "There are no roles yet."),
    pg("search_path", Kind::Path, "\"$user\", public", "Schemas searched for unqualified names."),
    reported("server_encoding", Kind::ReadOnly, "UTF8", "The server's character set."),
    reported("server_version", Kind::ReadOnly, "15.18", "The version of Postgres that this server behaves like."),
    pg("server_version_num", Kind::ReadOnly, "150018", "The same as a number."),
    reported("session_authorization", Kind::ReadOnly, "", "The connected user."),
    pg("sql-client.execution.result-mode", Kind::Text, "table", "Without effect: a client shows results its own way."),
    reported("standard_conforming_strings", Kind::Choice(&["on"]), "on", "Backslashes in strings are ordinary."),
    pg("statement_timeout", Kind::Milliseconds, "0", "Ends statements that take longer."),
    job(
        "state.checkpoints.dir",
        Kind::Text,
        "",
        "Where checkpoints go: a path, file:///path or s3://bucket/prefix; empty: the data directory.",
    ),
    job("state.checkpoints.num-retained", Kind::Integer(1, 1000), "3", "Checkpoints of a job that are kept."),
    job("state.memory.budget", Kind::MemorySize, "1 gb", "A job's state in memory; what is more goes to local disk."),
    pg(
        "state.savepoints.dir",
        Kind::Text,
        "",
        "Where STOP JOB … WITH SAVEPOINT puts savepoints; empty: savepoints in the data directory.",
    ),
    pg("synchronize_seqscans", Kind::Bool, "on", "Without effect."),
    pg(
        "synchronous_commit",
        Kind::Choice(&["on", "local", "remote_write", "remote_apply"]),
        "on",
        "A commit is durable.",
    ),
    job("table.exec.async-lookup.buffer-capacity", Kind::DefaultOnly, "100", "Look-ups in flight."),
    job("table.exec.async-lookup.output-mode", Kind::DefaultOnly, "ORDERED", "Order of look-up results."),
    job("table.exec.async-lookup.timeout", Kind::DefaultOnly, "3 min", "Time a look-up may take."),
    job(
        "table.exec.mini-batch.allow-latency",
        Kind::FlinkDurationOrNone,
        "0",
        "How long results are held back while input keeps coming, if mini batches are enabled; 0: until the barrier.",
    ),
    job("table.exec.mini-batch.enabled", Kind::FlinkBool, "false", "Whether allow-latency holds."),
    pg(
        "table.exec.mini-batch.size",
        Kind::CountOrNone,
        "-1",
        "Without effect: a mini batch ends by time, when the input runs dry and at the barrier, not by its rows.",
    ),
    job("table.exec.rank.topn-cache-size", Kind::DefaultOnly, "10000", "Without meaning yet."),
    job(
        "table.exec.resource.default-parallelism",
        Kind::Parallelism,
        "-1",
        "Tasks for each part of a job; -1: parallelism.default.",
    ),
    job("table.exec.sink.keyed-shuffle", Kind::DefaultOnly, "AUTO", "Without meaning yet."),
    job("table.exec.sink.not-null-enforcer", Kind::DefaultOnly, "ERROR", "What happens to NULL in NOT NULL columns."),
    job(
        "table.exec.sink.type-length-enforcer",
        Kind::Choice(&["IGNORE", "TRIM_PAD", "ERROR"]),
        "IGNORE",
        "Values of another length than CHAR(n), VARCHAR(n), BINARY(n) say: written as they are, made to fit, or an error.",
    ),
    job(
        "table.exec.sink.upsert-materialize",
        Kind::Choice(&["NONE", "AUTO", "FORCE"]),
        "AUTO",
        "Whether rows are kept by the sink's key where the query has another one.",
    ),
    job("table.exec.source.cdc-events-duplicate", Kind::DefaultOnly, "false", "Without meaning yet."),
    job("table.exec.source.idle-timeout", Kind::DefaultOnly, "0", "When a partition counts as idle."),
    job(
        "table.exec.state.ttl",
        Kind::FlinkDurationOrNone,
        "0",
        "How long a job keeps state that is not touched; 0: for ever.",
    ),
    job("table.optimizer.agg-phase-strategy", Kind::DefaultOnly, "AUTO", "Without meaning yet."),
    job("table.optimizer.distinct-agg.split.enabled", Kind::DefaultOnly, "false", "Without meaning yet."),
    job("table.optimizer.non-deterministic-update.strategy", Kind::DefaultOnly, "IGNORE", "Without meaning yet."),
    reported("TimeZone", Kind::Zone, "UTC", "Zone of TIMESTAMP_LTZ values; the same as table.local-time-zone."),
    pg("transaction_isolation", ISOLATION, "read committed", "Isolation of this transaction."),
    pg("transaction_read_only", Kind::Bool, "off", "Whether this transaction only reads."),
    pg("work_mem", Kind::Text, "4MB", "Without effect."),
    pg("xmloption", Kind::DefaultOnly, "content", "Without meaning here."),
];

/// Other names of settings.
const ALIASES: &[(&str, &str)] = &[
    ("execution.checkpointing.dir", "state.checkpoints.dir"),
    ("execution.checkpointing.num-retained", "state.checkpoints.num-retained"),
    ("execution.checkpointing.savepoint-dir", "state.savepoints.dir"),
    ("execution.state-recovery.ignore-unclaimed-state", "execution.savepoint.ignore-unclaimed-state"),
    ("execution.state-recovery.path", "execution.savepoint.path"),
    ("table.local-time-zone", "TimeZone"),
    ("timezone", "TimeZone"),
    ("names", "client_encoding"),
    ("quote_all_identifiers", "escape_string_warning"),
];

/// The settings of a session.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    values: BTreeMap<&'static str, String>,
    /// What the start-up packet set: the values to which RESET goes back.
    initial: BTreeMap<&'static str, String>,
    /// Values before SET LOCAL.
    before_local: BTreeMap<&'static str, Option<String>>,
    /// Names whose value the client has not been told.
    unreported: Option<std::collections::BTreeSet<&'static str>>,
    /// Counts changes, so that cached plans know when they are stale.
    pub generation: u64,
}

fn find(name: &str) -> Option<&'static Definition> {
    let name = ALIASES.iter().find(|(alias, _)| alias.eq_ignore_ascii_case(name)).map_or(name, |(_, name)| name);
    DEFINITIONS.iter().find(|definition| definition.name.eq_ignore_ascii_case(name))
}

fn definition(name: &str) -> Result<&'static Definition> {
    find(name).ok_or_else(|| {
        let error = Error::not_found(format!("unrecognized configuration parameter \"{name}\"")).code("42704");
        let names = DEFINITIONS.iter().map(|definition| definition.name).chain(ALIASES.iter().map(|(name, _)| *name));
        match nearest(name, names) {
            Some(near) => error.hint(format!("Perhaps you mean \"{near}\".")),
            None => error,
        }
    })
}

impl Settings {
    /// Sets a value for the session.
    ///
    /// # Errors
    /// The setting is unknown (42704), cannot be changed (55P02), or does not take the value (22023).
    pub fn set(&mut self, name: &str, value: &str) -> Result<()> {
        let definition = definition(name)?;
        if value.contains("://") {
            crate::places::refuse_userinfo(&format!("setting \"{}\"", definition.name), value)?;
        }
        let value = normalize(definition, value)?;
        self.put(definition, Some(value));
        Ok(())
    }

    /// Sets what the start-up packet says; RESET comes back to it.
    ///
    /// # Errors
    /// As [`Self::set`].
    pub fn set_initial(&mut self, name: &str, value: &str) -> Result<()> {
        self.set(name, value)?;
        if let Some(definition) = find(name)
            && let Some(value) = self.values.get(definition.name)
        {
            self.initial.insert(definition.name, value.clone());
        }
        Ok(())
    }

    /// Sets a value that users cannot set.
    pub fn set_fixed(&mut self, name: &str, value: &str) {
        if let Some(definition) = find(name) {
            self.initial.insert(definition.name, value.to_owned());
            self.put(definition, Some(value.to_owned()));
        }
    }

    fn put(&mut self, definition: &'static Definition, value: Option<String>) {
        let before = self.current(definition);
        match value {
            Some(value) => self.values.insert(definition.name, value),
            None => self.values.remove(definition.name),
        };
        if before != self.current(definition) {
            self.generation += 1;
            if definition.reported
                && let Some(unreported) = &mut self.unreported
            {
                unreported.insert(definition.name);
            }
        }
    }

    /// Goes back to the default.
    ///
    /// # Errors
    /// The setting is unknown.
    pub fn reset(&mut self, name: &str) -> Result<()> {
        let definition = definition(name)?;
        self.put(definition, self.initial.get(definition.name).cloned());
        Ok(())
    }

    /// Goes back to the defaults.
    pub fn reset_all(&mut self) {
        for definition in DEFINITIONS {
            self.put(definition, self.initial.get(definition.name).cloned());
        }
    }

    /// Remembers the value before SET LOCAL.
    ///
    /// # Errors
    /// The setting is unknown.
    pub fn begin_local(&mut self, name: &str) -> Result<()> {
        let definition = definition(name)?;
        let before = self.values.get(definition.name).cloned();
        self.before_local.entry(definition.name).or_insert(before);
        Ok(())
    }

    /// Ends the effect of SET LOCAL.
    pub fn end_local(&mut self) {
        for (name, value) in std::mem::take(&mut self.before_local) {
            if let Some(definition) = find(name) {
                self.put(definition, value);
            }
        }
    }

    /// Goes back to the values of another moment (ROLLBACK).
    pub fn restore(&mut self, before: &Settings) {
        self.before_local.clear();
        for definition in DEFINITIONS {
            self.put(definition, before.values.get(definition.name).cloned());
        }
    }

    fn current(&self, definition: &Definition) -> String {
        self.values.get(definition.name).cloned().unwrap_or_else(|| definition.default.to_owned())
    }

    /// A value.
    ///
    /// # Errors
    /// The setting is unknown.
    pub fn get(&self, name: &str) -> Result<String> {
        Ok(self.current(definition(name)?))
    }

    /// The name as SHOW writes it over its column.
    pub fn display_name(&self, name: &str) -> String {
        match find(name) {
            Some(definition) if !ALIASES.iter().any(|(alias, _)| *alias == name && name.contains('.')) => {
                definition.name.to_owned()
            }
            _ => name.to_owned(),
        }
    }

    /// All settings with values and descriptions.
    pub fn all(&self) -> Vec<(String, String, &'static str)> {
        DEFINITIONS
            .iter()
            .map(|definition| (definition.name.to_owned(), self.current(definition), definition.description))
            .collect()
    }

    /// The reported settings that changed since the last call; all of them at first.
    pub fn take_changes(&mut self) -> Vec<(String, String)> {
        let names = self.unreported.replace(std::collections::BTreeSet::new());
        DEFINITIONS
            .iter()
            .filter(|definition| {
                definition.reported && names.as_ref().is_none_or(|names| names.contains(definition.name))
            })
            .map(|definition| (definition.name.to_owned(), self.current(definition)))
            .collect()
    }

    /// The session's time zone, an IANA name.
    pub fn time_zone(&self) -> String {
        self.get("TimeZone").unwrap_or_else(|_| "UTC".to_owned())
    }

    /// Bytes that one statement may compute in.
    pub fn query_memory_bytes(&self) -> usize {
        let bytes = self.get("query.memory.limit").and_then(|text| parse_memory_size(&text)).unwrap_or(1 << 30);
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }

    /// A duration in milliseconds; `None` for 0.
    pub fn timeout(&self, name: &str) -> Option<Duration> {
        let text = self.get(name).ok()?;
        milliseconds(&text).ok().filter(|ms| *ms > 0).map(Duration::from_millis)
    }

    /// Schemas searched, `$user` replaced.
    pub fn search_path(&self, user: &str) -> Vec<String> {
        let path = self.get("search_path").unwrap_or_default();
        split_path(&path)
            .into_iter()
            .map(|schema| if schema == "$user" { user.to_owned() } else { schema })
            .filter(|schema| !schema.is_empty())
            .collect()
    }

    /// Whether a setting was set to something that has no effect; its description says why.
    pub fn without_effect(&self, name: &str) -> Option<&'static str> {
        let definition = find(name).filter(|definition| definition.name == "table.exec.mini-batch.size")?;
        (self.current(definition) != definition.default).then_some(definition.description)
    }

    /// What a job keeps of the settings: those that were set.
    pub fn of_jobs(&self) -> BTreeMap<String, String> {
        let mut options: BTreeMap<String, String> = DEFINITIONS
            .iter()
            .filter(|definition| definition.job && definition.name != "pipeline.name")
            .filter_map(|definition| {
                self.values.get(definition.name).map(|value| (definition.name.to_owned(), value.clone()))
            })
            .filter(|(_, value)| !value.trim().is_empty())
            .collect();
        options
            .entry("execution.checkpointing.interval".to_owned())
            .or_insert_with(|| self.get("execution.checkpointing.interval").unwrap_or_default());
        options
    }
}

fn split_path(path: &str) -> Vec<String> {
    let mut schemas = Vec::new();
    let mut current = String::new();
    let mut quoted = false;
    let mut was_quoted = false;
    for c in path.chars() {
        match c {
            '"' => {
                quoted = !quoted;
                was_quoted = true;
            }
            ',' if !quoted => {
                schemas.push((std::mem::take(&mut current), std::mem::take(&mut was_quoted)));
            }
            c => current.push(c),
        }
    }
    schemas.push((current, was_quoted));
    schemas
        .into_iter()
        .map(|(schema, quoted)| if quoted { schema.trim().to_owned() } else { schema.trim().to_lowercase() })
        .collect()
}

fn normalize(definition: &Definition, value: &str) -> Result<String> {
    let name = definition.name;
    let invalid = || Error::invalid(format!("invalid value for parameter \"{name}\": \"{value}\"")).code("22023");
    let trimmed = value.trim();
    Ok(match definition.kind {
        Kind::Text if name == "DateStyle" => {
            let lower = trimmed.to_lowercase();
            let is_iso = lower.split(',').all(|part| {
                matches!(part.trim(), "iso" | "mdy" | "dmy" | "ymd" | "us" | "european" | "euro" | "default")
            });
            if !is_iso {
                return Err(Error::unsupported(format!("DateStyle \"{value}\" is not supported, only ISO is")));
            }
            let order = ["dmy", "ymd"].into_iter().find(|order| lower.contains(order)).unwrap_or("mdy");
            format!("ISO, {}", order.to_uppercase())
        }
        Kind::Text | Kind::Path => value.to_owned(),
        Kind::Bool => match trimmed.to_lowercase().as_str() {
            "on" | "true" | "yes" | "1" | "t" | "y" => "on".to_owned(),
            "off" | "false" | "no" | "0" | "f" | "n" => "off".to_owned(),
            _ => return Err(Error::invalid(format!("parameter \"{name}\" requires a Boolean value")).code("22023")),
        },
        Kind::Integer(least, most) => {
            let number: i64 = trimmed.parse().map_err(|_| invalid())?;
            if !(least..=most).contains(&number) {
                return Err(Error::invalid(format!(
                    "{number} is outside the valid range for parameter \"{name}\" ({least} .. {most})"
                ))
                .code("22023"));
            }
            number.to_string()
        }
        Kind::Choice(choices) => {
            let plain = |text: &str| text.to_lowercase().replace(['-', '\''], "");
            let wanted = if name == "standard_conforming_strings" && matches!(trimmed, "true" | "1" | "yes") {
                "on".to_owned()
            } else {
                plain(trimmed)
            };
            let wanted = if name == "client_encoding" && matches!(wanted.as_str(), "unicode" | "utf8") {
                "utf8".to_owned()
            } else {
                wanted
            };
            match choices.iter().find(|choice| plain(choice) == wanted) {
                Some(choice) => (*choice).to_owned(),
                None if choices.len() == 1 => {
                    return Err(Error::unsupported(format!(
                        "\"{name}\" = '{value}' is not supported, only '{}' is",
                        choices[0]
                    )));
                }
                None => {
                    return Err(invalid().hint(format!("Available values: {}.", choices.join(", "))));
                }
            }
        }
        Kind::Milliseconds => display_milliseconds(milliseconds(trimmed).map_err(|()| {
            invalid().hint("Valid units for this parameter are \"us\", \"ms\", \"s\", \"min\", \"h\", and \"d\".")
        })?),
        Kind::FlinkDuration | Kind::FlinkDurationOrNone => {
            let duration = crate::options::parse_duration(trimmed)
                .map_err(|_| invalid().hint("Write a number and a unit, such as 500 ms, 10 s, 5 min, 1 h or 30 d."))?;
            if duration.is_zero() && definition.kind == Kind::FlinkDuration {
                return Err(invalid());
            }
            trimmed.to_owned()
        }
        Kind::FlinkBool => match trimmed.to_lowercase().as_str() {
            "true" | "on" => "true".to_owned(),
            "false" | "off" => "false".to_owned(),
            _ => return Err(invalid().hint("Available values: true, false.")),
        },
        Kind::Parallelism | Kind::CountOrNone => {
            let most = if definition.kind == Kind::Parallelism { KEY_GROUPS as i64 } else { i64::MAX };
            let number: i64 = trimmed.parse().map_err(|_| invalid())?;
            if number != -1 && !(1..=most).contains(&number) {
                return Err(invalid().hint(format!("Available values: -1, and 1 to {most}.")));
            }
            number.to_string()
        }
        Kind::MemorySize => {
            parse_memory_size(trimmed)
                .map_err(|_| invalid().hint("Write a number and a unit, such as 512 mb or 4 gb."))?;
            trimmed.to_owned()
        }
        Kind::Zone => zone(trimmed).ok_or_else(invalid)?,
        Kind::DefaultOnly => {
            if !same_value(trimmed, definition.default) {
                return Err(Error::unsupported(format!("\"{name}\" = '{value}' is not supported yet"))
                    .detail(format!("Only its default '{}' is.", definition.default)));
            }
            definition.default.to_owned()
        }
        Kind::ReadOnly => {
            return Err(Error::invalid(format!("parameter \"{name}\" cannot be changed")).code("55P02"));
        }
    })
}

fn same_value(left: &str, right: &str) -> bool {
    let duration = |text: &str| crate::options::parse_duration(text).ok();
    let boolean = |text: &str| match text.to_lowercase().as_str() {
        "on" | "true" | "yes" => Some(true),
        "off" | "false" | "no" => Some(false),
        _ => None,
    };
    left.replace('_', "-").eq_ignore_ascii_case(&right.replace('_', "-"))
        || (boolean(left).is_some() && boolean(left) == boolean(right))
        || (duration(left).is_some() && duration(left) == duration(right))
}

/// An IANA name, or a fixed offset of whole hours, as one that chrono-tz and Arrow know.
fn zone(text: &str) -> Option<String> {
    if let Ok(zone) = text.parse::<chrono_tz::Tz>() {
        return Some(zone.name().to_owned());
    }
    if let Some(zone) = chrono_tz::TZ_VARIANTS.iter().find(|zone| zone.name().eq_ignore_ascii_case(text)) {
        return Some(zone.name().to_owned());
    }
    let offset = text.trim_start_matches("UTC").trim_start_matches("GMT");
    let (sign, digits) = match offset.strip_prefix('-') {
        Some(digits) => ('+', digits),
        None => ('-', offset.strip_prefix('+').unwrap_or(offset)),
    };
    let hours: u32 = match digits.split_once(':') {
        Some((hours, "00")) => hours.parse().ok()?,
        Some(_) => return None,
        None => digits.parse().ok()?,
    };
    match hours {
        0 => Some("UTC".to_owned()),
        // POSIX turns the sign round: Etc/GMT-8 is eight hours east.
        hours if hours <= 14 => {
            format!("Etc/GMT{sign}{hours}").parse::<chrono_tz::Tz>().ok().map(|zone| zone.name().to_owned())
        }
        _ => None,
    }
}

fn milliseconds(text: &str) -> Result<u64, ()> {
    let digits = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: f64 = number.parse().map_err(|_| ())?;
    let factor = match unit.trim() {
        "" | "ms" => 1.0,
        "us" => 0.001,
        "s" => 1_000.0,
        "min" => 60_000.0,
        "h" => 3_600_000.0,
        "d" => 86_400_000.0,
        _ => return Err(()),
    };
    let ms = (number * factor).round();
    if !(0.0..=2_147_483_647.0).contains(&ms) {
        return Err(());
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounds are checked above")]
    Ok(ms as u64)
}

fn display_milliseconds(ms: u64) -> String {
    for (unit, factor) in [("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1_000)] {
        if ms > 0 && ms.is_multiple_of(factor) {
            return format!("{}{unit}", ms / factor);
        }
    }
    if ms == 0 { "0".to_owned() } else { format!("{ms}ms") }
}

#[cfg(test)]
mod tests;
