//! What streamgate relies on in Kafka and DynamoDB, asked of whichever backends the run has: embedded and real ones must answer alike.

pub mod dynamodb;
pub mod kafka;
mod recovery;
pub mod transactions;
