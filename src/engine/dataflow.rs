//! What a job runs, as it is stored: resolved tables, operators with stable ids, expressions, settings.
//! A restart reads this and nothing else; secrets are in it by reference only.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::aggregate::GroupAggregateSpec;
use super::expression::StoredExpression;
use super::key_group::KEY_GROUPS;
use super::lookup_function::StoredLookupFunction;
use super::state::budget::DEFAULT_BYTES;
use crate::changelog::Changelog;
use crate::connectors::{LengthEnforcer, TableDeclaration};
use crate::error::{Error, Result};
use crate::options::parse_duration;
use crate::options::parse_memory_size;

/// The version of the stored form that this build writes; a higher one is refused.
pub const FORMAT_VERSION: u32 = 2;

/// Settings that a job keeps from the session that submitted it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobSettings {
    /// IANA name; zone-less timestamps that become instants and "the current month" are in it.
    pub time_zone: String,
    /// Options set by SET that concern jobs, by their SQL names (`execution.checkpointing.interval` …).
    pub options: BTreeMap<String, String>,
}

/// What happens to a row whose expressions cannot be evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowErrors {
    /// The job fails (`off`, the default).
    Fail,
    /// The row is left out, counted and logged (`log`).
    Skip,
}

impl JobSettings {
    /// `execution.checkpointing.interval`, 1 s by default.
    ///
    /// # Errors
    /// It is no duration.
    pub fn checkpoint_interval(&self) -> Result<Duration> {
        match self.options.get("execution.checkpointing.interval") {
            Some(text) => Ok(parse_duration(text)?.max(Duration::from_millis(10))),
            None => Ok(Duration::from_secs(1)),
        }
    }

    /// Reads all options that concern the engine, so that a wrong one is an error at submission.
    ///
    /// # Errors
    /// The first one that cannot be read.
    pub fn check(&self) -> Result<()> {
        self.checkpoint_interval()?;
        self.row_errors()?;
        self.length_enforcer()?;
        self.read_behind()?;
        self.zone()?;
        self.parallelism()?;
        self.mini_batch_latency()?;
        self.state_ttl()?;
        self.memory_budget()?;
        self.checkpoints_retained().map(drop)
    }

    /// `state.memory.budget`: bytes of state in memory, over all tasks, beyond which cold state goes to local disk; 1 GiB by default.
    ///
    /// # Errors
    /// It is no size.
    pub fn memory_budget(&self) -> Result<u64> {
        self.options.get("state.memory.budget").map_or(Ok(DEFAULT_BYTES), |text| parse_memory_size(text))
    }

    /// `state.checkpoints.num-retained`: checkpoints that are kept; 3 by default.
    ///
    /// # Errors
    /// It is no number from 1 on.
    pub fn checkpoints_retained(&self) -> Result<usize> {
        let Some(text) = self.options.get("state.checkpoints.num-retained") else { return Ok(3) };
        text.trim().parse().ok().filter(|count| *count >= 1).ok_or_else(|| {
            Error::invalid(format!("state.checkpoints.num-retained is a number from 1 on, not '{text}'"))
        })
    }

    /// `state.checkpoints.dir`: where checkpoints go; absent: the data directory.
    pub fn checkpoints_dir(&self) -> Option<&str> {
        self.options.get("state.checkpoints.dir").map(|dir| dir.trim()).filter(|dir| !dir.is_empty())
    }

    /// `table.exec.sink.type-length-enforcer`.
    ///
    /// # Errors
    /// Another value.
    pub fn length_enforcer(&self) -> Result<LengthEnforcer> {
        LengthEnforcer::of(self.options.get("table.exec.sink.type-length-enforcer").map(String::as_str))
    }

    /// `error-handling.mode`: `off` (rows that cannot be evaluated fail the job) or `log` (they are left out).
    ///
    /// # Errors
    /// Another mode.
    pub fn row_errors(&self) -> Result<RowErrors> {
        match self.options.get("error-handling.mode").map(String::as_str) {
            None | Some("off") => Ok(RowErrors::Fail),
            Some("log") => Ok(RowErrors::Skip),
            Some(other) => Err(Error::unsupported(format!("error-handling.mode '{other}' is not supported yet"))
                .hint("Use 'off' (fail) or 'log' (skip and count).")),
        }
    }

