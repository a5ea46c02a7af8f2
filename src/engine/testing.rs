//! Tables in memory for tests of the engine: sources that give rows one by one, lookups that count requests,
//! sinks that keep rows and acknowledge when told.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use async_trait::async_trait;
use datafusion::arrow::array::{RecordBatch, StringArray, UInt32Array};
use datafusion::arrow::compute::{cast, concat_batches, take_record_batch};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::util::display::array_value_to_string;
use datafusion::execution::FunctionRegistry;
use datafusion::execution::context::SessionContext;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::SessionConfig;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::changelog::ChangeBatch;
use crate::clock::{Clock, SystemClock};
use crate::connectors::table_provider::ConnectorTable;
use crate::connectors::*;
use crate::error::{Error, Result};
use crate::options::OptionValue;

/// A table declaration from `name type, …`; the first `keys` columns are the primary key.
pub fn declare(name: &str, columns: &str, keys: usize) -> TableDeclaration {
    let columns: Vec<ColumnDeclaration> = columns
        .split(", ")
        .map(|column| {
            let (name, sql_type) = column.split_once(' ').unwrap();
            ColumnDeclaration {
                name: name.to_owned(),
                sql_type: sql_type.to_owned(),
                nullable: true,
                kind: ColumnKind::Physical,
            }
        })
        .collect();
    TableDeclaration {
        local: None,
        name: name.to_owned(),
        primary_key: columns.iter().take(keys).map(|column| column.name.clone()).collect(),
        columns,
        partitioned_by: Vec::new(),
        options: BTreeMap::from([("connector".to_owned(), OptionValue::Plain("memory".to_owned()))]),
    }
}

/// Rows from text: a line a row, `,` between columns, `-` for NULL; cast to the declared types.
pub fn rows(declaration: &TableDeclaration, text: &str) -> RecordBatch {
    let schema = declaration.schema().unwrap();
    let lines: Vec<Vec<&str>> =
        text.lines().map(str::trim).filter(|line| !line.is_empty()).map(|line| line.split(',').collect()).collect();
    let columns = (0..schema.fields().len())
        .map(|index| {
            let texts: StringArray = lines.iter().map(|line| Some(line[index]).filter(|value| *value != "-")).collect();
            cast(&texts, schema.field(index).data_type()).unwrap()
        })
        .collect();
    RecordBatch::try_new(schema, columns).unwrap()
}

/// Rows as text, sorted.
pub fn text(batches: &[RecordBatch]) -> Vec<String> {
    let mut lines: Vec<String> = batches
        .iter()
        .flat_map(|batch| {
            (0..batch.num_rows()).map(|row| {
                let cells: Vec<String> =
                    batch
                        .columns()
                        .iter()
                        .map(|column| {
                            if column.is_null(row) {
                                "-".to_owned()
                            } else {
                                array_value_to_string(column, row).unwrap()
                            }
                        })
                        .collect();
                cells.join(",")
            })
        })
        .collect();
    lines.sort();
    lines
}

/// A table in memory with every part.
pub struct Memory {
    pub declaration: TableDeclaration,
    pub rows: RecordBatch,
    pub bounded: bool,
    /// Splits, each of which gives all rows, once every one has been asked for some: what they have ready they have together.
    pub parts: usize,
    pub asked: watch::Sender<usize>,
    pub key_requests: AtomicU64,
    pub keys_asked: AtomicU64,
    pub written: Mutex<Vec<RecordBatch>>,
    pub acknowledge: bool,
    /// Asking for its splits is an error that may pass.
    pub is_away: AtomicBool,
    pub open_writers: AtomicUsize,
    pub kind: SinkKind,
}

impl Memory {
    pub fn new(declaration: TableDeclaration, text: &str) -> Arc<Self> {
        Self::with(declaration, text, true, true)
    }

    pub fn with(declaration: TableDeclaration, text: &str, bounded: bool, acknowledge: bool) -> Arc<Self> {
        Arc::new(Self::of_parts(1, declaration, text, bounded, acknowledge))
    }

