//! letters: the first letters of the alphabet as a bounded table. In tests only: it is the connector that docs/adding.md tells how to add,
//! with a scan, options and a secret. A column of text holds the letter, a column of type INT its place, from 1.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::{ArrayRef, Int32Array, StringArray};
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_plan::memory::MemoryStream;

use super::connector::{Connector, Table};
use super::declaration::TableDeclaration;
use super::metrics::ConnectorMetrics;
use super::scan::{Scan, ScanPartition, ScanPlan, ScanRequest};
use crate::data_type::to_flink;
use crate::error::{Error, Result};
use crate::options::OptionKind::Whole;
use crate::options::{OptionEntry, OptionGroups, OptionReader, option_entries};

const ALPHABET: u8 = 26;

option_entries! {
    /// Of the alphabet.
    LETTERS:
    COUNT = OptionEntry::new("count", Whole(0, ALPHABET as i64), "How many letters there are.").or("26");
    UPPER_CASE = OptionEntry::flag("upper-case", "false", "Whether letters are capital.");
    SHIFT = OptionEntry::new("cipher.shift", Whole(0, u8::MAX as i64),
        "By how many places of the alphabet each letter is moved on.").or("0").secret();
}

/// All options of a table.
pub const OPTIONS: OptionGroups = &[LETTERS];

/// The connector `letters`.
pub struct LettersConnector;

impl Connector for LettersConnector {
    fn name(&self) -> &'static str {
        "letters"
    }

    fn options(&self) -> OptionGroups {
        OPTIONS
    }

    fn open(&self, options: &mut OptionReader, table: &TableDeclaration) -> Result<Table> {
        let letters = Letters {
            count: options.take_whole_or(&COUNT)?,
            is_upper: options.take_flag_or(&UPPER_CASE)?,
            shift: options.take_whole_or(&SHIFT)?,
            schema: table.schema()?,
        };
        for field in letters.schema.fields() {
            if !matches!(field.data_type(), DataType::Utf8 | DataType::Int32) {
                return Err(Error::unsupported(format!(
                    "column \"{}\" of connector \"letters\" cannot have type {}",
                    field.name(),
                    to_flink(field.data_type())
                ))
                .hint("Use STRING for the letter, or INT for its place."));
            }
        }
        Ok(Table { scan: Some(Arc::new(letters)), ..Table::default() })
    }
}

#[derive(Clone)]
struct Letters {
    count: u8,
    is_upper: bool,
    /// By how many places of the alphabet each letter is moved on.
    shift: u8,
    schema: SchemaRef,
}

impl Letters {
    fn letter(&self, place: u8) -> String {
        let first = if self.is_upper { b'A' } else { b'a' };
        char::from(first + (place + self.shift % ALPHABET) % ALPHABET).to_string()
    }

    fn rows(&self, request: &ScanRequest) -> Result<RecordBatch> {
        let schema = Arc::new(self.schema.project(&request.projection)?);
        let count = request.limit.and_then(|limit| u8::try_from(limit).ok()).map_or(self.count, |l| l.min(self.count));
        let columns = schema.fields().iter().map(|field| match field.data_type() {
            DataType::Int32 => {
                Arc::new((0..count).map(|place| i32::from(place) + 1).collect::<Int32Array>()) as ArrayRef
            }
            _ => Arc::new((0..count).map(|place| Some(self.letter(place))).collect::<StringArray>()),
        });
        let columns = columns.collect();
        // A query that counts rows asks for no column.
        let options = RecordBatchOptions::new().with_row_count(Some(count.into()));
        Ok(RecordBatch::try_new_with_options(schema, columns, &options)?)
    }
}

#[async_trait]
impl Scan for Letters {
    fn pushdown(&self, filters: &[&Expr]) -> Vec<TableProviderFilterPushDown> {
        vec![TableProviderFilterPushDown::Unsupported; filters.len()]
    }

    async fn plan(&self, request: ScanRequest) -> Result<ScanPlan> {
        let part = Part(self.rows(&request)?);
        let description = format!("letters, {} rows", part.0.num_rows());
        Ok(ScanPlan { partitions: vec![Arc::new(part)], description, notices: Vec::new() })
    }
}

struct Part(RecordBatch);

impl ScanPartition for Part {
    fn open(&self, _batch_rows: usize, metrics: &Arc<ConnectorMetrics>) -> Result<SendableRecordBatchStream> {
        ConnectorMetrics::add(&metrics.rows, self.0.num_rows());
        Ok(Box::pin(MemoryStream::try_new(vec![self.0.clone()], self.0.schema(), None)?))
    }
}
