//! SQL of both dialects: text → statements → plans → results, for one session at a time.
//! Knows the catalog, the jobs and DataFusion; knows nothing of the wire protocol.

pub mod job_relations;
pub mod session;

pub use session::{
    Notice, Outcome, Prepared, Session, SessionOptions, Severity, SqlServer, StatementText, SystemSchema,
    TransactionStatus,
};
