//! What all sessions share: the parts behind them, opened tables, and the schemas that are computed.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::execution::FunctionRegistry;
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::{LogicalPlan, ScalarUDF};
use datafusion::optimizer::Optimizer;
use datafusion::prelude::SessionConfig;
use parking_lot::Mutex;

use crate::audit::AuditLog;
use crate::catalog::Catalog;
use crate::clock::Clock;
use crate::connectors::table_provider::ConnectorTable;
use crate::connectors::{Registry, TableDeclaration};
use crate::error::{Error, Result};
use crate::functions::entry::About;
use crate::functions::{aggregations, bounded, coercion};
use crate::jobs::Jobs;
use crate::sql::activity::{Activity, Backend};
use crate::sql::execution::queries::Queries;
use crate::sql::execution::query_memory::{BoundedValues, QueryMemory};
use crate::sql::job_notifications;
use crate::sql::planning::query_planner::LookupQueryPlanner;
use crate::sql::planning::rules::{analyzer_rules, optimizer_rules, physical_rules};
use crate::sql::planning::unnest_relation;

/// Opened tables kept for the next statement; beyond that many all are opened anew.
const OPENED_TABLES_MAX: usize = 1024;

/// What a system relation may know of the session that asks.
#[derive(Clone)]
pub struct SessionView {
    /// The role that it acts as.
    pub user: String,
    /// The role as which it logged in, or that SET SESSION AUTHORIZATION put in its place.
    pub session_user: String,
    /// Whether the session was opened before there were roles, or by the server itself: it may do everything.
    pub is_unbound: bool,
    /// The connected database.
    pub database: String,
    /// Schemas searched for unqualified names, in order.
    pub search_path: Vec<String>,
    /// Process id of the session, for pg_backend_pid().
    pub process_id: i32,
    /// All settings with their values.
    pub settings: Vec<(String, String)>,
    /// The session itself, as others see it.
    pub backend: Arc<Backend>,
    /// All sessions.
    pub activity: Arc<Activity>,
}

/// What all sessions share.
pub struct SqlServer {
    /// Databases, tables, functions, jobs.
    pub catalog: Catalog,
    /// What runs.
    pub jobs: Jobs,
    /// The connectors of this build.
    pub connectors: Registry,
    /// Emulated schemas (`pg_catalog`, `information_schema`, `streamgate`), installed by the server.
    pub system_schemas: Vec<Arc<dyn SystemSchema>>,
    /// Their names, with those of their relations.
    pub(super) system_names: Arc<Vec<(String, Vec<String>)>>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Settings that differ from the built-in defaults, by name.
    pub defaults: BTreeMap<String, String>,
    pub(super) base: SessionState,
    /// The optimiser's rules but those that are bad for plans that run incrementally.
    job_optimizer: Optimizer,
    opened: Mutex<HashMap<String, Arc<ConnectorTable>>>,
    /// The threads on which statements are planned and queries computed.
    pub queries: Queries,
    /// What queries compute in.
    pub memory: QueryMemory,
    /// What all sessions do.
    pub activity: Arc<Activity>,
    /// Who came in, and what was declared.
    pub audit: AuditLog,
}

impl SqlServer {
    /// Joins the parts. `defaults`: settings of all sessions, as SET would set them.
    pub fn new(
        catalog: Catalog,
        jobs: Jobs,
        connectors: Registry,
        system_schemas: Vec<Arc<dyn SystemSchema>>,
        clock: Arc<dyn Clock>,
        defaults: BTreeMap<String, String>,
    ) -> Result<Self> {
        let base = base_state();
        // It would make two aggregates, each with state of its own, of one that counts distinct values.
        let rules =
            base.optimizers().iter().filter(|rule| rule.name() != "single_distinct_aggregation_to_group_by").cloned();
        let job_optimizer = Optimizer::with_rules(rules.collect());
        let system_names =
            system_schemas.iter().map(|schema| (schema.name().to_owned(), schema.relation_names())).collect();
        let queries = Queries::here();
        let opened = Mutex::default();
        let memory = QueryMemory::new(usize::MAX, None)?;
        let activity = Arc::default();
        job_notifications::tell(&jobs, &activity);
        let audit = AuditLog::off(Arc::clone(&clock));
        Ok(Self {
            catalog,
            jobs,
            connectors,
            system_schemas,
            system_names: Arc::new(system_names),
            clock,
            defaults,
            base,
            job_optimizer,
            opened,
            queries,
            memory,
            activity,
            audit,
        })
    }

