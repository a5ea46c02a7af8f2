//! Intervals as keys and in aggregates: equal are those of one length, as in PostgreSQL, where DataFusion goes by their parts. Groups,
//! joins, partitions and orders go by the length, MIN and MAX by bytes that are in its order and give the interval again (a group of
//! equal intervals shows the least by its parts), SUM and AVG part by part. A time by which a window is ordered is its number.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, JoinConstraint};
use datafusion::error::Result;
use datafusion::functions_aggregate::count::count_udaf;
use datafusion::logical_expr::WindowFrameUnits;
use datafusion::logical_expr::expr::{
    AggregateFunction, GroupingSet, Sort as SortExpr, WindowFunction, WindowFunctionDefinition,
};
use datafusion::logical_expr::{
    Aggregate, AggregateUDF, Distinct, Expr, ExprSchemable, Join, LogicalPlan, LogicalPlanBuilder, Window,
    WindowFrameBound, cast, lit, when,
};
use datafusion::scalar::ScalarValue;

use crate::data_type::to_postgres;
use crate::error::{Error, SqlState};
use crate::functions::entry::Compares;
use crate::functions::intervals::{by_length, is_interval, length};
use crate::functions::meetings::is_moment;
use crate::functions::nulls::ANY_EQUAL;
use crate::functions::{exact_sums, extremes, interval_input, interval_math, registry};

/// Refuses what goes by the parts of intervals within arrays.
///
/// # Errors
/// Such a call (0A000).
pub fn refuse_items(expr: &Expr, schema: &DFSchema) -> std::result::Result<(), Error> {
    let Expr::ScalarFunction(call) = expr else { return Ok(()) };
    if registry::compares(call.func.name()) != Compares::Items {
        return Ok(());
    }
    let of_intervals = |argument: &Expr| argument.get_type(schema).is_ok_and(|found| holds_interval(&found));
    if !call.args.iter().any(of_intervals) {
        return Ok(());
    }
    let message = match call.func.name() {
        "array_has" | ANY_EQUAL => "= ANY of an array of intervals is not supported yet".to_owned(),
        name => format!("{name} of intervals is not supported yet"),
    };
    Err(Error::unsupported(message).hint("Intervals are compared one by one: write IN (…), or UNNEST the array."))
}

/// Whether there are intervals within a type, which is none itself.
fn holds_interval(data_type: &DataType) -> bool {
    match data_type {
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            is_interval(item.data_type()) || holds_interval(item.data_type())
        }
        DataType::Struct(fields) => {
            fields.iter().any(|field| is_interval(field.data_type()) || holds_interval(field.data_type()))
        }
        _ => false,
    }
}

fn is_of_interval(expr: &Expr, schema: &DFSchema) -> bool {
    expr.get_type(schema).is_ok_and(|found| is_interval(&found))
}

fn refuse_nested(exprs: &[Expr], schema: &DFSchema, what: &str) -> Result<()> {
    let nested = |expr: &Expr| expr.get_type(schema).is_ok_and(|found| holds_interval(&found));
    if exprs.iter().any(nested) {
        return Err(Error::unsupported(format!("{what} arrays or rows of intervals is not supported yet")).into());
    }
    Ok(())
}

/// A key that goes by the length, if it is an interval.
fn key(expr: Expr, schema: &DFSchema) -> Expr {
    if is_of_interval(&expr, schema) { by_length(expr) } else { expr }
}

fn order(sorts: Vec<SortExpr>, schema: &DFSchema) -> Vec<SortExpr> {
    sorts.into_iter().map(|sort| SortExpr { expr: key(sort.expr, schema), ..sort }).collect()
}

/// Adds an expression unless it is there; gives its place.
fn place_of(exprs: &mut Vec<Expr>, expr: Expr) -> usize {
    exprs.iter().position(|known| *known == expr).unwrap_or_else(|| {
        exprs.push(expr);
        exprs.len() - 1
    })
}

