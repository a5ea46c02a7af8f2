//! Messages about transactions: InitProducerId, AddPartitionsToTxn, AddOffsetsToTxn, TxnOffsetCommit, EndTxn.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnTopicResult,
};
use kafka_protocol::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, AddOffsetsToTxnResponse, AddPartitionsToTxnRequest, AddPartitionsToTxnResponse,
    EndTxnRequest, EndTxnResponse, InitProducerIdRequest, InitProducerIdResponse, TxnOffsetCommitRequest,
    TxnOffsetCommitResponse,
};

use super::call::Call;
use super::group_offset::GroupOffset;
use super::transactions::Owner;
use super::wall_clock_ms;

const METADATA_BYTES_MAX: usize = 4096;

/// Older versions of the messages know one code for every kind of outdated producer.
fn code(error: ResponseError, version: i16, fenced_since: i16) -> i16 {
    match error {
        ResponseError::ProducerFenced if version < fenced_since => ResponseError::InvalidProducerEpoch.code(),
        error => error.code(),
    }
}

pub fn init_producer_id(call: &Call, request: InitProducerIdRequest) -> InitProducerIdResponse {
    let broker = call.broker;
    let initialised = match &request.transactional_id {
        None => broker.new_producer_id().map(|id| (id, 0)).map_err(|error| {
            tracing::error!(%error, "producer ids could not be reserved");
            ResponseError::CoordinatorNotAvailable
        }),
        Some(id) => {
            let claims = call.version >= 3 && request.producer_id.0 >= 0;
            broker.transactions.initialise(
                &broker.topics,
                id,
                request.transaction_timeout_ms,
                claims.then_some((request.producer_id.0, request.producer_epoch)),
                || broker.new_producer_id(),
                wall_clock_ms(),
            )
        }
    };
    match initialised {
        Ok((id, epoch)) => InitProducerIdResponse::default().with_producer_id(id.into()).with_producer_epoch(epoch),
        Err(error) => InitProducerIdResponse::default()
            .with_error_code(code(error, call.version, 4))
            .with_producer_id((-1).into())
            .with_producer_epoch(-1),
    }
}

pub fn add_partitions_to_txn(call: &Call, request: AddPartitionsToTxnRequest) -> AddPartitionsToTxnResponse {
    let broker = call.broker;
    let owner = Owner {
        transactional_id: &request.v3_and_below_transactional_id,
        producer_id: request.v3_and_below_producer_id.0,
        epoch: request.v3_and_below_producer_epoch,
    };
    let exists =
        |topic: &str, index: i32| broker.topics.get(topic).is_some_and(|topic| topic.partition(index).is_some());
    let asked: Vec<(String, i32)> = request
        .v3_and_below_topics
        .iter()
        .flat_map(|topic| topic.partitions.iter().map(|index| (topic.name.to_string(), *index)))
        .collect();
    let all_exist = asked.iter().all(|(topic, index)| exists(topic, *index));
    // All or none of them.
    let added = match all_exist {
        true => broker.transactions.add_partitions(&broker.topics, owner, asked, wall_clock_ms()),
        false => Err(ResponseError::OperationNotAttempted),
    };
    let topics = request.v3_and_below_topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|index| {
            let error = match added {
                Ok(()) => 0,
                Err(_) if !exists(&topic.name, *index) => ResponseError::UnknownTopicOrPartition.code(),
                Err(error) => code(error, call.version, 2),
            };
            AddPartitionsToTxnPartitionResult::default().with_partition_index(*index).with_partition_error_code(error)
        });
        AddPartitionsToTxnTopicResult::default()
            .with_results_by_partition(partitions.collect())
            .with_name(topic.name.clone())
    });
    AddPartitionsToTxnResponse::default().with_results_by_topic_v3_and_below(topics.collect())
}

pub fn add_offsets_to_txn(call: &Call, request: AddOffsetsToTxnRequest) -> AddOffsetsToTxnResponse {
    let broker = call.broker;
    let owner = Owner {
        transactional_id: &request.transactional_id,
        producer_id: request.producer_id.0,
        epoch: request.producer_epoch,
    };
    let added = if request.group_id.is_empty() {
        Err(ResponseError::InvalidGroupId)
    } else {
        broker.transactions.add_group(&broker.topics, owner, &request.group_id, wall_clock_ms())
    };
    AddOffsetsToTxnResponse::default().with_error_code(added.map_or_else(|error| code(error, call.version, 2), |()| 0))
}

pub fn txn_offset_commit(call: &Call, request: TxnOffsetCommitRequest) -> TxnOffsetCommitResponse {
    let broker = call.broker;
    let owner = Owner {
        transactional_id: &request.transactional_id,
        producer_id: request.producer_id.0,
        epoch: request.producer_epoch,
    };
    let (generation, member_id, instance_id) = if call.version >= 3 {
        (request.generation_id, &*request.member_id, request.group_instance_id.as_deref())
    } else {
        (-1, "", None)
    };
    // A producer without a consumer of the group may commit for it at any time; one with is fenced together with its consumer.
    let is_outside = generation < 0 && member_id.is_empty() && instance_id.is_none();
    let allowed = match is_outside {
        true => Ok(()),
        false => broker.groups.check_commit(&request.group_id, generation, member_id, instance_id),
    };
    let mut offsets = Vec::new();
    let mut results = Vec::new();
    for topic in &request.topics {
        let known = broker.topics.get(&topic.name);
        let partitions = topic.partitions.iter().map(|partition| {
            let index = partition.partition_index;
            let metadata = partition.committed_metadata.clone().unwrap_or_default();
            let checked = allowed.and_then(|()| {
                if known.as_ref().is_none_or(|topic| topic.partition(index).is_none()) {
                    return Err(ResponseError::UnknownTopicOrPartition);
                }
                if metadata.len() > METADATA_BYTES_MAX {
                    return Err(ResponseError::OffsetMetadataTooLarge);
                }
                let leader_epoch = if call.version >= 2 { partition.committed_leader_epoch } else { -1 };
                let offset = partition.committed_offset;
                let offset = GroupOffset { offset, leader_epoch, metadata: metadata.to_string() };
                offsets.push((topic.name.to_string(), index, offset));
                Ok(())
            });
            (index, checked)
        });
        let partitions: Vec<_> = partitions.collect();
        results.push((topic.name.clone(), partitions));
    }
    let stored = match offsets.is_empty() {
        true => Ok(()),
        false => broker.transactions.add_offsets(&broker.topics, owner, &request.group_id, offsets),
    };
    let topics = results.into_iter().map(|(name, partitions)| {
        let partitions = partitions.into_iter().map(|(index, checked)| {
            let error = checked.and(stored).map_or_else(|error| code(error, call.version, i16::MAX), |()| 0);
            TxnOffsetCommitResponsePartition::default().with_partition_index(index).with_error_code(error)
        });
        TxnOffsetCommitResponseTopic::default().with_partitions(partitions.collect()).with_name(name)
    });
    TxnOffsetCommitResponse::default().with_topics(topics.collect())
}

pub fn end_txn(call: &Call, request: EndTxnRequest) -> EndTxnResponse {
    let broker = call.broker;
    let owner = Owner {
        transactional_id: &request.transactional_id,
        producer_id: request.producer_id.0,
        epoch: request.producer_epoch,
    };
    let ended = broker.transactions.end(&broker.topics, owner, request.committed, wall_clock_ms());
    EndTxnResponse::default().with_error_code(ended.map_or_else(|error| code(error, call.version, 2), |()| 0))
}
