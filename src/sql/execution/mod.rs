//! Runs plans: the threads of queries, the memory of a statement, rows as a stream that can be stopped. Knows nothing of statements,
//! sessions and names.

pub mod background_stream;
pub mod copy_source;
pub mod interruptible;
pub mod queries;
pub mod query_memory;
