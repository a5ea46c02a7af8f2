//! Upserts: the last change of a key stands. Rows become items at once; `write_queue` decides what goes out next, and one
//! task sends it: a panic or drop of the writer ends that task. A `-U` whose `+U` follows with the same key does nothing;
//! alone, or with another key after it, it removes the old item. Monotonic writes go one by one (`monotonic`), and a delete
//! among them leaves an item that only says so, for a late write to be recognised as late.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, DeleteRequest, PutRequest, WriteRequest};
use bytes::Bytes;
use datafusion::arrow::array::{Array, AsArray};
use datafusion::arrow::datatypes::{DataType, Int64Type};
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio_util::task::AbortOnDropHandle;

use super::batch_write::{self, WriteJson};
use super::client::{Failure, FailureKind, backoff, send_once};
use super::item::{Item, encode, item_bytes};
use super::key::{KeySchema, KeyValue, key_text};
use super::monotonic::{Bases, DELETED_ATTRIBUTE, Lineage, VERSION_BYTES_MAX, VersionedItem, VersionedPut};
use super::remote_table::RemoteTable;
use super::ttl::epoch_seconds;
use super::write_queue::WriteQueue;
use crate::changelog::{ChangeBatch, RowKind};
use crate::connectors::{ConnectorMetrics, Sink, SinkContext, SinkKind, SinkWriter};
use crate::error::{Error, Result};
use crate::fault;

/// An item may have at most 400 KB.
const ITEM_BYTES_MAX: usize = 400 * 1024;
/// A request may have at most 16 MB.
const REQUEST_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How often at most left-out rows are logged.
const WARNING_INTERVAL: Duration = Duration::from_secs(10);

/// Writing to a DynamoDB table.
pub struct DynamoDbSink {
    table: Arc<RemoteTable>,
}

impl DynamoDbSink {
    /// To this table.
    pub fn new(table: Arc<RemoteTable>) -> Self {
        Self { table }
    }
}

#[async_trait]
impl Sink for DynamoDbSink {
    async fn kind(&self) -> Result<SinkKind> {
        Ok(SinkKind::Upsert { key: self.table.key().await?.columns(&self.table.declaration)? })
    }

    async fn open(&self, context: SinkContext) -> Result<Box<dyn SinkWriter>> {
        let key = self.table.key().await?.clone();
        let key_columns = key.columns(&self.table.declaration)?;
        let shared =
            Arc::new(Shared { queue: Mutex::new(WriteQueue::new()), work: Notify::new(), failure: Mutex::new(None) });
        let (acknowledged, acknowledged_seen) = watch::channel(0);
        let (progress, progress_seen) = watch::channel(0);
        let client = self.table.client().await;
        let versioned = self.table.options.version_attribute.as_ref().map(|attribute| VersionedPut {
            client: client.clone(),
            table: self.table.clone(),
            version_attribute: attribute.clone(),
            lineage: Lineage {
                job: context.job_id.clone(),
                writer: uuid::Uuid::new_v4().simple().to_string()[..12].to_owned(),
                first_epoch: context.epoch,
            },
        });
        let sender = Sender {
            shared: shared.clone(),
            client,
            versioned,
            bases: Arc::default(),
            table: self.table.clone(),
            key: key.clone(),
            metrics: context.metrics.clone(),
            acknowledged,
            progress,
        };
        let task = AbortOnDropHandle::new(tokio::spawn(sender.run()));
        Ok(Box::new(Writer {
            items: ItemMaker {
                table: self.table.clone(),
                key,
                key_columns,
                epoch: context.epoch,
                serial: 0,
                context,
                last_warning: None,
                left_out: 0,
            },
            shared,
            acknowledged: acknowledged_seen,
            progress: progress_seen,
            _task: task,
        }))
    }

    fn resource(&self) -> String {
        self.table.resource()
    }

    fn wants_version(&self) -> bool {
        self.table.options.version_attribute.is_some()
    }
}

type Key = Vec<KeyValue>;

/// A write of one item.
#[derive(Clone)]
enum Write {
    /// Whatever is stored; as it stands in a request.
    Plain(Bytes),
    /// Unless something newer is stored.
    Versioned(Arc<VersionedItem>),
}