    /// Plans and computes on other threads than the sessions', which then answer whatever a statement is busy with.
    #[must_use]
    pub fn with_queries(mut self, queries: Queries) -> Self {
        self.queries = queries;
        self
    }

    /// Bounds the memory of queries.
    #[must_use]
    pub fn with_query_memory(mut self, memory: QueryMemory) -> Self {
        self.memory = memory;
        self
    }

    /// Tells an audit log.
    #[must_use]
    pub fn with_audit(mut self, audit: AuditLog) -> Self {
        self.audit = audit;
        self
    }

    /// Analyses and optimises a job's query.
    ///
    /// # Errors
    /// As DataFusion's.
    pub fn optimize_for_jobs(
        &self,
        plan: &LogicalPlan,
        state: &SessionState,
    ) -> datafusion::error::Result<LogicalPlan> {
        let analysed = state.analyzer().execute_and_check(plan.clone(), state.config_options(), |_, _| {})?;
        self.job_optimizer.optimize(analysed, state, |_, _| {})
    }

    /// Opens a declared table, or gives the one that was opened for the same declaration.
    ///
    /// # Errors
    /// An option is missing, malformed, unknown (`strict`) or not supported.
    pub fn open_table(&self, declaration: &TableDeclaration, strict: bool) -> Result<Arc<ConnectorTable>> {
        let key = serde_json::to_string(declaration)
            .map_err(|error| Error::internal(format!("a declaration cannot be serialised: {error}")))?;
        if let Some(table) = self.opened.lock().get(&key) {
            return Ok(table.clone());
        }
        let resolve = |reference: &str| self.catalog.secret(reference);
        let table = self.connectors.open(declaration, &resolve, strict)?;
        let table = Arc::new(ConnectorTable::new(Arc::new(declaration.clone()), table)?);
        let mut opened = self.opened.lock();
        if opened.len() >= OPENED_TABLES_MAX {
            opened.clear();
        }
        opened.insert(key, table.clone());
        Ok(table)
    }
}

fn base_state() -> SessionState {
    let mut config = SessionConfig::new().with_batch_size(8192).with_information_schema(false);
    let options = config.options_mut();
    options.sql_parser.parse_float_as_decimal = true;
    options.sql_parser.map_string_types_to_utf8view = false;
    options.sql_parser.enable_ident_normalization = false;
    options.sql_parser.collect_spans = true;
    // The order of a sub-query is that of the aggregate over it, and of the result.
    options.sql_parser.enable_subquery_sort_elimination = false;
    options.execution.time_zone = Some("UTC".to_owned());
    let builder = SessionStateBuilder::new().with_config(config).with_default_features();
    let mut planners = coercion::planners();
    planners.extend(SessionStateBuilder::new().with_default_features().build().expr_planners().iter().cloned());
    let mut state = builder
        .with_expr_planners(planners)
        .with_relation_planners(unnest_relation::planners())
        .with_analyzer_rules(analyzer_rules())
        .with_optimizer_rules(optimizer_rules())
        .with_physical_optimizer_rules(physical_rules())
        .with_query_planner(Arc::new(LookupQueryPlanner))
        .with_physical_optimizer_rule(Arc::new(BoundedValues))
        .build();
    for function in aggregations::ours() {
        // Infallible.
        let _ = state.register_udaf(Arc::new(function));
    }
    for function in bounded::all() {
        // In place of the one of that name, also where it is not called by it (`substring … from`, list literals).
        let _ = state.register_udf(function);
    }
    state
}

/// A schema whose relations are computed from the server's state rather than declared.
pub trait SystemSchema: Send + Sync {
    /// `pg_catalog`
    fn name(&self) -> &str;
    /// Names of its relations.
    fn relation_names(&self) -> Vec<String>;
    /// The relation, as this session sees it now.
    fn relation(&self, name: &str, session: &SessionView) -> Option<Arc<dyn TableProvider>>;
    /// Functions that belong to it, callable with or without the schema's name.
    fn functions(&self) -> Vec<About> {
        Vec::new()
    }
    /// The function of that name or alias among them, in lower case, as a session has it.
    fn function(&self, _name: &str, _session: &Arc<SessionView>) -> Option<Arc<ScalarUDF>> {
        None
    }
    /// Rewrites what clients send and DataFusion cannot plan (`OPERATOR(pg_catalog.~)`, `::regclass` …).
    fn rewrite(&self, _statement: &mut datafusion::sql::sqlparser::ast::Statement) {}
}
