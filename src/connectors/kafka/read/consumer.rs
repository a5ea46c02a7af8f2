//! One librdkafka consumer for all partitions of a source or scan: partitions are assigned one by one, each with a queue of
//! its own that its reader's thread takes records from in batches (`rd_kafka_consume_batch_queue`, 2.4 times cheaper than
//! a stream of messages). The one thing to get wrong is lifetime: a queue must be destroyed before its consumer.

use std::collections::HashSet;
use std::ffi::CString;
use std::ptr::NonNull;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use rdkafka::bindings as native;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::connectors::kafka::client::{self, Context};
use crate::error::{Error, Result};

/// A consumer, its error state, and the thread that serves its events.
pub(crate) struct Consumer {
    /// Only absent while it is dropped.
    inner: Option<BaseConsumer<Context>>,
    /// Partitions that were ever opened: one is never opened twice on one consumer, whose queue may still hold old records.
    opened: Mutex<HashSet<(String, i32)>>,
    fatal: Mutex<Option<Error>>,
}

impl Consumer {
    /// Creates the consumer; makes no request.
    ///
    /// # Errors
    /// A property that librdkafka refuses.
    pub fn start(config: &ClientConfig) -> Result<Arc<Self>> {
        let inner: BaseConsumer<Context> = config
            .create_with_context(Context::default())
            .map_err(|error| client::told(&error, "creating a Kafka consumer"))?;
        let consumer =
            Arc::new(Self { inner: Some(inner), opened: Mutex::new(HashSet::new()), fatal: Mutex::new(None) });
        let weak = Arc::downgrade(&consumer);
        std::thread::Builder::new()
            .name("kafka-events".to_owned())
            .spawn(move || serve_events(&weak))
            .map_err(|error| Error::unavailable(format!("cannot start a thread: {error}")))?;
        Ok(consumer)
    }

    /// The client, for requests.
    pub fn client(&self) -> &BaseConsumer<Context> {
        self.inner.as_ref().expect("only drop takes it")
    }

    /// Tells something in the log, at a limited rate.
    pub fn tell(&self, text: &str) {
        self.client().context().tell(text);
    }

    /// An error with the connection's latest trouble as its detail.
    pub fn told(&self, error: &KafkaError, doing: &str) -> Error {
        let told = client::told(error, doing);
        match self.client().context().last_error() {
            Some(last) if told.is_retryable() => told.detail(format!("Last error of the connection: {last}.")),
            _ => told,
        }
    }

    fn fatal(&self) -> Option<Error> {
        self.fatal.lock().clone()
    }

    /// Whether a partition can still be opened on this consumer.
    pub fn can_open(&self, topic: &str, partition: i32) -> bool {
        !self.opened.lock().contains(&(topic.to_owned(), partition))
    }

    /// Begins to fetch a partition from `offset` on. Blocks shortly.
    ///
    /// # Errors
    /// The consumer has failed, or the partition was opened on it before.
    pub fn open(self: &Arc<Self>, topic: &str, partition: i32, offset: i64) -> Result<PartitionQueue> {
        if !self.opened.lock().insert((topic.to_owned(), partition)) {
            return Err(Error::internal(format!("partition {topic}/{partition} is opened twice on one consumer")));
        }
        let name = CString::new(topic).map_err(|_| Error::invalid("a topic's name has a NUL"))?;
        // SAFETY: the client is alive as long as `self`, which the queue keeps.
        let queue = unsafe {
            native::rd_kafka_queue_get_partition(self.client().client().native_ptr(), name.as_ptr(), partition)
        };
        let queue = NonNull::new(queue)
            .ok_or_else(|| Error::internal(format!("librdkafka has no queue for partition {topic}/{partition}")))?;
        let queue =
            PartitionQueue { queue, consumer: self.clone(), topic: topic.to_owned(), partition, taken: Vec::new() };
        // SAFETY: both are alive. From here on the partition's records stay in its own queue, also after the assignment.
        unsafe { native::rd_kafka_queue_forward(queue.queue.as_ptr(), std::ptr::null_mut()) };
        let list = assignment(topic, partition, Offset::Offset(offset))?;
        self.client()
            .incremental_assign(&list)
            .map_err(|error| self.told(&error, &format!("reading partition {topic}/{partition}")))?;
        Ok(queue)
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        if let Some(inner) = self.inner.take() {
            // Closing waits for the broker, which must not hold up a runtime's thread.
            let spawned = std::thread::Builder::new().name("kafka-close".to_owned()).spawn(move || drop(inner));
            if let Err(error) = spawned {
                tracing::warn!(%error, "a Kafka consumer is closed in the foreground");
            }
        }
    }
}

