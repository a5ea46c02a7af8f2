//! Arrays that become rows, one for each item: UNNEST. What joins their rows to a table is a rewrite of the plan (`sql::planning::rules`).

use datafusion::common::NullHandling;
use datafusion::logical_expr::{LogicalPlan, Unnest};

use super::DataflowPlanner;
use super::fragment::Fragment;
use crate::engine::dataflow::OperatorKind;
use crate::engine::operators::unnest::UnnestSpec;
use crate::error::{Error, Result};

impl DataflowPlanner<'_> {
    pub(super) fn plan_unnest(&mut self, unnest: &Unnest) -> Result<Fragment> {
        let spec = stored_form(unnest)?;
        let mut fragment = self.plan_node(&unnest.input)?;
        self.trim(&mut fragment)?;
        fragment.follow_unnest(&spec.arrays);
        let changelog = fragment.changelog;
        self.push(&mut fragment, OperatorKind::Unnest(spec), None, changelog);
        fragment.schema = unnest.schema.as_ref().clone();
        Ok(fragment)
    }
}

/// # Errors
/// A row that becomes columns, arrays within arrays, and rows that stay for NULL but not for an empty array (0A000).
fn stored_form(unnest: &Unnest) -> Result<UnnestSpec> {
    let refused = |what: &str, hint: &str| {
        let plan = super::operator_name(&LogicalPlan::Unnest(unnest.clone()));
        Error::unsupported(format!("operator {plan} cannot run in a job: {what}")).hint(hint)
    };
    let width = unnest.input.schema().fields().len();
    if unnest.list_type_columns.iter().any(|(_, list)| list.depth != 1) {
        let hint = "Use CROSS JOIN UNNEST (a) AS t (b) CROSS JOIN UNNEST (b) AS u (c).";
        return Err(refused("it takes arrays within arrays apart in one step", hint));
    }
    if !unnest.struct_type_columns.is_empty() || !unnest.dependency_indices.iter().copied().eq(0..width) {
        return Err(refused("it makes columns of the fields of a row", "Name the fields: SELECT item.field."));
    }
    let keeps_empty = match unnest.options.null_handling {
        NullHandling::Drop => false,
        NullHandling::PreserveAndExpandEmpty => true,
        NullHandling::Preserve => {
            return Err(refused("it keeps NULL and drops empty arrays", "Use LEFT JOIN UNNEST (a) ON TRUE."));
        }
    };
    Ok(UnnestSpec { arrays: unnest.list_type_columns.iter().map(|(column, _)| *column).collect(), keeps_empty })
}
