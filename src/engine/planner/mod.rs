//! DataFusion's optimised logical plan → dataflow. Walks down to the sources; what cannot run incrementally is refused
//! with the operator's name, the reason and the way out. Nothing of a plan is left out in silence.

mod look_ups;

use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::common::DFSchema;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::logical_expr::{Expr, LogicalPlan, TableScan};

use super::dataflow::{
    Branch, Dataflow, FORMAT_VERSION, JobSettings, OperatorKind, OperatorNode, SinkNode, SourceNode,
};
use super::expression::StoredExpression;
use super::lookup_function::operator_name;
use crate::connectors::table_provider::ConnectorTable;
use crate::error::{Error, Result};

/// Whether a plan reads a source that never ends: then its INSERT is a job.
///
/// # Errors
/// Never for plans that DataFusion made; the signature is its.
pub fn is_unbounded(plan: &LogicalPlan) -> Result<bool> {
    let mut unbounded = false;
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node
            && let Some(provider) = ConnectorTable::of(&scan.source)
            && let Some(table) = ConnectorTable::from_provider(provider.as_ref())
            && let Some(source) = &table.table().source
        {
            unbounded |= !source.is_bounded();
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(unbounded)
}

/// Plans a job. `query` is the optimised plan whose columns are the sink's, in order and type; `sink` is a [`ConnectorTable`].
///
/// # Errors
/// An operator that cannot run incrementally yet (0A000, with its name, the reason and the way out).
pub async fn plan_job(query: &LogicalPlan, sink: Arc<dyn TableProvider>, settings: JobSettings) -> Result<Dataflow> {
    settings.checkpoint_interval()?;
    settings.row_errors()?;
    settings.read_behind()?;
    settings.zone()?;
    let table = ConnectorTable::from_provider(sink.as_ref())
        .ok_or_else(|| Error::unsupported("a job can only write a declared table"))?;
    let name = &table.declaration().name;
    if table.table().sink.is_none() {
        return Err(Error::unsupported(format!("table \"{name}\" cannot be written")));
    }
    let width = table.declaration().columns.len();
    let mut branches = Vec::new();
    for unfinished in plan_node(query)? {
        branches.push(unfinished.finish(width)?);
    }
    let mut dataflow = Dataflow {
        version: FORMAT_VERSION,
        settings,
        branches,
        sink: SinkNode { id: String::new(), table: table.declaration().as_ref().clone() },
    };
    assign_ids(&mut dataflow);
    Ok(dataflow)
}

/// Ids by place in the dataflow: the same statement planned again gets the same ids.
fn assign_ids(dataflow: &mut Dataflow) {
    for (number, branch) in dataflow.branches.iter_mut().enumerate() {
        branch.source.id = format!("source-{number}");
        for (place, operator) in branch.operators.iter_mut().enumerate() {
            let kind = match operator.kind {
                OperatorKind::Filter { .. } => "filter",
                OperatorKind::Project { .. } => "project",
                OperatorKind::LookUp { .. } => "look-up",
            };
            operator.id = format!("{kind}-{number}-{place}");
        }
    }
    dataflow.sink.id = "sink".to_owned();
}

/// A branch under construction: its rows have the columns of `schema`, then `extra` more that nobody needs any longer.
struct UnfinishedBranch {
    source: SourceNode,
    operators: Vec<OperatorKind>,
    schema: DFSchema,
    extra: usize,
}

impl UnfinishedBranch {
    /// Drops columns behind those of the schema.
    fn trim(&mut self) -> Result<()> {
        if self.extra > 0 {
            let expressions = self
                .schema
                .columns()
                .into_iter()
                .map(|column| StoredExpression::new(&Expr::Column(column), &self.schema))
                .collect::<Result<Vec<_>>>()?;
            self.operators.push(OperatorKind::Project { expressions });
            self.extra = 0;
        }
        Ok(())
    }

    fn finish(mut self, width: usize) -> Result<Branch> {
        self.trim()?;
        if self.schema.fields().len() != width {
            return Err(Error::internal(format!(
                "the query gives {} columns, the sink takes {width}",
                self.schema.fields().len()
            )));
        }
        let operators = self.operators.into_iter().map(|kind| OperatorNode { id: String::new(), kind }).collect();
        Ok(Branch { source: self.source, operators })
    }
}

fn plan_node(plan: &LogicalPlan) -> Result<Vec<UnfinishedBranch>> {
    match plan {
        LogicalPlan::TableScan(scan) => Ok(vec![plan_scan(scan)?]),
        LogicalPlan::SubqueryAlias(alias) => {
            let mut branches = plan_node(&alias.input)?;
            for branch in &mut branches {
                branch.schema = alias.schema.as_ref().clone();
            }
            Ok(branches)
        }
        LogicalPlan::Projection(projection) => {
            let mut branches = plan_node(&projection.input)?;
            for branch in &mut branches {
                let expressions = look_ups::extract(branch, &projection.expr)?;
                let expressions = expressions
                    .expressions
                    .iter()
                    .map(|expression| StoredExpression::new(expression, &expressions.schema))
                    .collect::<Result<Vec<_>>>()?;
                branch.operators.push(OperatorKind::Project { expressions });
                branch.schema = projection.schema.as_ref().clone();
                branch.extra = 0;
            }
            Ok(branches)
        }
        LogicalPlan::Filter(filter) => {
            let mut branches = plan_node(&filter.input)?;
            for branch in &mut branches {
                push_filter(branch, &filter.predicate)?;
            }
            Ok(branches)
        }
        LogicalPlan::Union(union) => {
            let mut branches = Vec::new();
            for input in &union.inputs {
                for mut branch in plan_node(input)? {
                    branch.trim()?;
                    branch.schema = union.schema.as_ref().clone();
                    branches.push(branch);
                }
            }
            Ok(branches)
        }
        other => Err(refuse(other)),
    }
}

fn plan_scan(scan: &TableScan) -> Result<UnfinishedBranch> {
    let provider = ConnectorTable::of(&scan.source)
        .ok_or_else(|| Error::unsupported(format!("a job cannot read relation \"{}\"", scan.table_name)))?;
    let table = ConnectorTable::from_provider(provider.as_ref())
        .ok_or_else(|| Error::internal("a connector table that is none"))?;
    let declaration = table.declaration();
    if table.table().source.is_none() {
        return Err(Error::unsupported(format!(
            "a job cannot read table \"{}\" as a stream: connector \"{}\" only has bounded scans",
            declaration.name,
            declaration.connector().unwrap_or_default()
        ))
        .hint("Read it through a look-up function, or run a bounded INSERT."));
    }
    if scan.fetch.is_some() {
        return Err(Error::unsupported("operator Limit cannot run in a job: an endless query has no last row")
            .hint("Remove LIMIT, or bound the source by /*+ OPTIONS('scan.bounded.mode'='latest-offset') */."));
    }
    let projection = scan.projection.clone().unwrap_or_else(|| (0..declaration.columns.len()).collect());
    let source = SourceNode { id: String::new(), table: declaration.as_ref().clone(), projection };
    let mut branch =
        UnfinishedBranch { source, operators: Vec::new(), schema: scan.projected_schema.as_ref().clone(), extra: 0 };
    if !scan.filters.is_empty() {
        // Filters that the optimiser pushed into the scan may use columns that it projected away: read those too, at the end.
        let full = DFSchema::try_from_qualified_schema(scan.table_name.clone(), &scan.source.schema())?;
        let mut fields: Vec<_> =
            branch.schema.iter().map(|(qualifier, field)| (qualifier.cloned(), Arc::clone(field))).collect();
        for filter in &scan.filters {
            for column in filter.column_refs() {
                let index = full.index_of_column(column)?;
                if !branch.source.projection.contains(&index) {
                    branch.source.projection.push(index);
                    let (qualifier, field) = full.qualified_field(index);
                    fields.push((qualifier.cloned(), Arc::clone(field)));
                    branch.extra += 1;
                }
            }
        }
        let widened = DFSchema::new_with_metadata(fields, std::collections::HashMap::new())?;
        for filter in &scan.filters {
            branch.operators.push(OperatorKind::Filter { predicate: StoredExpression::new(filter, &widened)? });
        }
    }
    Ok(branch)
}

fn push_filter(branch: &mut UnfinishedBranch, predicate: &Expr) -> Result<()> {
    let extracted = look_ups::extract(branch, std::slice::from_ref(predicate))?;
    for predicate in &extracted.expressions {
        branch.operators.push(OperatorKind::Filter { predicate: StoredExpression::new(predicate, &extracted.schema)? });
    }
    Ok(())
}

fn refuse(plan: &LogicalPlan) -> Error {
    let name = operator_name(plan);
    let (reason, way_out) = match plan {
        LogicalPlan::Aggregate(_) => (
            "it keeps state, which jobs cannot yet",
            "Bound the source by /*+ OPTIONS('scan.bounded.mode'='latest-offset') */ to run it once.",
        ),
        LogicalPlan::Distinct(_) | LogicalPlan::Window(_) => {
            ("it keeps state, which jobs cannot yet", "Bound the source to run it once.")
        }
        LogicalPlan::Join(_) | LogicalPlan::Subquery(_) => {
            ("joins keep state, which jobs cannot yet", "Use a look-up function over a keyed table.")
        }
        LogicalPlan::Sort(_) | LogicalPlan::Limit(_) => {
            ("an endless query has no last row", "Remove it, or bound the source.")
        }
        _ => ("it is not supported in jobs yet", "Use filter, projection, look-up functions and UNION ALL."),
    };
    Error::unsupported(format!("operator {name} cannot run in a job: {reason}")).hint(way_out)
}
