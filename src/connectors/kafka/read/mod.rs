//! Reading topics: `consumer` and `reader` take records from partitions, `rows` makes rows of them, `scan` and `source` serve
//! queries and jobs, and `enumerator` finds the partitions for jobs. `offsets` and `topic_ids` ask the broker; `latest_rows` and `pushdown` belong to
//! bounded reads.

pub(super) mod consumer;
mod enumerator;
pub(super) mod latest_rows;
pub(super) mod offsets;
mod partition;
pub(super) mod pushdown;
pub(super) mod reader;
pub(super) mod rows;
pub(super) mod scan;
pub(super) mod source;
pub(super) mod topic_ids;
