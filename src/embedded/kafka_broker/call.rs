//! What whoever answers a request knows of it beside its fields.

use super::Broker;

/// A request's circumstances.
pub struct Call<'a> {
    pub broker: &'a Broker,
    pub version: i16,
    pub client_id: String,
    pub client_host: &'a str,
}
