//! Changes → the records that are written for them: key, value or tombstone, timestamp, headers. Knows no producer.
//! Under a key (`upsert-kafka`) the last row stands: a `-U` whose `+U` follows with the same key gives no record, any other
//! `-U` and every `-D` gives a tombstone, and a row whose key has a NULL is left out and counted.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, UInt32Array};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, TimeUnit, TimestampMillisecondType};
use datafusion::arrow::record_batch::RecordBatch;
use rdkafka::message::{Header, OwnedHeaders};

use super::outgoing::Outgoing;
use crate::changelog::{ChangeBatch, Changelog, RowKind};
use crate::connectors::bad_rows::{BadRows, row_text};
use crate::connectors::kafka::options::{ColumnSource, KafkaOptions, Metadata};
use crate::error::{Error, ErrorKind, Result};
use crate::formats::{EncodedRows, Encoder};

/// How often at most left-out rows are logged.
const WARNING_INTERVAL: Duration = Duration::from_secs(10);

/// Makes records of a table's rows.
pub(super) struct RecordMaker {
    options: Arc<KafkaOptions>,
    key: Option<Box<dyn Encoder>>,
    value: Box<dyn Encoder>,
    timestamp: Option<usize>,
    headers: Option<usize>,
    bad_rows: Arc<BadRows>,
    left_out: usize,
    last_warning: Option<Instant>,
}

impl RecordMaker {
    /// For a table's writer.
    ///
    /// # Errors
    /// A column that can only be read, or a type that a format cannot write.
    pub fn new(options: Arc<KafkaOptions>, bad_rows: Arc<BadRows>) -> Result<Self> {
        let (mut timestamp, mut headers) = (None, None);
        for (index, column) in options.columns.iter().enumerate() {
            if let ColumnSource::Metadata { metadata, is_virtual: false } = column {
                match metadata {
                    Metadata::Timestamp => timestamp = Some(index),
                    Metadata::Headers => headers = Some(index),
                    Metadata::Topic => {
                        return Err(Error::unsupported("metadata \"topic\" cannot be written yet")
                            .hint("Declare the column VIRTUAL: then it is only read."));
                    }
                    _ => {
                        return Err(Error::invalid(format!(
                            "column \"{}\" of table \"{}\" can only be read",
                            options.schema.field(index).name(),
                            options.table
                        ))
                        .hint("Declare it VIRTUAL: METADATA FROM '…' VIRTUAL."));
                    }
                }
            }
        }
        let key = match &options.key_format {
            Some(format) => Some(format.encoder(&options.key_fields)?),
            None => None,
        };
        let value = options.value_format.encoder(&options.value_fields)?;
        Ok(Self { options, key, value, timestamp, headers, bad_rows, left_out: 0, last_warning: None })
    }

    /// The records of a batch, in its order.
    ///
    /// # Errors
    /// A change that the table cannot take; where rows are not left out, one that the format cannot hold.
    pub fn records(&mut self, changes: &ChangeBatch) -> Result<Records> {
        let records = match self.all_records(changes) {
            Err(error) if error.kind() == ErrorKind::Row => {
                let writable = self.writable(changes)?;
                self.all_records(&writable)?
            }
            outcome => outcome?,
        };
        self.tell_left_out(records.skipped);
        Ok(records)
    }

    /// The changes that the formats can hold, each tried by itself.
    fn writable(&mut self, changes: &ChangeBatch) -> Result<ChangeBatch> {
        let mut fits = Vec::with_capacity(changes.len());
        for row in 0..changes.len() {
            let one = changes.slice(row, 1);
            let has_value = self.options.changelog != Changelog::Upsert || !one.kind(0).is_retraction();
            let tried = match self.keys(&one) {
                Ok(_) if has_value => self.values(&one).map(|_| ()),
                keys => keys.map(|_| ()),
            };
            fits.push(tried.is_ok());
            if let Err(error) = tried {
                self.bad_rows.take(error.detail(format!("The row is {}.", row_text(one.rows(), 0))))?;
            }
        }
        changes.filter(&BooleanArray::from(fits))
    }

