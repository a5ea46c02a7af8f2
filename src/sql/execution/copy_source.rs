//! The rows of COPY … FROM as a relation that is read once: texts from bytes that a client sends, cast to the columns' types. What cannot be
//! read or cast is told with its line and its column, as PostgreSQL does.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::arrow::array::{ArrayRef, StringBuilder};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::catalog::streaming::StreamingTable;
use datafusion::common::{Column, DFSchema};
use datafusion::execution::session_state::SessionState;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::expr::Cast;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use futures::stream;
use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::data_type::{NamedText, is_unconstrained_numeric, to_flink};
use crate::error::{Error, Result};
use crate::functions::coercion::{field_of, rewrite_all};
use crate::sql::copy_format::CopyInput;
use crate::sql::copy_rows::CopyRows;

/// Pieces of bytes that may wait: as many messages of the client's.
const PIECES_AHEAD: usize = 4;
/// Rows of a batch.
const BATCH_ROWS: usize = 8192;
/// Bytes of texts after which a batch is complete.
const BATCH_BYTES: usize = 4 << 20;

/// What the client sends: bytes, or why it gives up.
pub type Pieces = mpsc::Sender<Result<Bytes>>;

/// What is read once.
struct Reading {
    pieces: mpsc::Receiver<Result<Bytes>>,
    rows: CopyRows,
    batch: Batch,
    ended: bool,
}

/// Rows that are not given yet.
struct Batch {
    /// Of the columns' texts.
    texts: SchemaRef,
    /// What makes a column's values of its text.
    casts: Vec<Arc<dyn PhysicalExpr>>,
    schema: SchemaRef,
    columns: Vec<StringBuilder>,
    lines: Vec<u64>,
    bytes: usize,
}

/// A relation of the rows that will come.
pub struct CopySource {
    schema: SchemaRef,
    reading: Mutex<Option<Reading>>,
}

impl fmt::Debug for CopySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CopySource")
    }
}

/// A relation with these columns, and where its bytes are to be sent.
///
/// # Errors
/// A column has a type that no text can be cast to.
pub fn open(input: CopyInput, columns: &[Field], state: &SessionState) -> Result<(Arc<StreamingTable>, Pieces)> {
    let names: Vec<String> = columns.iter().map(|field| field.name().clone()).collect();
    let fields: Vec<Field> = columns.iter().map(|field| field.clone().with_nullable(true)).collect();
    let schema: SchemaRef = Arc::new(Schema::new(fields));
    let texts: Vec<Field> = names.iter().map(|name| Field::new(name, DataType::Utf8, true)).collect();
    let texts: SchemaRef = Arc::new(Schema::new(texts));
    let of_texts = DFSchema::try_from(texts.as_ref().clone())?;
    let zone: Arc<str> = state.config_options().execution.time_zone.as_deref().unwrap_or("UTC").into();
    let casts = columns.iter().map(|field| {
        let cast = rewrite_all(cast_of(field), &of_texts, &zone)?;
        Ok(state.create_physical_expr(cast, &of_texts)?)
    });
    let batch = Batch {
        casts: casts.collect::<Result<Vec<_>>>()?,
        columns: names.iter().map(|_| StringBuilder::new()).collect(),
        schema: schema.clone(),
        lines: Vec::new(),
        bytes: 0,
        texts,
    };
    let (sender, pieces) = mpsc::channel(PIECES_AHEAD);
    let reading = Reading { pieces, rows: CopyRows::new(input, names), batch, ended: false };
    let source: Arc<dyn PartitionStream> =
        Arc::new(CopySource { schema: schema.clone(), reading: Mutex::new(Some(reading)) });
    Ok((Arc::new(StreamingTable::try_new(schema, vec![source])?), sender))
}

/// The value of a column, of a text as an INSERT assigns it.
fn cast_of(field: &Field) -> Expr {
    let text = Expr::Column(Column::new_unqualified(field.name()));
    let data_type = field.data_type();
    let to = match (NamedText::of(field), data_type) {
        (Some(named), _) => named.field(""),
        (None, DataType::Utf8) => return text,
        (None, DataType::Binary) => field_of(DataType::Binary, "BYTEA"),
        (None, data_type) if is_unconstrained_numeric(data_type) => field_of(data_type.clone(), "NUMERIC"),
        (None, data_type) => field_of(data_type.clone(), &to_flink(data_type)),
    };
    Expr::Cast(Cast::new_from_field(Box::new(text), Arc::new(to)))
}

impl PartitionStream for CopySource {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let reading = self.reading.lock().take();
        let batches = stream::try_unfold(reading, |reading| async move {
            let mut reading = reading.ok_or_else(|| Error::internal("the rows of a COPY are read once"))?;
            Ok(reading.next().await?.map(|batch| (batch, Some(reading))))
        });
        Box::pin(RecordBatchStreamAdapter::new(self.schema.clone(), batches))
    }
}

impl Reading {
    /// The next rows; `None` behind the last.
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        while !self.ended && !self.batch.is_complete() {
            let batch = &mut self.batch;
            let mut take = |line, values| {
                batch.add(line, values);
                Ok(())
            };
            match self.pieces.recv().await {
                Some(piece) => self.rows.push(&piece?, &mut take)?,
                None => {
                    self.rows.finish(&mut take)?;
                    self.ended = true;
                }
            }
        }
        if self.batch.lines.is_empty() { Ok(None) } else { self.batch.take().map(Some) }
    }
}

impl Batch {
    fn is_complete(&self) -> bool {
        self.lines.len() >= BATCH_ROWS || self.bytes >= BATCH_BYTES
    }

    fn add(&mut self, line: u64, values: Vec<Option<String>>) {
        for (column, value) in self.columns.iter_mut().zip(values) {
            self.bytes += value.as_ref().map_or(0, String::len);
            column.append_option(value);
        }
        self.lines.push(line);
    }

    fn take(&mut self) -> Result<RecordBatch> {
        let texts: Vec<ArrayRef> =
            self.columns.iter_mut().map(|column| -> ArrayRef { Arc::new(column.finish()) }).collect();
        let lines = std::mem::take(&mut self.lines);
        self.bytes = 0;
        let options = RecordBatchOptions::new().with_row_count(Some(lines.len()));
        let texts = RecordBatch::try_new_with_options(self.texts.clone(), texts, &options)?;
        let columns = self.casts.iter().enumerate().map(|(column, cast)| {
            compute(cast.as_ref(), &texts).map_err(|error| self.place(error, column, &texts, &lines))
        });
        Ok(RecordBatch::try_new_with_options(self.schema.clone(), columns.collect::<Result<Vec<_>>>()?, &options)?)
    }

    /// The error of the first row that has one, with its place.
    fn place(&self, of_all: Error, column: usize, texts: &RecordBatch, lines: &[u64]) -> Error {
        let name = self.schema.field(column).name();
        let of_row =
            |row: usize| compute(self.casts[column].as_ref(), &texts.slice(row, 1)).err().map(|error| (row, error));
        match (0..texts.num_rows()).find_map(of_row) {
            Some((row, error)) => error.context(format!("line {}, column {name}", lines[row])),
            None => of_all.context(format!("column {name}")),
        }
    }
}

fn compute(cast: &dyn PhysicalExpr, rows: &RecordBatch) -> Result<ArrayRef> {
    let value = cast.evaluate(rows).and_then(|value| value.into_array(rows.num_rows()));
    value.map_err(Error::of_evaluation)
}
