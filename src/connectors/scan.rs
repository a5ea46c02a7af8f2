//! Bounded reading, for queries: what is asked for, the plan of it, and its parts.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::prelude::SessionConfig;

use super::metrics::ConnectorMetrics;
use crate::error::Result;

/// What a bounded read is asked for.
#[derive(Debug, Clone, Default)]
pub struct ScanRequest {
    /// Column indexes of the declared schema, in output order. None of them (`count(*)`): batches have a number of rows only.
    pub projection: Vec<usize>,
    /// Predicates, all of which hold for every wanted row; those not answered `Exact` are applied again above.
    pub filters: Vec<Expr>,
    /// Rows wanted at most; only given when all filters are exact.
    pub limit: Option<usize>,
}

/// A bounded read, planned. EXPLAIN shows `description`.
pub struct ScanPlan {
    /// Parts that can be read at the same time.
    pub partitions: Vec<Arc<dyn ScanPartition>>,
    /// What will be asked of the outside system, e.g. `Query user_id = 7, projection [..], limit 10`.
    pub description: String,
    /// What the client should know beside the rows: that a topic is not there, say. Lower case, no full stop.
    pub notices: Vec<String>,
}

/// One part of a bounded read.
pub trait ScanPartition: Send + Sync {
    /// Starts reading; `batch_rows` is the wanted batch size. Dropping the stream stops the read.
    fn open(&self, batch_rows: usize, metrics: &Arc<ConnectorMetrics>) -> Result<SendableRecordBatchStream>;
}

/// Bounded reading, for queries.
#[async_trait]
pub trait Scan: Send + Sync {
    /// For each filter, whether the scan applies it exactly, inexactly or not at all. May not do I/O.
    fn pushdown(&self, filters: &[&Expr]) -> Vec<TableProviderFilterPushDown>;

    /// The scan as a session sees the table, which its configuration says. Absent: it is the same for all.
    fn of_session(&self, _config: &SessionConfig) -> Option<Arc<dyn Scan>> {
        None
    }

    /// Plans the read; may ask the outside system (end offsets are pinned here, keys described).
    async fn plan(&self, request: ScanRequest) -> Result<ScanPlan>;
}
