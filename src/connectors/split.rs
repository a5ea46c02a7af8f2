//! The parts of a source that are read on their own, and where the reading of one begins.

use super::position::Position;

/// One independently readable part of a source: a Kafka partition.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Split {
    /// Stable name within the source, the key under which a checkpoint keeps its position: `orders/0`.
    pub id: String,
    /// Name of the same part across tables and jobs, for read-behind: `kafka://host:9092/orders/0`.
    pub resource: String,
    /// Under which name the outside system keeps positions for its lag tools, if it does: Kafka's consumer group.
    pub group: Option<String>,
}

/// Where the reading of a split begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// Where the table's options say: a start-up mode.
    AsDeclared,
    /// With the first record that the split has.
    Beginning,
    /// Where it was left.
    At(Position),
}
