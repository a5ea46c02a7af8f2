//! How a dataflow is spread over tasks: nodes that need no exchange between them form a stage, and every stage runs as many
//! tasks as the job is parallel. Pure: the same dataflow and number give the same layout.

use super::dataflow::{Dataflow, NodeKind, Output};

/// Stages and what lies between them.
#[derive(Debug, PartialEq, Eq)]
pub struct Layout {
    /// Tasks of each stage.
    pub parallelism: usize,
    /// Stages; one runs before those that take rows from it.
    pub stages: Vec<Stage>,
    /// Exchanges between stages.
    pub exchanges: Vec<ExchangeEdge>,
}

/// Nodes that run in one task.
#[derive(Debug, PartialEq, Eq)]
pub struct Stage {
    /// Indexes of nodes, in the order of the dataflow.
    pub nodes: Vec<usize>,
}

/// Rows of one node go to the tasks of another one's stage by key.
#[derive(Debug, PartialEq, Eq)]
pub struct ExchangeEdge {
    /// The output that gives rows.
    pub from: Output,
    /// Index of the node that takes them.
    pub to: usize,
    /// Place of the input of that node.
    pub input: usize,
    /// Key columns; none: all rows go to the first task.
    pub keys: Vec<usize>,
}

impl Layout {
    /// Lays a dataflow out for `parallelism` tasks a stage. With one task nothing is exchanged.
    pub fn of(dataflow: &Dataflow, parallelism: usize) -> Self {
        let count = dataflow.nodes.len();
        let mut stage_of: Vec<usize> = (0..count).collect();
        let mut exchanges = Vec::new();
        for (index, node) in dataflow.nodes.iter().enumerate() {
            let edges = node
                .inputs
                .iter()
                .enumerate()
                .flat_map(|(place, input)| input.from.iter().map(move |output| (place, *output, &input.keyed_by)));
            for (input, from, keyed_by) in edges {
                match keyed_by {
                    Some(keys) if parallelism > 1 => {
                        exchanges.push(ExchangeEdge { from, to: index, input, keys: keys.clone() });
                    }
                    _ => {
                        let (one, other) = (stage_of[from.node], stage_of[index]);
                        for stage in &mut stage_of {
                            if *stage == one.max(other) {
                                *stage = one.min(other);
                            }
                        }
                    }
                }
            }
        }
        if parallelism == 1 {
            stage_of.fill(0);
        }
        let mut stages: Vec<(usize, Stage)> = Vec::new();
        for (index, stage) in stage_of.iter().enumerate() {
            match stages.iter_mut().find(|(known, _)| known == stage) {
                Some((_, found)) => found.nodes.push(index),
                None => stages.push((*stage, Stage { nodes: vec![index] })),
            }
        }
        Self { parallelism, stages: stages.into_iter().map(|(_, stage)| stage).collect(), exchanges }
    }

    /// The stage of a node.
    pub fn stage_of(&self, node: usize) -> usize {
        self.stages.iter().position(|stage| stage.nodes.contains(&node)).unwrap_or_default()
    }

    /// Whether a stage reads sources.
    pub fn reads(&self, stage: usize, dataflow: &Dataflow) -> bool {
        self.stages[stage].nodes.iter().any(|node| matches!(dataflow.nodes[*node].kind, NodeKind::Source(_)))
    }
}

#[cfg(test)]
mod tests;
