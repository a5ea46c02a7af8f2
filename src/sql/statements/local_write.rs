//! Runs INSERT, UPDATE and DELETE over rows that the server keeps: reads the rows that the statement is about, holds them against the
//! constraints, changes them in the session's transaction, and gives what RETURNING asks for. All of it, or nothing: a statement that
//! fails ends its transaction.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BinaryArray, Int64Array, RecordBatch, UInt64Array};
use datafusion::arrow::compute::{cast, concat_batches, take_record_batch};
use datafusion::arrow::datatypes::{DataType, Int64Type, SchemaRef};
use datafusion::scalar::ScalarValue;
use futures::StreamExt;

use super::fitted_values::fit;
use super::outcomes::done;
use super::query;
use crate::connectors::local::{self, LocalTable, Verdict};
use crate::error::{Error, Result, SqlState};
use crate::sql::execution::query_memory::Reserved;
use crate::sql::planning::error_map::refine;
use crate::sql::planning::given_rows::GivenRows;
use crate::sql::planning::names::{Target, missing_text};
use crate::sql::planning::planned::{Conflict, LocalWrite, SharedPlan, WriteKind};
use crate::sql::session::{Outcome, Session};

/// Waits until the session may change a table, and looks whether it is still there then.
///
/// # Errors
/// 55P03, or 42P01: the table is gone.
pub async fn let_in(session: &mut Session, target: &Target, table: &LocalTable) -> Result<()> {
    if table.is_temporary {
        return Ok(());
    }
    session.lock_rows().await?;
    let snapshot = session.snapshot()?;
    let entry = snapshot.schema(&target.database, &target.schema).and_then(|schema| schema.tables.get(&target.name));
    match entry.and_then(|entry| entry.declaration.local.as_ref()) {
        Some(local) if local.id == table.id => Ok(()),
        _ => Err(Error::not_found(missing_text(&target.name)).code(SqlState::UndefinedTable)),
    }
}

/// Runs a planned change of rows.
///
/// # Errors
/// What the query for the rows raises; 23502, 23505, 23514 where they do not fit.
pub async fn run(session: &mut Session, write: &Arc<LocalWrite>, parameters: Vec<ScalarValue>) -> Result<Outcome> {
    if session.is_in_set() {
        return Err(Error::unsupported(format!(
            "table \"{}\", whose rows the server keeps, cannot be written in a statement set",
            write.target.name
        ))
        .hint("Write it by an INSERT of its own, in BEGIN … COMMIT if need be."));
    }
    let mut running = Writing { session, write, parameters, memory: Vec::new() };
    let changed = running.change().await?;
    running.answer(changed).await
}

/// Runs a planned change of rows that gives none; gives their number.
///
/// # Errors
/// As [`run`].
pub async fn run_counted(session: &mut Session, write: &Arc<LocalWrite>) -> Result<u64> {
    let mut running = Writing { session, write, parameters: Vec::new(), memory: Vec::new() };
    let changed = running.change().await?;
    Ok(u64::try_from(changed.num_rows()).unwrap_or(u64::MAX))
}

/// A change that runs.
struct Writing<'a> {
    session: &'a mut Session,
    write: &'a LocalWrite,
    parameters: Vec<ScalarValue>,
    /// For the rows in hand.
    memory: Vec<Reserved>,
}

