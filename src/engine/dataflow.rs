//! What a job runs, as it is stored: resolved tables, operators with stable ids, expressions, settings.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Settings that a job keeps from the session that submitted it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobSettings {
    /// IANA name; zone-less timestamps that become instants and "the current month" are in it.
    pub time_zone: String,
    /// Options set by SET that concern jobs, by their SQL names (`execution.checkpointing.interval` …).
    pub options: BTreeMap<String, String>,
}

/// A stored dataflow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Dataflow {
    /// Settings.
    pub settings: JobSettings,
}

impl Dataflow {
    /// One line an operator, for EXPLAIN INSERT.
    pub fn explain(&self) -> Vec<String> {
        Vec::new()
    }
}
