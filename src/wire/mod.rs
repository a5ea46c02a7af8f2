//! The Postgres protocol: bytes of a client → calls of a session → bytes of the answer.
//! Knows sessions and Arrow batches; knows nothing of how a statement is planned or run.
//!
//! pgwire gives the message types and their codec. The loop around them is ours, because a row must leave when it is there,
//! a cancel must end a running query, and a malformed message must not reach the decoder.

mod attempts;
mod cancel;
mod client;
mod connection;
mod copy_in;
mod copy_out;
mod decode;
mod encode;
mod extended_query;
mod frame;
mod listener;
mod login;
mod portal;
mod report;
mod role_sessions;
mod row_pump;
mod serve;
mod shared;
mod simple_query;
mod spans;
mod starting;
mod startup;
mod text;
mod tls;

pub use listener::serve;
pub use shared::WireOptions;
pub use tls::{Tls, TlsFiles, TlsVersion};
