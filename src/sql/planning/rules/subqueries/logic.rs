//! Predicates of sub-queries in three-valued logic: what is TRUE, FALSE or NULL, written with EXISTS.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, ScalarValue};
use datafusion::error::Result;
use datafusion::logical_expr::expr::{BinaryExpr, Case, Exists, InSubquery};
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, Operator, Subquery, lit, not};

use super::shape::{OneRow, VALUE, below_projections, contains, is_predicate, one_row, unsupported, with_own_value};

/// A predicate of WHERE, of which NULL means the same as FALSE. `is_whole`: the WHERE, or what AND makes it of.
pub(super) fn condition(expr: Expr, schema: &DFSchema, is_whole: bool) -> Result<Expr> {
    Ok(match expr {
        Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::And | Operator::Or), right }) => {
            let is_whole = is_whole && op == Operator::And;
            let (left, right) = (condition(*left, schema, is_whole)?, condition(*right, schema, is_whole)?);
            Expr::BinaryExpr(BinaryExpr { left: Box::new(left), op, right: Box::new(right) })
        }
        Expr::Not(inner) => match *inner {
            Expr::InSubquery(predicate) => {
                let negated = !predicate.negated;
                condition(Expr::InSubquery(InSubquery { negated, ..predicate }), schema, is_whole)?
            }
            Expr::Exists(predicate) => {
                let negated = !predicate.negated;
                exists(Exists { negated, ..predicate })?
            }
            inner => value(not(inner), schema)?,
        },
        Expr::Exists(predicate) => exists(predicate)?,
        Expr::InSubquery(predicate) if compares_one_row(&predicate) => value(Expr::InSubquery(predicate), schema)?,
        Expr::InSubquery(predicate) if !predicate.negated => Expr::InSubquery(predicate),
        Expr::InSubquery(predicate) => {
            let is_column = matches!(predicate.expr.as_ref(), Expr::Column(_));
            if is_whole && is_column && predicate.subquery.outer_ref_columns.is_empty() {
                // An anti join that knows NULLs, for one column on each side.
                return Ok(Expr::InSubquery(predicate));
            }
            let parts = Parts::of(&predicate, schema)?;
            let mut absent = parts.found(true)?;
            if let Some(unknown) = parts.unknown()? {
                absent = absent.and(not(unknown));
            }
            absent
        }
        other if contains(&other, is_predicate) => value(other, schema)?,
        other => other,
    })
}

/// An expression whose predicates are true, false or NULL.
pub(super) fn value(expr: Expr, schema: &DFSchema) -> Result<Expr> {
    let rewritten = expr.transform_up(|expr| {
        Ok(match expr {
            Expr::Exists(predicate) => Transformed::yes(exists(predicate)?),
            Expr::InSubquery(predicate) => {
                let found = if compares_one_row(&predicate) {
                    let InSubquery { expr, subquery, .. } = predicate.clone();
                    Expr::eq(*expr, Expr::ScalarSubquery(subquery))
                } else {
                    let parts = Parts::of(&predicate, schema)?;
                    match parts.unknown()? {
                        None => parts.found(false)?,
                        Some(unknown) => Expr::Case(Case {
                            expr: None,
                            when_then_expr: vec![
                                (Box::new(parts.found(false)?), Box::new(lit(true))),
                                (Box::new(unknown), Box::new(lit(ScalarValue::Boolean(None)))),
                            ],
                            else_expr: Some(Box::new(lit(false))),
                        }),
                    }
                };
                Transformed::yes(if predicate.negated { not(found) } else { found })
            }
            other => Transformed::no(other),
        })
    })?;
    Ok(rewritten.data)
}

/// What `x IN (sub-query)` is made of.
struct Parts<'a> {
    predicate: &'a InSubquery,
    /// The sub-query under a name of its own.
    plan: LogicalPlan,
    /// The left side as the sub-query sees it.
    left: Expr,
    left_is_nullable: bool,
    column: Column,
    column_is_nullable: bool,
}

