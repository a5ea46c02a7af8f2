//! Messages about consumer groups and their offsets. Members are `groups`' affair, committed offsets are in the meta log.

use std::collections::BTreeSet;
use std::time::Duration;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::delete_groups_response::DeletableGroupResult;
use kafka_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::leave_group_response::MemberResponse;
use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions, OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{
    DeleteGroupsRequest, DeleteGroupsResponse, DescribeGroupsRequest, DescribeGroupsResponse, FindCoordinatorRequest,
    FindCoordinatorResponse, GroupId, HeartbeatRequest, HeartbeatResponse, JoinGroupRequest, JoinGroupResponse,
    LeaveGroupRequest, LeaveGroupResponse, ListGroupsRequest, ListGroupsResponse, OffsetCommitRequest,
    OffsetCommitResponse, OffsetFetchRequest, OffsetFetchResponse, SyncGroupRequest, SyncGroupResponse, TopicName,
};
use kafka_protocol::protocol::StrBytes;

use super::NODE_ID;
use super::call::Call;
use super::group_offset::GroupOffset;
use super::membership::{GroupState, JoinRequest};
use super::meta::MetaChange;

const METADATA_BYTES_MAX: usize = 4096;
// Kinds of keys that FindCoordinator is asked for: groups and transactional ids.
const KEY_KINDS: std::ops::RangeInclusive<i8> = 0..=1;

/// A topic and something for each of its partitions.
type OfTopic<T> = (TopicName, Vec<(i32, T)>);

fn text(value: impl Into<String>) -> StrBytes {
    StrBytes::from_string(value.into())
}

fn code(result: &Result<(), ResponseError>) -> i16 {
    result.as_ref().err().map_or(0, ResponseError::code)
}

fn millis(value: i32) -> Duration {
    Duration::from_millis(value.max(0) as u64)
}

pub fn find_coordinator(call: &Call, request: FindCoordinatorRequest) -> FindCoordinatorResponse {
    let address = call.broker.address;
    let (host, port) = (text(address.ip().to_string()), i32::from(address.port()));
    let error = (!KEY_KINDS.contains(&request.key_type)).then_some(ResponseError::InvalidRequest);
    let error_code = error.as_ref().map_or(0, ResponseError::code);
    let error_message =
        error.map(|_| StrBytes::from_static_str("the embedded broker coordinates groups and transactions only"));
    if call.version >= 4 {
        let coordinators = request.coordinator_keys.into_iter().map(|key| {
            Coordinator::default()
                .with_key(key)
                .with_node_id(NODE_ID.into())
                .with_host(host.clone())
                .with_port(port)
                .with_error_code(error_code)
                .with_error_message(error_message.clone())
        });
        return FindCoordinatorResponse::default().with_coordinators(coordinators.collect());
    }
    let mut response = FindCoordinatorResponse::default()
        .with_error_code(error_code)
        .with_node_id(NODE_ID.into())
        .with_host(host)
        .with_port(port);
    if call.version >= 1 {
        response.error_message = error_message;
    }
    response
}

pub fn join_group(call: &Call, request: JoinGroupRequest) -> JoinGroupResponse {
    let failed = |error: ResponseError, member_id: StrBytes| {
        let mut response =
            JoinGroupResponse::default().with_error_code(error.code()).with_generation_id(-1).with_member_id(member_id);
        // Null is for newer versions.
        response.protocol_name = (call.version < 7).then(StrBytes::default);
        response
    };
    if request.group_id.is_empty() {
        return failed(ResponseError::InvalidGroupId, request.member_id);
    }
    let session_timeout = millis(request.session_timeout_ms);
    let joined = call.broker.groups.join(
        &request.group_id,
        JoinRequest {
            member_id: request.member_id.to_string(),
            instance_id: request.group_instance_id.map(|id| id.to_string()),
            client_id: call.client_id.clone(),
            client_host: format!("/{}", call.client_host),
            session_timeout,
            rebalance_timeout: if call.version >= 1 { millis(request.rebalance_timeout_ms) } else { session_timeout },
            protocol_type: request.protocol_type.to_string(),
            protocols: request
                .protocols
                .into_iter()
                .map(|protocol| (protocol.name.to_string(), protocol.metadata))
                .collect(),
            id_required: call.version >= 4,
        },
    );
    let joined = match joined {
        Ok(joined) => joined,
        Err(refused) => return failed(refused.error, text(refused.member_id)),
    };
    let members = joined.members.into_iter().map(|(id, instance_id, metadata)| {
        let mut member = JoinGroupResponseMember::default().with_member_id(text(id)).with_metadata(metadata);
        if call.version >= 5 {
            member.group_instance_id = instance_id.map(text);
        }
        member
    });
    let mut response = JoinGroupResponse::default()
        .with_generation_id(joined.generation)
        .with_protocol_name(Some(text(joined.protocol)))
        .with_leader(text(joined.leader))
        .with_member_id(text(joined.member_id))
        .with_members(members.collect());
    if call.version >= 7 {
        response.protocol_type = Some(text(joined.protocol_type));
    }
    response
}

