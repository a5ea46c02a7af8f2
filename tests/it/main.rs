//! The one integration binary. Everything runs on the embedded backends, or on real ones when STREAMGATE_TEST_KAFKA and
//! STREAMGATE_TEST_DYNAMODB name them (`exports=$(tests/backends/backends start) && eval "$exports"`).
#![allow(clippy::unwrap_used)]

mod access;
mod backends;
mod bad_rows;
mod command_line;
mod configuration;
mod conformance;
mod connections;
mod cookbook;
mod copy_in;
mod copy_out;
mod demo;
mod event_time;
mod exactly_once;
mod faults;
mod first_minutes;
mod functions;
mod http;
mod jobs;
mod kafka_jobs;
mod limits;
mod local_tables;
mod log;
mod notifications;
mod places;
mod read_behind;
mod recovery;
mod scripts;
mod server;
mod sessions;
mod shutdown;
mod slow_backends;
mod slt;
mod state_budget;
mod statements;
mod text_lengths;
mod tidy;
mod waits;
mod wire;
mod words;
