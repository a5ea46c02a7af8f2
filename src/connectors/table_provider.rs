//! The one face of tables to DataFusion: bounded scans and bounded inserts of any connector.
//! A job's planner finds the declaration here again, through [`ConnectorTable::of`]. Unbounded reading never passes here.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use datafusion::arrow::datatypes::{Fields, Schema, SchemaRef};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Constraint, Constraints};
use datafusion::datasource::sink::{DataSink, DataSinkExec};
use datafusion::datasource::{TableType, source_as_provider};
use datafusion::error::{DataFusionError, Result as DataFusionResult};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::dml::InsertOp;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableSource};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricBuilder, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, EmptyRecordBatchStream, ExecutionPlan, Partitioning, PlanProperties,
};
use datafusion::prelude::SessionConfig;
use futures::StreamExt;
use parking_lot::Mutex;

use super::connector::Table;
use super::declaration::TableDeclaration;
use super::metrics::ConnectorMetrics;
use super::scan::{ScanPartition, ScanRequest};
use super::sink::{Sink, SinkContext};
use super::sink_constraints::{LengthEnforcer, SinkConstraints};
use super::statement_counts::StatementCounts;
use crate::changelog::ChangeBatch;
use crate::error::{Error, Result};

/// A declared table, opened.
pub struct ConnectorTable {
    declaration: Arc<TableDeclaration>,
    schema: SchemaRef,
    constraints: Constraints,
    table: Table,
}

impl ConnectorTable {
    /// Joins a declaration with what its connector opened.
    ///
    /// # Errors
    /// The declaration's types cannot be read.
    pub fn new(declaration: Arc<TableDeclaration>, table: Table) -> Result<Self> {
        let schema = declaration.schema()?;
        let key: Vec<usize> =
            declaration.primary_key.iter().filter_map(|name| declaration.column_index(name)).collect();
        let constraints = if key.is_empty() {
            Constraints::default()
        } else {
            Constraints::new_unverified(vec![Constraint::PrimaryKey(key)])
        };
        Ok(Self { declaration, schema, constraints, table })
    }

    /// The declaration.
    pub fn declaration(&self) -> &Arc<TableDeclaration> {
        &self.declaration
    }

    /// What the table can do.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// The connector table behind a plan's table source, if it is one. The answer keeps the provider alive.
    pub fn of(source: &Arc<dyn TableSource>) -> Option<Arc<dyn TableProvider>> {
        source_as_provider(source).ok().filter(|provider| Self::from_provider(provider.as_ref()).is_some())
    }

    /// The connector table that a provider is, if it is one.
    pub fn from_provider(provider: &dyn TableProvider) -> Option<&ConnectorTable> {
        (provider as &dyn Any).downcast_ref()
    }

    async fn plan_scan(&self, request: ScanRequest, config: &SessionConfig) -> Result<ScanExec> {
        let scan = self.table.scan.clone().ok_or_else(|| {
            Error::unsupported(format!(
                "table \"{}\" cannot be read: connector \"{}\" has no bounded scan",
                self.declaration.name,
                self.declaration.connector().unwrap_or_default()
            ))
        })?;
        let scan = scan.of_session(config).unwrap_or(scan);
        let schema = Arc::new(self.schema.project(&request.projection)?);
        let mut plan = scan.plan(request).await?;
        if let Some(told) = config.get_extension::<ScanNotices>() {
            told.add(std::mem::take(&mut plan.notices));
        }
        if plan.partitions.is_empty() {
            // Operators above want one part at least.
            plan.partitions.push(Arc::new(NoRows(Arc::clone(&schema))));
        }
        Ok(ScanExec::new(schema, plan.partitions, &self.declaration.name, &plan.description))
    }

    fn sink(&self) -> Result<Arc<dyn Sink>> {
        self.table.sink.clone().ok_or_else(|| {
            Error::unsupported(format!(
                "table \"{}\" cannot be written: connector \"{}\" has no sink",
                self.declaration.name,
                self.declaration.connector().unwrap_or_default()
            ))
        })
    }
}

impl fmt::Debug for ConnectorTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConnectorTable({})", self.declaration.name)
    }
}

#[async_trait::async_trait]
impl TableProvider for ConnectorTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn constraints(&self) -> Option<&Constraints> {
        Some(&self.constraints)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        let projection = projection.cloned().unwrap_or_else(|| (0..self.schema.fields().len()).collect());
        let request = ScanRequest { projection, filters: filters.to_vec(), limit };
        Ok(Arc::new(self.plan_scan(request, state.config()).await?))
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> DataFusionResult<Vec<TableProviderFilterPushDown>> {
        Ok(match &self.table.scan {
            Some(scan) => scan.pushdown(filters),
            None => vec![TableProviderFilterPushDown::Unsupported; filters.len()],
        })
    }