pub fn sync_group(call: &Call, request: SyncGroupRequest) -> SyncGroupResponse {
    let assignments =
        request.assignments.into_iter().map(|assigned| (assigned.member_id.to_string(), assigned.assignment));
    let synced = call.broker.groups.sync(
        &request.group_id,
        request.generation_id,
        &request.member_id,
        request.group_instance_id.as_deref(),
        assignments.collect(),
    );
    match synced {
        Err(error) => SyncGroupResponse::default().with_error_code(error.code()),
        Ok(synced) => {
            let mut response = SyncGroupResponse::default().with_assignment(synced.assignment);
            if call.version >= 5 {
                response.protocol_type = Some(text(synced.protocol_type));
                response.protocol_name = Some(text(synced.protocol));
            }
            response
        }
    }
}

pub fn heartbeat(call: &Call, request: HeartbeatRequest) -> HeartbeatResponse {
    let instance_id = request.group_instance_id.as_deref();
    let beaten =
        call.broker.groups.heartbeat(&request.group_id, request.generation_id, &request.member_id, instance_id);
    HeartbeatResponse::default().with_error_code(code(&beaten))
}

pub fn leave_group(call: &Call, request: LeaveGroupRequest) -> LeaveGroupResponse {
    let groups = &call.broker.groups;
    if call.version < 3 {
        let left = groups.leave(&request.group_id, &request.member_id, None);
        return LeaveGroupResponse::default().with_error_code(code(&left));
    }
    let members = request.members.into_iter().map(|member| {
        let left = groups.leave(&request.group_id, &member.member_id, member.group_instance_id.as_deref());
        MemberResponse::default()
            .with_member_id(member.member_id)
            .with_group_instance_id(member.group_instance_id)
            .with_error_code(code(&left))
    });
    LeaveGroupResponse::default().with_members(members.collect())
}

pub fn offset_commit(call: &Call, request: OffsetCommitRequest) -> OffsetCommitResponse {
    let broker = call.broker;
    let allowed = if request.group_id.is_empty() {
        Err(ResponseError::InvalidGroupId)
    } else {
        broker.groups.check_commit(
            &request.group_id,
            request.generation_id_or_member_epoch,
            &request.member_id,
            request.group_instance_id.as_deref(),
        )
    };
    let mut offsets = Vec::new();
    let mut results: Vec<OfTopic<Result<(), ResponseError>>> = Vec::new();
    for topic in request.topics {
        let known = broker.topics.get(&topic.name);
        let partitions = topic.partitions.into_iter().map(|partition| {
            let index = partition.partition_index;
            let metadata = partition.committed_metadata.unwrap_or_default();
            let checked = allowed.and_then(|()| {
                if known.as_ref().is_none_or(|topic| topic.partition(index).is_none()) {
                    return Err(ResponseError::UnknownTopicOrPartition);
                }
                if metadata.len() > METADATA_BYTES_MAX {
                    return Err(ResponseError::OffsetMetadataTooLarge);
                }
                let leader_epoch = if call.version >= 6 { partition.committed_leader_epoch } else { -1 };
                let offset =
                    GroupOffset { offset: partition.committed_offset, leader_epoch, metadata: metadata.to_string() };
                offsets.push((topic.name.to_string(), index, offset));
                Ok(())
            });
            (index, checked)
        });
        let partitions = partitions.collect();
        results.push((topic.name, partitions));
    }
    let mut stored = Ok(());
    if !offsets.is_empty() {
        let change = MetaChange::OffsetsCommitted { group: request.group_id.to_string(), offsets };
        stored = broker.topics.meta().commit(change).map_err(|error| {
            tracing::error!(group = %*request.group_id, %error, "offsets could not be stored");
            ResponseError::CoordinatorNotAvailable
        });
    }
    let topics = results.into_iter().map(|(name, partitions)| {
        let partitions = partitions.into_iter().map(|(index, checked)| {
            OffsetCommitResponsePartition::default()
                .with_partition_index(index)
                .with_error_code(code(&checked.and(stored)))
        });
        OffsetCommitResponseTopic::default().with_partitions(partitions.collect()).with_name(name)
    });
    OffsetCommitResponse::default().with_topics(topics.collect())
}

