//! One session: its settings, its transaction, what it holds between its statements. Knows plans; what statements are, it does not
//! know (`runner` reads and runs them).

mod announce;
mod answer;
mod audited;
mod authority;
mod cursor_control;
mod cursors;
mod existing_jobs;
mod held;
mod inserts;
mod local_rows;
mod open_set;
mod prepared;
mod savepoint;
pub mod settings;
mod statement_set;
mod target;
mod transaction;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use datafusion::execution::TaskContext;
use datafusion::execution::session_state::SessionState;

use crate::audit::Begun;
use crate::catalog::role;
use crate::catalog::{Change, DEFAULT_DATABASE, Snapshot, TableEntry};
use crate::connectors::local::SessionRows;
use crate::connectors::table_provider::ScanNotices;
use crate::connectors::{LengthEnforcer, StatementCounts};
use crate::error::{Error, Result, SqlState};
use crate::functions::memory::ValueLimit;
use crate::options::OptionValue;
use crate::sql::activity::{Backend, Cancellable, Encryption, Entered};
use crate::sql::execution::query_memory::{self, Reserved, SessionMemory};
use crate::sql::planning::job_plan::PlannedJob;
use crate::sql::planning::names::{Names, TEMPORARY_SCHEMA, Target};
use crate::sql::planning::planner::Planner;
use crate::sql::privileges;
use crate::sql::server::{SessionView, SqlServer};
pub use answer::{CopyIn, Notice, Outcome, Severity, TransactionStatus};
use cursors::Cursors;
pub use cursors::{CursorKind, Motion};
pub use held::HELD_BYTES_MAX;
use open_set::OpenSet;
pub use open_set::{Existing, InSet, Purpose};
pub(super) use prepared::{CachedPlan, PreparedInner};
pub use prepared::{Prepared, Runnable, Running};
use savepoint::Savepoint;
use settings::Settings;

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
    /// A session of the server itself, which may do everything and needs no role.
    pub is_own: bool,
    /// Where the client calls from.
    pub client: Option<SocketAddr>,
    /// How its connection is encrypted; absent: it is in clear.
    pub encryption: Option<Encryption>,
    /// How the session is told to end.
    pub cancellable: Arc<Cancellable>,
}

/// What is kept of the settings as long as they do not change.
#[derive(Clone)]
struct Derived {
    state: Arc<SessionState>,
    view: Arc<SessionView>,
}

/// One client's session.
pub struct Session {
    pub(super) server: Arc<SqlServer>,
    /// As whom it logged in.
    login: String,
    /// It was opened before there were roles, or by the server itself.
    is_unbound: bool,
    process_id: i32,
    database: String,
    /// What others see of it.
    entered: Entered,
    pub(super) settings: Settings,
    /// With the generation of the settings that it follows from.
    derived: Option<(u64, Derived)>,
    temporary: Arc<BTreeMap<String, TableEntry>>,
    pub(super) prepared: BTreeMap<String, Prepared>,
    /// Statements of the protocol that DEALLOCATE and DISCARD ALL have named.
    forgotten: Vec<String>,
    cursors: Cursors,
    /// Of prepared statements, portals and cursors.
    held_bytes: usize,
    pub(super) notices: Vec<Notice>,
    /// What the last query or INSERT has left out.
    counts: Option<Arc<StatementCounts>>,
    pub(super) block: TransactionStatus,
    /// A statement of this message failed; what the message changed is rolled back at its end.
    message_failed: bool,
    pub(super) pending: Vec<Change>,
    savepoints: Vec<Savepoint>,
    /// INSERTs of the block that do not end: a job at COMMIT.
    inserts: Vec<PlannedJob>,
    /// A statement set that comes in parts.
    pub(super) set: Option<OpenSet>,
    /// The catalog with the pending changes, over which snapshot and of how many changes.
    overlay: Option<(Arc<Snapshot>, usize, Arc<Snapshot>)>,
    settings_before: Option<Box<Settings>>,
    /// Jobs to wait for after the commit.
    to_settle: Vec<String>,
    /// What it has of local tables.
    rows: SessionRows,
    /// Memory for what of that is not on disk.
    rows_memory: Option<Reserved>,
    /// What it computes in.
    memory: SessionMemory,
    /// What the audit log is to be told if its transaction does not stand: something in it was told as done.
    audited: Option<Begun>,
}

