//! All settings there are: names, kinds of values, defaults, and what they do.

use std::sync::LazyLock;

use crate::engine::dataflow::JOB_SETTINGS;
use crate::error::{Error, Result, SqlState};
use crate::nearest::nearest;
use crate::options::setting::Kind;

/// A setting.
#[derive(Clone)]
pub(super) struct Definition {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) default: &'static str,
    /// Told to the client by ParameterStatus.
    pub(super) reported: bool,
    /// Whether jobs keep it, as [`JOB_SETTINGS`] says.
    pub(super) of_jobs: bool,
    pub(super) description: &'static str,
}

const fn pg(name: &'static str, kind: Kind, default: &'static str, description: &'static str) -> Definition {
    Definition { name, kind, default, reported: false, of_jobs: false, description }
}

const fn reported(name: &'static str, kind: Kind, default: &'static str, description: &'static str) -> Definition {
    Definition { name, kind, default, reported: true, of_jobs: false, description }
}

const ISOLATION: Kind = Kind::Choice(&["read committed", "read uncommitted", "repeatable read", "serializable"]);
const LEVELS: Kind = Kind::Choice(&[
    "debug5", "debug4", "debug3", "debug2", "debug1", "debug", "log", "info", "notice", "warning", "error",
]);

/// RFC 7677's lower bound, and one above which each login would take a client seconds.
const SCRAM_ITERATIONS: (i64, i64) = (4096, 10_000_000);

/// All settings, sorted by name without regard to case.
pub(super) static DEFINITIONS: LazyLock<Vec<Definition>> = LazyLock::new(|| {
    let mut all: Vec<Definition> = OF_SESSIONS.to_vec();
    all.extend(JOB_SETTINGS.iter().map(|setting| Definition {
        name: setting.name,
        kind: setting.kind,
        default: setting.default,
        reported: false,
        of_jobs: true,
        description: setting.description,
    }));
    all.sort_by_cached_key(|definition| definition.name.to_lowercase());
    all
});

