//! INSERT INTO: bounded sources run now and are counted; an unbounded source becomes a job.

use std::sync::Arc;

use datafusion::arrow::array::UInt64Array;
use datafusion::arrow::datatypes::DataType;
use datafusion::logical_expr::LogicalPlan;
use datafusion::scalar::ScalarValue;
use datafusion::sql::sqlparser::tokenizer::Token;
use futures::StreamExt;

use super::shipped_tables::declare_missing;
use super::{local_write, row_clauses};
use crate::error::{Error, Result};
use crate::sql::execution::background_stream;
use crate::sql::parser::secret_options::mask;
use crate::sql::parser::{Cursor, Places};
use crate::sql::planning::error_map::refine;
use crate::sql::planning::job_plan::{JobInsert, PlannedJob};
use crate::sql::planning::planned::{Planned, SharedPlan, bound};
use crate::sql::planning::planner::{InsertInto, InsertPlan, Planner};
use crate::sql::session::{Outcome, Session};
use crate::threads::Deep;

/// INSERT INTO t [(columns)] query
#[derive(Debug, Clone)]
pub struct Insert {
    /// What it writes, and where.
    pub into: InsertInto,
    /// The statement's text with its secrets masked.
    pub text: String,
}

impl Insert {
    /// Reads the statement.
    ///
    /// # Errors
    /// A syntax error, or a clause that is refused.
    pub fn parse(cursor: &mut Cursor) -> Result<Self> {
        let from = cursor.position();
        cursor.expect_word("INSERT")?;
        if cursor.peek_words(&["OVERWRITE"]) {
            return Err(Error::unsupported("INSERT OVERWRITE is not supported").at(cursor.position()));
        }
        cursor.expect_word("INTO")?;
        if matches!(cursor.peek_nth(1), Token::Word(_)) {
            cursor.word("TABLE");
        }
        let position = cursor.position();
        let mut last = position;
        let mut table = vec![cursor.ident()?];
        while cursor.token(&Token::Period) {
            last = cursor.position();
            table.push(cursor.ident()?);
        }
        let options = cursor.hints.options.remove(&last).unwrap_or_default();
        if cursor.peek_words(&["PARTITION"]) {
            return Err(Error::unsupported("INSERT INTO … PARTITION is not supported").at(cursor.position()));
        }
        let alias = if cursor.word("AS") { Some(cursor.ident()?) } else { None };
        let mut columns = Vec::new();
        let is_query = ["SELECT", "WITH", "VALUES", "TABLE"]
            .iter()
            .any(|word| matches!(cursor.peek_nth(1), Token::Word(w) if w.quote_style.is_none() && w.value.eq_ignore_ascii_case(word)));
        if cursor.peek() == Token::LParen && !is_query && cursor.peek_nth(1) != Token::LParen {
            cursor.expect(&Token::LParen)?;
            loop {
                let at = cursor.position();
                columns.push((cursor.ident()?, at));
                if !cursor.token(&Token::Comma) {
                    break;
                }
            }
            cursor.expect(&Token::RParen)?;
        }
        let source = if cursor.words(&["DEFAULT", "VALUES"]) { None } else { Some(cursor.query()?) };
        let conflict = row_clauses::on_conflict(cursor)?;
        let at = cursor.position();
        let returning = row_clauses::returning(cursor)?.map(|items| (items, at));
        // A hint may stand after the last token.
        let to = cursor.position();
        let text = mask(cursor.slice(from, to).trim_end());
        let hints = cursor.hints.between(from, to);
        let into =
            InsertInto { table, position, alias, options, columns, source, rows: None, hints, conflict, returning };
        Ok(Self { into, text })
    }
}

/// Plans an INSERT: what runs now, or a job. `text`: the statement that it stands in, for the positions of errors.
///
/// # Errors
/// As planning.
pub async fn plan(
    session: &mut Session,
    insert: &Arc<Insert>,
    given: &[Option<DataType>],
    text: &str,
) -> Result<Planned> {
    loop {
        match plan_once(session, insert, given, text).await {
            Err(error) if declare_missing(session, &error).await => {}
            planned => return planned,
        }
    }
}

