//! DataFusion's optimised logical plans → dataflow. Walks down to the sources; what cannot run incrementally is refused
//! with the operator's name, the reason and the way out. Nothing of a plan is left out in silence.

mod aggregates;
mod columns;
mod fragment;
mod lookups;
mod shared_sources;
mod sinks;
mod sources;
mod unnest;

use std::sync::Arc;

use datafusion::arrow::datatypes::Schema;
use datafusion::catalog::TableProvider;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::logical_expr::{Expr, LogicalPlan};

use super::dataflow::{Dataflow, FORMAT_VERSION, Input, JobSettings, Node, NodeKind, OperatorKind};
use super::expression::StoredExpression;
use super::lookup::operator_name;
use super::operators::filter::FilterSpec;
use super::operators::project::ProjectSpec;
use super::plan::{StateTtl, Watermark};
use crate::changelog::Changelog;
use crate::connectors::table_provider::ConnectorTable;
use crate::error::{Error, Result};

use fragment::Fragment;
use shared_sources::SharedSources;

/// One INSERT of a job: its optimised query, whose columns are the sink's in order and type, and the sink, a [`ConnectorTable`].
pub struct PlannedInsert<'a> {
    /// The query.
    pub query: &'a LogicalPlan,
    /// The sink.
    pub sink: Arc<dyn TableProvider>,
    /// Columns that the statement lists, in the table's order; absent: it lists none.
    pub columns: Option<Vec<usize>>,
}

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

/// Plans a job of one or several INSERTs; a table that several of them read is read once.
///
/// # Errors
/// An operator that cannot run incrementally yet (0A000, with its name, the reason and the way out); a sink that cannot take
/// what the query gives.
pub async fn plan_job(inserts: &[PlannedInsert<'_>], settings: JobSettings) -> Result<Dataflow> {
    let mut planner = DataflowPlanner {
        settings: &settings,
        nodes: Vec::new(),
        watermark: None,
        shared: SharedSources::of(inserts.iter().map(|insert| insert.query))?,
    };
    let mut sinks = Vec::new();
    for insert in inserts {
        let table = ConnectorTable::from_provider(insert.sink.as_ref())
            .ok_or_else(|| Error::unsupported("a job can only write a declared table"))?;
        let name = &table.declaration().name;
        let sink = table
            .table()
            .sink
            .clone()
            .ok_or_else(|| Error::unsupported(format!("table \"{name}\" cannot be written")))?;
        let fragment = planner.plan_node(insert.query)?;
        planner.plan_sink(fragment, table, &sink, insert.columns.clone()).await?;
        sinks.push(sink);
    }
    super::job::transactional(sinks.iter())?;
    let mut dataflow = Dataflow { version: FORMAT_VERSION, settings: settings.clone(), nodes: planner.nodes };
    assign_ids(&mut dataflow);
    columns::complete(&mut dataflow)?;
    if inserts.len() > 1 {
        sources::refuse_own_lookups(&dataflow)?;
    }
    Ok(dataflow)
}

/// Ids by kind and place: the same statement planned again gets the same ids.
fn assign_ids(dataflow: &mut Dataflow) {
    let mut counts = std::collections::BTreeMap::new();
    for node in &mut dataflow.nodes {
        let kind = match &node.kind {
            NodeKind::Source(_) => "source",
            NodeKind::Sink(_) => "sink",
            NodeKind::Operator(kind) => kind.spec().name(),
        };
        let count: &mut usize = counts.entry(kind).or_default();
        node.id = format!("{kind}-{count}");
        *count += 1;
    }
}

struct DataflowPlanner<'a> {
    settings: &'a JobSettings,
    nodes: Vec<Node>,
    shared: SharedSources,
    /// What is declared of the scan that comes next.
    watermark: Option<Watermark>,
}

