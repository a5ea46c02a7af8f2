//! GROUP BY, DISTINCT and GROUPING SETS → group aggregates. Before each goes a projection that computes keys, arguments and
//! filters; grouping sets are a projection each, with NULL for the keys that a set leaves out.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::{Aggregate, Expr, ExprSchemable, GroupingSet, LogicalPlan};

use super::DataflowPlanner;
use super::fragment::{AggregatePath, Fragment};
use crate::changelog::Changelog;
use crate::engine::aggregate::{self, GroupAggregateSpec};
use crate::engine::dataflow::{NodeKind, OperatorKind};
use crate::engine::expression::StoredExpression;
use crate::engine::operators::project::ProjectSpec;
use crate::error::{Error, Result};

impl DataflowPlanner<'_> {
    pub(super) fn plan_aggregate(&mut self, aggregate: &Aggregate) -> Result<Fragment> {
        let mut fragment = self.plan_node(&aggregate.input)?;
        let state_ttl_ms = match fragment.state_ttl_ms.take() {
            Some(hinted) => Some(hinted).filter(|ttl| *ttl > 0),
            None => self.state_ttl_ms(),
        };
        let (keys, sets) = grouping(&aggregate.group_expr)?;
        // What the projection before the aggregate computes: keys, the grouping id, then what the aggregates take.
        let mut inputs = keys.clone();
        let key_count = keys.len() + usize::from(sets.is_some());
        if sets.is_some() {
            inputs.push(grouping_id_literal(0, aggregate, keys.len())?);
        }
        let mut aggregates = Vec::new();
        for expression in &aggregate.aggr_expr {
            aggregates.push(aggregate::of_expr(expression, &fragment.schema, &mut |input: &Expr| {
                // Keys and arguments are columns of their own: a set's NULL for a key is not an argument's.
                let known = inputs[key_count..].iter().position(|known| known == input);
                Ok(known.map_or_else(
                    || {
                        inputs.push(input.clone());
                        inputs.len() - 1
                    },
                    |place| place + key_count,
                ))
            })?);
        }
        let input_changelog = fragment.changelog;
        let Fragment { batch_dependent, transient, .. } = fragment;
        match sets {
            None => self.project_inputs(&mut fragment, &inputs)?,
            Some(sets) => fragment = self.project_sets(&fragment, &inputs, &keys, &sets, aggregate)?,
        }
        let key_columns: Vec<usize> = (0..key_count).collect();
        let spec = GroupAggregateSpec {
            keys: key_columns.clone(),
            aggregates,
            input: input_changelog,
            emits: Changelog::Retract,
            version: false,
            emit_unchanged: false,
            state_ttl_ms,
        };
        let is_spread = fragment.distribution.as_ref().is_some_and(|known| *known == key_columns && !known.is_empty());
        let keyed_by = (!is_spread).then(|| key_columns.clone());
        self.push(&mut fragment, OperatorKind::GroupAggregate(spec), keyed_by, Changelog::Retract);
        fragment.schema = aggregate.schema.as_ref().clone();
        fragment.extra = 0;
        // The global group has no key, and needs none: there is one row.
        fragment.key = Some(key_columns.clone());
        fragment.distribution = Some(key_columns);
        fragment.aggregate =
            Some(AggregatePath { node: fragment.nodes[0], projections: Vec::new(), has_lookups: false });
        fragment.batch_dependent = true;
        // Which groups are touched depends on the batches of what comes in.
        fragment.transient = transient || batch_dependent;
        Ok(fragment)
    }

    /// DISTINCT: a group for each row.
    pub(super) fn plan_distinct(&mut self, input: &Arc<LogicalPlan>) -> Result<Fragment> {
        let keys: Vec<Expr> = input.schema().columns().into_iter().map(Expr::Column).collect();
        self.plan_aggregate(&Aggregate::try_new(Arc::clone(input), keys, Vec::new())?)
    }

    /// Computes the columns that an aggregate takes.
    fn project_inputs(&mut self, fragment: &mut Fragment, expressions: &[Expr]) -> Result<()> {
        let extracted = self.extract_lookups(fragment, expressions)?;
        let mut fields = Vec::new();
        for (place, expression) in extracted.expressions.iter().enumerate() {
            let data_type = expression.get_type(&extracted.schema)?;
            fields.push((None, Arc::new(Field::new(format!("#{place}"), data_type, true))));
        }
        let stored = extracted
            .expressions
            .iter()
            .map(|expression| StoredExpression::new(expression, &extracted.schema))
            .collect::<Result<Vec<_>>>()?;
        fragment.follow_projection(&extracted.expressions, &extracted.schema);
        let changelog = fragment.changelog;
        self.push(fragment, OperatorKind::Project(ProjectSpec { expressions: stored }), None, changelog);
        fragment.schema = DFSchema::new_with_metadata(fields, HashMap::new())?;
        fragment.extra = 0;
        Ok(())
    }

    /// Computes the columns that an aggregate takes, for each grouping set: the keys that it leaves out are NULL, and its id
    /// stands behind the keys.
    fn project_sets(
        &mut self,
        base: &Fragment,
        inputs: &[Expr],
        keys: &[Expr],
        sets: &[Vec<Expr>],
        aggregate: &Aggregate,
    ) -> Result<Fragment> {
        let mut branches = Vec::new();
        let mut occurrences: BTreeMap<Vec<bool>, usize> = BTreeMap::new();
        for set in sets {
            let mut branch = base.clone();
            let left_out: Vec<bool> = keys.iter().map(|key| !set.contains(key)).collect();
            let ordinal = occurrences.entry(left_out.clone()).or_default();
            let mask = left_out.iter().fold(0u64, |mask, left_out| (mask << 1) | u64::from(*left_out));
            let id = mask | ((*ordinal as u64) << keys.len());
            *ordinal += 1;
            let mut expressions = inputs.to_vec();
            for (place, left_out) in left_out.iter().enumerate() {
                if *left_out {
                    let data_type = keys[place].get_type(&base.schema)?;
                    expressions[place] = Expr::Literal(ScalarValue::try_from(&data_type)?, None);
                }
            }
            expressions[keys.len()] = grouping_id_literal(id, aggregate, keys.len())?;
            self.project_inputs(&mut branch, &expressions)?;
            branches.push(branch);
        }
        let schema = branches[0].schema.clone();
        Ok(Fragment::union(branches, schema))
    }

    /// The stored form of a fragment's aggregate.
    pub(super) fn aggregate_mut(&mut self, node: usize) -> Option<&mut GroupAggregateSpec> {
        match &mut self.nodes[node].kind {
            NodeKind::Operator(OperatorKind::GroupAggregate(spec)) => Some(spec),
            _ => None,
        }
    }
}

