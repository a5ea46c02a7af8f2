//! Plans queries for one statement: what names mean now, which provider stands behind them, DataFusion's planner over it.
//! A planner for jobs takes the volatile time functions, so that nothing of the clock is folded into a stored plan.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::catalog::view::ViewTable;
use datafusion::common::config::ConfigOptions;
use datafusion::common::{DFSchema, ScalarValue, TableReference};
use datafusion::datasource::{provider_as_source, source_as_provider};
use datafusion::execution::FunctionRegistry;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::planner::{ContextProvider, ExprPlanner, RelationPlanner, TypePlanner};
use datafusion::logical_expr::{
    AggregateUDF, Expr, ExprSchemable, HigherOrderUDF, LogicalPlan, LogicalPlanBuilder, ScalarUDF, TableSource,
    WindowUDF, cast, lit,
};
use datafusion::sql::planner::{ParserOptions, PlannerContext, SqlToRel};
use datafusion::sql::sqlparser::ast;
use parking_lot::Mutex;

use super::array_parameters;
use super::assignment;
use super::constant_row::ConstantRow;
use super::error_map::refine;
use super::job_plan::PlannedJob;
use super::missing_functions;
use super::names::{Names, TEMPORARY_SCHEMA, Target};
use super::plan_size::Size;
use super::resolver::{Parameter, Resolver, placeholder};
use super::shipped;
use super::user_function::SqlFunction;
use crate::catalog::{DEFAULT_DATABASE, DEFAULT_SCHEMA, FunctionEntry, TableEntry, ViewEntry};
use crate::clock::{Clock, ManualClock};
use crate::connectors::table_provider::ConnectorTable;
use crate::connectors::{ColumnKind, OptionValue, TableDeclaration};
use crate::data_type;
use crate::engine::lookup_function::LookupFunction;
use crate::error::{Error, Result};
use crate::functions::{self, coercion};
use crate::sql::parser::dialect::{self, Cursor, Hints, Places};
use crate::sql::parser::secret_options::is_secret;
use crate::sql::parser::statement_size;
use crate::sql::server::{SessionView, SqlServer, SystemFunctions};
use crate::sql::statements::insert::Insert;
use crate::threads::Deep;

/// Functions that DataFusion's planner knows without a name in its lists.
const OF_THE_LANGUAGE: [&str; 3] = ["unnest", "row", "struct"];

/// How deep views and functions may refer to each other.
const DEPTH_MAX: usize = 24;

/// A plan that may be deep and that several hold.
pub type SharedPlan = Arc<Deep<LogicalPlan>>;

/// A statement's plan.
#[derive(Clone)]
pub enum Planned {
    /// Rows for the client.
    Query {
        /// As DataFusion's SQL planner gives it: neither analysed nor optimised.
        plan: SharedPlan,
        /// The names of the result's columns, where they differ from the plan's.
        names: Option<Vec<String>>,
        /// If it reads nothing.
        constant: Option<ConstantRow>,
    },
    /// An INSERT that ends by itself.
    BoundedInsert {
        /// The write over its input.
        plan: SharedPlan,
    },
    /// An INSERT that does not.
    Job(Box<PlannedJob>),
}

/// Plans one statement.
pub struct Planner {
    server: Arc<SqlServer>,
    names: Names,
    temporary: Arc<BTreeMap<String, TableEntry>>,
    state: Arc<SessionState>,
    /// What the computed schemas show and can do.
    system: (Arc<SessionView>, Arc<SystemFunctions>),
    volatile: bool,
    /// Stands at the statement's start, unless the plan is to read the time by itself.
    clock: Arc<dyn Clock>,
    depth: usize,
    tables: Mutex<HashMap<TableReference, Arc<dyn TableSource>>>,
    functions: Mutex<HashMap<String, Arc<ScalarUDF>>>,
    /// What views cost.
    sizes: Mutex<HashMap<(String, String), Size>>,
    failed: Mutex<Option<Error>>,
    hinted: AtomicUsize,
    /// Bytes of views and functions that were read for the plan.
    read: Arc<AtomicUsize>,
    /// Whether a time function was asked for: such a plan is good for one execution.
    pub uses_time: AtomicBool,
}

