//! Records that wait for the transaction of their epoch: with their writer, and with the transactions once its barrier is past.

use std::collections::VecDeque;
use std::sync::Arc;

use rdkafka::message::OwnedHeaders;

use super::outgoing::Outgoing;
use super::write_sequences::{WriteSequence, WriteSequences};
use crate::connectors::bad_rows::BadRows;

/// Memory of a kept record beside its bytes.
const RECORD_BYTES: usize = 128;

/// A record that waits.
pub(super) struct Kept {
    pub(super) epoch: u64,
    pub(super) topic: Arc<str>,
    pub(super) partition: Option<i32>,
    pub(super) key: Option<Vec<u8>>,
    pub(super) payload: Option<Vec<u8>>,
    pub(super) timestamp: Option<i64>,
    pub(super) headers: Option<OwnedHeaders>,
    pub(super) sequence: Arc<WriteSequence>,
}

/// What one writer has of an epoch whose barrier is past.
pub(super) struct Sealed {
    pub epoch: u64,
    pub kept: VecDeque<Kept>,
    pub sequences: Arc<WriteSequences>,
    pub bad_rows: Arc<BadRows>,
}

impl Kept {
    pub(super) fn bytes(&self) -> usize {
        RECORD_BYTES + self.key.as_ref().map_or(0, Vec::len) + self.payload.as_ref().map_or(0, Vec::len)
    }

    pub(super) fn outgoing(&self) -> Outgoing<'_> {
        Outgoing {
            topic: &self.topic,
            partition: self.partition,
            key: self.key.as_deref(),
            payload: self.payload.as_deref(),
            timestamp: self.timestamp,
            headers: self.headers.as_ref(),
        }
    }
}
