//! Messages about topics: Metadata, CreateTopics, DeleteTopics, CreatePartitions and the three about settings.

use std::collections::BTreeMap;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::alter_configs_response::AlterConfigsResourceResponse as AlteredResource;
use kafka_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use kafka_protocol::messages::create_topics_response::{CreatableTopicConfigs, CreatableTopicResult};
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::describe_configs_response::{DescribeConfigsResourceResult, DescribeConfigsResult};
use kafka_protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse as IncrementallyAlteredResource;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{
    AlterConfigsRequest, AlterConfigsResponse, CreatePartitionsRequest, CreatePartitionsResponse, CreateTopicsRequest,
    CreateTopicsResponse, DeleteTopicsRequest, DeleteTopicsResponse, DescribeConfigsRequest, DescribeConfigsResponse,
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse, MetadataRequest, MetadataResponse,
};
use kafka_protocol::protocol::StrBytes;

use super::call::Call;
use super::configs::{Kind, SETTINGS, value_of};
use super::log::LEADER_EPOCH;
use super::topics::{Topic, TopicError, is_valid_name};
use super::{Broker, NODE_ID};

// Kinds of things that have settings, and where a setting comes from.
const OF_TOPIC: i8 = 2;
const OF_BROKER: i8 = 4;
const SET_ON_TOPIC: i8 = 1;
const SET_AT_START: i8 = 4;
const DEFAULT: i8 = 5;

// What an incremental change does.
const SET: i8 = 0;
const DELETE: i8 = 1;

fn text(value: impl Into<String>) -> StrBytes {
    StrBytes::from_string(value.into())
}

fn code_and_message(error: TopicError) -> (ResponseError, String) {
    match error {
        TopicError::InvalidName => (
            ResponseError::InvalidTopicException,
            "a topic name has 1 to 249 letters, digits, '.', '_' and '-'".to_owned(),
        ),
        TopicError::Exists => (ResponseError::TopicAlreadyExists, "the topic is there already".to_owned()),
        TopicError::Unknown => (ResponseError::UnknownTopicOrPartition, "no such topic".to_owned()),
        TopicError::InvalidPartitions(message) => (ResponseError::InvalidPartitions, message),
        TopicError::InvalidConfig(message) => (ResponseError::InvalidConfig, message),
        TopicError::Storage(error) => {
            tracing::error!(%error, "a change of topics could not be stored");
            (ResponseError::KafkaStorageError, error.to_string())
        }
    }
}

pub fn metadata(call: &Call, request: MetadataRequest) -> MetadataResponse {
    let broker = call.broker;
    let may_create = broker.options.auto_create_topics && (call.version < 4 || request.allow_auto_topic_creation);
    // The first version could not say "none".
    let asked = request.topics.filter(|asked| call.version > 0 || !asked.is_empty());
    let topics = match asked {
        None => broker.topics.all().iter().map(|topic| described(call, &topic.name, Ok(topic))).collect(),
        Some(asked) => asked
            .into_iter()
            .map(|asked| match asked.name {
                // From version 12 on a client may know a topic by its id alone.
                None if call.version >= 12 => match broker.topics.by_id(asked.topic_id) {
                    Some(topic) => described(call, &topic.name, Ok(&topic)),
                    None => MetadataResponseTopic::default()
                        .with_name(None)
                        .with_topic_id(asked.topic_id)
                        .with_error_code(ResponseError::UnknownTopicId.code()),
                },
                name => {
                    let name = name.map(|name| name.to_string()).unwrap_or_default();
                    let topic = find_or_create(broker, &name, may_create);
                    described(call, &name, topic.as_deref().map_err(|error| *error))
                }
            })
            .collect(),
    };
    let mut node = MetadataResponseBroker::default()
        .with_node_id(NODE_ID.into())
        .with_host(text(broker.address.ip().to_string()))
        .with_port(i32::from(broker.address.port()));
    if call.version >= 1 {
        node.rack = None;
    }
    let mut response = MetadataResponse::default().with_brokers(vec![node]).with_topics(topics);
    if call.version >= 1 {
        response.controller_id = NODE_ID.into();
    }
    if call.version >= 2 {
        response.cluster_id = Some(text(broker.cluster_id.clone()));
    }
    response
}

fn find_or_create(broker: &Broker, name: &str, may_create: bool) -> Result<std::sync::Arc<Topic>, ResponseError> {
    if let Some(topic) = broker.topics.get(name) {
        return Ok(topic);
    }
    if !is_valid_name(name) {
        return Err(ResponseError::InvalidTopicException);
    }
    if !may_create {
        return Err(ResponseError::UnknownTopicOrPartition);
    }
    match broker.topics.create(name, broker.options.default_partitions, BTreeMap::new(), false) {
        Ok(topic) => Ok(topic),
        // Another client was faster.
        Err(TopicError::Exists) => broker.topics.get(name).ok_or(ResponseError::UnknownTopicOrPartition),
        Err(error) => Err(code_and_message(error).0),
    }
}

