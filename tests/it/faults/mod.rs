//! Faults between streamgate and what it talks to: proxies that know requests, and what must hold when they interfere.

pub mod dynamodb_proxy;
pub mod kafka_proxy;
mod kafka_transactions;
