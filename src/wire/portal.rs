//! What a client has by name: parsed statements, and portals with their parameters or with the result that they are in.

use std::sync::Arc;

use datafusion::scalar::ScalarValue;

use super::row_pump::RowPump;
use crate::data_type::NamedText;
use crate::pg_catalog::pg_type;
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

impl Parsed {
    /// The types of its parameters as ParameterDescription says them: as the client gave them, else as they were found out.
    pub(super) fn oids(&self) -> Vec<u32> {
        let Some(prepared) = &self.prepared else { return Vec::new() };
        let known = prepared.parameter_types.iter().zip(&prepared.named_parameters).enumerate();
        let oid = |(index, (data_type, named)): (usize, (_, &Option<NamedText>))| {
            let declared = self.parameter_oids.get(index).copied().filter(|oid| !matches!(oid, 0 | 705));
            declared.unwrap_or_else(|| match named {
                Some(named) => pg_type::of_named(*named).oid,
                None => pg_type::of(data_type).oid,
            })
        };
        known.map(oid).collect()
    }
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
