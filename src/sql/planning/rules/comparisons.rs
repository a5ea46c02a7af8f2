//! Comparisons of timestamps, exactly: DataFusion brings a timestamp beside a date or a text to nanoseconds, which end in 2262, and
//! takes a constant of more digits than the column has for the one before it. Here both sides meet in the finer of their units, and
//! such a constant becomes a bound between two values of the column.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, DFSchemaRef};
use datafusion::error::Result;
use datafusion::logical_expr::expr::{Between, BinaryExpr, Cast, InList};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, Operator, cast, lit, not};
use datafusion::optimizer::AnalyzerRule;
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::scalar::ScalarValue;

use crate::functions::{coercion, timestamp_precision};

const SECONDS_OF_A_DAY: i64 = 86_400;

/// See the head of this file.
#[derive(Debug)]
pub struct Comparisons;

impl AnalyzerRule for Comparisons {
    fn analyze(&self, plan: LogicalPlan, config: &ConfigOptions) -> Result<LogicalPlan> {
        let zone: Arc<str> = config.execution.time_zone.as_deref().unwrap_or("UTC").into();
        let plan = plan.transform_up_with_subqueries(|plan| {
            if !has_timestamps(&plan) {
                return Ok(Transformed::no(plan));
            }
            let schema = Arc::new(merge_schema(&plan.inputs()));
            let preserver = NamePreserver::new(&plan);
            let context = Context { schema: &schema, zone: &zone };
            plan.map_expressions(|expr| {
                let name = preserver.save(&expr);
                let rewritten = expr.transform_up(|expr| context.rewrite(expr))?;
                Ok(if rewritten.transformed { rewritten.update_data(|expr| name.restore(expr)) } else { rewritten })
            })
        })?;
        Ok(plan.data)
    }

    fn name(&self) -> &'static str {
        "comparisons"
    }
}

/// Whether a comparison has a cast to a timestamp, which is where this rule has something to do.
fn has_timestamps(plan: &LogicalPlan) -> bool {
    plan.expressions().iter().any(|expr| {
        // The closure does not fail.
        expr.exists(|expr| Ok(matches!(expr, Expr::Cast(cast) if is_timestamp(cast.field.data_type())))).unwrap_or(true)
    })
}

fn is_timestamp(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Timestamp(..))
}

struct Context<'a> {
    schema: &'a DFSchemaRef,
    zone: &'a Arc<str>,
}

/// A side of a comparison without the cast that coercion gave it.
struct Side {
    expr: Expr,
    data_type: DataType,
}