struct Shared {
    queue: Mutex<WriteQueue<Key, Write>>,
    /// There may be something to send.
    work: Notify,
    failure: Mutex<Option<Error>>,
}

struct Writer {
    items: ItemMaker,
    shared: Arc<Shared>,
    acknowledged: watch::Receiver<u64>,
    /// Changes whenever a request ended; closed when the task has ended.
    progress: watch::Receiver<u64>,
    _task: AbortOnDropHandle<()>,
}

impl Writer {
    fn failure(&self) -> Error {
        let failure = self.shared.failure.lock().clone();
        failure.unwrap_or_else(|| Error::internal("the DynamoDB writer's task has ended unexpectedly"))
    }

    fn fail(&self, error: Error) -> Error {
        self.shared.failure.lock().get_or_insert_with(|| error.clone());
        self.shared.work.notify_one();
        error
    }

    async fn wait_for_progress(&mut self) -> Result<()> {
        match self.progress.changed().await {
            Ok(()) => Ok(()),
            Err(_) => Err(self.failure()),
        }
    }
}

#[async_trait]
impl SinkWriter for Writer {
    async fn write(&mut self, batch: ChangeBatch) -> Result<u64> {
        if self.shared.failure.lock().is_some() {
            return Err(self.failure());
        }
        let changes = match self.items.changes(&batch) {
            Ok(changes) => changes,
            Err(error) => return Err(self.fail(error)),
        };
        ConnectorMetrics::add(&self.items.context.metrics.rows, batch.len());
        let ticket = self.shared.queue.lock().begin_ticket();
        let buffered_max = self.items.table.options.sink_buffered_max;
        let mut changes = changes.into_iter().peekable();
        loop {
            let mut has_pushed = false;
            {
                let mut queue = self.shared.queue.lock();
                while queue.outstanding() < buffered_max
                    && let Some(change) = changes.next()
                {
                    ConnectorMetrics::add(&self.items.context.metrics.bytes, change.bytes);
                    queue.push(change.key, change.write, change.bytes);
                    has_pushed = true;
                }
                if changes.peek().is_none() {
                    queue.end_ticket();
                }
            }
            let is_whole = changes.peek().is_none();
            // Only for something new: the task would answer a full queue with progress that is none, for ever.
            if has_pushed || is_whole {
                self.shared.work.notify_one();
            }
            if is_whole {
                return Ok(ticket);
            }
            // Marks what there is as seen under the same look at the queue, so that no progress is missed.
            self.progress.borrow_and_update();
            if self.shared.queue.lock().outstanding() >= buffered_max {
                self.wait_for_progress().await?;
            }
        }
    }

    fn acknowledged(&self) -> watch::Receiver<u64> {
        self.acknowledged.clone()
    }

    async fn flush(&mut self) -> Result<()> {
        loop {
            self.progress.borrow_and_update();
            if self.shared.failure.lock().is_some() {
                return Err(self.failure());
            }
            {
                let queue = self.shared.queue.lock();
                if *self.acknowledged.borrow() >= queue.last_ticket() {
                    return Ok(());
                }
            }
            self.wait_for_progress().await?;
        }
    }

    async fn barrier(&mut self, epoch: u64) -> Result<()> {
        self.items.epoch = epoch + 1;
        Ok(())
    }
}

// ------------------------------------------------------------------------------------------------------- rows to requests

struct Change {
    key: Key,
    write: Write,
    bytes: usize,
}

/// Turns rows into requests; leaves out those without a key.
struct ItemMaker {
    table: Arc<RemoteTable>,
    key: KeySchema,
    key_columns: Vec<usize>,
    context: SinkContext,
    /// The epoch that rows belong to now.
    epoch: u64,
    /// Number of the last versioned write.
    serial: u64,
    last_warning: Option<Instant>,
    left_out: usize,
}

