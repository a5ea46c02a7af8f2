//! Reading a local table: what was committed, or what a session sees of it.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::{ArrayRef, BinaryArray, RecordBatch, RecordBatchOptions};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_plan::stream::RecordBatchReceiverStreamBuilder;
use datafusion::prelude::SessionConfig;

use super::row::Decoder;
use super::shape::{LocalTable, ROWS};
use super::store::LocalStore;
use super::view::{LocalView, TableView, Visit};
use crate::connectors::metrics::ConnectorMetrics;
use crate::connectors::scan::{Scan, ScanPartition, ScanPlan, ScanRequest};
use crate::error::{Error, Result};

/// Batches that may wait for whoever reads.
const BATCHES_AHEAD: usize = 2;
/// A batch ends when its stored rows have that many bytes, however few they are.
const BATCH_BYTES: usize = 8 << 20;

/// The scan of a local table.
pub struct LocalScan {
    table: Arc<LocalTable>,
    store: Arc<LocalStore>,
    view: Option<Arc<LocalView>>,
}

impl LocalScan {
    /// Of what is committed when it is read.
    pub fn new(table: Arc<LocalTable>, store: Arc<LocalStore>) -> Self {
        Self { table, store, view: None }
    }
}

#[async_trait]
impl Scan for LocalScan {
    fn pushdown(&self, filters: &[&Expr]) -> Vec<TableProviderFilterPushDown> {
        vec![TableProviderFilterPushDown::Unsupported; filters.len()]
    }

    fn of_session(&self, config: &SessionConfig) -> Option<Arc<dyn Scan>> {
        let view = config.get_extension::<LocalView>()?;
        Some(Arc::new(Self { table: Arc::clone(&self.table), store: Arc::clone(&self.store), view: Some(view) }))
    }

    async fn plan(&self, request: ScanRequest) -> Result<ScanPlan> {
        let view = match &self.view {
            Some(view) => Arc::clone(view),
            None if self.table.is_temporary => {
                return Err(Error::unsupported(format!(
                    "temporary table \"{}\" can be read by its session only",
                    self.table.relation
                )));
            }
            None => Arc::new(LocalView::new(Arc::clone(&self.store), Default::default(), Default::default())),
        };
        let names = request.projection.iter().map(|at| match self.table.schema.fields().get(*at) {
            Some(field) => field.name().as_str(),
            None => "key",
        });
        let description = format!("rows, projection [{}]", names.collect::<Vec<_>>().join(", "));
        let part =
            LocalPart { table: Arc::clone(&self.table), view, projection: request.projection, limit: request.limit };
        Ok(ScanPlan { partitions: vec![Arc::new(part)], description, notices: Vec::new() })
    }
}

/// All rows of a table.
struct LocalPart {
    table: Arc<LocalTable>,
    view: Arc<LocalView>,
    /// An index behind the last column means the row's key.
    projection: Vec<usize>,
    limit: Option<usize>,
}

impl ScanPartition for LocalPart {
    fn open(&self, batch_rows: usize, _metrics: &Arc<ConnectorMetrics>) -> Result<SendableRecordBatchStream> {
        let schema = schema_of(&self.table, &self.projection);
        let mut stream = RecordBatchReceiverStreamBuilder::new(Arc::clone(&schema), BATCHES_AHEAD);
        let sender = stream.tx();
        let (table, view, projection) = (Arc::clone(&self.table), Arc::clone(&self.view), self.projection.clone());
        let limit = self.limit.unwrap_or(usize::MAX);
        stream.spawn_blocking(move || {
            let rows = view.table(&table.id)?;
            // Nobody listens any more: that is no error.
            read(&table, &rows, &projection, &schema, (batch_rows, limit), &mut |batch| {
                sender.blocking_send(Ok(batch)).is_ok()
            })?;
            Ok(())
        });
        Ok(stream.build())
    }
}

fn schema_of(table: &LocalTable, projection: &[usize]) -> SchemaRef {
    let fields = projection.iter().map(|at| match table.schema.fields().get(*at) {
        Some(field) => Arc::clone(field),
        None => Arc::new(Field::new(super::shape::ROW_KEY, DataType::Binary, false)),
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// Reads a table, and hands out batches until they are wanted no longer.
fn read(
    table: &LocalTable,
    rows: &TableView,
    projection: &[usize],
    schema: &SchemaRef,
    (batch_rows, limit): (usize, usize),
    give: &mut dyn FnMut(RecordBatch) -> bool,
) -> Result<()> {
    let columns: Vec<usize> = projection.iter().copied().filter(|at| *at < table.schema.fields().len()).collect();
    let mut decoder = Decoder::new(&table.schema, &columns)?;
    let mut keys: Vec<Vec<u8>> = Vec::new();
    let (mut left, mut bytes) = (limit, 0);
    let mut finish = |decoder: &mut Decoder, keys: &mut Vec<Vec<u8>>| -> Result<bool> {
        let count = decoder.rows();
        let mut decoded = decoder.finish()?.columns().to_vec().into_iter();
        let keys: ArrayRef = Arc::new(BinaryArray::from_iter_values(std::mem::take(keys)));
        let arrays = projection.iter().map(|at| match *at < table.schema.fields().len() {
            true => decoded.next(),
            false => Some(Arc::clone(&keys)),
        });
        let arrays = arrays.collect::<Option<Vec<_>>>().ok_or_else(|| Error::internal("a column is missing"))?;
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        Ok(give(RecordBatch::try_new_with_options(Arc::clone(schema), arrays, &options)?))
    };
    let with_keys = columns.len() < projection.len();
    rows.visit(&[ROWS], &[ROWS + 1], &mut |key, row| {
        if left == 0 {
            return Ok(Visit::Stop);
        }
        decoder.push(row)?;
        if with_keys {
            keys.push(key.to_vec());
        }
        left -= 1;
        bytes += row.len();
        if (decoder.rows() >= batch_rows || bytes >= BATCH_BYTES) && decoder.rows() > 0 {
            bytes = 0;
            if !finish(&mut decoder, &mut keys)? {
                left = 0;
                return Ok(Visit::Stop);
            }
        }
        Ok(Visit::Next)
    })?;
    if decoder.rows() > 0 {
        finish(&mut decoder, &mut keys)?;
    }
    Ok(())
}
