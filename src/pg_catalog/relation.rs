//! Emulated relations: their shapes as a real server has them, rows set by column name, and the provider that makes them at scan time.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use datafusion::arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, new_null_array};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::catalog::memory::MemorySourceConfig;
use datafusion::catalog::{Session, TableProvider};
use datafusion::datasource::TableType;
use datafusion::error::Result;
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::scalar::ScalarValue;

use crate::pg_catalog::pg_type::TYPE_KEY;

/// Name, oid and columns of a relation.
pub struct RelationShape {
    /// `pg_class.oid`
    pub oid: u32,
    /// Name.
    pub name: String,
    /// `r` or `v`.
    pub kind: String,
    /// Columns: name and Postgres type.
    pub columns: Vec<(String, String)>,
    /// The same for Arrow.
    pub schema: SchemaRef,
}

fn shapes(text: &str) -> Vec<RelationShape> {
    text.lines()
        .filter_map(|line| {
            let mut fields = line.split('\t');
            let (oid, name, kind, columns) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
            let columns: Vec<(String, String)> = columns
                .split(',')
                .filter_map(|column| column.split_once(':'))
                .map(|(name, pg_type)| (name.to_owned(), pg_type.to_owned()))
                .collect();
            let fields: Vec<Field> = columns.iter().map(|(name, pg_type)| field(name, pg_type)).collect();
            Some(RelationShape {
                oid: oid.parse().ok()?,
                name: name.to_owned(),
                kind: kind.to_owned(),
                columns,
                schema: Arc::new(Schema::new(fields)),
            })
        })
        .collect()
}

/// Relations of `pg_catalog`.
pub fn pg_catalog() -> &'static [RelationShape] {
    static SHAPES: LazyLock<Vec<RelationShape>> = LazyLock::new(|| shapes(include_str!("pg_catalog.tsv")));
    &SHAPES
}

/// Relations of `information_schema`.
pub fn information_schema() -> &'static [RelationShape] {
    static SHAPES: LazyLock<Vec<RelationShape>> = LazyLock::new(|| shapes(include_str!("information_schema.tsv")));
    &SHAPES
}

/// Arrow type and the name of the Postgres type that Arrow does not have.
fn field(name: &str, pg_type: &str) -> Field {
    let list = |element: DataType| DataType::List(Arc::new(Field::new_list_field(element, true)));
    let (data_type, special) = match pg_type {
        "boolean" => (DataType::Boolean, None),
        "smallint" => (DataType::Int16, None),
        "integer" => (DataType::Int32, None),
        "bigint" => (DataType::Int64, None),
        "real" => (DataType::Float32, None),
        "double precision" | "numeric" => (DataType::Float64, None),
        "oid" => (DataType::UInt32, None),
        "regproc" | "xid" | "regtype" => (DataType::UInt32, Some(pg_type)),
        "name" => (DataType::Utf8, Some("name")),
        "\"char\"" => (DataType::Utf8, Some("char")),
        "character varying" => (DataType::Utf8, Some("varchar")),
        "timestamp with time zone" => (DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), None),
        "bytea" => (DataType::Binary, None),
        "text[]" | "anyarray" | "pg_statistic[]" => (list(DataType::Utf8), None),
        "name[]" => (list(DataType::Utf8), Some("name")),
        "\"char\"[]" => (list(DataType::Utf8), Some("char")),
        "aclitem[]" => (list(DataType::Utf8), Some("aclitem")),
        "smallint[]" => (list(DataType::Int16), None),
        "int2vector" => (list(DataType::Int16), Some("int2vector")),
        "oid[]" | "regtype[]" => (list(DataType::UInt32), None),
        "oidvector" => (list(DataType::UInt32), Some("oidvector")),
        "real[]" => (list(DataType::Float32), None),
        "double precision[]" => (list(DataType::Float64), None),
        "boolean[]" => (list(DataType::Boolean), None),
        _ => (DataType::Utf8, None),
    };
    let field = Field::new(name, data_type, true);
    match special {
        Some(special) => field.with_metadata(HashMap::from([(TYPE_KEY.to_owned(), special.to_owned())])),
        None => field,
    }
}

/// A row: values by column; what is not set is NULL.
#[derive(Debug, Default)]
pub struct Row(Vec<(&'static str, ScalarValue)>);

impl Row {
    /// An empty row.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a column.
    #[must_use]
    pub fn set(mut self, column: &'static str, value: impl Into<ScalarValue>) -> Self {
        self.0.push((column, value.into()));
        self
    }

    /// Sets several columns to one value.
    #[must_use]
    pub fn all(self, columns: &[&'static str], value: impl Into<ScalarValue>) -> Self {
        let value = value.into();
        columns.iter().fold(self, |row, column| row.set(column, value.clone()))
    }
}

/// A list value.
pub fn list(values: &[ScalarValue], element: &DataType) -> ScalarValue {
    ScalarValue::List(ScalarValue::new_list_nullable(values, element))
}

/// Makes rows when asked.
pub type MakeRows = Arc<dyn Fn() -> Vec<Row> + Send + Sync>;

/// A relation whose rows are made at scan time, so that a prepared statement sees today's catalog.
pub struct LazyRelation {
    schema: SchemaRef,
    rows: MakeRows,
}

impl LazyRelation {
    /// A relation of a shape.
    pub fn new(shape: &RelationShape, rows: MakeRows) -> Self {
        Self { schema: Arc::clone(&shape.schema), rows }
    }

    fn batch(&self, projection: Option<&Vec<usize>>) -> Result<RecordBatch> {
        let rows = (self.rows)();
        let wanted: Vec<usize> = projection.cloned().unwrap_or_else(|| (0..self.schema.fields().len()).collect());
        let columns =
            wanted.iter().map(|&index| column(self.schema.field(index), &rows)).collect::<Result<Vec<_>>>()?;
        let schema = Arc::new(self.schema.project(&wanted)?);
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        Ok(RecordBatch::try_new_with_options(schema, columns, &options)?)
    }
}

fn column(field: &Field, rows: &[Row]) -> Result<ArrayRef> {
    let null = ScalarValue::try_from(field.data_type())?;
    let value = |row: &Row| -> Result<ScalarValue> {
        match row.0.iter().find(|(name, _)| name == field.name()) {
            None => Ok(null.clone()),
            Some((_, value)) if value.data_type() == *field.data_type() => Ok(value.clone()),
            Some((_, value)) => value.cast_to(field.data_type()),
        }
    };
    if rows.is_empty() {
        return Ok(new_null_array(field.data_type(), 0));
    }
    ScalarValue::iter_to_array(rows.iter().map(value).collect::<Result<Vec<_>>>()?)
}

impl fmt::Debug for LazyRelation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LazyRelation").field("schema", &self.schema).finish_non_exhaustive()
    }
}

#[async_trait]
impl TableProvider for LazyRelation {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let batch = self.batch(projection)?;
        let schema = batch.schema();
        Ok(MemorySourceConfig::try_new_exec(&[vec![batch]], schema, None)?)
    }
}
