//! One session: its settings, its transaction, its statements. The wire layer drives it; every result is a stream.
//!
//! A statement is read and planned by `prepare`, and run by `execute`. The plan made by `prepare` is good for the first execution;
//! later ones plan again when the catalog, the settings or the time may have changed.

mod declare;
mod existing_jobs;
mod held;
mod inserts;
mod prepare;
mod statement_set;
mod transaction;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::execution::session_state::SessionState;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::scalar::ScalarValue;
use futures::{StreamExt, stream};

use super::server::{SessionView, SqlServer, SystemFunctions};
use super::settings::Settings;
use super::statements::Statement;
use crate::catalog::{Change, DEFAULT_DATABASE, Snapshot, TableEntry};
use crate::connectors::table_provider::ScanNotices;
use crate::connectors::{LengthEnforcer, OptionValue, StatementCounts};
use crate::error::{Error, Result};
use crate::functions::memory::ValueLimit;
use crate::sql::execution::query_memory::frugal;
use crate::sql::execution::{background_stream, query_memory};
use crate::sql::parser::splitter::{self, StatementText};
use crate::sql::planning::error_map::refine;
use crate::sql::planning::job_plan::PlannedJob;
use crate::sql::planning::names::{Names, TEMPORARY_SCHEMA, Target};
use crate::sql::planning::planned::Planned;
use crate::sql::planning::planner::Planner;
use crate::sql::planning::result_names::{MARK, without_mark};
use crate::threads::Deep;
pub use existing_jobs::Existing;
pub use held::HELD_BYTES_MAX;
use statement_set::OpenSet;
use transaction::Savepoint;

/// Start-up parameters of a session.
#[derive(Debug, Clone, Default)]
pub struct SessionOptions {
    /// `user`
    pub user: String,
    /// `database`; must exist.
    pub database: String,
    /// Further settings (`application_name`, `TimeZone`, `options=-c …`), set as by SET.
    pub settings: Vec<(String, String)>,
    /// Process id given to the client for cancel requests; shown by pg_backend_pid().
    pub process_id: i32,
}

/// `I`, `T` or `E` of ReadyForQuery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionStatus {
    /// Outside a block.
    Idle,
    /// Inside BEGIN … COMMIT.
    Open,
    /// Inside a failed block: everything but ROLLBACK and COMMIT is refused with 25P02.
    Failed,
}

/// How grave a notice is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// NOTICE
    Notice,
    /// WARNING
    Warning,
}

/// Something to tell the client beside the result.
#[derive(Debug, Clone)]
pub struct Notice {
    /// NOTICE or WARNING.
    pub severity: Severity,
    /// One line, lower case.
    pub message: String,
    /// A sentence.
    pub detail: Option<String>,
    /// A sentence.
    pub hint: Option<String>,
}

/// A statement analysed once; executed with parameters as often as wanted. Cheap to clone.
#[derive(Clone)]
pub struct Prepared {
    /// Types of `$1 …`.
    pub parameter_types: Vec<DataType>,
    /// Columns of the result; `None` for statements without rows.
    pub result: Option<SchemaRef>,
    inner: Arc<PreparedInner>,
}

struct PreparedInner {
    text: StatementText,
    statement: Arc<Deep<Statement>>,
    /// What the client said of the parameters.
    given_types: Vec<Option<DataType>>,
    plan: Option<CachedPlan>,
}

struct CachedPlan {
    planned: Planned,
    snapshot: Arc<Snapshot>,
    generation: u64,
    /// Whether the plan is good for one execution only.
    once: bool,
    used: AtomicBool,
}

impl CachedPlan {
    fn is_good(&self, snapshot: &Arc<Snapshot>, generation: u64) -> bool {
        Arc::ptr_eq(&self.snapshot, snapshot)
            && self.generation == generation
            && !(self.used.swap(true, Ordering::Relaxed) && self.once)
    }
}

/// What execution gives.
pub enum Outcome {
    /// Rows, then the tag: `SELECT`, `SHOW`, `EXPLAIN`, … to which the wire layer adds the count where Postgres does (`SELECT n`).
    Rows {
        /// Verb of the tag.
        verb: &'static str,
        /// Columns.
        schema: SchemaRef,
        /// Rows as they come. Dropping it ends the query.
        stream: SendableRecordBatchStream,
    },
    /// Done, with the whole tag: `CREATE TABLE`, `INSERT 0 5`, `BEGIN`.
    Done {
        /// Command tag.
        tag: String,
    },
    /// An empty statement.
    Empty,
}