/// DISTINCT over intervals, as groups.
///
/// # Errors
/// A plan that cannot be built, or arrays of intervals (0A000).
pub fn of_distinct(distinct: Distinct) -> Result<Transformed<LogicalPlan>> {
    match distinct {
        Distinct::All(input) => {
            let columns: Vec<Expr> = input.schema().columns().into_iter().map(Expr::Column).collect();
            refuse_nested(&columns, input.schema(), "DISTINCT over")?;
            if !columns.iter().any(|column| is_of_interval(column, input.schema())) {
                return Ok(Transformed::no(LogicalPlan::Distinct(Distinct::All(input))));
            }
            of_aggregate(Aggregate::try_new(input, columns, Vec::new())?)
        }
        Distinct::On(mut on) => {
            let schema = on.input.schema().clone();
            let in_order = on.sort_expr.iter().flatten().map(|sort| &sort.expr);
            if !on.on_expr.iter().chain(in_order).any(|expr| is_of_interval(expr, &schema)) {
                return Ok(Transformed::no(LogicalPlan::Distinct(Distinct::On(on))));
            }
            on.on_expr = on.on_expr.into_iter().map(|expr| key(expr, &schema)).collect();
            on.sort_expr = on.sort_expr.map(|sorts| order(sorts, &schema));
            Ok(Transformed::yes(LogicalPlan::Distinct(Distinct::On(on))))
        }
    }
}

/// Groups by the lengths of intervals, and aggregates of intervals.
///
/// # Errors
/// A plan that cannot be built, or an aggregate that is not there for intervals (0A000).
pub fn of_aggregate(aggregate: Aggregate) -> Result<Transformed<LogicalPlan>> {
    let input = aggregate.input.schema().clone();
    let keys: Vec<Expr> = match &aggregate.group_expr[..] {
        [Expr::GroupingSet(sets)] => sets.distinct_expr().into_iter().cloned().collect(),
        plain => plain.to_vec(),
    };
    refuse_nested(&keys, &input, "GROUP BY")?;
    let has_key = keys.iter().any(|key| is_of_interval(key, &input));
    let takes = |expr: &Expr| aggregate_of(expr).is_some_and(|call| takes_intervals(call, &input));
    if !has_key && !aggregate.aggr_expr.iter().any(takes) {
        return Ok(Transformed::no(LogicalPlan::Aggregate(aggregate)));
    }
    let is_set = matches!(&aggregate.group_expr[..], [Expr::GroupingSet(_)]);
    let by_key = |expr: Expr| key(expr, &input);
    let group_expr: Vec<Expr> = aggregate.group_expr.iter().cloned().map(|expr| in_sets(expr, &by_key)).collect();
    // What is computed, and for each column of the old plan how it comes of that.
    let mut computed = Vec::new();
    let mut results = Vec::new();
    for (place, key) in keys.iter().enumerate() {
        results.push(if is_of_interval(key, &input) {
            let least = AggregateFunction::new_udf(
                Arc::new(extremes::min()),
                vec![interval_math::call(interval_math::KEY, vec![key.clone()])?],
                false,
                None,
                Vec::new(),
                None,
            );
            Made::Key { place, least: place_of(&mut computed, Expr::AggregateFunction(least)) }
        } else {
            Made::Old(place)
        });
    }
    if is_set {
        // Which of the sets a row is of.
        results.push(Made::Old(keys.len()));
    }
    for expr in &aggregate.aggr_expr {
        results.push(match aggregate_of(expr) {
            Some(call) if takes_intervals(call, &input) => {
                let params = &call.params;
                result_of(call.func.name(), &params.args, params.distinct, &input, &mut |name, arguments| {
                    let mut call = call.clone();
                    call.func = function_of(name).unwrap_or(call.func);
                    call.params.args = arguments;
                    call.params.order_by = order(std::mem::take(&mut call.params.order_by), &input);
                    place_of(&mut computed, Expr::AggregateFunction(call))
                })?
            }
            _ => Made::Computed(place_of(&mut computed, expr.clone())),
        });
    }
    let old = aggregate.schema.clone();
    let plan = LogicalPlan::Aggregate(Aggregate::try_new(aggregate.input, group_expr, computed)?);
    let before = keys.len() + usize::from(is_set);
    project(plan, &results, before, is_set, &old)
}

/// The aggregates of numbers of which those of intervals are made.
fn function_of(name: &str) -> Option<Arc<AggregateUDF>> {
    match name {
        "count" => Some(count_udaf()),
        "sum" => Some(Arc::new(exact_sums::sum())),
        _ => None,
    }
}