impl<'a> Parts<'a> {
    fn of(predicate: &'a InSubquery, schema: &DFSchema) -> Result<Self> {
        if contains(&predicate.expr, |expr| is_predicate(expr) || matches!(expr, Expr::ScalarSubquery(_))) {
            return Err(unsupported("IN of a sub-query whose left side has a sub-query"));
        }
        let left = predicate.expr.as_ref().clone().transform_up(|expr| {
            Ok(match expr {
                Expr::Column(column) => {
                    let (_, field) = schema.qualified_field_from_column(&column)?;
                    Transformed::yes(Expr::OuterReferenceColumn(field.clone(), column))
                }
                other => Transformed::no(other),
            })
        })?;
        let field = predicate.subquery.subquery.schema().field(0);
        Ok(Self {
            predicate,
            plan: with_own_value(&predicate.subquery.subquery)?,
            left: left.data,
            left_is_nullable: predicate.expr.nullable(schema)?,
            column: Column::new_unqualified(VALUE),
            column_is_nullable: field.is_nullable(),
        })
    }

    fn exists(&self, filter: Option<Expr>, negated: bool) -> Result<Expr> {
        let mut plan = LogicalPlanBuilder::from(self.plan.clone());
        if let Some(filter) = filter {
            plan = plan.filter(filter)?;
        }
        let mut subquery = self.predicate.subquery.clone();
        let plan = plan.build()?;
        subquery.outer_ref_columns = plan.all_out_ref_exprs();
        subquery.subquery = Arc::new(plan);
        Ok(Expr::Exists(Exists { subquery, negated }))
    }

    /// Whether a row is equal.
    fn found(&self, negated: bool) -> Result<Expr> {
        self.exists(Some(Expr::Column(self.column.clone()).eq(self.left.clone())), negated)
    }

    /// Whether a row may be equal, for all that is known; `None`: never.
    fn unknown(&self) -> Result<Option<Expr>> {
        let mut unknown = None;
        if self.column_is_nullable {
            unknown = Some(self.exists(Some(Expr::Column(self.column.clone()).is_null()), false)?);
        }
        if self.left_is_nullable {
            let any = self.predicate.expr.as_ref().clone().is_null().and(self.exists(None, false)?);
            unknown = Some(match unknown {
                Some(unknown) => unknown.or(any),
                None => any,
            });
        }
        Ok(unknown)
    }
}

/// Whether the sub-query is a correlated aggregate without GROUP BY, one row for each row outside.
fn compares_one_row(predicate: &InSubquery) -> bool {
    !predicate.subquery.outer_ref_columns.is_empty() && matches!(one_row(&predicate.subquery.subquery), OneRow::Always)
}

fn exists(predicate: Exists) -> Result<Expr> {
    let Exists { subquery, negated } = &predicate;
    if subquery.outer_ref_columns.is_empty() {
        return Ok(Expr::Exists(predicate));
    }
    match one_row(&subquery.subquery) {
        OneRow::No => {
            let Exists { subquery, negated } = predicate;
            let plan = without_order(Arc::unwrap_or_clone(subquery.subquery))?;
            Ok(Expr::Exists(Exists { subquery: Subquery { subquery: Arc::new(plan), ..subquery }, negated }))
        }
        OneRow::Always => Ok(lit(!negated)),
        OneRow::If => {
            let LogicalPlan::Filter(filter) = below_projections(&subquery.subquery) else {
                return Err(unsupported("HAVING in this place of a correlated sub-query"));
            };
            if !matches!(one_row(&filter.input), OneRow::Always) {
                return Err(unsupported("HAVING in this place of a correlated sub-query"));
            }
            let plan = LogicalPlanBuilder::from(filter.input.as_ref().clone())
                .project([filter.predicate.clone().alias("having")])?
                .build()?;
            let holds = Expr::ScalarSubquery(Subquery { subquery: Arc::new(plan), ..subquery.clone() }).is_true();
            Ok(if *negated { not(holds) } else { holds })
        }
    }
}

/// Whether there is a row does not depend on the order of rows, nor on a LIMIT, of which `check` leaves those that take the first ones.
fn without_order(plan: LogicalPlan) -> Result<LogicalPlan> {
    match plan {
        LogicalPlan::Sort(sort) => without_order(Arc::unwrap_or_clone(sort.input)),
        LogicalPlan::Limit(limit) => without_order(Arc::unwrap_or_clone(limit.input)),
        LogicalPlan::Projection(mut projection) => {
            projection.input = Arc::new(without_order(Arc::unwrap_or_clone(projection.input))?);
            Ok(LogicalPlan::Projection(projection))
        }
        other => Ok(other),
    }
}