/// What is kept of the settings as long as they do not change.
#[derive(Clone)]
struct Derived {
    state: Arc<SessionState>,
    view: Arc<SessionView>,
    functions: Arc<SystemFunctions>,
}

/// One client's session.
pub struct Session {
    server: Arc<SqlServer>,
    user: String,
    process_id: i32,
    database: String,
    settings: Settings,
    /// With the generation of the settings that it follows from.
    derived: Option<(u64, Derived)>,
    temporary: Arc<BTreeMap<String, TableEntry>>,
    prepared: BTreeMap<String, Prepared>,
    /// Of prepared statements and portals.
    held_bytes: usize,
    notices: Vec<Notice>,
    /// What the last query or INSERT has left out.
    counts: Option<Arc<StatementCounts>>,
    block: TransactionStatus,
    /// A statement of this message failed; what the message changed is rolled back at its end.
    message_failed: bool,
    pending: Vec<Change>,
    savepoints: Vec<Savepoint>,
    /// INSERTs of the block that do not end: a job at COMMIT.
    inserts: Vec<PlannedJob>,
    /// A statement set that comes in parts.
    set: Option<OpenSet>,
    /// The catalog with the pending changes, over which snapshot and of how many changes.
    overlay: Option<(Arc<Snapshot>, usize, Arc<Snapshot>)>,
    settings_before: Option<Box<Settings>>,
    /// Jobs to wait for after the commit.
    to_settle: Vec<String>,
}

impl Session {
    /// Opens a session.
    ///
    /// # Errors
    /// The database does not exist (3D000), or a setting is refused.
    pub fn open(server: Arc<SqlServer>, options: SessionOptions) -> Result<Self> {
        let database = if options.database.is_empty() { options.user.clone() } else { options.database };
        let snapshot = server.catalog.snapshot();
        let database =
            crate::sql::planning::names::pick(&database, snapshot.databases.keys()).cloned().ok_or_else(|| {
                let names = snapshot.databases.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
                Error::not_found(format!("database \"{database}\" does not exist"))
                    .code("3D000")
                    .hint(format!("There is: {names}. Connect with psql … {DEFAULT_DATABASE}."))
            })?;
        let mut settings = Settings::default();
        for (name, value) in &server.defaults {
            settings.set_initial(name, value)?;
        }
        settings.set_fixed("session_authorization", &options.user);
        let back_ends = server.connectors.defaults();
        settings.set_fixed("kafka.bootstrap_servers", back_ends.kafka_bootstrap_servers.as_deref().unwrap_or_default());
        settings.set_fixed("aws.endpoint", back_ends.dynamodb_endpoint.as_deref().unwrap_or_default());
        for (name, value) in &options.settings {
            settings.set_initial(name, value)?;
        }
        Ok(Self {
            server,
            user: options.user,
            process_id: options.process_id,
            database,
            settings,
            derived: None,
            temporary: Arc::default(),
            prepared: BTreeMap::new(),
            held_bytes: 0,
            notices: Vec::new(),
            counts: None,
            block: TransactionStatus::Idle,
            message_failed: false,
            pending: Vec::new(),
            savepoints: Vec::new(),
            inserts: Vec::new(),
            set: None,
            overlay: None,
            settings_before: None,
            to_settle: Vec::new(),
        })
    }

    /// Splits a message into statements: at semicolons outside of quotes, comments, dollar quotes and `BEGIN STATEMENT SET … END`.
    ///
    /// # Errors
    /// An unterminated quote or comment (42601 with its position).
    pub fn split(&self, message: &str) -> Result<Vec<StatementText>> {
        splitter::split(message)
    }

    /// Analyses a statement. `parameter_types`: what the client said of `$1 …`, `None` where it left the type to us.
    ///
    /// # Errors
    /// Syntax, unknown names, types; with SQLSTATE and position. The caller reports the error; the session then fails its block by itself.
    pub async fn prepare(
        &mut self,
        statement: &StatementText,
        parameter_types: &[Option<DataType>],
    ) -> Result<Prepared> {
        let mut result = self.prepare_inner(statement, parameter_types).await;
        while let Err(error) = &result
            && self.declare_missing(error).await
        {
            result = self.prepare_inner(statement, parameter_types).await;
        }
        self.note_failure(result)
    }

    fn note_failure<T>(&mut self, result: Result<T>) -> Result<T> {
        if result.is_err() {
            self.fail();
        }
        result
    }

