//! `/jobs`: the rows of `streamgate.jobs`, each with its operators and its splits, as JSON. The columns are those of the tables: what is
//! added there is shown here.

use datafusion::arrow::array::{Array, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray};
use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::jobs::JobStatus;
use crate::sql::job_relations;

/// All jobs, by name.
///
/// # Errors
/// A column has a type that none of the tables has yet.
pub(super) fn jobs(status: &[JobStatus]) -> Result<String> {
    let jobs = status.iter().map(|job| {
        let of_job = std::slice::from_ref(job);
        let mut row = rows(&job_relations::jobs(of_job)?)?.pop().unwrap_or_default();
        let parts = [("operators", job_relations::operators(of_job)?), ("splits", job_relations::splits(of_job)?)];
        for (name, batch) in parts {
            let parts = rows(&batch)?.into_iter().map(|mut part| {
                part.remove("job");
                Value::Object(part)
            });
            row.insert(name.to_owned(), Value::Array(parts.collect()));
        }
        Ok(Value::Object(row))
    });
    let jobs = Value::Array(jobs.collect::<Result<_>>()?);
    serde_json::to_string(&jobs).map_err(|error| Error::internal(format!("jobs as JSON: {error}")))
}

fn rows(batch: &RecordBatch) -> Result<Vec<Map<String, Value>>> {
    let schema = batch.schema();
    let row = |row: usize| {
        let cells = schema.fields().iter().zip(batch.columns());
        cells.map(|(field, column)| Ok((field.name().clone(), cell(column.as_ref(), row)?))).collect()
    };
    (0..batch.num_rows()).map(row).collect()
}

fn cell(column: &dyn Array, row: usize) -> Result<Value> {
    if column.is_null(row) {
        return Ok(Value::Null);
    }
    let column = column.as_any();
    if let Some(texts) = column.downcast_ref::<StringArray>() {
        return Ok(texts.value(row).into());
    }
    if let Some(counts) = column.downcast_ref::<Int64Array>() {
        return Ok(counts.value(row).into());
    }
    if let Some(numbers) = column.downcast_ref::<Float64Array>() {
        return Ok(numbers.value(row).into());
    }
    if let Some(times) = column.downcast_ref::<TimestampMillisecondArray>() {
        let time = chrono::DateTime::from_timestamp_millis(times.value(row));
        return Ok(time.map(|time| time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)).into());
    }
    Err(Error::internal("a column has a type that is not shown as JSON"))
}
