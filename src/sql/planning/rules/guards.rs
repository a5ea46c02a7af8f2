//! A CASE guards its branches: what a condition keeps away is not computed. DataFusion writes a CASE of booleans out with AND and OR,
//! which do not guard; `CASE TRUE WHEN condition THEN …`, which means the same, it leaves as it is.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result;
use datafusion::logical_expr::expr::{BinaryExpr, Case, ScalarFunction};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, Operator, lit};
use datafusion::optimizer::AnalyzerRule;

/// See the head of this file.
#[derive(Debug)]
pub struct Guards;

impl AnalyzerRule for Guards {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        let plan = plan.transform_up_with_subqueries(|plan| {
            let schema = datafusion::logical_expr::utils::merge_schema(&plan.inputs());
            let preserver = NamePreserver::new(&plan);
            plan.map_expressions(|expr| {
                if !has_guard(&expr) {
                    return Ok(Transformed::no(expr));
                }
                let name = preserver.save(&expr);
                let rewritten = expr.transform_up(|expr| guard(expr, &schema))?;
                Ok(if rewritten.transformed { rewritten.update_data(|expr| name.restore(expr)) } else { rewritten })
            })
        })?;
        Ok(plan.data)
    }

    fn name(&self) -> &'static str {
        "guards"
    }
}

fn is_coalesce(call: &ScalarFunction) -> bool {
    matches!(call.func.name(), "coalesce" | "nvl")
}

fn has_guard(expr: &Expr) -> bool {
    // The closure does not fail.
    expr.exists(|expr| {
        Ok(match expr {
            Expr::Case(_) => true,
            Expr::ScalarFunction(call) => is_coalesce(call),
            _ => false,
        })
    })
    .unwrap_or(false)
}

fn guard(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    match expr {
        Expr::Case(case) => {
            let thens = || case.when_then_expr.iter().map(|(_, then)| then).chain(&case.else_expr);
            let is_boolean = || thens().any(|then| then.get_type(schema).is_ok_and(|found| found == DataType::Boolean));
            if case.expr.is_none() && (conditions_may_fail(&case) || thens().any(|then| may_fail(then))) && is_boolean()
            {
                return Ok(Transformed::yes(kept(case)));
            }
            Ok(Transformed::no(Expr::Case(case)))
        }
        // A comparison of constants that a CASE chooses would become a CASE of booleans.
        Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::Eq | Operator::NotEq), right })
            if chooses_constants(&left) || chooses_constants(&right) =>
        {
            let (left, right) = (Box::new(keep(*left)), Box::new(keep(*right)));
            Ok(Transformed::yes(Expr::BinaryExpr(BinaryExpr { left, op, right })))
        }
        Expr::InList(mut list) if chooses_constants(&list.expr) => {
            list.expr = Box::new(keep(*list.expr));
            Ok(Transformed::yes(Expr::InList(list)))
        }
        Expr::ScalarFunction(call)
            if is_coalesce(&call)
                && call.args.len() > 1
                && call.args[1..].iter().any(may_fail)
                && call.args[0].get_type(schema)? == DataType::Boolean =>
        {
            let Some((last, rest)) = call.args.split_last() else {
                return Ok(Transformed::no(Expr::ScalarFunction(call)));
            };
            let when_then_expr =
                rest.iter().map(|arg| (Box::new(arg.clone().is_not_null()), Box::new(arg.clone()))).collect();
            let else_expr = Some(Box::new(last.clone()));
            Ok(Transformed::yes(Expr::Case(Case { expr: Some(Box::new(lit(true))), when_then_expr, else_expr })))
        }
        other => Ok(Transformed::no(other)),
    }
}

/// The form that DataFusion leaves alone.
fn kept(case: Case) -> Expr {
    Expr::Case(Case { expr: Some(Box::new(lit(true))), ..case })
}

fn keep(expr: Expr) -> Expr {
    match expr {
        Expr::Case(case) if case.expr.is_none() => kept(case),
        other => other,
    }
}

fn conditions_may_fail(case: &Case) -> bool {
    case.when_then_expr.iter().any(|(when, _)| may_fail(when))
}

fn chooses_constants(expr: &Expr) -> bool {
    let Expr::Case(case) = expr else { return false };
    let mut thens = case.when_then_expr.iter().map(|(_, then)| then).chain(&case.else_expr);
    case.expr.is_none() && conditions_may_fail(case) && thens.all(|then| matches!(then.as_ref(), Expr::Literal(..)))
}

/// Whether an expression may be an error for some row.
fn may_fail(expr: &Expr) -> bool {
    let fails = expr.exists(|expr| {
        Ok(match expr {
            Expr::BinaryExpr(BinaryExpr { op, .. }) => !matches!(
                op,
                Operator::Eq
                    | Operator::NotEq
                    | Operator::Lt
                    | Operator::LtEq
                    | Operator::Gt
                    | Operator::GtEq
                    | Operator::And
                    | Operator::Or
                    | Operator::IsDistinctFrom
                    | Operator::IsNotDistinctFrom
            ),
            Expr::Column(_)
            | Expr::OuterReferenceColumn(..)
            | Expr::Literal(..)
            | Expr::Alias(_)
            | Expr::Not(_)
            | Expr::IsNull(_)
            | Expr::IsNotNull(_)
            | Expr::IsTrue(_)
            | Expr::IsFalse(_)
            | Expr::IsUnknown(_)
            | Expr::IsNotTrue(_)
            | Expr::IsNotFalse(_)
            | Expr::IsNotUnknown(_)
            | Expr::Like(_)
            | Expr::Between(_)
            | Expr::InList(_)
            | Expr::Case(_)
            | Expr::Exists(_)
            | Expr::InSubquery(_) => false,
            _ => true,
        })
    });
    fails.unwrap_or(true)
}
