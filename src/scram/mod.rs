//! SCRAM-SHA-256 (RFC 5802, RFC 7677): what is kept of a password, and the server's side of a login as a plain function of what the
//! client sends. Knows neither sockets nor roles.

mod exchange;
mod verifier;

pub use exchange::{Channel, Exchange, Mechanism, mechanisms};
pub use verifier::{DEFAULT_ITERATIONS, ITERATIONS_MIN, Password, Verifier};
