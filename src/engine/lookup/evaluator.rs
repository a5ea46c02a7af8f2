//! Answers a batch of calls of a lookup function: asks once for each distinct key, and evaluates the body over all fetched rows at
//! once, one group for each key. A key without rows gives what the aggregates give over nothing (COUNT 0, SUM NULL).

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, UInt32Array};
use datafusion::arrow::compute::{CastOptions, and_kleene, cast_with_options, filter, filter_record_batch, take};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::arrow::row::{RowConverter, SortField};
use datafusion::common::DFSchema;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{EmitTo, GroupsAccumulator};
use datafusion::physical_expr::aggregate::{AggregateFunctionExpr, LoweredAggregate, LoweredAggregateBuilder};
use datafusion::physical_expr::{GroupsAccumulatorAdapter, PhysicalExpr, create_physical_expr};

use super::StoredLookupFunction;
use crate::connectors::{ConnectorMetrics, Lookup, LookupRequest, short_table_name};
use crate::engine::expression::{ExpressionScope, evaluate, positional_schema};
use crate::error::{Error, Result, SqlState};

/// A lookup function, compiled for a job or a query.
pub(crate) struct LookupEvaluator {
    function: StoredLookupFunction,
    lookup: Arc<dyn Lookup>,
    key_schema: SchemaRef,
    predicate: Option<Arc<dyn PhysicalExpr>>,
    computation: Computation,
}

/// What a function computes over the rows of a key.
struct Computation {
    aggregates: Vec<CompiledAggregate>,
    aggregate_schema: SchemaRef,
    result: Arc<dyn PhysicalExpr>,
    return_type: DataType,
}

struct CompiledAggregate {
    function: Arc<AggregateFunctionExpr>,
    filter: Option<Arc<dyn PhysicalExpr>>,
}

/// Type of a stored function's result; its table is not opened for that.
///
/// # Errors
/// The stored form does not fit this build.
pub(crate) fn return_type(function: &StoredLookupFunction, scope: &ExpressionScope) -> Result<DataType> {
    let fetched = function.table.schema()?.project(&function.projection)?;
    Ok(Computation::of(function, &fetched, scope)?.return_type)
}

impl Computation {
    fn of(function: &StoredLookupFunction, fetched: &Schema, scope: &ExpressionScope) -> Result<Self> {
        let positional = positional_schema(fetched)?;
        let mut aggregates = Vec::new();
        let mut fields = Vec::new();
        for (index, stored) in function.aggregates.iter().enumerate() {
            let expression = stored.decode(scope)?;
            let planning = PhysicalPlanningContext::default();
            let LoweredAggregate { aggregate: function, filter, order_bys } = LoweredAggregateBuilder::new(
                &expression,
                &positional,
                positional.as_arrow(),
                scope.properties(),
                &planning,
            )
            .build()?;
            if !order_bys.is_empty() {
                return Err(Error::unsupported(format!(
                    "lookup functions cannot use ordered aggregates ({})",
                    stored.text
                )));
            }
            fields.push(Field::new(format!("#{index}"), function.field().data_type().clone(), true));
            aggregates.push(CompiledAggregate { function, filter });
        }
        let aggregate_schema: SchemaRef = Arc::new(Schema::new(fields));
        let result = create_physical_expr(
            &function.result.decode(scope)?,
            &DFSchema::try_from(aggregate_schema.as_ref().clone())?,
            scope.properties(),
            &PhysicalPlanningContext::default(),
        )?;
        let return_type = result.data_type(&aggregate_schema)?;
        Ok(Self { aggregates, aggregate_schema, result, return_type })
    }
}

impl LookupEvaluator {
    /// Compiles a stored function over its opened table.
    ///
    /// # Errors
    /// The stored form does not fit this build.
    pub fn new(function: StoredLookupFunction, lookup: Arc<dyn Lookup>, scope: &ExpressionScope) -> Result<Self> {
        let declared = function.table.schema()?;
        let fetched = Arc::new(declared.project(&function.projection)?);
        let key_schema = Arc::new(declared.project(&function.key_columns)?);
        let predicate = function.predicate.as_ref().map(|predicate| predicate.compile(&fetched, scope)).transpose()?;
        let computation = Computation::of(&function, &fetched, scope)?;
        Ok(Self { function, lookup, key_schema, predicate, computation })
    }

    /// Type of the result column.
    pub fn return_type(&self) -> &DataType {
        &self.computation.return_type
    }

    /// One result for each row of the arguments; asks once for each distinct key without NULLs.
    ///
    /// # Errors
    /// An argument that cannot be a key (text that is not a number), or the outside system's.
    pub async fn evaluate(
        &self,
        arguments: &[ArrayRef],
        rows: usize,
        consistent: bool,
        metrics: &ConnectorMetrics,
    ) -> Result<ArrayRef> {
        let (keys, group_of_row) = self.distinct_keys(arguments, rows)?;
        // One more group without rows answers NULL keys: nothing equals NULL.
        let groups = keys.num_rows() + 1;
        let (fetched, group_of_fetched) = if keys.num_rows() == 0 {
            let declared = self.function.table.schema()?;
            (
                RecordBatch::new_empty(Arc::new(declared.project(&self.function.projection)?)),
                UInt32Array::from(Vec::<u32>::new()),
            )
        } else {
            let request = LookupRequest {
                key_columns: self.function.key_columns.clone(),
                keys,
                projection: self.function.projection.clone(),
                consistent,
            };
            let reason = || format!("answers of table \"{}\"", short_table_name(&self.function.table.name));
            let answers = metrics.waits.during(reason, self.lookup.lookup(request, metrics));
            let response = answers.await?;
            self.apply_predicate(response.rows, response.key_index)?
        };
        let by_group = self.aggregate(&fetched, &group_of_fetched, groups)?;
        Ok(take(&by_group, &group_of_row, None)?)
    }