    fn all_records(&mut self, changes: &ChangeBatch) -> Result<Records> {
        if self.options.changelog == Changelog::Upsert {
            return self.upserts(changes);
        }
        if self.options.changelog == Changelog::Append
            && (0..changes.len()).any(|row| changes.kind(row).is_retraction())
        {
            return Err(Error::unsupported(format!(
                "table \"{}\" takes only inserts: connector \"kafka\" with format \"{}\" cannot hold updates and deletes",
                self.options.table,
                self.options.value_format.name()
            ))
            .hint("Use connector \"upsert-kafka\", or a format for changes such as debezium-json."));
        }
        let keys = self.keys(changes)?;
        let values = self.values(changes)?;
        let (timestamps, headers) = self.metadata(changes.rows())?;
        Ok(Records { values, keys, is_tombstone: None, timestamps, headers, skipped: 0 })
    }

    fn upserts(&mut self, all_changes: &ChangeBatch) -> Result<Records> {
        let changes = self.keyed(all_changes)?;
        let skipped = all_changes.len() - changes.len();
        let keys = self.keys(&changes)?.ok_or_else(|| Error::internal("an upsert table has no key"))?;
        let is_updated_in_place = |row: usize| {
            changes.kind(row) == RowKind::UpdateBefore
                && row + 1 < changes.len()
                && changes.kind(row + 1) == RowKind::UpdateAfter
                && keys.record(row) == keys.record(row + 1)
        };
        let mut sent: Vec<usize> = (0..changes.len()).filter(|row| !is_updated_in_place(*row)).collect();
        if self.options.keeps_last_of_key {
            let mut seen = HashSet::with_capacity(sent.len());
            sent.reverse();
            sent.retain(|row| seen.insert(keys.record(*row)));
            sent.reverse();
        }
        let is_tombstone: Vec<bool> = sent.iter().map(|row| changes.kind(*row).is_retraction()).collect();
        if sent.len() == changes.len() && !is_tombstone.contains(&true) {
            // The usual case needs no copies.
            let values = self.values(&changes)?;
            let (timestamps, headers) = self.metadata(changes.rows())?;
            return Ok(Records { values, keys: Some(keys), is_tombstone: None, timestamps, headers, skipped });
        }
        let rows = |rows: &mut dyn Iterator<Item = usize>| rows.map(|row| row as u32).collect::<Vec<_>>();
        let puts = rows(&mut sent.iter().zip(&is_tombstone).filter(|(_, gone)| !**gone).map(|(row, _)| *row));
        // Only what is written is encoded: a deleted row may hold what the format cannot.
        let put_values = self.values(&changes.take(&UInt32Array::from(puts))?)?;
        let mut values = EncodedRows::with_capacity(sent.len());
        let mut put = 0;
        for gone in &is_tombstone {
            values.push(|out| {
                if !gone {
                    out.extend_from_slice(put_values.record(put));
                    put += 1;
                }
                Ok(())
            })?;
        }
        let mut sent_keys = EncodedRows::with_capacity(sent.len());
        for row in &sent {
            sent_keys.push(|out| {
                out.extend_from_slice(keys.record(*row));
                Ok(())
            })?;
        }
        let all = rows(&mut sent.iter().copied());
        let (timestamps, headers) = self.metadata(changes.take(&UInt32Array::from(all))?.rows())?;
        Ok(Records { values, keys: Some(sent_keys), is_tombstone: Some(is_tombstone), timestamps, headers, skipped })
    }

    /// The changes whose key has no NULL.
    fn keyed(&self, changes: &ChangeBatch) -> Result<ChangeBatch> {
        let keys: Vec<&ArrayRef> =
            self.options.key_columns.iter().map(|column| changes.rows().column(*column)).collect();
        if keys.iter().all(|key| key.null_count() == 0) {
            return Ok(changes.clone());
        }
        let has_key = |row: &usize| keys.iter().all(|key| key.is_valid(*row));
        let keyed: UInt32Array = (0..changes.len()).filter(has_key).map(|row| row as u32).collect();
        changes.take(&keyed)
    }

