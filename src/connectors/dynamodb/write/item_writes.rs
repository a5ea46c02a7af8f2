//! Rows to writes of items. A `-U` whose `+U` follows with the same key does nothing; alone, or with another key after it, it
//! removes the old item. Under monotonic writes a delete leaves an item that only says so, for a late write to be recognised as
//! late. Rows without a key are left out.

use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::types::AttributeValue;
use datafusion::arrow::array::{Array, AsArray};
use datafusion::arrow::datatypes::{DataType, Int64Type};

use super::batch_write::{AttributeName, WriteJson};
use super::monotonic::VersionedItem;
use crate::changelog::{ChangeBatch, RowKind};
use crate::connectors::bad_rows::row_text;
use crate::connectors::dynamodb::key::{Key, KeySchema, KeyWriter};
use crate::connectors::dynamodb::own_attributes::{DELETED_ATTRIBUTE, VERSION_BYTES_MAX};
use crate::connectors::dynamodb::remote_table::RemoteTable;
use crate::connectors::dynamodb::ttl::epoch_seconds;
use crate::connectors::dynamodb::value::encode::{Encoded, item_bytes};
use crate::connectors::dynamodb::value::item::Item;
use crate::connectors::metrics::ConnectorMetrics;
use crate::connectors::sink::SinkContext;
use crate::error::{Error, Result, SqlState};

/// An item may have at most 400 KB.
const ITEM_BYTES_MAX: usize = 400 * 1024;
/// How often at most left-out rows are logged.
const WARNING_INTERVAL: Duration = Duration::from_secs(10);

/// A write of one item.
#[derive(Clone)]
pub enum Write {
    /// Whatever is stored; as it stands in a request.
    Plain(Arc<[u8]>),
    /// Unless something newer is stored.
    Versioned(Arc<VersionedItem>),
}

/// A write, and where it goes.
pub struct ItemChange {
    /// The item's key.
    pub key: Key,
    /// What to do.
    pub write: Write,
    /// Size of the item as DynamoDB counts it.
    pub bytes: usize,
}

/// What a row has as its key.
#[derive(PartialEq)]
enum RowKey {
    Is(Key),
    /// None: the row is not written.
    None,
}

/// Turns rows into writes; leaves out those without a key, and those that do not fit where that is permitted.
pub struct ItemWrites {
    rows: ItemBuilder,
    context: SinkContext,
    /// The epoch that rows belong to now.
    epoch: u64,
    /// Number of the last versioned write.
    serial: u64,
    last_warning: Option<Instant>,
    left_out: usize,
    /// Used anew for each row.
    json: WriteJson,
    key: KeyWriter,
    text: Vec<u8>,
}

impl ItemWrites {
    /// For rows of this table.
    pub fn new(table: Arc<RemoteTable>, key: KeySchema, key_columns: Vec<usize>, context: SinkContext) -> Self {
        let names = table.declaration.columns.iter().map(|column| AttributeName::new(&column.name)).collect();
        let expiry = table.options.sink_ttl_attribute.as_deref().map(AttributeName::new);
        Self {
            rows: ItemBuilder { table, key, key_columns, names, expiry, time_zone: context.time_zone },
            epoch: context.epoch,
            context,
            serial: 0,
            last_warning: None,
            left_out: 0,
            json: WriteJson::default(),
            key: KeyWriter::default(),
            text: Vec::new(),
        }
    }

    /// The rows from now on belong to this epoch.
    pub fn begin_epoch(&mut self, epoch: u64) {
        self.epoch = epoch;
    }

    /// The writes of a batch, in its order.
    ///
    /// # Errors
    /// A row without the version it needs; where rows are not left out, one that DynamoDB cannot hold.
    pub fn changes(&mut self, batch: &ChangeBatch) -> Result<Vec<ItemChange>> {
        let mut changes = Vec::with_capacity(batch.len());
        let counts = self.rows.counts(batch)?;
        let mut keys = Vec::with_capacity(batch.len());
        for row in 0..batch.len() {
            keys.push(match self.key(batch, row) {
                Ok(Some(key)) => RowKey::Is(key),
                Ok(None) => {
                    self.leave_out();
                    RowKey::None
                }
                Err(error) => {
                    self.context.bad_rows.take(error.detail(format!("The row is {}.", row_text(batch.rows(), row))))?;
                    RowKey::None
                }
            });
        }
        for row in 0..batch.len() {
            let kind = batch.kind(row);
            let RowKey::Is(key) = std::mem::replace(&mut keys[row], RowKey::None) else { continue };
            let is_updated_in_place = kind == RowKind::UpdateBefore
                && row + 1 < batch.len()
                && batch.kind(row + 1) == RowKind::UpdateAfter
                && keys[row + 1] == RowKey::Is(key.clone());
            if is_updated_in_place {
                continue;
            }
            let written = match &counts {
                Some(counts) => self.versioned(batch, row, counts[row]),
                None => self.plain(batch, row),
            };
            match written.and_then(|(write, bytes)| self.rows.fits(&key, bytes).map(|()| (write, bytes))) {
                Ok((write, bytes)) => changes.push(ItemChange { key, write, bytes }),
                Err(error) if error.detail_text().is_some() => self.context.bad_rows.take(error)?,
                Err(error) => {
                    let key = key.text(&self.rows.key);
                    self.context.bad_rows.take(error.detail(format!("The row's key is {key}.")))?;
                }
            }
        }
        Ok(changes)
    }