fn assignment(topic: &str, partition: i32, offset: Offset) -> Result<TopicPartitionList> {
    let mut list = TopicPartitionList::with_capacity(1);
    list.add_partition_offset(topic, partition, offset)
        .map_err(|error| Error::invalid(format!("offset of {topic}/{partition}: {error}")))?;
    Ok(list)
}

/// Serves logs, commit results and client-wide errors for as long as somebody uses the consumer.
fn serve_events(consumer: &Weak<Consumer>) {
    while let Some(consumer) = consumer.upgrade() {
        match consumer.client().poll(Duration::from_millis(100)) {
            Some(Err(KafkaError::MessageConsumptionFatal(code))) => {
                *consumer.fatal.lock() = Some(client::told_code(code, "the Kafka client has failed for good"));
            }
            Some(Ok(_)) => consumer.tell("a record came outside its partition's queue"),
            Some(Err(_)) | None => {}
        }
    }
}

/// What came out of a partition's queue.
pub(crate) enum Event<'a> {
    /// A record.
    Record(Record<'a>),
    /// Nothing more there for now: the offset that the next record will have at least.
    End(i64),
    /// Reading cannot go on.
    Failed(Error),
}

/// The fetched records of one partition.
pub(crate) struct PartitionQueue {
    queue: NonNull<native::rd_kafka_queue_t>,
    consumer: Arc<Consumer>,
    topic: String,
    partition: i32,
    taken: Vec<*mut native::rd_kafka_message_t>,
}

// SAFETY: librdkafka's queues may be used from any thread, and `taken` is only used within `receive`.
unsafe impl Send for PartitionQueue {}

impl PartitionQueue {
    /// The consumer behind it.
    pub fn consumer(&self) -> &Arc<Consumer> {
        &self.consumer
    }

    /// Topic and partition, for messages.
    pub fn name(&self) -> (&str, i32) {
        (&self.topic, self.partition)
    }

    /// Takes at most `max` records, waiting up to `timeout` until there are that many, and shows each to `see` until that
    /// returns false. Returns how many came.
    ///
    /// # Errors
    /// The client has failed for good.
    pub fn receive(&mut self, max: usize, timeout: Duration, mut see: impl FnMut(Event<'_>) -> bool) -> Result<usize> {
        self.taken.resize(max, std::ptr::null_mut());
        let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: the queue is alive, and `taken` has room for `max` pointers.
        let count = unsafe {
            native::rd_kafka_consume_batch_queue(self.queue.as_ptr(), timeout_ms, self.taken.as_mut_ptr(), max)
        };
        let count = usize::try_from(count).unwrap_or(0);
        let mut goes_on = true;
        for message in &self.taken[..count] {
            // Destroys the message also if `see` panics.
            let message = Message(*message);
            if goes_on && let Some(event) = self.event(&message) {
                goes_on = see(event);
            }
        }
        if count == 0
            && let Some(fatal) = self.consumer.fatal()
        {
            return Err(fatal);
        }
        Ok(count)
    }

    fn event<'a>(&self, message: &'a Message) -> Option<Event<'a>> {
        // SAFETY: librdkafka gave a valid message, which lives until `message` is dropped.
        let raw = unsafe { &*message.0 };
        if raw.err == native::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Some(Event::Record(Record { raw }));
        }
        let code = RDKafkaErrorCode::from(raw.err);
        let place = format!("topic \"{}\", partition {}", self.topic, self.partition);
        match code {
            RDKafkaErrorCode::PartitionEOF => Some(Event::End(raw.offset)),
            RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange => Some(Event::Failed(
                Error::corrupt(format!("{place}: offset {} is not there (any more)", raw.offset)).hint(
                    "The records were deleted by retention, or the topic was made anew. Start again from another position.",
                ),
            )),
            RDKafkaErrorCode::BadMessage | RDKafkaErrorCode::BadCompression => {
                Some(Event::Failed(Error::corrupt(format!("{place}, offset {}: {code}", raw.offset))))
            }
            RDKafkaErrorCode::UnknownTopicOrPartition
            | RDKafkaErrorCode::UnknownTopic
            | RDKafkaErrorCode::UnknownPartition
            | RDKafkaErrorCode::TopicAuthorizationFailed
            | RDKafkaErrorCode::GroupAuthorizationFailed
            | RDKafkaErrorCode::MessageSizeTooLarge => Some(Event::Failed(client::told_code(code, &place))),
            other => {
                // Brokers that are away come back; librdkafka tries on.
                self.consumer.tell(&format!("{place}: {other}"));
                None
            }
        }
    }
}

