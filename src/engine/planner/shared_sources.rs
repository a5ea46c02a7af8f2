//! Which tables several scans of a job read, and which columns all of them need: such a table is read once.

use datafusion::common::DFSchema;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::logical_expr::{LogicalPlan, TableScan};

use crate::changelog::Changelog;
use crate::connectors::TableDeclaration;
use crate::connectors::table_provider::ConnectorTable;
use crate::error::Result;

/// Tables that several scans of a job read: each is read once, with the columns that all of them need.
pub(super) struct SharedSources(pub Vec<SharedSource>);

/// Such a table.
pub(super) struct SharedSource {
    pub table: TableDeclaration,
    /// Columns that its scans need, in the order in which they came.
    pub projection: Vec<usize>,
    /// The node, once a scan has made it.
    pub node: Option<usize>,
}

impl SharedSources {
    /// Finds them in the queries of a job.
    pub fn of<'a>(queries: impl Iterator<Item = &'a LogicalPlan>) -> Result<Self> {
        let mut scans: Vec<(SharedSource, usize)> = Vec::new();
        for query in queries {
            query.apply_with_subqueries(|node| {
                if let LogicalPlan::TableScan(scan) = node
                    && let Some(provider) = ConnectorTable::of(&scan.source)
                    && let Some(table) = ConnectorTable::from_provider(provider.as_ref())
                {
                    let needed = needed_columns(scan, table)?;
                    let declaration = table.declaration().as_ref();
                    match scans.iter_mut().find(|(shared, _)| shared.table == *declaration) {
                        Some((shared, count)) => {
                            *count += 1;
                            for column in needed {
                                if !shared.projection.contains(&column) {
                                    shared.projection.push(column);
                                }
                            }
                        }
                        None => {
                            let table = declaration.clone();
                            scans.push((SharedSource { table, projection: needed, node: None }, 1));
                        }
                    }
                }
                Ok(TreeNodeRecursion::Continue)
            })?;
        }
        Ok(Self(scans.into_iter().filter(|(_, count)| *count > 1).map(|(shared, _)| shared).collect()))
    }
}

/// Columns that a scan gives, then those that only its filters or its key need.
pub(super) fn needed_columns(scan: &TableScan, table: &ConnectorTable) -> datafusion::error::Result<Vec<usize>> {
    let declaration = table.declaration();
    let mut needed = scan.projection.clone().unwrap_or_else(|| (0..declaration.columns.len()).collect());
    let full = DFSchema::try_from_qualified_schema(scan.table_name.clone(), &scan.source.schema())?;
    let mut add = |column: usize| {
        if !needed.contains(&column) {
            needed.push(column);
        }
    };
    for filter in &scan.filters {
        for column in filter.column_refs() {
            add(full.index_of_column(column)?);
        }
    }
    let is_keyed = table.table().source.as_ref().is_some_and(|source| source.changelog() != Changelog::Append);
    if is_keyed {
        for name in &declaration.primary_key {
            if let Some(column) = declaration.column_index(name) {
                add(column);
            }
        }
    }
    Ok(needed)
}
