//! Pulls calls of lookup functions out of expressions: each becomes a column that a lookup operator appends.
//! Equal calls of one row are folded into one.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::datatypes::Field;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema};
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::expr::ScalarFunction;

use super::DataflowPlanner;
use super::fragment::Fragment;
use crate::engine::dataflow::OperatorKind;
use crate::engine::expression::StoredExpression;
use crate::engine::lookup::LookupFunction;
use crate::engine::operators::lookup::{LookupCall, LookupSpec};
use crate::error::{Error, Result};

/// Expressions without lookup calls, over a schema that has a column for each of the calls.
pub(super) struct Extracted {
    pub expressions: Vec<Expr>,
    pub schema: DFSchema,
}

impl DataflowPlanner<'_> {
    /// Replaces lookup calls by columns and adds the operator that computes these to the fragment.
    ///
    /// # Errors
    /// A call whose argument is itself a lookup (0A000).
    pub(super) fn extract_lookups(&mut self, fragment: &mut Fragment, expressions: &[Expr]) -> Result<Extracted> {
        // Columns that nobody needs any longer lie between the schema's and the appended ones: drop them first.
        if expressions.iter().any(has_call) {
            self.trim(fragment)?;
        }
        let (replaced, calls) = replace_calls(expressions)?;
        if calls.is_empty() {
            return Ok(Extracted { expressions: replaced, schema: fragment.schema.clone() });
        }
        let mut fields: Vec<_> =
            fragment.schema.iter().map(|(qualifier, field)| (qualifier.cloned(), Arc::clone(field))).collect();
        let mut lookups = Vec::new();
        for (place, (call, function)) in calls.into_iter().enumerate() {
            if call.args.iter().any(has_call) {
                return Err(Error::unsupported(format!(
                    "function \"{}\" is called with the result of another lookup function",
                    call.func.name()
                ))
                .hint("Write the inner result to a table with one job, and look up in a second job."));
            }
            let arguments = call
                .args
                .iter()
                .map(|argument| StoredExpression::new(argument, &fragment.schema))
                .collect::<Result<Vec<_>>>()?;
            fields.push((None, Arc::new(Field::new(appended_name(place), function.return_type().clone(), true))));
            lookups.push(LookupCall { function: function.stored().clone(), arguments });
        }
        fragment.extra += lookups.len();
        if let Some(path) = &mut fragment.aggregate {
            path.has_lookups = true;
        }
        let changelog = fragment.changelog;
        self.push(fragment, OperatorKind::Lookup(LookupSpec { calls: lookups }), None, changelog);
        Ok(Extracted { expressions: replaced, schema: DFSchema::new_with_metadata(fields, HashMap::new())? })
    }
}

type Calls = Vec<(ScalarFunction, Arc<LookupFunction>)>;

/// The expressions with a column in place of each lookup call, and the calls.
fn replace_calls(expressions: &[Expr]) -> Result<(Vec<Expr>, Calls)> {
    let mut calls: Calls = Vec::new();
    let replaced = expressions
        .iter()
        .map(|expression| {
            let name = expression.schema_name().to_string();
            let replaced = expression.clone().transform_down(|node| match node {
                Expr::ScalarFunction(call) => {
                    let Some(function) = LookupFunction::behind(&call.func).cloned() else {
                        return Ok(Transformed::no(Expr::ScalarFunction(call)));
                    };
                    let place = calls.iter().position(|(known, _)| *known == call).unwrap_or_else(|| {
                        calls.push((call, function));
                        calls.len() - 1
                    });
                    Ok(Transformed::yes(Expr::Column(Column::new_unqualified(appended_name(place)))))
                }
                other => Ok(Transformed::no(other)),
            })?;
            Ok(if replaced.transformed { replaced.data.alias_if_changed(name)? } else { replaced.data })
        })
        .collect::<Result<Vec<_>>>()?;
    Ok((replaced, calls))
}

fn appended_name(place: usize) -> String {
    format!("__lookup_{place}")
}

fn has_call(expression: &Expr) -> bool {
    let is_call =
        |node: &Expr| matches!(node, Expr::ScalarFunction(call) if LookupFunction::behind(&call.func).is_some());
    expression.exists(|node| Ok(is_call(node))).unwrap_or(false)
}
