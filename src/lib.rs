//! streamgate: streaming SQL from Kafka to DynamoDB behind the Postgres wire protocol.
//!
//! The modules are listed in the order in which data passes them; imports point down only (tests/it/tidy.rs checks it).

pub mod client;
pub mod demo;

pub mod server;

pub mod config;

pub mod http;
pub mod wire;

pub mod pg_catalog;

pub mod sql;

pub mod jobs;

pub mod catalog;

pub mod engine;

pub mod functions;

pub mod connectors;

pub mod formats;

pub mod access;
pub mod audit;
pub mod changelog;
pub mod clock;
pub mod data_type;
pub mod error;
pub mod fault;
pub mod nearest;
pub mod options;
pub mod places;
pub mod scram;
pub mod telemetry;
pub mod threads;
pub mod waits;

pub mod embedded;