    /// Whether look-ups wait for the jobs that fill their tables (`lookup.read-behind`, on by default).
    ///
    /// # Errors
    /// Neither `on` nor `off`.
    pub fn read_behind(&self) -> Result<bool> {
        match self.options.get("lookup.read-behind").map(String::as_str) {
            None | Some("on" | "true") => Ok(true),
            Some("off" | "false") => Ok(false),
            Some(other) => Err(Error::invalid(format!("lookup.read-behind is 'on' or 'off', not '{other}'"))),
        }
    }

    /// `table.exec.resource.default-parallelism` if it is set, else `parallelism.default` (1).
    ///
    /// # Errors
    /// It is no number from 1 to the number of key groups.
    pub fn parallelism(&self) -> Result<usize> {
        let number = |name: &str| -> Result<Option<i64>> {
            let Some(text) = self.options.get(name) else { return Ok(None) };
            match text.trim().parse::<i64>() {
                Ok(-1) => Ok(None),
                Ok(number) if (1..=KEY_GROUPS as i64).contains(&number) => Ok(Some(number)),
                _ => Err(Error::invalid(format!("{name} is a number from 1 to {KEY_GROUPS}, not '{text}'"))),
            }
        };
        let chosen = number("table.exec.resource.default-parallelism")?.or(number("parallelism.default")?);
        Ok(usize::try_from(chosen.unwrap_or(1)).unwrap_or(1))
    }

    /// How long results may be held back while input keeps coming: `table.exec.mini-batch.allow-latency` if
    /// `table.exec.mini-batch.enabled`. Absent: until the next barrier.
    ///
    /// # Errors
    /// It is no duration.
    pub fn mini_batch_latency(&self) -> Result<Option<Duration>> {
        let enabled = self.options.get("table.exec.mini-batch.enabled").is_some_and(|text| text == "true");
        match self.options.get("table.exec.mini-batch.allow-latency") {
            Some(text) if enabled => {
                let latency = parse_duration(text)?;
                Ok((!latency.is_zero()).then(|| latency.max(Duration::from_millis(1))))
            }
            _ => Ok(None),
        }
    }

    /// `table.exec.state.ttl`; absent: state is kept for ever.
    ///
    /// # Errors
    /// It is no duration.
    pub fn state_ttl(&self) -> Result<Option<Duration>> {
        match self.options.get("table.exec.state.ttl") {
            Some(text) => Ok(Some(parse_duration(text)?).filter(|ttl| !ttl.is_zero())),
            None => Ok(None),
        }
    }

    /// The time zone.
    ///
    /// # Errors
    /// Its name is unknown.
    pub fn zone(&self) -> Result<chrono_tz::Tz> {
        self.time_zone.parse().map_err(|_| Error::invalid(format!("time zone \"{}\" not recognized", self.time_zone)))
    }
}

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
    /// Indexes of the nodes whose rows it takes, as they come; several have the same columns.
    pub inputs: Vec<usize>,
    /// Columns of the input whose equal values come to one task, in order; none of them: all rows to one task.
    /// Absent: rows stay in the task in which they are.
    pub keyed_by: Option<Vec<usize>>,
    /// What changes come out of it (into it, for a sink).
    pub changelog: Changelog,
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
}

/// What an operator does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperatorKind {
    /// Keeps the rows for which the predicate is true.
    Filter {
        /// Over the input's columns.
        predicate: StoredExpression,
    },
    /// Computes the output's columns.
    Project {
        /// Over the input's columns.
        expressions: Vec<StoredExpression>,
    },
    /// Appends a column for each call of a look-up function; equal calls were folded into one.
    LookUp {
        /// The calls.
        calls: Vec<LookUpCall>,
    },
    /// GROUP BY.
    GroupAggregate(GroupAggregateSpec),
    /// Makes full changes of rows that come by key.
    ChangelogNormalize {
        /// Columns of the key.
        key: Vec<usize>,
        /// A row that was not touched for so long is forgotten.
        #[serde(default)]
        state_ttl_ms: Option<u64>,
    },
    /// Makes changes by a sink's key of rows that have another one: of all live rows of a key the last one stands.
    Materialize {
        /// Columns of the sink's key.
        key: Vec<usize>,
        /// What comes in.
        input: Changelog,
        /// Appends a column that counts the changes folded into the key.
        #[serde(default)]
        version: bool,
        /// A key that was not touched for so long is forgotten.
        #[serde(default)]
        state_ttl_ms: Option<u64>,
    },
}

