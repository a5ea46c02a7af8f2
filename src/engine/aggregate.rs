//! Aggregates as a job stores them: function, columns, result type. Knows DataFusion's expressions, not how aggregates are kept.
//! Arguments, filters and orders are columns here: the planner computes them in a projection before.

use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::DFSchema;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::expr::{AggregateFunctionParams, NullTreatment};
use datafusion::logical_expr::{Expr, ExprSchemable};
use datafusion::scalar::ScalarValue;
use serde::{Deserialize, Serialize};

use crate::changelog::Changelog;
use crate::error::{Error, Result};
use crate::functions::aggregations::aggregations;
use crate::functions::entry::Aggregation;

/// What an aggregate computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AggregateFunction {
    /// Rows, or values that are not NULL.
    Count,
    /// Exact for every type.
    Sum,
    /// Exact for decimals, rounded once for doubles.
    Avg,
    /// The least value.
    Min,
    /// The greatest value.
    Max,
    /// The first value in an order, else by arrival.
    FirstValue,
    /// The last value in an order, else by arrival.
    LastValue,
    /// The first value that is not NULL.
    AnyValue,
    /// Texts joined by a delimiter.
    StringAgg,
    /// All values.
    ArrayAgg,
    /// Standard deviation of a sample.
    StddevSamp,
    /// Standard deviation of a population.
    StddevPop,
    /// Variance of a sample.
    VarSamp,
    /// Variance of a population.
    VarPop,
    /// Distinct values; in jobs the exact number.
    ApproxDistinct,
    /// Whether all values are true.
    BoolAnd,
    /// Whether a value is true.
    BoolOr,
}

/// Which values of a group are kept one by one, so that its state grows with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kept {
    /// None.
    Nothing,
    /// The distinct ones, where DISTINCT is written.
    Distinct,
    /// All, where rows may be taken back.
    Retracted,
    /// All.
    Always,
}

/// The aggregates that jobs keep up to date, by the names of the registry.
const KEPT_UP_TO_DATE: [(AggregateFunction, &str, Kept); 17] = [
    (AggregateFunction::Count, "count", Kept::Distinct),
    (AggregateFunction::Sum, "sum", Kept::Distinct),
    (AggregateFunction::Avg, "avg", Kept::Distinct),
    (AggregateFunction::Min, "min", Kept::Retracted),
    (AggregateFunction::Max, "max", Kept::Retracted),
    (AggregateFunction::FirstValue, "first_value", Kept::Retracted),
    (AggregateFunction::LastValue, "last_value", Kept::Retracted),
    (AggregateFunction::AnyValue, "any_value", Kept::Retracted),
    (AggregateFunction::StringAgg, "string_agg", Kept::Always),
    (AggregateFunction::ArrayAgg, "array_agg", Kept::Always),
    (AggregateFunction::StddevSamp, "stddev", Kept::Distinct),
    (AggregateFunction::StddevPop, "stddev_pop", Kept::Distinct),
    (AggregateFunction::VarSamp, "var", Kept::Distinct),
    (AggregateFunction::VarPop, "var_pop", Kept::Distinct),
    (AggregateFunction::ApproxDistinct, "approx_distinct", Kept::Distinct),
    (AggregateFunction::BoolAnd, "bool_and", Kept::Nothing),
    (AggregateFunction::BoolOr, "bool_or", Kept::Nothing),
];

impl AggregateFunction {
    /// The function of DataFusion's name (not an alias of it).
    pub fn of_name(name: &str) -> Option<Self> {
        KEPT_UP_TO_DATE.iter().find(|(_, known, _)| *known == name).map(|(function, ..)| *function)
    }

    fn row(self) -> Option<&'static (Self, &'static str, Kept)> {
        KEPT_UP_TO_DATE.iter().find(|(known, ..)| *known == self)
    }

    fn heeds(self, what: fn(&Aggregation) -> bool) -> bool {
        let entry = self.row().and_then(|(_, name, _)| aggregations().find(name));
        entry.is_some_and(|entry| what(&entry.maker))
    }

    /// Whether DISTINCT can change the result.
    pub fn heeds_distinct(self) -> bool {
        self.heeds(|aggregation| aggregation.heeds_distinct)
    }

    /// Whether the order of rows can change the result.
    fn heeds_order(self) -> bool {
        self.heeds(|aggregation| aggregation.heeds_order)
    }

    fn kept(self) -> Kept {
        self.row().map_or(Kept::Always, |(.., kept)| *kept)
    }
}

/// The names of those that jobs keep up to date, as people write them.
fn names_of_jobs() -> String {
    let names = KEPT_UP_TO_DATE.iter().map(|(_, name, _)| match *name {
        "string_agg" => "LISTAGG".to_owned(),
        "approx_distinct" => "APPROX_COUNT_DISTINCT".to_owned(),
        "stddev" => "STDDEV_SAMP".to_owned(),
        "var" => "VAR_SAMP".to_owned(),
        name => name.to_uppercase(),
    });
    names.collect::<Vec<_>>().join(", ")
}

