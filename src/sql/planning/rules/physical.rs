//! The physical optimiser's rules, without what loses rows: limits that are pushed below operators that change how many rows there are.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::datasource::sink::DataSinkExec;
use datafusion::error::Result;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::enforce_distribution::{
    DistributionContext, PlanWithKeyRequirements, adjust_input_keys_ordering, ensure_distribution,
    reorder_join_keys_to_inputs,
};
use datafusion::physical_optimizer::enforce_sorting::replace_with_order_preserving_variants::{
    OrderPreservationContext, replace_with_order_preserving_variants,
};
use datafusion::physical_optimizer::enforce_sorting::{
    PlanWithCorrespondingCoalescePartitions, PlanWithCorrespondingSort, ensure_sorting, parallelize_sorts,
    replace_with_partial_sort,
};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::AggregateExec;

use crate::functions::aggregations::heeds_order;

type Rule = Arc<dyn PhysicalOptimizerRule + Send + Sync>;

/// DataFusion's rules in their order, with ours in place of those that are wrong.
pub fn physical_rules() -> Vec<Rule> {
    let state = SessionStateBuilder::new_with_default_features().build();
    let rules = state.physical_optimizers().iter().map(|rule| -> Rule {
        if rule.name() == "EnsureRequirements" { Arc::new(Requirements) } else { rule.clone() }
    });
    let mut rules: Vec<Rule> = rules.collect();
    rules.push(Arc::new(SoftLimits));
    rules
}

/// What operators require of their inputs: the steps of DataFusion's `EnsureRequirements` but the one that moves sorts down. It takes
/// the limit of a sort along through any operator whose output is sorted already, a DISTINCT or a filter too.
#[derive(Debug)]
struct Requirements;

/// Whether rows must stay in the order in which they come: they are written (of one key the last stands), or an aggregate that depends
/// on their order has none of its own.
fn heeds_arrival(plan: &Arc<dyn ExecutionPlan>) -> bool {
    let heeds = |plan: &Arc<dyn ExecutionPlan>| {
        if plan.is::<DataSinkExec>() {
            return Ok(true);
        }
        let aggregate = plan.downcast_ref::<AggregateExec>();
        Ok(aggregate.is_some_and(|aggregate| {
            let mut calls = aggregate.aggr_expr().iter();
            calls.any(|call| call.order_bys().is_empty() && heeds_order(call.fun().name()))
        }))
    };
    plan.exists(heeds).unwrap_or(true)
}

impl PhysicalOptimizerRule for Requirements {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let mut in_order = None;
        if config.optimizer.enable_round_robin_repartition && heeds_arrival(&plan) {
            let config = in_order.insert(config.clone());
            // Batches that are dealt out to several threads come back in any order.
            config.optimizer.enable_round_robin_repartition = false;
        }
        let config = in_order.as_ref().unwrap_or(config);
        let plan = if config.optimizer.top_down_join_key_reordering {
            PlanWithKeyRequirements::new_default(plan).transform_down(adjust_input_keys_ordering).data()?.plan
        } else {
            plan.transform_up(|plan| Ok(Transformed::yes(reorder_join_keys_to_inputs(plan)?))).data()?
        };
        let distributed =
            DistributionContext::new_default(plan).transform_up(|plan| ensure_distribution(plan, config)).data()?;
        let mut plan =
            PlanWithCorrespondingSort::new_default(distributed.plan).transform_up(ensure_sorting).data()?.plan;
        if config.optimizer.repartition_sorts {
            let context = PlanWithCorrespondingCoalescePartitions::new_default(plan);
            plan = context.transform_up(parallelize_sorts).data()?.plan;
        }
        let plan = OrderPreservationContext::new_default(plan)
            .transform_up(|plan| replace_with_order_preserving_variants(plan, false, true, config))
            .data()?
            .plan;
        plan.transform_up(|plan| Ok(Transformed::yes(replace_with_partial_sort(plan)?))).data()
    }

    fn name(&self) -> &'static str {
        "Requirements"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Takes away how many groups suffice from aggregates whose input has become sorted meanwhile: they would take it for the limit of a
/// sort by the group.
#[derive(Debug)]
struct SoftLimits;

impl PhysicalOptimizerRule for SoftLimits {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let without = |plan: Arc<dyn ExecutionPlan>| {
            if let Some(aggregate) = plan.downcast_ref::<AggregateExec>()
                && aggregate.limit_options().is_some_and(|options| options.descending().is_none())
                && !aggregate.is_unordered_unfiltered_group_by_distinct()
            {
                let plan: Arc<dyn ExecutionPlan> = Arc::new(aggregate.with_new_limit_options(None));
                return Ok(Transformed::yes(plan));
            }
            Ok(Transformed::no(plan))
        };
        plan.transform_up(without).data()
    }

    fn name(&self) -> &'static str {
        "SoftLimits"
    }

    fn schema_check(&self) -> bool {
        true
    }
}
