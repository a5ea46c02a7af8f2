//! Rows that a statement has in its hands, as a table of a plan: those that it inserted, changed or deleted (RETURNING), or is about to
//! (CHECK, ON CONFLICT). A plan is made before there are any; its execution finds them in its configuration.

use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::catalog::{Session, TableProvider};
use datafusion::datasource::{MemTable, TableType};
use datafusion::error::Result;
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::ExecutionPlan;

use crate::error::Error;

/// The rows of one execution; an extension of its configuration.
pub struct GivenRows(pub RecordBatch);

/// A table whose rows are given when it is read.
#[derive(Debug)]
pub struct GivenTable(SchemaRef);

impl GivenTable {
    /// With these columns.
    pub fn provider(schema: SchemaRef) -> Arc<dyn TableProvider> {
        Arc::new(Self(schema))
    }
}

#[async_trait::async_trait]
impl TableProvider for GivenTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.0)
    }

    fn table_type(&self) -> TableType {
        TableType::Temporary
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let given = state.config().get_extension::<GivenRows>();
        let given = given.ok_or_else(|| Error::internal("a plan over given rows runs without them"))?;
        let rows = RecordBatch::try_new(Arc::clone(&self.0), given.0.columns().to_vec())?;
        MemTable::try_new(Arc::clone(&self.0), vec![vec![rows]])?.scan(state, projection, filters, limit).await
    }
}
