//! Reading and planning statements, on the threads of queries: what a statement costs there holds up nobody else, and ends with a
//! cancel or a time-out. Only what is small for sure is done where the client is answered.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlan};

use crate::error::Result;
use crate::sql::parser::Places;
use crate::sql::parser::splitter::{self, StatementText};
use crate::sql::parser::statement_size;
use crate::sql::planning::constant_row::ConstantRow;
use crate::sql::planning::error_map::refine;
use crate::sql::planning::planned::Planned;
use crate::sql::planning::planner::Planner;
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
    parameter_types: Vec<DataType>,
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
            Statement::Explain(explain) => {
                let analysed = match &explain.explained {
                    Explained::Query(query) => self.analyse_query(query, &text.text, given).await?,
                    Explained::Insert(insert) => self.analyse_insert(insert, &text.text, given).await?,
                };
                Some(Analysed { result: None, once: true, ..analysed })
            }
            Statement::OverQuery(statement) => {
                let mut analysed = self.analyse_query(statement.query(), &text.text, given).await?;
                if let Planned::Query { constant, .. } = &mut analysed.planned {
                    // Its columns would have to be described with the statement.
                    *constant = None;
                }
                Some(Analysed { result: None, once: true, ..analysed })
            }
            _ => None,
        };
        let (planned, parameter_types, result) = match analysed {
            Some(Analysed { planned, parameter_types, result, once }) => {
                (Some((planned, once)), parameter_types, result)
            }
            None => (None, given.iter().map(|given| given.clone().unwrap_or(DataType::Utf8)).collect(), None),
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
        Ok(Prepared { parameter_types, result, inner: Arc::new(inner) })
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
        let parameter_types = match &planned {
            Planned::Query { .. } | Planned::Job(_) => {
                given.iter().map(|given| given.clone().unwrap_or(DataType::Utf8)).collect()
            }
            Planned::BoundedInsert { plan } => {
                let (plan, given) = (plan.clone(), given.to_vec());
                self.server().queries.compute(move || parameter_types(&plan, &given)).await?
            }
        };
        Ok(Analysed { planned, parameter_types, result: None, once: true })
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
            let planned = planner.plan_insert(&insert.into, &given, &Places::new(&text))?;
            if planned.plan.get_parameter_names()?.is_empty() {
                return Ok(None);
            }
            let plan = planned.dml()?;
            let parameter_types = parameter_types(&plan, &given)?;
            let planned = Planned::BoundedInsert { plan: planner.share(plan) };
            Ok(Some(Analysed { planned, parameter_types, result: None, once: true }))
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
    let parameter_types = parameter_types(&plan, given)?;
    let analysed = state
        .analyzer()
        .execute_and_check(plan.clone(), state.config_options(), |_, _| {})
        .map_err(|error| refine(error, None))?;
    let result = rename(&Arc::new(analysed.schema().as_arrow().clone()), names.as_deref());
    let constant = statement_size::is_trivial(text).then(|| ConstantRow::of(&analysed)).flatten();
    let once = planner.uses_time.load(Ordering::Relaxed);
    let planned = Planned::Query { plan: planner.share(plan), names, constant };
    Ok(Analysed { planned, parameter_types, result: Some(result), once })
}

/// Types of `$1 …`: the client's, else inferred, else text.
fn parameter_types(plan: &LogicalPlan, given: &[Option<DataType>]) -> Result<Vec<DataType>> {
    let mut inferred = plan.get_parameter_types().map_err(|error| refine(error, None))?;
    // What a parameter is cast to is its type.
    plan.apply_with_subqueries(|plan| {
        plan.apply_expressions(|expr| {
            expr.apply(|expr| {
                if let Expr::Cast(cast) = expr
                    && let Expr::Placeholder(placeholder) = cast.expr.as_ref()
                {
                    inferred
                        .entry(placeholder.id.clone())
                        .and_modify(|known| {
                            known.get_or_insert_with(|| cast.field.data_type().clone());
                        })
                        .or_insert_with(|| Some(cast.field.data_type().clone()));
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })
    .map_err(|error| refine(error, None))?;
    let numbers: HashMap<usize, Option<DataType>> = inferred
        .into_iter()
        .filter_map(|(name, data_type)| Some((name.strip_prefix('$')?.parse().ok()?, data_type)))
        .collect();
    let count = numbers.keys().copied().max().unwrap_or(0).max(given.len());
    Ok((1..=count)
        .map(|number| {
            given
                .get(number - 1)
                .cloned()
                .flatten()
                .or_else(|| numbers.get(&number).cloned().flatten())
                .filter(|data_type| !data_type.is_null())
                .unwrap_or(DataType::Utf8)
        })
        .collect())
}