/// One aggregate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoredAggregate {
    /// How EXPLAIN and errors show it.
    pub text: String,
    /// What it computes.
    pub function: AggregateFunction,
    /// Columns of the input; none for COUNT(*).
    pub arguments: Vec<usize>,
    /// Whether equal arguments count once. Always set for APPROX_COUNT_DISTINCT.
    #[serde(default)]
    pub distinct: bool,
    /// Boolean column of the input: rows in which it is not true are left out.
    #[serde(default)]
    pub filter: Option<usize>,
    /// STRING_AGG's delimiter.
    #[serde(default)]
    pub parameter: Option<String>,
    /// Columns that order the rows: column, descending, NULLs first.
    #[serde(default)]
    pub order_by: Vec<(usize, bool, bool)>,
    /// Whether NULL arguments are left out by a function that would keep them.
    #[serde(default)]
    pub ignore_nulls: bool,
    /// Type of the result.
    #[serde(with = "arrow_type")]
    pub data_type: DataType,
}

/// A group aggregate: GROUP BY `keys`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupAggregateSpec {
    /// Columns of the input; none for one group over all rows.
    pub keys: Vec<usize>,
    /// What is computed, in the order of the output's columns behind the keys.
    pub aggregates: Vec<StoredAggregate>,
    /// What the input holds.
    pub input: Changelog,
    /// What is given out: upsert (no `-U`) or retract.
    pub emits: Changelog,
    /// Appends an Int64 column: input changes folded into the group so far, never reset while the group is in state.
    #[serde(default)]
    pub version: bool,
    /// Gives a touched group out even if its row is as before. Needed where a sink takes rows before the checkpoint's decision:
    /// a replay may pass over a row that the sink has had in between, and must then put the right one in its place.
    /// A version column has the same effect.
    #[serde(default)]
    pub emit_unchanged: bool,
    /// A group that no row touched for so long is forgotten (processing time); `None` keeps it for ever.
    #[serde(default)]
    pub state_ttl_ms: Option<u64>,
}

impl GroupAggregateSpec {
    /// Rough bytes of state a group needs in memory, for EXPLAIN; values kept one by one (DISTINCT, retracted MIN …) not counted.
    pub fn group_bytes(&self, input: &SchemaRef) -> u64 {
        let width = |column: &usize| match input.fields().get(*column).map(|field| field.data_type().clone()) {
            Some(data_type) => data_type.primitive_width().unwrap_or(24) as u64 + 1,
            None => 0,
        };
        let keys: u64 = self.keys.iter().map(width).sum();
        let aggregates: u64 = self
            .aggregates
            .iter()
            .map(|aggregate| match aggregate.function {
                AggregateFunction::Count | AggregateFunction::ApproxDistinct => 8,
                AggregateFunction::BoolAnd | AggregateFunction::BoolOr => 16,
                AggregateFunction::Sum | AggregateFunction::Avg => 40,
                AggregateFunction::Min | AggregateFunction::Max => 24,
                _ => 96,
            })
            .sum();
        // Slot, hash table entry, row count, flags; version and time.
        keys + aggregates + 56 + if self.version { 8 } else { 0 } + if self.state_ttl_ms.is_some() { 8 } else { 0 }
    }

    /// Whether values are kept one by one, so that a group's state grows with its values.
    pub fn keeps_values(&self) -> bool {
        self.aggregates.iter().any(|aggregate| match aggregate.function.kept() {
            Kept::Nothing => false,
            Kept::Distinct => aggregate.distinct,
            Kept::Retracted => self.input != Changelog::Append,
            Kept::Always => true,
        })
    }

    /// As EXPLAIN shows it, `names` being the input's columns.
    pub fn describe(&self, names: &dyn Fn(usize) -> String) -> String {
        let keys: Vec<String> = self.keys.iter().map(|key| names(*key)).collect();
        let aggregates: Vec<&str> = self.aggregates.iter().map(|aggregate| aggregate.text.as_str()).collect();
        format!("by [{}], {}", keys.join(", "), aggregates.join(", "))
    }
}

