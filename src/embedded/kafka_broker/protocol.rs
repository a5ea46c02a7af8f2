//! Which messages the broker answers, in which versions, and who answers them. The table is what ApiVersions advertises; anything else
//! ends the connection, as with Kafka. A field is set in an answer only from the version on that has it: the encoder refuses others.

use std::io;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::{ApiKey, ApiVersionsResponse, RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion};

use super::call::Call;
use super::{Broker, group_requests, record_requests, shape, topic_requests, transaction_requests};

struct Api {
    key: ApiKey,
    min: i16,
    max: i16,
    /// The request's layout, see `shape`.
    layout: &'static str,
}

const fn api(key: ApiKey, min: i16, max: i16, layout: &'static str) -> Api {
    Api { key, min, max, layout }
}

const APIS: &[Api] = &[
    api(ApiKey::Produce, 3, 9, "s 2 4 { s { 4 b } }"),
    api(ApiKey::Fetch, 4, 11, "4 4 4 4 1 4@7 4@7 { s { 4 4@9 8 8@5 4 } } {@7 s [ 4 ] } s@11"),
    api(ApiKey::ListOffsets, 1, 7, "4 1@2 { s { 4 4@4 8 } }"),
    api(ApiKey::Metadata, 0, 12, "{ 16@10 s } 1@4 1@8-10 1@8"),
    api(ApiKey::OffsetCommit, 2, 8, "s 4 s s@7 8@2-4 { s { 4 8 4@6 s } }"),
    api(ApiKey::OffsetFetch, 1, 8, "s@1-7 {@1-7 s [ 4 ] } {@8 s { s [ 4 ] } } 1@7"),
    api(ApiKey::FindCoordinator, 0, 4, "s@0-3 1@1 [@4 s ]"),
    api(ApiKey::JoinGroup, 0, 7, "s 4 4@1 s s@5 s { s b }"),
    api(ApiKey::Heartbeat, 0, 4, "s 4 s s@3"),
    api(ApiKey::LeaveGroup, 0, 5, "s s@0-2 {@3 s s s@5 }"),
    api(ApiKey::SyncGroup, 0, 5, "s 4 s s@3 s@5 s@5 { s b }"),
    api(ApiKey::DescribeGroups, 0, 5, "[ s ] 1@3"),
    api(ApiKey::ListGroups, 0, 4, "[@4 s ]"),
    api(ApiKey::ApiVersions, 0, 3, "s@3 s@3"),
    api(ApiKey::CreateTopics, 2, 7, "{ s 4 2 { 4 [ 4 ] } { s s } } 4 1"),
    api(ApiKey::DeleteTopics, 1, 5, "[ s ] 4"),
    api(ApiKey::DeleteRecords, 0, 2, "{ s { 4 8 } } 4"),
    api(ApiKey::InitProducerId, 0, 4, "s 4 8@3 2@3"),
    api(ApiKey::AddPartitionsToTxn, 0, 3, "s 8 2 { s [ 4 ] }"),
    api(ApiKey::AddOffsetsToTxn, 0, 3, "s 8 2 s"),
    api(ApiKey::EndTxn, 0, 3, "s 8 2 1"),
    api(ApiKey::TxnOffsetCommit, 0, 3, "s s 8 2 4@3 s@3 s@3 { s { 4 8 4@2 s } }"),
    api(ApiKey::DescribeConfigs, 1, 4, "{ 1 s [ s ] } 1 1@3"),
    api(ApiKey::AlterConfigs, 0, 2, "{ 1 s { s s } } 1"),
    api(ApiKey::CreatePartitions, 0, 3, "{ s 4 { [ 4 ] } } 4 1"),
    api(ApiKey::DeleteGroups, 0, 2, "[ s ]"),
    api(ApiKey::IncrementalAlterConfigs, 0, 1, "{ 1 s { s 1 s } } 1"),
];

