//! Look-up functions: SQL functions whose body aggregates the rows of one key of a table.
//! A batch asks once for each distinct key; a key without rows gives what the aggregates give over nothing (COUNT 0, SUM NULL).
//! The body is evaluated over all fetched rows of a batch at once, one group for each key, never one query for each row.

use std::collections::HashMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, UInt32Array};
use datafusion::arrow::compute::{CastOptions, and_kleene, cast_with_options, filter, filter_record_batch, take};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::arrow::row::{RowConverter, SortField};
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{DFSchema, DFSchemaRef};
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::async_udf::{AsyncScalarUDF, AsyncScalarUDFImpl};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, EmitTo, Expr, ExprSchemable, GroupsAccumulator, LogicalPlan, Operator,
    ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::physical_expr::aggregate::{AggregateFunctionExpr, LoweredAggregate, LoweredAggregateBuilder};
use datafusion::physical_expr::{GroupsAccumulatorAdapter, PhysicalExpr, create_physical_expr};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::expression::{ExpressionScope, StoredExpression, evaluate, positional_schema};
use crate::clock::Clock;
use crate::connectors::table_provider::ConnectorTable;
use crate::connectors::{ConnectorMetrics, Lookup, LookupRequest, TableDeclaration, short_table_name};
use crate::error::{Error, Result};

/// A look-up function as a job stores it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoredLookupFunction {
    /// Its SQL name.
    pub name: String,
    /// The table that it reads.
    pub table: TableDeclaration,
    /// Key columns (declared schema), in the order of the table's key as the body names them.
    key_columns: Vec<usize>,
    /// For each key column, which argument gives it.
    key_arguments: Vec<usize>,
    /// Columns fetched (declared schema).
    projection: Vec<usize>,
    /// Predicate over the fetched columns, besides the key's.
    predicate: Option<StoredExpression>,
    /// Aggregates over the fetched columns.
    aggregates: Vec<StoredExpression>,
    /// The result over the aggregates' columns.
    result: StoredExpression,
}

/// A planned look-up function: its stored form and the opened table.
#[derive(Clone)]
pub struct LookupFunction {
    stored: StoredLookupFunction,
    lookup: Arc<dyn Lookup>,
    return_type: DataType,
    arity: usize,
    time_zone: String,
}

impl fmt::Debug for LookupFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LookupFunction({} from {})", self.stored.name, self.stored.table.name)
    }
}

