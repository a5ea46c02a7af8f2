//! What a job runs, as it is stored: resolved tables, operators with stable ids, expressions, columns, settings.
//! A restart reads this and nothing else; secrets are in it by reference only.

mod operator;
mod settings;
mod stored_schema;
#[cfg(test)]
mod tests;

use datafusion::arrow::datatypes::SchemaRef;
use serde::{Deserialize, Serialize};

use super::expression::StoredExpression;
use super::lookup::StoredLookupFunction;
use crate::changelog::Changelog;
use crate::connectors::TableDeclaration;
use crate::error::{Error, Result};

pub use operator::OperatorKind;
pub use settings::{JOB_SETTINGS, JobSetting, JobSettings, RowErrors, UpsertMaterialize};

/// The version of the stored form that this build writes and reads.
pub const FORMAT_VERSION: u32 = 3;

/// A stored dataflow: sources, operators and sinks, each with the nodes whose rows it takes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Dataflow {
    /// [`FORMAT_VERSION`] of the build that wrote it.
    pub version: u32,
    /// Settings.
    pub settings: JobSettings,
    /// A node comes after all that it takes rows from.
    pub nodes: Vec<Node>,
}

/// A node of a dataflow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// Stable id: checkpoints keep positions and state under it, metrics too.
    pub id: String,
    /// What it does.
    pub kind: NodeKind,
    /// What it takes: none for a source, one for most operators and for a sink, two for a join. An operator is told by the place
    /// in this list which of them a batch belongs to.
    pub inputs: Vec<Input>,
    /// The columns of the rows that it gives; those that a sink writes.
    #[serde(with = "stored_schema")]
    pub schema: SchemaRef,
    /// The columns of its side outputs (rows that came too late, say), in the operator's order.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "stored_schema::list")]
    pub side_outputs: Vec<SchemaRef>,
    /// What changes come out of it (into it, for a sink).
    pub changelog: Changelog,
}

/// One of a node's inputs. Its columns are those of the outputs that it takes rows from ([`Dataflow::input_schema`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// Outputs of earlier nodes, whose rows are taken as they come; several, which is a UNION ALL, have columns of the same types.
    pub from: Vec<Output>,
    /// Columns whose equal values come to one task, in order; none of them: all rows to one task.
    /// Absent: rows stay in the task in which they are.
    pub keyed_by: Option<Vec<usize>>,
}

/// An output of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Output {
    /// Index of the node.
    pub node: usize,
    /// Place among its side outputs; absent: its main output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub side: Option<usize>,
}

impl Output {
    /// The main output of a node.
    pub fn of(node: usize) -> Self {
        Self { node, side: None }
    }
}

impl Input {
    /// The main outputs of nodes.
    pub fn of(nodes: &[usize], keyed_by: Option<Vec<usize>>) -> Self {
        Self { from: nodes.iter().map(|node| Output::of(*node)).collect(), keyed_by }
    }
}

impl Node {
    /// Indexes of the nodes that it takes rows from.
    pub fn upstream(&self) -> impl Iterator<Item = usize> {
        self.inputs.iter().flat_map(|input| input.from.iter().map(|output| output.node))
    }
}

/// What a node does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeKind {
    /// Reads a table.
    Source(SourceNode),
    /// Works on rows.
    Operator(OperatorKind),
    /// Writes a table.
    Sink(SinkNode),
}

/// A source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SourceNode {
    /// The table, hints applied.
    pub table: TableDeclaration,
    /// Columns read.
    pub projection: Vec<usize>,
    /// How the event time of its rows advances, if the table declares that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watermark: Option<WatermarkSpec>,
}

/// `WATERMARK FOR column AS expression`, of each split: the greatest value so far.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WatermarkSpec {
    /// Name of the column that is the event time.
    pub column: String,
    /// Over the columns that the source reads; a timestamp.
    pub expression: StoredExpression,
}

