//! Records → rows of the projected columns: value, key and metadata put together. Knows no queues and no positions.
//! In an upsert table a record without a value is the delete of its key: a `-D` with only the key's columns set.

use std::sync::Arc;

use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::arrow::record_batch::{RecordBatch, RecordBatchOptions};

use super::consumer::Record;
use crate::changelog::{ChangeBatch, Changelog, RowKind};
use crate::connectors::kafka::options::{ColumnSource, KafkaOptions, Metadata};
use crate::connectors::skipped_records::RowOffsets;
use crate::error::Result;
use crate::formats::columns::{Column, Values};
use crate::formats::{Decoded, Decoder};

enum Output {
    Value(usize),
    Key(usize),
    Metadata(usize),
}

/// Collects rows until a batch is taken.
pub(crate) struct RowReader {
    schema: SchemaRef,
    outputs: Vec<Output>,
    value: Box<dyn Decoder>,
    key: Option<Box<dyn Decoder>>,
    metadata: Vec<(Metadata, DataType, Column)>,
    changelog: Changelog,
    rows: usize,
    /// In an upsert table: the rows that are deletes.
    deletes: Vec<usize>,
    offsets: RowOffsets,
}

impl RowReader {
    pub fn new(options: &KafkaOptions, projection: &[usize]) -> Result<Self> {
        let schema = Arc::new(options.schema.project(projection)?);
        let (mut outputs, mut values, mut keys, mut metadata) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for index in projection {
            outputs.push(match options.columns[*index] {
                ColumnSource::Value(field) => {
                    values.push(field);
                    Output::Value(values.len() - 1)
                }
                ColumnSource::Key(field) => {
                    keys.push(field);
                    Output::Key(keys.len() - 1)
                }
                ColumnSource::Metadata { metadata: which, .. } => {
                    let declared = options.schema.field(*index).data_type().clone();
                    let own = which.own_type().unwrap_or_else(|| declared.clone());
                    metadata.push((which, declared, Column::new(&own)?));
                    Output::Metadata(metadata.len() - 1)
                }
            });
        }
        let key = match &options.key_format {
            Some(format) if !keys.is_empty() => Some(format.decoder(&options.key_fields, &keys)?),
            _ => None,
        };
        let value = options.value_format.decoder(&options.value_fields, &values)?;
        let changelog = options.changelog;
        Ok(Self {
            schema,
            outputs,
            value,
            key,
            metadata,
            changelog,
            rows: 0,
            deletes: Vec::new(),
            offsets: RowOffsets::default(),
        })
    }

    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    pub fn len(&self) -> usize {
        self.rows
    }

    /// Adds the rows of a record; on an error nothing is added.
    pub fn push(&mut self, topic: &str, partition: i32, record: Record<'_>) -> Result<Decoded> {
        let is_upsert = self.changelog == Changelog::Upsert;
        if is_upsert && record.key().is_none() {
            return Ok(Decoded { rows: 0, skipped: 1, nulled: 0 });
        }
        let mut decoded = match record.value() {
            Some(value) => self.value.decode(value)?,
            None if is_upsert => {
                self.value.push_blank();
                Decoded { rows: 1, ..Decoded::default() }
            }
            // Change records say their deletes themselves: what follows one is for Kafka's compaction.
            None if self.changelog == Changelog::Retract => return Ok(Decoded::default()),
            // A record without a value is no row.
            None => return Ok(Decoded { rows: 0, skipped: 1, nulled: 0 }),
        };
        if let Some(key) = &mut self.key {
            for _ in 0..decoded.rows {
                let key_rows = match record.key().map(|bytes| key.decode(bytes)) {
                    Some(Ok(key_rows)) => {
                        decoded.nulled += key_rows.nulled;
                        key_rows.rows
                    }
                    None => 0,
                    Some(Err(error)) => {
                        self.value.truncate(self.rows);
                        key.truncate(self.rows);
                        return Err(error.context("key"));
                    }
                };
                if key_rows != 1 {
                    self.value.truncate(self.rows);
                    key.truncate(self.rows);
                    return Ok(Decoded { rows: 0, skipped: 1, nulled: 0 });
                }
            }
        }
        for (which, _, column) in &mut self.metadata {
            for _ in 0..decoded.rows {
                append_metadata(*which, column, topic, partition, record);
            }
        }
        if is_upsert && record.value().is_none() {
            self.deletes.push(self.rows);
        }
        self.offsets.push(self.rows, decoded.rows, record.offset());
        self.rows += decoded.rows;
        Ok(decoded)
    }

    /// The rows collected, and which records they come from.
    pub fn take(&mut self) -> Result<(ChangeBatch, RowOffsets)> {
        let mut kinds = self.value.take_kinds();
        if !self.deletes.is_empty() {
            let kinds = kinds.insert(vec![RowKind::Insert; self.rows]);
            self.deletes.drain(..).for_each(|row| kinds[row] = RowKind::Delete);
        }
        let values = self.value.finish()?;
        let keys = self.key.as_mut().map(|key| key.finish()).transpose()?.unwrap_or_default();
        let metadata = self
            .metadata
            .iter_mut()
            .map(|(_, declared, column)| {
                let array = column.finish()?;
                Ok(if array.data_type() == declared { array } else { cast(&array, declared)? })
            })
            .collect::<Result<Vec<ArrayRef>>>()?;
        let columns = self
            .outputs
            .iter()
            .map(|output| match output {
                Output::Value(index) => values[*index].clone(),
                Output::Key(index) => keys[*index].clone(),
                Output::Metadata(index) => metadata[*index].clone(),
            })
            .collect();
        let count = RecordBatchOptions::new().with_row_count(Some(self.rows));
        self.rows = 0;
        let rows = RecordBatch::try_new_with_options(self.schema.clone(), columns, &count)?;
        let changes = match kinds {
            Some(kinds) => ChangeBatch::changes(rows, kinds.into()),
            None => ChangeBatch::inserts(rows),
        };
        Ok((changes, std::mem::take(&mut self.offsets)))
    }
}

fn append_metadata(which: Metadata, column: &mut Column, topic: &str, partition: i32, record: Record<'_>) {
    match (which, column.values()) {
        (Metadata::Topic, _) => column.append_bytes(topic.as_bytes()),
        (Metadata::TimestampType, _) => column.append_bytes(record.timestamp().1.as_bytes()),
        (Metadata::Partition, Values::Int32(values)) => {
            values.push(partition);
            column.accept();
        }
        (Metadata::Offset, Values::Int64(values)) => {
            values.push(record.offset());
            column.accept();
        }
        (Metadata::Timestamp, Values::Timestamp { values, .. }) => match record.timestamp().0 {
            Some(millis) => {
                values.push(millis);
                column.accept();
            }
            None => column.append_null(),
        },
        (Metadata::LeaderEpoch, Values::Int32(values)) => match record.leader_epoch() {
            Some(epoch) => {
                values.push(epoch);
                column.accept();
            }
            None => column.append_null(),
        },
        (Metadata::Headers, Values::Map { ends, keys, values, .. }) => {
            record.headers(|name, value| {
                keys.append_bytes(String::from_utf8_lossy(name).as_bytes());
                match value {
                    Some(value) => values.append_bytes(value),
                    None => values.append_null(),
                }
            });
            ends.push(keys.len() as i32);
            column.accept();
        }
        _ => column.append_null(),
    }
}
