//! Outcomes of statements that are made here and not by a plan: a tag alone, or a few rows.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::physical_plan::memory::MemoryStream;

use crate::error::Result;
use crate::sql::session::Outcome;

/// Columns of text.
pub(in crate::sql) fn text_schema(names: &[&str]) -> SchemaRef {
    Arc::new(Schema::new(names.iter().map(|name| Field::new(*name, DataType::Utf8, true)).collect::<Vec<_>>()))
}

/// An outcome of rows that are there already, all text.
///
/// # Errors
/// The rows do not fit the schema.
pub(in crate::sql) fn text_rows(
    verb: &'static str,
    schema: SchemaRef,
    rows: &[Vec<Option<String>>],
) -> Result<Outcome> {
    let columns: Vec<ArrayRef> = (0..schema.fields().len())
        .map(|column| {
            let values: StringArray = rows.iter().map(|row| row.get(column).cloned().flatten()).collect();
            Arc::new(values) as ArrayRef
        })
        .collect();
    let options = datafusion::arrow::record_batch::RecordBatchOptions::new().with_row_count(Some(rows.len()));
    batch_rows(verb, RecordBatch::try_new_with_options(schema, columns, &options)?)
}

/// An outcome of rows that are there already.
///
/// # Errors
/// Never: the rows have their own schema.
pub(in crate::sql) fn batch_rows(verb: &'static str, batch: RecordBatch) -> Result<Outcome> {
    let schema = batch.schema();
    let stream = MemoryStream::try_new(vec![batch], Arc::clone(&schema), None)?;
    Ok(Outcome::Rows { verb, schema, stream: Box::pin(stream) })
}

/// An outcome without rows.
pub(in crate::sql) fn done(tag: impl Into<String>) -> Outcome {
    Outcome::Done { tag: tag.into() }
}