async fn plan_once(
    session: &mut Session,
    insert: &Arc<Insert>,
    given: &[Option<DataType>],
    text: &str,
) -> Result<Planned> {
    let (insert, given, places) = (insert.clone(), given.to_vec(), Places::new(text));
    let (planner, volatile) = (session.planner(false)?, session.planner(true)?);
    let (server, state) = (session.server.clone(), session.state());
    let settings = session.settings().of_jobs()?;
    let pipeline_name = session.settings().get("pipeline.name").ok().filter(|name| !name.is_empty());
    let work = async move {
        let planned = planner.plan_insert(&insert.into, &given, &places)?;
        let optimised = state.optimize(&planned.plan).map_err(|error| refine(error, Some(&places)))?;
        if !crate::engine::planner::is_unbounded(&optimised)? {
            return bounded(&planner, &insert, planned, &given, &places);
        }
        let planned =
            if planner.is_good_for_jobs() { planned } else { volatile.plan_insert(&insert.into, &given, &places)? };
        refuse_in_job(&planned)?;
        let query = server.optimize_for_jobs(&planned.plan, &state).map_err(|error| refine(error, Some(&places)))?;
        let query = Arc::new(Deep::new(query));
        let insert = JobInsert {
            query,
            columns: planned.columns(),
            sink: planned.table,
            table: planned.target.name,
            text: insert.text.clone(),
            needs: planner.needs(),
        };
        Ok(Planned::Job(Box::new(PlannedJob::plan(vec![insert], settings, pipeline_name).await?)))
    };
    session.server.queries.run(|_| work).await
}

/// The plan of an INSERT that ends by itself.
///
/// # Errors
/// As planning.
pub fn bounded(
    planner: &Planner,
    insert: &Insert,
    planned: InsertPlan,
    given: &[Option<DataType>],
    places: &Places,
) -> Result<Planned> {
    if planned.is_local() {
        return Ok(Planned::LocalWrite(Arc::new(planner.plan_local_insert(&insert.into, planned, given, places)?)));
    }
    Ok(Planned::BoundedInsert { plan: planner.share(planned.dml()?) })
}

fn refuse_in_job(planned: &InsertPlan) -> Result<()> {
    if planned.is_local() {
        return Err(Error::unsupported(format!(
            "a job cannot write table \"{}\", whose rows the server keeps",
            planned.target.name
        ))
        .hint("Write to a table with a connector, or INSERT from bounded tables."));
    }
    Ok(())
}

/// Runs a planned INSERT, or adds it to the statement set that is open.
///
/// # Errors
/// Whatever the write may raise.
pub async fn run(session: &mut Session, planned: &Planned, parameters: Vec<ScalarValue>) -> Result<Outcome> {
    match planned {
        Planned::Query { .. } => Err(Error::internal("a query is not an INSERT")),
        Planned::LocalWrite(write) => local_write::run(session, write, parameters).await,
        Planned::BoundedInsert { plan } => {
            let plan = if parameters.is_empty() { plan.clone() } else { bind(session, plan, parameters).await? };
            if let Some(collected) = session.collect(|| Planned::BoundedInsert { plan: plan.clone() }) {
                return Ok(collected);
            }
            let count = run_bounded(session, &plan).await?;
            Ok(Outcome::Done { tag: format!("INSERT 0 {count}") })
        }
        Planned::Job(job) => match session.collect(|| planned.clone()) {
            Some(collected) => Ok(collected),
            None => session.submit_insert(job),
        },
    }
}

/// A bounded INSERT with the values of its parameters.
async fn bind(session: &Session, plan: &SharedPlan, parameters: Vec<ScalarValue>) -> Result<SharedPlan> {
    let (plan, state) = (plan.clone(), session.state());
    let work = move || {
        let plan = bound(&plan, parameters)?;
        if let LogicalPlan::Dml(dml) = &plan {
            let optimised = state.optimize(&dml.input).map_err(|error| refine(error, None))?;
            if crate::engine::planner::is_unbounded(&optimised)? {
                return Err(Error::unsupported("a job cannot have parameters").hint("Write the values out."));
            }
        }
        Ok(Arc::new(Deep::new(plan)))
    };
    session.server.queries.compute(work).await
}

/// Runs a bounded INSERT; gives the number of rows.
///
/// # Errors
/// Whatever reading and writing may raise.
pub async fn run_bounded(session: &mut Session, plan: &SharedPlan) -> Result<u64> {
    let plan = plan.clone();
    let (mut state, told) = session.telling_state();
    session.count_into(&mut state);
    let context = session.task_context(&state);
    let made = async move {
        let physical = state.create_physical_plan(&plan).await.map_err(|error| refine(error, None))?;
        Ok((physical, context, None))
    };
    let mut stream = background_stream::start(&session.server.queries, made).await?;
    told.take().into_iter().for_each(|notice| session.notice(notice));
    let mut count = 0;
    while let Some(batch) = stream.next().await {
        let batch = batch.map_err(|error| refine(error, None))?;
        if let Some(counts) = batch.column(0).as_any().downcast_ref::<UInt64Array>() {
            count += counts.iter().flatten().sum::<u64>();
        }
    }
    session.tell_counts();
    Ok(count)
}
