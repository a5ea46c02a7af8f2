//! Reading and planning statements, on the threads of queries: what a statement costs there holds up nobody else, and ends with a
//! cancel or a time-out. Only what is small for sure is done where the client is answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;

use super::parameters::Parameters;
use crate::error::Result;
use crate::sql::parser::Places;
use crate::sql::parser::splitter::{self, StatementText};
use crate::sql::parser::statement_size;
use crate::sql::planning::constant_row::ConstantRow;
use crate::sql::planning::error_map::refine;
use crate::sql::planning::planned::{LocalWrite, Planned};
use crate::sql::planning::planner::{ChangeRows, Planner};
use crate::sql::planning::result_names::rename;
use crate::sql::session::{CachedPlan, Prepared, PreparedInner, Session};
use crate::sql::statements::explain::Explained;
use crate::sql::statements::insert::{self as inserts, Insert};
use crate::sql::statements::prepared::PreparedControl;
use crate::sql::statements::query::Query;
use crate::sql::statements::{self, Statement};
use crate::threads::Deep;

/// What planning gives.
struct Analysed {
    planned: Planned,
    parameters: Parameters,
    /// Columns of a query.
    result: Option<SchemaRef>,
    /// Whether the plan is good for one execution only.
    once: bool,
}

impl Session {
    pub(super) async fn prepare_inner(&mut self, text: &StatementText, given: &[Option<DataType>]) -> Result<Prepared> {
        let statement = self.read(&text.text).await?;
        let analysed = match &**statement {
            Statement::Query(query) => Some(self.analyse_query(query, &text.text, given).await?),
            // Parameters are not bound yet, so that whether it is a job is decided when it runs.
            Statement::Insert(insert) if text.text.contains('$') => {
                match self.analyse_with_parameters(insert, &text.text, given).await? {
                    Some(analysed) => Some(analysed),
                    None => Some(self.analyse_insert(insert, &text.text, given).await?),
                }
            }
            Statement::Insert(insert) => Some(self.analyse_insert(insert, &text.text, given).await?),
            Statement::Change(change) => Some(self.analyse_change(change, &text.text, given).await?),
            Statement::Explain(explain) => {
                let analysed = match &explain.explained {
                    Explained::Query(query) => self.analyse_query(query, &text.text, given).await?,
                    Explained::Insert(insert) => self.analyse_insert(insert, &text.text, given).await?,
                    Explained::Change(change) => self.analyse_change(change, &text.text, given).await?,
                };
                Some(Analysed { result: None, once: true, ..analysed })
            }
            Statement::OverQuery(statement) => {
                let mut analysed = self.analyse_query(statement.query(), &text.text, given).await?;
                if let Planned::Query { constant, .. } = &mut analysed.planned {
                    // Its columns would have to be described with the statement.
                    *constant = None;
                }
                let result = analysed.result.take().filter(|_| statement.gives_rows());
                Some(Analysed { result, once: true, ..analysed })
            }
            _ => None,
        };
        let (planned, parameters, result) = match analysed {
            Some(Analysed { planned, parameters, result, once }) => (Some((planned, once)), parameters, result),
            None => (None, Parameters::given(given), None),
        };
        let result = match &**statement {
            Statement::Prepared(PreparedControl::Execute { name, .. }) => {
                self.prepared.get(name).and_then(|prepared| prepared.result.clone())
            }
            other => result.or_else(|| other.result(self)),
        };
        let snapshot = self.snapshot()?;
        let generation = self.settings().generation;
        let plan = planned.map(|(planned, once)| CachedPlan {
            planned,
            snapshot,
            generation,
            once,
            used: AtomicBool::new(false),
        });
        let inner = PreparedInner { text: text.clone(), statement, given_types: given.to_vec(), plan };
        let Parameters { types: parameter_types, named: named_parameters } = parameters;
        Ok(Prepared { parameter_types, named_parameters, result, inner: Arc::new(inner) })
    }

    /// Reads a statement.
    async fn read(&mut self, text: &str) -> Result<Arc<Deep<Statement>>> {
        let read = if statement_size::is_small(text) {
            statements::parse(text).map(|statement| Arc::new(Deep::shallow(statement)))
        } else {
            let text = text.to_owned();
            self.server
                .queries
                .compute(move || statements::parse(&text).map(|statement| Arc::new(Deep::new(statement))))
                .await
        };
        let admitted = read.and_then(|statement| {
            self.admit(statement.as_ref())?;
            // Also before it is planned, which opens its tables.
            self.permit(statement.as_ref())?;
            Ok(statement)
        });
        admitted.inspect_err(|_| {
            if splitter::opens_statement_set(text) {
                self.open_failed_set();
            }
        })
    }

