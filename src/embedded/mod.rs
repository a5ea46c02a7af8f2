//! In-process stand-ins for Kafka and DynamoDB, so that the demo and the tests need neither Docker nor an account.
//! They speak the real protocols on loopback ports, keep their data on disk and know nothing of the rest of the crate; the
//! server reaches them by address only, like the real ones. Single node, no replication, no logins: for development, not for production.

mod dynamodb;
mod kafka_broker;

pub use dynamodb::{DynamoDbOptions, EmbeddedDynamoDb};
pub use kafka_broker::{KafkaBroker, KafkaBrokerOptions};
