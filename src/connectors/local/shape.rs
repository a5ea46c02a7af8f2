//! A local table as its declaration says: its columns, and the keys of its rows. Which entry stands for what is decided here:
//! `0 key` a row under its primary key or its number, `n key` of UNIQUE constraint n the key of the row that has these values, and
//! counters.

use datafusion::arrow::array::{Array, RecordBatch};
use datafusion::arrow::datatypes::{DataType, SchemaRef};

use super::changes::Bytes;
use super::key;
use crate::connectors::declaration::{ColumnKind, TableDeclaration};
use crate::data_type::TypeLength;
use crate::error::{Error, Result, SqlState};

/// First byte of the keys of rows.
pub const ROWS: u8 = 0;
/// First byte of the keys of counters.
pub const COUNTERS: u8 = 0xfe;
/// UNIQUE constraints that a table can have.
const UNIQUE_MAX: usize = 100;
/// Name of the column that a declaration of the server's own may have beside the table's: the key of each row.
pub const ROW_KEY: &str = "#row";

/// Columns whose values no two rows may share.
#[derive(Debug, Clone)]
pub struct UniqueKey {
    /// Of the constraint.
    pub name: String,
    /// Indexes of the columns.
    pub columns: Vec<usize>,
    /// First byte of its keys.
    space: u8,
}

/// A local table.
#[derive(Debug)]
pub struct LocalTable {
    /// Under which its rows are stored.
    pub id: String,
    /// Its name, for messages.
    pub relation: String,
    /// Whether its rows are in the memory of a session.
    pub is_temporary: bool,
    /// Its columns.
    pub schema: SchemaRef,
    /// Its key and its UNIQUE constraints, the key first if it has one.
    pub keys: Vec<UniqueKey>,
    /// Whether the first of them is the primary key, under which rows are stored.
    pub has_primary_key: bool,
    /// Lengths that columns have.
    pub lengths: Vec<(usize, TypeLength)>,
    /// Indexes of the columns that are numbered.
    pub numbered: Vec<usize>,
}

impl LocalTable {
    /// Reads a declaration.
    ///
    /// # Errors
    /// It is none of a local table, or has what one cannot have.
    pub fn of(table: &TableDeclaration) -> Result<Self> {
        let local = table.local.as_ref().ok_or_else(|| {
            Error::unsupported(format!(
                "table \"{}\" is declared for connector \"local\" without a place for its rows",
                table.name
            ))
        })?;
        if !table.partitioned_by.is_empty() {
            return Err(Error::unsupported("PARTITIONED BY of a local table is not supported"));
        }
        let stored = table.columns.iter().take_while(|column| column.name != ROW_KEY).count();
        if let Some(column) = table.columns[..stored].iter().find(|column| column.kind != ColumnKind::Physical) {
            return Err(Error::unsupported(format!(
                "METADATA column \"{}\" of a local table is not supported",
                column.name
            )));
        }
        let schema = table.schema()?;
        let schema = SchemaRef::new(schema.project(&(0..stored).collect::<Vec<_>>())?);
        let index = |name: &String| {
            table.column_index(name).ok_or_else(|| {
                Error::not_found(format!("column \"{name}\" named in key does not exist"))
                    .code(SqlState::UndefinedColumn)
            })
        };
        let mut keys = Vec::new();
        let named = (!table.primary_key.is_empty()).then_some((&local.key_name, &table.primary_key));
        let has_primary_key = named.is_some();
        let first = usize::from(!has_primary_key);
        for (space, (name, columns)) in
            (first..).zip(named.into_iter().chain(local.unique.iter().map(|unique| (&unique.name, &unique.columns))))
        {
            let columns = columns.iter().map(index).collect::<Result<Vec<_>>>()?;
            for column in &columns {
                let field = schema.field(*column);
                key::check_type(field.name(), field.data_type())?;
            }
            let space = u8::try_from(space).ok().filter(|space| usize::from(*space) <= UNIQUE_MAX);
            let space = space
                .ok_or_else(|| Error::unsupported(format!("a table has {UNIQUE_MAX} UNIQUE constraints at most")))?;
            keys.push(UniqueKey { name: name.clone(), columns, space });
        }
        let numbered = local.numbered.iter().map(index).collect::<Result<Vec<_>>>()?;
        for column in &numbered {
            let field = schema.field(*column);
            if !matches!(field.data_type(), DataType::Int16 | DataType::Int32 | DataType::Int64) {
                return Err(Error::invalid("identity column type must be smallint, integer, or bigint")
                    .code(SqlState::InvalidParameterValue));
            }
        }
        let lengths = table.columns[..stored].iter().enumerate();
        let lengths = lengths.filter_map(|(at, column)| Some((at, TypeLength::of(&column.sql_type)?))).collect();
        Ok(Self {
            id: local.id.clone(),
            relation: local.relation.clone(),
            is_temporary: local.is_temporary,
            schema,
            keys,
            has_primary_key,
            lengths,
            numbered,
        })
    }

    /// The primary key.
    pub fn primary_key(&self) -> Option<&UniqueKey> {
        self.keys.first().filter(|_| self.has_primary_key)
    }

    /// The UNIQUE constraints that have entries of their own.
    pub fn indexed(&self) -> &[UniqueKey] {
        &self.keys[usize::from(self.has_primary_key)..]
    }
}

impl UniqueKey {
    /// Whether rows themselves are stored under it.
    pub fn is_of_rows(&self) -> bool {
        self.space == ROWS
    }

    /// The key of a row; absent if one of its columns is NULL: such a row is equal to none.
    ///
    /// # Errors
    /// Its columns cannot be in a key.
    pub fn of_row(&self, rows: &RecordBatch, row: usize) -> Result<Option<Bytes>> {
        let mut bytes = vec![self.space];
        for column in &self.columns {
            let column = rows.column(*column);
            if column.is_null(row) {
                return Ok(None);
            }
            key::put(column.as_ref(), row, &mut bytes)?;
        }
        Ok(Some(bytes))
    }
}

/// The key of a row that is stored under its number.
pub fn numbered_row(number: u64) -> Bytes {
    [&[ROWS][..], &number.to_be_bytes()].concat()
}

/// The key of a counter: of rows, or behind it of a column.
pub fn counter(column: Option<usize>) -> Bytes {
    let number = column.map_or(0, |column| 1 + u16::try_from(column).unwrap_or(u16::MAX - 1));
    [&[COUNTERS][..], &number.to_be_bytes()].concat()
}
