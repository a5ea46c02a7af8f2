//! The HTTP port: metrics, health, and what jobs do, to read only. Knows what the server shows of itself; knows no SQL and nothing of
//! the Postgres protocol.
//!
//! hyper reads and writes the protocol. A connection takes one request, has few seconds for it, and is one of few: whoever scrapes comes
//! every few seconds, and whoever holds connections must not hold the server's memory.

mod answers;
mod collect;
mod job_json;
mod listener;
mod stage;

pub use listener::{HttpPort, require_loopback};
pub use stage::{Observed, Stage};
