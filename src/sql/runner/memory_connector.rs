//! A connector of the tests: rows in memory by table name, readable and writable. A lookup finds nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_plan::memory::MemoryStream;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::changelog::ChangeBatch;
use crate::connectors::{
    Connector, ConnectorMetrics, Lookup, LookupRequest, LookupResponse, Scan, ScanPartition, ScanPlan, ScanRequest,
    Sink, SinkContext, SinkKind, SinkWriter, Table, TableDeclaration,
};
use crate::error::Result;
use crate::options::{OptionEntry, OptionGroups, OptionKind, OptionReader, option_entries};

option_entries! {
    /// All options.
    OPTIONS:
    NAME = OptionEntry::new("name", OptionKind::Text, "Which rows.").required();
    SECRET_KEY = OptionEntry::new("aws.credentials.basic.secretkey", OptionKind::Text, "A secret.").secret();
    KEY_ID = OptionEntry::new("aws.credentials.basic.accesskeyid", OptionKind::Text, "A secret.").secret();
}

type Rows = Arc<Mutex<BTreeMap<String, Vec<RecordBatch>>>>;

#[derive(Default)]
pub struct MemoryConnector {
    rows: Rows,
}

struct MemoryTable {
    rows: Rows,
    name: String,
    schema: SchemaRef,
}

impl Connector for MemoryConnector {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn options(&self) -> OptionGroups {
        &[OPTIONS]
    }

    fn open(&self, options: &mut OptionReader, table: &TableDeclaration) -> Result<Table> {
        let name = options.require(&NAME)?;
        options.take(&SECRET_KEY);
        options.take(&KEY_ID);
        let table = Arc::new(MemoryTable { rows: self.rows.clone(), name, schema: table.schema()? });
        Ok(Table { source: None, scan: Some(table.clone()), lookup: Some(table.clone()), sink: Some(table) })
    }
}

#[async_trait]
impl Lookup for MemoryTable {
    async fn key(&self) -> Result<Vec<usize>> {
        Ok(vec![0])
    }

    async fn lookup(&self, request: LookupRequest, _metrics: &ConnectorMetrics) -> Result<LookupResponse> {
        let schema = Arc::new(self.schema.project(&request.projection)?);
        Ok(LookupResponse { rows: RecordBatch::new_empty(schema), key_index: Vec::<u32>::new().into() })
    }

    fn resource(&self) -> String {
        self.name.clone()
    }
}

struct Part(SchemaRef, Vec<RecordBatch>);

impl ScanPartition for Part {
    fn open(&self, _batch_rows: usize, _metrics: &Arc<ConnectorMetrics>) -> Result<SendableRecordBatchStream> {
        Ok(Box::pin(MemoryStream::try_new(self.1.clone(), self.0.clone(), None)?))
    }
}

#[async_trait]
impl Scan for MemoryTable {
    fn pushdown(&self, filters: &[&Expr]) -> Vec<TableProviderFilterPushDown> {
        vec![TableProviderFilterPushDown::Unsupported; filters.len()]
    }

    async fn plan(&self, request: ScanRequest) -> Result<ScanPlan> {
        let batches = self.rows.lock().get(&self.name).cloned().unwrap_or_default();
        let batches = batches.iter().map(|batch| batch.project(&request.projection)).collect::<Result<Vec<_>, _>>()?;
        let schema = Arc::new(self.schema.project(&request.projection)?);
        let description = format!("projection {:?}", request.projection);
        Ok(ScanPlan { partitions: vec![Arc::new(Part(schema, batches))], description, notices: Vec::new() })
    }
}

#[async_trait]
impl Sink for MemoryTable {
    async fn kind(&self) -> Result<SinkKind> {
        Ok(SinkKind::Append)
    }

    async fn open(&self, _context: SinkContext) -> Result<Box<dyn SinkWriter>> {
        let (sender, receiver) = watch::channel(0);
        Ok(Box::new(Writer { rows: self.rows.clone(), name: self.name.clone(), sender, receiver, sequences: 0 }))
    }

    fn resource(&self) -> String {
        self.name.clone()
    }
}

struct Writer {
    rows: Rows,
    name: String,
    sender: watch::Sender<u64>,
    receiver: watch::Receiver<u64>,
    sequences: u64,
}

#[async_trait]
impl SinkWriter for Writer {
    async fn write(&mut self, batch: ChangeBatch) -> Result<u64> {
        self.rows.lock().entry(self.name.clone()).or_default().push(batch.rows().clone());
        self.sequences += 1;
        self.sender.send_replace(self.sequences);
        Ok(self.sequences)
    }

    fn acknowledged(&self) -> watch::Receiver<u64> {
        self.receiver.clone()
    }

    async fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}