impl ItemMaker {
    fn changes(&mut self, batch: &ChangeBatch) -> Result<Vec<Change>> {
        let mut changes = Vec::with_capacity(batch.len());
        let counts = self.counts(batch)?;
        let mut keys = (0..batch.len()).map(|row| self.key(batch, row)).collect::<Result<Vec<_>>>()?;
        for row in 0..batch.len() {
            let kind = batch.kind(row);
            let Some(key) = keys[row].take() else {
                self.leave_out();
                continue;
            };
            let is_updated_in_place = kind == RowKind::UpdateBefore
                && row + 1 < batch.len()
                && batch.kind(row + 1) == RowKind::UpdateAfter
                && keys[row + 1].as_ref() == Some(&key);
            if is_updated_in_place {
                continue;
            }
            let (write, bytes) = match &counts {
                Some(counts) => self.versioned(batch, row, counts[row])?,
                None => self.plain(batch, row)?,
            };
            if bytes > ITEM_BYTES_MAX {
                return Err(Error::invalid(format!(
                    "table \"{}\": the item with {} has {bytes} bytes, DynamoDB holds {ITEM_BYTES_MAX}",
                    self.table.declaration.name,
                    key_text(&self.key_item(batch, row)?, &self.key)
                )));
            }
            changes.push(Change { key, write, bytes });
        }
        Ok(changes)
    }

    /// A row's write and its bytes.
    fn plain(&self, batch: &ChangeBatch, row: usize) -> Result<(Write, usize)> {
        let json = if batch.kind(row).is_retraction() {
            let mut json = WriteJson::delete();
            self.key_attributes(batch, row, |name, value| json.attribute(name, &value))?;
            json
        } else {
            let mut json = WriteJson::put();
            self.attributes(batch, row, |name, value| json.attribute(name, &value))?;
            json
        };
        let bytes = json.bytes();
        Ok((Write::Plain(json.finish()), bytes))
    }