impl DataflowPlanner<'_> {
    /// Adds a node with one input, or none; gives its index. [`columns::complete`] tells its columns when all is planned.
    fn add(&mut self, kind: NodeKind, inputs: Vec<usize>, keyed_by: Option<Vec<usize>>, changelog: Changelog) -> usize {
        let inputs = if inputs.is_empty() { Vec::new() } else { vec![Input::of(&inputs, keyed_by)] };
        self.nodes.push(Node {
            id: String::new(),
            kind,
            inputs,
            schema: Arc::new(Schema::empty()),
            side_outputs: Vec::new(),
            changelog,
        });
        self.nodes.len() - 1
    }

    /// Adds an operator behind a fragment's nodes, which then are this one.
    fn push(
        &mut self,
        fragment: &mut Fragment,
        kind: OperatorKind,
        keyed_by: Option<Vec<usize>>,
        changelog: Changelog,
    ) {
        let inputs = std::mem::take(&mut fragment.nodes);
        fragment.nodes = vec![self.add(NodeKind::Operator(kind), inputs, keyed_by, changelog)];
        fragment.changelog = changelog;
    }

    fn plan_node(&mut self, plan: &LogicalPlan) -> Result<Fragment> {
        if let Some((ttl, input)) = StateTtl::of(plan) {
            let mut fragment = self.plan_node(input)?;
            fragment.state_ttl_ms = Some(u64::try_from(ttl.0.as_millis()).unwrap_or(u64::MAX));
            return Ok(fragment);
        }
        if let Some((watermark, input)) = Watermark::of(plan) {
            self.watermark = Some(watermark.clone());
            return self.plan_node(input);
        }
        match plan {
            LogicalPlan::TableScan(scan) => self.plan_scan(scan),
            LogicalPlan::SubqueryAlias(alias) => {
                let mut fragment = self.plan_node(&alias.input)?;
                fragment.schema = alias.schema.as_ref().clone();
                Ok(fragment)
            }
            LogicalPlan::Projection(projection) => {
                let mut fragment = self.plan_node(&projection.input)?;
                self.project(&mut fragment, &projection.expr, projection.schema.as_ref().clone())?;
                Ok(fragment)
            }
            LogicalPlan::Filter(filter) => {
                let mut fragment = self.plan_node(&filter.input)?;
                self.filter(&mut fragment, &filter.predicate)?;
                Ok(fragment)
            }
            LogicalPlan::Union(union) => {
                let mut inputs = Vec::new();
                for input in &union.inputs {
                    let mut fragment = self.plan_node(input)?;
                    self.trim(&mut fragment)?;
                    inputs.push(fragment);
                }
                Ok(Fragment::union(inputs, union.schema.as_ref().clone()))
            }
            LogicalPlan::Unnest(unnest) => self.plan_unnest(unnest),
            LogicalPlan::Aggregate(aggregate) => self.plan_aggregate(aggregate),
            LogicalPlan::Distinct(datafusion::logical_expr::Distinct::All(input)) => self.plan_distinct(input),
            other => Err(refuse(other)),
        }
    }

    /// Computes columns; calls of lookup functions among them go before.
    fn project(
        &mut self,
        fragment: &mut Fragment,
        expressions: &[Expr],
        schema: datafusion::common::DFSchema,
    ) -> Result<()> {
        let extracted = self.extract_lookups(fragment, expressions)?;
        let stored = extracted
            .expressions
            .iter()
            .map(|expression| StoredExpression::new(expression, &extracted.schema))
            .collect::<Result<Vec<_>>>()?;
        fragment.follow_projection(&extracted.expressions, &extracted.schema);
        let changelog = fragment.changelog;
        self.push(fragment, OperatorKind::Project(ProjectSpec { expressions: stored }), None, changelog);
        if let Some(path) = &mut fragment.aggregate {
            path.projections.extend(&fragment.nodes);
        }
        fragment.schema = schema;
        fragment.extra = 0;
        Ok(())
    }

    fn filter(&mut self, fragment: &mut Fragment, predicate: &Expr) -> Result<()> {
        let extracted = self.extract_lookups(fragment, std::slice::from_ref(predicate))?;
        for predicate in &extracted.expressions {
            let predicate = StoredExpression::new(predicate, &extracted.schema)?;
            let changelog = fragment.changelog;
            self.push(fragment, OperatorKind::Filter(FilterSpec { predicate }), None, changelog);
        }
        fragment.follow_filter();
        Ok(())
    }

    /// Drops columns behind those of the schema.
    fn trim(&mut self, fragment: &mut Fragment) -> Result<()> {
        if fragment.extra > 0 {
            let columns: Vec<Expr> = fragment.schema.columns().into_iter().map(Expr::Column).collect();
            let stored = columns
                .iter()
                .map(|column| StoredExpression::new(column, &fragment.schema))
                .collect::<Result<Vec<_>>>()?;
            let changelog = fragment.changelog;
            self.push(fragment, OperatorKind::Project(ProjectSpec { expressions: stored }), None, changelog);
            if let Some(path) = &mut fragment.aggregate {
                path.projections.extend(&fragment.nodes);
            }
            fragment.extra = 0;
        }
        Ok(())
    }
}

fn refuse(plan: &LogicalPlan) -> Error {
    let name = operator_name(plan);
    let (reason, way_out) = match plan {
        LogicalPlan::Window(_) => (
            "OVER windows keep state of a kind that jobs cannot yet",
            "Aggregate with GROUP BY, or bound the source by /*+ OPTIONS('scan.bounded.mode'='latest-offset') */ to run it once.",
        ),
        LogicalPlan::Distinct(_) => {
            ("DISTINCT ON needs an order of rows", "Use GROUP BY with MIN, MAX, FIRST_VALUE or LAST_VALUE.")
        }
        LogicalPlan::Join(_) | LogicalPlan::Subquery(_) => {
            ("joins keep state of a kind that jobs cannot yet", "Use a lookup function over a keyed table.")
        }
        LogicalPlan::Sort(_) | LogicalPlan::Limit(_) => {
            ("an endless query has no last row", "Remove it, or bound the source.")
        }
        _ => (
            "it is not supported in jobs yet",
            "Use filter, projection, lookup functions, UNNEST, UNION ALL, GROUP BY and DISTINCT.",
        ),
    };
    Error::unsupported(format!("operator {name} cannot run in a job: {reason}")).hint(way_out)
}
