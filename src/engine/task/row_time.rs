//! How far event time is in the rows of a split: the greatest value of the table's watermark expression.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::compute::max;
use datafusion::arrow::datatypes::{
    DataType, Schema, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType,
};
use datafusion::physical_expr::PhysicalExpr;

use crate::changelog::ChangeBatch;
use crate::engine::dataflow::WatermarkSpec;
use crate::engine::expression::{ExpressionScope, evaluate};
use crate::error::{Error, ErrorKind, Result};

/// `WATERMARK FOR column AS expression` of a source, compiled.
pub(crate) struct RowTime {
    column: String,
    expression: Arc<dyn PhysicalExpr>,
    /// Whether a row for which the expression cannot be evaluated says nothing about time, instead of failing the job.
    skips_bad_rows: bool,
}

impl RowTime {
    /// Compiles it for rows as the source reads them.
    ///
    /// # Errors
    /// The expression does not fit them, or is not a timestamp.
    pub fn new(spec: &WatermarkSpec, rows: &Schema, scope: &ExpressionScope, skips_bad_rows: bool) -> Result<Self> {
        let expression = spec.expression.compile(rows, scope)?;
        match expression.data_type(rows)? {
            DataType::Timestamp(..) => {}
            other => return Err(Error::invalid(format!("the watermark of \"{}\" is of type {other}", spec.column))),
        }
        Ok(Self { column: spec.column.clone(), expression, skips_bad_rows })
    }

    /// The greatest time of rows of one split, in milliseconds, rounded down; none if all are NULL.
    ///
    /// # Errors
    /// The expression fails for a row, and rows are not skipped.
    pub fn of(&self, rows: &ChangeBatch) -> Result<Option<i64>> {
        match evaluate(self.expression.as_ref(), rows.rows()) {
            Ok(times) => greatest_ms(&times),
            Err(error) if self.skips_bad_rows && error.kind() == ErrorKind::Row && rows.len() > 1 => {
                let half = rows.len() / 2;
                Ok(self.of(&rows.slice(0, half))?.max(self.of(&rows.slice(half, rows.len() - half))?))
            }
            Err(error) if self.skips_bad_rows && error.kind() == ErrorKind::Row => Ok(None),
            Err(error) => Err(error.context(format!("watermark of \"{}\"", self.column))),
        }
    }
}

fn greatest_ms(times: &ArrayRef) -> Result<Option<i64>> {
    let DataType::Timestamp(unit, _) = times.data_type() else {
        return Err(Error::internal(format!("a watermark of type {}", times.data_type())));
    };
    Ok(match unit {
        TimeUnit::Second => max(times.as_primitive::<TimestampSecondType>()).map(|at| at.saturating_mul(1000)),
        TimeUnit::Millisecond => max(times.as_primitive::<TimestampMillisecondType>()),
        TimeUnit::Microsecond => max(times.as_primitive::<TimestampMicrosecondType>()).map(|at| at.div_euclid(1000)),
        TimeUnit::Nanosecond => max(times.as_primitive::<TimestampNanosecondType>()).map(|at| at.div_euclid(1_000_000)),
    })
}
