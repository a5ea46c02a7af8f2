//! Messages about records: Produce, Fetch, ListOffsets, DeleteRecords.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kafka_protocol::ResponseError;
use kafka_protocol::messages::delete_records_response::{DeleteRecordsPartitionResult, DeleteRecordsTopicResult};
use kafka_protocol::messages::fetch_request::FetchPartition;
use kafka_protocol::messages::fetch_response::{AbortedTransaction, FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::{
    DeleteRecordsRequest, DeleteRecordsResponse, FetchRequest, FetchResponse, ListOffsetsRequest, ListOffsetsResponse,
    ProduceRequest, ProduceResponse,
};
use kafka_protocol::protocol::StrBytes;

use super::batch::{BatchHeader, Refused};
use super::call::Call;
use super::log::{AppendError, Appended, Isolation, LEADER_EPOCH, PartitionLog, ReadError, TimestampedOffset, Waiter};
use super::topics::{Topic, TopicError};

/// However much a client asks for, an answer holds no more (but for one batch that is larger).
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
const WAIT_MAX: Duration = Duration::from_secs(5 * 60);

// Questions of ListOffsets that are not timestamps.
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;

fn text(value: impl Into<String>) -> StrBytes {
    StrBytes::from_string(value.into())
}

pub fn produce(call: &Call, request: ProduceRequest) -> Option<ProduceResponse> {
    let acks = request.acks;
    let transactional_id = request.transactional_id.as_ref().map(|id| id.as_str());
    let acks_max = if transactional_id.is_some() { -1 } else { 1 };
    let refused = (!(-1..=acks_max).contains(&acks)).then(|| {
        let allowed = if transactional_id.is_some() { "-1 (all) in a transaction" } else { "-1, 0 or 1" };
        (ResponseError::InvalidRequiredAcks, format!("acks must be {allowed}, not {acks}"))
    });
    let responses = request.topic_data.into_iter().map(|data| {
        let topic = call.broker.topics.get(&data.name);
        let partitions = data.partition_data.into_iter().map(|partition| {
            let appended = match &refused {
                Some(refused) => Err(refused.clone()),
                None => {
                    let records = partition.records.unwrap_or_default();
                    append(call, transactional_id, topic.as_deref(), partition.index, &records)
                }
            };
            let mut response = PartitionProduceResponse::default()
                .with_index(partition.index)
                .with_base_offset(-1)
                .with_log_append_time_ms(-1);
            match appended {
                Ok(appended) => {
                    response.base_offset = appended.base_offset;
                    if call.version >= 5 {
                        response.log_start_offset = appended.log_start;
                    }
                }
                Err((error, message)) => {
                    response.error_code = error.code();
                    if call.version >= 8 {
                        response.error_message = Some(text(message));
                    }
                }
            }
            response
        });
        TopicProduceResponse::default().with_partition_responses(partitions.collect()).with_name(data.name)
    });
    let response = ProduceResponse::default().with_responses(responses.collect());
    (acks != 0).then_some(response)
}

fn append(
    call: &Call,
    transactional_id: Option<&str>,
    topic: Option<&Topic>,
    index: i32,
    batch: &[u8],
) -> Result<Appended, (ResponseError, String)> {
    let unknown = || (ResponseError::UnknownTopicOrPartition, "no such topic or partition".to_owned());
    let topic = topic.ok_or_else(unknown)?;
    let partition = topic.partition(index).ok_or_else(unknown)?;
    let header = BatchHeader::read(batch);
    if header.is_some_and(|header| header.is_transactional()) != transactional_id.is_some() && header.is_some() {
        let message = "records of a transaction come with its transactional id, and no others";
        return Err((ResponseError::InvalidTxnState, message.to_owned()));
    }
    let write = || partition.append(batch, &topic.settings);
    let appended = match (transactional_id, header) {
        (Some(id), Some(header)) => {
            let broker = call.broker;
            let producer = (header.producer_id, header.producer_epoch);
            let appended = broker.transactions.append(&broker.topics, id, producer, topic, index, write);
            appended.map_err(|error| {
                let message = match error {
                    ResponseError::InvalidTxnState => "the partition is not in an open transaction of this producer",
                    _ => "a newer instance of this producer has taken over, or its transaction was aborted",
                };
                (error, message.to_owned())
            })?
        }
        _ => write(),
    };
    appended.map_err(|error| match error {
        AppendError::Refused(Refused::Corrupt) => {
            (ResponseError::CorruptMessage, "not one whole record batch".to_owned())
        }
        AppendError::Refused(Refused::OldFormat) => {
            (ResponseError::UnsupportedForMessageFormat, "message formats before 2 are not supported".to_owned())
        }
        AppendError::Refused(Refused::NotForProducers) => {
            (ResponseError::InvalidRecord, "only the broker ends transactions in the log".to_owned())
        }
        AppendError::TooLarge { bytes, bytes_max } => {
            (ResponseError::MessageTooLarge, format!("a batch of {bytes} bytes is over max.message.bytes, {bytes_max}"))
        }
        AppendError::FencedEpoch => {
            (ResponseError::InvalidProducerEpoch, "a newer instance of this producer has written".to_owned())
        }
        AppendError::OutOfOrder => {
            (ResponseError::OutOfOrderSequenceNumber, "a batch before this one is missing".to_owned())
        }
        AppendError::Deleted => unknown(),
        AppendError::Storage(error) => {
            tracing::error!(topic = topic.name, partition = index, %error, "records could not be stored");
            (ResponseError::KafkaStorageError, error.to_string())
        }
    })
}

pub fn fetch(call: &Call, request: FetchRequest) -> FetchResponse {
    if request.session_id != 0 {
        // The broker makes no sessions: every answer to a client names session 0.
        return FetchResponse::default().with_error_code(ResponseError::FetchSessionIdNotFound.code());
    }
    let wait = Duration::from_millis(request.max_wait_ms.max(0) as u64).min(WAIT_MAX);
    let deadline = Instant::now() + wait;
    let topics: Vec<Option<Arc<Topic>>> =
        request.topics.iter().map(|asked| call.broker.topics.get(&asked.topic)).collect();
    let waiter = Arc::new(Waiter::default());
    loop {
        if !wait.is_zero() {
            for (asked, topic) in request.topics.iter().zip(&topics) {
                let partitions = asked.partitions.iter().filter_map(|asked| topic.as_ref()?.partition(asked.partition));
                partitions.for_each(|partition| partition.watch(&waiter));
            }
        }
        let (response, enough) = read(call, &request, &topics);
        if enough || call.broker.is_stopping() || !waiter.wait_until(deadline) {
            return response;
        }
    }
}

fn isolation(level: i8) -> Isolation {
    if level == 1 { Isolation::ReadCommitted } else { Isolation::ReadUncommitted }
}

/// Reads what there is, and says whether the client need not wait for more.
fn read(call: &Call, request: &FetchRequest, topics: &[Option<Arc<Topic>>]) -> (FetchResponse, bool) {
    let bytes_max = usize::try_from(request.max_bytes).unwrap_or(0).min(ANSWER_BYTES_MAX);
    let isolation = isolation(request.isolation_level);
    let mut bytes = 0;
    let mut enough = false;
    let responses = request.topics.iter().zip(topics).map(|(asked, topic)| {
        let partitions = asked.partitions.iter().map(|asked| {
            let partition = topic.as_ref().and_then(|topic| topic.partition(asked.partition));
            let mut data = PartitionData::default().with_partition_index(asked.partition).with_last_stable_offset(-1);
            let bytes_left = bytes_max.saturating_sub(bytes);
            match read_partition(partition.map(Arc::as_ref), asked, bytes_left, bytes == 0, isolation) {
                Ok(slice) => {
                    bytes += slice.records.len();
                    enough |= slice.more;
                    data.high_watermark = slice.high_watermark;
                    data.last_stable_offset = slice.last_stable_offset;
                    data.aborted_transactions = (isolation == Isolation::ReadCommitted).then(|| {
                        let aborted = slice.aborted.iter().map(|aborted| {
                            AbortedTransaction::default()
                                .with_producer_id(aborted.producer_id.into())
                                .with_first_offset(aborted.first_offset)
                        });
                        aborted.collect()
                    });
                    if call.version >= 5 {
                        data.log_start_offset = slice.log_start;
                    }
                    data.records = Some(slice.records);
                }
                Err((error, log_start)) => {
                    enough = true;
                    data.error_code = error.code();
                    data.high_watermark = -1;
                    if call.version >= 5 {
                        data.log_start_offset = log_start;
                    }
                    data.records = Some(Default::default());
                }
            }
            if call.version >= 11 {
                data.preferred_read_replica = (-1).into();
            }
            data
        });
        FetchableTopicResponse::default().with_partitions(partitions.collect()).with_topic(asked.topic.clone())
    });
    let response = FetchResponse::default().with_responses(responses.collect());
    (response, enough || bytes >= usize::try_from(request.min_bytes).unwrap_or(0))
}

fn read_partition(
    partition: Option<&PartitionLog>,
    asked: &FetchPartition,
    bytes_left: usize,
    at_least_one: bool,
    isolation: Isolation,
) -> Result<super::log::Slice, (ResponseError, i64)> {
    let partition = partition.ok_or((ResponseError::UnknownTopicOrPartition, -1))?;
    if asked.current_leader_epoch > LEADER_EPOCH {
        return Err((ResponseError::UnknownLeaderEpoch, -1));
    }
    let bytes_max = usize::try_from(asked.partition_max_bytes).unwrap_or(0).min(bytes_left);
    partition.read(asked.fetch_offset, bytes_max, at_least_one, isolation).map_err(|error| match error {
        ReadError::OutOfRange { log_start } => (ResponseError::OffsetOutOfRange, log_start),
        ReadError::Storage(error) => {
            tracing::error!(partition = asked.partition, offset = asked.fetch_offset, %error, "records could not be read");
            (ResponseError::KafkaStorageError, -1)
        }
    })
}

pub fn list_offsets(call: &Call, request: ListOffsetsRequest) -> ListOffsetsResponse {
    let isolation = if call.version >= 2 { isolation(request.isolation_level) } else { Isolation::ReadUncommitted };
    let topics = request.topics.into_iter().map(|asked| {
        let topic = call.broker.topics.get(&asked.name);
        let partitions = asked.partitions.into_iter().map(|asked| {
            let partition = topic.as_ref().and_then(|topic| topic.partition(asked.partition_index));
            let found = match partition {
                Some(partition) => offset_for(partition, asked.timestamp, isolation),
                None => Err(ResponseError::UnknownTopicOrPartition),
            };
            let mut response = ListOffsetsPartitionResponse::default()
                .with_partition_index(asked.partition_index)
                .with_offset(-1)
                .with_timestamp(-1);
            match found {
                Ok(Some(found)) => {
                    response.offset = found.offset;
                    response.timestamp = found.timestamp;
                    if call.version >= 4 {
                        response.leader_epoch = LEADER_EPOCH;
                    }
                }
                Ok(None) => {}
                Err(error) => response.error_code = error.code(),
            }
            response
        });
        ListOffsetsTopicResponse::default().with_partitions(partitions.collect()).with_name(asked.name)
    });
    ListOffsetsResponse::default().with_topics(topics.collect())
}

fn offset_for(
    partition: &PartitionLog,
    timestamp: i64,
    isolation: Isolation,
) -> Result<Option<TimestampedOffset>, ResponseError> {
    let (log_start, mut end) = partition.bounds();
    if isolation == Isolation::ReadCommitted {
        end = end.min(partition.last_stable_offset());
    }
    let storage = |_| ResponseError::KafkaStorageError;
    let end_of_log = |offset| Ok(Some(TimestampedOffset { offset, timestamp: -1 }));
    match timestamp {
        EARLIEST => end_of_log(log_start),
        LATEST => end_of_log(end),
        MAX_TIMESTAMP => partition.offset_of_max_timestamp().map_err(storage),
        0.. => Ok(partition.offset_at(timestamp).map_err(storage)?.filter(|found| found.offset < end)),
        _ => Err(ResponseError::InvalidRequest),
    }
}

pub fn delete_records(call: &Call, request: DeleteRecordsRequest) -> DeleteRecordsResponse {
    let topics = request.topics.into_iter().map(|asked| {
        let partitions = asked.partitions.iter().map(|partition| {
            let deleted = call.broker.topics.delete_records(&asked.name, partition.partition_index, partition.offset);
            let (low_watermark, error_code) = match deleted {
                Ok(Some(log_start)) => (log_start, 0),
                Ok(None) => (-1, ResponseError::OffsetOutOfRange.code()),
                Err(TopicError::Storage(error)) => {
                    tracing::error!(topic = %*asked.name, %error, "records could not be deleted");
                    (-1, ResponseError::KafkaStorageError.code())
                }
                Err(_) => (-1, ResponseError::UnknownTopicOrPartition.code()),
            };
            DeleteRecordsPartitionResult::default()
                .with_partition_index(partition.partition_index)
                .with_low_watermark(low_watermark)
                .with_error_code(error_code)
        });
        DeleteRecordsTopicResult::default().with_partitions(partitions.collect()).with_name(asked.name.clone())
    });
    DeleteRecordsResponse::default().with_topics(topics.collect())
}
