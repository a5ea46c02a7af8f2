//! Rows into and out of a table, under its constraints; errors are PostgreSQL's. Nothing is undone here when something fails: whoever
//! writes forgets the changes then.

use std::collections::HashSet;

use datafusion::arrow::array::{Array, BinaryArray, RecordBatch};

use super::changes::Bytes;
use super::row::{self, Decoder};
use super::shape::{LocalTable, UniqueKey, counter, numbered_row};
use super::values_text::{failing_row, values};
use super::view::TableView;
use crate::error::{Error, Result, SqlState};

/// What becomes of a row of an INSERT with ON CONFLICT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is inserted.
    Insert,
    /// It is left out.
    Skip,
    /// The row with this key is changed instead.
    Update(Bytes),
}

/// Refuses NULL in columns that are NOT NULL.
///
/// # Errors
/// 23502.
pub fn check_nulls(table: &LocalTable, rows: &RecordBatch) -> Result<()> {
    let required = table.schema.fields().iter().enumerate().filter(|(_, field)| !field.is_nullable());
    let required: Vec<usize> = required.map(|(at, _)| at).filter(|at| rows.column(*at).null_count() > 0).collect();
    if required.is_empty() {
        return Ok(());
    }
    for row in 0..rows.num_rows() {
        if let Some(column) = required.iter().find(|column| rows.column(**column).is_null(row)) {
            return Err(Error::invalid(format!(
                "null value in column \"{}\" of relation \"{}\" violates not-null constraint",
                table.schema.field(*column).name(),
                table.relation
            ))
            .code(SqlState::NotNullViolation)
            .of_column(&table.relation, table.schema.field(*column).name())
            .detail(failing_row(rows, row)));
        }
    }
    Ok(())
}

/// The error of a row for which a CHECK constraint is false.
pub fn check_failed(table: &LocalTable, constraint: &str, rows: &RecordBatch, row: usize) -> Error {
    Error::invalid(format!("new row for relation \"{}\" violates check constraint \"{constraint}\"", table.relation))
        .code(SqlState::CheckViolation)
        .of_constraint(&table.relation, constraint)
        .detail(failing_row(rows, row))
}

/// The key of the row that has these values; absent: none has them.
fn holder(view: &TableView, key: &UniqueKey, bytes: &[u8]) -> Result<Option<Bytes>> {
    let found = view.get(bytes)?;
    Ok(if key.is_of_rows() { found.map(|_| bytes.to_vec()) } else { found })
}

fn duplicate(table: &LocalTable, key: &UniqueKey, rows: &RecordBatch, row: usize) -> Error {
    let names: Vec<&str> = key.columns.iter().map(|column| table.schema.field(*column).name().as_str()).collect();
    Error::invalid(format!("duplicate key value violates unique constraint \"{}\"", key.name))
        .code(SqlState::UniqueViolation)
        .of_constraint(&table.relation, &key.name)
        .detail(format!("Key ({})=({}) already exists.", names.join(", "), values(rows, row, &key.columns)))
}

/// A counter's next value.
pub fn next_of_counter(view: &TableView, column: Option<usize>) -> Result<u64> {
    let stored = view.get(&counter(column))?;
    let number = stored.as_deref().map(|bytes| <[u8; 8]>::try_from(bytes).map(u64::from_be_bytes));
    number
        .transpose()
        .map_err(|_| Error::corrupt("a counter of a local table cannot be read"))
        .map(|next| next.unwrap_or(1))
}

/// Sets a counter's next value.
pub fn set_counter(view: &mut TableView, column: Option<usize>, next: u64) {
    view.set(counter(column), Some(next.to_be_bytes().to_vec()));
}

/// Adds rows.
///
/// # Errors
/// 23505: a key or a UNIQUE constraint has the values of one already.
pub fn insert(table: &LocalTable, view: &mut TableView, rows: &RecordBatch) -> Result<()> {
    if rows.num_rows() == 0 {
        return Ok(());
    }
    let mut number = if table.has_primary_key { 0 } else { next_of_counter(view, None)? };
    for row in 0..rows.num_rows() {
        let key = match table.primary_key() {
            Some(key) => primary_key(table, key, rows, row)?,
            None => {
                number += 1;
                numbered_row(number - 1)
            }
        };
        put(table, view, &key, rows, row, true)?;
    }
    if !table.has_primary_key {
        set_counter(view, None, number);
    }
    Ok(())
}

fn primary_key(table: &LocalTable, key: &UniqueKey, rows: &RecordBatch, row: usize) -> Result<Bytes> {
    let missing = || Error::internal(format!("a row of \"{}\" has no key", table.relation));
    key.of_row(rows, row)?.ok_or_else(missing)
}

/// Stores a row under its key; `is_new`: no row may be there.
fn put(
    table: &LocalTable,
    view: &mut TableView,
    key: &Bytes,
    rows: &RecordBatch,
    row: usize,
    is_new: bool,
) -> Result<()> {
    if let Some(primary_key) = table.primary_key().filter(|_| is_new)
        && view.get(key)?.is_some()
    {
        return Err(duplicate(table, primary_key, rows, row));
    }
    for unique in table.indexed() {
        let Some(bytes) = unique.of_row(rows, row)? else { continue };
        if view.get(&bytes)?.is_some() {
            return Err(duplicate(table, unique, rows, row));
        }
        view.set(bytes, Some(key.clone()));
    }
    view.set(key.clone(), Some(row::encode(rows, row)?));
    Ok(())
}

