//! What a client has by name: parsed statements, and portals with their parameters or with the result that they are in.

use std::sync::Arc;

use datafusion::scalar::ScalarValue;

use super::row_pump::RowPump;
use crate::sql::Prepared;

/// A parsed statement.
pub(super) struct Parsed {
    /// `None` for an empty statement.
    pub(super) prepared: Option<Prepared>,
    /// For log lines.
    pub(super) command: &'static str,
    /// What others see of it while it runs.
    pub(super) shown: Arc<str>,
    /// Types that the client gave, which it wants to see again.
    pub(super) parameter_oids: Vec<u32>,
    pub(super) offset: usize,
    /// What the session keeps account of; the unnamed one is as large as one message.
    pub(super) held_bytes: usize,
}

/// A bound statement.
pub(super) struct Portal {
    pub(super) prepared: Option<Prepared>,
    /// As [`Parsed`]'s.
    pub(super) command: &'static str,
    /// As [`Parsed`]'s.
    pub(super) shown: Arc<str>,
    pub(super) offset: usize,
    pub(super) formats: Vec<i16>,
    pub(super) state: State,
    /// As [`Parsed`]'s.
    pub(super) held_bytes: usize,
}

pub(super) enum State {
    Bound(Vec<ScalarValue>),
    Running { verb: &'static str, pump: Box<RowPump>, sent: u64 },
    Done,
}
