//! Plans queries for one statement: what names mean now, which provider stands behind them, DataFusion's planner over it.
//! A planner for jobs takes the volatile time functions, so that nothing of the clock is folded into a stored plan.

mod asking;
mod defaults;
mod functions;
mod insert;
mod local_write;
mod permits;
mod row_changes;
mod tables;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::common::config::ConfigOptions;
use datafusion::common::{DFSchema, ScalarValue, TableReference};
use datafusion::datasource::provider_as_source;
use datafusion::execution::FunctionRegistry;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::planner::{ContextProvider, ExprPlanner, RelationPlanner, TypePlanner};
use datafusion::logical_expr::{
    AggregateUDF, Expr, HigherOrderUDF, LogicalPlan, ScalarUDF, TableSource, WindowUDF, cast, lit,
};
use datafusion::sql::planner::{ParserOptions, PlannerContext, SqlToRel};
use datafusion::sql::sqlparser::ast;
use parking_lot::Mutex;

use super::error_map::refine;
use super::hinted_relations::HintedRelations;
use super::names::{Names, Target};
use super::plan_size::Size;
use super::planned::SharedPlan;
use super::resolver::{Registered, Relations, Resolver};
use super::types::Types;
use super::{array_parameters, integer_literals, internal_calls, result_names, row_comparisons};
use crate::catalog::TableEntry;
use crate::clock::{Clock, ManualClock};
use crate::data_type;
use crate::error::{Error, Result, SqlState};
use crate::functions::aggregations::aggregations;
use crate::functions::coercion;
use crate::functions::registry::scalars;
use crate::functions::windows::windows;
use crate::sql::parser::statement_size;
use crate::sql::parser::{self, Cursor, Hints, Places};
use crate::sql::privileges::Actor;
use crate::sql::server::{SessionView, SqlServer};
use crate::threads::Deep;

use self::asking::Asking;
pub use self::insert::{InsertInto, InsertPlan};
pub use self::row_changes::{Assignment, ChangeRows, ConflictTarget, OnConflict};

/// How deep views and functions may refer to each other.
const DEPTH_MAX: usize = 24;

/// Plans one statement.
pub struct Planner {
    server: Arc<SqlServer>,
    names: Names,
    temporary: Arc<BTreeMap<String, TableEntry>>,
    state: Arc<SessionState>,
    /// What the computed schemas may know of the session.
    view: Arc<SessionView>,
    volatile: bool,
    asking: Asking,
    /// Stands at the statement's start, unless the plan is to read the time by itself.
    clock: Arc<dyn Clock>,
    depth: usize,
    tables: Mutex<HashMap<TableReference, Arc<dyn TableSource>>>,
    functions: Mutex<HashMap<String, Arc<ScalarUDF>>>,
    /// Internal functions that trees of the statement call, by what the server itself wrote there.
    internal: Mutex<BTreeSet<String>>,
    /// What views cost.
    sizes: Mutex<HashMap<(String, String), Size>>,
    failed: Mutex<Option<Error>>,
    hinted: Arc<HintedRelations>,
    /// The relation that the next plan changes, and what it is read through where it is named first.
    changed: Mutex<Option<(Target, Arc<dyn TableProvider>)>>,
    relation_planners: Vec<Arc<dyn RelationPlanner>>,
    /// Bytes of views and functions that were read for the plan.
    read: Arc<AtomicUsize>,
    /// Whether a time function was asked for, here or in a view: such a plan is good for one execution.
    pub uses_time: Arc<AtomicBool>,
    /// Whether rows are ordered somewhere, here or in a view.
    has_order: Arc<AtomicBool>,
}