/// Answers one frame, without its length; `None` when the client wants no answer. An error ends the connection.
pub fn answer(broker: &Broker, client_host: &str, mut frame: Bytes) -> io::Result<Option<BytesMut>> {
    if frame.len() < 8 {
        return Err(malformed("request header"));
    }
    let (key, version, correlation_id) = {
        let mut start = &frame[..8];
        (start.get_i16(), start.get_i16(), start.get_i32())
    };
    let api = APIS.iter().find(|api| api.key as i16 == key).ok_or_else(|| unsupported(key, version))?;
    if !(api.min..=api.max).contains(&version) {
        if api.key == ApiKey::ApiVersions {
            // A client that is ahead learns from the oldest form of the answer which versions it can use.
            return encode(correlation_id, 0, &api_versions(ResponseError::UnsupportedVersion.code())).map(Some);
        }
        return Err(unsupported(key, version));
    }
    let header_version = api.key.request_header_version(version);
    let header = RequestHeader::decode(&mut frame, header_version).map_err(|_| malformed("request header"))?;
    if !shape::fits(api.layout, &frame, version, header_version >= 2) {
        return Err(malformed(&format!("{:?} request of version {version}", api.key)));
    }
    let client_id = header.client_id.map(|id| id.to_string()).unwrap_or_default();
    let call = Call { broker, version, client_id, client_host };
    let body = Body { frame, correlation_id, call };
    match api.key {
        ApiKey::ApiVersions => encode(correlation_id, version, &api_versions(0)).map(Some),
        ApiKey::Produce => body.answer_or_not(record_requests::produce),
        ApiKey::Fetch => body.answer(record_requests::fetch),
        ApiKey::ListOffsets => body.answer(record_requests::list_offsets),
        ApiKey::DeleteRecords => body.answer(record_requests::delete_records),
        ApiKey::InitProducerId => body.answer(transaction_requests::init_producer_id),
        ApiKey::AddPartitionsToTxn => body.answer(transaction_requests::add_partitions_to_txn),
        ApiKey::AddOffsetsToTxn => body.answer(transaction_requests::add_offsets_to_txn),
        ApiKey::TxnOffsetCommit => body.answer(transaction_requests::txn_offset_commit),
        ApiKey::EndTxn => body.answer(transaction_requests::end_txn),
        ApiKey::Metadata => body.answer(topic_requests::metadata),
        ApiKey::CreateTopics => body.answer(topic_requests::create_topics),
        ApiKey::DeleteTopics => body.answer(topic_requests::delete_topics),
        ApiKey::CreatePartitions => body.answer(topic_requests::create_partitions),
        ApiKey::DescribeConfigs => body.answer(topic_requests::describe_configs),
        ApiKey::AlterConfigs => body.answer(topic_requests::alter_configs),
        ApiKey::IncrementalAlterConfigs => body.answer(topic_requests::incremental_alter_configs),
        ApiKey::FindCoordinator => body.answer(group_requests::find_coordinator),
        ApiKey::JoinGroup => body.answer(group_requests::join_group),
        ApiKey::SyncGroup => body.answer(group_requests::sync_group),
        ApiKey::Heartbeat => body.answer(group_requests::heartbeat),
        ApiKey::LeaveGroup => body.answer(group_requests::leave_group),
        ApiKey::OffsetCommit => body.answer(group_requests::offset_commit),
        ApiKey::OffsetFetch => body.answer(group_requests::offset_fetch),
        ApiKey::ListGroups => body.answer(group_requests::list_groups),
        ApiKey::DescribeGroups => body.answer(group_requests::describe_groups),
        ApiKey::DeleteGroups => body.answer(group_requests::delete_groups),
        _ => Err(unsupported(key, version)),
    }
}

struct Body<'a> {
    frame: Bytes,
    correlation_id: i32,
    call: Call<'a>,
}

impl Body<'_> {
    fn answer<Q: Decodable, A: Encodable + HeaderVersion>(
        self,
        act: impl FnOnce(&Call, Q) -> A,
    ) -> io::Result<Option<BytesMut>> {
        self.answer_or_not(|call, request| Some(act(call, request)))
    }

    fn answer_or_not<Q: Decodable, A: Encodable + HeaderVersion>(
        mut self,
        act: impl FnOnce(&Call, Q) -> Option<A>,
    ) -> io::Result<Option<BytesMut>> {
        let request =
            Q::decode(&mut self.frame, self.call.version).map_err(|error| malformed(&format!("request: {error:#}")))?;
        let response = act(&self.call, request);
        response.map(|response| encode(self.correlation_id, self.call.version, &response)).transpose()
    }
}

fn encode<R: Encodable + HeaderVersion>(correlation_id: i32, version: i16, response: &R) -> io::Result<BytesMut> {
    let refused = |error| io::Error::other(format!("answer cannot be encoded: {error:#}"));
    let mut frame = BytesMut::new();
    frame.put_i32(0);
    let header = ResponseHeader::default().with_correlation_id(correlation_id);
    header.encode(&mut frame, R::header_version(version)).map_err(refused)?;
    response.encode(&mut frame, version).map_err(refused)?;
    let length = i32::try_from(frame.len() - 4).map_err(|_| io::Error::other("answer is too long for a frame"))?;
    frame[..4].copy_from_slice(&length.to_be_bytes());
    Ok(frame)
}

fn api_versions(error_code: i16) -> ApiVersionsResponse {
    let versions = APIS.iter().map(|api| {
        ApiVersion::default().with_api_key(api.key as i16).with_min_version(api.min).with_max_version(api.max)
    });
    ApiVersionsResponse::default().with_error_code(error_code).with_api_keys(versions.collect())
}

pub fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("malformed {what}"))
}

fn unsupported(key: i16, version: i16) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, format!("message {key} of version {version} is not supported"))
}
