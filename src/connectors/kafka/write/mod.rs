//! Writing topics: `records` are made of changes, `sink` sends them. Statements share `statement_producers`. With exactly-once a
//! job's writers share its `transactions`, each through an `transaction_writer`; what is decided is in a `progress_topic`.

pub(super) mod kept;
pub(super) mod outgoing;
pub(super) mod owners;
pub(super) mod progress_topic;
pub(super) mod records;
pub(super) mod sink;
pub(in crate::connectors) mod statement_producers;
pub(super) mod transaction_writer;
pub(super) mod transactional_producer;
pub(super) mod transactions;
pub(super) mod write_sequences;
