//! Inputs of a node whose columns meet: the keys of joins, EXCEPT, INTERSECT and UNION.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{JoinType, NullEquality};
use datafusion::error::Result;
use datafusion::logical_expr::builder::build_join_schema;
use datafusion::logical_expr::{Expr, Join, LogicalPlan, LogicalPlanBuilder, Union, cast};

use super::super::intervals;
use crate::data_type::to_postgres;
use crate::error::{Error, SqlState};
use crate::functions::meetings::{Meeting, Part, is_moment, meeting};

/// The keys of a join.
pub(super) fn of_keys(join: Join) -> Result<Transformed<LogicalPlan>> {
    let Transformed { data: join, transformed: mut is_changed, .. } = intervals::of_join(join);
    let Transformed { data: mut join, transformed, .. } = of_set_operation(join)?;
    is_changed |= transformed;
    for (left, right) in &mut join.on {
        let (of_left, of_right) = (join.left.schema(), join.right.schema());
        let (Some(left_part), Some(right_part)) = (Part::of(left, of_left), Part::of(right, of_right)) else {
            continue;
        };
        let parts = [left_part, right_part];
        let Some(met) = meeting(&parts) else { continue };
        if parts.iter().any(|part| met.changes(part)) {
            *left = met.fit(left.clone(), of_left);
            *right = met.fit(right.clone(), of_right);
            is_changed = true;
        }
    }
    let plan = LogicalPlan::Join(join);
    Ok(if is_changed { Transformed::yes(plan) } else { Transformed::no(plan) })
}

/// EXCEPT and INTERSECT, which are joins of all columns by now: dates beside timestamps are timestamps in the result, too.
fn of_set_operation(mut join: Join) -> Result<Transformed<Join>> {
    let is_one = matches!(join.join_type, JoinType::LeftSemi | JoinType::LeftAnti)
        && join.null_equality == NullEquality::NullEqualsNull
        && join.filter.is_none()
        && join.on.len() == join.left.schema().fields().len()
        && join.on.len() == join.right.schema().fields().len();
    if !is_one {
        return Ok(Transformed::no(join));
    }
    let sides = join.left.schema().fields().iter().zip(join.right.schema().fields().iter());
    let met: Vec<Option<Meeting>> = sides
        .map(|(left, right)| meeting(&[Part::column(left.data_type()), Part::column(right.data_type())]))
        .map(|met| met.filter(|met| matches!(met, Meeting::Timestamp(_))))
        .collect();
    if met.iter().all(Option::is_none) {
        return Ok(Transformed::no(join));
    }
    let left = Arc::new(fitted(join.left.as_ref().clone(), &met)?);
    let right = Arc::new(fitted(join.right.as_ref().clone(), &met)?);
    join.schema = Arc::new(build_join_schema(left.schema(), right.schema(), &join.join_type)?);
    (join.left, join.right) = (left, right);
    Ok(Transformed::yes(join))
}

/// A plan whose columns take the types in which they meet.
fn fitted(plan: LogicalPlan, met: &[Option<Meeting>]) -> Result<LogicalPlan> {
    let written = written_texts(&plan);
    let mut is_changed = false;
    let columns: Vec<Expr> = plan
        .schema()
        .iter()
        .zip(met)
        .enumerate()
        .map(|(place, ((qualifier, field), met))| {
            let column = Expr::from((qualifier, field));
            let part = written.get(place).cloned().flatten().unwrap_or_else(|| Part::column(field.data_type()));
            match met {
                Some(met) if met.changes(&part) => {
                    is_changed = true;
                    cast(column, met.data_type()).alias_qualified(qualifier.cloned(), field.name())
                }
                _ => column,
            }
        })
        .collect();
    if is_changed { LogicalPlanBuilder::from(plan).project(columns)?.build() } else { Ok(plan) }
}

/// The texts that are written among a plan's columns.
fn written_texts(plan: &LogicalPlan) -> Vec<Option<Part>> {
    match plan {
        LogicalPlan::Projection(projection) => {
            let part = |expr: &Expr| Part::of(expr, projection.input.schema()).filter(Part::is_written);
            projection.expr.iter().map(part).collect()
        }
        _ => Vec::new(),
    }
}

pub(super) fn of_union(union: Union) -> Result<Transformed<LogicalPlan>> {
    let written: Vec<Vec<Option<Part>>> = union.inputs.iter().map(|input| written_texts(input)).collect();
    let columns = union.inputs.first().map_or(0, |input| input.schema().fields().len());
    let mut all = Vec::with_capacity(columns);
    let met: Vec<Option<Meeting>> = (0..columns)
        .map(|column| {
            let parts = union.inputs.iter().zip(&written).filter_map(|(input, written)| {
                let text = written.get(column).cloned().flatten();
                text.or_else(|| input.schema().fields().get(column).map(|field| Part::column(field.data_type())))
            });
            let parts: Vec<Part> = parts.collect();
            all.push(parts.clone());
            meeting(&parts).filter(|met| parts.iter().any(|part| met.changes(part)))
        })
        .collect();
    for parts in &all {
        let of = |wanted: fn(&DataType) -> bool| parts.iter().map(Part::data_type).find(|found| wanted(found));
        if let (Some(moment), Some(number)) = (of(is_moment), of(DataType::is_numeric)) {
            let (moment, number) = (to_postgres(moment), to_postgres(number));
            let message = format!("UNION types {moment} and {number} cannot be matched");
            return Err(Error::invalid(message).code(SqlState::DatatypeMismatch).into());
        }
    }
    if met.iter().all(Option::is_none) {
        return Ok(Transformed::no(LogicalPlan::Union(union)));
    }
    let fit = |input: Arc<LogicalPlan>| Ok(Arc::new(fitted(Arc::unwrap_or_clone(input), &met)?));
    let inputs = union.inputs.into_iter().map(fit).collect::<Result<Vec<_>>>()?;
    Ok(Transformed::yes(LogicalPlan::Union(Union::try_new_with_loose_types(inputs)?)))
}
