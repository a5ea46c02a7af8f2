//! Parameters beside `= ANY ($1)`, `<> ALL ($1)`, `> ANY ($1)` and their like that the client gave no type: arrays of what they are
//! compared with, as in Postgres. The resolver, which knows no types, has made arrays of text of them.

use std::collections::HashMap;

use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::logical_expr::expr::{BinaryExpr, ScalarFunction};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, cast};

use crate::data_type::{is_unconstrained_numeric, list_of, unconstrained_numeric};
use crate::functions::nulls::ANY_EQUAL;

/// Gives them their types.
///
/// # Errors
/// A plan that cannot be built.
pub fn take_types(plan: LogicalPlan) -> Result<LogicalPlan> {
    let plan = plan.transform_up_with_subqueries(|plan| {
        let schema = merge_schema(&plan.inputs());
        let mut types: HashMap<String, DataType> = HashMap::new();
        plan.apply_expressions(|expr| {
            expr.apply(|expr| {
                if let Expr::ScalarFunction(call) = expr
                    && matches!(call.func.name(), "array_has" | ANY_EQUAL)
                    && let [array, item] = &call.args[..]
                    && let Some(id) = parameter(array)
                    && let Some(item) = item.get_type(&schema).ok().and_then(item_type)
                {
                    types.insert(id.to_owned(), item);
                }
                if let Expr::BinaryExpr(BinaryExpr { left, right, .. }) = expr {
                    for (bound, item) in [(left, right), (right, left)] {
                        if let Expr::ScalarFunction(call) = bound.as_ref()
                            && matches!(call.func.name(), "array_max" | "array_min")
                            && let Some(id) = call.args.first().and_then(parameter)
                            && let Some(item) = item.get_type(&schema).ok().and_then(item_type)
                        {
                            types.insert(id.to_owned(), item);
                        }
                    }
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })?;
        if types.is_empty() {
            return Ok(Transformed::no(plan));
        }
        let preserver = NamePreserver::new(&plan);
        plan.map_expressions(|expr| {
            let name = preserver.save(&expr);
            let typed = expr.transform_up(|expr| {
                let item = parameter(&expr).and_then(|id| types.get(id)).cloned();
                Ok(match (item, expr) {
                    (Some(item), Expr::Cast(array)) => Transformed::yes(cast(*array.expr, list_of(item, true))),
                    (_, Expr::ScalarFunction(call)) if is_of_numerics(&call) => {
                        let mut call = call;
                        let item = call.args.pop().map(|item| cast(item, unconstrained_numeric()));
                        call.args.extend(item);
                        Transformed::yes(Expr::ScalarFunction(call))
                    }
                    (_, other) => Transformed::no(other),
                })
            })?;
            Ok(typed.update_data(|expr| name.restore(expr)))
        })
    })?;
    Ok(plan.data)
}

/// Whether a decimal is looked for in a parameter that is an array of numerics: both must be of one type.
fn is_of_numerics(call: &ScalarFunction) -> bool {
    let Some(Expr::Cast(array)) = call.args.first() else { return false };
    let DataType::List(item) = array.field.data_type() else { return false };
    matches!(call.func.name(), "array_has" | ANY_EQUAL)
        && matches!(array.expr.as_ref(), Expr::Placeholder(_))
        && is_unconstrained_numeric(item.data_type())
}

/// The parameter that is an array of text.
fn parameter(expr: &Expr) -> Option<&str> {
    let Expr::Cast(cast) = expr else { return None };
    let DataType::List(item) = cast.field.data_type() else { return None };
    match cast.expr.as_ref() {
        Expr::Placeholder(placeholder) if *item.data_type() == DataType::Utf8 => Some(&placeholder.id),
        _ => None,
    }
}

/// The type of the array's items; those of a column's own digits could not hold every value that it is compared with.
fn item_type(data_type: DataType) -> Option<DataType> {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null => None,
        DataType::Decimal128(..) | DataType::Decimal256(..) => Some(unconstrained_numeric()),
        DataType::Timestamp(TimeUnit::Second | TimeUnit::Millisecond, zone) => {
            Some(DataType::Timestamp(TimeUnit::Microsecond, zone))
        }
        other => Some(other),
    }
}