impl Planner {
    /// Makes a planner. `volatile`: for jobs and bodies of functions.
    pub fn new(
        server: Arc<SqlServer>,
        names: Names,
        temporary: Arc<BTreeMap<String, TableEntry>>,
        state: Arc<SessionState>,
        view: Arc<SessionView>,
        volatile: bool,
        caller: Actor,
    ) -> Self {
        let clock: Arc<dyn Clock> =
            if volatile { server.clock.clone() } else { Arc::new(ManualClock::at(server.clock.now_ms())) };
        let hinted = Arc::<HintedRelations>::default();
        Self {
            clock,
            server,
            names,
            temporary,
            view,
            volatile,
            asking: Asking::of(caller),
            depth: 0,
            tables: Mutex::default(),
            functions: Mutex::default(),
            internal: Mutex::default(),
            sizes: Mutex::default(),
            failed: Mutex::default(),
            relation_planners: [hinted.clone() as Arc<dyn RelationPlanner>]
                .into_iter()
                .chain(state.relation_planners().iter().cloned())
                .collect(),
            hinted,
            changed: Mutex::default(),
            state,
            read: Arc::default(),
            uses_time: Arc::default(),
            has_order: Arc::default(),
        }
    }

    fn nested(&self, schema: &str, volatile: bool, asking: Asking) -> Result<Self> {
        if self.depth >= DEPTH_MAX {
            return Err(
                Error::invalid("views or functions refer to each other too deeply").code(SqlState::StatementTooComplex)
            );
        }
        let mut names = self.names.clone();
        names.search_path.retain(|known| known != schema);
        names.search_path.insert(0, schema.to_owned());
        let mut nested = Self::new(
            self.server.clone(),
            names,
            self.temporary.clone(),
            self.state.clone(),
            self.view.clone(),
            volatile,
            Actor::Everything,
        );
        nested.asking = asking;
        nested.depth = self.depth + 1;
        nested.read = self.read.clone();
        // The body of a function reads the clock when it runs, so that the plan is good for more than one execution.
        if volatile == self.volatile {
            nested.uses_time = self.uses_time.clone();
        }
        nested.has_order = self.has_order.clone();
        Ok(nested)
    }

    fn note_text(&self, length: usize) {
        self.read.fetch_add(length, Ordering::Relaxed);
    }

    /// A plan of this planner for whoever needs it.
    pub fn share(&self, plan: LogicalPlan) -> SharedPlan {
        let is_small = self.read.load(Ordering::Relaxed) <= statement_size::SHALLOW_BYTES;
        Arc::new(if is_small { Deep::shallow(plan) } else { Deep::new(plan) })
    }

    fn options() -> ParserOptions {
        ParserOptions::new()
            .with_parse_float_as_decimal(true)
            .with_enable_ident_normalization(false)
            .with_map_string_types_to_utf8view(false)
            .with_support_varchar_with_length(true)
            .with_collect_spans(true)
    }

    /// Plans a query's tree.
    ///
    /// # Errors
    /// Names, types, constructs; with SQLSTATE and position.
    pub fn plan_query(
        &self,
        query: &ast::Query,
        hints: &Hints,
        places: Option<&Places>,
        parameter_types: &[Option<DataType>],
    ) -> Result<(LogicalPlan, Option<Vec<String>>)> {
        let (plan, names, _) = self.plan_counted(query, hints, places, parameter_types)?;
        Ok((plan, names))
    }

    /// As [`Self::plan_query`], with what it costs.
    fn plan_counted(
        &self,
        query: &ast::Query,
        hints: &Hints,
        places: Option<&Places>,
        parameter_types: &[Option<DataType>],
    ) -> Result<(LogicalPlan, Option<Vec<String>>, Size)> {
        self.note_text(places.map_or(0, Places::len));
        let mut statement = ast::Statement::Query(Box::new(query.clone()));
        for schema in &self.server.system_schemas {
            schema.rewrite(&mut statement);
        }
        let ast::Statement::Query(query) = &mut statement else {
            return Err(Error::internal("a rewritten query is no query"));
        };
        let types = parameter_types.iter().map(|known| known.as_ref().and_then(sql_type)).collect();
        let mut resolver = Resolver::new(self, hints.clone(), places).with_parameter_types(types);
        resolver.resolve(query)?;
        let (size, has_array_parameters) = (resolver.size, resolver.has_array_parameters);
        self.has_order.fetch_or(resolver.has_order, Ordering::Relaxed);
        if let Some(error) = self.failed.lock().take() {
            return Err(error);
        }
        let names = result_names::name_results(&mut query.body);
        result_names::name_nested(query);
        row_comparisons::write_out(query)?;
        self.name_internal(query.as_mut());
        integer_literals::of_query(query);
        let planner = SqlToRel::new_with_options(self, Self::options());
        let mut plan = planner.sql_statement_to_plan(statement).map_err(|error| refine(error, places))?;
        if has_array_parameters {
            plan = array_parameters::take_types(plan).map_err(|error| refine(error, places))?;
        }
        Ok((plan, names, size))
    }

