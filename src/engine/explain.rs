//! A dataflow as text, for EXPLAIN, DESCRIBE JOB and EXPLAIN ANALYZE JOB: sinks first, what gives them rows below them.

use std::fmt::Write as _;

use super::dataflow::{Dataflow, Input, Node, NodeKind};
use crate::connectors::TableDeclaration;

impl Dataflow {
    /// Ids and descriptions of all nodes, in their order.
    pub fn descriptions(&self) -> Vec<(String, String)> {
        (0..self.nodes.len()).map(|index| (self.nodes[index].id.clone(), self.describe(index))).collect()
    }

    /// One line a node, sinks first; `facts` adds to a node's line.
    pub fn explain_with(&self, facts: &dyn Fn(&Node) -> Option<String>) -> Vec<String> {
        let mut lines = Vec::new();
        let mut shown = vec![false; self.nodes.len()];
        for (index, node) in self.nodes.iter().enumerate() {
            if matches!(node.kind, NodeKind::Sink(_)) {
                self.explain_node(index, 0, facts, &mut shown, &mut lines);
            }
        }
        lines
    }

    /// As [`Self::explain_with`], and what concerns the whole job.
    pub fn explain(&self) -> Vec<String> {
        let mut lines = self.explain_with(&|_| None);
        lines.extend(self.explain_job());
        lines
    }

    /// What concerns the whole job.
    pub fn explain_job(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let parallelism = self.settings.parallelism();
        let interval = self.settings.checkpoint_interval;
        lines.push(format!("Parallelism: {parallelism}; checkpoint every {} ms", interval.as_millis()));
        if self.lookups().next().is_some() {
            let on = self.settings.read_behind;
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

    fn explain_node(
        &self,
        index: usize,
        depth: usize,
        facts: &dyn Fn(&Node) -> Option<String>,
        shown: &mut [bool],
        lines: &mut Vec<String>,
    ) {
        let node = &self.nodes[index];
        let indent = "  ".repeat(depth);
        if shown[index] {
            lines.push(format!("{indent}{} [{}], as above", node.title(), node.id));
            return;
        }
        shown[index] = true;
        let mut line = format!("{indent}{} [{}]", self.describe(index), node.id);
        if let NodeKind::Operator(kind) = &node.kind
            && kind.spec().is_stateful()
        {
            let _ = write!(line, " changelog={}", node.changelog.name());
        }
        if let Some(more) = facts(node) {
            let _ = write!(line, " ({more})");
        }
        lines.push(line);
        for input in &node.inputs {
            self.explain_input(input, depth + 1, facts, shown, lines);
        }
    }

    fn explain_input(
        &self,
        input: &Input,
        mut depth: usize,
        facts: &dyn Fn(&Node) -> Option<String>,
        shown: &mut [bool],
        lines: &mut Vec<String>,
    ) {
        if let Some(keys) = &input.keyed_by
            && self.settings.parallelism() > 1
        {
            let names = self.input_names(input);
            let keys: Vec<String> = keys.iter().map(|key| name_of(&names, *key)).collect();
            let how = if keys.is_empty() { "to one task".to_owned() } else { format!("hash({})", keys.join(", ")) };
            lines.push(format!("{}Exchange: {how}", "  ".repeat(depth)));
            depth += 1;
        }
        if input.from.len() > 1 {
            lines.push(format!("{}Union", "  ".repeat(depth)));
            depth += 1;
        }
        for output in &input.from {
            self.explain_node(output.node, depth, facts, shown, lines);
        }
    }

    /// What a node does.
    fn describe(&self, index: usize) -> String {
        let node = &self.nodes[index];
        match &node.kind {
            NodeKind::Source(source) => {
                let columns: Vec<&str> = source
                    .projection
                    .iter()
                    .filter_map(|index| source.table.columns.get(*index))
                    .map(|column| column.name.as_str())
                    .collect();
                let changes = match node.changelog {
                    crate::changelog::Changelog::Append => String::new(),
                    other => format!(", changelog={}", other.name()),
                };
                let watermark = source.watermark.as_ref().map_or_else(String::new, |watermark| {
                    format!(", watermark for {} as {}", watermark.column, watermark.expression.text)
                });
                format!("Source: {} columns [{}]{changes}{watermark}", source.table.name, columns.join(", "))
            }
            NodeKind::Operator(kind) => {
                let spec = kind.spec();
                format!("{}{}", spec.title(), spec.describe(&self.names_of_inputs(node)))
            }
            NodeKind::Sink(sink) => {
                let mut text = format!("Sink: {}", sink.table.name);
                if let Some(columns) = &sink.columns {
                    let listed = columns.iter().filter_map(|column| sink.table.columns.get(*column));
                    let names: Vec<&str> = listed.map(|column| column.name.as_str()).collect();
                    let _ = write!(text, " columns [{}]", names.join(", "));
                }
                match (&sink.key, node.changelog) {
                    (Some(key), _) => {
                        let names: Vec<String> = sink.table.columns.iter().map(|column| column.name.clone()).collect();
                        let _ = write!(text, ", needs changes by key ({})", keys_text(key, &names));
                    }
                    (None, crate::changelog::Changelog::Append) => text.push_str(", needs inserts"),
                    (None, _) => text.push_str(", takes all changes"),
                }
                let _ = write!(text, ", {}", guarantee(&sink.table));
                if sink.deferred {
                    text.push_str(", written after each checkpoint");
                }
                text
            }
        }
    }

    fn names_of_inputs(&self, node: &Node) -> Vec<Vec<String>> {
        node.inputs.iter().map(|input| self.input_names(input)).collect()
    }

    fn input_names(&self, input: &Input) -> Vec<String> {
        input.from.first().map(|output| self.column_names(output.node)).unwrap_or_default()
    }

    /// Names of the columns that a node gives, as far as they have any.
    fn column_names(&self, index: usize) -> Vec<String> {
        let node = &self.nodes[index];
        match &node.kind {
            NodeKind::Source(source) => {
                let name = |index: &usize| source.table.columns.get(*index).map(|column| column.name.clone());
                source.projection.iter().filter_map(name).collect()
            }
            NodeKind::Operator(kind) => kind.spec().column_names(&self.names_of_inputs(node)),
            NodeKind::Sink(_) => Vec::new(),
        }
    }
}

impl Node {
    fn title(&self) -> &str {
        match &self.kind {
            NodeKind::Source(_) => "Source",
            NodeKind::Operator(kind) => kind.spec().title(),
            NodeKind::Sink(_) => "Sink",
        }
    }
}

/// What the table's options promise.
fn guarantee(table: &TableDeclaration) -> &str {
    match table.option("sink.delivery-guarantee").or_else(|| table.option("sink.semantic")) {
        Some(guarantee) => guarantee,
        None => "at-least-once",
    }
}

fn keys_text(keys: &[usize], names: &[String]) -> String {
    keys.iter().map(|key| name_of(names, *key)).collect::<Vec<_>>().join(", ")
}

fn name_of(names: &[String], column: usize) -> String {
    names.get(column).cloned().unwrap_or_else(|| format!("#{column}"))
}
