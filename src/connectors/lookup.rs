//! Rows by key: a batch of keys in, the rows that have them out.

use async_trait::async_trait;
use datafusion::arrow::array::UInt32Array;
use datafusion::arrow::record_batch::RecordBatch;

use super::metrics::ConnectorMetrics;
use crate::error::Result;

/// What a lookup is asked for: rows whose key columns equal one of the given keys.
#[derive(Debug, Clone)]
pub struct LookupRequest {
    /// Column indexes (declared schema) that the keys give: the partition key, or the full key.
    pub key_columns: Vec<usize>,
    /// Distinct keys without NULLs, one column for each of `key_columns`, typed as declared.
    pub keys: RecordBatch,
    /// Column indexes of the declared schema wanted in the answer.
    pub projection: Vec<usize>,
    /// Whether the answer must include every write acknowledged before.
    pub consistent: bool,
}

/// Rows found, each with the index of the key that it belongs to. A key without rows is simply absent.
#[derive(Debug, Clone)]
pub struct LookupResponse {
    /// The projected rows.
    pub rows: RecordBatch,
    /// For each row, the index into `LookupRequest::keys`.
    pub key_index: UInt32Array,
}

/// Rows by key: a batch of keys is fetched concurrently.
#[async_trait]
pub trait Lookup: Send + Sync {
    /// Column indexes of the table's key as the outside system has it: partition key, then sort key if any.
    async fn key(&self) -> Result<Vec<usize>>;

    /// Fetches; retries throttling and outages by itself, bounded by the options.
    async fn lookup(&self, request: LookupRequest, metrics: &ConnectorMetrics) -> Result<LookupResponse>;

    /// Name of the outside table, equal for every declaration of it, for read-behind: `dynamodb://endpoint/table`.
    fn resource(&self) -> String;
}