    /// The same for a row that has `count` rows behind it.
    fn versioned(&mut self, batch: &ChangeBatch, row: usize, count: i64) -> Result<(Write, usize)> {
        let item = if batch.kind(row).is_retraction() {
            self.tombstone(self.key_item(batch, row)?)
        } else {
            let mut item = Item::with_capacity(self.table.declaration.columns.len() + 1);
            self.attributes(batch, row, |name, value| {
                item.insert(name.to_owned(), value);
            })?;
            item
        };
        self.serial += 1;
        let bytes = item_bytes(&item) + VERSION_BYTES_MAX;
        Ok((Write::Versioned(Arc::new(VersionedItem { item, count, epoch: self.epoch, serial: self.serial })), bytes))
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

    /// What stands for a deleted key.
    fn tombstone(&self, mut key_item: Item) -> Item {
        key_item.insert(DELETED_ATTRIBUTE.to_owned(), AttributeValue::Bool(true));
        let options = &self.table.options;
        if let (Some(attribute), Some(ttl)) = (&options.sink_ttl_attribute, options.sink_tombstone_ttl) {
            let expires = self.table.now_ms().div_euclid(1000).saturating_add_unsigned(ttl.as_secs());
            key_item.insert(attribute.clone(), AttributeValue::N(expires.to_string()));
        }
        key_item
    }

    fn value(&self, batch: &ChangeBatch, row: usize, column: usize) -> Result<Option<AttributeValue>> {
        encode(batch.rows().column(column), row).map_err(|message| {
            Error::invalid(format!(
                "table \"{}\", column \"{}\": {message}",
                self.table.declaration.name, self.table.declaration.columns[column].name
            ))
            .code("22000")
        })
    }

    /// The row's key; `None` if it is NULL or empty.
    fn key(&self, batch: &ChangeBatch, row: usize) -> Result<Option<Key>> {
        let mut key = Vec::with_capacity(self.key_columns.len());
        for column in &self.key_columns {
            let Some(value) = KeyValue::of(self.value(batch, row, *column)?.as_ref()) else { return Ok(None) };
            key.push(value);
        }
        Ok(Some(key))
    }

    /// Names and values of the key.
    fn key_attributes(
        &self,
        batch: &ChangeBatch,
        row: usize,
        mut each: impl FnMut(&str, AttributeValue),
    ) -> Result<()> {
        for column in &self.key_columns {
            if let Some(value) = self.value(batch, row, *column)? {
                each(&self.table.declaration.columns[*column].name, value);
            }
        }
        Ok(())
    }

    fn key_item(&self, batch: &ChangeBatch, row: usize) -> Result<Item> {
        let mut item = Item::with_capacity(self.key_columns.len());
        self.key_attributes(batch, row, |name, value| {
            item.insert(name.to_owned(), value);
        })?;
        Ok(item)
    }

    /// Names and values of the row's item, each once.
    fn attributes(&self, batch: &ChangeBatch, row: usize, mut each: impl FnMut(&str, AttributeValue)) -> Result<()> {
        let options = &self.table.options;
        let expiry = options.sink_ttl_attribute.as_deref();
        // An expiry of the row's own goes before the one that is computed.
        let mut computed = expiry.zip(options.sink_ttl);
        for (index, column) in self.table.declaration.columns.iter().enumerate() {
            let array = batch.rows().column(index);
            let is_expiry = expiry == Some(&column.name);
            let value = match array.data_type() {
                DataType::Timestamp(..) if is_expiry => epoch_seconds(array, row, self.context.time_zone)
                    .map(|seconds| AttributeValue::N(seconds.to_string())),
                _ => self.value(batch, row, index)?,
            };
            if is_expiry && computed.is_some() {
                match value {
                    Some(AttributeValue::N(_)) => computed = None,
                    _ => continue,
                }
            }
            match value {
                Some(value) => each(&column.name, value),
                None if options.sink_ignore_nulls => {}
                None => each(&column.name, AttributeValue::Null(true)),
            }
        }
        if let Some((attribute, ttl)) = computed {
            let expires = self.table.now_ms().div_euclid(1000).saturating_add_unsigned(ttl.as_secs());
            each(attribute, AttributeValue::N(expires.to_string()));
        }
        Ok(())
    }

    fn leave_out(&mut self) {
        ConnectorMetrics::add(&self.context.metrics.skipped, 1);
        self.left_out += 1;
        if self.last_warning.is_none_or(|last| last.elapsed() >= WARNING_INTERVAL) {
            tracing::warn!(
                table = self.table.declaration.name,
                owner = self.context.owner,
                rows = self.left_out,
                "rows whose key {} is NULL or empty were left out",
                self.key.describe()
            );
            self.last_warning = Some(Instant::now());
            self.left_out = 0;
        }
    }
}

// ---------------------------------------------------------------------------------------------------------------- sending

/// The task that sends.
struct Sender {
    shared: Arc<Shared>,
    client: Client,
    versioned: Option<VersionedPut>,
    bases: Arc<Mutex<Bases>>,
    table: Arc<RemoteTable>,
    key: KeySchema,
    metrics: Arc<ConnectorMetrics>,
    acknowledged: watch::Sender<u64>,
    progress: watch::Sender<u64>,
}

enum Event {
    /// A request ended: its keys, those of them that DynamoDB left out.
    Answered { keys: Vec<Key>, answer: Result<HashSet<Key>, Failure> },
    /// Writes that failed have waited and may go again.
    Rested(Vec<Key>),
}

impl Sender {
    async fn run(self) {
        let mut events: FuturesUnordered<BoxFuture<'static, Event>> = FuturesUnordered::new();
        loop {
            // Resting writes count as requests: whoever throttles gets fewer at a time.
            while events.len() < self.table.options.sink_requests_max {
                // A request with a condition takes one item.
                let items_max = if self.versioned.is_some() { 1 } else { self.table.options.sink_batch_items_max };
                let batch = self.shared.queue.lock().next_batch(items_max, REQUEST_BYTES_MAX);
                if batch.is_empty() {
                    break;
                }
                events.push(self.request(batch));
            }
            if self.shared.failure.lock().is_some() {
                return;
            }
            let has_settled = tokio::select! {
                Some(event) = events.next(), if !events.is_empty() => {
                    match self.settle(event) {
                        Ok(Some(rest)) => events.push(rest),
                        Ok(None) => {}
                        Err(error) => {
                            *self.shared.failure.lock() = Some(error);
                            return;
                        }
                    }
                    true
                }
                () = self.shared.work.notified() => false,
            };
            self.publish(has_settled);
        }
    }