impl Context<'_> {
    fn rewrite(&self, expr: Expr) -> Result<Transformed<Expr>> {
        match expr {
            Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_comparison(op) => {
                Ok(match self.compare(&left, op, &right)? {
                    Some(compared) => Transformed::yes(compared),
                    None => Transformed::no(Expr::BinaryExpr(BinaryExpr { left, op, right })),
                })
            }
            Expr::Between(Between { expr, negated, low, high }) if self.is_timestamp(&expr) => {
                let (least, most) =
                    if negated { (Operator::Lt, Operator::Gt) } else { (Operator::GtEq, Operator::LtEq) };
                let low = self.compare_or_keep(&expr, least, &low)?;
                let high = self.compare_or_keep(&expr, most, &high)?;
                Ok(Transformed::yes(if negated { low.or(high) } else { low.and(high) }))
            }
            Expr::InList(InList { expr, list, negated }) if self.is_timestamp(&expr) => {
                let mut plain = Vec::new();
                let mut others = None;
                for item in &list {
                    match self.compare(&expr, Operator::Eq, item)? {
                        None => plain.push(item.clone()),
                        Some(equal) => {
                            others = Some(match others {
                                None => equal,
                                Some(others) => Expr::or(others, equal),
                            });
                        }
                    }
                }
                let Some(others) = others else {
                    return Ok(Transformed::no(Expr::InList(InList { expr, list, negated })));
                };
                let found = if plain.is_empty() {
                    others
                } else {
                    Expr::InList(InList { expr, list: plain, negated: false }).or(others)
                };
                Ok(Transformed::yes(if negated { not(found) } else { found }))
            }
            other => Ok(Transformed::no(other)),
        }
    }

    fn is_timestamp(&self, expr: &Expr) -> bool {
        expr.get_type(self.schema.as_ref()).is_ok_and(|found| is_timestamp(&found))
    }

    fn compare_or_keep(&self, left: &Expr, op: Operator, right: &Expr) -> Result<Expr> {
        let keep = || Expr::BinaryExpr(BinaryExpr { left: Box::new(left.clone()), op, right: Box::new(right.clone()) });
        Ok(self.compare(left, op, right)?.unwrap_or_else(keep))
    }

    /// A comparison of two timestamps of one type, of which coercion cast one or both; `None`: it is right as it is.
    fn compare(&self, left: &Expr, op: Operator, right: &Expr) -> Result<Option<Expr>> {
        let ((Expr::Cast(_), _) | (_, Expr::Cast(_))) = (left, right) else { return Ok(None) };
        let schema = self.schema.as_ref();
        let (Ok(left_type), Ok(right_type)) = (left.get_type(schema), right.get_type(schema)) else { return Ok(None) };
        let (DataType::Timestamp(_, zone), DataType::Timestamp(..)) = (&left_type, &right_type) else {
            return Ok(None);
        };
        let (left, right) = (side(left, &left_type, schema), side(right, &right_type, schema));
        let unit = |side: &Side| match side.data_type {
            DataType::Timestamp(unit, _) => Some(unit),
            _ => None,
        };
        let Some(finest) = [unit(&left), unit(&right)].into_iter().flatten().max_by_key(|unit| rank(*unit)) else {
            return Ok(None);
        };
        let is_text = |side: &Side| !matches!(side.data_type, DataType::Timestamp(..) | DataType::Date32);
        let meets_text = is_text(&left) || is_text(&right);
        let common =
            if meets_text && rank(finest) < rank(TimeUnit::Microsecond) { TimeUnit::Microsecond } else { finest };
        // A column without its cast may do where the other side is a constant.
        for (column, constant, op) in [(&left, &right, Some(op)), (&right, &left, op.swap().or(Some(op)))] {
            if let Some(op) = op
                && let Some(compared) = self.with_constant(column, op, constant, common)?
            {
                return Ok(Some(compared));
            }
        }
        let to = DataType::Timestamp(common, zone.clone());
        let (left, right) = (brought_to(left, &to), brought_to(right, &to));
        Ok(Some(Expr::BinaryExpr(BinaryExpr { left: Box::new(left), op, right: Box::new(right) })))
    }

    /// A comparison of a coarser column with a constant.
    fn with_constant(&self, column: &Side, op: Operator, constant: &Side, common: TimeUnit) -> Result<Option<Expr>> {
        if constant.expr.any_column_refs() || constant.expr.is_volatile() || !column.expr.any_column_refs() {
            return Ok(None);
        }
        // How many of the common unit are one of the column's.
        let ratio = match &column.data_type {
            // A constant without a zone is one of the session's.
            DataType::Timestamp(unit, zone) if zone.is_some() || has_no_zone(constant) => {
                timestamp_precision::per_second(common) / timestamp_precision::per_second(*unit)
            }
            DataType::Date32 if has_no_zone(constant) => SECONDS_OF_A_DAY * timestamp_precision::per_second(common),
            _ => return Ok(None),
        };
        if ratio == 1 {
            return Ok(None);
        }
        let zone = match &column.data_type {
            DataType::Timestamp(_, zone) => zone.clone(),
            _ => None,
        };
        let to = DataType::Timestamp(common, zone);
        let Some(value) = self.folded(brought_to(constant_side(constant), &to), &to)? else { return Ok(None) };
        let (below, rest) = (value.div_euclid(ratio), value.rem_euclid(ratio));
        let Some(bound) = literal(&column.data_type, below) else { return Ok(None) };
        let compared = |op| {
            let (left, right) = (Box::new(column.expr.clone()), Box::new(lit(bound.clone())));
            Expr::BinaryExpr(BinaryExpr { left, op, right })
        };
        if rest == 0 {
            return Ok(Some(compared(op)));
        }
        Ok(Some(match op {
            Operator::Lt | Operator::LtEq => compared(Operator::LtEq),
            Operator::Gt | Operator::GtEq => compared(Operator::Gt),
            // No value of the column: false or true, and NULL for NULL.
            Operator::Eq => compared(Operator::LtEq).and(compared(Operator::Gt)),
            Operator::NotEq => compared(Operator::LtEq).or(compared(Operator::Gt)),
            Operator::IsDistinctFrom => lit(true),
            Operator::IsNotDistinctFrom => lit(false),
            _ => return Ok(None),
        }))
    }

    /// The value of a constant timestamp in its unit.
    fn folded(&self, constant: Expr, data_type: &DataType) -> Result<Option<i64>> {
        let constant = coercion::rewrite_all(constant, self.schema, self.zone)?;
        let context = SimplifyContext::builder().with_schema(Arc::clone(self.schema)).build();
        let Ok(Expr::Literal(value, _)) = ExprSimplifier::new(context).simplify(constant) else { return Ok(None) };
        if value.data_type() != *data_type {
            return Ok(None);
        }
        Ok(match value {
            ScalarValue::TimestampSecond(value, _)
            | ScalarValue::TimestampMillisecond(value, _)
            | ScalarValue::TimestampMicrosecond(value, _)
            | ScalarValue::TimestampNanosecond(value, _) => value,
            _ => None,
        })
    }
}