impl OperatorKind {
    /// As ids begin.
    pub fn name(&self) -> &'static str {
        match self {
            OperatorKind::Filter { .. } => "filter",
            OperatorKind::Project { .. } => "project",
            OperatorKind::LookUp { .. } => "look-up",
            OperatorKind::GroupAggregate(_) => "aggregate",
            OperatorKind::ChangelogNormalize { .. } => "normalize",
            OperatorKind::Materialize { .. } => "materialize",
        }
    }

    /// As EXPLAIN and messages name it.
    pub fn title(&self) -> &'static str {
        match self {
            OperatorKind::Filter { .. } => "Filter",
            OperatorKind::Project { .. } => "Projection",
            OperatorKind::LookUp { .. } => "LookUp",
            OperatorKind::GroupAggregate(_) => "GroupAggregate",
            OperatorKind::ChangelogNormalize { .. } => "ChangelogNormalize",
            OperatorKind::Materialize { .. } => "Materialize",
        }
    }

    /// Whether it keeps state.
    pub fn is_stateful(&self) -> bool {
        matches!(
            self,
            OperatorKind::GroupAggregate(_)
                | OperatorKind::ChangelogNormalize { .. }
                | OperatorKind::Materialize { .. }
        )
    }
}

/// One call of a look-up function.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LookUpCall {
    /// The function.
    pub function: StoredLookupFunction,
    /// Over the input's columns.
    pub arguments: Vec<StoredExpression>,
}

/// The form of version 1: branches that end in one sink.
#[derive(Deserialize)]
struct DataflowV1 {
    settings: JobSettings,
    branches: Vec<BranchV1>,
    sink: SinkV1,
}

#[derive(Deserialize)]
struct BranchV1 {
    source: SourceV1,
    operators: Vec<OperatorV1>,
}

#[derive(Deserialize)]
struct SourceV1 {
    id: String,
    table: TableDeclaration,
    projection: Vec<usize>,
}

#[derive(Deserialize)]
struct OperatorV1 {
    id: String,
    kind: OperatorKind,
}

#[derive(Deserialize)]
struct SinkV1 {
    id: String,
    table: TableDeclaration,
}

impl From<DataflowV1> for Dataflow {
    fn from(stored: DataflowV1) -> Self {
        let mut nodes = Vec::new();
        let mut ends = Vec::new();
        for branch in stored.branches {
            let SourceV1 { id, table, projection } = branch.source;
            nodes.push(Node {
                id,
                kind: NodeKind::Source(SourceNode { table, projection }),
                inputs: Vec::new(),
                keyed_by: None,
                changelog: Changelog::Append,
            });
            for operator in branch.operators {
                nodes.push(Node {
                    id: operator.id,
                    kind: NodeKind::Operator(operator.kind),
                    inputs: vec![nodes.len() - 1],
                    keyed_by: None,
                    changelog: Changelog::Append,
                });
            }
            ends.push(nodes.len() - 1);
        }
        nodes.push(Node {
            id: stored.sink.id,
            kind: NodeKind::Sink(SinkNode { table: stored.sink.table, key: None, deferred: false }),
            inputs: ends,
            keyed_by: None,
            changelog: Changelog::Append,
        });
        Dataflow { version: FORMAT_VERSION, settings: stored.settings, nodes }
    }
}

impl Dataflow {
    /// Reads a stored dataflow.
    ///
    /// # Errors
    /// It is damaged or of a later version.
    pub fn from_json(value: &serde_json::Value) -> Result<Self> {
        let version = value.get("version").and_then(serde_json::Value::as_u64).unwrap_or_default();
        let unreadable = |error| Error::corrupt(format!("the stored dataflow cannot be read: {error}"));
        if version > u64::from(FORMAT_VERSION) {
            return Err(Error::unsupported(format!(
                "the job was stored by a later version (dataflow format {version})"
            )));
        }
        if version == 1 {
            return serde_json::from_value::<DataflowV1>(value.clone()).map(Self::from).map_err(unreadable);
        }
        serde_json::from_value(value.clone()).map_err(unreadable)
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
            let before = node.inputs.iter().any(|input| has_state.get(*input).copied().unwrap_or_default());
            let own = matches!(&node.kind, NodeKind::Operator(kind) if kind.is_stateful());
            has_state.push(before || own);
            before && own
        })
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

    /// All look-up functions that the dataflow calls.
    pub fn lookups(&self) -> impl Iterator<Item = &StoredLookupFunction> {
        self.nodes.iter().flat_map(|node| match &node.kind {
            NodeKind::Operator(OperatorKind::LookUp { calls }) => calls.iter().map(|call| &call.function).collect(),
            _ => Vec::new(),
        })
    }
}