impl LookupFunction {
    /// Reads a function's body: `SELECT <expression over aggregates> FROM table WHERE key = $1 [AND …]`, analysed (names and
    /// types resolved, parameters as placeholders) but not optimised. `None` if the body reads no table, so that it is an
    /// ordinary SQL function.
    ///
    /// # Errors
    /// It reads a table in a way that is not a look-up (0A000 with the way out).
    pub fn from_body(name: &str, body: &LogicalPlan, time_zone: &str) -> Result<Option<Self>> {
        if !reads_a_table(body)? {
            return Ok(None);
        }
        let refuse = |what: &str| {
            Error::unsupported(format!("the body of function \"{name}\" {what}")).hint(
                "A look-up function selects one expression over aggregates of one table: \
                 SELECT COUNT(*) FROM t WHERE key = parameter [AND …].",
            )
        };

        let (result, aggregate) =
            result_over_aggregate(body).ok_or_else(|| refuse("does not aggregate one table's rows"))?;
        let LogicalPlan::Aggregate(aggregate) = aggregate else {
            return Err(refuse("does not aggregate one table's rows"));
        };
        if !aggregate.group_expr.is_empty() {
            return Err(refuse("has GROUP BY: it must give one row for each key"));
        }
        let aggregate_schema = Arc::clone(&aggregate.schema);

        let mut conjuncts = Vec::new();
        let mut input = aggregate.input.as_ref();
        let scan = loop {
            match input {
                LogicalPlan::Filter(node) => {
                    conjuncts.extend(split_conjunction_owned(node.predicate.clone()));
                    input = node.input.as_ref();
                }
                LogicalPlan::SubqueryAlias(node) => input = node.input.as_ref(),
                LogicalPlan::TableScan(scan) => break scan,
                other => {
                    return Err(refuse(&format!("has {} between the table and its aggregates", operator_name(other))));
                }
            }
        };
        conjuncts.extend(scan.filters.iter().cloned());
        let provider =
            ConnectorTable::of(&scan.source).ok_or_else(|| refuse("reads a relation that is not a declared table"))?;
        let table =
            ConnectorTable::from_provider(provider.as_ref()).ok_or_else(|| refuse("reads no declared table"))?;
        let lookup = table.table().lookup.clone().ok_or_else(|| {
            refuse(&format!("reads \"{}\", which cannot be looked up by key", table.declaration().name))
        })?;
        let declaration = table.declaration();

        // Names resolve against the aggregate's input; the alias only changes the qualifier, so columns are found by name.
        let input_schema = aggregate.input.schema();
        let mut key_columns = Vec::new();
        let mut key_arguments = Vec::new();
        let mut rest = Vec::new();
        for conjunct in conjuncts {
            match key_equality(&conjunct) {
                Some((column, argument)) => {
                    let index = declaration
                        .column_index(&column)
                        .ok_or_else(|| refuse(&format!("compares an unknown column \"{column}\"")))?;
                    match key_columns.iter().position(|known| *known == index) {
                        Some(place) if key_arguments[place] == argument => {}
                        Some(_) => return Err(refuse(&format!("compares key \"{column}\" with two parameters"))),
                        None => {
                            key_columns.push(index);
                            key_arguments.push(argument);
                        }
                    }
                }
                None if has_placeholder(&conjunct) => {
                    return Err(refuse(&format!("uses a parameter in \"{conjunct}\", which is no key equality")));
                }
                None => rest.push(conjunct),
            }
        }
        if key_columns.is_empty() {
            return Err(refuse("has no predicate key = parameter"));
        }
        if aggregate.aggr_expr.iter().any(has_placeholder) || has_placeholder(&result) {
            return Err(refuse("uses a parameter outside of key equalities"));
        }

        // Fetch what predicate and aggregates use, by declared index; then make their columns positional over that.
        let mut used: Vec<usize> = Vec::new();
        for expression in rest.iter().chain(&aggregate.aggr_expr) {
            for column in expression.column_refs() {
                let index = declaration
                    .column_index(&column.name)
                    .ok_or_else(|| refuse(&format!("uses an unknown column \"{}\"", column.name)))?;
                if !used.contains(&index) {
                    used.push(index);
                }
            }
        }
        used.sort_unstable();
        if used.is_empty() {
            used.push(key_columns[0]);
        }
        let fetched = Arc::new(fetched_schema(input_schema, declaration, &used)?);
        let predicate = conjunction(rest)
            .map(|predicate| StoredExpression::new(&simplified(predicate, &fetched)?, &fetched))
            .transpose()?;
        let aggregates = aggregate
            .aggr_expr
            .iter()
            .map(|expression| StoredExpression::new(&simplified(expression.clone(), &fetched)?, &fetched))
            .collect::<Result<Vec<_>>>()?;
        let result = simplified(result, &aggregate_schema)?;
        let return_type = result.get_type(&aggregate_schema)?;
        let arity = key_arguments.iter().max().map_or(0, |last| last + 1);
        let stored = StoredLookupFunction {
            name: name.to_owned(),
            table: declaration.as_ref().clone(),
            key_columns,
            key_arguments,
            projection: used,
            predicate,
            aggregates,
            result: StoredExpression::new(&result, &aggregate_schema)?,
        };
        Ok(Some(Self { stored, lookup, return_type, arity, time_zone: time_zone.to_owned() }))
    }

    /// The function as SQL calls it; a job's planner finds the look-up behind it again by [`Self::behind`],
    /// a query runs it after [`for_query`].
    pub fn into_udf(self, clock: Arc<dyn Clock>) -> Arc<ScalarUDF> {
        let signature = Signature::any(self.arity, Volatility::Stable);
        let call = LookupUdf { function: Arc::new(self), signature, clock, evaluator: Arc::default() };
        Arc::new(ScalarUDF::new_from_impl(call))
    }

    /// The look-up function behind a call, if it is one.
    pub fn behind(function: &ScalarUDF) -> Option<&Arc<LookupFunction>> {
        function.inner().downcast_ref::<LookupUdf>().map(|udf| &udf.function)
    }

    /// Its stored form.
    pub fn stored(&self) -> &StoredLookupFunction {
        &self.stored
    }

    /// Type of its result.
    pub fn return_type(&self) -> &DataType {
        &self.return_type
    }
}

