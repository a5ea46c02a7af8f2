//! The one integration binary. Everything runs on the embedded back ends, or on real ones when STREAMGATE_TEST_KAFKA and
//! STREAMGATE_TEST_DYNAMODB name them (`eval "$(tests/backends/backends start)"`).
#![allow(clippy::unwrap_used)]

mod backends;
mod conformance;
mod demo;
mod recovery;
mod scripts;
mod server;
mod tidy;
