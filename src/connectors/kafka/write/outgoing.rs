//! A record as it is handed to the client: borrowed from whoever makes or keeps it.

use rdkafka::message::OwnedHeaders;
use rdkafka::producer::BaseRecord;

use crate::connectors::bad_rows::shortened;
use crate::error::{Error, SqlState};

/// A record to be written.
#[derive(Debug, Clone)]
pub(in crate::connectors) struct Outgoing<'a> {
    pub topic: &'a str,
    pub partition: Option<i32>,
    pub key: Option<&'a [u8]>,
    /// Absent: a tombstone.
    pub payload: Option<&'a [u8]>,
    pub timestamp: Option<i64>,
    pub headers: Option<&'a OwnedHeaders>,
}

impl Outgoing<'_> {
    /// Why a client refuses to send it.
    pub fn too_large(&self, table: &str) -> Error {
        let bytes = self.key.map_or(0, <[u8]>::len) + self.payload.map_or(0, <[u8]>::len);
        let error = Error::row(format!(
            "table \"{table}\": a record of {bytes} bytes is larger than topic \"{}\" is written with",
            self.topic
        ))
        .code(SqlState::StringDataRightTruncation)
        .hint("Set 'properties.message.max.bytes', and max.message.bytes of the topic.");
        let start = |bytes: &[u8]| shortened(&String::from_utf8_lossy(&bytes[..bytes.len().min(400)]), 60);
        match (self.key, self.payload) {
            (Some(key), _) => error.detail(format!("Its key is {}.", start(key))),
            (None, Some(payload)) => error.detail(format!("It begins with {}.", start(payload))),
            (None, None) => error,
        }
    }
}

/// The client's form of a record.
pub(in crate::connectors) fn base<'a, O: rdkafka::util::IntoOpaque>(
    record: &Outgoing<'a>,
    opaque: O,
) -> BaseRecord<'a, [u8], [u8], O> {
    let mut base = BaseRecord::<[u8], [u8], O>::with_opaque_to(record.topic, opaque);
    if let Some(payload) = record.payload {
        base = base.payload(payload);
    }
    if let Some(key) = record.key {
        base = base.key(key);
    }
    if let Some(partition) = record.partition {
        base = base.partition(partition);
    }
    if let Some(timestamp) = record.timestamp {
        base = base.timestamp(timestamp);
    }
    if let Some(headers) = record.headers {
        base = base.headers(headers.clone());
    }
    base
}