/// How a column comes of a new plan's columns.
enum Made {
    /// The column in that place.
    Old(usize),
    /// A key that is an interval: its length, and the least of its group.
    Key { place: usize, least: usize },
    /// One of those that are computed.
    Computed(usize),
    /// The interval of such bytes.
    Extreme(usize),
    /// The interval of sums of months, days and time; with a count their average.
    Sum { parts: [usize; 3], count: Option<usize> },
}

/// Gives the columns of a new plan the names of the old one's. Behind `before` columns stand those that are computed.
fn project(
    plan: LogicalPlan,
    results: &[Made],
    before: usize,
    is_set: bool,
    old: &DFSchema,
) -> Result<Transformed<LogicalPlan>> {
    let schema = plan.schema().clone();
    let column = |place: usize| Expr::from(schema.qualified_field(place));
    let computed = |place: usize| column(before + place);
    let mut columns = Vec::with_capacity(results.len());
    for (made, (qualifier, field)) in results.iter().zip(old.iter()) {
        let value = match made {
            Made::Old(place) => column(*place),
            Made::Computed(place) => computed(*place),
            Made::Extreme(place) => interval_math::call(interval_math::OF_KEY, vec![computed(*place)])?,
            Made::Key { place, least } => {
                let value = interval_math::call(interval_math::OF_KEY, vec![computed(*least)])?;
                // A set that leaves the key out has NULL for it.
                if is_set { when(column(*place).is_not_null(), value).end()? } else { value }
            }
            Made::Sum { parts, count } => {
                let sum =
                    interval_math::call(interval_math::OF_PARTS, parts.iter().map(|part| computed(*part)).collect())?;
                match count {
                    None => sum,
                    Some(count) => interval_math::call(
                        interval_math::DIVIDE,
                        vec![sum, cast(computed(*count), DataType::Float64)],
                    )?,
                }
            }
        };
        columns.push(value.alias_qualified(qualifier.cloned(), field.name()));
    }
    let plan = LogicalPlanBuilder::from(plan).project(columns)?.build()?;
    Ok(Transformed::yes(plan))
}

/// An aggregate of intervals by others, of which `make` computes each.
fn result_of(
    name: &str,
    arguments: &[Expr],
    distinct: bool,
    schema: &DFSchema,
    make: &mut dyn FnMut(&str, Vec<Expr>) -> usize,
) -> Result<Made> {
    let refused = |what: String| Err(Error::unsupported(format!("{what} of intervals is not supported yet")).into());
    let argument = arguments.first().cloned().unwrap_or_else(|| lit(ScalarValue::Null));
    if !is_of_interval(&argument, schema) {
        // One that is ordered by intervals.
        return Ok(Made::Computed(make(name, arguments.to_vec())));
    }
    Ok(match name {
        "min" | "max" => Made::Extreme(make(name, vec![interval_math::call(interval_math::KEY, vec![argument])?])),
        "sum" | "avg" if distinct => return refused(format!("{}(DISTINCT …)", name.to_uppercase())),
        "sum" | "avg" => {
            let mut part = |function: &str| {
                Ok::<_, datafusion::error::DataFusionError>(make(
                    "sum",
                    vec![interval_math::call(function, vec![argument.clone()])?],
                ))
            };
            let parts = [part(interval_math::MONTHS)?, part(interval_math::DAYS)?, part(interval_math::NANOS)?];
            let count = (name == "avg").then(|| make("count", vec![argument]));
            Made::Sum { parts, count }
        }
        "count" if distinct => Made::Computed(make("count", vec![by_length(argument)])),
        "approx_distinct" => Made::Computed(make(name, vec![cast(by_length(argument), DataType::Utf8)])),
        "array_agg" if distinct => return refused("ARRAY_AGG(DISTINCT …)".to_owned()),
        _ => Made::Computed(make(name, arguments.to_vec())),
    })
}

/// The aggregate behind a name.
fn aggregate_of(expr: &Expr) -> Option<&AggregateFunction> {
    match expr {
        Expr::Alias(alias) => aggregate_of(&alias.expr),
        Expr::AggregateFunction(call) => Some(call),
        _ => None,
    }
}