/// Makes look-up calls of an optimised plan runnable in a query, where DataFusion awaits them.
///
/// # Errors
/// Never for plans that DataFusion made; the signature is its.
pub fn for_query(plan: LogicalPlan) -> Result<LogicalPlan> {
    let transformed = plan.transform_up_with_subqueries(|node| {
        node.map_expressions(|expression| {
            expression.transform_up(|node| match node {
                Expr::ScalarFunction(call) if LookupFunction::behind(&call.func).is_some() => {
                    let udf = call.func.inner().downcast_ref::<LookupUdf>().cloned();
                    let func = udf.map_or(call.func.clone(), |udf| {
                        Arc::new(AsyncScalarUDF::new(Arc::new(udf)).into_scalar_udf())
                    });
                    Ok(Transformed::yes(Expr::ScalarFunction(ScalarFunction { func, args: call.args })))
                }
                other => Ok(Transformed::no(other)),
            })
        })
    });
    Ok(transformed.data()?)
}

/// Some functions (COALESCE) only exist until DataFusion has simplified them away. Time functions are volatile and stay.
fn simplified(expression: Expr, schema: &DFSchemaRef) -> Result<Expr> {
    let context = SimplifyContext::builder().with_schema(Arc::clone(schema)).build();
    Ok(ExprSimplifier::new(context).simplify(expression)?)
}

/// An operator's name, for messages.
pub(super) fn operator_name(plan: &LogicalPlan) -> String {
    if matches!(plan, LogicalPlan::Join(_)) {
        return "Join".to_owned();
    }
    let text = plan.display().to_string();
    text.split([':', ' ']).next().unwrap_or_default().to_owned()
}

fn reads_a_table(plan: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        found |= matches!(node, LogicalPlan::TableScan(_));
        Ok(datafusion::common::tree_node::TreeNodeRecursion::Continue)
    })?;
    Ok(found)
}

/// The result expression over the aggregate's columns, with the projections above it folded into one.
fn result_over_aggregate(plan: &LogicalPlan) -> Option<(Expr, &LogicalPlan)> {
    match plan {
        LogicalPlan::SubqueryAlias(node) => {
            let (result, aggregate) = result_over_aggregate(&node.input)?;
            Some((result, aggregate))
        }
        LogicalPlan::Aggregate(node) => {
            let (qualifier, field) = node.schema.qualified_field(0);
            (node.schema.fields().len() == 1)
                .then(|| (Expr::Column(datafusion::common::Column::from((qualifier, field))), plan))
        }
        LogicalPlan::Projection(node) if node.expr.len() == 1 => match node.input.as_ref() {
            LogicalPlan::Aggregate(_) => Some((node.expr[0].clone().unalias(), node.input.as_ref())),
            below => {
                let (inner, aggregate) = result_over_aggregate(below)?;
                let folded = node.expr[0]
                    .clone()
                    .unalias()
                    .transform(|expression| {
                        Ok(match expression {
                            Expr::Column(_) => Transformed::yes(inner.clone()),
                            other => Transformed::no(other),
                        })
                    })
                    .data()
                    .ok()?;
                Some((folded, aggregate))
            }
        },
        _ => None,
    }
}

/// `column = $n` in either order, casts around either side ignored: the key's own type decides.
fn key_equality(expression: &Expr) -> Option<(String, usize)> {
    fn bare(expression: &Expr) -> &Expr {
        match expression {
            Expr::Cast(cast) => bare(&cast.expr),
            Expr::TryCast(cast) => bare(&cast.expr),
            other => other,
        }
    }
    let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) = expression else { return None };
    let (Expr::Column(column), Expr::Placeholder(placeholder)) = (match (bare(left), bare(right)) {
        (column @ Expr::Column(_), placeholder) => (column, placeholder),
        (placeholder, column) => (column, placeholder),
    }) else {
        return None;
    };
    let number: usize = placeholder.id.trim_start_matches('$').parse().ok()?;
    Some((column.name.clone(), number.checked_sub(1)?))
}

fn has_placeholder(expression: &Expr) -> bool {
    expression.exists(|node| Ok(matches!(node, Expr::Placeholder(_)))).unwrap_or(true)
}