/// What becomes of each row of an INSERT with ON CONFLICT; `arbiters`: which keys of the table decide.
///
/// # Errors
/// 21000: two rows would change one.
pub fn arbitrate(
    table: &LocalTable,
    view: &TableView,
    rows: &RecordBatch,
    arbiters: &[usize],
    updates: bool,
) -> Result<Vec<Verdict>> {
    let mut seen = HashSet::new();
    let mut verdicts = Vec::with_capacity(rows.num_rows());
    for row in 0..rows.num_rows() {
        let mut verdict = Verdict::Insert;
        let mut own = Vec::new();
        for key in arbiters.iter().map(|arbiter| &table.keys[*arbiter]) {
            let Some(bytes) = key.of_row(rows, row)? else { continue };
            if seen.contains(&bytes) {
                if updates {
                    return Err(Error::invalid("ON CONFLICT DO UPDATE command cannot affect row a second time")
                        .code(SqlState::CardinalityViolation)
                        .hint(
                            "Ensure that no rows proposed for insertion within the same command have duplicate \
                             constrained values.",
                        ));
                }
                verdict = Verdict::Skip;
            } else if let Some(holder) = holder(view, key, &bytes)? {
                verdict = if updates { Verdict::Update(holder) } else { Verdict::Skip };
            }
            own.push(bytes);
        }
        if verdict != Verdict::Skip {
            seen.extend(own);
        }
        verdicts.push(verdict);
    }
    Ok(verdicts)
}

/// The rows with these keys, all columns.
///
/// # Errors
/// One is not there.
pub fn rows_of<'a>(table: &LocalTable, view: &TableView, keys: impl Iterator<Item = &'a [u8]>) -> Result<RecordBatch> {
    let all: Vec<usize> = (0..table.schema.fields().len()).collect();
    let mut decoder = Decoder::new(&table.schema, &all)?;
    for key in keys {
        let row = view.get(key)?.ok_or_else(|| Error::internal("a row that was just read is not there"))?;
        decoder.push(&row)?;
    }
    decoder.finish()
}

/// Takes rows away.
///
/// # Errors
/// The disk fails.
pub fn delete(table: &LocalTable, view: &mut TableView, keys: &BinaryArray) -> Result<()> {
    if !table.indexed().is_empty() {
        let old = rows_of(table, view, keys.iter().flatten())?;
        for row in 0..old.num_rows() {
            forget(table, view, &old, row)?;
        }
    }
    for key in keys.iter().flatten() {
        view.set(key.to_vec(), None);
    }
    Ok(())
}

/// Takes away what UNIQUE constraints have of a row.
fn forget(table: &LocalTable, view: &mut TableView, rows: &RecordBatch, row: usize) -> Result<()> {
    for unique in table.indexed() {
        if let Some(bytes) = unique.of_row(rows, row)? {
            view.set(bytes, None);
        }
    }
    Ok(())
}

/// Puts new rows in the place of those with these keys. The constraints hold for what is there at the end, so that keys can be moved up.
///
/// # Errors
/// 23505: two rows would have the same values.
pub fn update(table: &LocalTable, view: &mut TableView, keys: &BinaryArray, rows: &RecordBatch) -> Result<()> {
    let mut new_keys: Vec<Bytes> = Vec::with_capacity(rows.num_rows());
    for (row, key) in keys.iter().enumerate() {
        let old = key.ok_or_else(|| Error::internal("a row without a key"))?;
        new_keys.push(match table.primary_key() {
            Some(key) => primary_key(table, key, rows, row)?,
            None => old.to_vec(),
        });
    }
    if !table.indexed().is_empty() {
        let old = rows_of(table, view, keys.iter().flatten())?;
        for row in 0..old.num_rows() {
            forget(table, view, &old, row)?;
        }
    }
    let is_moved = |row: usize| keys.value(row) != new_keys[row].as_slice();
    for row in (0..rows.num_rows()).filter(|row| is_moved(*row)) {
        view.set(keys.value(row).to_vec(), None);
    }
    for (row, key) in new_keys.iter().enumerate() {
        put(table, view, key, rows, row, is_moved(row))?;
    }
    Ok(())
}

/// Takes all rows away. Numbers go on where they were, unless they begin anew.
///
/// # Errors
/// The disk fails.
pub fn truncate(table: &LocalTable, view: &mut TableView, restart: bool) -> Result<()> {
    let mut counters = vec![(None, next_of_counter(view, None)?)];
    for column in table.numbered.iter().filter(|_| !restart) {
        counters.push((Some(*column), next_of_counter(view, Some(*column))?));
    }
    view.clear();
    for (column, next) in counters {
        set_counter(view, column, next);
    }
    Ok(())
}
