//! UNNEST in FROM: the items of an array as rows of one column, those of an array of rows as rows of their fields, and the entries of a
//! map as rows of key and value, as in Flink. What it makes of a column of the tables before it `rules::lateral_unnest` joins to them.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Column, DFSchema, UnnestOptions};
use datafusion::error::Result;
use datafusion::functions::core::get_field;
use datafusion::functions_nested::map_entries::map_entries_udf;
use datafusion::logical_expr::planner::{PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning};
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlanBuilder, lit};
use datafusion::sql::sqlparser::ast::TableFactor;

/// The column that is made into rows.
const ITEM: &str = "#item";

/// Plans UNNEST of one argument.
#[derive(Debug)]
pub struct UnnestRelation;

impl RelationPlanner for UnnestRelation {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning> {
        let original = |relation| Ok(RelationPlanning::Original(Box::new(relation)));
        let TableFactor::UNNEST { alias, array_exprs, with_offset: false, with_ordinality: false, .. } = &relation
        else {
            return original(relation);
        };
        let [array] = &array_exprs[..] else { return original(relation) };
        let schema = DFSchema::empty();
        let array = context.sql_to_expr(array.clone(), &schema)?;
        let (array, fields) = match array.get_type(&schema)? {
            DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
                match item.data_type() {
                    DataType::Struct(fields) => (array, Some(fields.clone())),
                    _ => (array, None),
                }
            }
            DataType::Map(entries, _) => match entries.data_type() {
                DataType::Struct(fields) => (map_entries_udf().call(vec![array]), Some(fields.clone())),
                _ => return original(relation),
            },
            _ => return original(relation),
        };
        let item = Column::new_unqualified(ITEM);
        let rows = LogicalPlanBuilder::empty(true).project(vec![array.alias(ITEM)])?;
        let options = UnnestOptions::new().with_preserve_nulls(false);
        let rows = rows.unnest_column_with_options(item.clone(), options)?;
        let columns: Vec<Expr> = match fields {
            Some(fields) => fields
                .iter()
                .map(|field| {
                    let path = vec![Expr::Column(item.clone()), lit(field.name().as_str())];
                    get_field().call(path).alias(field.name())
                })
                .collect(),
            None => {
                // Its name is that of the relation, as in Postgres.
                let name = alias.as_ref().map_or("unnest", |alias| alias.name.value.as_str());
                vec![Expr::Column(item).alias(name)]
            }
        };
        let plan = rows.project(columns)?.build()?;
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(plan, alias.clone()))))
    }
}

/// The planners of relations that come before DataFusion's.
pub fn planners() -> Vec<Arc<dyn RelationPlanner>> {
    vec![Arc::new(UnnestRelation)]
}