    /// Whether a planner for jobs would make the same plans: they read no clock, and have no order that it would leave out.
    pub fn is_good_for_jobs(&self) -> bool {
        !self.uses_time.load(Ordering::Relaxed) && !self.has_order.load(Ordering::Relaxed)
    }

    /// Plans the text of a query (of a view).
    ///
    /// # Errors
    /// As [`Self::plan_query`].
    pub fn plan_text(&self, text: &str) -> Result<LogicalPlan> {
        Ok(self.plan_text_counted(text)?.0)
    }

    fn plan_text_counted(&self, text: &str) -> Result<(LogicalPlan, Size)> {
        let (query, hints) = parser::parse_query(text)?;
        let (plan, _, size) = self.plan_counted(&query, &hints, Some(&Places::new(text)), &[])?;
        Ok((plan, size))
    }

    /// Evaluates a constant expression.
    ///
    /// # Errors
    /// It is not constant, or not of that type.
    pub fn constant(&self, text: &str, data_type: &DataType) -> Result<ScalarValue> {
        let mut cursor = Cursor::new(text)?;
        let mut expr = cursor.expr()?;
        cursor.end()?;
        self.name_internal(&mut expr);
        let schema = DFSchema::empty();
        let planner = SqlToRel::new_with_options(self, Self::options());
        let expr =
            planner.sql_to_expr(expr, &schema, &mut PlannerContext::new()).map_err(|error| refine(error, None))?;
        // As casts of queries are.
        let expr = coercion::rewrite_all(cast(expr, data_type.clone()), &schema, &self.time_zone().into())
            .map_err(|error| refine(error, None))?;
        let physical = self.state.create_physical_expr(expr, &schema).map_err(|error| refine(error, None))?;
        let batch = datafusion::arrow::record_batch::RecordBatch::try_new_with_options(
            Arc::new(datafusion::arrow::datatypes::Schema::empty()),
            Vec::new(),
            &datafusion::arrow::record_batch::RecordBatchOptions::new().with_row_count(Some(1)),
        )?;
        match physical.evaluate(&batch).map_err(|error| refine(error, None))? {
            datafusion::logical_expr::ColumnarValue::Scalar(value) => Ok(value),
            datafusion::logical_expr::ColumnarValue::Array(array) => Ok(ScalarValue::try_from_array(&array, 0)?),
        }
    }

    /// Gives what the server wrote into a tree the names by which DataFusion's planner asks for it.
    fn name_internal(&self, tree: &mut impl ast::VisitMut) {
        self.internal.lock().extend(internal_calls::name_plainly(tree));
    }

    fn analyze(&self, plan: &LogicalPlan) -> datafusion::error::Result<LogicalPlan> {
        self.state.analyzer().execute_and_check(plan.clone(), self.state.config_options(), |_, _| {})
    }

    /// The session's time zone.
    pub fn time_zone(&self) -> String {
        self.state.config_options().execution.time_zone.clone().unwrap_or_else(|| "UTC".to_owned())
    }
}

/// A type as sqlparser writes it, so that it can stand in a CAST of the tree.
pub fn sql_type(data_type: &DataType) -> Option<ast::DataType> {
    if data_type.is_null() {
        return None;
    }
    let text = if data_type::is_unconstrained_numeric(data_type) {
        "NUMERIC".to_owned()
    } else {
        data_type::to_flink(data_type)
    };
    Some(ast::DataType::Custom(ast::ObjectName::from(vec![ast::Ident::new(text)]), Vec::new()))
}

impl Relations for Planner {
    fn names(&self) -> &Names {
        &self.names
    }

    fn register(&self, target: &Target, options: &[(String, String)]) -> Result<Registered> {
        let changed = self.changed.lock().take_if(|(changed, _)| changed == target);
        match changed {
            Some((_, provider)) => {
                let mark = self.hinted.add(provider_as_source(Arc::clone(&provider)));
                Ok(Registered { provider, mark: Some(mark) })
            }
            None => self.register_relation(target, options),
        }
    }

