//! Writing items: `item_writes` makes writes of rows, `write_queue` decides which may go out, `sink` sends them: in batches
//! (`batch_write`, `direct_call`), or each under a condition (`monotonic`).

pub(super) mod batch_write;
pub(super) mod direct_call;
pub(super) mod item_writes;
pub(super) mod monotonic;
pub(super) mod sink;
pub(super) mod write_queue;