/// A sink.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SinkNode {
    /// The table, hints applied.
    pub table: TableDeclaration,
    /// The columns of its key, if it is written by key.
    pub key: Option<Vec<usize>>,
    /// Whether an epoch's writes wait for its checkpoint, because a replay need not repeat their keys.
    pub deferred: bool,
    /// Columns that the statement lists, in the order of the table; absent: it lists none and means all of them. The others are
    /// written as NULL by an upsert, and are not the statement's to change by an update.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub columns: Option<Vec<usize>>,
}

impl Dataflow {
    /// Reads a stored dataflow.
    ///
    /// # Errors
    /// It is damaged, or of another version.
    pub fn from_json(value: &serde_json::Value) -> Result<Self> {
        let version = value.get("version").and_then(serde_json::Value::as_u64).unwrap_or_default();
        let of_another = |which: &str| {
            Error::unsupported(format!(
                "the job was stored by {which} version of streamgate (dataflow format {version})"
            ))
        };
        if version > u64::from(FORMAT_VERSION) {
            return Err(of_another("a later").hint("Run it with the version that stored it, or a later one."));
        }
        if (1..u64::from(FORMAT_VERSION)).contains(&version) {
            return Err(
                of_another("an earlier").hint("DESCRIBE JOB shows its statement: DROP JOB, then submit it again.")
            );
        }
        serde_json::from_value(value.clone())
            .map_err(|error| Error::corrupt(format!("the stored dataflow cannot be read: {error}")))
    }

    /// The stored form.
    ///
    /// # Errors
    /// Never for a planned dataflow; the signature is serde's.
    pub fn to_json(&self) -> Result<serde_json::Value> {
        serde_json::to_value(self).map_err(|error| Error::internal(format!("dataflow has no stored form: {error}")))
    }

    /// Whether one operator that keeps state takes what another one gives.
    pub fn has_state_behind_state(&self) -> bool {
        // Inputs come before those that take them.
        let mut has_state: Vec<bool> = Vec::with_capacity(self.nodes.len());
        self.nodes.iter().any(|node| {
            let before = node.upstream().any(|input| has_state.get(input).copied().unwrap_or_default());
            let own = matches!(&node.kind, NodeKind::Operator(kind) if kind.spec().is_stateful());
            has_state.push(before || own);
            before && own
        })
    }

    /// The columns of an output.
    ///
    /// # Errors
    /// There is no such output.
    pub fn output_schema(&self, output: Output) -> Result<&SchemaRef> {
        let node = self.nodes.get(output.node);
        let schema = node.and_then(|node| match output.side {
            None => Some(&node.schema),
            Some(side) => node.side_outputs.get(side),
        });
        schema.ok_or_else(|| Error::corrupt(format!("the stored dataflow lacks output {output:?}")))
    }

    /// The columns of an input: those of the first output that it takes rows from.
    ///
    /// # Errors
    /// It takes rows from nowhere.
    pub fn input_schema(&self, input: &Input) -> Result<&SchemaRef> {
        let first = input.from.first();
        self.output_schema(*first.ok_or_else(|| Error::corrupt("the stored dataflow has an input without rows"))?)
    }

    /// The sources with their ids.
    pub fn sources(&self) -> impl Iterator<Item = (&Node, &SourceNode)> {
        self.nodes.iter().filter_map(|node| match &node.kind {
            NodeKind::Source(source) => Some((node, source)),
            _ => None,
        })
    }

    /// The sinks with their ids.
    pub fn sinks(&self) -> impl Iterator<Item = (&Node, &SinkNode)> {
        self.nodes.iter().filter_map(|node| match &node.kind {
            NodeKind::Sink(sink) => Some((node, sink)),
            _ => None,
        })
    }

    /// All lookup functions that the dataflow calls.
    pub fn lookups(&self) -> impl Iterator<Item = &StoredLookupFunction> {
        self.nodes.iter().flat_map(|node| match &node.kind {
            NodeKind::Operator(OperatorKind::Lookup(spec)) => spec.calls.iter().map(|call| &call.function).collect(),
            _ => Vec::new(),
        })
    }
}
