//! Faults between streamgate and what it talks to: a Kafka proxy that knows requests, and what must hold when it interferes.

pub mod kafka_proxy;
mod kafka_transactions;