    /// The distinct keys, and for each row its key's index; rows with a NULL in the key get the index after the last key.
    fn distinct_keys(&self, arguments: &[ArrayRef], rows: usize) -> Result<(RecordBatch, UInt32Array)> {
        let columns = self
            .function
            .key_arguments
            .iter()
            .zip(self.key_schema.fields())
            .map(|(argument, field)| {
                let argument = arguments.get(*argument).ok_or_else(|| {
                    Error::invalid(format!("function \"{}\" has too few arguments", self.function.name))
                })?;
                key_cast(argument, field.data_type())
            })
            .collect::<Result<Vec<_>>>()?;
        let converter = RowConverter::new(
            self.key_schema.fields().iter().map(|field| SortField::new(field.data_type().clone())).collect(),
        )?;
        let encoded = converter.convert_columns(&columns)?;
        let mut index_of_key = HashMap::new();
        let mut first_rows: Vec<u32> = Vec::new();
        let mut group_of_row: Vec<Option<u32>> = Vec::with_capacity(rows);
        for row in 0..rows {
            if columns.iter().any(|column| column.is_null(row)) {
                group_of_row.push(None);
                continue;
            }
            let next = u32::try_from(first_rows.len()).map_err(|_| Error::internal("batch of over 4 G rows"))?;
            let index = *index_of_key.entry(encoded.row(row)).or_insert_with(|| {
                first_rows.push(u32::try_from(row).unwrap_or(u32::MAX));
                next
            });
            group_of_row.push(Some(index));
        }
        let first_rows = UInt32Array::from(first_rows);
        let null_group = u32::try_from(first_rows.len()).unwrap_or(u32::MAX);
        let group_of_row: UInt32Array =
            group_of_row.into_iter().map(|group| Some(group.unwrap_or(null_group))).collect();
        let keys = columns.iter().map(|column| take(column, &first_rows, None)).collect::<Result<Vec<_>, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(first_rows.len()));
        Ok((RecordBatch::try_new_with_options(Arc::clone(&self.key_schema), keys, &options)?, group_of_row))
    }

    fn apply_predicate(&self, rows: RecordBatch, groups: UInt32Array) -> Result<(RecordBatch, UInt32Array)> {
        let Some(predicate) = &self.predicate else { return Ok((rows, groups)) };
        let keep = evaluate(predicate.as_ref(), &rows)?;
        let keep = keep.as_boolean();
        let kept_groups = filter(&groups, keep)?;
        Ok((filter_record_batch(&rows, keep)?, kept_groups.as_primitive().clone()))
    }

    fn aggregate(&self, rows: &RecordBatch, groups_of_rows: &UInt32Array, groups: usize) -> Result<ArrayRef> {
        let group_indices: Vec<usize> = groups_of_rows.values().iter().map(|group| *group as usize).collect();
        let mut columns = Vec::with_capacity(self.computation.aggregates.len());
        for aggregate in &self.computation.aggregates {
            let mut accumulator: Box<dyn GroupsAccumulator> = if aggregate.function.groups_accumulator_supported() {
                aggregate.function.create_groups_accumulator()?
            } else {
                let function = Arc::clone(&aggregate.function);
                Box::new(GroupsAccumulatorAdapter::new(move || function.create_accumulator()))
            };
            let values = aggregate
                .function
                .expressions()
                .iter()
                .map(|expression| evaluate(expression.as_ref(), rows))
                .collect::<Result<Vec<_>>>()?;
            let keep: Option<BooleanArray> = match &aggregate.filter {
                Some(filter) => {
                    let keep = evaluate(filter.as_ref(), rows)?;
                    // NULL counts as false, as in SQL.
                    Some(and_kleene(keep.as_boolean(), keep.as_boolean())?)
                }
                None => None,
            };
            accumulator
                .update_batch(&values, &group_indices, keep.as_ref(), groups)
                .and_then(|()| accumulator.evaluate(EmitTo::All))
                .map(|column| columns.push(column))
                .map_err(Error::of_evaluation)?;
        }
        let options = RecordBatchOptions::new().with_row_count(Some(groups));
        let aggregates =
            RecordBatch::try_new_with_options(Arc::clone(&self.computation.aggregate_schema), columns, &options)?;
        evaluate(self.computation.result.as_ref(), &aggregates)
    }
}

/// Casts arguments to the key's type: any integer or string will do. Numbers out of the key's range match nothing;
/// text that is not a number is an error that shows it.
fn key_cast(argument: &ArrayRef, key_type: &DataType) -> Result<ArrayRef> {
    if argument.data_type() == key_type {
        return Ok(Arc::clone(argument));
    }
    let from_text = matches!(argument.data_type(), DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    let options = CastOptions { safe: !(from_text && key_type.is_numeric()), ..CastOptions::default() };
    cast_with_options(argument, key_type, &options)
        .map_err(|error| Error::of_evaluation(error.into()).code(SqlState::InvalidTextRepresentation))
}