    fn refuse_in_failed_block(&self, statement: &Statement) -> Result<()> {
        if let Some(set) = &self.set {
            return set.admit(statement);
        }
        if self.block == TransactionStatus::Failed && !statement.ends_block() {
            return Err(Error::invalid(
                "current transaction is aborted, commands ignored until end of transaction block",
            )
            .code("25P02"));
        }
        Ok(())
    }

    /// Runs a prepared statement. Cancel safe: dropping the future (CancelRequest, time-out) ends the work.
    ///
    /// # Errors
    /// Whatever the statement may raise.
    pub async fn execute(&mut self, prepared: &Prepared, parameters: Vec<ScalarValue>) -> Result<Outcome> {
        let result = self.execute_inner(prepared, parameters).await;
        self.note_failure(result)
    }

    async fn execute_inner(&mut self, prepared: &Prepared, parameters: Vec<ScalarValue>) -> Result<Outcome> {
        let inner = prepared.inner.clone();
        self.refuse_in_failed_block(&inner.statement)?;
        if let Some(what) = inner.statement.writes() {
            self.refuse_read_only(what)?;
        }
        if !matches!(**inner.statement, Statement::Query(_) | Statement::Insert(_) | Statement::Explain(_)) {
            return inner.statement.execute(self).await;
        }
        if parameters.len() != prepared.parameter_types.len() {
            return Err(Error::invalid(format!(
                "bind message supplies {} parameters, but prepared statement requires {}",
                parameters.len(),
                prepared.parameter_types.len()
            ))
            .code("08P01"));
        }
        let snapshot = self.snapshot()?;
        if let Some(cached) = &inner.plan
            && cached.is_good(&snapshot, self.settings.generation)
        {
            return self.run(&inner.statement, &cached.planned, prepared.result.clone(), parameters).await;
        }
        let given: Vec<Option<DataType>> = if inner.given_types.iter().any(Option::is_some) || parameters.is_empty() {
            inner.given_types.clone()
        } else {
            Vec::new()
        };
        let again = self.prepare_inner(&inner.text, &given).await?;
        if again.result.as_ref().map(|schema| schema.fields().len())
            != prepared.result.as_ref().map(|schema| schema.fields().len())
        {
            return Err(Error::stale_plan());
        }
        let plan = again.inner.plan.as_ref().ok_or_else(|| Error::internal("a query has no plan"))?;
        self.run(&inner.statement, &plan.planned, again.result.clone(), parameters).await
    }

    async fn run(
        &mut self,
        statement: &Statement,
        planned: &Planned,
        result: Option<SchemaRef>,
        parameters: Vec<ScalarValue>,
    ) -> Result<Outcome> {
        if let Statement::Explain(explain) = statement {
            return explain.execute(self, planned).await;
        }
        match planned {
            Planned::Query { constant: Some(row), .. } => {
                let schema = result.ok_or_else(|| Error::internal("a query has no columns"))?;
                let batch = row.compute(&schema)?;
                let stream = stream::iter([Ok(batch)]);
                let stream = Box::pin(RecordBatchStreamAdapter::new(schema.clone(), stream));
                Ok(Outcome::Rows { verb: "SELECT", schema, stream })
            }
            Planned::Query { plan, names, constant: None } => {
                let plan = plan.clone();
                let (mut state, told) = self.telling_state();
                self.count_into(&mut state);
                let context = self.task_context(&state);
                let made = async move {
                    let plan = Self::bound(&plan, parameters)?;
                    let physical = state.create_physical_plan(&plan).await.map_err(|error| refine(error, None))?;
                    let again = frugal::plan_again(&physical, &plan, &state, &context);
                    Ok((physical, context, again))
                };
                let stream = background_stream::start(&self.server.queries, made).await?;
                told.take().into_iter().for_each(|notice| self.notice(notice));
                let schema = rename(&stream.schema(), names.as_deref());
                Ok(Outcome::Rows { verb: "SELECT", schema: schema.clone(), stream: renamed(stream, schema) })
            }
            Planned::BoundedInsert { plan } => {
                let plan =
                    if parameters.is_empty() { plan.clone() } else { self.bind_insert(plan, parameters).await? };
                if let Some(collected) = self.collect(|| Planned::BoundedInsert { plan: plan.clone() }) {
                    return Ok(collected);
                }
                let count = self.run_bounded(&plan).await?;
                Ok(Outcome::Done { tag: format!("INSERT 0 {count}") })
            }
            Planned::Job(job) => match self.collect(|| planned.clone()) {
                Some(collected) => Ok(collected),
                None => self.submit_insert(job),
            },
        }
    }

