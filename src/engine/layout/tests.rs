use super::*;
use crate::changelog::Changelog;
use crate::engine::dataflow::{FORMAT_VERSION, Input, JobSettings, Node, OperatorKind, SinkNode, SourceNode};
use crate::engine::operators::project::ProjectSpec;
use crate::engine::testing::declare;

fn node(kind: NodeKind, inputs: &[usize], keyed_by: Option<Vec<usize>>) -> Node {
    let inputs = inputs.iter().map(|input| Input::of(&[*input], keyed_by.clone())).collect();
    let schema = declare("t", "k BIGINT", 0).schema().unwrap();
    Node { id: String::new(), kind, inputs, schema, side_outputs: Vec::new(), changelog: Changelog::Append }
}

fn source() -> NodeKind {
    NodeKind::Source(SourceNode { table: declare("t", "k BIGINT", 0), projection: vec![0], watermark: None })
}

fn project() -> NodeKind {
    NodeKind::Operator(OperatorKind::Project(ProjectSpec { expressions: Vec::new() }))
}

fn sink() -> NodeKind {
    NodeKind::Sink(SinkNode { table: declare("o", "k BIGINT", 0), key: None, deferred: false, columns: None })
}

/// source → project ⇒ (by key) project → sink; source → sink
fn dataflow() -> Dataflow {
    let nodes = vec![
        node(source(), &[], None),
        node(project(), &[0], None),
        node(project(), &[1], Some(vec![0])),
        node(sink(), &[2], None),
        node(sink(), &[0], None),
    ];
    let settings = JobSettings::default();
    Dataflow { version: FORMAT_VERSION, settings, nodes }
}

#[test]
fn one_task_takes_everything() {
    let layout = Layout::of(&dataflow(), 1);
    assert_eq!(layout.stages, [Stage { nodes: vec![0, 1, 2, 3, 4] }]);
    assert!(layout.exchanges.is_empty());
}

#[test]
fn stages_are_cut_where_rows_are_brought_together_by_key() {
    let layout = Layout::of(&dataflow(), 2);
    assert_eq!(layout.stages, [Stage { nodes: vec![0, 1, 4] }, Stage { nodes: vec![2, 3] }]);
    assert_eq!(layout.exchanges, [ExchangeEdge { from: Output::of(1), to: 2, input: 0, keys: vec![0] }]);
    assert!(layout.reads(0, &dataflow()) && !layout.reads(1, &dataflow()));
}