    /// The row's key; `None` if it is NULL or empty.
    ///
    /// # Errors
    /// A value that can be in no key, or is too long for one.
    fn key(&mut self, batch: &ChangeBatch, row: usize) -> Result<Option<Key>> {
        self.key.clear();
        for (place, column) in self.rows.key_columns.iter().enumerate() {
            let value = self.rows.value(batch, row, *column, &mut self.text)?;
            if let Some(limit) = KeySchema::limit_exceeded(place, &value) {
                return Err(Error::row(format!(
                    "table \"{}\": the value of key \"{}\" is longer than the {limit} bytes that DynamoDB permits",
                    self.rows.table.declaration.name,
                    self.rows.names[*column].name()
                ))
                .code(SqlState::StringDataRightTruncation));
            }
            if !self.key.push(&value) {
                return Ok(None);
            }
        }
        Ok(Some(self.key.finish()))
    }

    /// A row's write and its bytes.
    fn plain(&mut self, batch: &ChangeBatch, row: usize) -> Result<(Write, usize)> {
        let json = &mut self.json;
        if batch.kind(row).is_retraction() {
            json.begin_delete();
            self.rows.key_attributes(batch, row, &mut self.text, |name, value| json.attribute(name, &value))?;
        } else {
            json.begin_put();
            self.rows.attributes(batch, row, &mut self.text, |name, value| json.attribute(name, &value))?;
        }
        let bytes = json.bytes();
        Ok((Write::Plain(json.finish()), bytes))
    }

    /// The same for a row that has `count` rows behind it.
    fn versioned(&mut self, batch: &ChangeBatch, row: usize, count: i64) -> Result<(Write, usize)> {
        let item = if batch.kind(row).is_retraction() {
            self.rows.tombstone(batch, row)?
        } else {
            let mut item = Item::with_capacity(self.rows.names.len() + 1);
            self.rows.attributes(batch, row, &mut self.text, |name, value| insert(&mut item, name, value))?;
            item
        };
        self.serial += 1;
        let bytes = item_bytes(&item) + VERSION_BYTES_MAX;
        Ok((Write::Versioned(Arc::new(VersionedItem { item, count, epoch: self.epoch, serial: self.serial })), bytes))
    }

    fn leave_out(&mut self) {
        ConnectorMetrics::add(&self.context.metrics.skipped, 1);
        ConnectorMetrics::add(&self.context.metrics.null_keys, 1);
        self.left_out += 1;
        if self.last_warning.is_none_or(|last| last.elapsed() >= WARNING_INTERVAL) {
            tracing::warn!(
                table = self.rows.table.declaration.name,
                owner = self.context.owner,
                rows = self.left_out,
                "rows whose key {} is NULL or empty were left out",
                self.rows.key.describe()
            );
            self.last_warning = Some(Instant::now());
            self.left_out = 0;
        }
    }
}

fn insert(item: &mut Item, name: &AttributeName, value: Encoded<'_>) {
    item.insert(name.name().to_owned(), value.into_attribute().unwrap_or(AttributeValue::Null(true)));
}

/// Which attributes a row has.
struct ItemBuilder {
    table: Arc<RemoteTable>,
    key: KeySchema,
    key_columns: Vec<usize>,
    /// Of the declared columns.
    names: Vec<AttributeName>,
    /// The attribute that says when an item expires.
    expiry: Option<AttributeName>,
    time_zone: chrono_tz::Tz,
}

impl ItemBuilder {
    /// Whether DynamoDB holds an item of that size.
    fn fits(&self, key: &Key, bytes: usize) -> Result<()> {
        if bytes <= ITEM_BYTES_MAX {
            return Ok(());
        }
        Err(Error::row(format!(
            "table \"{}\": the item with {} has {bytes} bytes, DynamoDB holds {ITEM_BYTES_MAX}",
            self.table.declaration.name,
            key.text(&self.key)
        ))
        .code(SqlState::StringDataRightTruncation))
    }