    /// Shows what is acknowledged, and that there is progress if there is some.
    fn publish(&self, has_settled: bool) {
        let done = self.shared.queue.lock().acknowledged();
        let is_new = self.acknowledged.send_if_modified(|shown| {
            let is_new = *shown != done;
            *shown = done;
            is_new
        });
        if has_settled || is_new {
            self.progress.send_modify(|count| *count += 1);
        }
    }

    fn request(&self, mut batch: Vec<(Key, Write)>) -> BoxFuture<'static, Event> {
        if let (Some(put), [(_, Write::Versioned(_))]) = (&self.versioned, batch.as_slice())
            && let Some((key, Write::Versioned(item))) = batch.pop()
        {
            let (put, bases, metrics) = (put.clone(), self.bases.clone(), self.metrics.clone());
            return async move {
                let base = bases.lock().of(&key);
                let answer = put.send(&item, base, &metrics).await.map(|base| {
                    bases.lock().remember(key.clone(), base);
                    HashSet::new()
                });
                Event::Answered { keys: vec![key], answer }
            }
            .boxed();
        }
        let (mut keys, mut writes) = (Vec::with_capacity(batch.len()), Vec::with_capacity(batch.len()));
        for (key, write) in batch {
            if let Write::Plain(write) = write {
                keys.push(key);
                writes.push(write);
            }
        }
        let request = batch_write::send(&self.client, self.table.table_name(), &writes);
        let (metrics, key) = (self.metrics.clone(), self.key.clone());
        let doing = self.table.doing("BatchWriteItem");
        let timeout = self.table.options.sink_read_timeout;
        async move {
            let answer = send_once(&doing, timeout, Some(&metrics), request).await.map(|answer| {
                // Of one table only, under whichever of its names (an ARN may come back as a name).
                let left = answer.unprocessed_items.unwrap_or_default().into_values().flatten();
                let left = left.filter(|_| !fault::is_mutant("swallow-unprocessed"));
                left.filter_map(|request| request_key(&request, &key)).collect()
            });
            Event::Answered { keys, answer }
        }
        .boxed()
    }

    /// Notes what came of a request; gives the rest that failed writes have to take.
    fn settle(&self, event: Event) -> Result<Option<BoxFuture<'static, Event>>> {
        let (keys, answer) = match event {
            Event::Rested(keys) => {
                let mut queue = self.shared.queue.lock();
                keys.iter().for_each(|key| queue.retry(key));
                return Ok(None);
            }
            Event::Answered { keys, answer } => (keys, answer),
        };
        let left: Vec<Key> = match answer {
            Ok(left_out) => {
                let mut queue = self.shared.queue.lock();
                let (left, done): (Vec<_>, Vec<_>) = keys.into_iter().partition(|key| left_out.contains(key));
                done.iter().for_each(|key| queue.succeed(key));
                left
            }
            Err(failure) => {
                if failure.kind == FailureKind::Final || self.table.options.sink_fail_on_error {
                    return Err(failure.error);
                }
                tracing::debug!(error = %failure.error, "sending again");
                keys
            }
        };
        if left.is_empty() {
            return Ok(None);
        }
        ConnectorMetrics::add(&self.metrics.retries, left.len());
        let failures = {
            let mut queue = self.shared.queue.lock();
            left.iter().map(|key| queue.count_failure(key)).max().unwrap_or(1)
        };
        if failures.is_multiple_of(10) {
            tracing::warn!(
                table = self.table.declaration.name,
                failures,
                "DynamoDB keeps refusing writes; sending again"
            );
        }
        let pause = backoff(failures);
        Ok(Some(
            async move {
                tokio::time::sleep(pause).await;
                Event::Rested(left)
            }
            .boxed(),
        ))
    }
}

fn request_key(request: &WriteRequest, key: &KeySchema) -> Option<Key> {
    let item =
        request.put_request().map(PutRequest::item).or_else(|| request.delete_request().map(DeleteRequest::key))?;
    KeyValue::of_item(item, key)
}
