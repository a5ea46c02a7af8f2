//! The parts of a source that are read on their own, and how far one of them is read.

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

/// Where to go on in a split: the next record's offset (exclusive end of what was read).
pub type Position = i64;