impl Writing<'_> {
    /// Changes the rows; gives them as they are now, or were.
    async fn change(&mut self) -> Result<RecordBatch> {
        let write = self.write;
        let_in(self.session, &write.target, &write.table).await?;
        let rows = self.query(&write.rows, None).await?;
        match &write.kind {
            WriteKind::Insert { numbered, conflict } => self.insert(rows, numbered, conflict.as_ref()).await,
            WriteKind::Update => self.update(rows).await,
            WriteKind::Delete => self.delete(rows).await,
        }
    }

    /// The rows of a query, in one batch.
    async fn query(&mut self, plan: &SharedPlan, given: Option<RecordBatch>) -> Result<RecordBatch> {
        let most = self.session.settings().query_memory_bytes();
        let mut rows = query::open(self.session, plan, self.parameters.clone(), given.map(GivenRows)).await?;
        let schema = rows.schema();
        let (mut batches, mut bytes) = (Vec::new(), 0);
        while let Some(batch) = rows.next().await {
            let batch = batch.map_err(|error| refine(error, None))?;
            let more = batch.get_array_memory_size();
            bytes += more;
            if bytes > most {
                return Err(Error::invalid(
                    "out of memory: the rows of one statement are more than \"query.memory.limit\"",
                )
                .code(SqlState::OutOfMemory)
                .hint("Write them in parts."));
            }
            self.memory.push(self.session.memory().reserve("a change of rows", more)?);
            batches.push(batch);
        }
        Ok(concat_batches(&schema, &batches)?)
    }

    /// New rows as they are stored, if the table takes them.
    async fn admit(&mut self, columns: &[ArrayRef]) -> Result<RecordBatch> {
        let rows = fit(&self.write.table, columns)?;
        local::check_nulls(&self.write.table, &rows)?;
        if let Some((plan, names)) = &self.write.checks {
            let results = self.query(plan, Some(rows.clone())).await?;
            for row in 0..rows.num_rows() {
                for (result, name) in results.columns().iter().zip(names) {
                    if let Some(result) = result.as_boolean_opt()
                        && result.is_valid(row)
                        && !result.value(row)
                    {
                        return Err(local::check_failed(&self.write.table, name, &rows, row));
                    }
                }
            }
        }
        Ok(rows)
    }

    /// Adds rows; gives those that are there now, in the order in which they came.
    async fn insert(
        &mut self,
        rows: RecordBatch,
        numbered: &[usize],
        conflict: Option<&Conflict>,
    ) -> Result<RecordBatch> {
        let table = Arc::clone(&self.write.table);
        let mut columns = rows.columns().to_vec();
        if !numbered.is_empty() && rows.num_rows() > 0 {
            let (numbered, count) = (numbered.to_vec(), rows.num_rows());
            let numbers = self.session.change_rows(&table, move |_, view| {
                let mut numbers = Vec::new();
                for column in numbered {
                    let next = local::next_of_counter(view, Some(column))?;
                    local::set_counter(view, Some(column), next + count as u64);
                    numbers.push((column, next));
                }
                Ok(numbers)
            });
            for (column, next) in numbers.await? {
                let values = Int64Array::from_iter_values((0..count).map(|row| next as i64 + row as i64));
                columns[column] = cast(&values, table.schema.field(column).data_type())?;
            }
        }
        let rows = self.admit(&columns).await?;
        let Some(conflict) = conflict else {
            let added = rows.clone();
            self.session.change_rows(&table, move |table, view| local::insert(table, view, &added)).await?;
            return Ok(rows);
        };
        let (proposed, arbiters, updates) = (rows.clone(), conflict.arbiters.clone(), conflict.update.is_some());
        let verdicts = self
            .session
            .change_rows(&table, move |table, view| local::arbitrate(table, view, &proposed, &arbiters, updates));
        let verdicts = verdicts.await?;
        let at = |wanted: fn(&Verdict) -> bool| {
            let found = verdicts.iter().enumerate().filter(move |(_, verdict)| wanted(verdict));
            found.map(|(row, _)| row as u64).collect::<Vec<u64>>()
        };
        let added_at = at(|verdict| *verdict == Verdict::Insert);
        let added = take_record_batch(&rows, &UInt64Array::from(added_at.clone()))?;
        let (mut places, mut changed) = (added_at, added.clone());
        self.session.change_rows(&table, move |table, view| local::insert(table, view, &added)).await?;
        if let Some(plan) = &conflict.update {
            let (updated_at, updated) = self.update_conflicting(plan, &rows, &verdicts).await?;
            places.extend(updated_at);
            changed = concat_batches(&rows.schema(), [&changed, &updated])?;
        }
        let mut order: Vec<u64> = (0..places.len() as u64).collect();
        order.sort_by_key(|at| places[*at as usize]);
        Ok(take_record_batch(&changed, &UInt64Array::from(order))?)
    }

    /// DO UPDATE: changes the rows that others are in conflict with; gives the places of those others, and the rows as they are now.
    async fn update_conflicting(
        &mut self,
        plan: &SharedPlan,
        rows: &RecordBatch,
        verdicts: &[Verdict],
    ) -> Result<(Vec<u64>, RecordBatch)> {
        let table = Arc::clone(&self.write.table);
        let (places, keys): (Vec<u64>, Vec<Vec<u8>>) = (0..)
            .zip(verdicts)
            .filter_map(|(row, verdict)| match verdict {
                Verdict::Update(key) => Some((row, key.clone())),
                _ => None,
            })
            .unzip();
        let of_keys = keys.clone();
        let there = self
            .session
            .change_rows(&table, move |table, view| local::rows_of(table, view, of_keys.iter().map(Vec::as_slice)));
        let there = there.await?;
        let proposed = take_record_batch(rows, &UInt64Array::from(places.clone()))?;
        let mut columns = there.columns().to_vec();
        columns.extend(proposed.columns().iter().cloned());
        columns.push(Arc::new(Int64Array::from_iter_values(0..places.len() as i64)));
        let names = columns.iter().enumerate().map(|(at, column)| (at.to_string(), Arc::clone(column), true));
        let updated = self.query(plan, Some(RecordBatch::try_from_iter_with_nullable(names)?)).await?;
        let numbers = updated.column(0).as_primitive_opt::<Int64Type>();
        let numbers = numbers.ok_or_else(|| Error::internal("rows without numbers"))?;
        let chosen: Vec<usize> = numbers.values().iter().map(|number| *number as usize).collect();
        let keys = BinaryArray::from_iter_values(chosen.iter().map(|number| &keys[*number]));
        let updated = self.admit(&updated.columns()[1..]).await?;
        let new = updated.clone();
        self.session.change_rows(&table, move |table, view| local::update(table, view, &keys, &new)).await?;
        Ok((chosen.iter().map(|number| places[*number]).collect(), updated))
    }

    /// Puts rows in the place of others; gives them.
    async fn update(&mut self, rows: RecordBatch) -> Result<RecordBatch> {
        let keys = keys_of(&rows)?;
        let rows = self.admit(&rows.columns()[1..]).await?;
        let new = rows.clone();
        let table = Arc::clone(&self.write.table);
        self.session.change_rows(&table, move |table, view| local::update(table, view, &keys, &new)).await?;
        Ok(rows)
    }

    /// Takes rows away; gives what they were.
    async fn delete(&mut self, rows: RecordBatch) -> Result<RecordBatch> {
        let keys = keys_of(&rows)?;
        let table = Arc::clone(&self.write.table);
        self.session.change_rows(&table, move |table, view| local::delete(table, view, &keys)).await?;
        batch(&table.schema, &rows.columns()[1..])
    }

    /// The tag, or the rows of RETURNING.
    async fn answer(self, changed: RecordBatch) -> Result<Outcome> {
        let verb = self.write.kind.verb();
        let Some(returning) = &self.write.returning else {
            let count = changed.num_rows();
            return Ok(done(match self.write.kind {
                WriteKind::Insert { .. } => format!("INSERT 0 {count}"),
                _ => format!("{verb} {count}"),
            }));
        };
        let rows = query::open(self.session, &returning.plan, self.parameters, Some(GivenRows(changed))).await?;
        let schema = Arc::clone(&returning.schema);
        Ok(Outcome::Rows { verb, schema: Arc::clone(&schema), stream: query::renamed(rows, schema) })
    }
}

fn keys_of(rows: &RecordBatch) -> Result<BinaryArray> {
    let keys = cast(rows.column(0), &DataType::Binary)?;
    Ok(keys.as_binary::<i32>().clone())
}

fn batch(schema: &SchemaRef, columns: &[ArrayRef]) -> Result<RecordBatch> {
    Ok(RecordBatch::try_new(Arc::clone(schema), columns.to_vec())?)
}
