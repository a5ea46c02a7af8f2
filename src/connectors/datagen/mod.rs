//! datagen: rows made up from the row's number, so that a reader that starts again at a position gives the same rows again.
//! Only time stamps, which count back from now, differ.

mod generate;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use tokio::time::Instant;

use generate::Generator;

use super::connector::{Connector, Table};
use super::declaration::TableDeclaration;
use super::enumerator::{FixedSplits, Restored, SplitEnumerator};
use super::metrics::ConnectorMetrics;
use super::position::Position;
use super::scan::{Scan, ScanPartition, ScanPlan, ScanRequest};
use super::skipped_records::RowOffsets;
use super::source::{Source, SourceBatch, SplitReader, SplitRequest};
use super::split::{Split, Start};
use crate::changelog::ChangeBatch;
use crate::error::{Error, Result};
use crate::options::OptionKind::Whole;
use crate::options::{OptionEntry, OptionGroups, OptionReader, option_entries};

option_entries! {
    /// Of the table.
    TABLE:
    RATE = OptionEntry::new("rows-per-second", Whole(1, i64::MAX), "Rows that a job reads in a second.").or("10000");
    ROWS = OptionEntry::new("number-of-rows", Whole(0, i64::MAX),
        "Rows that there are. A table of a number of rows, or with a sequence, ends and can be queried.")
        .or_else("no end");
    PARALLELISM = OptionEntry::new("scan.parallelism", Whole(1, 128), "Number of readers of a job.").or("1");
}

/// The connector `datagen`.
pub struct DatagenConnector;

impl Connector for DatagenConnector {
    fn name(&self) -> &'static str {
        "datagen"
    }

    fn options(&self) -> OptionGroups {
        &[TABLE, generate::OPTIONS]
    }

    fn open(&self, options: &mut OptionReader, table: &TableDeclaration) -> Result<Table> {
        let rows_per_second: u64 = options.take_whole_or(&RATE)?;
        let number_of_rows: Option<i64> = options.take_whole(&ROWS)?;
        let parallelism: i64 = options.take_whole_or(&PARALLELISM)?;
        let schema = table.schema()?;
        let mut generators = Vec::new();
        for (index, field) in schema.fields().iter().enumerate() {
            generators.push(Generator::take(options, &table.name, index, field)?);
        }
        // The shortest sequence ends the table.
        let rows = generators.iter().filter_map(Generator::rows).chain(number_of_rows).min();
        let datagen =
            Arc::new(Datagen { name: table.name.clone(), schema, generators, rows, rows_per_second, parallelism });
        let scan = rows.is_some().then(|| Arc::new(DatagenScan(datagen.clone())) as Arc<dyn Scan>);
        Ok(Table { source: Some(Arc::new(DatagenSource(datagen))), scan, ..Table::default() })
    }
}

struct Datagen {
    name: String,
    schema: SchemaRef,
    generators: Vec<Generator>,
    rows: Option<i64>,
    rows_per_second: u64,
    parallelism: i64,
}

impl Datagen {
    /// How many rows split `split` has: every `parallelism`-th row is its.
    fn end(&self, split: i64) -> Option<i64> {
        self.rows.map(|rows| (rows - split + self.parallelism - 1).max(0) / self.parallelism)
    }

    /// Rows `from..to` of a split.
    fn batch(&self, split: i64, from: i64, to: i64, projection: &[usize]) -> Result<RecordBatch> {
        let schema = Arc::new(self.schema.project(projection)?);
        let numbers: Vec<i64> = (from..to).map(|position| position * self.parallelism + split).collect();
        let columns =
            projection.iter().map(|index| self.generators[*index].column(&numbers)).collect::<Result<Vec<_>>>()?;
        let count = RecordBatchOptions::new().with_row_count(Some(numbers.len()));
        Ok(RecordBatch::try_new_with_options(schema, columns, &count)?)
    }
}

struct DatagenSource(Arc<Datagen>);

#[async_trait]
impl Source for DatagenSource {
    fn is_bounded(&self) -> bool {
        self.0.rows.is_some()
    }

    fn enumerator(&self, _restored: Restored<'_>) -> Result<Box<dyn SplitEnumerator>> {
        let split = |number: i64| Split {
            id: number.to_string(),
            resource: format!("datagen://{}/{number}", self.0.name),
            group: None,
        };
        Ok(Box::new(FixedSplits((0..self.0.parallelism).map(split).collect())))
    }

    async fn open(&self, request: SplitRequest<'_>) -> Result<Box<dyn SplitReader>> {
        let SplitRequest { split: Split { id, .. }, start, end, projection, metrics, .. } = request;
        let split = id.parse().map_err(|_| Error::corrupt(format!("\"{id}\" is no split of a datagen source")))?;
        let position = match start {
            Start::At(position) => position.expect_offset(id)?,
            Start::AsDeclared | Start::Beginning => FIRST_ROW,
        };
        let end = end.map(|end| end.expect_offset(id)).transpose()?;
        Ok(Box::new(DatagenReader {
            datagen: self.0.clone(),
            split,
            projection: projection.to_vec(),
            position,
            end,
            begun: Instant::now(),
            first: position,
            metrics,
        }))
    }
}

