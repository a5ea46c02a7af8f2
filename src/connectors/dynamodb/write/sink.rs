//! Upserts: the last change of a key stands. Rows become writes at once (`item_writes`); `write_queue` decides what goes out
//! next, and one task sends it: a panic or drop of the writer ends that task. Monotonic writes go one by one (`monotonic`).

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument;

use super::batch_write;
use super::direct_call::DirectCall;
use super::item_writes::{ItemWrites, Write};
use super::monotonic::{Bases, Lineage, VersionedPut};
use super::write_queue::WriteQueue;
use crate::changelog::ChangeBatch;
use crate::connectors::bad_rows::BadRows;
use crate::connectors::dynamodb::client::{Failure, FailureKind, backoff, send_once};
use crate::connectors::dynamodb::key::{Key, KeySchema};
use crate::connectors::dynamodb::remote_table::RemoteTable;
use crate::connectors::metrics::ConnectorMetrics;
use crate::connectors::sink::{FailureTeller, Sink, SinkContext, SinkKind, SinkWriter};
use crate::error::{Error, Result};
use crate::fault;
use crate::waits::Waiting;

/// The code of a request of which DynamoDB holds something to be wrong in itself.
const VALIDATION: &str = "ValidationException";
/// A request may have at most 16 MB.
const REQUEST_BYTES_MAX: usize = 16 * 1024 * 1024;

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
        let call = DirectCall::new(&client, self.table.table_name())
            .await
            .map_err(|error| Failure::of(&error, &self.table.doing("BatchWriteItem")).error)?;
        let versioned = self.table.options.version_attribute.as_ref().map(|attribute| VersionedPut {
            client,
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
            call: Arc::new(call),
            versioned,
            bases: Arc::default(),
            table: self.table.clone(),
            key: key.clone(),
            metrics: context.metrics.clone(),
            bad_rows: context.bad_rows.clone(),
            acknowledged,
            progress,
            refused: Mutex::new(None),
        };
        let task = AbortOnDropHandle::new(tokio::spawn(sender.run().in_current_span()));
        Ok(Box::new(Writer {
            table: self.table.clone(),
            metrics: context.metrics.clone(),
            items: ItemWrites::new(self.table.clone(), key, key_columns, context),
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

struct Shared {
    queue: Mutex<WriteQueue<Key, Write>>,
    /// There may be something to send.
    work: Notify,
    failure: Mutex<Option<Error>>,
}

struct Writer {
    table: Arc<RemoteTable>,
    metrics: Arc<ConnectorMetrics>,
    items: ItemWrites,
    shared: Arc<Shared>,
    acknowledged: watch::Receiver<u64>,
    /// Changes when there is room or something new is acknowledged; closed when the task has ended.
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

    async fn wait_for_room(&mut self) -> Result<()> {
        let outstanding_max = room_from(self.table.options.sink_buffered_max);
        loop {
            // Marks what there is as seen before the look at the queue, so that no progress is missed.
            self.progress.borrow_and_update();
            if self.shared.queue.lock().outstanding() <= outstanding_max {
                return Ok(());
            }
            self.wait_for_progress().await?;
        }
    }
}

/// A writer that found its queue full goes on when this many writes are left: not for every request that ends.
fn room_from(buffered_max: usize) -> usize {
    buffered_max / 4 * 3
}

#[async_trait]
impl SinkWriter for Writer {
    fn check(&mut self, batch: &ChangeBatch) -> Result<()> {
        self.items.changes(batch).map(|_| ())
    }

    async fn write(&mut self, batch: ChangeBatch) -> Result<u64> {
        if self.shared.failure.lock().is_some() {
            return Err(self.failure());
        }
        let changes = match self.items.changes(&batch) {
            Ok(changes) => changes,
            Err(error) => return Err(self.fail(error)),
        };
        ConnectorMetrics::add(&self.metrics.rows, batch.len());
        let sequence = self.shared.queue.lock().begin_sequence();
        let buffered_max = self.table.options.sink_buffered_max;
        let mut changes = changes.into_iter();
        loop {
            let is_whole = {
                let mut queue = self.shared.queue.lock();
                while queue.outstanding() < buffered_max
                    && let Some(change) = changes.next()
                {
                    ConnectorMetrics::add(&self.metrics.bytes, change.bytes);
                    queue.push(change.key, change.write, change.bytes);
                }
                let is_whole = changes.len() == 0;
                if is_whole {
                    queue.end_sequence();
                }
                is_whole
            };
            self.shared.work.notify_one();
            if is_whole {
                return Ok(sequence);
            }
            self.wait_for_room().await?;
        }
    }

    fn acknowledged(&self) -> watch::Receiver<u64> {
        self.acknowledged.clone()
    }

    fn failure_teller(&self) -> FailureTeller {
        let shared = Arc::clone(&self.shared);
        Arc::new(move || shared.failure.lock().clone())
    }

    async fn flush(&mut self) -> Result<()> {
        loop {
            self.progress.borrow_and_update();
            if self.shared.failure.lock().is_some() {
                return Err(self.failure());
            }
            {
                let queue = self.shared.queue.lock();
                if *self.acknowledged.borrow() >= queue.last_sequence() {
                    return Ok(());
                }
            }
            self.wait_for_progress().await?;
        }
    }

    async fn barrier(&mut self, epoch: u64) -> Result<()> {
        self.items.begin_epoch(epoch + 1);
        Ok(())
    }
}

/// The task that sends.
struct Sender {
    shared: Arc<Shared>,
    call: Arc<DirectCall>,
    versioned: Option<VersionedPut>,
    bases: Arc<Mutex<Bases>>,
    table: Arc<RemoteTable>,
    key: KeySchema,
    metrics: Arc<ConnectorMetrics>,
    bad_rows: Arc<BadRows>,
    acknowledged: watch::Sender<u64>,
    progress: watch::Sender<u64>,
    /// Said while DynamoDB refuses writes.
    refused: Mutex<Option<(FailureKind, Waiting)>>,
}

enum Event {
    /// A request ended: the queue's slots of its writes with these, the keys of those that DynamoDB left out.
    Answered { sent: Vec<(usize, Write)>, answer: Result<HashSet<Key>, Failure> },
    /// DynamoDB refuses one write alone, for this reason.
    Refused { slot: usize, reason: Error },
    /// Writes that failed have waited and may go again.
    Rested(Vec<usize>),
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
            tokio::select! {
                Some(event) = events.next(), if !events.is_empty() => {
                    match self.settle(event) {
                        Ok(more) => events.extend(more),
                        Err(error) => {
                            *self.shared.failure.lock() = Some(error);
                            return;
                        }
                    }
                }
                () = self.shared.work.notified() => {}
            }
            self.publish();
        }
    }

    /// Shows what is acknowledged, and wakes the writer if that is new or there is room.
    fn publish(&self) {
        let (done, has_room) = {
            let queue = self.shared.queue.lock();
            (queue.acknowledged(), queue.outstanding() <= room_from(self.table.options.sink_buffered_max))
        };
        let is_new = self.acknowledged.send_if_modified(|shown| {
            let is_new = *shown != done;
            *shown = done;
            is_new
        });
        if is_new || has_room {
            self.progress.send_modify(|count| *count += 1);
        }
    }

    fn request(&self, mut batch: Vec<(usize, Write)>) -> BoxFuture<'static, Event> {
        if let (Some(put), [(_, Write::Versioned(_))]) = (&self.versioned, batch.as_slice())
            && let Some((slot, Write::Versioned(item))) = batch.pop()
        {
            let sent = vec![(slot, Write::Versioned(item.clone()))];
            let key = self.shared.queue.lock().key(slot).clone();
            let (put, bases, metrics) = (put.clone(), self.bases.clone(), self.metrics.clone());
            return async move {
                let base = bases.lock().of(&key);
                let answer = put.send(&item, base, &metrics).await.map(|base| {
                    bases.lock().remember(key, base);
                    HashSet::new()
                });
                Event::Answered { sent, answer }
            }
            .boxed();
        }
        let writes = batch.iter().filter_map(|(_, write)| match write {
            Write::Plain(write) => Some(write),
            Write::Versioned(_) => None,
        });
        let body = batch_write::body(self.table.table_name(), writes);
        let (call, metrics, key) = (self.call.clone(), self.metrics.clone(), self.key.clone());
        let doing = self.table.doing("BatchWriteItem");
        let timeout = self.table.options.sink_read_timeout;
        async move {
            let answer = match send_once(&doing, timeout, Some(&metrics), call.send(body)).await {
                Ok(_) if fault::is_mutant("swallow-unprocessed") => Ok(HashSet::new()),
                Ok(answer) => batch_write::left_out(&answer, &key).map_err(|error| Failure::unreadable(&doing, &error)),
                Err(failure) => Err(failure),
            };
            Event::Answered { sent: batch, answer }
        }
        .boxed()
    }

    /// Notes what came of a request; gives the rest that failed writes have to take, or the requests that find out which of
    /// several writes is refused.
    fn settle(&self, event: Event) -> Result<Vec<BoxFuture<'static, Event>>> {
        let (sent, answer) = match event {
            Event::Rested(slots) => {
                let mut queue = self.shared.queue.lock();
                slots.into_iter().for_each(|slot| queue.retry(slot));
                return Ok(Vec::new());
            }
            Event::Refused { slot, reason } => {
                self.bad_rows.take(reason)?;
                self.shared.queue.lock().succeed(slot);
                return Ok(Vec::new());
            }
            Event::Answered { sent, answer } => (sent, answer),
        };
        if let Err(failure) = &answer
            && failure.code == VALIDATION
        {
            return Ok(self.find_refused(sent, &failure.error));
        }
        let slots: Vec<usize> = sent.into_iter().map(|(slot, _)| slot).collect();
        let mut refusal = FailureKind::Throttled;
        let answered = answer.is_ok();
        let left: Vec<usize> = match answer {
            Ok(left_out) => {
                let mut queue = self.shared.queue.lock();
                let (left, done): (Vec<_>, Vec<_>) =
                    slots.into_iter().partition(|slot| left_out.contains(queue.key(*slot)));
                if left.len() == left_out.len() {
                    done.into_iter().for_each(|slot| queue.succeed(slot));
                    left
                } else {
                    // A key comes back that was not sent: which of them is meant is not known.
                    left.into_iter().chain(done).collect()
                }
            }
            Err(failure) => {
                if failure.kind == FailureKind::Final || self.table.options.sink_fail_on_error {
                    return Err(failure.error);
                }
                tracing::debug!(error = %failure.error, "sending again");
                refusal = failure.kind;
                slots
            }
        };
        if left.is_empty() {
            self.refused.lock().take();
            return Ok(Vec::new());
        }
        let mut refused = self.refused.lock();
        if refused.as_ref().is_none_or(|(kind, _)| *kind != refusal) {
            *refused = Some((refusal, self.metrics.waits.begin(refusal.waits_for())));
        }
        drop(refused);
        if answered {
            // What an answer leaves out was too much for the table.
            ConnectorMetrics::add(&self.metrics.throttled, 1);
        }
        ConnectorMetrics::add(&self.metrics.retries, left.len());
        let failures = {
            let mut queue = self.shared.queue.lock();
            left.iter().map(|slot| queue.count_failure(*slot)).max().unwrap_or(1)
        };
        if failures.is_multiple_of(10) {
            tracing::warn!(
                table = self.table.declaration.name,
                failures,
                "DynamoDB keeps refusing writes; sending again"
            );
        }
        let pause = backoff(failures);
        let rest = async move {
            tokio::time::sleep(pause).await;
            Event::Rested(left)
        };
        Ok(vec![rest.boxed()])
    }

    /// DynamoDB answers one bad item with the refusal of its whole request, and does not say which one it is: the halves are
    /// sent, until one write alone is refused. Whether that is the row's fault, or the table is another one now, the table is asked.
    fn find_refused(&self, mut sent: Vec<(usize, Write)>, refusal: &Error) -> Vec<BoxFuture<'static, Event>> {
        if sent.len() > 1 {
            let half = sent.split_off(sent.len() / 2);
            return vec![self.request(sent), self.request(half)];
        }
        let Some((slot, write)) = sent.pop() else { return Vec::new() };
        let (table, opened) = (self.table.clone(), self.key.clone());
        let key = self.shared.queue.lock().key(slot).text(&opened);
        let message = refusal.message().to_owned();
        let judged = async move {
            let now = match table.describe().await {
                Ok(description) => KeySchema::of(&description)
                    .map_err(|error| Failure::unreadable(&table.doing("DescribeTable"), error.message())),
                Err(failure) => Err(failure),
            };
            match now {
                Ok(now) if now == opened => {
                    let reason = Error::row(message).detail(format!("The row's key is {key}."));
                    Event::Refused { slot, reason }
                }
                Ok(now) => {
                    let reason = Error::invalid(message).detail(format!(
                        "The table's key is {} now, and was {} when it was opened.",
                        now.describe(),
                        opened.describe()
                    ));
                    Event::Refused { slot, reason }
                }
                Err(failure) => Event::Answered { sent: vec![(slot, write)], answer: Err(failure) },
            }
        };
        vec![judged.boxed()]
    }
}