    fn size_of(&self, schema: &str, name: &str) -> Size {
        self.sizes.lock().get(&(schema.to_owned(), name.to_owned())).copied().unwrap_or_default()
    }

    fn is_aggregate(&self, name: &str) -> bool {
        aggregations().find(&name.to_lowercase()).is_some()
    }

    fn note_function(&self, function: &mut ast::Function) -> Result<()> {
        self.note_call(function)
    }
}

impl ContextProvider for Planner {
    fn get_table_source(&self, name: TableReference) -> datafusion::error::Result<Arc<dyn TableSource>> {
        self.tables.lock().get(&name).cloned().ok_or_else(|| {
            Error::not_found(format!("relation \"{}\" does not exist", name.table()))
                .code(SqlState::UndefinedTable)
                .into()
        })
    }

    fn get_table_function_source(
        &self,
        name: &str,
        args: Vec<Expr>,
    ) -> datafusion::error::Result<Arc<dyn TableSource>> {
        let missing = || self.missing_function(name, &name.to_lowercase());
        let function = self.state.table_functions().get(&name.to_lowercase()).cloned().ok_or_else(missing)?;
        let schema = DFSchema::empty();
        let mut constants = Vec::new();
        for arg in args {
            let physical = self.state.create_physical_expr(arg, &schema)?;
            let batch = datafusion::arrow::record_batch::RecordBatch::try_new_with_options(
                Arc::new(datafusion::arrow::datatypes::Schema::empty()),
                Vec::new(),
                &datafusion::arrow::record_batch::RecordBatchOptions::new().with_row_count(Some(1)),
            )?;
            let value = physical.evaluate(&batch)?.into_array(1)?;
            constants.push(lit(ScalarValue::try_from_array(&value, 0)?));
        }
        let provider = function.create_table_provider_with_args(datafusion::catalog::TableFunctionArgs::new(
            &constants,
            self.state.as_ref(),
        ))?;
        Ok(provider_as_source(provider))
    }

    fn create_cte_work_table(&self, name: &str, schema: SchemaRef) -> datafusion::error::Result<Arc<dyn TableSource>> {
        Ok(provider_as_source(Arc::new(datafusion::datasource::cte_worktable::CteWorkTable::new(name, schema))))
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        self.state.expr_planners()
    }

    fn get_relation_planners(&self) -> &[Arc<dyn RelationPlanner>] {
        &self.relation_planners
    }

    fn get_type_planner(&self) -> Option<Arc<dyn TypePlanner>> {
        Some(Arc::new(Types))
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        if let Some(function) = self.functions.lock().get(name) {
            return Some(function.clone());
        }
        if self.internal.lock().contains(name) {
            return scalars().find(name)?.make(&self.clock, self.volatile);
        }
        self.built_in(name)
    }

    fn get_higher_order_meta(&self, name: &str) -> Option<Arc<HigherOrderUDF>> {
        self.state.higher_order_functions().get(name).cloned()
    }

    fn get_aggregate_meta(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        let name = name.strip_prefix("pg_catalog.").unwrap_or(name);
        self.state.aggregate_functions().get(aggregations().find(name)?.name).cloned()
    }

    fn get_window_meta(&self, name: &str) -> Option<Arc<WindowUDF>> {
        self.state.window_functions().get(windows().find(name)?.name).cloned()
    }

    fn get_variable_type(&self, _variable_names: &[String]) -> Option<DataType> {
        None
    }

    fn options(&self) -> &ConfigOptions {
        self.state.config_options()
    }

    fn udf_names(&self) -> Vec<String> {
        self.state.udfs().into_iter().collect()
    }

    fn higher_order_function_names(&self) -> Vec<String> {
        self.state.higher_order_functions().keys().cloned().collect()
    }

    fn udaf_names(&self) -> Vec<String> {
        self.state.aggregate_functions().keys().cloned().collect()
    }

    fn udwf_names(&self) -> Vec<String> {
        self.state.window_functions().keys().cloned().collect()
    }
}