    pub fn of_parts(parts: usize, declaration: TableDeclaration, text: &str, bounded: bool, acknowledge: bool) -> Self {
        Self {
            parts,
            asked: watch::Sender::new(0),
            rows: rows(&declaration, text),
            declaration,
            bounded,
            key_requests: AtomicU64::new(0),
            keys_asked: AtomicU64::new(0),
            written: Mutex::default(),
            acknowledge,
            is_away: AtomicBool::new(false),
            open_writers: AtomicUsize::new(0),
            kind: SinkKind::Append,
        }
    }

    pub fn table(self: &Arc<Self>) -> Table {
        let part = || Arc::new(MemoryPart(Arc::clone(self)));
        Table { source: Some(part()), scan: None, lookup: Some(part()), sink: Some(part()) }
    }

    pub fn provider(self: &Arc<Self>) -> Arc<ConnectorTable> {
        Arc::new(ConnectorTable::new(Arc::new(self.declaration.clone()), self.table()).unwrap())
    }
}

struct MemoryPart(Arc<Memory>);

#[async_trait]
impl Source for MemoryPart {
    fn is_bounded(&self) -> bool {
        self.0.bounded
    }

    fn enumerator(&self, _restored: Restored<'_>) -> Result<Box<dyn SplitEnumerator>> {
        Ok(Box::new(MemorySplits(Arc::clone(&self.0))))
    }

    async fn open(&self, request: SplitRequest<'_>) -> Result<Box<dyn SplitReader>> {
        let SplitRequest { split, start, projection, .. } = request;
        let rows = self.0.rows.project(projection).unwrap();
        let next = row_at(&start, &split.id);
        Ok(Box::new(MemoryReader { memory: Arc::clone(&self.0), rows, next, has_asked: false }))
    }
}

/// The row at which a split begins whose positions count rows.
pub fn row_at(start: &Start, split: &str) -> i64 {
    match start {
        Start::At(position) => position.expect_offset(split).unwrap(),
        Start::AsDeclared | Start::Beginning => 0,
    }
}

struct MemorySplits(Arc<Memory>);

#[async_trait]
impl SplitEnumerator for MemorySplits {
    async fn discover(&mut self) -> Result<Discovery> {
        if self.0.is_away.load(Ordering::Relaxed) {
            return Err(Error::unavailable("the source is away"));
        }
        let name = &self.0.declaration.name;
        let split = |part: usize| Split {
            id: format!("{name}/{part}"),
            resource: format!("memory://{name}/{part}"),
            group: None,
        };
        FixedSplits((0..self.0.parts).map(split).collect()).discover().await
    }

    fn is_over(&self, _split: &str) -> bool {
        false
    }
}

struct MemoryReader {
    memory: Arc<Memory>,
    rows: RecordBatch,
    next: i64,
    has_asked: bool,
}

#[async_trait]
impl SplitReader for MemoryReader {
    fn position(&self) -> Position {
        Position::Offset(self.next)
    }

    async fn next(&mut self) -> Result<Option<SourceBatch>> {
        let memory = &self.memory;
        if !std::mem::replace(&mut self.has_asked, true) {
            memory.asked.send_modify(|asked| *asked += 1);
        }
        // Not where nothing is waited for: tokio makes what is always ready pause now and then.
        if *memory.asked.borrow() < memory.parts {
            memory.asked.subscribe().wait_for(|asked| *asked >= memory.parts).await.unwrap();
        }
        let at = usize::try_from(self.next).unwrap();
        if at >= self.rows.num_rows() {
            if memory.bounded {
                return Ok(None);
            }
            std::future::pending::<()>().await;
        }
        let length = (self.rows.num_rows() - at).min(2);
        self.next += i64::try_from(length).unwrap();
        let changes = ChangeBatch::inserts(self.rows.slice(at, length));
        Ok(Some(SourceBatch { changes, position: self.position(), bytes: 0, offsets: RowOffsets::default() }))
    }
}

#[async_trait]
impl Lookup for MemoryPart {
    async fn key(&self) -> Result<Vec<usize>> {
        Ok(vec![0])
    }

