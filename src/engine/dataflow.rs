//! What a job runs, as it is stored: resolved tables, operators with stable ids, expressions, settings.
//! A restart reads this and nothing else; secrets are in it by reference only.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::expression::StoredExpression;
use super::lookup_function::StoredLookupFunction;
use crate::connectors::TableDeclaration;
use crate::connectors::options::parse_duration;
use crate::error::{Error, Result};

/// The version of the stored form that this build writes; a higher one is refused.
pub const FORMAT_VERSION: u32 = 1;

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

    /// The time zone.
    ///
    /// # Errors
    /// Its name is unknown.
    pub fn zone(&self) -> Result<chrono_tz::Tz> {
        self.time_zone.parse().map_err(|_| Error::invalid(format!("time zone \"{}\" not recognized", self.time_zone)))
    }
}

/// A stored dataflow: branches (the inputs of UNION ALL) that end in one sink.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Dataflow {
    /// [`FORMAT_VERSION`] of the build that wrote it.
    pub version: u32,
    /// Settings.
    pub settings: JobSettings,
    /// Sources with the operators behind them.
    pub branches: Vec<Branch>,
    /// Where the rows go.
    pub sink: SinkNode,
}

/// A source and the operators that its rows pass, in order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Branch {
    /// Where the rows come from.
    pub source: SourceNode,
    /// What they pass.
    pub operators: Vec<OperatorNode>,
}

/// A source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SourceNode {
    /// Stable id: checkpoints keep positions under it.
    pub id: String,
    /// The table, hints applied.
    pub table: TableDeclaration,
    /// Columns read.
    pub projection: Vec<usize>,
}

/// A sink.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SinkNode {
    /// Stable id.
    pub id: String,
    /// The table, hints applied.
    pub table: TableDeclaration,
}

/// An operator.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OperatorNode {
    /// Stable id: state and metrics are kept under it.
    pub id: String,
    /// What it does.
    pub kind: OperatorKind,
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
}

/// One call of a look-up function.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LookUpCall {
    /// The function.
    pub function: StoredLookupFunction,
    /// Over the input's columns.
    pub arguments: Vec<StoredExpression>,
}

impl Dataflow {
    /// Reads a stored dataflow.
    ///
    /// # Errors
    /// It is damaged or of a later version.
    pub fn from_json(value: &serde_json::Value) -> Result<Self> {
        let version = value.get("version").and_then(serde_json::Value::as_u64).unwrap_or_default();
        if version > u64::from(FORMAT_VERSION) {
            return Err(Error::unsupported(format!(
                "the job was stored by a later version (dataflow format {version})"
            )));
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

    /// Ids and descriptions of all nodes: sources and operators branch by branch, the sink last.
    pub fn nodes(&self) -> Vec<(String, String)> {
        let mut nodes = Vec::new();
        for branch in &self.branches {
            nodes.push((branch.source.id.clone(), branch.source.describe()));
            nodes.extend(branch.operators.iter().map(|operator| (operator.id.clone(), operator.kind.describe())));
        }
        nodes.push((self.sink.id.clone(), format!("Sink: {}", self.sink.table.name)));
        nodes
    }

    /// One line an operator, sink first as in EXPLAIN.
    pub fn explain(&self) -> Vec<String> {
        let mut lines = vec![format!("Sink: {} [{}]", self.sink.table.name, self.sink.id)];
        let indent = if self.branches.len() > 1 {
            lines.push("  Union".to_owned());
            2
        } else {
            1
        };
        for branch in &self.branches {
            let mut depth = indent;
            for operator in branch.operators.iter().rev() {
                lines.push(format!("{}{} [{}]", "  ".repeat(depth), operator.kind.describe(), operator.id));
                depth += 1;
            }
            lines.push(format!("{}{} [{}]", "  ".repeat(depth), branch.source.describe(), branch.source.id));
        }
        if self.lookups().next().is_some() {
            let on = self.settings.read_behind().unwrap_or(true);
            lines.push(format!(
                "Read behind: {}",
                if on {
                    "on, rows wait until jobs here that fill a looked-up table from the same topic have written them"
                } else {
                    "off"
                }
            ));
        }
        lines
    }

    /// All look-up functions that the dataflow calls.
    pub fn lookups(&self) -> impl Iterator<Item = &StoredLookupFunction> {
        self.branches.iter().flat_map(|branch| &branch.operators).flat_map(|operator| match &operator.kind {
            OperatorKind::LookUp { calls } => calls.iter().map(|call| &call.function).collect(),
            _ => Vec::new(),
        })
    }
}

impl SourceNode {
    fn describe(&self) -> String {
        let columns: Vec<&str> = self
            .projection
            .iter()
            .filter_map(|index| self.table.columns.get(*index))
            .map(|column| column.name.as_str())
            .collect();
        format!("Source: {} columns [{}]", self.table.name, columns.join(", "))
    }
}

impl OperatorKind {
    fn describe(&self) -> String {
        match self {
            OperatorKind::Filter { predicate } => format!("Filter: {}", predicate.text),
            OperatorKind::Project { expressions } => {
                let texts: Vec<&str> = expressions.iter().map(|expression| expression.text.as_str()).collect();
                format!("Projection: {}", texts.join(", "))
            }
            OperatorKind::LookUp { calls } => {
                let texts: Vec<String> = calls
                    .iter()
                    .map(|call| {
                        let arguments: Vec<&str> = call.arguments.iter().map(|a| a.text.as_str()).collect();
                        format!("{}({}) from {}", call.function.name, arguments.join(", "), call.function.table.name)
                    })
                    .collect();
                format!("LookUp: {}", texts.join("; "))
            }
        }
    }
}