/// Partitions whose offsets in the group an open transaction may change.
fn unstable(call: &Call, group: &str) -> BTreeSet<(String, i32)> {
    let store = call.broker.topics.meta();
    let open = store.meta().transactions.values().filter_map(|transaction| transaction.offsets.get(group));
    open.flat_map(|offsets| offsets.keys().cloned()).collect()
}

/// Offsets of a group: of the partitions asked for, or of all that have one.
fn committed(call: &Call, group: &str, asked: Option<Vec<(TopicName, Vec<i32>)>>) -> Vec<OfTopic<Option<GroupOffset>>> {
    let store = call.broker.topics.meta();
    let offsets = store.meta().group_offsets.get(group);
    if let Some(asked) = asked {
        let of_partition = |topic: &TopicName, index: i32| offsets?.get(&(topic.to_string(), index)).cloned();
        return asked
            .into_iter()
            .map(|(topic, partitions)| {
                let partitions = partitions.into_iter().map(|index| (index, of_partition(&topic, index))).collect();
                (topic, partitions)
            })
            .collect();
    }
    let mut topics: Vec<OfTopic<Option<GroupOffset>>> = Vec::new();
    for ((topic, index), offset) in offsets.into_iter().flatten() {
        if topics.last().is_none_or(|(last, _)| ***last != **topic) {
            topics.push((text(topic.as_str()).into(), Vec::new()));
        }
        if let Some((_, partitions)) = topics.last_mut() {
            partitions.push((*index, Some(offset.clone())));
        }
    }
    topics
}

pub fn offset_fetch(call: &Call, request: OffsetFetchRequest) -> OffsetFetchResponse {
    let none = || GroupOffset { offset: -1, leader_epoch: -1, metadata: String::new() };
    let require_stable = call.version >= 7 && request.require_stable;
    let unstable = |group: &str| if require_stable { unstable(call, group) } else { BTreeSet::new() };
    let judged = |unstable: &BTreeSet<(String, i32)>, topic: &str, index: i32, offset: Option<GroupOffset>| {
        if unstable.contains(&(topic.to_owned(), index)) {
            return (none(), ResponseError::UnstableOffsetCommit.code());
        }
        (offset.unwrap_or_else(none), 0)
    };
    if call.version >= 8 {
        let groups = request.groups.into_iter().map(|group| {
            let asked = group
                .topics
                .map(|topics| topics.into_iter().map(|topic| (topic.name, topic.partition_indexes)).collect());
            let unstable = unstable(&group.group_id);
            let topics = committed(call, &group.group_id, asked).into_iter().map(|(name, partitions)| {
                let partitions = partitions.into_iter().map(|(index, offset)| {
                    let (offset, error_code) = judged(&unstable, &name, index, offset);
                    OffsetFetchResponsePartitions::default()
                        .with_partition_index(index)
                        .with_error_code(error_code)
                        .with_committed_offset(offset.offset)
                        .with_committed_leader_epoch(offset.leader_epoch)
                        .with_metadata(Some(text(offset.metadata)))
                });
                OffsetFetchResponseTopics::default().with_partitions(partitions.collect()).with_name(name)
            });
            OffsetFetchResponseGroup::default().with_topics(topics.collect()).with_group_id(group.group_id)
        });
        return OffsetFetchResponse::default().with_groups(groups.collect());
    }
    let asked =
        request.topics.map(|topics| topics.into_iter().map(|topic| (topic.name, topic.partition_indexes)).collect());
    let unstable = unstable(&request.group_id);
    let topics = committed(call, &request.group_id, asked).into_iter().map(|(name, partitions)| {
        let partitions = partitions.into_iter().map(|(index, offset)| {
            let (offset, error_code) = judged(&unstable, &name, index, offset);
            let mut partition = OffsetFetchResponsePartition::default()
                .with_partition_index(index)
                .with_error_code(error_code)
                .with_committed_offset(offset.offset)
                .with_metadata(Some(text(offset.metadata)));
            if call.version >= 5 {
                partition.committed_leader_epoch = offset.leader_epoch;
            }
            partition
        });
        OffsetFetchResponseTopic::default().with_partitions(partitions.collect()).with_name(name)
    });
    OffsetFetchResponse::default().with_topics(topics.collect())
}