fn described(call: &Call, name: &str, topic: Result<&Topic, ResponseError>) -> MetadataResponseTopic {
    let mut response = MetadataResponseTopic::default().with_name(Some(text(name).into()));
    match topic {
        Err(error) => response.error_code = error.code(),
        Ok(topic) => {
            if call.version >= 10 {
                response.topic_id = topic.id;
            }
            let partitions = (0i32..).zip(&topic.partitions).map(|(index, _)| {
                let mut partition = MetadataResponsePartition::default()
                    .with_partition_index(index)
                    .with_leader_id(NODE_ID.into())
                    .with_replica_nodes(vec![NODE_ID.into()])
                    .with_isr_nodes(vec![NODE_ID.into()]);
                if call.version >= 7 {
                    partition.leader_epoch = LEADER_EPOCH;
                }
                partition
            });
            response.partitions = partitions.collect();
        }
    }
    response
}

pub fn create_topics(call: &Call, request: CreateTopicsRequest) -> CreateTopicsResponse {
    let results = request.topics.into_iter().map(|asked| {
        let mut result = CreatableTopicResult::default().with_name(asked.name.clone());
        if call.version >= 5 {
            result.num_partitions = -1;
            result.replication_factor = -1;
            result.configs = None;
        }
        let config = asked
            .configs
            .iter()
            .filter_map(|config| Some((config.name.to_string(), config.value.as_ref()?.to_string())));
        let created = if asked.assignments.is_empty() {
            let partitions =
                if asked.num_partitions == -1 { call.broker.options.default_partitions } else { asked.num_partitions };
            if matches!(asked.replication_factor, -1 | 1) {
                let created =
                    call.broker.topics.create(&asked.name, partitions, config.collect(), request.validate_only);
                created.map(|topic| (topic, partitions)).map_err(code_and_message)
            } else {
                Err((
                    ResponseError::InvalidReplicationFactor,
                    "the embedded broker is the only one: replication factor 1".to_owned(),
                ))
            }
        } else {
            Err((
                ResponseError::InvalidReplicaAssignment,
                "the embedded broker is the only one: no replica assignments".to_owned(),
            ))
        };
        match created {
            Ok((topic, partitions)) if call.version >= 5 => {
                if call.version >= 7 && !request.validate_only {
                    result.topic_id = topic.id;
                }
                result.num_partitions = partitions;
                result.replication_factor = 1;
                let configs = SETTINGS.iter().map(|setting| {
                    CreatableTopicConfigs::default()
                        .with_name(StrBytes::from_static_str(setting.name))
                        .with_value(Some(text(value_of(&topic.config, setting.name))))
                        .with_config_source(source(&topic, setting.name))
                });
                result.configs = Some(configs.collect());
            }
            Ok(_) => {}
            Err((error, message)) => {
                result.error_code = error.code();
                result.error_message = Some(text(message));
            }
        }
        result
    });
    CreateTopicsResponse::default().with_topics(results.collect())
}

pub fn delete_topics(call: &Call, request: DeleteTopicsRequest) -> DeleteTopicsResponse {
    let results = request.topic_names.into_iter().map(|name| {
        let deleted = call.broker.topics.delete(&name).map_err(code_and_message);
        let mut result = DeletableTopicResult::default().with_name(Some(name));
        if let Err((error, message)) = deleted {
            result.error_code = error.code();
            if call.version >= 5 {
                result.error_message = Some(text(message));
            }
        }
        result
    });
    DeleteTopicsResponse::default().with_responses(results.collect())
}

pub fn create_partitions(call: &Call, request: CreatePartitionsRequest) -> CreatePartitionsResponse {
    let results = request.topics.into_iter().map(|asked| {
        let added = if asked.assignments.is_none_or(|assignments| assignments.is_empty()) {
            call.broker.topics.add_partitions(&asked.name, asked.count, request.validate_only).map_err(code_and_message)
        } else {
            Err((
                ResponseError::InvalidReplicaAssignment,
                "the embedded broker is the only one: no replica assignments".to_owned(),
            ))
        };
        let mut result = CreatePartitionsTopicResult::default().with_name(asked.name);
        if let Err((error, message)) = added {
            result.error_code = error.code();
            result.error_message = Some(text(message));
        }
        result
    });
    CreatePartitionsResponse::default().with_results(results.collect())
}

