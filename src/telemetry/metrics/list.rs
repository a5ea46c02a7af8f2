//! All metrics. docs/reference/metrics.md is written from them; a test scrapes a server and fails for one that has no value.

use super::entry::{MetricEntry, metric_entries};

const JOB: &[&str] = &["job"];
const OPERATOR: &[&str] = &["job", "operator"];
const PARTITION: &[&str] = &["job", "split"];

metric_entries! {
    /// All metrics, in the order in which they are written.
    pub METRICS:

    BUILD_INFO = MetricEntry::gauge("streamgate_build_info", &["version"],
        "1; its label is the server's version", "the build");
    READY = MetricEntry::gauge("streamgate_ready", &[],
        "1 while the server takes sessions, 0 while it starts or stops", "as /readyz");

    JOB_STATE = MetricEntry::gauge("streamgate_job_state", &["job", "state"],
        "1 for the state that the job is in, 0 for all others", "`state` of streamgate.jobs");
    JOB_STATE_SINCE = MetricEntry::gauge("streamgate_job_state_since_timestamp_seconds", JOB,
        "Since when the job is in its state, in seconds since 1970", "`since` of streamgate.jobs");
    JOB_WAITING = MetricEntry::gauge("streamgate_job_waiting_seconds", JOB,
        "How long the job has waited for what it waits for now; 0 if for nothing", "`waits_since` of streamgate.jobs");
    JOB_RESTARTS = MetricEntry::counter("streamgate_job_restarts_total", JOB,
        "How often the job's tasks were started again after a failure", "`restarts` of streamgate.jobs");
    JOB_RECORDS_READ = MetricEntry::counter("streamgate_job_records_read_total", JOB,
        "Rows that the job's sources gave", "`rows_in` of streamgate.jobs");
    JOB_RECORDS_WRITTEN = MetricEntry::counter("streamgate_job_records_written_total", JOB,
        "Rows that the job's sinks took", "`rows_out` of streamgate.jobs");
    JOB_READ_BYTES = MetricEntry::counter("streamgate_job_read_bytes_total", JOB,
        "Bytes of what the job read", "`bytes_in` of streamgate.jobs");
    JOB_WRITTEN_BYTES = MetricEntry::counter("streamgate_job_written_bytes_total", JOB,
        "Bytes of what the job wrote", "`bytes_out` of streamgate.jobs");
    JOB_SKIPPED = MetricEntry::counter("streamgate_job_skipped_records_total", JOB,
        "Records and rows that were left out by rule: unreadable, or with a NULL key", "`skipped` of streamgate.jobs");
    JOB_NULL_KEYS = MetricEntry::counter("streamgate_job_null_keys_total", JOB,
        "Of the rows left out, those whose key was NULL or empty", "`null_keys` of streamgate.jobs");
    JOB_NULLED_VALUES = MetricEntry::counter("streamgate_job_nulled_values_total", JOB,
        "Values that could not be read and became NULL", "`nulled_values` of streamgate.jobs");
    JOB_UNMATCHED = MetricEntry::counter("streamgate_job_unmatched_changes_total", JOB,
        "Changes that took back a row which was not there", "`unmatched_changes` of streamgate.jobs");
    JOB_ROW_ERRORS = MetricEntry::counter("streamgate_job_row_errors_total", JOB,
        "Rows that could not be evaluated or written and were left out", "`row_errors` of streamgate.jobs");
    JOB_LAG = MetricEntry::gauge("streamgate_job_lag_records", PARTITION,
        "Records of the partition that wait for the job; absent while its end is not known", "`lag` of streamgate.job_splits");

    JOB_CHECKPOINTS = MetricEntry::counter("streamgate_job_checkpoints_total", JOB,
        "Checkpoints that were completed", "the checkpoint coordinator");
    JOB_CHECKPOINTS_FAILED = MetricEntry::counter("streamgate_job_checkpoints_failed_total", JOB,
        "Checkpoints that could not be completed", "the checkpoint coordinator");
    JOB_CHECKPOINT_DURATION = MetricEntry::gauge("streamgate_job_checkpoint_duration_seconds", JOB,
        "How long the last checkpoint took, from its barrier to its decision",
        "`duration_ms` of streamgate.job_checkpoints");
    JOB_CHECKPOINT_STALL = MetricEntry::gauge("streamgate_job_checkpoint_stall_seconds", JOB,
        "The longest time that a task stood still for the last checkpoint", "`stall_ms` of streamgate.job_checkpoints");
    JOB_CHECKPOINT_SIZE = MetricEntry::gauge("streamgate_job_checkpoint_size_bytes", JOB,
        "Bytes of state that the last checkpoint wrote", "`bytes` of streamgate.job_checkpoints");
    JOB_CHECKPOINT_TIME = MetricEntry::gauge("streamgate_job_last_checkpoint_timestamp_seconds", JOB,
        "When the last checkpoint was complete, in seconds since 1970; time() less it is its age",
        "`at` of streamgate.job_checkpoints");

    OPERATOR_ROWS_IN = MetricEntry::counter("streamgate_operator_rows_in_total", OPERATOR,
        "Rows that the operator took in", "`rows_in` of streamgate.job_operators");
    OPERATOR_ROWS_OUT = MetricEntry::counter("streamgate_operator_rows_out_total", OPERATOR,
        "Rows that the operator gave out", "`rows_out` of streamgate.job_operators");
    OPERATOR_BUSY = MetricEntry::counter("streamgate_operator_busy_seconds_total", OPERATOR,
        "Time that the operator's tasks were at work; its rate is what `busy` of streamgate.job_operators says",
        "the task loop");
    OPERATOR_BACKPRESSURED = MetricEntry::counter("streamgate_operator_backpressured_seconds_total", OPERATOR,
        "Time that the operator's tasks were held up by what follows; its rate is what `backpressured` says",
        "the task loop");
    OPERATOR_STATE_KEYS = MetricEntry::gauge("streamgate_operator_state_keys", OPERATOR,
        "Keys of the operator's state", "`state_keys` of streamgate.job_operators");
    OPERATOR_STATE_BYTES = MetricEntry::gauge("streamgate_operator_state_bytes", OPERATOR,
        "Bytes of the operator's state in memory", "`state_bytes` of streamgate.job_operators");
    OPERATOR_SPILLED_BYTES = MetricEntry::gauge("streamgate_operator_spilled_bytes", OPERATOR,
        "Bytes of the operator's state on local disk", "`spilled_bytes` of streamgate.job_operators");
    OPERATOR_WATERMARK = MetricEntry::gauge("streamgate_operator_watermark_timestamp_seconds", OPERATOR,
        "How far event time is, in seconds since 1970; absent where nothing tells",
        "`watermark` of streamgate.job_operators");

    CONNECTOR_REQUESTS = MetricEntry::counter("streamgate_connector_requests_total", OPERATOR,
        "Requests to the outside system that the job sent for the operator", "`requests` of streamgate.job_operators");
    CONNECTOR_RETRIES = MetricEntry::counter("streamgate_connector_retries_total", OPERATOR,
        "Requests, or items of them, that were sent again", "`retries` of streamgate.job_operators");
    CONNECTOR_THROTTLED = MetricEntry::counter("streamgate_connector_throttled_total", OPERATOR,
        "Requests that the outside system refused because there were too many", "the connector");

    CONNECTIONS = MetricEntry::gauge("streamgate_connections", &[],
        "Sessions that are open", "the Postgres listener");
    CONNECTIONS_MAX = MetricEntry::gauge("streamgate_connections_max", &[],
        "Sessions that may be open at the same time", "`max_connections` of the configuration");
    CONNECTIONS_OPENED = MetricEntry::counter("streamgate_connections_opened_total", &[],
        "Sessions that were opened", "the Postgres listener");
    CONNECTIONS_REFUSED = MetricEntry::counter("streamgate_connections_refused_total", &[],
        "Clients that were refused because there were too many sessions", "the Postgres listener");
    STATEMENTS = MetricEntry::counter("streamgate_statements_total", &["command", "outcome"],
        "Statements that ended, by command and by outcome: ok, error or cancelled (by the client, a time-out, or its going away)",
        "the Postgres protocol");
    STATEMENT_DURATION = MetricEntry::histogram("streamgate_statement_duration_seconds", &[],
        "How long statements took, to the last row or to the first portion that the client asked for", "the Postgres protocol");
    QUERIES_UNSTOPPABLE = MetricEntry::gauge("streamgate_queries_unstoppable", &[],
        "Cancelled computations that go on because they do not come to a pause", "the threads of queries");
    QUERY_THREADS_REPLACED = MetricEntry::counter("streamgate_query_threads_replaced_total", &[],
        "How often threads of queries were started because those that were there did not come to a pause",
        "the threads of queries");

    QUERY_MEMORY_USED = MetricEntry::gauge("streamgate_query_memory_used_bytes", &[],
        "Memory that queries have taken of their pool", "the pool of queries");
    QUERY_MEMORY_LIMIT = MetricEntry::gauge("streamgate_query_memory_limit_bytes", &[],
        "Memory that all queries together may take", "`query_memory` of the configuration");
    PROCESS_RESIDENT_MEMORY = MetricEntry::gauge("process_resident_memory_bytes", &[],
        "Memory of the process that is in RAM", "Linux");
    PROCESS_VIRTUAL_MEMORY = MetricEntry::gauge("process_virtual_memory_bytes", &[],
        "Addresses that the process has taken", "Linux");
    PROCESS_CPU = MetricEntry::counter("process_cpu_seconds_total", &[],
        "Time on processors, for the process and for the kernel on its behalf", "Linux");
    PROCESS_OPEN_FILES = MetricEntry::gauge("process_open_fds", &[],
        "File descriptors that are open", "Linux");
    PROCESS_START_TIME = MetricEntry::gauge("process_start_time_seconds", &[],
        "When the server was started, in seconds since 1970", "the server's clock");
}
