//! Relations with hints, between the resolver, which finds the hints, and DataFusion's planner: what stands in the tree is a field of
//! it that nothing else uses, and only says where to look or how long; what it means is planned here.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::planner::{PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning};
use datafusion::logical_expr::{LogicalPlanBuilder, TableSource};
use datafusion::sql::sqlparser::ast::{Expr, Ident, Query, Setting, TableFactor, Value, ValueWithSpan};
use datafusion::sql::sqlparser::tokenizer::Span;
use parking_lot::Mutex;

use crate::engine::plan::StateTtl;

/// Relations that hint OPTIONS makes different from the table of the same name, and what they are read through.
#[derive(Default)]
pub struct HintedRelations(Mutex<Vec<Arc<dyn TableSource>>>);

impl HintedRelations {
    /// Adds one; gives the mark for its table in FROM.
    pub fn add(&self, source: Arc<dyn TableSource>) -> Expr {
        let mut sources = self.0.lock();
        sources.push(source);
        number((sources.len() - 1) as u128)
    }
}

impl fmt::Debug for HintedRelations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HintedRelations({})", self.0.lock().len())
    }
}

/// Says of a query in FROM how long state of its rows is kept.
pub fn mark_state_ttl(query: &mut Query, ttl: Duration) {
    query.settings = Some(vec![Setting { key: Ident::new("state_ttl_ms"), value: number(ttl.as_millis()) }]);
}

impl RelationPlanner for HintedRelations {
    fn plan_relation(
        &self,
        mut relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning> {
        let planned = match &mut relation {
            TableFactor::Table { name, alias, with_hints, .. } => {
                let Some(mark) = with_hints.first() else { return Ok(RelationPlanning::Original(Box::new(relation))) };
                let source = self.0.lock().get(value_of(mark)? as usize).cloned();
                let source =
                    source.ok_or_else(|| DataFusionError::Internal("a hinted relation is unknown".to_owned()))?;
                let reference = context.object_name_to_table_reference(name.clone())?;
                let plan = LogicalPlanBuilder::scan(reference, source, None)?.build()?;
                PlannedRelation::new(plan, alias.take())
            }
            TableFactor::Derived { subquery, .. } => {
                let Some(settings) = subquery.settings.take() else {
                    return Ok(RelationPlanning::Original(Box::new(relation)));
                };
                let ttl = settings.first().map(|setting| value_of(&setting.value)).transpose()?.unwrap_or_default();
                let plan = StateTtl(Duration::from_millis(ttl)).over(context.plan(relation)?);
                PlannedRelation::new(plan, None)
            }
            _ => return Ok(RelationPlanning::Original(Box::new(relation))),
        };
        Ok(RelationPlanning::Planned(Box::new(planned)))
    }
}

fn number(value: u128) -> Expr {
    Expr::Value(ValueWithSpan { value: Value::Number(value.to_string(), false), span: Span::empty() })
}

fn value_of(mark: &Expr) -> Result<u64> {
    let value = match mark {
        Expr::Value(ValueWithSpan { value: Value::Number(value, _), .. }) => value.parse().ok(),
        _ => None,
    };
    value.ok_or_else(|| DataFusionError::Internal("expected the mark of a hinted relation".to_owned()))
}