    /// Tells the session that its statement failed outside of `execute` (while streaming rows, or cancelled): a block becomes failed.
    pub fn fail(&mut self) {
        if self.block == TransactionStatus::Open {
            self.block = TransactionStatus::Failed;
        }
        if let Some(set) = &mut self.set {
            set.fail();
        }
        self.message_failed = true;
    }

    /// For ReadyForQuery.
    pub fn transaction_status(&self) -> TransactionStatus {
        match (&self.set, self.block) {
            // What comes next belongs to the set: a pooler must not give the session to somebody else.
            (Some(set), TransactionStatus::Idle) => set.status(),
            (_, block) => block,
        }
    }

    /// Ends the implicit transaction of a message (Sync, or the end of a simple query): commits it, or rolls it back after an error.
    ///
    /// # Errors
    /// The commit fails.
    pub async fn end_of_message(&mut self) -> Result<()> {
        let failed = std::mem::take(&mut self.message_failed);
        if self.block != TransactionStatus::Idle {
            return Ok(());
        }
        if failed {
            self.drop_pending(0);
            self.to_settle.clear();
            return Ok(());
        }
        self.commit_pending().await
    }

    /// Notices raised since the last call.
    pub fn take_notices(&mut self) -> Vec<Notice> {
        // Of a query too: its rows are read when this is asked for the last time.
        self.tell_counts();
        std::mem::take(&mut self.notices)
    }

    /// Notices of what was left out since the last ones.
    fn tell_counts(&mut self) {
        for (message, detail) in self.counts.as_ref().map(|counts| counts.take_told()).unwrap_or_default() {
            self.notice_with(message, detail);
        }
    }

    /// Has the tables of one execution count what they leave out.
    fn count_into(&mut self, state: &mut SessionState) {
        let leaves_out = self.settings.get("error-handling.mode").is_ok_and(|mode| mode == "log");
        let enforcer = self.settings.get("table.exec.sink.type-length-enforcer").unwrap_or_default();
        let counts = StatementCounts::new(leaves_out, LengthEnforcer::of(Some(&enforcer)).unwrap_or_default());
        self.counts = Some(Arc::clone(&counts));
        state.config_mut().set_extension(counts);
    }

    /// Settings that the client must be told of (ParameterStatus) and that changed since the last call; all of them at first.
    pub fn take_parameter_changes(&mut self) -> Vec<(String, String)> {
        self.settings.take_changes()
    }

    /// `statement_timeout` now in force.
    pub fn statement_timeout(&self) -> Option<std::time::Duration> {
        self.settings.timeout("statement_timeout")
    }

    /// A time-out among the settings (`idle_session_timeout` …), `None` for 0.
    pub fn timeout(&self, name: &str) -> Option<std::time::Duration> {
        self.settings.timeout(name)
    }

    /// What system relations may know of it.
    pub fn view(&self) -> Arc<SessionView> {
        self.derived_now().view
    }

    fn view_now(&self) -> SessionView {
        SessionView {
            user: self.user.clone(),
            database: self.database.clone(),
            process_id: self.process_id,
            search_path: self.settings.search_path(&self.user),
            settings: self.settings.all().into_iter().map(|(name, value, _)| (name, value)).collect(),
        }
    }

    /// What all sessions share.
    pub fn server(&self) -> &Arc<SqlServer> {
        &self.server
    }

    /// Whether a block is open or failed, whatever a statement set says.
    pub fn is_in_block(&self) -> bool {
        self.block != TransactionStatus::Idle
    }

