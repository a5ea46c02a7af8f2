//! Table scans: a source node for each, or one for several scans of one table; what updates and deletes of a source become.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::common::DFSchema;
use datafusion::logical_expr::{Expr, TableScan};

use super::DataflowPlanner;
use super::fragment::Fragment;
use super::shared_sources::needed_columns;
use crate::changelog::Changelog;
use crate::connectors::TableDeclaration;
use crate::connectors::table_provider::ConnectorTable;
use crate::engine::dataflow::{Dataflow, NodeKind, OperatorKind, SourceNode, WatermarkSpec};
use crate::engine::expression::StoredExpression;
use crate::engine::operators::changelog_normalize::spec::ChangelogNormalizeSpec;
use crate::engine::operators::filter::FilterSpec;
use crate::engine::operators::project::ProjectSpec;
use crate::error::{Error, Result};

impl DataflowPlanner<'_> {
    pub(super) fn plan_scan(&mut self, scan: &TableScan) -> Result<Fragment> {
        let provider = ConnectorTable::of(&scan.source)
            .ok_or_else(|| Error::unsupported(format!("a job cannot read relation \"{}\"", scan.table_name)))?;
        let table = ConnectorTable::from_provider(provider.as_ref())
            .ok_or_else(|| Error::internal("expected a connector table"))?;
        let declaration = table.declaration();
        let source = table.table().source.as_ref().ok_or_else(|| {
            Error::unsupported(format!(
                "a job cannot read table \"{}\" as a stream: connector \"{}\" only has bounded scans",
                declaration.name,
                declaration.connector().unwrap_or_default()
            ))
            .hint("Read it through a lookup function, or run a bounded INSERT.")
        })?;
        if scan.fetch.is_some() {
            return Err(Error::unsupported("operator Limit cannot run in a job: an endless query has no last row")
                .hint("Remove LIMIT, or bound the source by /*+ OPTIONS('scan.bounded.mode'='latest-offset') */."));
        }
        let needed = needed_columns(scan, table)?;
        let changelog = source.changelog();
        let full = DFSchema::try_from_qualified_schema(scan.table_name.clone(), &scan.source.schema())?;
        let node = self.source_node(declaration, &full, &needed, changelog)?;
        let widened = projected(&full, &needed)?;
        let mut fragment = Fragment::of(node, scan.projected_schema.as_ref().clone(), changelog);
        fragment.extra = needed.len() - fragment.schema.fields().len();
        let key: Option<Vec<usize>> = declaration
            .primary_key
            .iter()
            .map(|name| {
                let column = declaration.column_index(name)?;
                needed.iter().position(|known| *known == column)
            })
            .collect();
        if changelog != Changelog::Append {
            fragment.key = key.filter(|key| !key.is_empty());
        }
        if changelog == Changelog::Upsert {
            let key = fragment.key.clone().ok_or_else(|| {
                Error::invalid(format!("table \"{}\" gives changes by key and declares none", declaration.name))
                    .hint("Declare PRIMARY KEY (…) NOT ENFORCED.")
            })?;
            let spec = ChangelogNormalizeSpec { key: key.clone(), state_ttl_ms: self.state_ttl_ms() };
            let kind = OperatorKind::ChangelogNormalize(spec);
            self.push(&mut fragment, kind, Some(key.clone()), Changelog::Retract);
            fragment.distribution = Some(key);
        }
        for filter in &scan.filters {
            let predicate = StoredExpression::new(filter, &widened)?;
            let changelog = fragment.changelog;
            self.push(&mut fragment, OperatorKind::Filter(FilterSpec { predicate }), None, changelog);
        }
        // Key columns that the query does not take are known no longer.
        let width = fragment.schema.fields().len();
        let within = |columns: &Vec<usize>| columns.iter().all(|column| *column < width);
        fragment.key = fragment.key.filter(within);
        fragment.distribution = fragment.distribution.filter(within);
        Ok(fragment)
    }

    /// State that is not touched for so long is forgotten.
    pub(super) fn state_ttl_ms(&self) -> Option<u64> {
        self.settings.state_ttl.map(|ttl| u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX))
    }

    /// The node that gives the columns `needed` of a table.
    fn source_node(
        &mut self,
        table: &TableDeclaration,
        full: &DFSchema,
        needed: &[usize],
        changelog: Changelog,
    ) -> Result<usize> {
        let declared = self.watermark.take();
        let watermark = |projection: &[usize]| -> Result<Option<WatermarkSpec>> {
            let Some(watermark) = &declared else { return Ok(None) };
            let expression = StoredExpression::new(&watermark.expression, &projected(full, projection)?)?;
            Ok(Some(WatermarkSpec { column: watermark.column.clone(), expression }))
        };
        let Some(place) = self.shared.0.iter().position(|shared| shared.table == *table) else {
            let watermark = watermark(needed)?;
            let source = SourceNode { table: table.clone(), projection: needed.to_vec(), watermark };
            return Ok(self.add(NodeKind::Source(source), Vec::new(), None, changelog));
        };
        let projection = self.shared.0[place].projection.clone();
        let source = match self.shared.0[place].node {
            Some(node) => node,
            None => {
                let watermark = watermark(&projection)?;
                let source = SourceNode { table: table.clone(), projection: projection.clone(), watermark };
                let node = self.add(NodeKind::Source(source), Vec::new(), None, changelog);
                self.shared.0[place].node = Some(node);
                node
            }
        };
        let given = DFSchema::try_from(table.schema()?.project(&projection)?)?;
        let expressions = needed
            .iter()
            .map(|column| {
                let place = projection
                    .iter()
                    .position(|known| known == column)
                    .ok_or_else(|| Error::internal("a shared source lacks a column"))?;
                StoredExpression::new(&Expr::Column(given.columns()[place].clone()), &given)
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(self.add(
            NodeKind::Operator(OperatorKind::Project(ProjectSpec { expressions })),
            vec![source],
            None,
            changelog,
        ))
    }
}

/// Some columns of a relation.
fn projected(full: &DFSchema, columns: &[usize]) -> Result<DFSchema> {
    let fields = columns
        .iter()
        .map(|index| {
            let (qualifier, field) = full.qualified_field(*index);
            (qualifier.cloned(), Arc::clone(field))
        })
        .collect();
    Ok(DFSchema::new_with_metadata(fields, HashMap::new())?)
}

/// One of several INSERTs of a job must not look up what another one writes: reading behind the job's own writes would wait for ever
/// or see old rows.
pub(super) fn refuse_own_lookups(dataflow: &Dataflow) -> Result<()> {
    for function in dataflow.lookups() {
        if let Some((_, sink)) = dataflow.sinks().find(|(_, sink)| sink.table == function.table) {
            return Err(Error::unsupported(format!(
                "function \"{}\" looks up table \"{}\", which another INSERT of the same job writes",
                function.name, sink.table.name
            ))
            .hint("Submit them as jobs of their own: then the one reads behind the other's writes."));
        }
    }
    Ok(())
}