    async fn analyse_query(&mut self, query: &Arc<Query>, text: &str, given: &[Option<DataType>]) -> Result<Analysed> {
        let state = self.state();
        let (query, given) = (query.clone(), given.to_vec());
        if statement_size::is_trivial(text) {
            return analyse_query(&self.planner(false)?, &query, text, &given, &state);
        }
        let text = text.to_owned();
        self.plan(false, move |planner| analyse_query(&planner, &query, &text, &given, &state)).await
    }

    async fn analyse_insert(
        &mut self,
        insert: &Arc<Insert>,
        text: &str,
        given: &[Option<DataType>],
    ) -> Result<Analysed> {
        let planned = inserts::plan(self, insert, given, text).await?;
        let parameters = match &planned {
            Planned::Query { .. } | Planned::Job(_) => Parameters::given(given),
            Planned::BoundedInsert { plan } => {
                let (plan, given) = (plan.clone(), given.to_vec());
                self.server().queries.compute(move || Parameters::of(&[&plan], &given)).await?
            }
            Planned::LocalWrite(write) => {
                let (write, given) = (write.clone(), given.to_vec());
                return self.server().queries.compute(move || analysed_write(write, &given)).await;
            }
        };
        Ok(Analysed { planned, parameters, result: None, once: true })
    }

    async fn analyse_change(
        &mut self,
        change: &Arc<ChangeRows>,
        text: &str,
        given: &[Option<DataType>],
    ) -> Result<Analysed> {
        let (change, given, text) = (change.clone(), given.to_vec(), text.to_owned());
        let work = move |planner: Planner| {
            analysed_write(Arc::new(planner.plan_change(&change, &given, &Places::new(&text))?), &given)
        };
        self.plan(false, work).await
    }

    /// An INSERT with parameters; `None` if it has none after all.
    async fn analyse_with_parameters(
        &mut self,
        insert: &Arc<Insert>,
        text: &str,
        given: &[Option<DataType>],
    ) -> Result<Option<Analysed>> {
        let (insert, given, text) = (insert.clone(), given.to_vec(), text.to_owned());
        self.plan(false, move |planner| {
            let places = Places::new(&text);
            let planned = planner.plan_insert(&insert.into, &given, &places)?;
            if planned.plan.get_parameter_names()?.is_empty() && !planned.is_local() {
                return Ok(None);
            }
            let planned = inserts::bounded(&planner, &insert, planned, &given, &places)?;
            match &planned {
                Planned::LocalWrite(write) => {
                    let analysed = analysed_write(write.clone(), &given)?;
                    Ok((!analysed.parameters.types.is_empty()).then_some(analysed))
                }
                Planned::BoundedInsert { plan } => {
                    let parameters = Parameters::of(&[plan], &given)?;
                    Ok(Some(Analysed { planned, parameters, result: None, once: true }))
                }
                _ => Ok(None),
            }
        })
        .await
    }
}

fn analyse_query(
    planner: &Planner,
    query: &Query,
    text: &str,
    given: &[Option<DataType>],
    state: &SessionState,
) -> Result<Analysed> {
    let (plan, names) = planner.plan_query(&query.query, &query.hints, Some(&Places::new(text)), given)?;
    let parameters = Parameters::of(&[&plan], given)?;
    let analysed = state
        .analyzer()
        .execute_and_check(plan.clone(), state.config_options(), |_, _| {})
        .map_err(|error| refine(error, None))?;
    let result = rename(&Arc::new(analysed.schema().as_arrow().clone()), names.as_deref());
    let constant = statement_size::is_trivial(text).then(|| ConstantRow::of(&analysed)).flatten();
    let once = planner.uses_time.load(Ordering::Relaxed);
    let planned = Planned::Query { plan: planner.share(plan), names, constant };
    Ok(Analysed { planned, parameters, result: Some(result), once })
}

fn analysed_write(write: Arc<LocalWrite>, given: &[Option<DataType>]) -> Result<Analysed> {
    let plans: Vec<&LogicalPlan> = write.plans().into_iter().map(|plan| &***plan).collect();
    let parameters = Parameters::of(&plans, given)?;
    let result = write.returning.as_ref().map(|returning| returning.schema.clone());
    Ok(Analysed { planned: Planned::LocalWrite(write), parameters, result, once: true })
}