    /// The connected database.
    pub fn database(&self) -> &str {
        &self.database
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The settings, to change them.
    pub fn settings_mut(&mut self) -> &mut Settings {
        &mut self.settings
    }

    /// Tells the client something.
    pub fn notice(&mut self, message: impl Into<String>) {
        self.notices.push(Notice { severity: Severity::Notice, message: message.into(), detail: None, hint: None });
    }

    /// Tells the client something, and more in a sentence.
    pub fn notice_with(&mut self, message: impl Into<String>, detail: Option<String>) {
        self.notices.push(Notice { severity: Severity::Notice, message: message.into(), detail, hint: None });
    }

    /// Warns the client.
    pub fn warning(&mut self, message: impl Into<String>) {
        self.notices.push(Notice { severity: Severity::Warning, message: message.into(), detail: None, hint: None });
    }

    /// DataFusion's state with this session's settings.
    pub fn state(&self) -> Arc<SessionState> {
        self.derived_now().state
    }

    /// The same for one execution, with what its scans have to tell the client.
    fn telling_state(&self) -> (SessionState, Arc<ScanNotices>) {
        let mut state = self.derived_now().state.as_ref().clone();
        let told = Arc::<ScanNotices>::default();
        state.config_mut().set_extension(Arc::clone(&told));
        (state, told)
    }

    /// What follows from the settings, which every statement needs.
    fn derived_now(&self) -> Derived {
        match &self.derived {
            Some((generation, derived)) if *generation == self.settings.generation => derived.clone(),
            _ => Derived {
                state: Arc::new(self.state_now()),
                view: Arc::new(self.view_now()),
                functions: Arc::default(),
            },
        }
    }

    fn state_now(&self) -> SessionState {
        let mut state = self.server.base.clone();
        state.config_mut().options_mut().execution.time_zone = Some(self.settings.time_zone());
        // Functions are given these options when they run, not those of the configuration.
        let bytes = self.settings.query_memory_bytes();
        let execution = &mut state.config_mut().options_mut().execution;
        // A sort keeps this much for its merge, in each of its parts.
        execution.sort_spill_reservation_bytes = execution.sort_spill_reservation_bytes.min(bytes / 32);
        let mut options = state.config().options().as_ref().clone();
        options.extensions.insert(ValueLimit(query_memory::value_limit(bytes)));
        state.execution_props_mut().config_options = Some(Arc::new(options));
        state
    }

    /// What a statement computes in: its settings, and memory of its own.
    pub fn task_context(&self, state: &SessionState) -> Arc<TaskContext> {
        let bytes = self.settings.query_memory_bytes();
        let runtime = self.server.memory.for_statement(bytes, state.runtime_env());
        Arc::new(TaskContext::from(state).with_runtime(runtime))
    }

    /// What the catalog holds for this session: with the changes of its own transaction.
    ///
    /// # Errors
    /// The changes no longer fit, because another session committed in between (40001).
    pub fn snapshot(&mut self) -> Result<Arc<Snapshot>> {
        let base = self.server.catalog.snapshot();
        if self.pending.is_empty() {
            self.overlay = None;
            return Ok(base);
        }
        if let Some((under, count, overlay)) = &self.overlay
            && Arc::ptr_eq(under, &base)
            && *count == self.pending.len()
        {
            return Ok(overlay.clone());
        }
        let mut overlay = base.as_ref().clone();
        for change in &self.pending {
            overlay.apply(change).map_err(|error| {
                Error::invalid(format!("could not serialize access due to concurrent update: {}", error.message()))
                    .code("40001")
            })?;
        }
        let overlay = Arc::new(overlay);
        self.overlay = Some((base, self.pending.len(), overlay.clone()));
        Ok(overlay)
    }

    /// Adds a change to the transaction.
    ///
    /// # Errors
    /// It does not fit.
    pub fn change(&mut self, change: Change) -> Result<()> {
        let mut overlay = self.snapshot()?.as_ref().clone();
        overlay.apply(&change)?;
        self.pending.push(change);
        self.overlay = Some((self.server.catalog.snapshot(), self.pending.len(), Arc::new(overlay)));
        Ok(())
    }

    /// What names mean now.
    ///
    /// # Errors
    /// As [`Self::snapshot`].
    pub fn names(&mut self) -> Result<Names> {
        Ok(Names {
            snapshot: self.snapshot()?,
            database: self.database.clone(),
            search_path: self.view().search_path.clone(),
            system: self.server.system_names.clone(),
            temporary: self.temporary.keys().cloned().collect::<BTreeSet<_>>(),
        })
    }

    /// A planner for one statement; `volatile` for jobs and bodies of functions.
    ///
    /// # Errors
    /// As [`Self::snapshot`].
    pub fn planner(&mut self, volatile: bool) -> Result<Planner> {
        let derived = self.derived_now();
        self.derived = Some((self.settings.generation, derived.clone()));
        let names = self.names()?;
        let mut state = derived.state;
        if volatile {
            // The rows of a job have no order.
            let options = Arc::make_mut(&mut state).config_mut().options_mut();
            options.sql_parser.enable_subquery_sort_elimination = true;
        }
        Ok(Planner::new(
            self.server.clone(),
            names,
            self.temporary.clone(),
            state,
            (derived.view, derived.functions),
            volatile,
        ))
    }

    /// Whether a relation of that very name exists.
    ///
    /// # Errors
    /// As [`Self::snapshot`].
    pub fn has_relation(&mut self, target: &Target) -> Result<bool> {
        if target.schema == TEMPORARY_SCHEMA {
            return Ok(self.temporary.contains_key(&target.name));
        }
        let snapshot = self.snapshot()?;
        Ok(snapshot
            .schema(&target.database, &target.schema)
            .is_some_and(|schema| schema.tables.contains_key(&target.name) || schema.views.contains_key(&target.name)))
    }

    /// A temporary table.
    pub fn temporary(&self, target: &Target) -> Option<&TableEntry> {
        (target.schema == TEMPORARY_SCHEMA).then(|| self.temporary.get(&target.name)).flatten()
    }

    /// Names of the temporary tables.
    pub fn temporary_names(&self) -> Vec<String> {
        self.temporary.keys().cloned().collect()
    }

    /// Adds a temporary table.
    pub fn add_temporary(&mut self, name: String, entry: TableEntry) {
        Arc::make_mut(&mut self.temporary).insert(name, entry);
        self.settings.generation += 1;
    }

    /// Forgets a temporary table; tells whether there was one.
    pub fn drop_temporary(&mut self, name: &str) -> bool {
        let Some(entry) = Arc::make_mut(&mut self.temporary).remove(name) else { return false };
        self.server.catalog.discard_secrets(&secrets_of(&entry));
        self.settings.generation += 1;
        true
    }

    /// Forgets all temporary tables.
    pub fn forget_temporary(&mut self) {
        for name in self.temporary_names() {
            self.drop_temporary(&name);
        }
    }

    /// Keeps a statement under a name (PREPARE).
    ///
    /// # Errors
    /// The name is taken, or the session holds too much.
    pub fn add_prepared(&mut self, name: String, prepared: Prepared) -> Result<()> {
        if self.prepared.contains_key(&name) {
            return Err(Error::invalid(format!("prepared statement \"{name}\" already exists")).code("42P05"));
        }
        self.hold_bytes(prepared.held_bytes())?;
        self.prepared.insert(name, prepared);
        Ok(())
    }

    /// A statement kept by PREPARE.
    ///
    /// # Errors
    /// There is none.
    pub fn prepared(&self, name: &str) -> Result<Prepared> {
        self.prepared
            .get(name)
            .cloned()
            .ok_or_else(|| Error::not_found(format!("prepared statement \"{name}\" does not exist")).code("26000"))
    }

    /// Forgets a statement kept by PREPARE.
    ///
    /// # Errors
    /// There is none.
    pub fn remove_prepared(&mut self, name: &str) -> Result<()> {
        let prepared = self.prepared(name)?;
        self.release_bytes(prepared.held_bytes());
        self.prepared.remove(name);
        Ok(())
    }

    /// Forgets all statements kept by PREPARE.
    pub fn forget_prepared(&mut self) {
        for prepared in std::mem::take(&mut self.prepared).into_values() {
            self.release_bytes(prepared.held_bytes());
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.drop_pending(0);
        self.forget_temporary();
    }
}

fn secrets_of(entry: &TableEntry) -> Vec<String> {
    let references = entry.declaration.options.values().filter_map(|value| match value {
        OptionValue::Secret(reference) => Some(reference.clone()),
        OptionValue::Plain(_) => None,
    });
    references.collect()
}

fn rename(schema: &SchemaRef, names: Option<&[String]>) -> SchemaRef {
    match names {
        Some(names) if names.len() == schema.fields().len() => {
            let fields: Vec<Field> =
                schema.fields().iter().zip(names).map(|(field, name)| field.as_ref().clone().with_name(name)).collect();
            Arc::new(Schema::new(fields))
        }
        _ if schema.fields().iter().any(|field| field.name().contains(MARK)) => {
            let fields: Vec<Field> = schema
                .fields()
                .iter()
                .map(|field| field.as_ref().clone().with_name(without_mark(field.name())))
                .collect();
            Arc::new(Schema::new(fields))
        }
        _ => schema.clone(),
    }
}

fn renamed(stream: SendableRecordBatchStream, schema: SchemaRef) -> SendableRecordBatchStream {
    if stream.schema() == schema {
        return stream;
    }
    let of_batches = schema.clone();
    let stream = stream.map(move |batch| {
        let batch = batch?;
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        Ok(RecordBatch::try_new_with_options(of_batches.clone(), batch.columns().to_vec(), &options)?)
    });
    Box::pin(RecordBatchStreamAdapter::new(schema, stream))
}

#[cfg(test)]
mod memory_connector;
#[cfg(test)]
mod tests;