pub fn describe_configs(call: &Call, request: DescribeConfigsRequest) -> DescribeConfigsResponse {
    let results = request.resources.into_iter().map(|resource| {
        let wanted = |name: &str| {
            resource
                .configuration_keys
                .as_ref()
                .is_none_or(|keys| keys.is_empty() || keys.iter().any(|key| **key == *name))
        };
        let mut result = DescribeConfigsResult::default()
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name.clone());
        let described = match resource.resource_type {
            OF_TOPIC => topic_configs(call, &resource.resource_name),
            OF_BROKER => Ok(broker_configs(call)),
            _ => Err((ResponseError::InvalidRequest, "only topics and brokers have settings here".to_owned())),
        };
        match described {
            Ok(configs) => result.configs = configs.into_iter().filter(|config| wanted(&config.name)).collect(),
            Err((error, message)) => {
                result.error_code = error.code();
                result.error_message = Some(text(message));
            }
        }
        result
    });
    DescribeConfigsResponse::default().with_results(results.collect())
}

fn source(topic: &Topic, name: &str) -> i8 {
    if topic.config.contains_key(name) { SET_ON_TOPIC } else { DEFAULT }
}

fn topic_configs(call: &Call, name: &str) -> Result<Vec<DescribeConfigsResourceResult>, (ResponseError, String)> {
    let topic = call.broker.topics.get(name).ok_or_else(|| code_and_message(TopicError::Unknown))?;
    let described = SETTINGS.iter().map(|setting| {
        described_config(
            call,
            setting.name,
            value_of(&topic.config, setting.name),
            setting.kind,
            source(&topic, setting.name),
        )
    });
    Ok(described.collect())
}

fn broker_configs(call: &Call) -> Vec<DescribeConfigsResourceResult> {
    let options = &call.broker.options;
    [
        ("auto.create.topics.enable", options.auto_create_topics.to_string(), Kind::Boolean),
        ("max.connections", options.connections_max.to_string(), Kind::Int),
        ("num.partitions", options.default_partitions.to_string(), Kind::Int),
    ]
    .into_iter()
    .map(|(name, value, kind)| described_config(call, name, &value, kind, SET_AT_START).with_read_only(true))
    .collect()
}

fn described_config(call: &Call, name: &str, value: &str, kind: Kind, source: i8) -> DescribeConfigsResourceResult {
    let mut described = DescribeConfigsResourceResult::default()
        .with_name(text(name))
        .with_value(Some(text(value)))
        .with_config_source(source);
    if call.version >= 3 {
        described.config_type = kind as i8;
    }
    described
}

fn altered(
    call: &Call,
    kind: i8,
    name: &str,
    only_check: bool,
    change: impl FnOnce(&mut BTreeMap<String, String>),
) -> (i16, Option<StrBytes>) {
    let altered = match kind {
        OF_TOPIC => call.broker.topics.configure(name, only_check, change).map_err(code_and_message),
        _ => Err((ResponseError::InvalidRequest, "only the settings of topics can be altered".to_owned())),
    };
    altered.map_or_else(|(error, message)| (error.code(), Some(text(message))), |()| (0, None))
}

pub fn alter_configs(call: &Call, request: AlterConfigsRequest) -> AlterConfigsResponse {
    let responses = request.resources.into_iter().map(|resource| {
        let new = resource
            .configs
            .iter()
            .filter_map(|config| Some((config.name.to_string(), config.value.as_ref()?.to_string())));
        let (error_code, error_message) =
            altered(call, resource.resource_type, &resource.resource_name, request.validate_only, |config| {
                *config = new.collect()
            });
        AlteredResource::default()
            .with_error_code(error_code)
            .with_error_message(error_message)
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name.clone())
    });
    AlterConfigsResponse::default().with_responses(responses.collect())
}

pub fn incremental_alter_configs(
    call: &Call,
    request: IncrementalAlterConfigsRequest,
) -> IncrementalAlterConfigsResponse {
    let responses = request.resources.into_iter().map(|resource| {
        let known = resource.configs.iter().all(|change| matches!(change.config_operation, SET | DELETE));
        let (error_code, error_message) = if known {
            altered(call, resource.resource_type, &resource.resource_name, request.validate_only, |config| {
                for change in &resource.configs {
                    match &change.value {
                        Some(value) if change.config_operation == SET => {
                            config.insert(change.name.to_string(), value.to_string())
                        }
                        _ => config.remove(change.name.as_str()),
                    };
                }
            })
        } else {
            (
                ResponseError::InvalidConfig.code(),
                Some(text("the embedded broker sets and deletes settings, it does not append to lists")),
            )
        };
        IncrementallyAlteredResource::default()
            .with_error_code(error_code)
            .with_error_message(error_message)
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name.clone())
    });
    IncrementalAlterConfigsResponse::default().with_responses(responses.collect())
}
