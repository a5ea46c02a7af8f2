//! The end of a job's query: what the sink needs of the changes, and what goes before it so that it gets that.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::DFSchema;
use datafusion::logical_expr::Expr;

use super::DataflowPlanner;
use super::fragment::Fragment;
use crate::changelog::Changelog;
use crate::connectors::table_provider::ConnectorTable;
use crate::connectors::{Sink, SinkKind};
use crate::engine::dataflow::{NodeKind, OperatorKind, SinkNode, UpsertMaterialize};
use crate::engine::expression::StoredExpression;
use crate::engine::operators::project::ProjectSpec;
use crate::engine::operators::sink_materializer::spec::SinkMaterializerSpec;
use crate::error::{Error, ErrorKind, Result};

impl DataflowPlanner<'_> {
    pub(super) async fn plan_sink(
        &mut self,
        mut fragment: Fragment,
        table: &ConnectorTable,
        sink: &Arc<dyn Sink>,
        columns: Option<Vec<usize>>,
    ) -> Result<()> {
        self.trim(&mut fragment)?;
        let declaration = table.declaration();
        let (name, width) = (&declaration.name, declaration.columns.len());
        if fragment.schema.fields().len() != width {
            return Err(Error::internal(format!(
                "the query gives {} columns, the sink takes {width}",
                fragment.schema.fields().len()
            )));
        }
        let mut keyed_by = None;
        let mut deferred = false;
        let mut key = None;
        match kind_of(table, sink).await? {
            SinkKind::Append if fragment.changelog != Changelog::Append => {
                return Err(Error::unsupported(format!(
                    "table \"{name}\" takes only inserts, and the query gives updates and deletes ({})",
                    fragment.changelog.name()
                ))
                .detail(format!("They come from {}.", self.origin(&fragment)))
                .hint("Write to an upsert-kafka or DynamoDB table with a PRIMARY KEY, or use a CDC format such as debezium-json."));
            }
            SinkKind::Append => {}
            SinkKind::Changelog => {}
            SinkKind::Upsert { key: columns } => {
                self.upsert(&mut fragment, &columns, sink)?;
                deferred = fragment.transient && sink.transactional().is_none();
                let is_spread = fragment.distribution.as_ref() == Some(&columns);
                if !is_spread || deferred {
                    keyed_by = Some(columns.clone());
                }
                key = Some(columns);
            }
        }
        let changelog = fragment.changelog;
        let node = SinkNode { table: declaration.as_ref().clone(), key, deferred, columns };
        let schema = written_columns(&node, sink.wants_version())?;
        let index = self.add(NodeKind::Sink(node), fragment.nodes, keyed_by, changelog);
        self.nodes[index].schema = schema;
        Ok(())
    }

    /// Makes the changes of a fragment changes by the sink's key.
    fn upsert(&mut self, fragment: &mut Fragment, key: &[usize], sink: &Arc<dyn Sink>) -> Result<()> {
        let wants_version = sink.wants_version();
        let ttl = self.state_ttl_ms();
        let is_sinks_key = fragment
            .key
            .as_ref()
            .is_some_and(|known| known.len() == key.len() && known.iter().all(|column| key.contains(column)));
        let path = fragment.aggregate.clone().filter(|_| is_sinks_key);
        let materialize = self.settings.upsert_materialize;
        let is_forced = materialize == UpsertMaterialize::Force;
        if let Some(path) = &path
            && !is_forced
            && (!wants_version || !path.has_lookups)
        {
            if let Some(spec) = self.aggregate_mut(path.node) {
                spec.emits = Changelog::Upsert;
                spec.version = wants_version;
                spec.emit_unchanged = sink.transactional().is_none();
            }
            for node in std::iter::once(path.node).chain(path.projections.iter().copied()) {
                self.nodes[node].changelog = Changelog::Upsert;
            }
            fragment.changelog = Changelog::Upsert;
            // An upserting aggregate deletes every touched group that is gone: a replay repeats all keys of an appending input.
            if wants_version {
                self.pass_version(path.node, &path.projections)?;
            }
            return Ok(());
        }
        let is_append = fragment.changelog == Changelog::Append;
        let needs_rows = !is_append && (!is_sinks_key || is_forced) && materialize != UpsertMaterialize::None;
        if needs_rows || wants_version {
            let kind = OperatorKind::SinkMaterializer(SinkMaterializerSpec {
                key: key.to_vec(),
                input: fragment.changelog,
                version: wants_version,
                state_ttl_ms: ttl,
            });
            let is_spread = fragment.distribution.as_deref() == Some(key);
            let keyed_by = (!is_spread).then(|| key.to_vec());
            self.push(fragment, kind, keyed_by, Changelog::Upsert);
            fragment.distribution = Some(key.to_vec());
            // Values that are keys of the sink come and go with every result in between.
            fragment.transient |= fragment.batch_dependent;
        }
        Ok(())
    }

    /// Takes an aggregate's version column, the last one, through the projections above it.
    fn pass_version(&mut self, aggregate: usize, projections: &[usize]) -> Result<()> {
        let mut width = match self.aggregate_mut(aggregate) {
            Some(spec) => spec.keys.len() + spec.aggregates.len(),
            None => return Err(Error::internal("expected an aggregate")),
        };
        for node in projections {
            let fields: Vec<Field> =
                (0..=width).map(|place| Field::new(format!("#{place}"), DataType::Int64, true)).collect();
            let given = DFSchema::try_from(Schema::new(fields))?;
            let version = StoredExpression::new(&Expr::Column(given.columns()[width].clone()), &given)?;
            if let NodeKind::Operator(OperatorKind::Project(ProjectSpec { expressions })) = &mut self.nodes[*node].kind
            {
                width = expressions.len();
                expressions.push(version);
            }
        }
        Ok(())
    }

    /// What in a fragment gives updates, for messages.
    fn origin(&self, fragment: &Fragment) -> String {
        let mut nodes = fragment.nodes.clone();
        while let Some(node) = nodes.pop() {
            match &self.nodes[node].kind {
                NodeKind::Operator(kind) if kind.spec().is_stateful() => {
                    return format!("operator {}", kind.spec().title());
                }
                NodeKind::Source(source) => return format!("table \"{}\"", source.table.name),
                _ => nodes.extend(self.nodes[node].upstream()),
            }
        }
        "the query".to_owned()
    }
}

/// The columns that a sink's writer takes: those of the table, and the version behind them.
fn written_columns(sink: &SinkNode, wants_version: bool) -> Result<SchemaRef> {
    let declared = sink.table.schema()?;
    let mut fields: Vec<Field> =
        declared.fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect();
    if wants_version {
        fields.push(Field::new("_version", DataType::Int64, true));
    }
    Ok(Arc::new(Schema::new(fields)))
}

/// How rows land in a sink. While the outside system does not answer, the declared key stands for its: the job is submitted
/// all the same and waits.
async fn kind_of(table: &ConnectorTable, sink: &Arc<dyn Sink>) -> Result<SinkKind> {
    let declaration = table.declaration();
    match sink.kind().await {
        Err(error) if error.is_retryable() || error.kind() == ErrorKind::NotFound => {
            let key: Vec<usize> =
                declaration.primary_key.iter().filter_map(|name| declaration.column_index(name)).collect();
            Ok(if key.is_empty() { SinkKind::Append } else { SinkKind::Upsert { key } })
        }
        kind => kind,
    }
}