/// Whether a group has members or offsets, and its state.
fn known_state(call: &Call, group: &str) -> Option<GroupState> {
    if let Some(described) = call.broker.groups.describe(group) {
        return Some(described.state);
    }
    call.broker.topics.meta().meta().group_offsets.contains_key(group).then_some(GroupState::Empty)
}

pub fn list_groups(call: &Call, request: ListGroupsRequest) -> ListGroupsResponse {
    let mut names: BTreeSet<String> = call.broker.groups.names().into_iter().collect();
    names.extend(call.broker.topics.meta().meta().group_offsets.keys().cloned());
    let groups = names.into_iter().filter_map(|name| {
        let state = known_state(call, &name)?;
        let wanted = request.states_filter.is_empty()
            || request.states_filter.iter().any(|asked| asked.as_str() == state.name());
        let protocol_type = call.broker.groups.describe(&name).map(|group| group.protocol_type);
        let mut group = ListedGroup::default()
            .with_group_id(GroupId(text(name)))
            .with_protocol_type(text(protocol_type.unwrap_or_else(|| "consumer".to_owned())));
        if call.version >= 4 {
            group.group_state = text(state.name());
        }
        wanted.then_some(group)
    });
    ListGroupsResponse::default().with_groups(groups.collect())
}

pub fn describe_groups(call: &Call, request: DescribeGroupsRequest) -> DescribeGroupsResponse {
    let groups = request.groups.into_iter().map(|id| {
        let state = known_state(call, &id).map_or("Dead", GroupState::name);
        let mut response = DescribedGroup::default().with_group_state(text(state));
        if let Some(group) = call.broker.groups.describe(&id) {
            response.protocol_type = text(group.protocol_type);
            response.protocol_data = text(group.protocol);
            let members = group.members.into_iter().map(|member| {
                let mut response = DescribedGroupMember::default()
                    .with_member_id(text(member.member_id))
                    .with_client_id(text(member.client_id))
                    .with_client_host(text(member.client_host))
                    .with_member_metadata(member.metadata)
                    .with_member_assignment(member.assignment);
                if call.version >= 4 {
                    response.group_instance_id = member.instance_id.map(text);
                }
                response
            });
            response.members = members.collect();
        }
        response.group_id = id;
        response
    });
    DescribeGroupsResponse::default().with_groups(groups.collect())
}

pub fn delete_groups(call: &Call, request: DeleteGroupsRequest) -> DeleteGroupsResponse {
    let results = request.groups_names.into_iter().map(|id| {
        let deleted = delete_group(call, &id);
        DeletableGroupResult::default().with_group_id(id).with_error_code(code(&deleted))
    });
    DeleteGroupsResponse::default().with_results(results.collect())
}

fn delete_group(call: &Call, id: &str) -> Result<(), ResponseError> {
    let had_members_once = call.broker.groups.delete(id)?;
    let mut store = call.broker.topics.meta();
    if store.meta().group_offsets.contains_key(id) {
        let stored = store.commit(MetaChange::GroupDeleted { group: id.to_owned() });
        return stored.map_err(|_| ResponseError::CoordinatorNotAvailable);
    }
    if had_members_once { Ok(()) } else { Err(ResponseError::GroupIdNotFound) }
}
