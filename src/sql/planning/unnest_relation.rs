//! UNNEST in FROM: the items of an array as rows of one column, those of an array of rows as rows of their fields, and the entries of a
//! map as rows of key and value, as in Flink; several arrays side by side, and WITH ORDINALITY the number of each item, as in Postgres.
//! What it makes of a column of the tables before it `rules::lateral_unnest` joins to them.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Fields};
use datafusion::common::{Column, DFSchema, NullHandling, UnnestOptions};
use datafusion::error::Result;
use datafusion::functions::core::get_field;
use datafusion::functions_nested::expr_fn::cardinality;
use datafusion::functions_nested::map_entries::map_entries_udf;
use datafusion::logical_expr::planner::{PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning};
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlanBuilder, cast, lit, when};
use datafusion::sql::sqlparser::ast::{Expr as Written, TableAlias, TableFactor};

use super::row_functions::ORDINALITY;
use crate::data_type::NamedText;
use crate::error::Error;
use crate::functions::json;

/// What counts from 1 to a number.
const SERIES: &str = "generate_series";

/// Plans UNNEST.
#[derive(Debug)]
pub struct UnnestRelation;

/// One argument of UNNEST.
struct Argument {
    array: Expr,
    /// The fields of its items, if these are rows.
    fields: Option<Fields>,
    /// What its items are, if they are more than texts.
    named: Option<NamedText>,
}

impl Argument {
    /// `None` of what is neither an array nor a map.
    fn of(array: Expr) -> Result<Option<Self>> {
        Ok(match array.get_type(&DFSchema::empty())? {
            DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
                let fields = match item.data_type() {
                    DataType::Struct(fields) => Some(fields.clone()),
                    _ => None,
                };
                Some(Self { array, fields, named: NamedText::of(&item) })
            }
            DataType::Map(entries, _) => match entries.data_type() {
                DataType::Struct(fields) => {
                    Some(Self { array: map_entries_udf().call(vec![array]), fields: Some(fields.clone()), named: None })
                }
                _ => None,
            },
            _ => None,
        })
    }
}

impl RelationPlanner for UnnestRelation {
    fn plan_relation(
        &self,
        mut relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning> {
        let TableFactor::UNNEST { alias, array_exprs, with_offset: false, with_ordinality, .. } = &mut relation else {
            return Ok(RelationPlanning::Original(Box::new(relation)));
        };
        let Some(arguments) = arguments(array_exprs, context)? else {
            // What it is instead is said there.
            *with_ordinality = false;
            return Ok(RelationPlanning::Original(Box::new(relation)));
        };
        let (mut arrays, mut columns) = (Vec::new(), Vec::new());
        for (place, argument) in arguments.iter().enumerate() {
            let item = Column::new_unqualified(format!("#item{place}"));
            arrays.push((item.clone(), argument.array.clone()));
            columns.extend(columns_of(item, argument, alias.as_ref()));
        }
        if *with_ordinality {
            let numbers = numbers(&arguments, context)?;
            columns.extend(ordinality(&numbers).map(|number| (number, ORDINALITY.to_owned())));
            arrays.extend(numbers);
        }
        let items: Vec<Column> = arrays.iter().map(|(item, _)| item.clone()).collect();
        let options = UnnestOptions::new().with_null_handling(NullHandling::Drop);
        let rows = LogicalPlanBuilder::empty(true)
            .project(arrays.into_iter().map(|(item, array)| array.alias(item.name)))?
            .unnest_columns_with_options(items, options)?;
        let plan = rows.project(named_apart(columns))?.build()?;
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(plan, alias.take()))))
    }
}

/// The arguments; `None` if one of them is neither an array nor a map.
fn arguments(written: &[Written], context: &mut dyn RelationPlannerContext) -> Result<Option<Vec<Argument>>> {
    let schema = DFSchema::empty();
    let planned = written.iter().map(|array| Argument::of(context.sql_to_expr(array.clone(), &schema)?));
    planned.collect()
}

/// The columns that the items of an argument give, and their names: that of a relation of one column is the relation's, as in Postgres.
fn columns_of(item: Column, argument: &Argument, alias: Option<&TableAlias>) -> Vec<(Expr, String)> {
    match &argument.fields {
        Some(fields) => fields
            .iter()
            .map(|field| {
                let path = vec![Expr::Column(item.clone()), lit(field.name().as_str())];
                (get_field().call(path), field.name().clone())
            })
            .collect(),
        None => {
            let name = alias.map_or("unnest", |alias| alias.name.value.as_str());
            let item = Expr::Column(item);
            let item = match argument.named {
                Some(named) => json::marked(item, named),
                None => item,
            };
            vec![(item, name.to_owned())]
        }
    }
}

/// For each argument an array of the numbers of its items, from 1 on; NULL where it is.
fn numbers(arguments: &[Argument], context: &dyn RelationPlannerContext) -> Result<Vec<(Column, Expr)>> {
    let series = context.context_provider().get_function_meta(SERIES);
    let series = series.ok_or_else(|| Error::internal(format!("function {SERIES} is not registered")))?;
    let numbers = arguments.iter().enumerate().map(|(place, argument)| {
        let count = cast(cardinality(argument.array.clone()), DataType::Int64);
        (Column::new_unqualified(format!("#number{place}")), series.call(vec![lit(1_i64), count]))
    });
    Ok(numbers.collect())
}

/// The number of a row: that of an item of the longest array, as those of the shorter ones are NULL behind their ends.
fn ordinality(numbers: &[(Column, Expr)]) -> Option<Expr> {
    let columns = numbers.iter().rev().map(|(number, _)| Ok(Expr::Column(number.clone())));
    let number = columns.reduce(|rest, number| {
        let (rest, number): (Expr, Expr) = (rest?, number?);
        when(number.clone().is_not_null(), number).otherwise(rest)
    });
    number.and_then(Result::ok)
}

/// Columns under their names; the later ones of a name get a number.
fn named_apart(columns: Vec<(Expr, String)>) -> Vec<Expr> {
    let mut taken: Vec<String> = Vec::new();
    for (_, name) in &columns {
        let numbered = (2..).map(|number| format!("{name}_{number}"));
        let free = std::iter::once(name.clone()).chain(numbered).find(|name| !taken.contains(name));
        taken.extend(free);
    }
    columns.into_iter().zip(taken).map(|((column, _), name)| column.alias(name)).collect()
}

/// The planners of relations that come before DataFusion's.
pub fn planners() -> Vec<Arc<dyn RelationPlanner>> {
    vec![Arc::new(UnnestRelation)]
}