/// Whether an aggregate goes by intervals: it takes them, or its rows are in their order.
fn takes_intervals(call: &AggregateFunction, schema: &DFSchema) -> bool {
    let by_value = goes_by_value(call.func.name(), call.params.distinct)
        && call.params.args.first().is_some_and(|argument| is_of_interval(argument, schema));
    by_value || call.params.order_by.iter().any(|sort| is_of_interval(&sort.expr, schema))
}

fn goes_by_value(name: &str, distinct: bool) -> bool {
    matches!(name, "min" | "max" | "sum" | "avg" | "approx_distinct")
        || distinct && matches!(name, "count" | "array_agg")
}

fn in_sets(expr: Expr, map: &impl Fn(Expr) -> Expr) -> Expr {
    let all = |exprs: Vec<Expr>| exprs.into_iter().map(map).collect::<Vec<_>>();
    match expr {
        Expr::GroupingSet(GroupingSet::Rollup(exprs)) => Expr::GroupingSet(GroupingSet::Rollup(all(exprs))),
        Expr::GroupingSet(GroupingSet::Cube(exprs)) => Expr::GroupingSet(GroupingSet::Cube(all(exprs))),
        Expr::GroupingSet(GroupingSet::GroupingSets(sets)) => {
            Expr::GroupingSet(GroupingSet::GroupingSets(sets.into_iter().map(all).collect()))
        }
        other => map(other),
    }
}

/// Window functions over intervals, or in the order of intervals and times.
///
/// # Errors
/// A plan that cannot be built, or a frame that cannot be read.
pub fn of_window(window: Window) -> Result<Transformed<LogicalPlan>> {
    let input = window.input.schema().clone();
    for call in window.window_expr.iter().filter_map(window_of) {
        check_frame(call, &input)?;
    }
    let goes_by_intervals = |expr: &Expr| window_of(expr).is_some_and(|call| wants_change(call, &input));
    if !window.window_expr.iter().any(goes_by_intervals) {
        return Ok(Transformed::no(LogicalPlan::Window(window)));
    }
    let before = input.fields().len();
    let mut computed = Vec::new();
    let mut results: Vec<Made> = (0..before).map(Made::Old).collect();
    for expr in &window.window_expr {
        results.push(match window_of(expr) {
            Some(call) if wants_change(call, &input) => {
                let call = in_order(call.clone(), &input)?;
                let params = call.params.clone();
                let name = call.fun.name().to_owned();
                let is_aggregate = matches!(call.fun, WindowFunctionDefinition::AggregateUDF(_));
                let mut make = |function: &str, arguments: Vec<Expr>| {
                    let mut call = call.clone();
                    if function != name
                        && let Some(function) = function_of(function)
                    {
                        call.fun = WindowFunctionDefinition::AggregateUDF(function);
                    }
                    call.params.args = arguments;
                    place_of(&mut computed, Expr::from(call))
                };
                if is_aggregate && goes_by_value(&name, params.distinct) {
                    result_of(&name, &params.args, params.distinct, &input, &mut make)?
                } else {
                    Made::Computed(make(&name, params.args))
                }
            }
            _ => Made::Computed(place_of(&mut computed, expr.clone())),
        });
    }
    let old = window.schema.clone();
    let plan = LogicalPlan::Window(Window::try_new(computed, window.input)?);
    project(plan, &results, before, false, &old)
}

fn window_of(expr: &Expr) -> Option<&WindowFunction> {
    match expr {
        Expr::Alias(alias) => window_of(&alias.expr),
        Expr::WindowFunction(call) => Some(call),
        _ => None,
    }
}

fn is_time(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Time32(_) | DataType::Time64(_))
}

fn wants_change(call: &WindowFunction, schema: &DFSchema) -> bool {
    let params = &call.params;
    let by_value = matches!(call.fun, WindowFunctionDefinition::AggregateUDF(_))
        && goes_by_value(call.fun.name(), params.distinct)
        && params.args.first().is_some_and(|argument| is_of_interval(argument, schema));
    let is_time = |expr: &Expr| expr.get_type(schema).is_ok_and(|found| is_time(&found));
    by_value
        || params.partition_by.iter().any(|expr| is_of_interval(expr, schema))
        || params.order_by.iter().any(|sort| is_of_interval(&sort.expr, schema) || is_time(&sort.expr))
}