impl Session {
    /// Opens a session.
    ///
    /// # Errors
    /// The database does not exist (3D000), there are roles and none of that name (28000), or a setting is refused.
    pub fn open(server: Arc<SqlServer>, options: SessionOptions) -> Result<Self> {
        let database = if options.database.is_empty() { options.user.clone() } else { options.database };
        let snapshot = server.catalog.snapshot();
        let database =
            crate::sql::planning::names::pick(&database, snapshot.databases.keys()).cloned().ok_or_else(|| {
                let names = snapshot.databases.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
                Error::not_found(format!("database \"{database}\" does not exist"))
                    .code(SqlState::InvalidCatalogName)
                    .hint(format!("There is: {names}. Connect with psql … {DEFAULT_DATABASE}."))
            })?;
        let is_unbound = options.is_own || snapshot.roles.is_empty();
        let role = snapshot.roles.get(&options.user);
        if !is_unbound && role.is_none() {
            return Err(role::missing(&options.user).code(SqlState::InvalidAuthorizationSpecification));
        }
        let is_superuser = is_unbound || role.is_some_and(|role| role.is_superuser);
        let mut settings = Settings::default();
        for (name, value) in &server.defaults {
            settings.set_initial(name, value)?;
        }
        settings.set_fixed("session_authorization", &options.user);
        settings.set_fixed("is_superuser", if is_superuser { "on" } else { "off" });
        let backends = server.connectors.defaults();
        settings.set_fixed("kafka.bootstrap_servers", backends.kafka_bootstrap_servers.as_deref().unwrap_or_default());
        settings.set_fixed("aws.endpoint", backends.dynamodb_endpoint.as_deref().unwrap_or_default());
        for (name, value) in &options.settings {
            settings.set_initial(name, value)?;
        }
        let memory = server.memory.for_session();
        let rows = SessionRows::new(Arc::clone(server.connectors.local()));
        let application_name = settings.get("application_name").unwrap_or_default();
        let backend = Backend::new(
            (options.process_id, options.user.clone(), database.clone()),
            options.client,
            options.cancellable,
            application_name,
            server.clock.now_ms(),
        );
        let entered = server.activity.enter(backend.encrypted(options.encryption));
        Ok(Self {
            entered,
            server,
            login: options.user,
            is_unbound,
            process_id: options.process_id,
            database,
            settings,
            derived: None,
            temporary: Arc::default(),
            prepared: BTreeMap::new(),
            forgotten: Vec::new(),
            cursors: Cursors::default(),
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
            rows,
            rows_memory: None,
            memory,
            audited: None,
        })
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
        let result = if failed {
            self.drop_pending(0);
            self.roll_back_rows();
            self.take_back_announcements();
            self.to_settle.clear();
            Ok(())
        } else {
            self.commit_pending().await
        };
        self.audit_end_of_message(failed, result).await
    }

    /// Notices raised since the last call.
    pub fn take_notices(&mut self) -> Vec<Notice> {
        // Of a query too: its rows are read when this is asked for the last time.
        self.tell_counts();
        std::mem::take(&mut self.notices)
    }

    /// Notices of what was left out since the last ones.
    pub(super) fn tell_counts(&mut self) {
        for (message, detail) in self.counts.as_ref().map(|counts| counts.take_told()).unwrap_or_default() {
            self.notice_with(message, detail);
        }
    }