impl Planner {
    /// Makes a planner. `volatile`: for jobs and bodies of functions.
    pub fn new(
        server: Arc<SqlServer>,
        names: Names,
        temporary: Arc<BTreeMap<String, TableEntry>>,
        state: Arc<SessionState>,
        system: (Arc<SessionView>, Arc<SystemFunctions>),
        volatile: bool,
    ) -> Self {
        let clock: Arc<dyn Clock> =
            if volatile { server.clock.clone() } else { Arc::new(ManualClock::at(server.clock.now_ms())) };
        Self {
            clock,
            server,
            names,
            temporary,
            state,
            system,
            volatile,
            depth: 0,
            tables: Mutex::default(),
            functions: Mutex::default(),
            sizes: Mutex::default(),
            failed: Mutex::default(),
            hinted: AtomicUsize::new(0),
            read: Arc::default(),
            uses_time: AtomicBool::new(false),
        }
    }

    /// What names mean.
    pub fn names(&self) -> &Names {
        &self.names
    }

    fn nested(&self, schema: &str, volatile: bool) -> Result<Self> {
        if self.depth >= DEPTH_MAX {
            return Err(Error::invalid("views or functions refer to each other too deeply").code("54001"));
        }
        let mut names = self.names.clone();
        names.search_path.retain(|known| known != schema);
        names.search_path.insert(0, schema.to_owned());
        let mut nested = Self::new(
            self.server.clone(),
            names,
            self.temporary.clone(),
            self.state.clone(),
            self.system.clone(),
            volatile,
        );
        nested.depth = self.depth + 1;
        nested.read = self.read.clone();
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
        if let Some(error) = self.failed.lock().take() {
            return Err(error);
        }
        let names = super::result_names::name_results(&mut query.body);
        super::result_names::name_nested(query);
        super::row_comparisons::write_out(query)?;
        super::integer_literals::of_query(query);
        let planner = SqlToRel::new_with_options(self, Self::options());
        let mut plan = planner.sql_statement_to_plan(statement).map_err(|error| refine(error, places))?;
        if has_array_parameters {
            plan = array_parameters::take_types(plan).map_err(|error| refine(error, places))?;
        }
        Ok((plan, names, size))
    }

    /// Plans the text of a query (of a view).
    ///
    /// # Errors
    /// As [`Self::plan_query`].
    pub fn plan_text(&self, text: &str) -> Result<LogicalPlan> {
        Ok(self.plan_text_counted(text)?.0)
    }

    fn plan_text_counted(&self, text: &str) -> Result<(LogicalPlan, Size)> {
        let (query, hints) = dialect::parse_query(text)?;
        let (plan, _, size) = self.plan_counted(&query, &hints, Some(&Places::new(text)), &[])?;
        Ok((plan, size))
    }

    /// What a reference to a relation costs.
    pub fn size_of(&self, schema: &str, name: &str) -> Size {
        self.sizes.lock().get(&(schema.to_owned(), name.to_owned())).copied().unwrap_or_default()
    }