/// A RANGE frame has an interval over dates and times, and a number over numbers.
fn check_frame(call: &WindowFunction, schema: &DFSchema) -> Result<()> {
    let frame = &call.params.window_frame;
    let Some(first) = call.params.order_by.first().filter(|_| frame.units == WindowFrameUnits::Range) else {
        return Ok(());
    };
    let found = first.expr.get_type(schema)?;
    for bound in [&frame.start_bound, &frame.end_bound] {
        let (WindowFrameBound::Preceding(value) | WindowFrameBound::Following(value)) = bound else { continue };
        let ScalarValue::Utf8(Some(text)) = value else { continue };
        let is_number = text.parse::<f64>().is_ok();
        let fits = if is_number { found.is_numeric() } else { is_moment(&found) };
        if !fits {
            let (of, offset) = (to_postgres(&found), if is_number { "integer" } else { "interval" });
            let message = format!(
                "RANGE with offset PRECEDING/FOLLOWING is not supported for column type {of} and offset type {offset}"
            );
            return Err(Error::unsupported(message).into());
        }
        if !is_number && length(interval_input::parse(text, None)?) < 0 {
            return Err(Error::invalid("invalid preceding or following size in window function")
                .code(SqlState::InvalidPrecedingOrFollowingSize)
                .into());
        }
    }
    Ok(())
}

/// Partitions and orders by lengths, and by the numbers of times; the frame in their units.
fn in_order(mut call: WindowFunction, schema: &DFSchema) -> Result<WindowFunction> {
    let params = &mut call.params;
    params.partition_by = std::mem::take(&mut params.partition_by).into_iter().map(|expr| key(expr, schema)).collect();
    if let Some(first) = params.order_by.first() {
        let found = first.expr.get_type(schema)?;
        if is_interval(&found) || is_time(&found) {
            let frame = &mut params.window_frame;
            for bound in [&mut frame.start_bound, &mut frame.end_bound] {
                if let WindowFrameBound::Preceding(value) | WindowFrameBound::Following(value) = bound
                    && let ScalarValue::Utf8(Some(text)) = &*value
                {
                    *value = offset(text, &found)?;
                }
            }
        }
    }
    let number = |expr: Expr| -> Expr {
        match expr.get_type(schema) {
            Ok(DataType::Time32(_)) => cast(cast(expr, DataType::Int32), DataType::Int64),
            Ok(DataType::Time64(_)) => cast(expr, DataType::Int64),
            _ => key(expr, schema),
        }
    };
    params.order_by = std::mem::take(&mut params.order_by)
        .into_iter()
        .map(|sort| SortExpr { expr: number(sort.expr), ..sort })
        .collect();
    Ok(call)
}

/// A bound of a frame over lengths or times.
fn offset(text: &str, ordered_by: &DataType) -> Result<ScalarValue> {
    let nanos = length(interval_input::parse(text, None)?);
    let per_unit = match ordered_by {
        DataType::Time32(TimeUnit::Second) => 1_000_000_000,
        DataType::Time32(_) => 1_000_000,
        DataType::Time64(TimeUnit::Microsecond) => 1_000,
        DataType::Time64(_) => 1,
        _ => return Ok(ScalarValue::Decimal128(Some(nanos), 38, 0)),
    };
    Ok(ScalarValue::Int64(Some(i64::try_from(nanos / per_unit).unwrap_or(i64::MAX / 2))))
}

/// The keys of a join.
pub fn of_join(mut join: Join) -> Transformed<Join> {
    let mut is_changed = false;
    for (left, right) in &mut join.on {
        if is_of_interval(left, join.left.schema()) && is_of_interval(right, join.right.schema()) {
            *left = by_length(left.clone());
            *right = by_length(right.clone());
            is_changed = true;
        }
    }
    if is_changed {
        // What USING says of columns has been planned.
        join.join_constraint = JoinConstraint::On;
    }
    if is_changed { Transformed::yes(join) } else { Transformed::no(join) }
}