    async fn lookup(&self, request: LookupRequest, _metrics: &ConnectorMetrics) -> Result<LookupResponse> {
        self.0.key_requests.fetch_add(1, Ordering::Relaxed);
        self.0.keys_asked.fetch_add(request.keys.num_rows() as u64, Ordering::Relaxed);
        let mut found = Vec::new();
        let mut key_index = Vec::new();
        for key in 0..request.keys.num_rows() {
            for row in 0..self.0.rows.num_rows() {
                let equal = request.key_columns.iter().enumerate().all(|(place, column)| {
                    array_value_to_string(request.keys.column(place), key).unwrap()
                        == array_value_to_string(self.0.rows.column(*column), row).unwrap()
                });
                if equal {
                    found.push(u32::try_from(row).unwrap());
                    key_index.push(u32::try_from(key).unwrap());
                }
            }
        }
        let rows = take_record_batch(&self.0.rows.project(&request.projection).unwrap(), &UInt32Array::from(found))?;
        Ok(LookupResponse { rows, key_index: key_index.into() })
    }

    fn resource(&self) -> String {
        format!("memory://{}", self.0.declaration.name)
    }
}

#[async_trait]
impl Sink for MemoryPart {
    async fn kind(&self) -> Result<SinkKind> {
        Ok(self.0.kind.clone())
    }

    async fn open(&self, _context: SinkContext) -> Result<Box<dyn SinkWriter>> {
        self.0.open_writers.fetch_add(1, Ordering::Relaxed);
        Ok(Box::new(MemoryWriter { memory: Arc::clone(&self.0), sequences: 0, acknowledged: watch::Sender::new(0) }))
    }

    fn resource(&self) -> String {
        format!("memory://{}", self.0.declaration.name)
    }
}

struct MemoryWriter {
    memory: Arc<Memory>,
    sequences: u64,
    acknowledged: watch::Sender<u64>,
}

#[async_trait]
impl SinkWriter for MemoryWriter {
    async fn write(&mut self, batch: ChangeBatch) -> Result<u64> {
        self.memory.written.lock().push(batch.rows().clone());
        self.sequences += 1;
        if self.memory.acknowledge {
            self.acknowledged.send_replace(self.sequences);
        }
        Ok(self.sequences)
    }

    fn acknowledged(&self) -> watch::Receiver<u64> {
        self.acknowledged.subscribe()
    }

    async fn flush(&mut self) -> Result<()> {
        if self.memory.acknowledge { Ok(()) } else { Err(Error::unavailable("the sink does not answer")) }
    }
}

impl Drop for MemoryWriter {
    fn drop(&mut self) {
        self.memory.open_writers.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A session over tables in memory.
pub fn session(tables: &[&Arc<Memory>]) -> SessionContext {
    // As sessions of the server have it.
    let mut config = SessionConfig::new().set_bool("datafusion.sql_parser.map_string_types_to_utf8view", false);
    config.options_mut().extensions.insert(crate::functions::memory::ValueLimit(usize::MAX));
    let mut context = SessionContext::new_with_config(config);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    for function in crate::functions::registry::all(&clock) {
        context.register_udf(function.as_ref().clone());
    }
    context.register_udaf(crate::functions::exact_sums::sum());
    context.register_udaf(crate::functions::exact_sums::avg());
    for planner in crate::functions::coercion::planners() {
        context.register_expr_planner(planner).unwrap();
    }
    context.add_analyzer_rule(Arc::new(crate::functions::coercion::Numerics));
    for table in tables {
        context.register_table(table.declaration.name.as_str(), table.provider()).unwrap();
    }
    context
}

/// The optimised plan of a query.
pub async fn plan(context: &SessionContext, sql: &str) -> LogicalPlan {
    context.sql(sql).await.unwrap().into_optimized_plan().unwrap()
}

/// All written rows in one batch.
pub fn written(memory: &Memory) -> RecordBatch {
    let batches = memory.written.lock();
    let schema: SchemaRef = batches.first().map_or_else(|| memory.rows.schema(), RecordBatch::schema);
    concat_batches(&schema, batches.iter()).unwrap()
}