/// Those that no job keeps.
static OF_SESSIONS: &[Definition] = &[
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
    pg("default_transaction_deferrable", Kind::Bool, "off", "Without effect: nothing is deferred."),
    pg("default_transaction_isolation", ISOLATION, "read committed", "Isolation of new transactions."),
    reported("default_transaction_read_only", Kind::Bool, "off", "Whether transactions only read."),
    pg("escape_string_warning", Kind::Bool, "on", "Without effect."),
    pg(
        "execution.checkpointing.mode",
        Kind::Choice(&["EXACTLY_ONCE", "AT_LEAST_ONCE"]),
        "EXACTLY_ONCE",
        "Without effect: state is exact in both, and each sink's 'sink.delivery-guarantee' decides what it may repeat.",
    ),
    pg("execution.runtime-mode", Kind::DefaultOnly, "STREAMING", "Bounded or not is decided by the sources."),
    pg("extra_float_digits", Kind::Integer(-15, 3), "1", "Floats are always printed in their shortest exact form."),
    pg("force_parallel_mode", Kind::DefaultOnly, "off", "Without meaning here."),
    pg("geqo", Kind::Bool, "on", "Without effect."),
    pg("idle_in_transaction_session_timeout", Kind::Milliseconds, "0", "Ends sessions idle in a transaction."),
    pg("idle_session_timeout", Kind::Milliseconds, "0", "Ends idle sessions."),
    reported("in_hot_standby", Kind::ReadOnly, "off", "There is no standby."),
    reported("integer_datetimes", Kind::ReadOnly, "on", "Timestamps are integers on the wire."),
    reported("IntervalStyle", Kind::Choice(&["postgres"]), "postgres", "How intervals are printed."),
    reported("is_superuser", Kind::ReadOnly, "on", "Whether the connected role is a superuser."),
    pg("jit", Kind::Bool, "off", "Without effect."),
    pg("kafka.bootstrap_servers", Kind::ReadOnly, "", "Kafka of tables that name none; empty: there is none."),
    pg("lc_messages", Kind::Text, "C", "Messages are in English."),
    pg("lc_monetary", Kind::Text, "C", "Without effect."),
    pg("lc_numeric", Kind::Text, "C", "Without effect."),
    pg("lc_time", Kind::Text, "C", "Without effect."),
    pg("lock_timeout", Kind::Milliseconds, "0", "Ends statements that wait longer to change rows of local tables."),
    pg("max_identifier_length", Kind::ReadOnly, "63", "Longest identifier in the catalog's views."),
    pg("max_parallel_workers_per_gather", Kind::Integer(0, 1024), "2", "Without effect."),
    pg("pipeline.name", Kind::Text, "", "Name of the next job."),
    pg(
        "query.memory.limit",
        Kind::MemorySize,
        "1 gb",
        "Memory of one statement's sorts, joins and aggregates; what is more goes to disk, or is an error (53200).",
    ),
    pg("role", Kind::ReadOnly, "none", "The role that SET ROLE has put in the place of the session's own."),
    pg("row_security", Kind::Bool, "on", "Without effect."),
    pg(
        "scram_iterations",
        Kind::Integer(SCRAM_ITERATIONS.0, SCRAM_ITERATIONS.1),
        "4096",
        "Rounds of hashing of the passwords that are set from now on.",
    ),
    pg("search_path", Kind::Path, "\"$user\", public", "Schemas searched for unqualified names."),
    reported("server_encoding", Kind::ReadOnly, "UTF8", "The server's character set."),
    reported("server_version", Kind::ReadOnly, "15.18", "The version of Postgres that this server behaves like."),
    pg("server_version_num", Kind::ReadOnly, "150018", "The same as a number."),
    reported("session_authorization", Kind::ReadOnly, "", "The role of the session."),
    pg("sql-client.execution.result-mode", Kind::Text, "table", "Without effect: a client shows results its own way."),
    reported("standard_conforming_strings", Kind::Choice(&["on"]), "on", "Backslashes in strings are ordinary."),
    pg(
        "state.savepoints.dir",
        Kind::Text,
        "",
        "Where STOP JOB … WITH SAVEPOINT puts savepoints; empty: savepoints in the data directory.",
    ),
    pg("statement_timeout", Kind::Milliseconds, "0", "Ends statements that take longer."),
    pg("synchronize_seqscans", Kind::Bool, "on", "Without effect."),
    pg(
        "synchronous_commit",
        Kind::Choice(&["on", "local", "remote_write", "remote_apply"]),
        "on",
        "A commit is durable.",
    ),
    pg("table.exec.async-lookup.buffer-capacity", Kind::DefaultOnly, "100", "Lookups in flight."),
    pg("table.exec.async-lookup.output-mode", Kind::DefaultOnly, "ORDERED", "Order of lookup results."),
    pg("table.exec.async-lookup.timeout", Kind::DefaultOnly, "3 min", "Time a lookup may take."),
    pg(
        "table.exec.mini-batch.size",
        Kind::CountOrNone(i64::MAX),
        "-1",
        "Without effect: a mini batch ends by time, when the input runs dry and at the barrier, not by its rows.",
    ),
    pg("table.exec.rank.topn-cache-size", Kind::DefaultOnly, "10000", "Without meaning yet."),
    pg("table.exec.sink.keyed-shuffle", Kind::DefaultOnly, "AUTO", "Without meaning yet."),
    pg("table.exec.sink.not-null-enforcer", Kind::DefaultOnly, "ERROR", "What happens to NULL in NOT NULL columns."),
    pg("table.exec.source.cdc-events-duplicate", Kind::DefaultOnly, "false", "Without meaning yet."),
    pg("table.exec.source.idle-timeout", Kind::DefaultOnly, "0", "When a partition counts as idle."),
    pg("table.optimizer.agg-phase-strategy", Kind::DefaultOnly, "AUTO", "Without meaning yet."),
    pg("table.optimizer.distinct-agg.split.enabled", Kind::DefaultOnly, "false", "Without meaning yet."),
    pg("table.optimizer.non-deterministic-update.strategy", Kind::DefaultOnly, "IGNORE", "Without meaning yet."),
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
        let error = Error::not_found(format!("unrecognized configuration parameter \"{name}\""))
            .code(SqlState::UndefinedObject);
        let names = DEFINITIONS.iter().map(|definition| definition.name).chain(ALIASES.iter().map(|(name, _)| *name));
        match nearest(name, names) {
            Some(near) => error.hint(format!("Perhaps you mean \"{near}\".")),
            None => error,
        }
    })
}
