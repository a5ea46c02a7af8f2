//! streamgate: streaming SQL from Kafka to DynamoDB behind the Postgres wire protocol.

pub mod embedded;