    fn value<'a>(
        &self,
        batch: &'a ChangeBatch,
        row: usize,
        column: usize,
        text: &'a mut Vec<u8>,
    ) -> Result<Encoded<'a>> {
        Encoded::of(batch.rows().column(column), row, text).map_err(|message| {
            Error::row(format!(
                "table \"{}\", column \"{}\": {message}",
                self.table.declaration.name, self.table.declaration.columns[column].name
            ))
            .code(SqlState::DataException)
        })
    }

    /// For each row, the input rows folded into its key: the column behind the declared ones.
    fn counts(&self, batch: &ChangeBatch) -> Result<Option<Vec<i64>>> {
        if self.table.options.version_attribute.is_none() {
            return Ok(None);
        }
        let declared = self.table.declaration.columns.len();
        let counts = batch.rows().columns().get(declared).and_then(|column| column.as_primitive_opt::<Int64Type>());
        match counts {
            Some(counts) if counts.null_count() == 0 => Ok(Some(counts.values().to_vec())),
            Some(_) => Err(Error::internal("a row has no version")),
            None => Err(Error::unsupported(format!(
                "table \"{}\" with 'sink.write-mode' = 'monotonic' takes only rows that have a version",
                self.table.declaration.name
            ))
            .detail("A job that keeps state for each key gives them; an INSERT that runs once does not.")
            .hint("Write it with /*+ OPTIONS('sink.write-mode' = 'upsert') */.")),
        }
    }

    /// Names and values of the row's key.
    fn key_attributes(
        &self,
        batch: &ChangeBatch,
        row: usize,
        text: &mut Vec<u8>,
        mut each: impl FnMut(&AttributeName, Encoded<'_>),
    ) -> Result<()> {
        for column in &self.key_columns {
            each(&self.names[*column], self.value(batch, row, *column, text)?);
        }
        Ok(())
    }

    fn key_item(&self, batch: &ChangeBatch, row: usize) -> Result<Item> {
        let mut item = Item::with_capacity(self.key_columns.len());
        self.key_attributes(batch, row, &mut Vec::new(), |name, value| insert(&mut item, name, value))?;
        Ok(item)
    }

    /// What stands for a deleted key.
    fn tombstone(&self, batch: &ChangeBatch, row: usize) -> Result<Item> {
        let mut item = self.key_item(batch, row)?;
        item.insert(DELETED_ATTRIBUTE.to_owned(), AttributeValue::Bool(true));
        if let (Some(expiry), Some(ttl)) = (&self.expiry, self.table.options.sink_tombstone_ttl) {
            item.insert(expiry.name().to_owned(), AttributeValue::N(self.expires_after(ttl).to_string()));
        }
        Ok(item)
    }

    /// Epoch seconds of that time from now.
    fn expires_after(&self, ttl: Duration) -> i64 {
        self.table.now_ms().div_euclid(1000).saturating_add_unsigned(ttl.as_secs())
    }

    /// Names and values of the row's item, each once.
    fn attributes(
        &self,
        batch: &ChangeBatch,
        row: usize,
        text: &mut Vec<u8>,
        mut each: impl FnMut(&AttributeName, Encoded<'_>),
    ) -> Result<()> {
        let options = &self.table.options;
        // An expiry of the row's own goes before the one that is computed.
        let mut computed = self.expiry.as_ref().zip(options.sink_ttl);
        for (column, name) in self.names.iter().enumerate() {
            let array = batch.rows().column(column);
            let is_expiry = self.expiry.as_ref().is_some_and(|expiry| expiry.name() == name.name());
            let seconds;
            let value = match array.data_type() {
                DataType::Timestamp(..) if is_expiry => match epoch_seconds(array, row, self.time_zone) {
                    Some(value) => {
                        seconds = value.to_string();
                        Encoded::Number(&seconds)
                    }
                    None => Encoded::Null,
                },
                _ => self.value(batch, row, column, text)?,
            };
            if is_expiry && computed.is_some() {
                match value {
                    Encoded::Number(_) => computed = None,
                    _ => continue,
                }
            }
            if !(options.sink_ignore_nulls && matches!(value, Encoded::Null)) {
                each(name, value);
            }
        }
        if let Some((name, ttl)) = computed {
            each(name, Encoded::Number(&self.expires_after(ttl).to_string()));
        }
        Ok(())
    }
}
