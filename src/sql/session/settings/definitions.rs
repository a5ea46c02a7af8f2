//! All settings there are: names, kinds of values, defaults, and what they do.

use crate::engine::key_group::KEY_GROUPS;
use crate::error::{Error, Result};
use crate::nearest::nearest;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
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

pub(super) struct Definition {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) default: &'static str,
    /// Told to the client by ParameterStatus.
    pub(super) reported: bool,
    /// A setting of jobs, kept in their dataflow.
    pub(super) job: bool,
    pub(super) description: &'static str,
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
pub(super) static DEFINITIONS: &[Definition] = &[
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
pub(super) const ALIASES: &[(&str, &str)] = &[
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

pub(super) fn find(name: &str) -> Option<&'static Definition> {
    let name = ALIASES.iter().find(|(alias, _)| alias.eq_ignore_ascii_case(name)).map_or(name, |(_, name)| name);
    DEFINITIONS.iter().find(|definition| definition.name.eq_ignore_ascii_case(name))
}

pub(super) fn definition(name: &str) -> Result<&'static Definition> {
    find(name).ok_or_else(|| {
        let error = Error::not_found(format!("unrecognized configuration parameter \"{name}\"")).code("42704");
        let names = DEFINITIONS.iter().map(|definition| definition.name).chain(ALIASES.iter().map(|(name, _)| *name));
        match nearest(name, names) {
            Some(near) => error.hint(format!("Perhaps you mean \"{near}\".")),
            None => error,
        }
    })
}