    fn tell_left_out(&mut self, rows: usize) {
        self.left_out += rows;
        if self.left_out > 0 && self.last_warning.is_none_or(|last| last.elapsed() >= WARNING_INTERVAL) {
            tracing::warn!(table = self.options.table, rows = self.left_out, "rows whose key has a NULL were left out");
            self.last_warning = Some(Instant::now());
            self.left_out = 0;
        }
    }

    fn keys(&mut self, changes: &ChangeBatch) -> Result<Option<EncodedRows>> {
        let Some(key) = &mut self.key else { return Ok(None) };
        let rows = ChangeBatch::inserts(changes.rows().project(&self.options.key_columns)?);
        key.encode(&rows).map(Some).map_err(|error| error.context(format!("table \"{}\"", self.options.table)))
    }

    fn values(&mut self, changes: &ChangeBatch) -> Result<EncodedRows> {
        let rows = changes.with_rows(changes.rows().project(&self.options.value_columns)?);
        self.value.encode(&rows).map_err(|error| error.context(format!("table \"{}\"", self.options.table)))
    }

    #[allow(clippy::type_complexity, reason = "two columns of optional values")]
    fn metadata(&self, rows: &RecordBatch) -> Result<(Option<Vec<Option<i64>>>, Option<Vec<Option<OwnedHeaders>>>)> {
        let timestamps = match self.timestamp {
            Some(index) => {
                let millis = cast(rows.column(index), &DataType::Timestamp(TimeUnit::Millisecond, None))?;
                Some(millis.as_primitive::<TimestampMillisecondType>().iter().collect())
            }
            None => None,
        };
        Ok((timestamps, self.headers.map(|index| read_headers(rows, index))))
    }
}

/// The records of one batch.
pub(crate) struct Records {
    values: EncodedRows,
    keys: Option<EncodedRows>,
    /// Which of them have no value; absent: none.
    is_tombstone: Option<Vec<bool>>,
    timestamps: Option<Vec<Option<i64>>>,
    headers: Option<Vec<Option<OwnedHeaders>>>,
    /// Rows that were left out: their key has a NULL.
    pub skipped: usize,
}

impl Records {
    /// Record `index` as it goes out to a topic.
    pub fn outgoing<'a>(&'a self, index: usize, topic: &'a str, partition: Option<i32>) -> Outgoing<'a> {
        Outgoing {
            topic,
            partition,
            key: self.key(index),
            payload: self.value(index),
            timestamp: self.timestamp(index),
            headers: self.headers(index),
        }
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Bytes of keys and values.
    pub fn bytes(&self) -> usize {
        self.values.bytes() + self.keys.as_ref().map_or(0, EncodedRows::bytes)
    }

    /// The value of record `index`; `None` for a tombstone.
    pub fn value(&self, index: usize) -> Option<&[u8]> {
        let is_tombstone = self.is_tombstone.as_ref().is_some_and(|gone| gone[index]);
        (!is_tombstone).then(|| self.values.record(index))
    }

    /// The key of record `index`.
    pub fn key(&self, index: usize) -> Option<&[u8]> {
        self.keys.as_ref().map(|keys| keys.record(index))
    }

    /// The timestamp of record `index`, in milliseconds.
    pub fn timestamp(&self, index: usize) -> Option<i64> {
        self.timestamps.as_ref().and_then(|times| times[index])
    }

    /// The headers of record `index`.
    pub fn headers(&self, index: usize) -> Option<&OwnedHeaders> {
        self.headers.as_ref().and_then(|headers| headers[index].as_ref())
    }
}

fn read_headers(rows: &RecordBatch, index: usize) -> Vec<Option<OwnedHeaders>> {
    let maps = rows.column(index).as_map();
    (0..maps.len())
        .map(|row| {
            if maps.is_null(row) {
                return None;
            }
            let entries = maps.value(row);
            let (keys, values) = (entries.column(0).as_string::<i32>(), entries.column(1).as_binary::<i32>());
            let mut headers = OwnedHeaders::new_with_capacity(entries.len());
            for entry in 0..entries.len() {
                let value = (!values.is_null(entry)).then(|| values.value(entry));
                headers = headers.insert(Header { key: keys.value(entry), value });
            }
            Some(headers)
        })
        .collect()
}