/// Whether an operator compares two values.
pub fn is_comparison(op: Operator) -> bool {
    matches!(
        op,
        Operator::Eq
            | Operator::NotEq
            | Operator::Lt
            | Operator::LtEq
            | Operator::Gt
            | Operator::GtEq
            | Operator::IsDistinctFrom
            | Operator::IsNotDistinctFrom
    )
}

fn rank(unit: TimeUnit) -> u8 {
    match unit {
        TimeUnit::Second => 0,
        TimeUnit::Millisecond => 1,
        TimeUnit::Microsecond => 2,
        TimeUnit::Nanosecond => 3,
    }
}

fn has_no_zone(side: &Side) -> bool {
    !matches!(side.data_type, DataType::Timestamp(_, Some(_)))
}

fn constant_side(side: &Side) -> Side {
    Side { expr: side.expr.clone(), data_type: side.data_type.clone() }
}

/// Takes a widening cast off.
fn side(expr: &Expr, data_type: &DataType, schema: &DFSchema) -> Side {
    let kept = || Side { expr: expr.clone(), data_type: data_type.clone() };
    let (Expr::Cast(Cast { expr: inner, field }), DataType::Timestamp(unit, _)) = (expr, data_type) else {
        return kept();
    };
    let Ok(from) = inner.get_type(schema) else { return kept() };
    let is_widening = field.metadata().is_empty()
        && match &from {
            DataType::Timestamp(inner, _) => rank(*inner) <= rank(*unit),
            DataType::Date32 => true,
            // What is compared as nanoseconds is so by coercion, unless it is written, which has its type by now.
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
                *unit == TimeUnit::Nanosecond && !matches!(inner.as_ref(), Expr::Literal(..))
            }
            _ => false,
        };
    if is_widening { Side { expr: inner.as_ref().clone(), data_type: from } } else { kept() }
}

fn brought_to(side: Side, to: &DataType) -> Expr {
    if side.data_type == *to {
        return side.expr;
    }
    let DataType::Timestamp(TimeUnit::Nanosecond, zone) = to else { return cast(side.expr, to.clone()) };
    // Others reach further than nanoseconds.
    let micros = DataType::Timestamp(TimeUnit::Microsecond, zone.clone());
    let is_coarse = matches!(side.data_type, DataType::Timestamp(_, ref found) if found == zone);
    let coarse = if is_coarse { side.expr } else { cast(side.expr, micros) };
    timestamp_precision::nanoseconds().call(vec![coarse])
}

fn literal(data_type: &DataType, value: i64) -> Option<ScalarValue> {
    Some(match data_type {
        DataType::Date32 => ScalarValue::Date32(Some(i32::try_from(value).ok()?)),
        DataType::Timestamp(TimeUnit::Second, zone) => ScalarValue::TimestampSecond(Some(value), zone.clone()),
        DataType::Timestamp(TimeUnit::Millisecond, zone) => {
            ScalarValue::TimestampMillisecond(Some(value), zone.clone())
        }
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            ScalarValue::TimestampMicrosecond(Some(value), zone.clone())
        }
        DataType::Timestamp(TimeUnit::Nanosecond, zone) => ScalarValue::TimestampNanosecond(Some(value), zone.clone()),
        _ => return None,
    })
}