/// Distinct grouping expressions, and the sets of them if there are several.
type Grouping = (Vec<Expr>, Option<Vec<Vec<Expr>>>);

fn grouping(group_expr: &[Expr]) -> Result<Grouping> {
    let [Expr::GroupingSet(sets)] = group_expr else {
        if group_expr.iter().any(|expression| matches!(expression, Expr::GroupingSet(_))) {
            return Err(Error::unsupported(
                "GROUP BY mixes expressions with grouping sets in a way that jobs cannot run",
            )
            .hint("Write all of it as GROUPING SETS ((…), (…))."));
        }
        return Ok((group_expr.to_vec(), None));
    };
    let keys: Vec<Expr> = sets.distinct_expr().into_iter().cloned().collect();
    let sets = match sets {
        GroupingSet::GroupingSets(sets) => sets.clone(),
        GroupingSet::Rollup(all) => (0..=all.len()).rev().map(|length| all[..length].to_vec()).collect(),
        GroupingSet::Cube(all) => (0..1usize << all.len())
            .map(|mask| {
                let chosen = all.iter().enumerate().filter(|(place, _)| mask & (1 << place) != 0);
                chosen.map(|(_, expression)| expression.clone()).collect()
            })
            .collect(),
    };
    Ok((keys, Some(sets)))
}

/// The grouping id as DataFusion types it: its column follows the keys.
fn grouping_id_literal(id: u64, aggregate: &Aggregate, keys: usize) -> Result<Expr> {
    let value = match aggregate.schema.field(keys).data_type() {
        DataType::UInt8 => ScalarValue::UInt8(Some(id as u8)),
        DataType::UInt16 => ScalarValue::UInt16(Some(id as u16)),
        DataType::UInt32 => ScalarValue::UInt32(Some(id as u32)),
        DataType::UInt64 => ScalarValue::UInt64(Some(id)),
        other => return Err(Error::internal(format!("a grouping id of type {other}"))),
    };
    Ok(Expr::Literal(value, None))
}