/// Reads an aggregate of a logical plan after the analyzer (types are coerced). `column` gives the input column for an argument,
/// filter or order: it may look one up, or add the expression to the projection that the planner puts before.
///
/// # Errors
/// The aggregate cannot be kept up to date; or what `column` says.
pub fn of_expr(
    expr: &Expr,
    input: &DFSchema,
    column: &mut dyn FnMut(&Expr) -> Result<usize>,
) -> Result<StoredAggregate> {
    let text = without_names(expr)?.to_string();
    let data_type = expr.get_type(input)?;
    let mut inner = expr;
    while let Expr::Alias(alias) = inner {
        inner = &alias.expr;
    }
    let Expr::AggregateFunction(call) = inner else {
        return Err(Error::internal(format!("{text} is no aggregate")));
    };
    let name = call.func.name();
    let Some(function) = AggregateFunction::of_name(name) else {
        return refuse(
            format!("aggregate {name} cannot run in a job: it cannot be kept up to date row by row ({text})"),
            &format!("Use one of {}, or compute it in a query over the sink's table.", names_of_jobs()),
        );
    };
    let params = &call.params;
    let (arguments, parameter) = arguments_and_delimiter(function, name, params, &text)?;
    let argument_type = arguments.first().map(|argument| argument.get_type(input)).transpose()?;
    if matches!(function, AggregateFunction::Sum | AggregateFunction::Avg)
        && let Some(DataType::Interval(_)) = argument_type
    {
        return refuse(
            format!("{name} of intervals cannot run in a job ({text})"),
            "Sum a number instead, as EXTRACT(EPOCH FROM x).",
        );
    }
    if params.distinct
        && function.heeds_distinct()
        && params.order_by.iter().any(|sort| !arguments.contains(&sort.expr))
    {
        return refuse(
            format!("with DISTINCT, {name} can be ordered by its argument only ({text})"),
            "Order by the argument, or leave out DISTINCT.",
        );
    }
    let order_by = if function.heeds_order() { params.order_by.as_slice() } else { &[] };
    Ok(StoredAggregate {
        function,
        arguments: arguments.iter().map(&mut *column).collect::<Result<_>>()?,
        distinct: params.distinct || function == AggregateFunction::ApproxDistinct,
        filter: params.filter.as_deref().filter(|filter| !is_true(filter)).map(&mut *column).transpose()?,
        parameter,
        order_by: order_by
            .iter()
            .map(|sort| Ok((column(&sort.expr)?, !sort.asc, sort.nulls_first)))
            .collect::<Result<_>>()?,
        ignore_nulls: params.null_treatment == Some(NullTreatment::IgnoreNulls)
            || function == AggregateFunction::AnyValue,
        data_type,
        text,
    })
}

fn refuse<T>(reason: String, hint: &str) -> Result<T> {
    Err(Error::unsupported(reason).hint(hint.to_owned()))
}

/// The arguments that are columns, and STRING_AGG's delimiter, which is a literal. COUNT(*) has no arguments.
fn arguments_and_delimiter<'c>(
    function: AggregateFunction,
    name: &str,
    params: &'c AggregateFunctionParams,
    text: &str,
) -> Result<(&'c [Expr], Option<String>)> {
    let (mut arguments, mut parameter) = (params.args.as_slice(), None);
    if function == AggregateFunction::StringAgg
        && let [value, delimiter] = arguments
    {
        parameter = Some(match unaliased(delimiter) {
            Expr::Literal(literal, _) => literal.try_as_str().flatten().unwrap_or_default().to_owned(),
            _ => {
                return refuse(
                    format!("the delimiter of {name} must be a literal in a job ({text})"),
                    "Write LISTAGG(x, ','), or put the delimiter into the values.",
                );
            }
        });
        arguments = std::slice::from_ref(value);
    }
    // COUNT(*) is COUNT(1) here.
    if function == AggregateFunction::Count
        && let [Expr::Literal(value, _)] = arguments
        && !value.is_null()
        && !params.distinct
    {
        arguments = &[];
    }
    Ok((arguments, parameter))
}

/// Without the names that arguments have for planning only.
fn without_names(expr: &Expr) -> Result<Expr> {
    let plain = |expr: Expr| match expr {
        Expr::Alias(alias) => Ok(Transformed::yes(*alias.expr)),
        Expr::AggregateFunction(mut call) if call.params.filter.as_deref().is_some_and(is_true) => {
            call.params.filter = None;
            Ok(Transformed::yes(Expr::AggregateFunction(call)))
        }
        other => Ok(Transformed::no(other)),
    };
    Ok(expr.clone().transform_up(plain)?.data)
}

fn is_true(expr: &Expr) -> bool {
    matches!(expr, Expr::Literal(ScalarValue::Boolean(Some(true)), _))
}

fn unaliased(expr: &Expr) -> &Expr {
    match expr {
        Expr::Alias(alias) => unaliased(&alias.expr),
        Expr::Cast(cast) if matches!(&*cast.expr, Expr::Literal(ScalarValue::Utf8(_), _)) => &cast.expr,
        other => other,
    }
}

/// Arrow types as their text, which Arrow reads again.
mod arrow_type {
    use datafusion::arrow::datatypes::DataType;
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(data_type: &DataType, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(data_type)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DataType, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|error| D::Error::custom(format!("type \"{text}\" cannot be read: {error}")))
    }
}

#[cfg(test)]
mod tests;
