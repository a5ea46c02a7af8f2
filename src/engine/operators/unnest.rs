//! Makes rows of the items of arrays, beside the other columns of their row. Arrays of one row go side by side, and NULL stands behind the
//! end of the shorter ones. A row of any kind becomes rows of that kind: what takes a row back takes back what came of it.
//! One batch may become much more than may be in memory: it gives a part, and the rest of the batch back, from the next item on.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::{Array, ArrayRef, AsArray, ListArray, UInt32Array};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::compute::take;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::arrow::record_batch::{RecordBatch, RecordBatchOptions};
use serde::{Deserialize, Serialize};

use super::spec::{OperatorSpec, names_of, only_input};
use super::{Emitted, Operator, OperatorContext};
use crate::changelog::ChangeBatch;
use crate::engine::expression::ExpressionScope;
use crate::engine::metrics::NodeMetrics;
use crate::error::{Error, Result};

/// Rows of a part, as of what sources give. Few in tests, so that these see several parts.
const ROWS_MAX: usize = if cfg!(test) { 5 } else { 8192 };

/// Bytes of a part in the columns beside the arrays, which are repeated for each item. A single row may have more.
const BYTES_MAX: usize = 16 << 20;

/// UNNEST as a job stores it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UnnestSpec {
    /// The columns of the arrays; each becomes a column of their items.
    pub arrays: Vec<usize>,
    /// Whether a row whose arrays are NULL or empty becomes a row with NULL; otherwise nothing comes of it.
    pub keeps_empty: bool,
}

impl OperatorSpec for UnnestSpec {
    fn name(&self) -> &'static str {
        "unnest"
    }

    fn title(&self) -> &'static str {
        "Unnest"
    }

    fn describe(&self, names: &[Vec<String>]) -> String {
        let kept = if self.keeps_empty { ", keeps rows without items" } else { "" };
        format!(": {}{kept}", names_of(names, &self.arrays))
    }

    fn output_schema(&self, inputs: &[SchemaRef], _scope: &ExpressionScope) -> Result<SchemaRef> {
        let input = only_input(inputs)?;
        let mut fields: Vec<Field> = input.fields().iter().map(|field| field.as_ref().clone()).collect();
        for array in &self.arrays {
            let field = fields.get_mut(*array).ok_or_else(|| Error::corrupt("an unnested column is not there"))?;
            let DataType::List(item) = field.data_type() else {
                return Err(Error::unsupported(format!("UNNEST of a value of type {} in a job", field.data_type()))
                    .hint("UNNEST takes columns of type ARRAY and MAP."));
            };
            *field = Field::new(field.name(), item.data_type().clone(), true);
        }
        Ok(Arc::new(Schema::new(fields)))
    }

    fn build(
        &self,
        inputs: &[SchemaRef],
        _metrics: &Arc<NodeMetrics>,
        context: &OperatorContext<'_>,
    ) -> Result<Box<dyn Operator>> {
        Ok(Box::new(Unnest { spec: self.clone(), schema: self.output_schema(inputs, context.scope)? }))
    }
}

/// See the module.
pub struct Unnest {
    spec: UnnestSpec,
    schema: SchemaRef,
}

#[async_trait]
impl Operator for Unnest {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn keeps_nothing(&self) -> bool {
        true
    }

    async fn process(&mut self, _input: usize, batch: ChangeBatch) -> Result<Emitted> {
        let lists: Vec<&ListArray> =
            self.spec.arrays.iter().map(|array| batch.rows().column(*array).as_list()).collect();
        let counts = counts(&lists, self.spec.keeps_empty, batch.len());
        let longest = counts.iter().copied().max().unwrap_or(0);
        let beside: Vec<&ArrayRef> = (0..batch.rows().num_columns())
            .filter(|column| !self.spec.arrays.contains(column))
            .map(|column| batch.rows().column(column))
            .collect();
        let bytes =
            |from: usize, rows: usize| -> usize { beside.iter().map(|array| bytes_of(array, from, rows)).sum() };
        let part = match bytes(0, batch.len()).saturating_mul(longest) <= BYTES_MAX {
            true => part(&counts, |_| 0),
            false => part(&counts, |row| bytes(row, 1)),
        };
        let rows = self.items(&batch, &lists, &counts, part)?;
        let rest = rest(&batch, &self.spec.arrays, part)?;
        Ok(Emitted { rows, side: Vec::new(), rest })
    }
}

impl Unnest {
    /// The rows of a part.
    fn items(&self, batch: &ChangeBatch, lists: &[&ListArray], counts: &[usize], part: Part) -> Result<ChangeBatch> {
        let taken = |row: usize| if row < part.rows { counts[row] } else { part.items };
        let last = batch.len().min(part.rows + 1);
        let places: Vec<(usize, usize)> =
            (0..last).flat_map(|row| (0..taken(row)).map(move |item| (row, item))).collect();
        let of_rows: UInt32Array = places.iter().map(|(row, _)| u32::try_from(*row).ok()).collect();
        let mut columns = Vec::with_capacity(self.schema.fields().len());
        for (index, column) in batch.rows().columns().iter().enumerate() {
            columns.push(match self.spec.arrays.iter().position(|array| *array == index) {
                Some(list) => items_of(lists[list], &places)?,
                None => take(column, &of_rows, None)?,
            });
        }
        let options = RecordBatchOptions::new().with_row_count(Some(places.len()));
        let rows = RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?;
        Ok(match batch.kinds() {
            None => ChangeBatch::inserts(rows),
            Some(kinds) => ChangeBatch::changes(rows, places.iter().map(|(row, _)| kinds[*row]).collect()),
        })
    }
}