    /// Evaluates a constant expression.
    ///
    /// # Errors
    /// It is not constant, or not of that type.
    pub fn constant(&self, text: &str, data_type: &DataType) -> Result<ScalarValue> {
        let mut cursor = Cursor::new(text)?;
        let expr = cursor.expr()?;
        cursor.end()?;
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

    /// Makes a relation known to the plan under a name of its own where it has hints; gives the schema part of that name.
    ///
    /// # Errors
    /// The relation cannot be opened.
    pub fn register(&self, target: &Target, options: &[(String, String)]) -> Result<(String, Arc<dyn TableProvider>)> {
        let schema = if options.is_empty() {
            target.schema.clone()
        } else {
            format!("{}#{}", target.schema, self.hinted.fetch_add(1, Ordering::Relaxed))
        };
        let reference = TableReference::partial(schema.clone(), target.name.clone());
        if let Some(source) = self.tables.lock().get(&reference) {
            return Ok((schema, source_as_provider(source)?));
        }
        let provider = self.provider(target, options)?;
        self.tables.lock().insert(reference, provider_as_source(provider.clone()));
        Ok((schema, provider))
    }

    /// The declared table that a name means, if it is one.
    pub fn entry(&self, target: &Target) -> Option<&TableEntry> {
        if target.schema == TEMPORARY_SCHEMA {
            return self.temporary.get(&target.name);
        }
        self.names.snapshot.schema(&target.database, &target.schema)?.tables.get(&target.name)
    }

    fn view_entry(&self, target: &Target) -> Option<&ViewEntry> {
        self.names.snapshot.schema(&target.database, &target.schema)?.views.get(&target.name)
    }

    /// What a relation is read through.
    ///
    /// # Errors
    /// Its options, its computed columns or its view's query cannot be used.
    pub fn provider(&self, target: &Target, options: &[(String, String)]) -> Result<Arc<dyn TableProvider>> {
        if let Some(entry) = self.entry(target) {
            let base = self.connector_table(entry, options)?;
            return self.with_computed_columns(target, entry, base);
        }
        if let Some((name, _)) = options.first() {
            return Err(Error::invalid(format!("hint OPTIONS ('{name}') needs a declared table")));
        }
        if let Some(view) = self.view_entry(target) {
            let nested = self.nested(&target.schema, self.volatile)?;
            let (plan, size) = nested
                .plan_text_counted(&view.query)
                .map_err(|error| error.context(format!("view \"{}\"", target.name)))?;
            self.sizes.lock().insert((target.schema.clone(), target.name.clone()), size);
            let renames: Vec<Expr> = plan
                .schema()
                .columns()
                .into_iter()
                .zip(&view.columns)
                .map(|(column, (name, _))| Expr::Column(column).alias(name))
                .collect();
            let plan = LogicalPlanBuilder::from(plan).project(renames)?.build()?;
            return Ok(Arc::new(ViewTable::new(plan, None)));
        }
        self.server
            .system_schemas
            .iter()
            .find(|schema| schema.name() == target.schema)
            .and_then(|schema| schema.relation(&target.name, &self.system.0))
            .ok_or_else(|| Error::not_found(format!("relation \"{}\" does not exist", target.name)).code("42P01"))
    }

    /// Opens a declared table with the options of a hint over its own.
    ///
    /// # Errors
    /// An option is unknown or does not fit.
    pub fn connector_table(&self, entry: &TableEntry, options: &[(String, String)]) -> Result<Arc<ConnectorTable>> {
        let mut declaration = entry.declaration.clone();
        for (name, value) in options {
            if name == "connector" {
                return Err(Error::invalid("hint OPTIONS cannot change the connector"));
            }
            if is_secret(name) {
                return Err(Error::unsupported(format!("hint OPTIONS cannot hold the secret \"{name}\""))
                    .hint("Write it into WITH of CREATE TABLE, where it is kept encrypted."));
            }
            if value.contains("://") {
                crate::places::refuse_userinfo(&format!("option \"{name}\""), value)?;
            }
            declaration.options.insert(name.clone(), OptionValue::Plain(value.clone()));
        }
        self.server.open_table(&declaration, !options.is_empty())
    }

    fn with_computed_columns(
        &self,
        target: &Target,
        entry: &TableEntry,
        base: Arc<ConnectorTable>,
    ) -> Result<Arc<dyn TableProvider>> {
        if entry.columns.iter().all(|column| column.computed.is_none()) {
            return Ok(base);
        }
        let schema = base.schema();
        let reference = TableReference::partial(target.schema.clone(), target.name.clone());
        let source = provider_as_source(base);
        let scan = LogicalPlanBuilder::scan(reference, source, None)?;
        let df_schema = scan.schema().clone();
        let mut exprs = Vec::new();
        for column in &entry.columns {
            let expr = match &column.computed {
                None => Expr::Column(df_schema.qualified_field_with_unqualified_name(&column.name)?.into()),
                Some(text) => self
                    .expression(text, &schema, &df_schema)
                    .map_err(|error| error.context(format!("computed column \"{}\"", column.name)))?,
            };
            exprs.push(expr.alias(&column.name));
        }
        let plan = scan.project(exprs)?.build()?;
        Ok(Arc::new(ViewTable::new(plan, None)))
    }

    fn expression(&self, text: &str, schema: &SchemaRef, df_schema: &DFSchema) -> Result<Expr> {
        let mut cursor = Cursor::new(text)?;
        let mut expr = cursor.expr()?;
        cursor.end()?;
        Resolver::new(self, Hints::default(), None).resolve_over(&mut expr, schema)?;
        super::integer_literals::of_expr(&mut expr);
        let planner = SqlToRel::new_with_options(self, Self::options());
        planner.sql_to_expr(expr, df_schema, &mut PlannerContext::new()).map_err(|error| refine(error, None))
    }

    /// The type of a computed column's expression.
    ///
    /// # Errors
    /// It cannot be planned.
    pub fn type_of_column_expression(&self, declaration: &TableDeclaration, text: &str) -> Result<DataType> {
        let schema = declaration.schema()?;
        let df_schema = DFSchema::try_from(schema.as_ref().clone())?;
        let expr = self.expression(text, &schema, &df_schema)?;
        let plan = LogicalPlanBuilder::scan(
            "t",
            provider_as_source(Arc::new(datafusion::datasource::empty::EmptyTable::new(schema))),
            None,
        )?
        .project(vec![strip_qualifiers(expr)?])?
        .build()?;
        let plan = self.analyze(&plan).map_err(|error| refine(error, None))?;
        Ok(plan.schema().field(0).data_type().clone())
    }

    /// Plans the watermarks of a declaration once.
    ///
    /// # Errors
    /// An expression cannot be planned.
    pub fn check_watermarks(&self, entry: &TableEntry) -> Result<()> {
        let fields = entry
            .columns
            .iter()
            .map(|column| {
                let data_type = data_type::parse(&column.sql_type)?;
                Ok(datafusion::arrow::datatypes::Field::new(&column.name, data_type, true))
            })
            .collect::<Result<Vec<_>>>()?;
        let schema: SchemaRef = Arc::new(datafusion::arrow::datatypes::Schema::new(fields));
        let df_schema = DFSchema::try_from(schema.as_ref().clone())?;
        for watermark in &entry.watermarks {
            self.expression(&watermark.expression, &schema, &df_schema)
                .and_then(|expr| Ok(expr.get_type(&df_schema)?))
                .map_err(|error| error.context(format!("watermark of \"{}\"", watermark.column)))?;
        }
        Ok(())
    }

    fn analyze(&self, plan: &LogicalPlan) -> datafusion::error::Result<LogicalPlan> {
        self.state.analyzer().execute_and_check(plan.clone(), self.state.config_options(), |_, _| {})
    }

    /// Whether a function of that name is part of the server.
    pub fn is_built_in(&self, name: &str) -> bool {
        self.built_in(name).is_some()
            || OF_THE_LANGUAGE.contains(&name)
            || self.state.higher_order_functions().contains_key(name)
            || self.state.aggregate_functions().contains_key(functions::aggregates::resolve(name))
            || self.state.window_functions().contains_key(name)
    }

    /// Whether a name is an aggregate function's.
    pub fn is_aggregate(&self, name: &str) -> bool {
        self.state.aggregate_functions().contains_key(&name.to_lowercase())
    }

    fn built_in(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        let name = name.rsplit('.').next().unwrap_or(name);
        if let Some(function) = functions::time::by_name(name, &self.clock, self.volatile) {
            self.uses_time.store(true, Ordering::Relaxed);
            return Some(function);
        }
        if let Some(function) = functions::by_name(name, self.server.clock.clone()) {
            return Some(function);
        }
        if let Some(function) = self.system.1.find(name, &self.server, &self.system.0) {
            return Some(function);
        }
        self.state.scalar_functions().get(name).cloned()
    }

    /// Plans the user's function behind a call, so that its errors are told and not taken for a missing function.
    ///
    /// # Errors
    /// There is no function of that name.
    pub fn note_function(&self, function: &mut ast::Function) -> Result<()> {
        let idents: Vec<ast::Ident> = function.name.0.iter().filter_map(|part| part.as_ident().cloned()).collect();
        let Some(last) = idents.last() else { return Ok(()) };
        let key = if idents.len() == 1 { last.value.to_lowercase() } else { function.name.to_string() };
        // DataFusion takes quoted names as they are written.
        if idents.len() == 1 && last.quote_style.is_some() {
            function.name = ast::ObjectName::from(vec![ast::Ident { value: key.clone(), ..last.clone() }]);
        }
        // Planned once: each level of functions that call each other twice would double the time.
        if self.functions.lock().contains_key(&key) || (idents.len() == 1 && self.is_built_in(&key)) {
            return Ok(());
        }
        let snapshot = &self.names.snapshot;
        let found = match self.names.find_function(&idents) {
            Some((database, schema, name)) => snapshot
                .schema(&database, &schema)
                .and_then(|entries| entries.functions.get(&name))
                .map(|entry| (name, schema, entry)),
            // One that the server brings along reads the tables that the session sees.
            None => shipped::function(&idents).map(|(name, entry)| {
                (name.to_owned(), self.names.current_schema().unwrap_or_else(|| DEFAULT_SCHEMA.to_owned()), entry)
            }),
        };
        let Some((name, schema, entry)) = found else {
            let name = last.value.to_lowercase();
            let is_there = idents.len() > 1 && self.is_built_in(&name);
            return if is_there { Ok(()) } else { Err(self.missing_function(&function.name.to_string(), &name)) };
        };
        match self.function(&name, &schema, entry) {
            Ok(udf) => {
                self.functions.lock().insert(key, udf);
            }
            Err(error) => {
                *self.failed.lock() = Some(error.context(format!("function \"{name}\"")));
            }
        }
        Ok(())
    }

    fn missing_function(&self, written: &str, name: &str) -> Error {
        let state = &self.state;
        let of_session = self.names.current_schema().unwrap_or_else(|| DEFAULT_SCHEMA.to_owned());
        let entries = self.names.snapshot.schema(DEFAULT_DATABASE, &of_session);
        let own = entries.into_iter().flat_map(|entries| entries.functions.keys());
        let of_engine = state.scalar_functions().keys().chain(state.aggregate_functions().keys());
        let there = own.chain(of_engine).chain(state.window_functions().keys()).chain(state.table_functions().keys());
        missing_functions::missing(written, name, there.map(String::as_str).chain(functions::NAMES.iter().copied()))
    }

    /// Plans a user's function.
    ///
    /// # Errors
    /// Its body cannot be planned, or gives another type than declared.
    pub fn function(&self, name: &str, schema: &str, entry: &FunctionEntry) -> Result<Arc<ScalarUDF>> {
        let nested = self.nested(schema, true)?;
        self.note_text(entry.body.len());
        let (query, hints) = dialect::parse_query(&entry.body)?;
        let places = Places::new(&entry.body);
        let plain: Vec<Parameter> =
            entry.parameters.iter().map(|(name, _)| Parameter { name: name.clone(), cast: None }).collect();
        let mut tree = query.clone();
        let mut resolver = Resolver::new(&nested, hints.clone(), Some(&places)).with_parameters(plain);
        resolver.resolve(&mut tree).map_err(without_position)?;
        if resolver.reads_relations {
            let plan = nested.plan_tree(*tree)?;
            let plan = nested.analyze(&plan).map_err(|error| without_position(refine(error, None)))?;
            let lookup = LookupFunction::from_body(name, &plan, &self.time_zone())?.ok_or_else(|| {
                Error::unsupported("a body that reads a table must aggregate the rows of one key")
                    .hint("Write SELECT <aggregates> FROM t WHERE key = parameter.")
            })?;
            return Ok(lookup.into_udf(self.server.clock.clone()));
        }
        let typed = entry
            .parameters
            .iter()
            .map(|(name, sql_text)| {
                let cast = if sql_text == "ANY" { None } else { sql_type(&data_type::parse_in_query(sql_text)?) };
                Ok(Parameter { name: name.clone(), cast })
            })
            .collect::<Result<Vec<_>>>()?;
        let mut tree = query;
        Resolver::new(&nested, hints, Some(&places))
            .with_parameters(typed)
            .resolve(&mut tree)
            .map_err(without_position)?;
        if let Some(error) = nested.failed.lock().take() {
            return Err(without_position(error));
        }
        let plan = nested.plan_tree(*tree)?;
        let LogicalPlan::Projection(projection) = &plan else {
            return Err(Error::unsupported("the body of a function must be SELECT of one expression"));
        };
        let (LogicalPlan::EmptyRelation(_), [expr]) = (projection.input.as_ref(), &projection.expr[..]) else {
            return Err(Error::unsupported("the body of a function must be SELECT of one expression").code("42P13"));
        };
        let returns = data_type::parse_in_query(&entry.returns)?;
        let parameters = entry
            .parameters
            .iter()
            .map(
                |(_, sql_type)| {
                    if sql_type == "ANY" { Ok(None) } else { data_type::parse_in_query(sql_type).map(Some) }
                },
            )
            .collect::<Result<Vec<_>>>()?;
        let body = cast(expr.clone().unalias(), returns.clone());
        Ok(Arc::new(ScalarUDF::from(SqlFunction::new(name, parameters, returns, body)?)))
    }

    fn plan_tree(&self, mut query: ast::Query) -> Result<LogicalPlan> {
        super::integer_literals::of_query(&mut query);
        SqlToRel::new_with_options(self, Self::options())
            .sql_statement_to_plan(ast::Statement::Query(Box::new(query)))
            .map_err(|error| without_position(refine(error, None)))
    }

    /// The session's time zone.
    pub fn time_zone(&self) -> String {
        self.state.config_options().execution.time_zone.clone().unwrap_or_else(|| "UTC".to_owned())
    }

    /// Plans the rows of an INSERT: the table's columns in order and type. Gives the opened table too.
    ///
    /// # Errors
    /// The table or its columns do not exist, or the query does not fit them.
    pub fn plan_insert(
        &self,
        insert: &Insert,
        parameter_types: &[Option<DataType>],
        places: &Places,
    ) -> Result<(LogicalPlan, Arc<ConnectorTable>, Target)> {
        let written = insert.table.iter().map(dialect::fold).collect::<Vec<_>>().join(".");
        let target = self
            .names
            .find_relation(&insert.table)?
            .ok_or_else(|| self.names.missing_relation(&insert.table).at(insert.position))?;
        let Some(entry) = self.entry(&target) else {
            return Err(Error::invalid(format!("cannot insert into \"{written}\": it is not a declared table"))
                .code("42809")
                .at(insert.position));
        };
        let table = self
            .connector_table(entry, &insert.options)
            .map_err(|error| if error.position().is_some() { error } else { error.at(insert.position) })?;
        let declaration = table.declaration().clone();
        let chosen = self.insert_columns(insert, entry, &declaration)?;
        let schema = table.schema();
        let types: Vec<DataType> = chosen.iter().map(|index| schema.field(*index).data_type().clone()).collect();
        let mut source = insert.source.clone();
        type_values(&mut source, &types);
        let (plan, _) = self.plan_query(&source, &insert.hints, Some(places), parameter_types)?;
        let columns = plan.schema().columns();
        if columns.len() != chosen.len() {
            let more = columns.len() > chosen.len();
            let message = if more {
                "INSERT has more expressions than target columns"
            } else {
                "INSERT has more target columns than expressions"
            };
            return Err(Error::invalid(message)
                .code("42601")
                .detail(format!("The query gives {} columns, {} are expected.", columns.len(), chosen.len()))
                .hint("List the columns: INSERT INTO t (a, b) SELECT …")
                .at(insert.position));
        }
        let sources =
            assignment::sources(&plan, |plan| self.analyze(plan)).map_err(|error| refine(error, Some(places)))?;
        let mut exprs = Vec::new();
        for (index, field) in schema.fields().iter().enumerate() {
            let expr = match chosen.iter().position(|chosen| *chosen == index) {
                Some(at) => {
                    let declared = declaration.columns.iter().find(|column| column.name == *field.name());
                    let digits = declared.and_then(|column| data_type::timestamp_digits(&column.sql_type));
                    assignment::assign(Expr::Column(columns[at].clone()), &sources[at], field, digits)?
                }
                None if !field.is_nullable() => {
                    return Err(Error::invalid(format!(
                        "null value in column \"{}\" of relation \"{}\" violates not-null constraint",
                        field.name(),
                        target.name
                    ))
                    .code("23502")
                    .at(insert.position));
                }
                None => lit(ScalarValue::try_from(field.data_type())?),
            };
            exprs.push(expr.alias(field.name()));
        }
        let plan = LogicalPlanBuilder::from(plan).project(exprs)?.build().map_err(|error| refine(error, None))?;
        Ok((plan, table, target))
    }

    fn insert_columns(
        &self,
        insert: &Insert,
        entry: &TableEntry,
        declaration: &TableDeclaration,
    ) -> Result<Vec<usize>> {
        let is_virtual =
            |index: usize| matches!(declaration.columns[index].kind, ColumnKind::Metadata { is_virtual: true, .. });
        if insert.columns.is_empty() {
            return Ok((0..declaration.columns.len()).filter(|index| !is_virtual(*index)).collect());
        }
        let mut chosen = Vec::new();
        for (ident, position) in &insert.columns {
            let index = declaration.column_index(&ident.value).ok_or_else(|| {
                let known = entry.columns.iter().find(|column| column.name.eq_ignore_ascii_case(&ident.value));
                if let Some(column) = known {
                    return Error::invalid(format!("column \"{}\" is computed and cannot be written", column.name))
                        .code("428C9")
                        .at(*position);
                }
                let mut error = Error::not_found(format!(
                    "column \"{}\" of relation \"{}\" does not exist",
                    ident.value,
                    insert.table.last().map(dialect::fold).unwrap_or_default()
                ))
                .code("42703")
                .at(*position);
                let names = declaration.columns.iter().map(|column| column.name.as_str());
                if let Some(near) = crate::nearest::nearest(&ident.value, names) {
                    error = error.hint(format!("Perhaps you mean \"{near}\"."));
                }
                error
            })?;
            if is_virtual(index) {
                return Err(Error::invalid(format!("column \"{}\" is read only", declaration.columns[index].name))
                    .code("428C9")
                    .at(*position));
            }
            if chosen.contains(&index) {
                return Err(Error::invalid(format!("column \"{}\" specified more than once", ident.value))
                    .code("42701")
                    .at(*position));
            }
            chosen.push(index);
        }
        Ok(chosen)
    }
}

fn without_position(error: Error) -> Error {
    // A position in a body's text means nothing in the statement that calls it.
    let mut plain = Error::invalid(error.message()).code(error.sqlstate());
    if let Some(detail) = error.detail_text() {
        plain = plain.detail(detail);
    }
    if let Some(hint) = error.hint_text() {
        plain = plain.hint(hint);
    }
    plain
}

fn strip_qualifiers(expr: Expr) -> Result<Expr> {
    use datafusion::common::tree_node::{Transformed, TreeNode};
    let stripped = expr.transform(|expr| {
        Ok(match expr {
            Expr::Column(mut column) => {
                column.relation = None;
                Transformed::yes(Expr::Column(column))
            }
            other => Transformed::no(other),
        })
    })?;
    Ok(stripped.data)
}

/// Each value of an INSERT … VALUES is assigned for itself: one row's type says nothing of another's.
fn type_values(query: &mut ast::Query, types: &[DataType]) {
    let ast::SetExpr::Values(values) = query.body.as_mut() else { return };
    for row in &mut values.rows {
        for (expr, data_type) in row.content.iter_mut().zip(types) {
            // A text whose type is not written is one of bytes as PostgreSQL reads them.
            let is_bytea = *data_type == DataType::Binary && is_text_literal(expr);
            let known = if is_bytea { Some(ast::DataType::Bytea) } else { sql_type(data_type) };
            if let Some(data_type) = known {
                let value = std::mem::replace(expr, placeholder(0, None));
                *expr = ast::Expr::Cast {
                    kind: ast::CastKind::Cast,
                    expr: Box::new(value),
                    data_type,
                    array: false,
                    format: None,
                };
            }
        }
    }
}

fn is_text_literal(expr: &ast::Expr) -> bool {
    let ast::Expr::Value(ast::ValueWithSpan { value, .. }) = expr else { return false };
    matches!(
        value,
        ast::Value::SingleQuotedString(_) | ast::Value::EscapedStringLiteral(_) | ast::Value::DollarQuotedString(_)
    )
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

impl ContextProvider for Planner {
    fn get_table_source(&self, name: TableReference) -> datafusion::error::Result<Arc<dyn TableSource>> {
        self.tables.lock().get(&name).cloned().ok_or_else(|| {
            Error::not_found(format!("relation \"{}\" does not exist", name.table())).code("42P01").into()
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
        self.state.relation_planners()
    }

    fn get_type_planner(&self) -> Option<Arc<dyn TypePlanner>> {
        Some(Arc::new(super::types::Types))
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        if let Some(function) = self.functions.lock().get(name) {
            return Some(function.clone());
        }
        self.built_in(name)
    }

    fn get_higher_order_meta(&self, name: &str) -> Option<Arc<HigherOrderUDF>> {
        self.state.higher_order_functions().get(name).cloned()
    }

    fn get_aggregate_meta(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        let name = name.strip_prefix("pg_catalog.").unwrap_or(name);
        self.state.aggregate_functions().get(functions::aggregates::resolve(name)).cloned()
    }

    fn get_window_meta(&self, name: &str) -> Option<Arc<WindowUDF>> {
        self.state.window_functions().get(name).cloned()
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
