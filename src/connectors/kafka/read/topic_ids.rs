//! Asks the broker for the ids of topics (`rd_kafka_DescribeTopics`), which the client's metadata call keeps to itself. Blocks.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::ptr::{self, NonNull};
use std::time::{Duration, Instant};

use rdkafka::bindings as native;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// How often the caller is asked whether it is still worth waiting.
const STEP: Duration = Duration::from_millis(50);

/// A topic as the broker describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Described {
    /// Absent when the broker gives topics none (before 2.8).
    pub id: Option<String>,
    pub partitions: Vec<i32>,
}

/// Describes topics; those that the broker does not know are left out. `give_up` is asked from time to time.
///
/// # Errors
/// No broker answers in time, or the caller has given up; a topic may not be described.
pub(super) fn describe(
    client: *mut native::rd_kafka_t,
    topics: &[String],
    timeout: Duration,
    give_up: impl Fn() -> bool,
) -> Result<BTreeMap<String, Described>, KafkaError> {
    let names = topics
        .iter()
        .map(|topic| CString::new(topic.as_str()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| KafkaError::AdminOp(RDKafkaErrorCode::InvalidTopic))?;
    let event = ask(client, &names, timeout, give_up)?;
    let mut described = BTreeMap::new();
    // SAFETY: the event is alive until the end of this function, and everything read here lives as long as it does.
    unsafe {
        let code = native::rd_kafka_event_error(event.0.as_ptr());
        if code != native::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Err(KafkaError::AdminOp(code.into()));
        }
        let result = native::rd_kafka_event_DescribeTopics_result(event.0.as_ptr());
        if result.is_null() {
            return Err(KafkaError::AdminOp(RDKafkaErrorCode::BadMessage));
        }
        let mut count = 0;
        let found = native::rd_kafka_DescribeTopics_result_topics(result, &mut count);
        for index in 0..count {
            let topic = *found.add(index);
            let name = CStr::from_ptr(native::rd_kafka_TopicDescription_name(topic)).to_string_lossy().into_owned();
            let error = native::rd_kafka_TopicDescription_error(topic);
            if !error.is_null() {
                match RDKafkaErrorCode::from(native::rd_kafka_error_code(error)) {
                    RDKafkaErrorCode::NoError => {}
                    RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic => continue,
                    code => return Err(KafkaError::AdminOp(code)),
                }
            }
            let mut partitions_count = 0;
            let partitions = native::rd_kafka_TopicDescription_partitions(topic, &mut partitions_count);
            let partitions = (0..partitions_count)
                .map(|index| native::rd_kafka_TopicPartitionInfo_partition(*partitions.add(index)));
            described.insert(name, Described { id: id_of(topic), partitions: partitions.collect() });
        }
    }
    Ok(described)
}

/// # Safety
/// The description must be alive.
unsafe fn id_of(topic: *const native::rd_kafka_TopicDescription_t) -> Option<String> {
    unsafe {
        let id = native::rd_kafka_TopicDescription_topic_id(topic);
        if id.is_null() {
            return None;
        }
        let is_zero = native::rd_kafka_Uuid_most_significant_bits(id) == 0
            && native::rd_kafka_Uuid_least_significant_bits(id) == 0;
        let text = native::rd_kafka_Uuid_base64str(id);
        (!is_zero && !text.is_null()).then(|| CStr::from_ptr(text).to_string_lossy().into_owned())
    }
}

/// Destroyed when it is dropped.
struct Event(NonNull<native::rd_kafka_event_t>);

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: it came from librdkafka and is destroyed once.
        unsafe { native::rd_kafka_event_destroy(self.0.as_ptr()) };
    }
}

fn ask(
    client: *mut native::rd_kafka_t,
    names: &[CString],
    timeout: Duration,
    give_up: impl Fn() -> bool,
) -> Result<Event, KafkaError> {
    let milliseconds = |time: Duration| i32::try_from(time.as_millis()).unwrap_or(i32::MAX);
    let mut pointers: Vec<*const std::ffi::c_char> = names.iter().map(|name| name.as_ptr()).collect();
    // SAFETY: the client is alive, names and pointers outlive the call that copies them; everything made here is destroyed here, the
    // queue last but for the event, which does not need it.
    unsafe {
        let queue = native::rd_kafka_queue_new(client);
        let options =
            native::rd_kafka_AdminOptions_new(client, native::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS);
        native::rd_kafka_AdminOptions_set_request_timeout(options, milliseconds(timeout), ptr::null_mut(), 0);
        let collection = native::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len());
        native::rd_kafka_DescribeTopics(client, collection, options, queue);
        native::rd_kafka_TopicCollection_destroy(collection);
        native::rd_kafka_AdminOptions_destroy(options);
        let deadline = Instant::now() + timeout;
        let answer = loop {
            if let Some(event) = NonNull::new(native::rd_kafka_queue_poll(queue, milliseconds(STEP))) {
                break Ok(Event(event));
            }
            if give_up() {
                break Err(KafkaError::AdminOp(RDKafkaErrorCode::AllBrokersDown));
            }
            if Instant::now() >= deadline {
                break Err(KafkaError::AdminOp(RDKafkaErrorCode::OperationTimedOut));
            }
        };
        native::rd_kafka_queue_destroy(queue);
        answer
    }
}
