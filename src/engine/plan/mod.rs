//! What a plan says that DataFusion's own nodes cannot: extension nodes, made by the SQL layer and read by the planner of jobs. Each
//! has a form for bounded queries too ([`for_query`]), so that a statement means the same in both.

mod note;
mod state_ttl;
mod watermark;

use datafusion::common::tree_node::Transformed;
use datafusion::error::Result;
use datafusion::logical_expr::LogicalPlan;

pub(crate) use state_ttl::StateTtl;
pub(crate) use watermark::Watermark;

use note::Noted;

/// An optimised plan as a bounded query runs it: all rows are there, so neither how long state is kept nor how far time is matters,
/// and the rows are those of the nodes' inputs.
///
/// # Errors
/// Never for plans that were planned; the signature is DataFusion's.
pub(crate) fn for_query(plan: LogicalPlan) -> Result<LogicalPlan> {
    let bare = plan.transform_down_with_subqueries(|node| {
        let mut node = node;
        let mut removed = false;
        while let Some(input) = input_of(&node) {
            node = input.clone();
            removed = true;
        }
        Ok(if removed { Transformed::yes(node) } else { Transformed::no(node) })
    })?;
    Ok(bare.data)
}

fn input_of(plan: &LogicalPlan) -> Option<&LogicalPlan> {
    let LogicalPlan::Extension(extension) = plan else { return None };
    let node = extension.node.as_any();
    let of_ttl = node.downcast_ref::<Noted<StateTtl>>().map(Noted::input);
    of_ttl.or_else(|| node.downcast_ref::<Noted<Watermark>>().map(Noted::input))
}

#[cfg(test)]
mod tests;