    async fn insert_into(
        &self,
        state: &dyn Session,
        input: Arc<dyn ExecutionPlan>,
        operation: InsertOp,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        if operation != InsertOp::Append {
            return Err(Error::unsupported("INSERT OVERWRITE is not supported").into());
        }
        let time_zone = state
            .config_options()
            .execution
            .time_zone
            .as_deref()
            .and_then(|name| name.parse().ok())
            .unwrap_or(chrono_tz::UTC);
        // DataFusion would fail the statement over NULLs: those in keys are the sink's to skip and count, others are looked for below.
        let fields = self.schema.fields().iter().map(|field| Arc::new(field.as_ref().clone().with_nullable(true)));
        let sink = BoundedSink {
            name: self.declaration.name.clone(),
            declaration: Arc::clone(&self.declaration),
            schema: Arc::new(Schema::new(fields.collect::<Fields>())),
            sink: self.sink()?,
            time_zone,
            metrics: ExecutionPlanMetricsSet::new(),
        };
        Ok(Arc::new(DataSinkExec::new(input, Arc::new(sink), None)))
    }
}

/// What scans have to tell the client beside their rows; an extension of the session's configuration.
#[derive(Debug, Default)]
pub struct ScanNotices(Mutex<Vec<String>>);

impl ScanNotices {
    fn add(&self, notices: Vec<String>) {
        let mut told = self.0.lock();
        for notice in notices {
            // A table that is read twice tells it once.
            if !told.contains(&notice) {
                told.push(notice);
            }
        }
    }

    /// Gives what came so far.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock())
    }
}

/// The only part of a read that has none.
struct NoRows(SchemaRef);

impl ScanPartition for NoRows {
    fn open(&self, _batch_rows: usize, _metrics: &Arc<ConnectorMetrics>) -> Result<SendableRecordBatchStream> {
        Ok(Box::pin(EmptyRecordBatchStream::new(Arc::clone(&self.0))))
    }
}

/// A planned bounded read.
#[derive(Clone)]
struct ScanExec {
    partitions: Vec<Arc<dyn ScanPartition>>,
    table: String,
    description: String,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl ScanExec {
    fn new(schema: SchemaRef, partitions: Vec<Arc<dyn ScanPartition>>, table: &str, description: &str) -> Self {
        let properties = Arc::new(PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(partitions.len()),
            EmissionType::Incremental,
            Boundedness::Bounded,
        ));
        let description = format!("{table}: {description}");
        Self { partitions, table: table.to_owned(), description, properties, metrics: ExecutionPlanMetricsSet::new() }
    }
}

impl fmt::Debug for ScanExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ScanExec({})", self.description)
    }
}

impl DisplayAs for ScanExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "ScanExec: {}", self.description)
    }
}

impl ExecutionPlan for ScanExec {
    fn name(&self) -> &'static str {
        "ScanExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> DataFusionResult<TreeNodeRecursion>,
    ) -> DataFusionResult<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        _children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> DataFusionResult<SendableRecordBatchStream> {
        let part = self
            .partitions
            .get(partition)
            .ok_or_else(|| DataFusionError::Internal(format!("scan has no partition {partition}")))?;
        let counters = match context.session_config().get_extension::<StatementCounts>() {
            Some(counts) => counts.of_table(&self.table, false),
            None => Arc::default(),
        };
        let rows = part.open(context.session_config().batch_size(), &counters)?;
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let schema = rows.schema();
        let counted = rows.inspect(move |batch| {
            if let Ok(batch) = batch {
                metrics.record_output(batch.num_rows());
            }
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, counted)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

/// Writes a bounded query's rows through a connector's sink and counts them.
struct BoundedSink {
    name: String,
    declaration: Arc<TableDeclaration>,
    schema: SchemaRef,
    sink: Arc<dyn Sink>,
    time_zone: chrono_tz::Tz,
    metrics: ExecutionPlanMetricsSet,
}

impl fmt::Debug for BoundedSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BoundedSink({})", self.name)
    }
}

impl DisplayAs for BoundedSink {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}", self.name)
    }
}

#[async_trait::async_trait]
impl DataSink for BoundedSink {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    async fn write_all(
        &self,
        mut rows: SendableRecordBatchStream,
        context: &Arc<TaskContext>,
    ) -> DataFusionResult<u64> {
        let counts = context
            .session_config()
            .get_extension::<StatementCounts>()
            .unwrap_or_else(|| StatementCounts::new(false, LengthEnforcer::default()));
        let metrics = counts.of_table(&self.name, true);
        let context = SinkContext::new(format!("insert into {}", self.name), Arc::clone(&metrics), self.time_zone)
            .with_bad_rows(Arc::clone(counts.bad_rows()));
        let constraints = SinkConstraints::of(&self.declaration, counts.length_enforcer());
        let mut writer = self.sink.open(context).await?;
        let mut count: u64 = 0;
        while let Some(batch) = rows.next().await {
            let batch = batch?;
            if batch.num_rows() > 0 {
                count += batch.num_rows() as u64;
                let batch = RecordBatch::try_new(Arc::clone(&self.schema), batch.columns().to_vec())?;
                let changes = constraints.admit(ChangeBatch::inserts(batch), counts.bad_rows())?;
                if !changes.is_empty() {
                    writer.write(changes).await?;
                }
            }
        }
        writer.flush().await?;
        MetricBuilder::new(&self.metrics)
            .global_counter("rows_written")
            .add(usize::try_from(count).unwrap_or(usize::MAX));
        let left_out = metrics.skipped.load(Ordering::Relaxed) + counts.left_out().rows();
        Ok(count.saturating_sub(left_out))
    }
}
