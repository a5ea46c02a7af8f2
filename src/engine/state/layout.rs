//! How the tables of a keyed table are laid out in checkpoints: names and types of columns. Part of the stored format: a table's
//! name and its columns must stay what they are.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, BooleanArray, UInt8Array};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::arrow::record_batch::RecordBatch;

use super::TableDelta;
use crate::engine::key_group::key_groups;
use crate::error::{Error, Result};

/// Columns before the key's.
const HEAD: usize = 2;

/// One table: key group, whether the row is deleted, key, sub-key, other columns.
#[derive(Debug, Clone)]
pub struct StoredTable {
    name: String,
    schema: SchemaRef,
    key_columns: usize,
}

/// The tables of one keyed table.
#[derive(Debug, Clone)]
pub struct Layout {
    /// Whose state it is: `a materialisation`.
    owner: &'static str,
    key: Vec<Field>,
    /// The table with one row for each key, if there is one, and the place among its columns where the time of the last touch
    /// stands, if it does.
    row: Option<(StoredTable, Option<usize>)>,
    stores: Vec<StoredTable>,
}

/// Which of the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Row,
    Store(usize),
}

/// A column that may be NULL.
pub fn column(name: impl Into<String>, data_type: &DataType) -> Field {
    Field::new(name.into(), data_type.clone(), true)
}

impl Layout {
    /// For keys of these columns.
    pub fn new(owner: &'static str, key: Vec<Field>) -> Self {
        Self { owner, key, row: None, stores: Vec::new() }
    }

    /// Adds the table with one row for each key: [`super::KeyedState::columns`], with the time of the last touch at a place among them.
    #[must_use]
    pub fn with_row(mut self, table: &str, mut columns: Vec<Field>, touched_at: Option<usize>) -> Self {
        if let Some(place) = touched_at {
            columns.insert(place, column("touched_ms", &DataType::Int64));
        }
        self.row = Some((StoredTable::new(table.to_owned(), &self.key, &[], &columns), touched_at));
        self
    }

    /// Adds a table with many rows of a key: the next of [`super::KeyedState::stores`].
    #[must_use]
    pub fn with_store(mut self, table: impl Into<String>, sub_key: &[Field], columns: &[Field]) -> Self {
        self.stores.push(StoredTable::new(table.into(), &self.key, sub_key, columns));
        self
    }

    pub(super) fn owner(&self) -> &'static str {
        self.owner
    }

    /// Types of the key's columns.
    pub(super) fn key_types(&self) -> Vec<DataType> {
        self.key.iter().map(|field| field.data_type().clone()).collect()
    }

    pub(super) fn key_columns(&self) -> usize {
        self.key.len()
    }

    pub(super) fn row(&self) -> Option<&StoredTable> {
        self.row.as_ref().map(|(table, _)| table)
    }

    pub(super) fn touched_at(&self) -> Option<usize> {
        self.row.as_ref().and_then(|(_, touched_at)| *touched_at)
    }

    pub(super) fn stores(&self) -> &[StoredTable] {
        &self.stores
    }

    /// The table of a name.
    pub(super) fn find(&self, table: &str) -> Option<(Place, &StoredTable)> {
        if let Some(row) = self.row().filter(|row| row.name == table) {
            return Some((Place::Row, row));
        }
        let store = self.stores.iter().position(|store| store.name == table)?;
        Some((Place::Store(store), &self.stores[store]))
    }
}

impl StoredTable {
    fn new(name: String, key: &[Field], sub_key: &[Field], columns: &[Field]) -> Self {
        let head = [Field::new("key_group", DataType::UInt8, false), Field::new("deleted", DataType::Boolean, false)];
        let fields: Vec<Field> = head.iter().chain(key).chain(sub_key).chain(columns).cloned().collect();
        Self { name, schema: Arc::new(Schema::new(fields)), key_columns: key.len() + sub_key.len() }
    }

    /// Changed rows: columns of their keys, whether each is deleted, the columns behind.
    pub(super) fn delta(&self, keys: Vec<ArrayRef>, deleted: Vec<bool>, columns: Vec<ArrayRef>) -> Result<TableDelta> {
        let groups = key_groups(&keys, deleted.len())?;
        let mut all: Vec<ArrayRef> = Vec::with_capacity(self.schema.fields().len());
        all.push(Arc::new(UInt8Array::from(groups)));
        all.push(Arc::new(BooleanArray::from(deleted)));
        all.extend(keys);
        all.extend(columns);
        let rows = RecordBatch::try_new(Arc::clone(&self.schema), all)?;
        Ok(TableDelta { table: self.name.clone(), key_columns: self.key_columns, rows })
    }

    /// The columns of stored rows from the key's on.
    ///
    /// # Errors
    /// They are not this table's.
    pub(super) fn columns<'a>(&self, rows: &'a RecordBatch) -> Result<&'a [ArrayRef]> {
        let fields = self.schema.fields();
        let fits = rows.num_columns() == fields.len()
            && rows.columns().iter().zip(fields).all(|(column, field)| column.data_type() == field.data_type());
        if !fits || rows.columns().iter().take(HEAD).any(|column| column.null_count() > 0) {
            let name = &self.name;
            return Err(Error::corrupt(format!(
                "table \"{name}\" of an operator's state was stored with other columns"
            ))
            .hint("The job's statement changed; start it without its state."));
        }
        Ok(&rows.columns()[HEAD..])
    }
}