/// How much of a batch is taken: so many of its rows, and so many items of the row behind them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Part {
    rows: usize,
    items: usize,
}

/// Decides how much is taken at once of rows that become so many each. `bytes`: what one row of each has beside its items. Something is
/// always taken.
fn part(counts: &[usize], bytes: impl Fn(usize) -> usize) -> Part {
    let (mut rows_left, mut bytes_left) = (ROWS_MAX, BYTES_MAX);
    for (row, count) in counts.iter().enumerate() {
        let bytes = bytes(row);
        let fit = rows_left.min(bytes_left.checked_div(bytes).unwrap_or(usize::MAX));
        let fit = if rows_left == ROWS_MAX { fit.max(1) } else { fit };
        if *count > fit {
            return Part { rows: row, items: fit };
        }
        rows_left -= count;
        bytes_left = bytes_left.saturating_sub(bytes.saturating_mul(*count));
    }
    Part { rows: counts.len(), items: 0 }
}

/// How many rows become of each: as many as its longest array has items.
fn counts(lists: &[&ListArray], keeps_empty: bool, rows: usize) -> Vec<usize> {
    let longest = |row: usize| lists.iter().map(|list| len_of(list, row)).max().unwrap_or(0);
    (0..rows).map(|row| longest(row).max(usize::from(keeps_empty))).collect()
}

/// Items of an array; NULL has none.
fn len_of(list: &ListArray, row: usize) -> usize {
    if list.is_null(row) { 0 } else { usize::try_from(list.value_length(row)).unwrap_or(0) }
}

/// Items of arrays by row and number; NULL behind an array's end.
fn items_of(list: &ListArray, places: &[(usize, usize)]) -> Result<ArrayRef> {
    let offsets = list.value_offsets();
    let place = |(row, item): &(usize, usize)| {
        let start = u32::try_from(offsets[*row]).ok()?;
        let item = u32::try_from(*item).ok().filter(|_| *item < len_of(list, *row))?;
        Some(start + item)
    };
    let places: UInt32Array = places.iter().map(place).collect();
    Ok(take(list.values(), &places, None)?)
}

/// What a part leaves of a batch: the rows behind it, the first one without the items that are taken. `None`: nothing.
fn rest(batch: &ChangeBatch, arrays: &[usize], part: Part) -> Result<Option<ChangeBatch>> {
    if part.rows == batch.len() {
        return Ok(None);
    }
    let rest = batch.slice(part.rows, batch.len() - part.rows);
    if part.items == 0 {
        return Ok(Some(rest));
    }
    let mut columns = rest.rows().columns().to_vec();
    for array in arrays {
        columns[*array] = without_items(rest.rows().column(*array).as_list(), part.items)?;
    }
    let rows = RecordBatch::try_new(rest.rows().schema(), columns)?;
    Ok(Some(rest.with_rows(rows)))
}

/// Arrays, the first without so many of its items.
fn without_items(list: &ListArray, items: usize) -> Result<ArrayRef> {
    let DataType::List(item) = list.data_type() else { return Err(Error::internal("expected an array")) };
    let mut offsets = list.value_offsets().to_vec();
    let gone = i32::try_from(items.min(len_of(list, 0))).unwrap_or(0);
    if let Some(first) = offsets.first_mut() {
        *first += gone;
    }
    let offsets = OffsetBuffer::new(offsets.into());
    let cut = ListArray::try_new(Arc::clone(item), offsets, Arc::clone(list.values()), list.nulls().cloned())?;
    Ok(Arc::new(cut))
}

/// About how many bytes some rows of a column have, those of arrays and rows within it, too.
fn bytes_of(array: &ArrayRef, from: usize, rows: usize) -> usize {
    match array.data_type() {
        DataType::List(_) | DataType::Map(..) => {
            let (offsets, items): (&[i32], ArrayRef) = match array.as_list_opt::<i32>() {
                Some(list) => (list.value_offsets(), Arc::clone(list.values())),
                None => (array.as_map().value_offsets(), Arc::new(array.as_map().entries().clone())),
            };
            let (start, end) = (offsets[from], offsets[from + rows]);
            let (start, end) = (usize::try_from(start).unwrap_or(0), usize::try_from(end).unwrap_or(0));
            bytes_of(&items, start, end.saturating_sub(start)) + rows * size_of::<i32>()
        }
        DataType::Struct(_) => array.as_struct().columns().iter().map(|field| bytes_of(field, from, rows)).sum(),
        _ => {
            let data = array.slice(from, rows).to_data();
            data.get_slice_memory_size().unwrap_or_else(|_| array.get_array_memory_size())
        }
    }
}

#[cfg(test)]
mod tests;