/// The fetched columns with the qualifiers under which the body names them.
fn fetched_schema(input: &DFSchema, table: &TableDeclaration, used: &[usize]) -> Result<DFSchema> {
    let fields = used
        .iter()
        .map(|index| {
            let name = &table.columns[*index].name;
            let (qualifier, field) = input
                .iter()
                .find(|(_, field)| field.name() == name)
                .ok_or_else(|| Error::internal(format!("column \"{name}\" is not in the body's input")))?;
            Ok((qualifier.cloned(), Arc::clone(field)))
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(DFSchema::new_with_metadata(fields, HashMap::new())?)
}

/// A look-up function, compiled for a job or a query.
pub struct LookupEvaluator {
    function: StoredLookupFunction,
    lookup: Arc<dyn Lookup>,
    key_schema: SchemaRef,
    predicate: Option<Arc<dyn PhysicalExpr>>,
    aggregates: Vec<CompiledAggregate>,
    aggregate_schema: SchemaRef,
    result: Arc<dyn PhysicalExpr>,
    return_type: DataType,
}

struct CompiledAggregate {
    function: Arc<AggregateFunctionExpr>,
    filter: Option<Arc<dyn PhysicalExpr>>,
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
        let positional = positional_schema(&fetched)?;
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
                    "look-up functions cannot use ordered aggregates ({})",
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
        Ok(Self { function, lookup, key_schema, predicate, aggregates, aggregate_schema, result, return_type })
    }

    /// Type of the result column.
    pub fn return_type(&self) -> &DataType {
        &self.return_type
    }

    /// Name of the outside table that is read.
    pub fn resource(&self) -> String {
        self.lookup.resource()
    }

    /// One result for each row of the arguments; asks once for each distinct key without NULLs.
    ///
    /// # Errors
    /// An argument that cannot be a key (text that is no number), or the outside system's.
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
        let mut columns = Vec::with_capacity(self.aggregates.len());
        for aggregate in &self.aggregates {
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
        let aggregates = RecordBatch::try_new_with_options(Arc::clone(&self.aggregate_schema), columns, &options)?;
        evaluate(self.result.as_ref(), &aggregates)
    }
}

/// Casts arguments to the key's type: any integer or string will do. Numbers out of the key's range match nothing;
/// text that is no number is an error that shows it.
fn key_cast(argument: &ArrayRef, key_type: &DataType) -> Result<ArrayRef> {
    if argument.data_type() == key_type {
        return Ok(Arc::clone(argument));
    }
    let from_text = matches!(argument.data_type(), DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    let options = CastOptions { safe: !(from_text && key_type.is_numeric()), ..CastOptions::default() };
    cast_with_options(argument, key_type, &options).map_err(|error| Error::of_evaluation(error.into()).code("22P02"))
}

/// The face of a look-up function to DataFusion.
#[derive(Clone)]
struct LookupUdf {
    function: Arc<LookupFunction>,
    signature: Signature,
    clock: Arc<dyn Clock>,
    evaluator: Arc<Mutex<Option<Arc<LookupEvaluator>>>>,
}

impl LookupUdf {
    fn evaluator(&self) -> Result<Arc<LookupEvaluator>> {
        let mut slot = self.evaluator.lock();
        if let Some(evaluator) = slot.as_ref() {
            return Ok(Arc::clone(evaluator));
        }
        let scope = ExpressionScope::new(&self.function.time_zone, &self.clock);
        let evaluator =
            Arc::new(LookupEvaluator::new(self.function.stored.clone(), Arc::clone(&self.function.lookup), &scope)?);
        *slot = Some(Arc::clone(&evaluator));
        Ok(evaluator)
    }
}

impl fmt::Debug for LookupUdf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.function.fmt(f)
    }
}

impl PartialEq for LookupUdf {
    fn eq(&self, other: &Self) -> bool {
        self.function.stored == other.function.stored && self.function.time_zone == other.function.time_zone
    }
}

impl Eq for LookupUdf {}

impl Hash for LookupUdf {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.function.stored.name.hash(state);
    }
}

impl ScalarUDFImpl for LookupUdf {
    fn name(&self) -> &str {
        &self.function.stored.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> DataFusionResult<DataType> {
        Ok(self.function.return_type.clone())
    }

    fn invoke_with_args(&self, _arguments: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        Err(Error::unsupported(format!("look-up function \"{}\" cannot be called here", self.function.stored.name))
            .hint("Call it in the SELECT list or in WHERE.")
            .into())
    }
}

#[async_trait::async_trait]
impl AsyncScalarUDFImpl for LookupUdf {
    async fn invoke_async_with_args(&self, arguments: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        let rows = arguments.number_rows;
        let arrays =
            arguments.args.into_iter().map(|value| value.into_array(rows)).collect::<DataFusionResult<Vec<_>>>()?;
        let metrics = ConnectorMetrics::default();
        Ok(ColumnarValue::Array(self.evaluator()?.evaluate(&arrays, rows, true, &metrics).await?))
    }
}