impl Drop for PartitionQueue {
    fn drop(&mut self) {
        // SAFETY: destroyed once, and before the consumer, which `self` still holds.
        unsafe { native::rd_kafka_queue_destroy(self.queue.as_ptr()) };
        if let Ok(list) = assignment(&self.topic, self.partition, Offset::Invalid)
            && let Err(error) = self.consumer.client().incremental_unassign(&list)
        {
            self.consumer.tell(&format!("partition {}/{}: {error}", self.topic, self.partition));
        }
    }
}

struct Message(*mut native::rd_kafka_message_t);

impl Drop for Message {
    fn drop(&mut self) {
        // SAFETY: it came from librdkafka and is destroyed once.
        unsafe { native::rd_kafka_message_destroy(self.0) };
    }
}

/// One record, in librdkafka's memory.
#[derive(Clone, Copy)]
pub(crate) struct Record<'a> {
    raw: &'a native::rd_kafka_message_t,
}

impl<'a> Record<'a> {
    pub fn offset(self) -> i64 {
        self.raw.offset
    }

    /// The value; `None` for a tombstone.
    pub fn value(self) -> Option<&'a [u8]> {
        // SAFETY: librdkafka's pointer and length, valid while the message lives.
        (!self.raw.payload.is_null())
            .then(|| unsafe { std::slice::from_raw_parts(self.raw.payload.cast(), self.raw.len) })
    }

    pub fn key(self) -> Option<&'a [u8]> {
        // SAFETY: as above.
        (!self.raw.key.is_null()).then(|| unsafe { std::slice::from_raw_parts(self.raw.key.cast(), self.raw.key_len) })
    }

    /// Milliseconds and the kind of time, if there is one.
    pub fn timestamp(self) -> (Option<i64>, &'static str) {
        let mut kind = native::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: the message is valid.
        let value = unsafe { native::rd_kafka_message_timestamp(self.raw, &mut kind) };
        match kind {
            native::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_CREATE_TIME => (Some(value), "CreateTime"),
            native::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME => (Some(value), "LogAppendTime"),
            _ => (None, "NoTimestampType"),
        }
    }

    pub fn leader_epoch(self) -> Option<i32> {
        // SAFETY: the message is valid.
        Some(unsafe { native::rd_kafka_message_leader_epoch(self.raw) }).filter(|epoch| *epoch >= 0)
    }

    /// Shows each header: name and value.
    pub fn headers(self, mut see: impl FnMut(&'a [u8], Option<&'a [u8]>)) {
        let mut headers = std::ptr::null_mut();
        // SAFETY: the message is valid; what is shown lives as long as it does.
        unsafe {
            if native::rd_kafka_message_headers(self.raw, &mut headers)
                != native::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR
            {
                return;
            }
            let (mut name, mut value, mut size) = (std::ptr::null(), std::ptr::null(), 0);
            for index in 0.. {
                let error = native::rd_kafka_header_get_all(headers, index, &mut name, &mut value, &mut size);
                if error != native::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
                    return;
                }
                let value = (!value.is_null()).then(|| std::slice::from_raw_parts(value.cast::<u8>(), size));
                see(std::ffi::CStr::from_ptr(name).to_bytes(), value);
            }
        }
    }
}
