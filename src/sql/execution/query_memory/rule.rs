//! The last step of planning: operators whose expressions may make large values of small ones get a form that bounds them.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::expressions::{BinaryExpr, Literal};
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::windows::WindowAggExec;
use datafusion::physical_plan::{ChildrenPropertiesMode, ExecutionPlan, ReplaceChildrenOptions};

use super::charged::Charged;
use super::projection::BoundedProjection;
use super::slices::Slices;
use crate::functions::bounded::{Growth, growth};

/// A constant of this size is looked at: written out for each row of a batch it would be hundreds of megabytes.
const LARGE_CONSTANT_BYTES: usize = 32 << 10;
/// Rows at a time of an operator that cannot try again with fewer.
const ROWS_OF_LARGE_VALUES: usize = 64;

/// See the head of this file.
#[derive(Debug)]
pub struct BoundedValues;

impl PhysicalOptimizerRule for BoundedValues {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(bounded).data()
    }

    fn name(&self) -> &'static str {
        "bounded_values"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn bounded(plan: Arc<dyn ExecutionPlan>) -> Result<Transformed<Arc<dyn ExecutionPlan>>> {
    if plan.is::<WindowAggExec>()
        && let [input] = plan.children()[..]
    {
        let input: Arc<dyn ExecutionPlan> = Arc::new(Charged::new(Arc::clone(input)));
        let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
        return Ok(Transformed::yes(plan.replace_children(vec![input], options)?));
    }
    let growth = growth_of(&plan)?;
    if growth == Growth::Plain {
        return Ok(Transformed::no(plan));
    }
    if let Some(projection) = plan.downcast_ref::<ProjectionExec>() {
        return Ok(Transformed::yes(Arc::new(BoundedProjection::new(projection))));
    }
    match plan.children()[..] {
        [input] if growth == Growth::Product => {
            let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
            let input: Arc<dyn ExecutionPlan> = Arc::new(Slices::new(Arc::clone(input), ROWS_OF_LARGE_VALUES));
            Ok(Transformed::yes(plan.replace_children(vec![input], options)?))
        }
        _ => Ok(Transformed::no(plan)),
    }
}

/// The strongest of all expressions of an operator.
fn growth_of(plan: &Arc<dyn ExecutionPlan>) -> Result<Growth> {
    let mut strongest = Growth::Plain;
    plan.apply_expressions(&mut |expression| {
        expression.apply(|node| {
            strongest = strongest.max(growth_of_node(node));
            Ok(if strongest == Growth::Product { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        })
    })?;
    Ok(strongest)
}

fn growth_of_node(node: &Arc<dyn PhysicalExpr>) -> Growth {
    if let Some(call) = node.downcast_ref::<ScalarFunctionExpr>() {
        return growth(call.fun());
    }
    if let Some(literal) = node.downcast_ref::<Literal>() {
        return if literal.value().size() > LARGE_CONSTANT_BYTES { Growth::Product } else { Growth::Plain };
    }
    match node.downcast_ref::<BinaryExpr>() {
        Some(binary) if *binary.op() == Operator::StringConcat => Growth::Sum,
        _ => Growth::Plain,
    }
}