    /// Has the tables of one execution count what they leave out.
    pub(super) fn count_into(&mut self, state: &mut SessionState) {
        let leaves_out = self.settings.get("error-handling.mode").is_ok_and(|mode| mode == "log");
        let enforcer = self.settings.get("table.exec.sink.type-length-enforcer").unwrap_or_default();
        let counts = StatementCounts::new(leaves_out, LengthEnforcer::of(&enforcer).unwrap_or_default());
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

    /// How long its client may be silent now, and what ends it then.
    pub fn idle_timeout(&self) -> Option<(std::time::Duration, Error)> {
        let (setting, words, code) = match self.transaction_status() {
            TransactionStatus::Idle => ("idle_session_timeout", "idle-session", SqlState::IdleSessionTimeout),
            _ => (
                "idle_in_transaction_session_timeout",
                "idle-in-transaction",
                SqlState::IdleInTransactionSessionTimeout,
            ),
        };
        let limit = self.settings.timeout(setting)?;
        Some((limit, Error::unavailable(format!("terminating connection due to {words} timeout")).code(code)))
    }

    /// What system relations may know of it.
    pub fn view(&self) -> Arc<SessionView> {
        self.derived_now().view
    }

    fn view_now(&self) -> SessionView {
        SessionView {
            user: self.user(),
            session_user: self.session_user(),
            is_unbound: self.is_unbound(),
            database: self.database.clone(),
            process_id: self.process_id,
            search_path: self.settings.search_path(&self.user()),
            settings: self.settings.values(),
            backend: Arc::clone(&self.entered),
            activity: Arc::clone(&self.server.activity),
        }
    }

    /// What it computes in.
    pub fn memory(&self) -> &SessionMemory {
        &self.memory
    }

    /// Its client has been silent for a while: gives back what can be made again.
    pub fn rest(&mut self) {
        self.derived = None;
        self.overlay = None;
        self.counts = None;
        self.notices = Vec::new();
    }

    /// The session as others see it.
    pub fn backend(&self) -> &Arc<Backend> {
        &self.entered
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
    pub(super) fn telling_state(&self) -> (SessionState, Arc<ScanNotices>) {
        let mut state = self.derived_now().state.as_ref().clone();
        let told = Arc::<ScanNotices>::default();
        state.config_mut().set_extension(Arc::clone(&told));
        state.config_mut().set_extension(self.rows.view());
        (state, told)
    }

    /// What follows from the settings, which every statement needs.
    fn derived_now(&self) -> Derived {
        match &self.derived {
            Some((generation, derived)) if *generation == self.settings.generation => derived.clone(),
            _ => Derived { state: Arc::new(self.state_now()), view: Arc::new(self.view_now()) },
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
        let runtime = self.memory.for_statement(bytes, state.runtime_env());
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
                    .code(SqlState::SerializationFailure)
            })?;
        }
        let overlay = Arc::new(overlay);
        self.overlay = Some((base, self.pending.len(), overlay.clone()));
        Ok(overlay)
    }

    /// Adds a change to the transaction.
    ///
    /// # Errors
    /// It does not fit, or the session's role may not make it (42501).
    pub fn change(&mut self, mut change: Change) -> Result<()> {
        let (snapshot, actor) = (self.snapshot()?, self.actor()?);
        privileges::of_change(&snapshot, actor, &change)?;
        privileges::own(&mut change, actor);
        let mut overlay = snapshot.as_ref().clone();
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
        let (names, actor) = (self.names()?, self.actor()?);
        let mut state = derived.state;
        if volatile {
            // The rows of a job have no order.
            let options = Arc::make_mut(&mut state).config_mut().options_mut();
            options.sql_parser.enable_subquery_sort_elimination = true;
        }
        Ok(Planner::new(self.server.clone(), names, self.temporary.clone(), state, derived.view, volatile, actor))
    }

    /// Plans with a planner of this session, on the threads of queries.
    ///
    /// # Errors
    /// As [`Self::planner`], and what the work gives.
    pub async fn plan<T: Send + 'static>(
        &mut self,
        volatile: bool,
        work: impl FnOnce(Planner) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let planner = self.planner(volatile)?;
        self.server.queries.compute(move || work(planner)).await
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
        if let Some(local) = &entry.declaration.local {
            self.rows.add_temporary(local.id.clone());
        }
        Arc::make_mut(&mut self.temporary).insert(name, entry);
        self.settings.generation += 1;
    }

    /// Forgets a temporary table; tells whether there was one.
    pub fn drop_temporary(&mut self, name: &str) -> bool {
        let Some(entry) = Arc::make_mut(&mut self.temporary).remove(name) else { return false };
        self.server.catalog.discard_secrets(&secrets_of(&entry));
        if let Some(local) = &entry.declaration.local {
            self.rows.drop_temporary(&local.id);
        }
        self.settings.generation += 1;
        true
    }

    /// Forgets all temporary tables.
    pub fn forget_temporary(&mut self) {
        for name in self.temporary_names() {
            self.drop_temporary(&name);
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