struct DatagenReader {
    datagen: Arc<Datagen>,
    split: i64,
    projection: Vec<usize>,
    /// Number of the next row of the split.
    position: i64,
    /// Where it ends before the options say so.
    end: Option<i64>,
    /// When row `first` was due.
    begun: Instant,
    first: i64,
    metrics: Arc<ConnectorMetrics>,
}

/// Number of a split's first row.
const FIRST_ROW: i64 = 0;
/// Rows of a batch at most.
const BATCH_ROWS_MAX: i64 = 8192;
/// Rows that are due within this time come in one batch.
const TICK: Duration = Duration::from_millis(10);

impl DatagenReader {
    /// Rows due until `elapsed`, counted from `first`.
    fn due(&self, elapsed: Duration) -> i64 {
        let per_split = u128::from(self.datagen.rows_per_second);
        let due = elapsed.as_nanos() * per_split / (1_000_000_000 * self.datagen.parallelism.unsigned_abs() as u128);
        i64::try_from(due).unwrap_or(i64::MAX)
    }

    fn due_at(&self, row: i64) -> Instant {
        let nanos = (row - self.first) as u128 * 1_000_000_000 * self.datagen.parallelism.unsigned_abs() as u128
            / u128::from(self.datagen.rows_per_second);
        self.begun + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

#[async_trait]
impl SplitReader for DatagenReader {
    fn position(&self) -> Position {
        Position::Offset(self.position)
    }

    async fn next(&mut self) -> Result<Option<SourceBatch>> {
        let end = self.datagen.end(self.split).into_iter().chain(self.end).min().unwrap_or(i64::MAX);
        if self.position >= end {
            return Ok(None);
        }
        let due = loop {
            let due = self.first + self.due(self.begun.elapsed()) + 1;
            if due > self.position {
                break due.min(end);
            }
            // At low rates until the row is due, at high ones until there is a handful.
            tokio::time::sleep_until(self.due_at(self.position).max(Instant::now() + TICK)).await;
        };
        if due - self.position > BATCH_ROWS_MAX * 4 {
            // The taker was away: the rate goes on from now, nothing is made up for.
            self.begun = Instant::now();
            self.first = self.position;
        }
        let to = due.min(self.position + BATCH_ROWS_MAX);
        let rows = self.datagen.batch(self.split, self.position, to, &self.projection)?;
        self.position = to;
        ConnectorMetrics::add(&self.metrics.rows, rows.num_rows());
        let bytes = rows.get_array_memory_size() as u64;
        ConnectorMetrics::add(&self.metrics.bytes, bytes as usize);
        Ok(Some(SourceBatch {
            changes: ChangeBatch::inserts(rows),
            position: Position::Offset(to),
            bytes,
            offsets: RowOffsets::default(),
        }))
    }
}

/// A bounded table read by a query: as fast as it can be taken.
struct DatagenScan(Arc<Datagen>);

#[async_trait]
impl Scan for DatagenScan {
    fn pushdown(&self, filters: &[&Expr]) -> Vec<TableProviderFilterPushDown> {
        vec![TableProviderFilterPushDown::Unsupported; filters.len()]
    }

    async fn plan(&self, request: ScanRequest) -> Result<ScanPlan> {
        let partitions = (0..self.0.parallelism)
            .map(|split| {
                let part = DatagenPart { datagen: self.0.clone(), split, request: request.clone() };
                Arc::new(part) as Arc<dyn ScanPartition>
            })
            .collect();
        let description = format!("datagen, {} rows", self.0.rows.unwrap_or_default());
        Ok(ScanPlan { partitions, description, notices: Vec::new() })
    }
}

struct DatagenPart {
    datagen: Arc<Datagen>,
    split: i64,
    request: ScanRequest,
}

impl ScanPartition for DatagenPart {
    fn open(&self, batch_rows: usize, _metrics: &Arc<ConnectorMetrics>) -> Result<SendableRecordBatchStream> {
        let schema = Arc::new(self.datagen.schema.project(&self.request.projection)?);
        let (datagen, split, projection) = (self.datagen.clone(), self.split, self.request.projection.clone());
        let limit = self.request.limit.and_then(|limit| i64::try_from(limit).ok()).unwrap_or(i64::MAX);
        let end = datagen.end(split).unwrap_or_default().min(limit);
        let step = i64::try_from(batch_rows.max(1)).unwrap_or(BATCH_ROWS_MAX);
        let batches = (0..end)
            .step_by(usize::try_from(step).unwrap_or(1))
            .map(move |from| Ok(datagen.batch(split, from, end.min(from.saturating_add(step)), &projection)?));
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, futures::stream::iter(batches))))
    }
}

#[cfg(test)]
mod tests;
